//! What an operation sees: what was read, under what the operations before it have written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::posting::{Post, Posting};
use super::snapshot::{Need, Row, Search, Snapshot};
use crate::json::Object;
use crate::operation::Failure;
use crate::plan::{Key, RowKey, UniqueKey};
use crate::search::Unreadable;

/// One effect of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The row has these fields now; `None` when it is gone.
    Row(RowKey, Option<Object>),
    /// The row's search row changes with it.
    Post(RowKey, Post),
    /// The unique value passes from one owner to another.
    Own {
        /// Which value.
        key: UniqueKey,
        /// Who has it, as far as the operation knows.
        before: Option<String>,
        /// Who has it then.
        after: Option<String>,
    },
    /// The row can have children now.
    BeginChildren(RowKey),
    /// The row cannot have children any more; it has none.
    EndChildren(RowKey),
    /// The row has so many more children.
    AddChildren(RowKey, i64),
}

/// Why an operation has no effect.
#[derive(Debug)]
pub(super) enum Halt {
    /// It fails.
    Failed(Failure),
    /// Something must be read first.
    Needs,
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The children of a row as the operations so far leave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    /// The row is new here and has so many.
    Begun(i64),
    /// The row went here.
    Ended,
    /// So many more than the store has. What the store has is no less than the deepest these changes went below it,
    /// because no row ever has fewer than no children.
    Changed { change: i64, least: i64 },
}

/// Snapshot and overlay, with a record of what one operation looked at.
#[derive(Debug)]
pub(super) struct View<'a> {
    snapshot: &'a Snapshot,
    rows: BTreeMap<RowKey, Option<Object>>,
    owners: BTreeMap<UniqueKey, Option<String>>,
    children: BTreeMap<RowKey, Children>,
    posted: BTreeMap<String, Post>,
    /// A search row that cannot be read, where a search has met one.
    pub unreadable: Option<Unreadable>,
    /// What the current operation rests on.
    pub reads: BTreeSet<Key>,
    /// What the current and earlier operations could not find out.
    pub needs: BTreeSet<Need>,
}

