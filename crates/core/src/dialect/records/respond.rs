//! The answers of `POST /batch`.

use serde_json::{Value, json};

use crate::batch::{Head, State, Summary};
use crate::dialect::native::problem;
use crate::json::Object;
use crate::operation::{Draft, Outcome, Problem};
use crate::plan::{Plan, Verdict};

/// The result of one operation.
pub fn result(outcome: &Outcome, minimal: bool) -> Object {
    let mut out = Object::new();
    out.insert("status".into(), outcome.word().into());
    match outcome {
        Outcome::Completed { .. } if minimal => {}
        Outcome::Completed { data } => {
            out.insert("data".into(), data.clone());
        }
        Outcome::Failed { failure } => {
            out.insert("error".into(), failure.message.clone().into());
            out.insert("code".into(), failure.code.as_str().into());
            out.insert("statusCode".into(), failure.code.http_status().into());
            if let Some(pointer) = &failure.pointer {
                out.insert("pointer".into(), pointer.clone().into());
            }
        }
        Outcome::Skipped { reason } => {
            out.insert("reason".into(), reason.as_str().into());
        }
    }
    out
}

/// Bytes of an answer that results may take, and what to say beyond.
pub struct Room<'a> {
    /// Bytes left.
    pub bytes: usize,
    /// Where the rest is.
    pub results_url: &'a str,
    /// Whether rows are left out.
    pub minimal: bool,
}

/// The answer about a batch that has run. `outcomes` in execution order, of the operations that have ended.
pub fn batch(head: &Head, state: Option<&State>, plan: &Plan, outcomes: &[Outcome], room: &Room<'_>) -> Value {
    let summary = state.map_or_else(|| Summary::pending(head.total()), |state| state.summary);
    let status = state.map_or(crate::batch::Status::Pending, |state| state.status);
    let mut by_index: Vec<Option<&Outcome>> = vec![None; head.total()];
    for (index, outcome) in plan.order().iter().zip(outcomes) {
        if let Some(slot) = by_index.get_mut(*index) {
            *slot = Some(outcome);
        }
    }
    let (mut results, mut failed, mut left, mut cut) = (Object::new(), Vec::new(), room.bytes, false);
    for (index, (operation, outcome)) in plan.operations().iter().zip(&by_index).enumerate() {
        let Some(outcome) = outcome else { continue };
        if outcome.is_failed() {
            failed.push(Value::from(operation.id.as_str()));
        }
        let mut told = Object::new();
        told.insert("id".into(), operation.id.as_str().into());
        told.insert("index".into(), index.into());
        told.extend(result(outcome, room.minimal));
        let told = Value::Object(told);
        let bytes = escaped_bytes(&told) + operation.id.as_str().len() + 8;
        if cut || bytes > left {
            cut = true;
            continue;
        }
        left -= bytes;
        results.insert(operation.id.to_string(), told);
    }
    let order: Vec<&str> =
        plan.order().iter().filter_map(|index| Some(plan.operations().get(*index)?.id.as_str())).collect();
    let mut answer = json!({
        "success": status == crate::batch::Status::Completed,
        "batchId": head.id.as_str(),
        "status": crate::dialect::native::word(status),
        "results": results,
    });
    if let Value::Object(answer) = &mut answer {
        if !failed.is_empty() {
            answer.insert("failedOperations".into(), failed.into());
        }
        answer.insert("summary".into(), json!(summary));
        answer.insert("executionOrder".into(), json!(order));
        let time = state.map_or(0, |state| state.updated.since_ms(state.started));
        answer.insert("executionTime".into(), time.into());
        if cut {
            answer.insert("hasMore".into(), true.into());
            answer.insert("resultsUrl".into(), room.results_url.into());
        }
    }
    answer
}

/// Bytes of `value` inside a Lambda answer: JSON text, escaped once more as a string.
pub fn escaped_bytes(value: &Value) -> usize {
    let text = value.to_string();
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// The answer to `validate_only`: each operation, what is certain of its permission, and what is wrong with it.
pub fn validation(drafts: &[Draft], permissions: &[Option<Verdict>], problems: &[Problem]) -> Value {
    let told: Vec<Value> = drafts
        .iter()
        .zip(permissions)
        .enumerate()
        .map(|(index, (draft, permission))| {
            let own = |problem: &&Problem| problem.operation.as_ref().is_some_and(|(at, _)| *at == index);
            let mut verdict = json!({ "id": draft.id.as_str(), "index": index });
            if let Value::Object(verdict) = &mut verdict {
                let first = problems.iter().find(own);
                verdict.insert("status".into(), if first.is_some() { "invalid" } else { "valid" }.into());
                if let Some(permission) = permission {
                    verdict.insert("permission".into(), permission.as_str().into());
                }
                if let Some(first) = first {
                    let messages: Vec<&str> =
                        problems.iter().filter(own).map(|problem| problem.message.as_str()).collect();
                    verdict.insert("error".into(), messages.join("; ").into());
                    verdict.insert("code".into(), first.code.as_str().into());
                    verdict.insert("pointer".into(), first.pointer.clone().into());
                }
            }
            verdict
        })
        .collect();
    let invalid = told.iter().filter(|verdict| verdict["status"] == "invalid").count();
    let mut answer = json!({
        "success": problems.is_empty(),
        "batchId": null,
        "status": if problems.is_empty() { "valid" } else { "invalid" },
        "operations": told,
        "summary": { "total": drafts.len(), "valid": drafts.len() - invalid, "invalid": invalid },
    });
    if let (Value::Object(answer), false) = (&mut answer, problems.is_empty()) {
        answer.insert("errors".into(), problems.iter().map(problem).collect());
    }
    answer
}
