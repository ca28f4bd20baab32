//! `/api/batches/...`: content jobs.

use serde_json::{Value, json};

use super::reads::{page, paged, wrong};
use super::route::content_location;
use super::writes::{idempotency_key, missing};
use super::{Reply, Request, body};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, JobKind, Status};
use crate::dialect::content::{self, Asked, Room};
use crate::dialect::native;
use crate::lifecycle;
use crate::limits::{MAX_CREATOR, MAX_PAGE, MAX_PAGE_SCANNED, MAX_RESPONSE_BYTES};
use crate::operation::Code;
use crate::runtime::Timestamp;
use crate::status::{self, ContentFilter};
use crate::submit::{self, Submitted, Told};

pub(super) async fn submit(app: &App, caller: &Caller, kind: JobKind, request: &Request) -> Reply {
    let read = match body::read(request) {
        Ok(body) => content::parse(kind, &body),
        Err(reply) => return reply,
    };
    let job = match read {
        Asked::Job(job) => job,
        Asked::Wrong(problems) => {
            let messages: Vec<&str> = problems.iter().take(10).map(|problem| problem.message.as_str()).collect();
            return Reply::error(Code::BatchValidation, messages.join("; ")).problems(problems);
        }
    };
    let idempotency_key = match idempotency_key(request) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    match submit::submit_content(app, caller, (&request.path, idempotency_key), job).await {
        Ok(Submitted::Ended(told) | Submitted::Accepted(told)) => {
            let message = match kind {
                JobKind::UpdatePrice => "Batch price update initiated",
                JobKind::RemoveContent => "Batch removal initiated",
                JobKind::UpdateMetadata => "Batch metadata update initiated",
            };
            initiated(&told, message, request)
        }
        Err(refusal) => Reply::refused(refusal, &request.request_id),
    }
}

fn initiated(told: &Told, message: &str, request: &Request) -> Reply {
    let (head, state) = (&told.head, told.ran.state.as_ref());
    let body = json!({
        "message": message,
        "batchId": head.id.as_str(),
        "status": content::word(state),
        "totalItems": head.total(),
    });
    let summary = state.map(|state| state.summary).unwrap_or_default();
    let outcome = native::outcome(state.map_or(Status::Pending, |state| state.status), &summary);
    let reply = Reply::told(201, body)
        .header("Batch-Id", head.id.as_str())
        .header("Batch-Status", outcome)
        .header("Location", content_location(&request.base_path, &head.id))
        .header("Retry-After", "2")
        .standing(told.standing.as_ref());
    if told.replayed { reply.header("Idempotent-Replayed", "true") } else { reply }
}

pub(super) async fn batch(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let Some(id) = BatchId::parse(id) else { return missing() };
    let (head, state, calls) = match status::batch_and_calls(app, caller, &id).await {
        Ok(Some(read)) => read,
        Ok(None) => return missing(),
        Err(fault) => return Reply::fault(&fault, &request.request_id),
    };
    let Some(job) = &head.job else { return missing() };
    let results = match status::results(app, &head, state.as_ref()).await {
        Ok(results) => results,
        Err(fault) => return Reply::fault(&fault, &request.request_id),
    };
    let asked = results.plan.content();
    let (job, ids) = asked.map_or((job, &[][..]), |asked| (&asked.job, asked.ids.as_slice()));
    let results_url = format!("{}/batches/{}/results", request.base_path, head.id);
    let room = Room { bytes: MAX_RESPONSE_BYTES, results_url: &results_url };
    let body = content::batch((&head, job, state.as_ref()), ids, &results.outcomes, &calls, &room);
    let summary = state.as_ref().map(|state| state.summary).unwrap_or_default();
    let status = state.as_ref().map_or(Status::Pending, |state| state.status);
    let reply = Reply::told(200, body)
        .header("Batch-Id", head.id.as_str())
        .header("Batch-Status", native::outcome(status, &summary));
    if status.is_terminal() { reply } else { reply.header("Retry-After", "2") }
}

pub(super) async fn batches(app: &App, caller: &Caller, creator: Option<String>, request: &Request) -> Reply {
    let filter = match filter(creator, request) {
        Ok(filter) => filter,
        Err(reply) => return reply,
    };
    let skip = match request.parameter("skip").map(str::parse) {
        None => 0,
        Some(Ok(skip)) if skip <= MAX_PAGE_SCANNED - MAX_PAGE => skip,
        Some(_) => {
            let most = MAX_PAGE_SCANNED - MAX_PAGE;
            return wrong("skip", &format!("must be a whole number from 0 to {most}; use cursor beyond that"));
        }
    };
    let scope = format!("{}#content#{}#{}#{filter:?}", caller.tenant(), caller.subject(), caller.is_admin());
    let (limit, place) = match page(app, request, &scope, MAX_PAGE) {
        Ok(page) => page,
        Err(reply) => return reply,
    };
    match status::content_batches(app, caller, &filter, (skip, limit), place.as_deref()).await {
        Ok(page) => {
            let told = page.batches.iter().filter_map(|(head, state)| {
                let job = head.job.as_ref()?;
                Some(content::listed((head, job, state.as_ref())))
            });
            paged(app, &told.collect::<Vec<Value>>(), page.next.as_deref(), &scope)
        }
        Err(fault) => Reply::fault(&fault, &request.request_id),
    }
}

fn filter(creator: Option<String>, request: &Request) -> Result<ContentFilter, Reply> {
    let creator = creator.or_else(|| request.parameter("creator").map(str::to_owned));
    if creator.as_ref().is_some_and(|creator| !(1..=MAX_CREATOR).contains(&creator.chars().count())) {
        return Err(wrong("creator", &format!("must have 1 to {MAX_CREATOR} characters")));
    }
    let mut filter = ContentFilter { creator, ..ContentFilter::default() };
    if let Some(word) = request.parameter("status") {
        let known = content::status(word);
        filter.status = Some(known.ok_or_else(|| wrong("status", "must be pending, processing, completed or failed"))?);
    }
    if let Some(word) = request.parameter("operationType") {
        let wrong = || wrong("operationType", "must be update-price, remove-content or update-metadata");
        filter.kind = Some(JobKind::parse(word).ok_or_else(wrong)?);
    }
    let time = |name: &str| match request.parameter(name).map(Timestamp::parse) {
        Some(None) => Err(wrong(name, "must be a time like 2026-01-31T12:00:00Z")),
        found => Ok(found.flatten()),
    };
    filter.from = time("from")?;
    filter.to = time("to")?;
    Ok(filter)
}

pub(super) async fn retry(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let only_contract = if request.body.is_empty() {
        Ok(false)
    } else {
        match body::read(request) {
            Ok(body) => content::parse_retry(&body),
            Err(reply) => return reply,
        }
    };
    let only_contract = match only_contract {
        Ok(only_contract) => only_contract,
        Err(problem) => {
            return Reply::error(Code::BatchValidation, problem.message.clone()).problems(vec![problem]);
        }
    };
    let key = match idempotency_key(request) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    let Some(id) = BatchId::parse(id) else { return missing() };
    // What is no content job is not here.
    match status::batch(app, caller, &id).await {
        Ok(Some((head, _))) if head.job.is_some() => {}
        Ok(_) => return missing(),
        Err(fault) => return Reply::fault(&fault, &request.request_id),
    }
    match lifecycle::retry(app, caller, &id, (&request.path, key), only_contract).await {
        Ok(Some(retried)) => initiated(&retried.told, "Batch retry initiated", request),
        Ok(None) => missing(),
        Err(refusal) => Reply::refused(refusal, &request.request_id),
    }
}