impl<'a> View<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            rows: BTreeMap::new(),
            owners: BTreeMap::new(),
            children: BTreeMap::new(),
            posted: BTreeMap::new(),
            unreadable: None,
            reads: BTreeSet::new(),
            needs: BTreeSet::new(),
        }
    }

    /// The row, which must have been read.
    pub fn row(&mut self, key: &RowKey) -> Result<Option<&Object>, Halt> {
        if !self.rows.contains_key(key) && !self.snapshot.rows.contains_key(key) {
            self.needs.insert(Need::Row(key.clone()));
            return Err(Halt::Needs);
        }
        Ok(self.row_if_known(key))
    }

    /// The row; one that has not been read is assumed not to be there.
    pub fn row_if_known(&mut self, key: &RowKey) -> Option<&Object> {
        self.reads.insert(Key::Row(key.clone()));
        match self.rows.get(key) {
            Some(written) => written.as_ref(),
            None => self.snapshot.rows.get(key).and_then(Row::fields),
        }
    }

    /// The rows that a search finds now: what the store gave, and what operations before have written. They are not
    /// part of what the operation rests on.
    pub fn search(&mut self, search: &Search) -> Result<Vec<(RowKey, Object)>, Halt> {
        let Some(found) = self.snapshot.found.get(search) else {
            self.needs.insert(Need::Search(search.clone()));
            return Err(Halt::Needs);
        };
        let known: BTreeSet<&RowKey> = found.iter().collect();
        // Rows of chunks committed since the search are in the snapshot; callers filter what does not match.
        let others: BTreeSet<&RowKey> = self.rows.keys().chain(self.snapshot.rows.keys()).collect();
        let others = others.into_iter().filter(|key| key.entity == search.entity && !known.contains(key));
        let mut rows = Vec::new();
        for key in found.iter().chain(others) {
            let row = match self.rows.get(key) {
                Some(written) => written.as_ref(),
                None => self.snapshot.rows.get(key).and_then(Row::fields),
            };
            rows.extend(row.map(|row| (key.clone(), row.clone())));
        }
        Ok(rows)
    }

    /// The search rows as they were read.
    pub fn postings(&mut self) -> Result<Arc<Vec<(String, Posting)>>, Halt> {
        self.snapshot.postings.clone().ok_or_else(|| {
            self.needs.insert(Need::Postings);
            Halt::Needs
        })
    }

    /// What this batch has made of search rows since: by id, when the row was made and its bytes; nothing of one that is
    /// gone. Each once, the last.
    pub fn posted(&self) -> impl Iterator<Item = (&str, Option<(i64, &[u8])>)> {
        let committed = self.snapshot.posted.iter().filter(|(id, _)| !self.posted.contains_key(*id));
        self.posted.iter().chain(committed).map(|(id, post)| match post {
            Post::Put(posting) => (id.as_str(), Some((posting.created.0, posting.bytes.as_slice()))),
            Post::Gone => (id.as_str(), None),
        })
    }

    /// The integer key drawn for the operation at `index`.
    pub fn integer(&mut self, entity: &str, index: usize) -> Result<u64, Halt> {
        self.snapshot.integers.get(&index).copied().ok_or_else(|| {
            self.needs.insert(Need::Integer(entity.to_owned(), index));
            Halt::Needs
        })
    }

    /// Who has a unique value; one not looked at is assumed free.
    pub fn owner(&mut self, key: &UniqueKey) -> Option<&str> {
        self.reads.insert(Key::Unique(key.clone()));
        let owner = self.owners.get(key).or_else(|| self.snapshot.owners.get(key));
        owner.and_then(Option::as_deref)
    }

    /// Whether a row that may have children is there; one not looked at is assumed to be.
    pub fn can_have_children(&mut self, key: &RowKey) -> bool {
        self.reads.insert(Key::Children(key.clone()));
        match self.children.get(key) {
            Some(Children::Begun(_) | Children::Changed { .. }) => true,
            Some(Children::Ended) => false,
            None => self.snapshot.children.get(key).is_none_or(Option::is_some),
        }
    }

    /// Whether a row has no children but `own`, its references to itself. A counter not looked at is assumed to stand
    /// where that is so, if it can.
    pub fn is_childless(&mut self, key: &RowKey, own: i64) -> bool {
        self.reads.insert(Key::Children(key.clone()));
        let stored = self.snapshot.children.get(key).copied().flatten().and_then(|count| i64::try_from(count).ok());
        match self.children.get(key) {
            Some(Children::Begun(count)) => *count == own,
            Some(Children::Ended) => true,
            Some(Children::Changed { change, least }) => {
                stored.map_or(change - least <= own, |count| count + change == own)
            }
            None => stored.is_none_or(|count| count == own),
        }
    }

    /// Makes an operation's changes visible to those after it.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Row(key, row) => {
                    self.rows.insert(key.clone(), row.clone());
                }
                Change::Post(key, post) => {
                    self.posted.insert(key.id.clone(), post.clone());
                }
                Change::Own { key, after, .. } => {
                    self.owners.insert(key.clone(), after.clone());
                }
                Change::BeginChildren(key) => {
                    self.children.insert(key.clone(), Children::Begun(0));
                }
                Change::EndChildren(key) => {
                    self.children.insert(key.clone(), Children::Ended);
                }
                Change::AddChildren(key, more) => {
                    let untouched = Children::Changed { change: 0, least: 0 };
                    match self.children.entry(key.clone()).or_insert(untouched) {
                        Children::Begun(count) => *count += more,
                        Children::Changed { change, least } => {
                            *change += more;
                            *least = (*least).min(*change);
                        }
                        Children::Ended => {}
                    }
                }
            }
        }
    }
}
