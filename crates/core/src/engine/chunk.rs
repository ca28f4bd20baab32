//! From the effects of operations to one transaction: folding and cutting.

use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, CountAfter, CountBase};
use super::evaluate::Step;
use super::posting::Post;
use super::snapshot::{Row, Snapshot};
use super::view::Change;
use crate::json::{Object, canonical};
use crate::limits::Limits;
use crate::model::{Entity, Model};
use crate::plan::item_bytes;
use crate::plan::{Key, RowKey, UniqueKey};

/// What the folded changes of a run of operations make of a child counter.
#[derive(Debug, Clone, Copy)]
struct Count {
    /// Whether there must be none; otherwise there must be one.
    begins: bool,
    /// What the store's count must be, once the row has been found childless.
    exactly: Option<u64>,
    /// Where it stands: so many more than stored, or an own count after a begin; `None` after an end.
    now: Option<i64>,
}

/// One action for each item that `steps` touch, in key order, conditioned on what `snapshot` says of it.
pub fn fold<'a>(model: &Model, snapshot: &Snapshot, steps: impl IntoIterator<Item = &'a Step>) -> Vec<Action> {
    let mut rows: BTreeMap<&RowKey, Option<&Object>> = BTreeMap::new();
    let mut posts: BTreeMap<&RowKey, &Post> = BTreeMap::new();
    let mut owners: BTreeMap<&UniqueKey, (Option<&String>, Option<&String>)> = BTreeMap::new();
    let mut counts: BTreeMap<&RowKey, Count> = BTreeMap::new();
    for change in steps.into_iter().flat_map(|step| &step.changes) {
        match change {
            Change::Row(key, row) => {
                rows.insert(key, row.as_ref());
            }
            Change::Post(key, post) => {
                posts.insert(key, post);
            }
            Change::Own { key, before, after } => {
                owners.entry(key).or_insert((before.as_ref(), None)).1 = after.as_ref();
            }
            Change::BeginChildren(key) => {
                let count = counts.entry(key).or_insert(Count { begins: true, exactly: None, now: None });
                count.now = Some(0);
            }
            Change::EndChildren(key) => {
                let count = counts.entry(key).or_insert(Count { begins: false, exactly: None, now: Some(0) });
                if !count.begins && count.exactly.is_none() {
                    // Fewer than none cannot be: a count that no row has is refused, and the real one learnt.
                    count.exactly = count.now.map(|now| u64::try_from(-now).unwrap_or(u64::MAX));
                }
                count.now = None;
            }
            Change::AddChildren(key, more) => {
                let count = counts.entry(key).or_insert(Count { begins: false, exactly: None, now: Some(0) });
                count.now = count.now.map(|now| now + more);
            }
        }
    }
    let rows = rows.into_iter().map(|(key, row)| write_row(model, snapshot, (key, row), posts.get(key)));
    // What has been read of a value counts; else what the first operation on it took for granted.
    let owners = owners.into_iter().map(|(key, (before, after))| Action::Own {
        key: key.clone(),
        base: snapshot.owners.get(key).cloned().unwrap_or_else(|| before.cloned()),
        owner: after.cloned(),
    });
    let counts = counts.into_iter().map(|(key, count)| move_count(key, count));
    rows.chain(owners).chain(counts).collect()
}

fn write_row(
    model: &Model,
    snapshot: &Snapshot,
    (key, row): (&RowKey, Option<&Object>),
    post: Option<&&Post>,
) -> Action {
    let base = snapshot.rows.get(key).and_then(Row::version);
    let entity = model.entity(&key.entity);
    let listed = row.filter(|row| entity.is_some_and(|entity| !super::read::is_soft_deleted(entity, row)));
    let indexed = listed.map(|row| {
        let fields = entity.map(Entity::fields).unwrap_or_default();
        let values = fields.iter().filter_map(|field| {
            let value = row.get(&field.name).filter(|value| !value.is_null())?;
            Some((field.index?, canonical(value)))
        });
        values.collect()
    });
    Action::WriteRow {
        key: key.clone(),
        base,
        fields: row.cloned(),
        indexed,
        posting: post.map(|post| (*post).clone()),
    }
}

