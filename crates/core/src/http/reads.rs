//! `GET` routes.

use serde_json::{Map, Value, json};

use super::{Reply, Request};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Dialect, Head, State, Status, Summary};
use crate::dialect::analysis::analysis;
use crate::dialect::native;
use crate::limits;
use crate::operation::{Action, Code};
use crate::rate::{Quotas, WINDOW_MS};
use crate::status::{self, Filter};
use crate::store::{Party, Place};

pub(super) fn health() -> Reply {
    Reply::told(200, json!({ "status": "ok" }))
}

pub(super) fn capabilities(app: &App) -> Reply {
    let actions: Vec<&str> = Action::ALL.into_iter().map(Action::as_str).collect();
    let dialects: Vec<&str> = Dialect::ALL.into_iter().map(Dialect::as_str).collect();
    let entities: Vec<&str> = app.model().entities().map(|entity| entity.name.as_str()).collect();
    let rate_limits: serde_json::Map<String, Value> = Dialect::ALL
        .into_iter()
        .map(|dialect| {
            let Quotas { batches, operations } = app.limiter().rates().of(dialect);
            let told = json!({ "batches": batches, "operations": operations, "windowMs": WINDOW_MS });
            (dialect.as_str().to_owned(), told)
        })
        .collect();
    Reply::told(
        200,
        json!({
            "dialects": dialects,
            "actions": actions,
            "entities": entities,
            "rateLimits": rate_limits,
            "limits": limits_told(app),
        }),
    )
}

/// Every limit by the name it is told under.
fn limits_told(app: &App) -> Value {
    let told: [(&str, Value); 42] = [
        ("operations", limits::MAX_OPERATIONS.into()),
        ("intents", limits::MAX_INTENTS.into()),
        ("bodyBytes", limits::MAX_BODY_BYTES.into()),
        ("expandedBodyBytes", limits::MAX_EXPANDED_BYTES.into()),
        ("bodyDepth", limits::MAX_DEPTH.into()),
        ("headerBytes", limits::MAX_HEADER_BYTES.into()),
        ("queryBytes", limits::MAX_QUERY_BYTES.into()),
        ("responseBytes", limits::MAX_RESPONSE_BYTES.into()),
        ("idempotencyKeyLength", limits::MAX_IDEMPOTENCY_KEY.into()),
        ("referenceLength", limits::MAX_REFERENCE.into()),
        ("idBytes", limits::MAX_ID_BYTES.into()),
        ("dependenciesPerOperation", limits::MAX_DEPENDENCIES.into()),
        ("referencesPerOperation", limits::MAX_REFERENCES_PER_OPERATION.into()),
        ("substitutedBytesPerOperation", limits::MAX_SUBSTITUTED_PER_OPERATION.into()),
        ("substitutedBytesPerBatch", limits::MAX_SUBSTITUTED_PER_BATCH.into()),
        ("rowBytes", limits::MAX_ITEM_BYTES.into()),
        ("resultBytesPerOperation", limits::MAX_RESULT_BYTES.into()),
        ("resultBytesPerBatch", limits::MAX_RESULTS_BYTES.into()),
        ("readLimit", limits::MAX_READ_LIMIT.into()),
        ("defaultReadLimit", limits::DEFAULT_READ_LIMIT.into()),
        ("scannedRows", limits::MAX_SCANNED_ROWS.into()),
        ("searchLimit", limits::MAX_SEARCH_LIMIT.into()),
        ("defaultSearchLimit", limits::DEFAULT_SEARCH_LIMIT.into()),
        ("queryCharacters", limits::MAX_QUERY_CHARS.into()),
        ("queryWords", limits::MAX_QUERY_WORDS.into()),
        ("filterValues", limits::MAX_FILTER_VALUES.into()),
        ("timeoutMs", limits::MAX_TIMEOUT_MS.into()),
        ("defaultTimeoutMs", limits::DEFAULT_TIMEOUT_MS.into()),
        ("maxRetries", limits::MAX_RETRIES.into()),
        ("retryAttempts", limits::MAX_RETRY_ATTEMPTS.into()),
        ("contentIdLength", limits::MAX_CONTENT_ID.into()),
        ("creatorLength", limits::MAX_CREATOR.into()),
        ("removalReasonLength", limits::MAX_REMOVAL_REASON.into()),
        ("tokenGatingBytes", limits::MAX_TOKEN_GATING_BYTES.into()),
        ("contentTimeoutMs", limits::CONTENT_TIMEOUT_MS.into()),
        ("contentCallsAtOnce", app.content_concurrency().into()),
        ("intentLookMs", app.limits().look_ms.into()),
        ("inlineMs", limits::INLINE_BUDGET_MS.into()),
        ("atomicActions", app.limits().actions.into()),
        ("atomicBytes", app.limits().bytes.into()),
        ("retentionMs", limits::RETENTION_MS.into()),
        ("pageSize", limits::MAX_PAGE.into()),
    ];
    told.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect::<Map<_, _>>().into()
}

