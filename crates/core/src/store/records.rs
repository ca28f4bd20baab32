//! Rows, unique values and child counters in the `records` table.
//!
//! A row's fields are one map, `f`, so that no field of a model can collide with an attribute of ours and none is ever
//! named in an expression. Beside it stand `_v` (version), `_tx` (batch and nonce of the last writer), `_lk` (a lock),
//! `_del` (a tombstone) and the index keys `_g0` (listing) to `_g4`.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{Get, TransactGetItem};

use super::attribute::{Item, Reader, s, to_object};
use super::call::{Fault, refused};
use super::lock::{Holder, Lock, Locked};
use super::{Store, TenantKey};
use crate::engine::{Action, CountBase, Key, Row, RowKey, Search};

/// Keys of one `BatchGetItem` or `TransactGetItems`.
const KEYS_PER_CALL: usize = 100;

impl Store {
    /// Reads rows by key, consistently each, in one call for every 100.
    ///
    /// A locked row is told as its holder's state says: committed, as its redo log has it; preparing, as it is. Where the
    /// holder is at neither any more the row is read once more, because its end may have come between the two reads.
    pub async fn rows(&self, keys: &TenantKey, rows: &[RowKey]) -> Result<BTreeMap<RowKey, Row>, Fault> {
        let by_pk: BTreeMap<String, &RowKey> = rows.iter().map(|row| (keys.row(row), row)).collect();
        let mut wanted: Vec<Item> = by_pk.keys().map(|pk| Item::from([("pk".to_owned(), s(pk.as_str()))])).collect();
        let mut found: BTreeMap<RowKey, Row> = rows.iter().map(|row| (row.clone(), Row::Absent)).collect();
        let mut last = false;
        while !wanted.is_empty() {
            let mut locked: BTreeMap<Lock, Vec<RowKey>> = BTreeMap::new();
            for item in self.batch_get(&self.tables.records, std::mem::take(&mut wanted)).await? {
                let Some(row) = by_pk.get(Reader(&item).text("pk")?) else { continue };
                found.insert((*row).clone(), row_of(&item)?);
                if let Some(lock) = Lock::of(&item).filter(|_| !last) {
                    locked.entry(lock).or_default().push((*row).clone());
                }
            }
            for (lock, rows) in locked {
                match self.holder(keys, &lock).await? {
                    Holder::Preparing(_) => {}
                    Holder::Committed(head, attempt) => {
                        let redo = self.redo(keys, &head.id, &attempt).await?;
                        found.extend(rows.into_iter().filter_map(|row| Some((row.clone(), redo.row(&row)?))));
                    }
                    Holder::Gone => {
                        wanted.extend(rows.iter().map(|row| Item::from([("pk".to_owned(), s(keys.row(row)))])));
                    }
                }
            }
            last = true;
        }
        Ok(found)
    }

    /// Reads what `actions` touch, and tells what is not as they take it to be. What somebody holds is left out.
    pub async fn deviations<'a>(
        &self,
        keys: &TenantKey,
        actions: impl Iterator<Item = &'a Action>,
    ) -> Result<Vec<Refusal>, Fault> {
        let by_pk: BTreeMap<String, &Action> = actions.map(|action| (keys.item(&action.key()), action)).collect();
        let wanted = by_pk.keys().map(|pk| Item::from([("pk".to_owned(), s(pk.as_str()))])).collect();
        let mut items: BTreeMap<String, Item> = BTreeMap::new();
        for item in self.batch_get(&self.tables.records, wanted).await? {
            items.insert(Reader(&item).text("pk")?.to_owned(), item);
        }
        let mut found = Vec::new();
        for (pk, action) in by_pk {
            let item = items.get(&pk);
            if item.and_then(Lock::of).is_none() && !is_as_taken(action, item) {
                found.push(refusal(&action.key(), item)?);
            }
        }
        Ok(found)
    }

    /// Reads up to 100 rows as of one moment.
    pub async fn rows_at_once(&self, keys: &TenantKey, rows: &[RowKey]) -> Result<AtOnce, Fault> {
        let mut request = self.client.transact_get_items();
        for row in rows.iter().take(KEYS_PER_CALL) {
            let get = Get::builder().table_name(&self.tables.records).key("pk", s(keys.row(row))).build();
            let get = get.map_err(|error| Fault::new("read rows at once", error.to_string()))?;
            request = request.transact_items(TransactGetItem::builder().get(get).build());
        }
        match self.call("read rows at once", || request.clone().send()).await? {
            Ok(answer) => {
                let items: Vec<Option<Item>> =
                    answer.responses.unwrap_or_default().into_iter().map(|item| item.item).collect();
                let lock = |(row, item): (&RowKey, &Option<Item>)| {
                    Some(Locked { key: Key::Row(row.clone()), lock: Lock::of(item.as_ref()?)? })
                };
                let locked: Vec<Locked> = rows.iter().zip(&items).filter_map(lock).collect();
                if !locked.is_empty() {
                    return Ok(AtOnce::Locked(locked));
                }
                let read = |(row, item): (&RowKey, &Option<Item>)| {
                    Ok((row.clone(), item.as_ref().map_or(Ok(Row::Absent), row_of)?))
                };
                rows.iter().zip(&items).map(read).collect::<Result<_, _>>().map(AtOnce::Read)
            }
            Err(error) if error.code() == Some("TransactionCanceledException") => Ok(AtOnce::Busy),
            // 4 MB is the most that DynamoDB reads at once.
            Err(error) if error.code() == Some("ValidationException") => Ok(AtOnce::TooMuch),
            Err(error) => Err(Fault::new("read rows at once", refused(&error))),
        }
    }

    /// The keys an index or listing gives, in its order; eventual, and as many as the search wants.
    pub async fn search(&self, keys: &TenantKey, search: &Search) -> Result<Vec<RowKey>, Fault> {
        let (slot, partition) = match &search.index {
            None => (0, keys.listing(&search.entity)),
            Some((slot, value)) => (*slot, keys.indexed(&search.entity, *slot, value)),
        };
        let mut found = Vec::new();
        let mut after = None;
        while found.len() < search.limit {
            let limit = i32::try_from(search.limit - found.len()).unwrap_or(i32::MAX);
            let request = self
                .client
                .query()
                .table_name(&self.tables.records)
                .index_name(format!("gsi{slot}"))
                .key_condition_expression("#g = :g")
                .expression_attribute_names("#g", format!("_g{slot}"))
                .expression_attribute_values(":g", s(partition.as_str()))
                .limit(limit)
                .set_exclusive_start_key(after);
            let page = self.call("search rows", || request.clone().send()).await?;
            let page = page.map_err(|error| Fault::new("search rows", refused(&error)))?;
            for item in page.items.unwrap_or_default() {
                found.extend(keys.row_key(&search.entity, Reader(&item).text("pk")?));
            }
            after = page.last_evaluated_key.filter(|key| !key.is_empty());
            if after.is_none() {
                break;
            }
        }
        found.truncate(search.limit);
        Ok(found)
    }
}

