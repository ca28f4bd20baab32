//! The routes of the memories contract.

use serde_json::{Value, json};

use super::reply::Reply;
use super::route::{Errand, location};
use super::writes::{about, idempotency_key};
use super::{Request, body, prefer};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{Dialect, Status};
use crate::dialect::memories as dialect;
use crate::dialect::records::Room;
use crate::json::Object;
use crate::limits::{MAX_PROBLEMS, MAX_REFERENCE, MAX_RESPONSE_BYTES};
use crate::memories::{self, Answered, Sender};
use crate::operation::{Code, Failure, Outcome};
use crate::store::Fault;
use crate::submit::{self, Preference, Submission, Submitted, Told};

const REFERENCE: &str = "X-Batch-Id";

pub(super) fn health(app: &App) -> Reply {
    let mut told = Object::new();
    told.insert("status".to_owned(), "ok".into());
    told.insert("timestamp".to_owned(), app.clock().now().to_string().into());
    Reply::told(200, dialect::twice(told))
}

/// The entity that memories are rows of.
fn entity(app: &App) -> Result<&str, Reply> {
    let entity = app.model().searched().map(|entity| entity.name.as_str());
    entity.ok_or_else(|| Reply::error(Code::NotSupported, "this service keeps no memories"))
}

/// A reply to what cannot be read, in the words of this contract.
fn unreadable(reply: Reply, code: Code) -> Reply {
    match reply.code() {
        Some(Code::InvalidJson) => reply.recoded(code).details(json!({ "field": "body", "reason": "invalid_json" })),
        Some(Code::InvalidParameter) => {
            reply.recoded(code).details(json!({ "field": "Idempotency-Key", "reason": "invalid_parameter" }))
        }
        _ => reply,
    }
}

/// Takes a batch of memories in.
pub(super) async fn submit(app: &App, caller: &Caller, request: &Request) -> Reply {
    match batch(app, caller, request).await {
        Ok(reply) | Err(reply) => match reference(request) {
            Ok(Some(reference)) => reply.header(REFERENCE, reference),
            _ => reply,
        },
    }
}

async fn batch(app: &App, caller: &Caller, request: &Request) -> Result<Reply, Reply> {
    let entity = entity(app)?;
    let body = body::read(request).map_err(|reply| unreadable(reply, Code::InvalidBatchRequest))?;
    let idempotency_key = idempotency_key(request).map_err(|reply| unreadable(reply, Code::InvalidBatchRequest))?;
    let mut read = dialect::parse(&body, entity);
    read.reference = reference(request)?.map(str::to_owned);
    let mut problems = submit::problems(app, &read);
    problems.truncate(MAX_PROBLEMS);
    if read.validate_only && read.countable {
        submit::refuse_each(app, &mut read);
        let (permissions, _) = submit::permissions(app, caller, &read);
        return Ok(Reply::told(200, dialect::validation(&read.drafts, &permissions, &problems)));
    }
    if !problems.is_empty() {
        let provided = body.get("operations").and_then(Value::as_array).map_or(0, Vec::len);
        let (code, message, details) = dialect::refused(&problems, provided);
        return Err(Reply::error(code, message).details(details));
    }
    let preference = prefer::read(&request.headers);
    let submission = Submission {
        caller,
        dialect: Dialect::Memories,
        quota: Dialect::Memories,
        path: &request.path,
        idempotency_key,
        preference: &preference,
        request: read,
    };
    match Box::pin(submit::submit(app, submission)).await {
        Ok(Submitted::Ended(told)) => Ok(ended(&told, request, &preference)),
        Ok(Submitted::Accepted(told)) => Ok(accepted(&told, request, &preference)),
        Err(refusal) => Err(Reply::refused(refusal, &request.request_id)),
    }
}

/// The client's own name for the batch.
fn reference(request: &Request) -> Result<Option<&str>, Reply> {
    let Some(value) = request.headers.get(REFERENCE) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=MAX_REFERENCE).contains(&text.len()));
    text.map(Some).ok_or_else(|| {
        let message = format!("{REFERENCE} must have 1 to {MAX_REFERENCE} visible ASCII characters");
        Reply::error(Code::InvalidBatchRequest, message)
            .details(json!({ "field": REFERENCE, "reason": "invalid_value" }))
    })
}

