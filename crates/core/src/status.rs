//! Telling what became of batches: one batch, its results, and listings.

use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Dialect, Head, State, Status};
use crate::limits::MAX_PAGE;
use crate::operation::Outcome;
use crate::plan::Plan;
use crate::store::{Fault, Listing, Page, Party, Store, TenantKey};

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
        let status = state.map_or(Status::Pending, |state| state.status.told());
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
