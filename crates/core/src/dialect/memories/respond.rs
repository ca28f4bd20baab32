//! The answers of `POST /api/v1/batch`.

use serde_json::{Value, json};

use super::single::told;
use crate::batch::{Head, State, Summary};
use crate::dialect::records::{Room, escaped_bytes};
use crate::json::Object;
use crate::limits::MAX_OPERATIONS;
use crate::operation::{Action, Code, Draft, Failure, Outcome, Problem, SkipReason};
use crate::plan::{Plan, Verdict};

/// The answer about a batch that has ended. `outcomes` in execution order.
pub fn batch(head: &Head, state: Option<&State>, plan: &Plan, outcomes: &[Outcome], room: &Room<'_>) -> Value {
    let mut by_index: Vec<Option<&Outcome>> = vec![None; head.total()];
    for (index, outcome) in plan.order().iter().zip(outcomes) {
        if let Some(slot) = by_index.get_mut(*index) {
            *slot = Some(outcome);
        }
    }
    let (mut operations, mut left, mut cut) = (Vec::new(), room.bytes, false);
    for (index, (operation, outcome)) in plan.operations().iter().zip(&by_index).enumerate() {
        let Some(outcome) = outcome else { continue };
        let mut one = json!({
            "index": index,
            "type": operation.action.as_str(),
            "status": if outcome.is_completed() { "success" } else { "failed" },
        });
        match outcome {
            Outcome::Completed { .. } if room.minimal => {}
            Outcome::Completed { data } => one["result"] = result(operation.action, data),
            outcome => one["error"] = failed(outcome),
        }
        let bytes = escaped_bytes(&one) + 1;
        cut |= bytes > left;
        if !cut {
            left -= bytes;
            operations.push(one);
        }
    }
    let mut data = counts(head, state);
    data.insert("operations".to_owned(), operations.into());
    data.insert("summary".to_owned(), types(plan.operations().iter().map(|operation| operation.action)));
    if cut {
        data.insert("has_more".to_owned(), true.into());
        data.insert("results_url".to_owned(), room.results_url.into());
    }
    json!({ "success": true, "data": data })
}

/// The answer about a batch that goes on in the background.
pub fn accepted(head: &Head, state: Option<&State>, plan: &Plan) -> Value {
    let mut data = counts(head, state);
    data.insert("status".to_owned(), "processing".into());
    if !plan.operations().is_empty() {
        data.insert("summary".to_owned(), types(plan.operations().iter().map(|operation| operation.action)));
    }
    json!({ "success": true, "data": data })
}

/// What has become of so many operations; `pending` only while there are such.
fn counts(head: &Head, state: Option<&State>) -> Object {
    let summary = state.map_or_else(|| Summary::pending(head.total()), |state| state.summary);
    let mut data = Object::new();
    data.insert("batch_id".to_owned(), head.id.as_str().into());
    data.extend(head.reference.as_ref().map(|reference| ("reference".to_owned(), reference.as_str().into())));
    data.insert("processed".to_owned(), summary.successful.into());
    data.insert("failed".to_owned(), (summary.failed + summary.skipped).into());
    if !state.is_some_and(|state| state.status.is_terminal()) {
        data.insert("pending".to_owned(), summary.pending.into());
    }
    data.insert("total".to_owned(), summary.total.into());
    let time = state.map_or(0, |state| state.updated.since_ms(state.started));
    data.insert("execution_time".to_owned(), time.into());
    data
}

/// How many operations were asked for, by type.
fn types(actions: impl Iterator<Item = Action>) -> Value {
    let (mut creates, mut reads, mut updates, mut deletes, mut searches) = (0, 0, 0, 0, 0);
    for action in actions {
        match action {
            Action::Create => creates += 1,
            Action::Read => reads += 1,
            Action::Update => updates += 1,
            Action::Delete => deletes += 1,
            Action::Search => searches += 1,
        }
    }
    json!({ "creates": creates, "reads": reads, "updates": updates, "deletes": deletes, "searches": searches })
}

fn result(action: Action, data: &Value) -> Value {
    let mut row = data.get(0).and_then(Value::as_object).cloned().unwrap_or_default();
    match action {
        Action::Delete => {
            row.insert("deleted".to_owned(), true.into());
            Value::Object(row)
        }
        Action::Read => Value::Object(told(&row)),
        Action::Create | Action::Update | Action::Search => Value::Object(row),
    }
}

/// Why an operation has no effect.
pub fn failed(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Failed { failure } => {
            let (code, message, details) = error(failure);
            json!({ "code": code.as_str(), "message": message, "details": details })
        }
        Outcome::Skipped { reason } => {
            let (code, message) = match reason {
                SkipReason::Cancelled => (Code::Cancelled, "The batch was cancelled before this operation"),
                SkipReason::DeadlineExceeded => (Code::Timeout, "The time of the batch was over before this operation"),
                SkipReason::DependencyFailed => {
                    (Code::DependencyFailed, "An operation that this one depends on failed")
                }
                SkipReason::RolledBack | SkipReason::BatchStopped => {
                    (Code::NotExecuted, "The batch stopped at a failure before this operation")
                }
            };
            json!({ "code": code.as_str(), "message": message, "details": {} })
        }
        Outcome::Completed { .. } => Value::Null,
    }
}

