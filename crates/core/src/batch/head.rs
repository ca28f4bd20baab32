//! The accepted request: written once, never changed.

use serde::{Deserialize, Serialize};

use super::{BatchId, Options};
use crate::auth::{Caller, Tenant};
use crate::limits::{REMAINS_MS, RETENTION_MS};
use crate::runtime::Timestamp;

/// The contract a batch came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `POST /batch`.
    Records,
}

impl Dialect {
    /// Every contract.
    pub const ALL: [Self; 1] = [Self::Records];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
        }
    }

    /// `None` when `text` is no contract.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text)
    }
}

/// Where a batch's operations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operations {
    /// In the head itself, packed.
    Inline(Vec<u8>),
    /// In parts of their own, named by the hash of the packed bytes.
    Parts {
        /// SHA-256 of the packed bytes, in hex.
        hash: String,
        /// How many parts there are.
        count: usize,
    },
}

/// A batch as accepted. Its existence is the acceptance.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its id in the tenant.
    pub id: BatchId,
    /// The contract it came in by.
    pub dialect: Dialect,
    /// Who made it, with the rights it had then: the executor runs later, without the credential.
    pub caller: Caller,
    /// The client's own name for it.
    pub reference: Option<String>,
    /// How to run it.
    pub options: Options,
    /// Positions of the operations in the request, in the order they run.
    pub order: Vec<usize>,
    /// SHA-256 of the canonical request with the options that act.
    pub body_hash: String,
    /// Random; tells this batch's remains from those of an older one with the same id. Record ids derive from it.
    pub seed: String,
    /// Whether it was to run in the background from the start.
    pub background: bool,
    /// When it was accepted.
    pub created: Timestamp,
    /// The operations.
    pub operations: Operations,
}

impl Head {
    /// The tenant it belongs to.
    pub fn tenant(&self) -> &Tenant {
        self.caller.tenant()
    }

    /// How many operations it has.
    pub fn total(&self) -> usize {
        self.order.len()
    }

    /// When it counts as gone.
    pub fn expires(&self) -> Timestamp {
        self.created.plus_ms(RETENTION_MS)
    }

    /// When what belongs to it may be deleted.
    pub fn remains_expire(&self) -> Timestamp {
        self.expires().plus_ms(REMAINS_MS)
    }

    /// Whether `caller` may see it: its maker, and an admin of the tenant.
    pub fn visible_to(&self, caller: &Caller) -> bool {
        self.tenant() == caller.tenant() && (caller.is_admin() || self.caller.subject() == caller.subject())
    }
}
