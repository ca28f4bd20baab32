//! `DynamoDB`. Items and conditions are built here and nowhere else; nothing else knows attribute names.
//!
//! Every call goes through [`Store::call`], the one retry loop, so that the calls of a batch can be counted. The SDK's
//! own retries are off.

mod attribute;
mod batches;
mod call;
mod control;
mod cursor;
mod effect;
mod intents;
mod keys;
mod ledger;
mod listing;
mod lock;
mod log;
mod rate;
mod records;
mod search;
mod transaction;
mod watch;
mod wide;

pub use batches::{Accepted, Contents, Written};
pub use call::Fault;
pub(crate) use call::describe;
pub use control::api_key_item;
pub use cursor::CursorKey;
pub use intents::{Cluster, IntentBatch, SignedSet};
pub use keys::TenantKey;
pub use ledger::{Entry, Nonces, Place as LedgerPlace, Sent};
pub use listing::{Listing, Page, Party};
pub use lock::{Holder, Lock, Locked};
pub use log::Place;
pub use rate::{Charged, Payer};
pub use records::{AtOnce, Refusal};
pub use transaction::{Commit, Committing};
pub use watch::{Standing, Watched};
pub use wide::{Planned, Redo};

use aws_sdk_dynamodb::Client;

use crate::config::Tables;
use crate::limits::Limits;
use crate::runtime::{Clock, Entropy, Timestamp};

/// The tables, and how long this piece of work may wait for them.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    tables: Tables,
    limits: Limits,
    clock: Clock,
    entropy: Entropy,
    until: Timestamp,
}

impl Store {
    /// Calls on `tables` through `client`; [`Store::until`] bounds them.
    pub fn new(client: Client, tables: Tables, limits: Limits, clock: Clock, entropy: Entropy) -> Self {
        Self { client, tables, limits, clock, entropy, until: Timestamp(i64::MAX) }
    }

    /// The same store, for work that ends at `until`: a call that keeps failing is given up then.
    #[must_use]
    pub fn until(&self, until: Timestamp) -> Self {
        Self { until, ..self.clone() }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
