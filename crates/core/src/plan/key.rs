//! What a batch touches, named without a tenant: the store adds that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::{canonical, sha256_hex};
use crate::limits::MAX_ID_BYTES;

/// A row, by its entity and the text of its primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// An entity of the model.
    pub entity: String,
    /// The primary key as text: a string as it is, an integer in digits.
    pub id: String,
}

impl RowKey {
    /// `None` when `id` cannot be a primary key: neither a string nor a number, empty, or over [`MAX_ID_BYTES`].
    pub fn new(entity: &str, id: &Value) -> Option<Self> {
        let id = match id {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (1..=MAX_ID_BYTES).contains(&id.len()).then(|| Self { entity: entity.to_owned(), id })
    }
}

/// A value that only one row of an entity may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UniqueKey {
    /// An entity of the model.
    pub entity: String,
    /// A unique field of it.
    pub field: String,
    /// SHA-256 of the canonical value, so that its length and content do not matter.
    pub hash: String,
}

impl UniqueKey {
    /// The key of `value`; null is no value, any number of rows may have it.
    pub fn new(entity: &str, field: &str, value: &Value) -> Option<Self> {
        (!value.is_null()).then(|| Self {
            entity: entity.to_owned(),
            field: field.to_owned(),
            hash: sha256_hex(canonical(value).as_bytes()),
        })
    }
}

/// One item of the store, as a transaction sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The row itself.
    Row(RowKey),
    /// The sentinel that holds a unique value.
    Unique(UniqueKey),
    /// The counter of a row's children.
    Children(RowKey),
}
