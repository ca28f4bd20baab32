//! I4, I7, I8, I9: versions and writers of rows, owners of unique values, counts of children.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::json::{canonical, sha256_hex};
use serde_json::Value;

use super::history::History;
use super::rules::Rows;
use crate::sim::wire::{int, plain, text};
use crate::sim::workload::{TENANTS, parent_of};

/// Versions grow by one, and every writer is an attempt that wrote its state.
pub(super) fn versions(history: &History, mut attempts: BTreeSet<String>, wrong: &mut Vec<String>) {
    attempts.extend(history.commits.keys().cloned());
    for ((_, pk, _), states) in &history.items {
        if pk.contains("#U#") || pk.contains("#N#") {
            continue;
        }
        let mut version = 0;
        for (_, row) in states {
            let now = row.as_ref().and_then(|row| int(row, "_v"));
            if now != Some(version + 1) {
                wrong.push(format!("I9: {pk} went from version {version} to {now:?}"));
            }
            version = now.unwrap_or(0);
            let writer = row.as_ref().map(|row| text(row, "_tx", "S")).unwrap_or_default();
            if row.is_some() && !attempts.contains(writer) {
                wrong.push(format!("I4: {pk} was written by {writer}, which has no results"));
            }
        }
    }
}

/// The attempts that wrote a state of a batch, as writers of rows are named.
pub(super) fn attempts<'a>(id: &'a str, states: &'a [(usize, &Value)]) -> impl Iterator<Item = String> + 'a {
    states.iter().map(move |(_, state)| format!("{id}#{}", text(state, "nonce", "S")))
}

/// What is stored in the end is what the batches made, one after another.
pub(super) fn check(history: &History, rows: &Rows, wrong: &mut Vec<String>) {
    let mut expected: BTreeMap<String, Value> = BTreeMap::new();
    for ((tenant, entity, id), row) in rows {
        expected.insert(format!("T#{tenant}#{entity}#{id}"), Value::Object(row.clone()));
        if *entity == "node" {
            expected.entry(format!("T#{tenant}#N#node#{id}")).or_insert_with(|| 0.into());
        }
        if let Some(label) = row.get("label").filter(|label| !label.is_null()) {
            let hash = sha256_hex(canonical(label).as_bytes());
            expected.insert(format!("T#{tenant}#U#node#label#{hash}"), id.as_str().into());
        }
    }
    for ((tenant, entity, _), row) in rows {
        if let Some(parent) = row.get(parent_of(entity)).and_then(Value::as_str) {
            let count = expected.entry(format!("T#{tenant}#N#node#{parent}")).or_default();
            *count = (count.as_i64().unwrap_or(0) + 1).into();
        }
    }
    let mut stored: BTreeMap<String, Value> = BTreeMap::new();
    for ((_, pk, _), states) in &history.items {
        let Some((_, Some(item))) = states.last() else { continue };
        let value = if pk.contains("#U#") {
            plain(&item["owner"])
        } else if pk.contains("#N#") {
            plain(&item["n"])
        } else if item.get("_del").is_some() {
            continue;
        } else {
            plain(&item["f"])
        };
        stored.insert(pk.clone(), value);
    }
    let keys: BTreeSet<&String> = expected.keys().chain(stored.keys()).collect();
    for key in keys {
        let (wanted, found) = (expected.get(key), stored.get(key));
        if wanted != found {
            let invariant = if key.contains("#U#") {
                "I7"
            } else if key.contains("#N#") {
                "I8"
            } else {
                "I4"
            };
            wrong.push(format!("{invariant}: {key} should be {wanted:?} and is {found:?}"));
        }
    }
    for key in stored.keys() {
        if !TENANTS.iter().any(|tenant| key.starts_with(&format!("T#{tenant}#"))) {
            wrong.push(format!("I13: {key} is nobody's"));
        }
    }
}