fn move_count(key: &RowKey, count: Count) -> Action {
    let base = match (count.begins, count.exactly) {
        (true, _) => CountBase::Absent,
        (false, Some(exactly)) => CountBase::Exactly(exactly),
        (false, None) => CountBase::Present,
    };
    let fresh = count.begins || count.exactly.is_some();
    let after = match count.now {
        None if count.begins => CountAfter::Same,
        None => CountAfter::Gone,
        Some(now) if fresh => CountAfter::Is(u64::try_from(now).unwrap_or(0)),
        Some(0) => CountAfter::Same,
        Some(change) => CountAfter::Add(change),
    };
    Action::Count { key: key.clone(), base, after }
}

/// A check, for every item in `reads` that no action touches, that it still is as `snapshot` has it.
pub(super) fn checks(snapshot: &Snapshot, reads: &BTreeSet<Key>, actions: &[Action]) -> Vec<Action> {
    let touched: BTreeSet<Key> = actions.iter().map(Action::key).collect();
    let untouched = reads.iter().filter(|key| !touched.contains(key));
    let check = |key: &Key| match key {
        Key::Row(row) => Action::CheckRow { key: row.clone(), base: snapshot.rows.get(row).and_then(Row::version) },
        Key::Unique(unique) => {
            let owner = snapshot.owners.get(unique).cloned().flatten();
            Action::Own { key: unique.clone(), base: owner.clone(), owner }
        }
        Key::Children(row) => {
            let base = match snapshot.children.get(row) {
                Some(None) => CountBase::Absent,
                Some(Some(count)) => CountBase::Exactly(*count),
                None => CountBase::Present,
            };
            Action::Count { key: row.clone(), base, after: CountAfter::Same }
        }
    };
    untouched.map(check).collect()
}

/// Brings `snapshot` to where the store is once `actions` are committed.
pub(super) fn advance(snapshot: &mut Snapshot, actions: Vec<Action>) {
    for action in actions {
        match action {
            Action::CheckRow { .. } => {}
            Action::WriteRow { key, base, fields, posting, .. } => {
                snapshot.posted.extend(posting.map(|post| (key.id.clone(), post)));
                let version = base.unwrap_or(0) + 1;
                let row = fields.map_or(Row::Gone { version }, |fields| Row::Live { version, fields });
                snapshot.rows.insert(key, row);
            }
            Action::Own { key, owner, .. } => {
                snapshot.owners.insert(key, owner);
            }
            Action::Count { key, after, .. } => {
                let stored = snapshot.children.get(&key).copied();
                match (after, stored) {
                    (CountAfter::Is(count), _) => snapshot.children.insert(key, Some(count)),
                    (CountAfter::Gone, _) => snapshot.children.insert(key, None),
                    // Others may have moved a counter that was only added to, so what was known of it is forgotten.
                    (CountAfter::Add(_), _) => snapshot.children.remove(&key).map(|_| None),
                    (CountAfter::Same, _) => None,
                };
            }
        }
    }
}

/// How many of `steps`, from the first, one transaction holds, and what bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Operations; at least one.
    pub operations: usize,
    /// Actions, the guard included.
    pub actions: usize,
    /// Bytes of the rows written.
    pub bytes: usize,
}

impl Chunk {
    /// The longest run of operations, at most `most`, that one transaction holds.
    pub fn cut(steps: &[Step], limits: &Limits, most: usize) -> Self {
        let most = most.min(limits.chunk_operations).max(1);
        let mut chunk = Self { operations: 0, actions: 1, bytes: 0 };
        let mut items: BTreeSet<(Key, bool)> = BTreeSet::new();
        for step in steps.iter().take(most) {
            let mut next = chunk;
            for change in &step.changes {
                // A search row is an item beside its row.
                next.actions += usize::from(items.insert((change.key(), matches!(change, Change::Post(..)))));
                next.bytes += match change {
                    Change::Row(_, Some(row)) => item_bytes(row),
                    Change::Post(_, post) => post.bytes(),
                    _ => 0,
                };
            }
            next.operations += 1;
            if chunk.operations > 0 && (next.actions > limits.actions || next.bytes > limits.bytes) {
                break;
            }
            chunk = next;
        }
        chunk
    }
}

impl Change {
    /// The item it touches; a search row counts as its row.
    pub fn key(&self) -> Key {
        match self {
            Self::Row(key, _) | Self::Post(key, _) => Key::Row(key.clone()),
            Self::Own { key, .. } => Key::Unique(key.clone()),
            Self::BeginChildren(key) | Self::EndChildren(key) | Self::AddChildren(key, _) => Key::Children(key.clone()),
        }
    }
}
