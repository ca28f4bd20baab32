//! `POST /batch` and `POST /batch/plan`.

use serde_json::json;

use super::route::location;
use super::{Reply, Request, body, prefer, reads};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Dialect, Status};
use crate::dialect::records::{self, Room};
use crate::dialect::{native, preview};
use crate::lifecycle::{self, Act};
use crate::limits::{MAX_IDEMPOTENCY_KEY, MAX_PROBLEMS, MAX_RESPONSE_BYTES};
use crate::operation::Code;
use crate::submit::{self, Preference, Submission, Submitted, Told};

pub(super) async fn submit(app: &App, caller: &Caller, request: &Request) -> Reply {
    let read = match body::read(request) {
        Ok(body) => records::parse(body),
        Err(reply) => return reply,
    };
    let idempotency_key = match idempotency_key(request) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    if read.validate_only && read.countable {
        let (permissions, denied) = submit::permissions(app, caller, &read);
        let mut problems = submit::problems(app, &read);
        problems.extend(denied);
        problems.sort_by_key(|problem| problem.operation.as_ref().map(|(index, _)| *index));
        problems.truncate(MAX_PROBLEMS);
        return Reply::told(200, records::validation(&read.drafts, &permissions, &problems));
    }
    let preference = prefer::read(&request.headers);
    let submission = Submission {
        caller,
        dialect: Dialect::Records,
        quota: Dialect::Records,
        path: &request.path,
        idempotency_key,
        preference: &preference,
        request: read,
    };
    match submit::submit(app, submission).await {
        Ok(Submitted::Ended(told)) => ended(&told, request, &preference),
        Ok(Submitted::Accepted(told)) => accepted(&told, request, &preference),
        Err(refusal) => Reply::refused(refusal, &request.request_id),
    }
}

pub(super) fn plan(app: &App, caller: &Caller, request: &Request) -> Reply {
    let read = match body::read(request) {
        Ok(body) => records::parse(body),
        Err(reply) => return reply,
    };
    if !read.countable {
        let message = "a plan needs operations: a list of 1 to 100 objects";
        return Reply::error(Code::BatchValidation, message).problems(read.problems);
    }
    let mut problems = submit::problems(app, &read);
    problems.truncate(MAX_PROBLEMS);
    Reply::told(200, preview::plan(app.model(), app.limits(), caller, read, &problems))
}

/// Cancels, pauses or resumes the batch at `id`.
pub(super) async fn act(app: &App, caller: &Caller, id: &str, act: Act, request: &Request) -> Reply {
    let Some(id) = BatchId::parse(id) else { return missing() };
    match lifecycle::act(app, caller, &id, act).await {
        Ok(Some((head, state))) => reads::told(&head, Some(&state)),
        Ok(None) => missing(),
        Err(refusal) => Reply::refused(refusal, &request.request_id),
    }
}

/// Sends again what failed of the batch at `id`.
pub(super) async fn retry(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let Some(id) = BatchId::parse(id) else { return missing() };
    let idempotency_key = match idempotency_key(request) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    match lifecycle::retry(app, caller, &id, (&request.path, idempotency_key), false).await {
        Ok(Some(retried)) => {
            let body = json!({
                "newBatchId": retried.told.head.id.as_str(),
                "retryCount": retried.count,
                "attempt": retried.attempt,
            });
            let location = location(&request.base_path, &retried.told.head.id);
            let reply = Reply::told(202, body).header("Retry-After", "1");
            about(reply, &retried.told, location, &Preference::default())
        }
        Ok(None) => missing(),
        Err(refusal) => Reply::refused(refusal, &request.request_id),
    }
}

pub(super) fn missing() -> Reply {
    Reply::error(Code::NotFound, "there is no such batch")
}

pub(super) fn idempotency_key(request: &Request) -> Result<Option<&str>, Reply> {
    let Some(value) = request.headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()));
    key.map(Some).ok_or_else(|| {
        let message = format!("Idempotency-Key must have 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters");
        Reply::error(Code::InvalidParameter, message).details(json!({ "header": "Idempotency-Key" }))
    })
}

fn ended(told: &Told, request: &Request, preference: &Preference) -> Reply {
    let location = location(&request.base_path, &told.head.id);
    let results_url = format!("{location}/results");
    let room = Room { bytes: MAX_RESPONSE_BYTES, results_url: &results_url, minimal: preference.minimal };
    let ran = &told.ran;
    let body = records::batch(&told.head, ran.state.as_ref(), &ran.plan, &ran.outcomes, &room);
    // It ended before the answer, so nothing was done in the background.
    let applied = Preference { background: false, ..preference.clone() };
    about(Reply::told(200, body), told, location, &applied)
}

fn accepted(told: &Told, request: &Request, preference: &Preference) -> Reply {
    let location = location(&request.base_path, &told.head.id);
    let status = told.ran.state.as_ref().map_or(Status::Pending, |state| state.status);
    let body = json!({
        "batchId": told.head.id.as_str(),
        "status": native::word(status),
        "totalItems": told.head.total(),
    });
    about(Reply::told(202, body).header("Retry-After", "1"), told, location, preference)
}

/// The headers that tell of the batch without its body.
pub(super) fn about(reply: Reply, told: &Told, location: String, preference: &Preference) -> Reply {
    let state = told.ran.state.as_ref();
    let summary = state.map(|state| state.summary).unwrap_or_default();
    let status = state.map_or(Status::Pending, |state| state.status);
    let outcome = native::outcome(status, &summary);
    let mut reply =
        reply.header("Batch-Id", told.head.id.as_str()).header("Batch-Status", outcome).header("Location", location);
    reply = reply.standing(told.standing.as_ref());
    if let Some(applied) = prefer::applied(preference) {
        reply = reply.header("Preference-Applied", applied);
    }
    if told.replayed {
        reply = reply.header("Idempotent-Replayed", "true");
    }
    reply
}
