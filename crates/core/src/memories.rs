//! What the routes of one memory do: each write is a batch of its own, each read looks without one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Dialect};
use crate::dialect::Request;
use crate::dialect::memories::{self as dialect, Listing};
use crate::engine::look as evaluate_alone;
use crate::json::{Object, canonical, sha256_hex};
use crate::limits::RESENT_MS;
use crate::model::permission::Access;
use crate::operation::{Draft, Failure, Operation, Outcome};
use crate::plan::{RowKey, forbidden};
use crate::search::Memory;
use crate::store::{Fault, Store, TenantKey};
use crate::submit::{Preference, Refusal, Submission, Submitted, Told, refuse_each, submit};

/// How long a read may take, milliseconds.
const READ_BUDGET_MS: i64 = 10_000;
/// Creations of one text in one window that are told apart, because the ones before were deleted.
const MOST_AGAIN: u32 = 20;

/// Who sends, where to, and the key that makes a repeated sending the same write.
#[derive(Debug)]
pub struct Sender<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// The concrete path.
    pub path: &'a str,
    /// The client's own key.
    pub idempotency_key: Option<&'a str>,
}

/// What became of a write.
#[derive(Debug)]
pub enum Answered {
    /// It is wrong, and nothing was stored.
    Refused(Failure),
    /// It ran, or goes on.
    Ran(Box<Told>),
}

fn store(app: &App) -> Store {
    app.store().until(app.clock().now().plus_ms(READ_BUDGET_MS))
}

/// Writes as `request` asks. It is charged as records are: the quota of this contract is for batches.
pub async fn write(app: &App, sender: &Sender<'_>, mut request: Request) -> Result<Answered, Refusal> {
    refuse_each(app, &mut request);
    if let Some(refused) = request.drafts.iter().find_map(|draft| draft.refused.clone()) {
        return Ok(Answered::Refused(refused));
    }
    let submission = Submission {
        caller: sender.caller,
        dialect: Dialect::Memories,
        quota: Dialect::Records,
        path: sender.path,
        idempotency_key: sender.idempotency_key,
        preference: &Preference::default(),
        request,
    };
    let (Submitted::Ended(told) | Submitted::Accepted(told)) = Box::pin(submit(app, submission)).await?;
    Ok(Answered::Ran(Box::new(told)))
}

/// Makes a memory of `body`. Published clients send a creation again that was not answered in time, without a key: the
/// same body of the same caller within a minute is answered with the memory that it has made, as long as that is there.
pub async fn create(app: &App, sender: &Sender<'_>, entity: &str, body: &Value) -> Result<Answered, Refusal> {
    let ask = || dialect::create(entity, body);
    if sender.idempotency_key.is_some() {
        return write(app, sender, ask()).await;
    }
    let hash = sha256_hex(canonical(body).as_bytes());
    let now = app.clock().now();
    let window = now.0.div_euclid(RESENT_MS);
    // No header holds such a character, so no client's own key is like this.
    let key = |window: i64, again: u32| format!("\u{1}{hash}#{window}#{again}");
    let mut again = 0;
    let (tenant, subject) = (sender.caller.tenant(), sender.caller.subject());
    let earlier = BatchId::idempotent(tenant.as_str(), subject, sender.path, &key(window - 1, 0));
    let earlier = store(app).batch(&TenantKey::new(tenant), &earlier).await.map_err(Refusal::NotStarted)?;
    let recent = earlier.is_some_and(|(head, _)| now.since_ms(head.created) < RESENT_MS);
    let mut at = if recent { window - 1 } else { window };
    loop {
        let key = key(at, again);
        let answered = write(app, &Sender { idempotency_key: Some(&key), ..*sender }, ask()).await?;
        match &answered {
            Answered::Ran(told)
                if told.replayed && again < MOST_AGAIN && is_gone(app, sender.caller, entity, told).await =>
            {
                (at, again) = (window, again + 1);
            }
            _ => return Ok(answered),
        }
    }
}

