//! The rules about rows, as the contract has them, found by looking at every row.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::sim::workload::{key_of, parent_of};

pub(super) type Row = Map<String, Value>;
/// By tenant, entity and text of the key.
pub(super) type Rows = BTreeMap<Key, Row>;
pub(super) type Key = (&'static str, &'static str, String);

/// What must become of an operation.
#[derive(Debug)]
pub(super) enum Verdict {
    Done(Vec<Value>, Option<(Key, Option<Row>)>),
    Fails(Vec<&'static str>),
    /// The interpreter can't know.
    Open,
}

pub(super) fn create(rows: &Rows, key: Key, id: Value, mut row: Row) -> Verdict {
    row.insert(key_of(key.1).to_owned(), id);
    if key.1 == "node" {
        row.insert("version".to_owned(), 1.into());
    }
    let mut codes = broken(rows, &key, &row);
    if rows.contains_key(&key) {
        codes.push("ALREADY_EXISTS");
    }
    done(codes, key, row)
}

pub(super) fn update(rows: &Rows, key: Key, before: &Row, given: Row, version: Option<u64>) -> Verdict {
    let mut row = before.clone();
    row.extend(given);
    let mut codes = broken(rows, &key, &row);
    if key.1 == "node" {
        let now = before["version"].as_u64().unwrap_or(0);
        row.insert("version".to_owned(), (now + 1).into());
        if version.is_some_and(|version| version != now) {
            codes.push("VERSION_CONFLICT");
        }
    }
    done(codes, key, row)
}

fn done(codes: Vec<&'static str>, key: Key, row: Row) -> Verdict {
    if codes.is_empty() {
        Verdict::Done(vec![Value::Object(row.clone())], Some((key, Some(row))))
    } else {
        Verdict::Fails(codes)
    }
}

/// The rules about other rows that `row` breaks.
fn broken(rows: &Rows, key: &Key, row: &Row) -> Vec<&'static str> {
    let mut codes = Vec::new();
    let label = row.get("label").filter(|label| !label.is_null());
    let taken = |(other, row): (&Key, &Row)| other.0 == key.0 && other != key && row.get("label") == label;
    if label.is_some() && rows.iter().any(taken) {
        codes.push("UNIQUE_VIOLATION");
    }
    let parent = row.get(parent_of(key.1)).and_then(Value::as_str);
    if parent.is_some_and(|parent| !rows.contains_key(&(key.0, "node", parent.to_owned()))) {
        codes.push("FOREIGN_KEY_VIOLATION");
    }
    codes
}

pub(super) fn has_children(rows: &Rows, key: &Key) -> bool {
    // What a row says of itself does not hold it.
    let mut others = rows.iter().filter(|(other, _)| other.0 == key.0 && *other != key);
    key.1 == "node" && others.any(|(other, row)| row.get(parent_of(other.1)).and_then(Value::as_str) == Some(&key.2))
}
