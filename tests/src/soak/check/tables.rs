//! The tables against what was told.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::engine::Posting;
use batch_core::json::{canonical, sha256_hex};
use serde_json::{Map, Value};

use super::{Action, Ledger, Write, text};
use crate::soak::Soak;

/// Where the rows, unique values and counters stored are not those that the results told make.
pub(super) fn records(soak: &Soak, ledger: &Ledger) -> Vec<String> {
    let items: BTreeMap<String, Value> =
        soak.world.items("RecordsTable").into_iter().map(|item| (text(&item["pk"]["S"]).to_owned(), item)).collect();
    let mut wrong: Vec<String> =
        items.values().filter(|item| item.get("_lk").is_some()).map(|item| format!("a lock is left: {item}")).collect();
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let mut counters: BTreeMap<String, u64> = BTreeMap::new();
    for ((entity, id), writes) in &ledger.writes {
        let pk = format!("T#t1#{entity}#{id}");
        let (row, mut odd) = row(
            items.get(&pk),
            writes,
            soak.world.app.model().entity(entity).and_then(|entity| entity.version_field.as_deref()),
        );
        wrong.extend(odd.drain(..).map(|odd| format!("{entity} {id}: {odd}")));
        expected.insert(pk);
        let (Some(row), Some(model)) = (row, soak.world.app.model().entity(entity)) else { continue };
        if model.is_referenced {
            counters.entry(format!("T#t1#N#{entity}#{id}")).or_default();
        }
        for field in model.fields() {
            let Some(value) = row.get(&field.name).filter(|value| !value.is_null()) else { continue };
            if field.unique {
                let pk = format!("T#t1#U#{entity}#{}#{}", field.name, sha256_hex(canonical(value).as_bytes()));
                let owner = items.get(&pk).map_or("nobody", |item| text(&item["owner"]["S"]));
                if owner != id {
                    wrong.push(format!("{entity} {id}: its {} {value} is owned by {owner}", field.name));
                }
                if !expected.insert(pk) {
                    wrong.push(format!("{entity} {id}: another one has its {} {value}", field.name));
                }
            }
            if let Some(parent) = &field.references {
                let parent = format!(
                    "T#t1#N#{}#{}",
                    parent.entity,
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                );
                *counters.entry(parent).or_default() += 1;
            }
        }
    }
    for (pk, count) in counters {
        let stored = items.get(&pk).map_or("nothing", |item| text(&item["n"]["N"]));
        if stored != count.to_string() {
            wrong.push(format!("{pk} says {stored}; there are {count}"));
        }
        expected.insert(pk);
    }
    wrong.extend(
        items.iter().filter(|(pk, _)| !expected.contains(*pk)).map(|(_, item)| format!("nobody told of {item}")),
    );
    wrong
}

/// Where the search rows stored are not those of the memories stored.
pub(super) fn postings(soak: &Soak) -> Vec<String> {
    let mut stored: BTreeMap<String, String> = BTreeMap::new();
    for item in soak.world.items("SearchTable") {
        stored.insert(text(&item["sk"]["S"]).to_owned(), text(&item["row"]["B"]).to_owned());
    }
    let mut wrong = Vec::new();
    for item in soak.world.items("RecordsTable") {
        let Some(id) = text(&item["pk"]["S"]).strip_prefix("T#t1#memory#") else { continue };
        let Some(fields) = item["f"]["M"].as_object() else { continue };
        let fields: Map<String, Value> = fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
        let row = STANDARD.encode(Posting::of(&fields).bytes.as_slice());
        if stored.remove(id) != Some(row) {
            wrong.push(format!("memory {id} has no search row, or another one"));
        }
    }
    wrong.extend(stored.keys().map(|id| format!("there is a search row of {id}, which is no memory")));
    wrong
}

/// The row as it is stored, and what is odd about it.
fn row(item: Option<&Value>, writes: &[Write], version: Option<&str>) -> (Option<Map<String, Value>>, Vec<String>) {
    let mut odd = Vec::new();
    let Some(item) = item else { return (None, vec![format!("is not stored; told were {writes:?}")]) };
    let count = |action: Action| writes.iter().filter(|write| write.action == action).count();
    let (created, updated, deleted) = (count(Action::Create), count(Action::Update), count(Action::Delete));
    let gone = item["_del"]["BOOL"] == true;
    if created != deleted + usize::from(!gone) {
        odd.push(format!("created {created} times, deleted {deleted} times, and gone is {gone}"));
    }
    // Several writes by one batch may be one write of the item.
    let batches: BTreeSet<usize> = writes.iter().map(|write| write.batch).collect();
    let moved: usize = text(&item["_v"]["N"]).parse().unwrap_or(0);
    if moved < batches.len() || moved > writes.len() {
        odd.push(format!("written {moved} times; {} were told by {} batches", writes.len(), batches.len()));
    }
    if gone {
        return (None, odd);
    }
    let stored: Map<String, Value> =
        item["f"]["M"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))).collect();
    let text_of = |row: &Map<String, Value>| canonical(&Value::Object(row.clone()));
    let made = writes.iter().filter(|write| write.action != Action::Delete);
    let mut last =
        made.clone().filter(|write| write.row.as_object().is_some_and(|row| text_of(row) == text_of(&stored)));
    let Some(last) = last.next_back() else {
        odd.push(format!("nobody told of {}", Value::Object(stored.clone())));
        return (Some(stored), odd);
    };
    if let Some(version) = version.filter(|_| deleted == 0) {
        // Each write saw the one before: none is lost and none is twice.
        let mut versions: Vec<u64> = made.filter_map(|write| write.row[version].as_u64()).collect();
        versions.sort_unstable();
        if !versions.iter().copied().eq(1..=1 + updated as u64)
            || last.row[version].as_u64() != Some(1 + updated as u64)
        {
            odd.push(format!("its versions are {versions:?}, and it is at {}", last.row[version]));
        }
    }
    (Some(stored), odd)
}

fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "NULL" => Value::Null,
        "N" => batch_core::json::parse(text(value).as_bytes()).unwrap_or_default(),
        _ => value.clone(),
    }
}

/// Every batch that is stored was told as accepted, and has a state that is an end.
pub(super) fn batches(soak: &Soak, told: usize) -> Vec<String> {
    let items = soak.world.items("BatchesTable");
    let of = |sk: &str| items.iter().filter(|item| item["sk"]["S"] == sk).count();
    let (heads, states) = (of("A#HEAD"), of("A#STATE"));
    if heads == told && states == told {
        return Vec::new();
    }
    vec![format!("{told} batches were accepted; {heads} heads and {states} states are stored")]
}
