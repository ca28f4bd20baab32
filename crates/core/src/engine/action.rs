//! What a commit does to one item each. At most one action touches an item.

use serde::{Deserialize, Serialize};

use super::posting::Post;
use crate::json::Object;
use crate::plan::{Key, RowKey, UniqueKey};

/// One conditional write, or a check without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The row must still be at the version read.
    CheckRow {
        /// Which row.
        key: RowKey,
        /// Its version; `None` when there must be no item.
        base: Option<u64>,
    },
    /// Writes the row, at the version after the one read.
    WriteRow {
        /// Which row.
        key: RowKey,
        /// The version read; `None` when there must be no item.
        base: Option<u64>,
        /// Its new fields; `None` leaves a tombstone.
        fields: Option<Object>,
        /// Slot and value text of its indexed fields; `None` keeps it out of every index and listing.
        indexed: Option<Vec<(u8, String)>>,
        /// What becomes of its search row, if it has one: a second item, written with the row and never without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        posting: Option<Post>,
    },
    /// Moves a unique value from one owner to another; equal owners are a check.
    Own {
        /// Which value.
        key: UniqueKey,
        /// Id of the row that must have it now.
        base: Option<String>,
        /// Id of the row that has it then.
        owner: Option<String>,
    },
    /// Moves a row's child counter.
    Count {
        /// Which row's.
        key: RowKey,
        /// What must hold of it.
        base: CountBase,
        /// What becomes of it.
        after: CountAfter,
    },
}

/// A condition on a child counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountBase {
    /// There is none: its row is new.
    Absent,
    /// There is one: its row exists.
    Present,
    /// It stands at this count.
    Exactly(u64),
}

/// A change of a child counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountAfter {
    /// None: only the condition counts.
    Same,
    /// So many more, or fewer.
    Add(i64),
    /// It begins at this count.
    Is(u64),
    /// It ends with its row.
    Gone,
}

impl Action {
    /// Its condition alone.
    #[must_use]
    pub fn into_check(self) -> Self {
        match self {
            Self::CheckRow { .. } => self,
            Self::WriteRow { key, base, .. } => Self::CheckRow { key, base },
            Self::Own { key, base, .. } => Self::Own { key, owner: base.clone(), base },
            Self::Count { key, base, .. } => Self::Count { key, base, after: CountAfter::Same },
        }
    }

    /// How many items of a transaction it is.
    pub fn items(&self) -> usize {
        1 + usize::from(matches!(self, Self::WriteRow { posting: Some(_), .. }))
    }

    /// The item it touches; a search row counts as its row.
    pub fn key(&self) -> Key {
        match self {
            Self::CheckRow { key, .. } | Self::WriteRow { key, .. } => Key::Row(key.clone()),
            Self::Own { key, .. } => Key::Unique(key.clone()),
            Self::Count { key, .. } => Key::Children(key.clone()),
        }
    }
}
