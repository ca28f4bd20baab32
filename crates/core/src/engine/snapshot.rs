//! What has been read of the store so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::posting::{Post, Posting};
use crate::json::Object;
use crate::plan::{Key, RowKey, UniqueKey};
use crate::store::Refusal;

/// A row as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// There is none and never was.
    Absent,
    /// It is there.
    Live {
        /// Grows by one with each commit that writes the row.
        version: u64,
        /// Its fields.
        fields: Object,
    },
    /// It was deleted; its version is remembered, so that a new row goes on counting.
    Gone {
        /// The version of the deletion.
        version: u64,
    },
}

impl Row {
    /// The version a write is conditioned on; `None` when there must be no item.
    pub fn version(&self) -> Option<u64> {
        match self {
            Self::Absent => None,
            Self::Live { version, .. } | Self::Gone { version } => Some(*version),
        }
    }

    /// Its fields, when it is there.
    pub fn fields(&self) -> Option<&Object> {
        match self {
            Self::Live { fields, .. } => Some(fields),
            Self::Absent | Self::Gone { .. } => None,
        }
    }
}

/// A search by index or listing: eventual, so its rows are read again by key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Search {
    /// An entity of the model.
    pub entity: String,
    /// Slot and value text of an indexed field; `None` lists the entity.
    pub index: Option<(u8, String)>,
    /// How many keys are wanted.
    pub limit: usize,
}

/// Something evaluation has to know before it can go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A row by its key.
    Row(RowKey),
    /// The keys an index gives, and their rows.
    Search(Search),
    /// The search rows of the tenant.
    Postings,
    /// A fresh integer key for the operation at this index, of this entity.
    Integer(String, usize),
}

/// What has been read, and what commits since have made of it.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Rows read. A create does not read its row: absence is assumed and checked at commit.
    pub rows: BTreeMap<RowKey, Row>,
    /// Unique values looked at: the id of the owner, or free. One not listed is assumed free.
    pub owners: BTreeMap<UniqueKey, Option<String>>,
    /// Child counters looked at: the count, or absent. One not listed is assumed to be there.
    pub children: BTreeMap<RowKey, Option<u64>>,
    /// Keys that searches gave, in index order.
    pub found: BTreeMap<Search, Vec<RowKey>>,
    /// The tenant's search rows, by their rows' ids, once they were read.
    pub postings: Option<Arc<Vec<(String, Posting)>>>,
    /// What commits since have made of search rows, by their rows' ids.
    pub posted: BTreeMap<String, Post>,
    /// Integer keys drawn, by operation index.
    pub integers: BTreeMap<usize, u64>,
}

impl Snapshot {
    /// What of `needs` is not known yet.
    pub fn missing(&self, needs: &BTreeSet<Need>) -> Vec<Need> {
        let unknown = |need: &&Need| match need {
            Need::Row(key) => !self.rows.contains_key(key),
            Need::Search(search) => !self.found.contains_key(search),
            Need::Postings => self.postings.is_none(),
            Need::Integer(_, operation) => !self.integers.contains_key(operation),
        };
        needs.iter().filter(unknown).cloned().collect()
    }

    /// Whether an item has been looked at, rather than assumed.
    pub(super) fn knows(&self, key: &Key) -> bool {
        match key {
            Key::Row(key) => self.rows.contains_key(key),
            Key::Unique(key) => self.owners.contains_key(key),
            Key::Children(key) => self.children.contains_key(key),
        }
    }

    /// Forgets what has been read of an item, so that it is read or assumed anew.
    pub(super) fn forget(&mut self, key: &Key) {
        match key {
            Key::Row(key) => drop(self.rows.remove(key)),
            Key::Unique(key) => drop(self.owners.remove(key)),
            Key::Children(key) => drop(self.children.remove(key)),
        }
    }

    /// Takes in how an item really is, where a commit had assumed otherwise.
    pub(super) fn correct(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Row(key, row) => {
                self.rows.insert(key, row);
            }
            Refusal::Owner(key, owner) => {
                self.owners.insert(key, owner);
            }
            Refusal::Children(key, count) => {
                self.children.insert(key, count);
            }
        }
    }
}
