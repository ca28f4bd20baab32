//! The native life cycle: batches, results and plans as `/batches/...` tells them.

use serde_json::{Value, json};

use crate::batch::{Entry, Head, State, Status, Summary};
use crate::operation::{Code, Outcome, Problem};
use crate::plan::Plan;
use crate::runtime::Timestamp;

/// The word for a status.
pub fn word(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::AwaitingSignatures => "awaiting_signatures",
        Status::Running | Status::Preparing | Status::Committed => "processing",
        Status::Completed => "completed",
        Status::Partial => "partial",
        Status::Failed => "failed",
        Status::Paused => "paused",
        Status::Cancelled => "cancelled",
        Status::TimedOut => "timed_out",
    }
}

/// Status and counts in one header: `partial;succeeded=2;failed=1;skipped=0`.
pub fn outcome(status: Status, summary: &Summary) -> String {
    let Summary { successful, failed, skipped, .. } = summary;
    format!("{};succeeded={successful};failed={failed};skipped={skipped}", word(status))
}

/// The status as told that a word stands for; `None` for a word that is none.
pub fn status(text: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|status| word(*status) == text)
}

/// A batch, without its results.
pub fn batch(head: &Head, state: Option<&State>) -> Value {
    let time = |at: Option<Timestamp>| at.map_or(Value::Null, |at| Value::String(at.to_string()));
    let summary = state.map_or_else(|| Summary::pending(head.total()), |state| state.summary);
    let mut told = json!({
        "id": head.id.as_str(),
        "dialect": head.dialect.as_str(),
        "status": word(head.status(state)),
        "reference": head.reference,
        "atomicExecution": head.options.atomic,
        "metadata": {
            "continueOnError": head.options.continue_on_error,
            "background": head.background,
        },
        "summary": summary,
        "createdAt": head.created.to_string(),
        "updatedAt": state.map_or(head.created, |state| state.updated).to_string(),
        "startedAt": time(state.map(|state| state.started)),
        "completedAt": time(state.and_then(State::completed)),
        "expiresAt": head.expires().to_string(),
    });
    if let (Value::Object(told), Some(job)) = (&mut told, &head.job) {
        told.insert("creator".into(), job.creator.clone().into());
    }
    if let (Value::Object(told), Some(profile)) = (&mut told, &head.profile) {
        told.insert("profileId".into(), profile.id.clone().into());
    }
    if let (Value::Object(told), Some(lineage)) = (&mut told, &head.lineage) {
        told.insert("retryOf".into(), lineage.retry_of.as_str().into());
        told.insert("attempt".into(), lineage.attempt.into());
    }
    told
}

/// An entry of a batch's log.
pub fn entry(entry: &Entry) -> Value {
    let mut told = crate::json::Object::new();
    told.insert("at".into(), entry.at.to_string().into());
    told.insert("act".into(), entry.act.as_str().into());
    if let Some(by) = &entry.by {
        told.insert("by".into(), by.as_str().into());
    }
    for (name, value) in &entry.more {
        told.entry(name.as_str()).or_insert_with(|| value.clone());
    }
    Value::Object(told)
}

/// The result of one operation, with its id and place; `None` for the outcome is one that has not ended.
pub fn result(plan: &Plan, index: usize, outcome: Option<&Outcome>) -> Value {
    let id = plan.operations().get(index).map_or("", |operation| operation.id.as_str());
    let mut out = crate::json::Object::new();
    out.insert("id".into(), id.into());
    out.insert("index".into(), index.into());
    match outcome {
        Some(outcome) => out.extend(super::records::result(outcome, false)),
        None => {
            out.insert("status".into(), "pending".into());
        }
    }
    Value::Object(out)
}

/// The native error body.
pub fn error(code: Code, message: &str, details: Option<Value>, problems: &[Problem], request_id: &str) -> Value {
    let mut out = crate::json::Object::new();
    out.insert("error".into(), code.as_str().into());
    out.insert("message".into(), message.into());
    out.insert("details".into(), details.unwrap_or_else(|| json!({})));
    if !problems.is_empty() {
        out.insert("errors".into(), problems.iter().map(problem).collect());
    }
    out.insert("requestId".into(), request_id.into());
    Value::Object(out)
}

/// One problem of a request.
pub fn problem(problem: &Problem) -> Value {
    let mut out = json!({ "pointer": problem.pointer, "code": problem.code.as_str(), "message": problem.message });
    if let (Value::Object(out), Some((index, id))) = (&mut out, &problem.operation) {
        out.insert("operation".into(), (*index).into());
        out.insert("operationId".into(), id.as_str().into());
    }
    out
}
