//! Rows, unique values and child counters in the `records` table.
//!
//! A row's fields are one map, `f`, so that no field of a model can collide with an attribute of ours and none is ever
//! named in an expression. Beside it stand `_v` (version), `_tx` (batch and nonce of the last writer), `_lk` (a lock),
//! `_del` (a tombstone) and the index keys `_g0` (listing) to `_g4`.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Get, Put, ReturnValuesOnConditionCheckFailure as ReturnOld, TransactGetItem,
    TransactWriteItem, Update,
};

use super::attribute::{Item, Reader, from_object, n, s, to_object};
use super::call::{Fault, refused};
use super::{Store, TenantKey};
use crate::engine::{Action, CountAfter, CountBase, Key, Row, RowKey, Search};
use crate::limits::TOMBSTONE_MS;
use crate::runtime::Timestamp;

/// Keys of one `BatchGetItem` or `TransactGetItems`.
const KEYS_PER_CALL: usize = 100;

impl Store {
    /// Reads rows by key, consistently each, in one call for every 100.
    pub async fn rows(&self, keys: &TenantKey, rows: &[RowKey]) -> Result<BTreeMap<RowKey, Row>, Fault> {
        let by_pk: BTreeMap<String, &RowKey> = rows.iter().map(|row| (keys.row(row), row)).collect();
        let wanted = by_pk.keys().map(|pk| Item::from([("pk".to_owned(), s(pk.as_str()))])).collect();
        let items = self.batch_get(&self.tables.records, wanted).await?;
        let mut found: BTreeMap<RowKey, Row> = rows.iter().map(|row| (row.clone(), Row::Absent)).collect();
        for item in items {
            let pk = Reader(&item).text("pk")?;
            if let Some(row) = by_pk.get(pk) {
                found.insert((*row).clone(), row_of(&item)?);
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
                let items = answer.responses.unwrap_or_default();
                let read = |(row, item): (&RowKey, Option<Item>)| {
                    Ok((row.clone(), item.as_ref().map_or(Ok(Row::Absent), row_of)?))
                };
                rows.iter()
                    .zip(items.into_iter().map(|item| item.item))
                    .map(read)
                    .collect::<Result<_, _>>()
                    .map(AtOnce::Read)
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

    /// The transaction item of `action`; `writer` becomes `_tx`.
    pub(super) fn write_item(
        &self,
        keys: &TenantKey,
        action: &Action,
        writer: &str,
        now: Timestamp,
    ) -> Result<TransactWriteItem, Fault> {
        let table = self.tables.records.as_str();
        let pk = keys.item(&action.key());
        match action {
            Action::CheckRow { base, .. } => check(table, pk, &at_version(*base)),
            Action::WriteRow { key, base, fields, indexed } => {
                let mut item = Item::from([("_v".to_owned(), n(base.unwrap_or(0) + 1)), ("_tx".to_owned(), s(writer))]);
                if let Some(fields) = fields {
                    item.insert("f".to_owned(), from_object(fields));
                } else {
                    item.insert("_del".to_owned(), aws_sdk_dynamodb::types::AttributeValue::Bool(true));
                    item.insert("ttl".to_owned(), n(now.plus_ms(TOMBSTONE_MS).seconds()));
                }
                for (slot, value) in indexed.iter().flatten() {
                    item.insert(format!("_g{slot}"), s(keys.indexed(&key.entity, *slot, value)));
                }
                if indexed.is_some() {
                    item.insert("_g0".to_owned(), s(keys.listing(&key.entity)));
                }
                put(table, pk, item, &at_version(*base))
            }
            Action::Own { base, owner, .. } => {
                let held = base.as_deref().map_or(Condition::absent(), |id| Condition::equal("owner", s(id)));
                match owner {
                    owner if owner == base => check(table, pk, &held),
                    None => delete(table, pk, &held),
                    Some(id) => put(table, pk, Item::from([("owner".to_owned(), s(id.as_str()))]), &held),
                }
            }
            Action::Count { base, after, .. } => {
                let counted = match base {
                    CountBase::Absent => Condition::absent(),
                    CountBase::Present => Condition::present(),
                    CountBase::Exactly(count) => Condition::equal("n", n(count)),
                };
                match after {
                    CountAfter::Same => check(table, pk, &counted),
                    CountAfter::Add(change) => add(table, pk, *change, &counted),
                    CountAfter::Is(count) => put(table, pk, Item::from([("n".to_owned(), n(count))]), &counted),
                    CountAfter::Gone => delete(table, pk, &counted),
                }
            }
        }
    }
}

/// The row of an item.
fn row_of(item: &Item) -> Result<Row, Fault> {
    let item = Reader(item);
    let version = item.int("_v")?;
    if item.flag("_del") {
        return Ok(Row::Gone { version });
    }
    let fields = item.map("f").ok_or_else(|| super::attribute::damaged("f"))?;
    Ok(Row::Live { version, fields: to_object(fields) })
}

/// What a refused condition says about the item of `key`; `None` when the item is locked by another batch.
pub(super) fn refusal(key: &Key, old: Option<&Item>) -> Result<Option<Refusal>, Fault> {
    if old.is_some_and(|item| item.contains_key("_lk")) {
        return Ok(None);
    }
    Ok(Some(match key {
        Key::Row(row) => Refusal::Row(row.clone(), old.map_or(Ok(Row::Absent), row_of)?),
        Key::Unique(unique) => {
            let owner = old.map(|item| Reader(item).text("owner").map(str::to_owned)).transpose()?;
            Refusal::Owner(unique.clone(), owner)
        }
        Key::Children(row) => {
            let count = old.map(|item| Reader(item).int("n")).transpose()?;
            Refusal::Children(row.clone(), count)
        }
    }))
}

/// What reading as of one moment came to.
#[derive(Debug)]
pub enum AtOnce {
    /// The rows.
    Read(BTreeMap<RowKey, Row>),
    /// Others were writing them.
    Busy,
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

/// A condition on one attribute or on existence, and always on no lock.
struct Condition {
    expression: &'static str,
    equal: Option<(&'static str, aws_sdk_dynamodb::types::AttributeValue)>,
}

impl Condition {
    fn absent() -> Self {
        Self { expression: "attribute_not_exists(pk)", equal: None }
    }

    fn present() -> Self {
        Self { expression: "attribute_exists(pk) AND attribute_not_exists(#lk)", equal: None }
    }

    fn equal(name: &'static str, value: aws_sdk_dynamodb::types::AttributeValue) -> Self {
        Self { expression: "#is = :is AND attribute_not_exists(#lk)", equal: Some((name, value)) }
    }
}

fn at_version(base: Option<u64>) -> Condition {
    base.map_or(Condition::absent(), |version| Condition::equal("_v", n(version)))
}

/// The four builders share their setters' names but no trait.
macro_rules! conditioned {
    ($builder:expr, $condition:expr) => {{
        let mut builder = $builder
            .condition_expression($condition.expression)
            .return_values_on_condition_check_failure(ReturnOld::AllOld);
        if $condition.expression.contains("#lk") {
            builder = builder.expression_attribute_names("#lk", "_lk");
        }
        if let Some((name, value)) = &$condition.equal {
            builder =
                builder.expression_attribute_names("#is", *name).expression_attribute_values(":is", value.clone());
        }
        builder
    }};
}

fn built<T>(item: Result<T, aws_sdk_dynamodb::error::BuildError>) -> Result<T, Fault> {
    item.map_err(|error| Fault::new("build transaction", error.to_string()))
}

fn check(table: &str, pk: String, condition: &Condition) -> Result<TransactWriteItem, Fault> {
    let check = conditioned!(ConditionCheck::builder().table_name(table).key("pk", s(pk)), condition);
    Ok(TransactWriteItem::builder().condition_check(built(check.build())?).build())
}

fn put(table: &str, pk: String, mut item: Item, condition: &Condition) -> Result<TransactWriteItem, Fault> {
    item.insert("pk".to_owned(), s(pk));
    let put = conditioned!(Put::builder().table_name(table).set_item(Some(item)), condition);
    Ok(TransactWriteItem::builder().put(built(put.build())?).build())
}

fn delete(table: &str, pk: String, condition: &Condition) -> Result<TransactWriteItem, Fault> {
    let delete = conditioned!(Delete::builder().table_name(table).key("pk", s(pk)), condition);
    Ok(TransactWriteItem::builder().delete(built(delete.build())?).build())
}

fn add(table: &str, pk: String, change: i64, condition: &Condition) -> Result<TransactWriteItem, Fault> {
    let update = conditioned!(Update::builder().table_name(table).key("pk", s(pk)), condition)
        .update_expression("ADD #n :n")
        .expression_attribute_names("#n", "n")
        .expression_attribute_values(":n", n(change));
    Ok(TransactWriteItem::builder().update(built(update.build())?).build())
}