fn ended(told: &Told, request: &Request, preference: &Preference) -> Reply {
    let location = location(&request.base_path, &told.head.id);
    let results_url = format!("{location}/results");
    let room = Room { bytes: MAX_RESPONSE_BYTES, results_url: &results_url, minimal: preference.minimal };
    let (state, ran) = (told.ran.state.as_ref(), &told.ran);
    let body = dialect::batch(&told.head, state, &ran.plan, &ran.outcomes, &room);
    let all = state.is_some_and(|state| state.status == Status::Completed);
    let applied = Preference { background: false, ..preference.clone() };
    about(Reply::told(if all { 200 } else { 207 }, body), told, location, &applied)
}

fn accepted(told: &Told, request: &Request, preference: &Preference) -> Reply {
    let location = location(&request.base_path, &told.head.id);
    let body = dialect::accepted(&told.head, told.ran.state.as_ref(), &told.ran.plan);
    about(Reply::told(202, body).header("Retry-After", "1"), told, location, preference)
}

/// Does what the routes of one memory ask for.
pub(super) async fn run(app: &App, caller: &Caller, errand: Errand, request: &Request) -> Reply {
    let done = match errand {
        Errand::Create => create(app, caller, request).await,
        Errand::List => list(app, caller, request).await,
        Errand::Read(id) => read(app, caller, &id, request).await,
        Errand::Update(id) => update(app, caller, &id, request).await,
        Errand::Delete(id) => delete(app, caller, &id, request).await,
        Errand::Search => search(app, caller, request).await,
        Errand::BulkDelete => bulk_delete(app, caller, request).await,
    };
    match done {
        Ok(reply) | Err(reply) => reply,
    }
}

fn json_body(request: &Request) -> Result<Value, Reply> {
    let body = body::read(request).map_err(|reply| unreadable(reply, Code::ValidationError))?;
    if body.is_object() {
        return Ok(body);
    }
    let details = json!({ "field": "body", "reason": "wrong_type" });
    Err(Reply::error(Code::ValidationError, "The body must be an object").details(details))
}

fn sender<'a>(caller: &'a Caller, request: &'a Request) -> Result<Sender<'a>, Reply> {
    let idempotency_key = idempotency_key(request).map_err(|reply| unreadable(reply, Code::ValidationError))?;
    Ok(Sender { caller, path: &request.path, idempotency_key })
}

/// The one row of an operation that succeeded.
fn row(outcome: &Outcome) -> Result<Object, Reply> {
    match outcome {
        Outcome::Completed { data } => Ok(data.get(0).and_then(Value::as_object).cloned().unwrap_or_default()),
        Outcome::Failed { failure } => Err(failed(failure)),
        Outcome::Skipped { .. } => {
            let told = dialect::failed(outcome);
            let code = Code::ALL.iter().copied().find(|code| told["code"] == code.as_str()).unwrap_or(Code::Internal);
            Err(Reply::error(code, told["message"].as_str().unwrap_or_default()))
        }
    }
}

fn failed(failure: &Failure) -> Reply {
    let (code, message, details) = dialect::error(failure);
    Reply::error(code, message).details(details)
}

fn fault(fault: &Fault, request: &Request) -> Reply {
    Reply::fault(fault, &request.request_id)
}

/// The answer of a write; `tell` answers for how its operations ended.
fn written(
    answered: Result<Answered, submit::Refusal>,
    request: &Request,
    tell: impl FnOnce(&[Outcome]) -> Result<Reply, Reply>,
) -> Result<Reply, Reply> {
    match answered {
        Ok(Answered::Refused(failure)) => Err(failed(&failure)),
        Ok(Answered::Ran(told)) if told.ran.ended() => {
            let reply = tell(&told.ran.outcomes)?.standing(told.standing.as_ref());
            Ok(if told.replayed { reply.header("Idempotent-Replayed", "true") } else { reply })
        }
        Ok(Answered::Ran(told)) => Ok(accepted(&told, request, &Preference::default())),
        Err(refusal) => Err(Reply::refused(refusal, &request.request_id)),
    }
}