/// Whether the memory that an earlier creation made is not there any more. What cannot be found out counts as there.
async fn is_gone(app: &App, caller: &Caller, entity: &str, told: &Told) -> bool {
    let Some(Outcome::Completed { data }) = told.ran.outcomes.first() else { return false };
    let Some(key) = data.pointer("/0/id").and_then(|id| RowKey::new(entity, id)) else { return false };
    let rows = store(app).rows(&TenantKey::new(caller.tenant()), std::slice::from_ref(&key)).await;
    rows.is_ok_and(|rows| rows.get(&key).is_none_or(|row| row.fields().is_none()))
}

/// How the one read of `request` ends.
pub async fn look(app: &App, caller: &Caller, mut request: Request) -> Result<Outcome, Fault> {
    refuse_each(app, &mut request);
    let operation: Option<Operation> = request.drafts.into_iter().next().and_then(Draft::accept);
    let operation = operation.ok_or_else(|| Fault::new("look", "a request without an operation"))?;
    Box::pin(evaluate_alone(&store(app), app.model(), caller, app.clock().now(), operation)).await
}

/// How the search of `request` ends. It is charged: it reads every search row of the tenant.
pub async fn search(app: &App, caller: &Caller, request: Request) -> Result<Result<Outcome, Fault>, Refusal> {
    app.limiter().charge(app, caller, Dialect::Records, 1).await?;
    Ok(look(app, caller, request).await)
}

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// In order.
    pub rows: Vec<Object>,
    /// How many match on all pages.
    pub total: usize,
}

/// The memories that `listing` asks for, as of their search rows: those are read consistently, so what was written by
/// anybody before is listed.
pub async fn list(app: &App, caller: &Caller, entity: &str, listing: &Listing) -> Result<Result<Page, Failure>, Fault> {
    let keys = TenantKey::new(caller.tenant());
    let access = app.model().entity(entity).map(|entity| (entity, [caller]));
    if access.is_some_and(|(entity, callers)| !Access::new(entity, &callers).sees_all()) {
        return Ok(Err(forbidden(format!("you may not list {entity}: some of it is hidden from you"))));
    }
    let store = store(app);
    let postings = store.postings(&keys).await?;
    let mut found: Vec<(i64, &str)> = Vec::new();
    let mut open: BTreeMap<RowKey, i64> = BTreeMap::new();
    for (id, posting) in &postings {
        let at = if listing.by_update { posting.updated.0 } else { posting.created.0 };
        match listing.filters.of_row(&posting.bytes) {
            Ok(Some(true)) => found.push((at, id)),
            Ok(Some(false)) => {}
            Ok(None) => drop(open.insert(RowKey { entity: entity.to_owned(), id: id.clone() }, at)),
            Err(unreadable) => return Err(Fault::new("list", unreadable.to_string())),
        }
    }
    let undecided: Vec<RowKey> = open.keys().cloned().collect();
    let rows = store.rows(&keys, &undecided).await?;
    let passes = |key: &&RowKey| {
        let fields = rows.get(key).and_then(|row| row.fields());
        fields.is_some_and(|fields| listing.filters.accept(&Memory::from(fields)))
    };
    found.extend(undecided.iter().filter(passes).map(|key| (open[key], key.id.as_str())));
    found.sort_unstable_by(|(a, a_id), (b, b_id)| {
        let by_time = if listing.ascending { a.cmp(b) } else { b.cmp(a) };
        by_time.then_with(|| a_id.cmp(b_id))
    });
    let total = found.len();
    let from = listing.limit.saturating_mul(listing.page - 1);
    let wanted: Vec<RowKey> = found
        .iter()
        .skip(from)
        .take(listing.limit)
        .map(|(_, id)| RowKey { entity: entity.to_owned(), id: (*id).to_owned() })
        .collect();
    let rows = store.rows(&keys, &wanted).await?;
    let rows = wanted.iter().filter_map(|key| rows.get(key)?.fields().cloned()).collect();
    Ok(Ok(Page { rows, total }))
}
