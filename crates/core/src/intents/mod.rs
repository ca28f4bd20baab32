//! Batches of intents: built with Orby, signed by the client, sent once, followed to their end.
//!
//! - [`create`] and [`retry`] build operation sets and keep them; nothing is sent
//! - [`execute`] checks every signature, keeps them all in one write, and sends
//! - [`status`] tells how far a batch is, and asks Orby about what nobody asked about for 30 s
//! - [`resume`] is the executor's part: it sends what is left, asks, and ends the batch

mod build;
mod cluster;
mod create;
mod execute;
mod retry;
mod send;
mod settle;

pub use create::{Asked, Created, Stopped, create};
pub use execute::{Executed, execute};
pub use retry::{Retried, retry};
pub use settle::{resume, status};

use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Intents, Phase};
use crate::dialect::intents::Told;
use crate::store::{Fault, IntentBatch, Store, TenantKey};

/// Time of a call, milliseconds: the gateway cuts at 29 s.
const CALL_MS: i64 = 20_000;

/// A batch of intents with what was built for it.
#[derive(Debug)]
pub struct Batch {
    /// Head, state and ledger.
    pub stored: IntentBatch,
    /// Its operation sets.
    pub intents: Intents,
}

impl Batch {
    /// Its operations as they stand, in request order.
    pub fn told(&self) -> Vec<Told<'_>> {
        let sets = self.intents.sets.iter().enumerate();
        sets.map(|(index, set)| {
            let at = set.merged_into.unwrap_or(index);
            let row = self.stored.rows.iter().find(|row| row.index == at);
            Told { set, phase: settle::phase(self, index), tx_hash: row.and_then(|row| row.tx_hash.clone()) }
        })
        .collect()
    }

    /// Whether everything in it has come to its end.
    pub fn has_ended(&self) -> bool {
        settle::has_ended(&self.stored)
    }

    /// Whether something of it is signed and not sent yet.
    pub fn is_waiting(&self) -> bool {
        self.stored.rows.iter().any(|row| row.phase == Phase::Ready)
    }
}

/// The batch at `id`, if it is of intents and `caller` may see it.
pub async fn batch(app: &App, caller: &Caller, id: &BatchId) -> Result<Option<Batch>, Fault> {
    let store = app.store().until(app.clock().now().plus_ms(10_000));
    let keys = TenantKey::new(caller.tenant());
    let stored = store.intent_batch(&keys, id).await?.filter(|stored| stored.head.visible_to(caller));
    match stored {
        Some(stored) => Ok(Some(whole(&store, &keys, stored).await?)),
        None => Ok(None),
    }
}

/// With its operation sets; without another read when they are in the head, where most are.
async fn whole(store: &Store, keys: &TenantKey, stored: IntentBatch) -> Result<Batch, Fault> {
    let contents = store.contents(keys, &stored.head, None).await?;
    let intents = contents.work.intents.ok_or_else(|| Fault::new("read intents", "the batch holds none"))?;
    Ok(Batch { stored, intents })
}