async fn create(app: &App, caller: &Caller, request: &Request) -> Result<Reply, Reply> {
    let body = json_body(request)?;
    let answered = Box::pin(memories::create(app, &sender(caller, request)?, entity(app)?, &body)).await;
    let place = request.path.trim_end_matches('/').to_owned();
    written(answered, request, |outcomes| {
        let row = one(outcomes)?;
        let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
        let location = format!("{}{place}/{id}", request.base_path);
        Ok(Reply::told(201, dialect::memory(&row)).header("Location", location))
    })
}

fn one(outcomes: &[Outcome]) -> Result<Object, Reply> {
    outcomes.first().map_or_else(|| Ok(Object::new()), row)
}

async fn update(app: &App, caller: &Caller, id: &str, request: &Request) -> Result<Reply, Reply> {
    let body = json_body(request)?;
    let asked = dialect::update(entity(app)?, id, &body);
    let answered = Box::pin(memories::write(app, &sender(caller, request)?, asked)).await;
    written(answered, request, |outcomes| Ok(Reply::told(200, dialect::memory(&one(outcomes)?))))
}

async fn delete(app: &App, caller: &Caller, id: &str, request: &Request) -> Result<Reply, Reply> {
    let answered = memories::write(app, &sender(caller, request)?, dialect::delete(entity(app)?, id)).await;
    written(answered, request, |outcomes| one(outcomes).map(|_| Reply::nothing(204)))
}

async fn bulk_delete(app: &App, caller: &Caller, request: &Request) -> Result<Reply, Reply> {
    let body = json_body(request)?;
    let (asked, ids) = dialect::bulk(entity(app)?, &body).map_err(|failure| failed(&failure))?;
    let answered = Box::pin(memories::write(app, &sender(caller, request)?, asked)).await;
    written(answered, request, |outcomes| {
        let ended = ids.iter().zip(outcomes);
        let failed: Vec<Value> =
            ended.filter(|(_, outcome)| !outcome.is_completed()).map(|(id, _)| id.as_str().into()).collect();
        let mut told = Object::new();
        told.insert("deleted_count".to_owned(), (ids.len() - failed.len()).into());
        told.insert("failed_ids".to_owned(), failed.into());
        Ok(Reply::told(200, dialect::twice(told)))
    })
}

async fn read(app: &App, caller: &Caller, id: &str, request: &Request) -> Result<Reply, Reply> {
    let asked = dialect::look_up(entity(app)?, id);
    let outcome = memories::look(app, caller, asked).await.map_err(|error| fault(&error, request))?;
    Ok(Reply::told(200, dialect::memory(&row(&outcome)?)))
}

async fn search(app: &App, caller: &Caller, request: &Request) -> Result<Reply, Reply> {
    let body = json_body(request)?;
    let begun = app.clock().now();
    let asked = dialect::search(entity(app)?, &body);
    let outcome = memories::search(app, caller, asked).await;
    let outcome = outcome.map_err(|refusal| Reply::refused(refusal, &request.request_id))?;
    let outcome = outcome.map_err(|error| fault(&error, request))?;
    let found = row(&outcome)?;
    let results: Vec<Value> = found
        .get("results")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|result| {
            let mut told = dialect::told(result);
            let score = told.shift_remove("score").unwrap_or_default();
            told.insert("similarity_score".to_owned(), score);
            Value::Object(told)
        })
        .collect();
    let mut told = Object::new();
    told.insert("results".to_owned(), results.into());
    told.insert("total_results".to_owned(), found.get("total").cloned().unwrap_or_default());
    told.insert("search_time_ms".to_owned(), app.clock().now().since_ms(begun).into());
    Ok(Reply::told(200, dialect::twice(told)))
}

async fn list(app: &App, caller: &Caller, request: &Request) -> Result<Reply, Reply> {
    let entity = entity(app)?;
    let listing = dialect::listing(|name| request.parameter(name)).map_err(|failure| failed(&failure))?;
    let page = memories::list(app, caller, entity, &listing).await.map_err(|error| fault(&error, request))?;
    let page = page.map_err(|failure| failed(&failure))?;
    let memories: Vec<Value> = page.rows.iter().map(|row| Value::Object(dialect::told(row))).collect();
    Ok(Reply::told(
        200,
        json!({
            "success": true,
            "data": memories,
            "memories": memories,
            "pagination": {
                "page": listing.page,
                "limit": listing.limit,
                "total": page.total,
                "pages": page.total.div_ceil(listing.limit),
            },
        }),
    ))
}