/// A failure in the words of this contract: code, message, details.
pub fn error(failure: &Failure) -> (Code, String, Value) {
    let code = match failure.code {
        Code::Required
        | Code::WrongType
        | Code::InvalidValue
        | Code::UnknownField
        | Code::ReadOnly
        | Code::NotSupported
        | Code::ReferenceUnresolved
        | Code::ReferenceTooLarge
        | Code::ItemTooLarge => Code::ValidationError,
        Code::AlreadyExists
        | Code::UniqueViolation
        | Code::ForeignKeyViolation
        | Code::VersionConflict
        | Code::ConditionFailed
        | Code::Conflict => Code::Conflict,
        other => other,
    };
    let field = failure.pointer.as_deref().map(field);
    let message = match (&field, failure.code) {
        (Some(field), Code::Required) => format!("{} is required", capitalised(field)),
        _ => capitalised(&failure.message),
    };
    let details = field.map_or_else(|| json!({}), |field| json!({ "field": field }));
    (code, message, details)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `/store_params/tags/0` is `tags[0]` of the data.
fn field(pointer: &str) -> String {
    let (part, rest) = pointer.trim_start_matches('/').split_once('/').unwrap_or((pointer.trim_start_matches('/'), ""));
    match (part, rest) {
        ("store_params", "") => "data".to_owned(),
        ("store_params" | "query_params" | "metadata_params", rest) => path(rest),
        _ => path(pointer.trim_start_matches('/')),
    }
}

/// A JSON pointer as a path: `operations/2/type` is `operations[2].type`.
fn path(pointer: &str) -> String {
    let mut out = String::new();
    for token in pointer.split('/') {
        if !out.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) && !token.is_empty() {
            out.extend(["[", token, "]"]);
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&token.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

/// Why a batch is refused as a whole: code, message and details, all problems where there are several.
pub fn refused(problems: &[Problem], provided: usize) -> (Code, String, Value) {
    if problems.iter().any(|problem| problem.code == Code::TooManyOperations) {
        let details = json!({ "max_operations": MAX_OPERATIONS, "provided_operations": provided });
        return (Code::BatchTooLarge, "Batch size exceeds maximum limit".to_owned(), details);
    }
    let one = |problem: &Problem| {
        let reason = match (problem.pointer.as_str(), problem.code) {
            ("/operations", Code::Required) => "operations_array_required".to_owned(),
            ("/operations", Code::EmptyBatch) => "operations_array_empty".to_owned(),
            (_, Code::UnknownAction) => "unknown_type".to_owned(),
            (_, code) => code.as_str().to_lowercase(),
        };
        let field = path(problem.pointer.trim_start_matches('/'));
        // Where references stand is told in the words of the request.
        let field = [(".store_params", ".data"), (".query_params", ""), (".metadata_params", "")]
            .iter()
            .fold(field, |field, (from, to)| field.replacen(from, to, 1));
        (field, reason)
    };
    let Some(first) = problems.first() else { return (Code::InvalidBatchRequest, String::new(), json!({})) };
    let (field, reason) = one(first);
    let mut details = json!({ "field": field, "reason": reason });
    if problems.len() > 1 {
        let all = problems.iter().map(|problem| {
            let (field, reason) = one(problem);
            json!({ "field": field, "reason": reason, "message": problem.message })
        });
        details["problems"] = all.collect();
    }
    (Code::InvalidBatchRequest, "Invalid batch request".to_owned(), details)
}

/// The error body of this contract. Names of details are as everywhere in it; what may have to be reported has the
/// request's id.
pub fn problem(code: Code, message: &str, details: Option<&Value>, request_id: &str) -> Value {
    let mut told = Object::new();
    for (name, value) in details.and_then(Value::as_object).into_iter().flatten() {
        told.insert(snake(name), value.clone());
    }
    if code.http_status() >= 500 {
        told.insert("request_id".to_owned(), request_id.into());
    }
    json!({
        "success": false,
        "error": { "code": code.as_str(), "message": message, "details": told },
        "message": message,
    })
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The answer to `validate_only`.
pub fn validation(drafts: &[Draft], permissions: &[Option<Verdict>], problems: &[Problem]) -> Value {
    let verdicts: Vec<Value> = drafts
        .iter()
        .zip(permissions)
        .enumerate()
        .map(|(index, (draft, permission))| {
            let own = problems.iter().find(|problem| problem.operation.as_ref().is_some_and(|(at, _)| *at == index));
            let wrong = match (own, &draft.refused, permission) {
                (Some(_), ..) => {
                    let (code, message, details) = refused(&own.cloned().into_iter().collect::<Vec<_>>(), 0);
                    Some(json!({ "code": code.as_str(), "message": message, "details": details }))
                }
                (None, Some(failure), _) | (None, None, Some(Verdict::Denied(failure))) => {
                    let (code, message, details) = error(failure);
                    Some(json!({ "code": code.as_str(), "message": message, "details": details }))
                }
                _ => None,
            };
            let mut told = json!({ "index": index });
            if let Some(action) = draft.action {
                told["type"] = action.as_str().into();
            }
            told["status"] = if wrong.is_some() { "invalid" } else { "valid" }.into();
            if let Some(wrong) = wrong {
                told["error"] = wrong;
            }
            told
        })
        .collect();
    let data = json!({
        "batch_id": null,
        "processed": 0,
        "failed": verdicts.iter().filter(|verdict| verdict["status"] == "invalid").count(),
        "total": drafts.len(),
        "execution_time": 0,
        "operations": verdicts,
        "summary": types(drafts.iter().filter_map(|draft| draft.action)),
    });
    json!({ "success": true, "data": data })
}
