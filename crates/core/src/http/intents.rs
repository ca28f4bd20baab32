//! `/api/v1/profiles/...` and `/api/v1/batch/...`: blockchain intents.

use serde_json::{Value, json};

use super::writes::{idempotency_key, missing};
use super::{Reply, Request, body, prefer};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Summary};
use crate::dialect::intents as wire;
use crate::dialect::native;
use crate::intents::{self, Asked, Batch, Retried, Stopped};
use crate::operation::Code;
use crate::submit::Preference;

pub(super) async fn create(app: &App, caller: &Caller, profile: &str, request: &Request) -> Reply {
    let read = match body::read(request) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let idempotency_key = match idempotency_key(request) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    let asked = Asked { path: &request.path, idempotency_key, body: &read };
    match Box::pin(intents::create(app, caller, profile, asked)).await {
        Ok(created) => {
            let told = wire::created(&created.batch.stored.head, &created.batch.intents, app.tokens());
            let reply = about(Reply::told(200, told), &created.batch, request).standing(created.standing.as_ref());
            if created.replayed { reply.header("Idempotent-Replayed", "true") } else { reply }
        }
        Err(stopped) => refused(stopped, request),
    }
}

pub(super) async fn execute(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let read = match body::read(request) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let Some(id) = BatchId::parse(id) else { return missing() };
    let preference = prefer::read(&request.headers);
    let wait_ms = match (preference.background, preference.wait_s) {
        (true, _) => 0,
        (false, Some(seconds)) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000),
        (false, None) => i64::MAX,
    };
    match Box::pin(intents::execute(app, caller, &id, (&read, wait_ms))).await {
        Ok(executed) => {
            let batch = &executed.batch;
            let (head, state) = (&batch.stored.head, batch.stored.state.as_ref());
            let told = batch.told();
            let body = wire::executed(head, state, &told, &batch.intents.order);
            // What is not sent yet is sent in the background.
            let status = if batch.is_waiting() { 202 } else { 200 };
            let reply = about(Reply::told(status, body), batch, request);
            let reply = if status == 202 { reply.header("Retry-After", "2") } else { reply };
            let applied =
                Preference { background: preference.background && status == 202, minimal: false, ..preference };
            let reply = match prefer::applied(&applied) {
                Some(applied) => reply.header("Preference-Applied", applied),
                None => reply,
            };
            if executed.replayed { reply.header("Idempotent-Replayed", "true") } else { reply }
        }
        Err(stopped) => refused(stopped, request),
    }
}

pub(super) async fn status(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let Some(id) = BatchId::parse(id) else { return missing() };
    match intents::status(app, caller, &id).await {
        Ok(Some(batch)) => {
            let body = wire::status(&batch.stored.head, batch.stored.state.as_ref(), &batch.told());
            let reply = about(Reply::told(200, body), &batch, request);
            if batch.has_ended() { reply } else { reply.header("Retry-After", "5") }
        }
        Ok(None) => missing(),
        Err(fault) => Reply::fault(&fault, &request.request_id),
    }
}

pub(super) async fn retry(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let read = if request.body.is_empty() { Ok(json!({})) } else { body::read(request) };
    let read = match read {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let idempotency_key = match idempotency_key(request) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    let Some(id) = BatchId::parse(id) else { return missing() };
    let asked = Asked { path: &request.path, idempotency_key, body: &read };
    match Box::pin(intents::retry(app, caller, &id, asked)).await {
        Ok(Retried { created, count, attempt }) => {
            let head = &created.batch.stored.head;
            let told = wire::created(head, &created.batch.intents, app.tokens());
            let body = wire::retried(told, &head.id, (count, attempt));
            let reply = about(Reply::told(200, body), &created.batch, request).standing(created.standing.as_ref());
            if created.replayed { reply.header("Idempotent-Replayed", "true") } else { reply }
        }
        Err(stopped) => refused(stopped, request),
    }
}

pub(super) async fn failure_analysis(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let Some(id) = BatchId::parse(id) else { return missing() };
    match intents::batch(app, caller, &id).await {
        Ok(Some(batch)) => Reply::told(200, analysis(&batch)),
        Ok(None) => missing(),
        Err(fault) => Reply::fault(&fault, &request.request_id),
    }
}

/// Why a batch of intents failed.
pub(super) fn analysis(batch: &Batch) -> Value {
    wire::analysis(&batch.stored.head, batch.stored.state.as_ref(), &batch.told(), batch.has_ended())
}

fn about(reply: Reply, batch: &Batch, request: &Request) -> Reply {
    let (head, state) = (&batch.stored.head, batch.stored.state.as_ref());
    let summary = state.map_or_else(|| Summary::pending(head.total()), |state| state.summary);
    reply
        .header("Batch-Id", head.id.as_str())
        .header("Batch-Status", native::outcome(head.status(state), &summary))
        .header("Location", format!("{}/api/v1/batch/{}/status", request.base_path, head.id))
}

fn refused(stopped: Stopped, request: &Request) -> Reply {
    match stopped {
        Stopped::Refused(refusal) => Reply::refused(refusal, &request.request_id),
        Stopped::Missing => Reply::error(Code::NotFound, "there is no such batch or profile of yours"),
        Stopped::NotOwner => Reply::error(Code::Forbidden, "only the owner of the profile may do this"),
        Stopped::Wrong(problems) => {
            let (message, details) = wire::wrong(&problems);
            Reply::error(Code::BatchValidation, message).problems(problems).details(details)
        }
        Stopped::Failed { code, message, details } => Reply::error(code, message).details(details),
    }
}
