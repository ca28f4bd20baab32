//! One operation of a batch, and what becomes of it.

mod code;
mod outcome;
mod problem;

pub use code::Code;
pub use outcome::{Failure, Outcome, SkipReason};
pub use problem::{Draft, Problem};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::Object;

/// The name of an operation in its batch: 1 to 64 of `A-Z a-z 0-9 _`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    /// The longest name.
    pub const MAX_LEN: usize = 64;

    /// `None` when `text` is not a name.
    pub fn parse(text: &str) -> Option<Self> {
        let ok =
            (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        ok.then(|| Self(text.to_owned()))
    }

    /// The name of the operation at `index` when the client gave none.
    pub fn automatic(index: usize) -> Self {
        Self(format!("op_{index}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operation does to its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Makes a new row.
    Create,
    /// Finds rows; changes nothing.
    Read,
    /// Changes one row, found by its primary key.
    Update,
    /// Removes one row, found by its primary key.
    Delete,
    /// Finds rows by their texts; changes nothing.
    Search,
}

impl Action {
    /// Every action on rows, in the order messages list them. [`Self::Search`] has a contract of its own.
    pub const ALL: [Self; 4] = [Self::Create, Self::Read, Self::Update, Self::Delete];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Search => "search",
        }
    }

    /// `None` when `text` is no action.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// One operation as accepted: its shape is checked, its references are not yet resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name; unique in the batch.
    #[serde(rename = "i")]
    pub id: OperationId,
    /// An entity of the model.
    #[serde(rename = "e")]
    pub entity: String,
    /// What to do.
    #[serde(rename = "a")]
    pub action: Action,
    /// Field values to write.
    #[serde(rename = "s", default, skip_serializing_if = "Object::is_empty")]
    pub store: Object,
    /// Conditions on the rows to find.
    #[serde(rename = "q", default, skip_serializing_if = "Object::is_empty")]
    pub query: Object,
    /// How to answer: `limit`, `offset`, `sort`, `properties`, `count`.
    #[serde(rename = "m", default, skip_serializing_if = "Object::is_empty")]
    pub metadata: Object,
    /// Operations that must have succeeded before, as the client listed them, without repeats.
    #[serde(rename = "d", default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<OperationId>,
    /// To what the caller's claims are narrowed; not at all where empty.
    #[serde(rename = "c", default, skip_serializing_if = "Object::is_empty")]
    pub claims: Object,
    /// Where it is about one row: the fields of it that are answered, all where none is named. A read that finds no row
    /// fails then. Absent, all rows are answered, and none is an answer too.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub single: Option<Vec<String>>,
    /// What is wrong with its parameters, in a contract where that fails this operation and not the batch.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Failure>,
}
