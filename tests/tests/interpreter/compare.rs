//! Whether the service answered, stored and wrote what the interpreter says.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::json::{canonical, sha256_hex};
use batch_tests::World;
use batch_tests::seam::Call;
use serde_json::{Map, Value, json};

use crate::batch::{Batch, text_of};
use crate::interpret::{Data, Key, Outcome, Row, Tables, is_removed};
use crate::schema::{ENTITIES, entity};
use crate::values::compare;

/// What a batch came to, whichever way it was asked for.
#[derive(Debug)]
pub struct Told {
    pub status: Value,
    pub summary: Value,
    /// By operation id.
    pub results: Map<String, Value>,
}

impl Told {
    /// The first record of an operation's result.
    pub fn first(&self, id: &str) -> Option<Value> {
        Some(self.results.get(id)?["data"].get(0)?.clone())
    }
}

type Checked = Result<(), String>;

fn wrong<T: std::fmt::Debug, U: std::fmt::Debug>(what: &str, told: T, expected: U) -> Checked {
    Err(format!("{what}: told {told:?}, expected {expected:?}"))
}

/// The answer.
pub fn answer(batch: &Batch, told: &Told, outcomes: &[Outcome]) -> Checked {
    for (index, expected) in outcomes.iter().enumerate() {
        let id = batch.id(index);
        result(batch, index, &told.results[&id], expected).map_err(|error| format!("{id}: {error}"))?;
    }
    let count = |wanted: &str| outcomes.iter().filter(|outcome| word(outcome) == wanted).count();
    let (completed, failed, skipped) = (count("completed"), count("failed"), count("skipped"));
    let summary =
        json!({ "total": outcomes.len(), "successful": completed, "failed": failed, "skipped": skipped, "pending": 0 });
    if told.summary != summary {
        return wrong("summary", &told.summary, summary);
    }
    let status = match (completed, failed) {
        (_, 1..) if batch.atomic => "failed",
        (0, _) => "failed",
        (all, _) if all == outcomes.len() => "completed",
        _ => "partial",
    };
    if told.status == status { Ok(()) } else { wrong("status", &told.status, status) }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed(_) => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped(_) => "skipped",
    }
}

fn result(batch: &Batch, index: usize, told: &Value, expected: &Outcome) -> Checked {
    if told["status"] != word(expected) {
        return wrong("status", told, expected);
    }
    match expected {
        Outcome::Completed(data) => {
            let mut told: Vec<Value> = told["data"].as_array().cloned().unwrap_or_default();
            // The rows of a relation come in no certain order; the interpreter has them by key.
            for related in told.iter_mut().filter_map(|record| record.get_mut("below")?.as_array_mut()) {
                related.sort_by_key(|node| text_of(&node["node_id"]));
            }
            let right = match data {
                Data::Exactly(records) => told == *records,
                Data::Any(count, records) => told.len() == *count && is_part(&told, records),
            };
            if !right {
                return wrong("data", told, data);
            }
            if batch.ops[index].meta.sort.is_empty() { Ok(()) } else { sorted(batch, index, &told) }
        }
        Outcome::Failed(codes) => {
            let code = told["code"].as_str().unwrap_or_default();
            if codes.contains(code) { Ok(()) } else { wrong("code", told, codes) }
        }
        Outcome::Skipped(reason) if told["reason"] == *reason => Ok(()),
        Outcome::Skipped(reason) => wrong("reason", told, reason),
    }
}

/// Each of `some` is another one of `all`.
fn is_part(some: &[Value], all: &[Value]) -> bool {
    let mut left: Vec<&Value> = all.iter().collect();
    some.iter().all(|one| left.iter().position(|other| *other == one).map(|at| left.remove(at)).is_some())
}

fn sorted(batch: &Batch, index: usize, records: &[Value]) -> Checked {
    let sort = &batch.ops[index].meta.sort;
    let in_order = |pair: &[Value]| {
        let orders = sort.iter().map(|(field, descending)| {
            let order = compare(&pair[0][*field], &pair[1][*field]);
            if *descending { order.reverse() } else { order }
        });
        orders.into_iter().find(|order| order.is_ne()).is_none_or(std::cmp::Ordering::is_lt)
    };
    let cut = batch.ops[index].meta.properties.is_some();
    if cut || records.windows(2).all(in_order) { Ok(()) } else { wrong("order", records, sort) }
}

/// What is stored: rows, marks, versions, indexes, unique values, counters and tombstones; nothing else, nothing less.
pub fn tables(world: &World, tables: &mut Tables) -> Checked {
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let items: BTreeMap<String, Value> =
        world.items("RecordsTable").into_iter().map(|item| (text_of(&item["pk"]["S"]), item)).collect();
    let item = |pk: &String| items.get(pk).ok_or_else(|| format!("{pk} is not there"));
    let mut children: BTreeMap<Key, u64> = BTreeMap::new();
    for (key, row) in &mut tables.rows {
        let entity = entity(key.0);
        let pk = format!("T#t1#{}#{}", key.0, key.1);
        stored(key, row, item(&pk)?)?;
        expected.insert(pk);
        if is_removed(entity, row) {
            continue;
        }
        if entity.is_parent {
            children.entry(key.clone()).or_default();
        }
        for field in entity.fields {
            let Some(value) = row.get(field.name).filter(|value| !value.is_null()) else { continue };
            if field.unique {
                let pk = format!("T#t1#U#{}#{}#{}", key.0, field.name, sha256_hex(canonical(value).as_bytes()));
                if item(&pk)?["owner"] != json!({ "S": key.1 }) {
                    return wrong(&pk, item(&pk)?, &key.1);
                }
                expected.insert(pk);
            }
            if let Some(parent) = field.parent {
                *children.entry((parent, text_of(value))).or_default() += 1;
            }
        }
    }
    for (key, count) in children {
        let pk = format!("T#t1#N#{}#{}", key.0, key.1);
        if item(&pk)?["n"] != json!({ "N": count.to_string() }) {
            return wrong(&pk, item(&pk)?, count);
        }
        expected.insert(pk);
    }
    for key in &tables.gone {
        let pk = format!("T#t1#{}#{}", key.0, key.1);
        let tombstone: BTreeSet<&str> = BTreeSet::from(["_del", "_tx", "_v", "pk", "ttl"]);
        let attributes: BTreeSet<&str> =
            item(&pk)?.as_object().map(|item| item.keys().map(String::as_str).collect()).unwrap_or_default();
        if attributes != tombstone {
            return wrong(&pk, attributes, tombstone);
        }
        expected.insert(pk);
    }
    match items.keys().find(|pk| !expected.contains(*pk)) {
        Some(pk) => Err(format!("{} should not be there", items[pk])),
        None => Ok(()),
    }
}