pub(super) async fn audit(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let (head, state) = match seen(app, caller, id, &request.request_id).await {
        Ok(seen) => seen,
        Err(reply) => return reply,
    };
    let scope = format!("{}#audit#{}#{}", caller.tenant(), head.id, head.seed);
    let (limit, place) = match page(app, request, &scope, limits::MAX_PAGE) {
        Ok(page) => page,
        Err(reply) => return reply,
    };
    let after = place.as_deref().and_then(Place::parse);
    match status::log(app, &head, state.as_ref(), (limit, after)).await {
        Ok((entries, next)) => {
            let data: Vec<Value> = entries.iter().map(native::entry).collect();
            paged(app, &data, next.as_ref().map(Place::as_str), &scope)
        }
        Err(fault) => Reply::fault(&fault, &request.request_id),
    }
}

/// The batch at `id`, if the caller may see it; what it may not see is not there.
async fn seen(app: &App, caller: &Caller, id: &str, request_id: &str) -> Result<(Head, Option<State>), Reply> {
    let missing = || Reply::error(Code::NotFound, "there is no such batch");
    let id = BatchId::parse(id).ok_or_else(missing)?;
    match status::batch(app, caller, &id).await {
        Ok(found) => found.ok_or_else(missing),
        Err(fault) => Err(Reply::fault(&fault, request_id)),
    }
}

pub(super) async fn batch(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    match seen(app, caller, id, &request.request_id).await {
        Ok((head, state)) => told(&head, state.as_ref()),
        Err(reply) => reply,
    }
}

/// A batch as it stands.
pub(super) fn told(head: &Head, state: Option<&State>) -> Reply {
    let summary = state.map_or_else(|| Summary::pending(head.total()), |state| state.summary);
    let status = head.status(state);
    let reply = Reply::told(200, native::batch(head, state))
        .header("Batch-Id", head.id.as_str())
        .header("Batch-Status", native::outcome(status, &summary));
    if status.is_terminal() { reply } else { reply.header("Retry-After", "1") }
}

pub(super) async fn failure_analysis(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let (head, state) = match seen(app, caller, id, &request.request_id).await {
        Ok(seen) => seen,
        Err(reply) => return reply,
    };
    if head.profile.is_some() {
        return super::intents::failure_analysis(app, caller, id, request).await;
    }
    match status::results(app, &head, state.as_ref()).await {
        Ok(results) => Reply::told(200, analysis(&head, state.as_ref(), &results.plan, &results.outcomes)),
        Err(fault) => Reply::fault(&fault, &request.request_id),
    }
}

pub(super) async fn results(app: &App, caller: &Caller, id: &str, request: &Request) -> Reply {
    let (head, state) = match seen(app, caller, id, &request.request_id).await {
        Ok(seen) => seen,
        Err(reply) => return reply,
    };
    let wanted = match request.parameter("status") {
        None => None,
        Some(word @ ("completed" | "failed" | "skipped" | "pending")) => Some(word),
        Some(_) => return wrong("status", "must be completed, failed, skipped or pending"),
    };
    let scope = format!("{}#results#{}#{}", caller.tenant(), head.id, wanted.unwrap_or("all"));
    let (limit, place) = match page(app, request, &scope, limits::MAX_PAGE) {
        Ok(page) => page,
        Err(reply) => return reply,
    };
    let from = place.and_then(|place| place.parse().ok()).unwrap_or(0_usize);
    let results = match status::results(app, &head, state.as_ref()).await {
        Ok(results) => results,
        Err(fault) => return Reply::fault(&fault, &request.request_id),
    };
    let matching = results.outcomes.iter().enumerate().skip(from).filter(|(_, outcome)| {
        let word = outcome.as_ref().map_or("pending", |outcome| outcome.word());
        wanted.is_none_or(|wanted| wanted == word)
    });
    let (mut data, mut bytes, mut next) = (Vec::new(), 0, None);
    for (index, outcome) in matching {
        let told = native::result(&results.plan, index, outcome.as_ref());
        // Quotes are escaped once more on the way out, which at most doubles a text.
        bytes += 2 * told.to_string().len();
        if data.len() == limit || (bytes > limits::MAX_RESPONSE_BYTES && !data.is_empty()) {
            next = Some(index.to_string());
            break;
        }
        data.push(told);
    }
    paged(app, &data, next.as_deref(), &scope)
}

