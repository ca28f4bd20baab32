//! Telling what became of batches: one batch, its results, and listings.

use crate::app::App;
use crate::auth::Caller;
use std::collections::BTreeMap;

use crate::batch::{BatchId, Call, Dialect, Entry, Head, JobKind, NOT_SENT, Settled, State, Status};
use crate::dialect::{content, native};
use crate::limits::{MAX_PAGE, MAX_PAGE_SCANNED};
use crate::operation::Outcome;
use crate::plan::Plan;
use crate::runtime::Timestamp;
use crate::store::{self, Fault, LedgerPlace, Listing, Page, Party, Place, Store, TenantKey};

/// How long a read may take, milliseconds: well inside the gateway's 29 s.
const READ_BUDGET_MS: i64 = 10_000;

/// A listing's filter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these statuses.
    pub status: Option<Status>,
    /// Only this contract.
    pub dialect: Option<Dialect>,
    /// Only with this reference.
    pub reference: Option<String>,
    /// Only of this party.
    pub party: Option<Party>,
}

fn store(app: &App) -> Store {
    app.store().until(app.clock().now().plus_ms(READ_BUDGET_MS))
}

/// A batch and its state; `None` when there is none that `caller` may see.
pub async fn batch(app: &App, caller: &Caller, id: &BatchId) -> Result<Option<(Head, Option<State>)>, Fault> {
    let read = store(app).batch(&TenantKey::new(caller.tenant()), id).await?;
    Ok(read.filter(|(head, _)| head.visible_to(caller)))
}

/// A batch and what is known of its contract calls, in the same read.
pub async fn batch_and_calls(
    app: &App,
    caller: &Caller,
    id: &BatchId,
) -> Result<Option<(Head, Option<State>, BTreeMap<usize, Call>)>, Fault> {
    let read = store(app).batch_and_ledger(&TenantKey::new(caller.tenant()), id).await?;
    Ok(read.filter(|(head, ..)| head.visible_to(caller)).map(|(head, state, entries)| {
        let calls = calls(state.as_ref(), &entries);
        (head, state, calls)
    }))
}

/// The operations of a batch and how they ended.
#[derive(Debug)]
pub struct Results {
    /// In request order.
    pub plan: Plan,
    /// In request order; `None` for one that has not ended.
    pub outcomes: Vec<Option<Outcome>>,
}

/// The results of a batch as it stands.
pub async fn results(app: &App, head: &Head, state: Option<&State>) -> Result<Results, Fault> {
    let contents = store(app).contents(&TenantKey::new(head.tenant()), head, state).await?;
    let plan = Plan::ordered(contents.work, head.order.clone());
    let mut outcomes = vec![None; head.total()];
    let cut = state.and_then(|state| state.cut);
    let ended = contents.outcomes.into_iter().chain(cut.iter().map(|cut| cut.outcome()).cycle());
    for (index, outcome) in head.order.iter().zip(ended) {
        if let Some(slot) = outcomes.get_mut(*index) {
            *slot = Some(outcome);
        }
    }
    Ok(Results { plan, outcomes })
}

/// Up to `limit` entries of a batch's log after `after`, oldest first, and where the next page starts. The first is told
/// by the head, and the end by the state; the others are rows.
pub async fn log(
    app: &App,
    head: &Head,
    state: Option<&State>,
    (limit, after): (usize, Option<Place>),
) -> Result<(Vec<Entry>, Option<Place>), Fault> {
    let keys = TenantKey::new(head.tenant());
    let mut entries: Vec<(Place, Entry)> = Vec::new();
    if after.is_none() {
        entries.push((Place::first(), Entry::created(head)));
    }
    let after = after.unwrap_or_else(Place::first);
    let rows = store(app).log(&keys, head, &after, limit + 1).await?;
    let ended = state.and_then(|state| Entry::ended(state, native::word(state.status)));
    let ended = ended.map(|entry| (Place::of(&entry), entry)).filter(|(place, _)| *place > after);
    // Where the rows are cut, it may belong behind those that are not here.
    let here = rows.len() <= limit;
    let ended = ended.filter(|(place, _)| here || rows.last().is_some_and(|(last, _)| place < last));
    let behind = entries.len();
    entries.extend(rows);
    entries.extend(ended);
    if let Some(behind) = entries.get_mut(behind..) {
        behind.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|(place, _)| place.clone());
    Ok((entries.into_iter().map(|(_, entry)| entry).collect(), next))
}

