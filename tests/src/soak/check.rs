//! What must hold once all is over: every batch has ended, its counts are its results, and the tables are the results.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::json::canonical;
use serde_json::Value;

use super::{Sent, Soak, lock};
use crate::seam::Counts;

mod tables;

/// What one operation that was told completed did to one row.
#[derive(Debug)]
struct Write {
    batch: usize,
    action: Action,
    /// The row after it; before it, where it was deleted.
    row: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
    Delete,
}

/// Everything that was told.
#[derive(Debug, Default)]
struct Ledger {
    /// By entity and primary key.
    writes: BTreeMap<(String, String), Vec<Write>>,
    /// Rows that reads told.
    read: Vec<(String, Value)>,
}

/// Batches by kind and status, operations by what they came to, and every difference.
pub(super) async fn check(soak: &Soak) -> (BTreeMap<(&'static str, String), usize>, Counts, Vec<String>) {
    let mut differences = std::mem::take(&mut *lock(&soak.wrong));
    let (mut batches, mut operations, mut ledger) = (BTreeMap::new(), Counts::new(), Ledger::default());
    let sent = std::mem::take(&mut *lock(&soak.sent));
    for (place, sent) in sent.iter().enumerate() {
        let batch = soak.world.get(&format!("/batches/{}", sent.id)).await;
        let results = results(soak, &sent.id).await;
        let status = batch.body["status"].as_str().unwrap_or("unknown").to_owned();
        for wrong in told(sent, &batch.body, &results) {
            differences.push(format!("{} ({}): {wrong}", sent.id, sent.kind));
        }
        for result in &results {
            let more = result["code"].as_str().or(result["reason"].as_str()).unwrap_or_default();
            *operations.entry(format!("{} {more}", text(&result["status"])).trim_end().to_owned()).or_default() += 1;
        }
        ledger.enter(soak, place, sent, &results);
        *batches.entry((sent.kind, status)).or_default() += 1;
    }
    for (kind, count) in &*lock(&soak.refused) {
        let kind = if kind == "wide" { "wide" } else { "other" };
        *batches.entry((kind, "refused".to_owned())).or_default() += usize::try_from(*count).unwrap_or(usize::MAX);
    }
    differences.extend(ledger.reads());
    differences.extend(tables::records(soak, &ledger));
    differences.extend(tables::postings(soak));
    differences.extend(tables::batches(soak, sent.len()));
    (batches, operations, differences)
}

/// All results of a batch.
async fn results(soak: &Soak, id: &str) -> Vec<Value> {
    let (mut results, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = soak.world.get(&format!("/batches/{id}/results?limit=100{cursor}")).await;
        results.extend(page.body["data"].as_array().cloned().unwrap_or_default());
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return results,
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What is wrong with what is told of one batch.
fn told(sent: &Sent, batch: &Value, results: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = |word: &str| results.iter().filter(|result| result["status"] == word).count();
    let because = |word: &str| results.iter().any(|result| result["reason"] == word || result["code"] == word);
    let (successful, failed, skipped) = (count("completed"), count("failed"), count("skipped"));
    let summary = serde_json::json!({
        "total": results.len(), "successful": successful, "failed": failed, "skipped": skipped, "pending": 0,
    });
    if batch["summary"] != summary {
        wrong.push(format!("it counts {}, and its results {summary}", batch["summary"]));
    }
    if sent.kind != "a retry" && results.len() != sent.operations.len() {
        wrong.push(format!("it has {} results and {} operations", results.len(), sent.operations.len()));
    }
    let ids: BTreeSet<&str> = results.iter().map(|result| text(&result["id"])).collect();
    if ids.len() != results.len() {
        wrong.push("an operation has two results".to_owned());
    }
    let status = if because("Cancelled") {
        "cancelled"
    } else if because("Deadline exceeded") {
        "timed_out"
    } else if successful == results.len() {
        "completed"
    } else if successful == 0 {
        "failed"
    } else {
        "partial"
    };
    if batch["status"] != status {
        wrong.push(format!("it is told {}, and its results make it {status}", batch["status"]));
    }
    if sent.atomic && successful > 0 && successful < results.len() {
        wrong.push(format!("all or nothing, and {successful} of {} succeeded", results.len()));
    }
    if let Some(answer) = &sent.answer {
        let answered = |result: &&Value| &answer["results"][text(&result["id"])] == *result;
        if answer["hasMore"] != true && !results.iter().all(|result| answered(&result)) {
            wrong.push("its answer told other results".to_owned());
        }
        if answer["summary"] != summary || answer["status"] != batch["status"] {
            wrong.push(format!("its answer told {} and {}", answer["status"], answer["summary"]));
        }
    }
    wrong
}

impl Ledger {
    /// Enters what the results of one batch say was done and seen.
    fn enter(&mut self, soak: &Soak, batch: usize, sent: &Sent, results: &[Value]) {
        for result in results.iter().filter(|result| result["status"] == "completed") {
            let Some(operation) = sent.operations.iter().find(|operation| operation["id"] == result["id"]) else {
                continue;
            };
            let entity = text(&operation["entity"]).to_owned();
            let rows = result["data"].as_array().into_iter().flatten();
            let action = match text(&operation["action"]) {
                "create" => Action::Create,
                "update" => Action::Update,
                "delete" => Action::Delete,
                _ => {
                    self.read.extend(rows.map(|row| (entity.clone(), row.clone())));
                    continue;
                }
            };
            let key = soak.world.app.model().entity(&entity).map_or("", |entity| &entity.primary_key.field);
            for row in rows {
                let id = row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
                let writes = self.writes.entry((entity.clone(), id)).or_default();
                writes.push(Write { batch, action, row: row.clone() });
            }
        }
    }

    /// Every row that was read is one that some operation wrote.
    fn reads(&self) -> Vec<String> {
        let mut written: BTreeSet<(&str, String)> = BTreeSet::new();
        for ((entity, _), writes) in &self.writes {
            let made = writes.iter().filter(|write| write.action != Action::Delete);
            written.extend(made.map(|write| (entity.as_str(), canonical(&write.row))));
        }
        let unknown = self.read.iter().filter(|(entity, row)| !written.contains(&(entity.as_str(), canonical(row))));
        unknown.map(|(entity, row)| format!("{entity}: read, and never written: {row}")).collect()
    }
}