/// One row as it is stored. The interpreter does not know the time of a deletion: it is taken over.
fn stored(key: &Key, row: &mut Row, item: &Value) -> Checked {
    let entity = entity(key.0);
    let mut fields: Row = Row::new();
    for (name, value) in item["f"]["M"].as_object().into_iter().flatten() {
        fields.insert(name.clone(), plain(value));
    }
    if row.get("removed_at") == Some(&json!("some time")) && is_time(&fields["removed_at"]) {
        row.insert("removed_at".to_owned(), fields["removed_at"].clone());
    }
    if fields != *row {
        return wrong(&key.1, fields, row);
    }
    let listed = !is_removed(entity, row);
    let slots = (0..5).filter(|slot| item.get(format!("_g{slot}")).is_some()).collect::<Vec<u8>>();
    let indexed = entity.fields.iter().filter(|field| row.get(field.name).is_some_and(|value| !value.is_null()));
    let mut wanted: Vec<u8> = indexed.filter_map(|field| field.slot).chain([0]).filter(|_| listed).collect();
    wanted.sort_unstable();
    if slots == wanted { Ok(()) } else { wrong(&key.1, slots, wanted) }
}

fn plain(value: &Value) -> Value {
    let (kind, value) = value.as_object().and_then(|value| value.iter().next()).expect("an attribute value");
    match kind.as_str() {
        "NULL" => Value::Null,
        "N" => batch_core::json::parse(text_of(value).as_bytes()).expect("a number"),
        _ => value.clone(),
    }
}

/// RFC 3339 in UTC with milliseconds.
pub fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && text.starts_with("2026-") && text.ends_with('Z')
}

/// What the server chose by itself is of the right kind and, where it must be, new; `used` knows all that was before.
pub fn made(batch: &Batch, told: &Told, used: &mut BTreeSet<String>) -> Checked {
    for (index, op) in batch.ops.iter().enumerate() {
        let Some(record) = told.first(&batch.id(index)).filter(|_| op.action == crate::batch::Action::Create) else {
            continue;
        };
        let given = op.store.iter().any(|(name, _)| *name == op.entity.key);
        for (name, is_made) in
            [("item_id", op.entity.name == "item"), ("page_id", op.entity.name == "page" && !given), ("token", true)]
        {
            let Some(value) = record.get(name).filter(|_| is_made) else { continue };
            let right = if name == "item_id" { value.is_u64() } else { text_of(value).len() == 36 };
            if !right || !used.insert(format!("{name} {value}")) {
                return wrong(name, value, "something new");
            }
        }
        if record.get("made_at").is_some_and(|value| !is_time(value)) {
            return wrong("made_at", &record["made_at"], "a time");
        }
    }
    Ok(())
}

/// What went over the wire: every transaction is guarded and named, touches an item once, and moves a version by one.
pub fn wire(calls: &[Call]) -> Checked {
    for call in calls.iter().filter(|call| call.operation == "TransactWriteItems") {
        let token = call.body["ClientRequestToken"].as_str().unwrap_or_default();
        if token.is_empty() || token == "never-used" {
            return wrong("token", token, "one of ours");
        }
        let items = call.body["TransactItems"].as_array().cloned().unwrap_or_default();
        let mut touched = BTreeSet::new();
        for (place, item) in items.iter().enumerate() {
            let (kind, write) = item.as_object().and_then(|item| item.iter().next()).expect("an action");
            let pk = text_of(if kind == "Put" { &write["Item"]["pk"]["S"] } else { &write["Key"]["pk"]["S"] });
            let state = write["Item"]["sk"]["S"] == "A#STATE";
            if !pk.starts_with("T#t1#") || (place == 0) != state || !touched.insert(pk.clone()) {
                return wrong("transaction", &items, "the state first, then each item once");
            }
            let Some(version) = write["Item"]["_v"]["N"].as_str().and_then(|text| text.parse::<u64>().ok()) else {
                continue;
            };
            let base = write["ExpressionAttributeValues"][":is"]["N"].as_str().and_then(|text| text.parse().ok());
            let fresh = text_of(&write["ConditionExpression"]).starts_with("attribute_not_exists(pk)");
            if base.unwrap_or(0) + 1 != version || fresh != base.is_none() {
                return wrong(&pk, write, "the version after the one read");
            }
        }
    }
    Ok(())
}

/// Each entity of the model has rows in the end: the generator works.
pub fn is_filled(tables: &Tables) -> bool {
    ENTITIES.iter().all(|entity| tables.rows.keys().any(|key| key.0 == entity.name))
}