/// The batches that `caller` may list, newest first: its own, for an admin the tenant's.
pub async fn batches(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    limit: usize,
    place: Option<&str>,
) -> Result<Page, Fault> {
    let listing = match (&filter.party, &filter.reference) {
        (Some(party), _) => Listing::Party(party.clone()),
        (None, Some(reference)) => Listing::Reference(reference.clone()),
        (None, None) if caller.is_admin() => Listing::Tenant,
        (None, None) => Listing::Subject(caller.subject().to_owned()),
    };
    let keep = |head: &Head, state: Option<&State>| {
        let status = head.status(state).told();
        head.visible_to(caller)
            && filter.status.is_none_or(|wanted| wanted == status)
            && filter.dialect.is_none_or(|wanted| wanted == head.dialect)
            && (filter.reference.is_none() || filter.reference == head.reference)
    };
    // What is filtered is read in full pages, or a rare status would take a call for every few batches.
    let filtered =
        filter.status.is_some() || filter.dialect.is_some() || filter.reference.is_some() || filter.party.is_some();
    let step = if filtered { MAX_PAGE } else { limit };
    store(app).batches(&TenantKey::new(caller.tenant()), &listing, (limit, step), place, keep).await
}

/// What is known of the calls of a batch, by position in the request. Of a batch that was ended from outside, what the
/// state does not tell is told by the ledger: what is signed may have been sent, what is not never will be.
fn calls(state: Option<&State>, entries: &[store::Entry]) -> BTreeMap<usize, Call> {
    let ended = state.is_some_and(|state| state.status.is_terminal());
    let mut calls = BTreeMap::new();
    for entry in entries {
        let LedgerPlace::Item(index) = entry.place else { continue };
        let known = state.and_then(|state| state.calls.get(&index)).cloned();
        let settled = known.or_else(|| match (&entry.sent, &entry.refused) {
            _ if !ended => None,
            (_, Some(word)) => Some(Settled::refused(word)),
            (Some(_), None) => Some(Settled::Unknown),
            (None, None) => Some(Settled::refused(NOT_SENT)),
        });
        let seen = entry.progress.as_deref().unwrap_or("pending");
        let sent = entry.sent.as_ref().filter(|_| entry.refused.is_none());
        let chain = sent.map(|sent| (sent.signed.txid.clone(), seen.to_owned()));
        calls.insert(index, Call { settled, chain });
    }
    calls
}

/// Which content jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct ContentFilter {
    /// Only of this creator.
    pub creator: Option<String>,
    /// Only where the job stands so, in the words of its contract.
    pub status: Option<&'static str>,
    /// Only of this kind.
    pub kind: Option<JobKind>,
    /// Made then or later.
    pub from: Option<Timestamp>,
    /// Made then or earlier.
    pub to: Option<Timestamp>,
}

/// The content jobs that `caller` may list, newest first: of a creator, else its own, for an admin the tenant's.
pub async fn content_batches(
    app: &App,
    caller: &Caller,
    filter: &ContentFilter,
    (skip, limit): (usize, usize),
    place: Option<&str>,
) -> Result<Page, Fault> {
    let listing = match &filter.creator {
        Some(creator) => Listing::Party(Party::Creator(creator.clone())),
        None if caller.is_admin() => Listing::Tenant,
        None => Listing::Subject(caller.subject().to_owned()),
    };
    let keep = |head: &Head, state: Option<&State>| {
        let Some(job) = &head.job else { return false };
        head.visible_to(caller)
            && filter.creator.as_ref().is_none_or(|creator| *creator == job.creator)
            && filter.status.is_none_or(|word| word == content::word(state))
            && filter.kind.is_none_or(|kind| kind == job.kind)
            && filter.from.is_none_or(|from| head.created >= from)
            && filter.to.is_none_or(|to| head.created <= to)
    };
    let wanted = (skip + limit).min(MAX_PAGE_SCANNED);
    let keys = TenantKey::new(caller.tenant());
    let mut page = store(app).batches(&keys, &listing, (wanted, MAX_PAGE), place, keep).await?;
    page.batches.drain(..skip.min(page.batches.len()));
    Ok(page)
}