/// The row of an item. What only holds a lock for a row that is to come is none.
fn row_of(item: &Item) -> Result<Row, Fault> {
    let item = Reader(item);
    if item.maybe_text("_lk").is_some() && item.maybe_int::<u64>("_v").is_none() {
        return Ok(Row::Absent);
    }
    let version = item.int("_v")?;
    if item.flag("_del") {
        return Ok(Row::Gone { version });
    }
    let fields = item.map("f").ok_or_else(|| super::attribute::damaged("f"))?;
    Ok(Row::Live { version, fields: to_object(fields) })
}

/// Whether an unlocked item is as `action` takes it to be.
fn is_as_taken(action: &Action, item: Option<&Item>) -> bool {
    let number = |name: &str| item.and_then(|item| Reader(item).maybe_int::<u64>(name));
    match action {
        Action::CheckRow { base, .. } | Action::WriteRow { base, .. } => number("_v") == *base,
        Action::Own { base, .. } => item.and_then(|item| Reader(item).maybe_text("owner")) == base.as_deref(),
        Action::Count { base: CountBase::Absent, .. } => item.is_none(),
        Action::Count { base: CountBase::Present, .. } => item.is_some(),
        Action::Count { base: CountBase::Exactly(count), .. } => number("n") == Some(*count),
    }
}

/// What a refused condition says about the unlocked item of `key`.
pub(super) fn refusal(key: &Key, old: Option<&Item>) -> Result<Refusal, Fault> {
    Ok(match key {
        Key::Row(row) => Refusal::Row(row.clone(), old.map_or(Ok(Row::Absent), row_of)?),
        Key::Unique(unique) => {
            let owner = old.map(|item| Reader(item).text("owner").map(str::to_owned)).transpose()?;
            Refusal::Owner(unique.clone(), owner)
        }
        Key::Children(row) => {
            let count = old.map(|item| Reader(item).int("n")).transpose()?;
            Refusal::Children(row.clone(), count)
        }
    })
}

/// What reading as of one moment came to.
#[derive(Debug)]
pub enum AtOnce {
    /// The rows.
    Read(BTreeMap<RowKey, Row>),
    /// Others were writing them.
    Busy,
    /// A wide commit is at these.
    Locked(Vec<Locked>),
    /// They are more than can be read so.
    TooMuch,
}

/// An item as it really is, where a commit had assumed otherwise.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// A row.
    Row(RowKey, Row),
    /// A unique value and the id of its owner.
    Owner(crate::engine::UniqueKey, Option<String>),
    /// A child counter.
    Children(RowKey, Option<u64>),
}

impl Refusal {
    /// The item.
    pub fn key(&self) -> Key {
        match self {
            Self::Row(key, _) => Key::Row(key.clone()),
            Self::Owner(key, _) => Key::Unique(key.clone()),
            Self::Children(key, _) => Key::Children(key.clone()),
        }
    }
}