pub(super) async fn batches(app: &App, caller: &Caller, request: &Request) -> Reply {
    let party = match (request.parameter("creator"), request.parameter("profileId")) {
        (None, None) => None,
        (Some(creator), None) => Some(Party::Creator(creator.to_owned())),
        (None, Some(profile)) => Some(Party::Profile(profile.to_owned())),
        (Some(_), Some(_)) => return wrong("creator", "and profileId are two listings; ask for one of them"),
    };
    for parameter in ["reference", "creator", "profileId"] {
        let length = request.parameter(parameter).map_or(1, |value| value.chars().count());
        if !(1..=limits::MAX_REFERENCE).contains(&length) {
            return wrong(parameter, &format!("must have 1 to {} characters", limits::MAX_REFERENCE));
        }
    }
    let reference = request.parameter("reference").map(str::to_owned);
    let mut filter = Filter { reference, party, ..Filter::default() };
    if let Some(word) = request.parameter("status") {
        filter.status = native::status(word);
        if filter.status.is_none() {
            let words: Vec<&str> = Status::ALL.into_iter().map(native::word).collect();
            return wrong("status", &format!("must be one of {}", words.join(", ")));
        }
    }
    if let Some(word) = request.parameter("dialect") {
        filter.dialect = Dialect::parse(word);
        if filter.dialect.is_none() {
            let words: Vec<&str> = Dialect::ALL.into_iter().map(Dialect::as_str).collect();
            return wrong("dialect", &format!("must be one of {}", words.join(", ")));
        }
    }
    let scope = format!(
        "{}#batches#{}#{}#{:?}",
        caller.tenant(),
        caller.subject(),
        caller.is_admin(),
        (&filter.status, &filter.dialect, &filter.reference, &filter.party)
    );
    let (limit, place) = match page(app, request, &scope, limits::MAX_PAGE) {
        Ok(page) => page,
        Err(reply) => return reply,
    };
    match status::batches(app, caller, &filter, limit, place.as_deref()).await {
        Ok(page) => {
            let data: Vec<Value> =
                page.batches.iter().map(|(head, state)| native::batch(head, state.as_ref())).collect();
            paged(app, &data, page.next.as_deref(), &scope)
        }
        Err(fault) => Reply::fault(&fault, &request.request_id),
    }
}

/// `limit` and the place in `cursor`.
pub(super) fn page(app: &App, request: &Request, scope: &str, most: usize) -> Result<(usize, Option<String>), Reply> {
    let limit = match request.parameter("limit") {
        None => limits::DEFAULT_PAGE,
        Some(text) => match text.parse() {
            Ok(limit) if (1..=most).contains(&limit) => limit,
            _ => return Err(wrong("limit", &format!("must be a whole number from 1 to {most}"))),
        },
    };
    let place = match request.parameter("cursor") {
        None => None,
        Some(cursor) => match app.cursor_key().and_then(|key| key.open(scope, cursor)) {
            Some(place) => Some(place),
            None => return Err(wrong("cursor", "must be a nextCursor of this very listing, with the same filters")),
        },
    };
    Ok((limit, place))
}

pub(super) fn paged(app: &App, data: &[Value], next: Option<&str>, scope: &str) -> Reply {
    let cursor = next.and_then(|place| app.cursor_key().map(|key| key.seal(scope, place)));
    Reply::told(200, json!({ "data": data, "hasMore": cursor.is_some(), "nextCursor": cursor }))
}

pub(super) fn wrong(parameter: &str, reason: &str) -> Reply {
    Reply::error(Code::InvalidParameter, format!("{parameter} {reason}")).details(json!({ "parameter": parameter }))
}
