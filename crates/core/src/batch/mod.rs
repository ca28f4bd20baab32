//! What a batch is: accepted once as a [`Head`], moved forward as a [`State`], told as a [`Summary`].

mod content;
mod entry;
mod head;
mod intents;
mod options;
mod pack;
mod state;

pub use content::{
    Call, Content, ContentJob, ENTITY as CONTENT_ENTITY, Intent, JobKind, NO_NODE, NO_SIGNER, NOT_SENT, ON_CHAIN_ID,
    SUPERSEDED, Settled,
};
pub use entry::Entry;
pub use head::{Dialect, Head, Lineage, Operations, Work};
pub use intents::{Defeat, Intents, Phase, Profile, Set};
pub use options::Options;
pub use pack::{Corrupt, pack, unpack};
pub use state::{Attempt, Cut, Results, Segment, State, Status, Summary};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::runtime::hex;

/// The id of a batch: `batch_` and 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BatchId(String);

impl BatchId {
    /// An id of 128 bits.
    pub fn from_bits(bits: [u8; 16]) -> Self {
        Self(format!("batch_{}", hex(&bits)))
    }

    /// The id that a request with this idempotency key always gets: `UUIDv5` over tenant, subject, path and key.
    pub fn idempotent(tenant: &str, subject: &str, path: &str, key: &str) -> Self {
        // A unit separator cannot occur in a tenant or subject, so no two scopes share a name.
        let name = [tenant, subject, path, key].join("\u{1f}");
        Self::from_bits(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).into_bytes())
    }

    /// `None` when `text` is not an id.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("batch_")?;
        let ok = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        ok.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BatchId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a batch id: batch_ and 32 lower-case hex digits")
    }
}

impl From<BatchId> for String {
    fn from(id: BatchId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_names_one_batch_in_its_scope() {
        let id = BatchId::idempotent("t", "s", "/batch", "k");
        assert_eq!(id, BatchId::idempotent("t", "s", "/batch", "k"));
        assert_eq!(BatchId::parse(id.as_str()), Some(id.clone()));
        for other in
            [("u", "s", "/batch", "k"), ("t", "u", "/batch", "k"), ("t", "s", "/b", "k"), ("t", "s", "/batch", "l")]
        {
            assert_ne!(id, BatchId::idempotent(other.0, other.1, other.2, other.3));
        }
        assert_eq!(BatchId::parse("batch_1"), None);
        assert_eq!(BatchId::parse(&id.as_str().to_uppercase()), None);
    }
}
