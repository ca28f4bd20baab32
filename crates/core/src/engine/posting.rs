//! The search row of a row: written with it, in one transaction, under its version and its lock.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Object;
use crate::runtime::Timestamp;
use crate::search::{Memory, index};

/// What of a row can be searched, filtered and sorted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posting {
    /// When the row was made.
    #[serde(rename = "c")]
    pub created: Timestamp,
    /// When it was last written.
    #[serde(rename = "u")]
    pub updated: Timestamp,
    /// Packed postings, as the search module writes them.
    #[serde(rename = "b", with = "text")]
    pub bytes: Arc<Vec<u8>>,
}

/// What becomes of a row's search row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Post {
    /// It is this one now.
    Put(Posting),
    /// It goes.
    Gone,
}

/// Bytes of the keys and names of a search row, at most.
const OWN_BYTES: usize = 300;

impl Posting {
    /// Of a row with these fields. One that does not tell its times has them at the epoch.
    pub fn of(fields: &Object) -> Self {
        let time = |name: &str| fields.get(name).and_then(Value::as_str).and_then(Timestamp::parse);
        let created = time("created_at").unwrap_or(Timestamp(0));
        let updated = time("updated_at").unwrap_or(created);
        Self { created, updated, bytes: Arc::new(index(&Memory::from(fields))) }
    }
}

impl Post {
    /// Bytes of the item it leaves.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Put(posting) => OWN_BYTES + posting.bytes.len(),
            Self::Gone => 0,
        }
    }
}

/// Bytes as base64 text: a list of numbers would take four times the space.
mod text {
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes.as_slice()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Vec<u8>>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Arc::new).map_err(|_| de::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_row_survives_its_stored_form() {
        let fields = serde_json::json!({"content": "a text", "created_at": "2026-01-01T00:00:00.001Z"});
        let post = Post::Put(Posting::of(fields.as_object().unwrap()));
        let text = serde_json::to_string(&post).unwrap();
        assert_eq!(serde_json::from_str::<Post>(&text).unwrap(), post);
        assert!(
            matches!(post, Post::Put(Posting { created: Timestamp(1_767_225_600_001), updated, .. }) if updated == Timestamp(1_767_225_600_001))
        );
    }
}
