//! What a client may do to a batch that was accepted: cancel, pause, resume, retry.
//!
//! Each is one guarded write of the state, or a new batch, and in the same transaction a row of the batch's log. A race
//! with a commit is decided by the store: whoever writes the state first wins, and the other sees it.

use std::collections::BTreeMap;

use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Call, Content, Cut, Entry, Head, Settled, State, Status, Work};
use crate::json::{canonical, sha256_hex};
use crate::limits::{MAX_PAUSES, MAX_RETRY_ATTEMPTS};
use crate::operation::{Code, Operation, OperationId, Outcome};
use crate::plan::{Plan, referred};
use crate::store::{Fault, TenantKey, Written};
use crate::submit::{Acceptance, Preference, Refusal, Rejection, Submitted, Told, enqueue, stranger_to};
use crate::{execute, status};

/// How long one of these may take, milliseconds.
const BUDGET_MS: i64 = 10_000;

/// What is done to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// End it where it stands.
    Cancel,
    /// Stop it after the chunk at work.
    Pause,
    /// Let it go on.
    Resume,
}

impl Act {
    /// How the log tells of it.
    fn done(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

/// Does `act` to the batch; the batch as it stands then. `None` when there is none that `caller` may see.
pub async fn act(app: &App, caller: &Caller, id: &BatchId, act: Act) -> Result<Option<(Head, State)>, Refusal> {
    let store = app.store().until(app.clock().now().plus_ms(BUDGET_MS));
    let keys = TenantKey::new(caller.tenant());
    loop {
        let found = status::batch(app, caller, id).await.map_err(Refusal::NotStarted)?;
        let Some((head, before)) = found else { return Ok(None) };
        if head.profile.is_some() && (act != Act::Cancel || before.as_ref().is_some_and(|s| !s.status.is_terminal())) {
            let message = "a batch of intents can be cancelled until it is executed, and not paused";
            return Err(Rejection::new(Code::NotSupported, message).into());
        }
        let now = app.clock().now().max(head.created);
        let state = before.clone().unwrap_or_else(|| State::begun(&head, now));
        let mut next = state.next(app.entropy().hex32(), now);
        match (act, state.status) {
            (_, status) if status.is_terminal() => {
                let message = format!("the batch has ended: it is {}", crate::dialect::native::word(status));
                return Err(Rejection::new(Code::BatchEnded, message).into());
            }
            (Act::Cancel | Act::Pause, Status::Committed) => {
                let message = "the batch is committed: its effects are being written, and it ends then";
                return Err(Rejection::new(Code::BatchEnded, message).into());
            }
            (Act::Pause, Status::Paused) => return Ok(Some((head, state))),
            (Act::Cancel, _) => next.cut_off(Cut::Cancelled),
            (Act::Pause, _) if state.pauses >= MAX_PAUSES => {
                let message = format!("the batch was paused {MAX_PAUSES} times, which is as often as it may be");
                return Err(Rejection::new(Code::PauseLimit, message).into());
            }
            (Act::Pause, _) => {
                next.status = Status::Paused;
                next.pauses += 1;
            }
            (Act::Resume, Status::Paused) => {
                // Time stood still: from the pause, which was the last write, until now.
                next.paused_ms += next.updated.since_ms(state.updated);
                next.status = Status::Running;
            }
            (Act::Resume, _) => {
                return Err(Rejection::new(Code::NotPaused, "the batch is not paused").into());
            }
        }
        let guard = before.as_ref().map(|state| state.rev);
        let entry = Entry::of_caller(next.updated, act.done(), caller);
        let written = store.put_state_by(&keys, &head, guard, (&next, &entry)).await.map_err(Refusal::Unknown)?;
        if written == Written::Late {
            return Err(Refusal::Unknown(Fault::new("write state", "the time of the call is over")));
        }
        if written == Written::Done {
            tell(app, act, &head, &next);
            // Locks of a wide commit that this stopped are taken off in the background.
            if act == Act::Resume || !next.stale.is_empty() {
                enqueue(app, &head).await;
            }
            return Ok(Some((head, next)));
        }
        // Somebody else moved it; or it was this very write, whose answer was lost.
        let stands = status::batch(app, caller, id).await.map_err(Refusal::Unknown)?;
        if let Some((head, Some(state))) =
            stands.filter(|(_, state)| state.as_ref().is_some_and(|s| s.nonce == next.nonce))
        {
            tell(app, act, &head, &state);
            return Ok(Some((head, state)));
        }
    }
}

fn tell(app: &App, act: Act, head: &Head, state: &State) {
    tracing::info!(batch.id = %head.id, act = act.done(), "batch acted on by its client");
    if state.status.is_terminal() {
        execute::ended(app, head, state);
    }
}

/// Ends a batch that could not be worked on; nothing to do when it has ended, or is gone. False when it is committed:
/// then its effects must be written, whatever it takes.
pub async fn give_up(app: &App, keys: &TenantKey, id: &BatchId) -> Result<bool, Fault> {
    let store = app.store().until(app.clock().now().plus_ms(BUDGET_MS));
    loop {
        let Some((head, before)) = store.batch(keys, id).await? else { return Ok(true) };
        let now = app.clock().now();
        let state = before.clone().unwrap_or_else(|| State::begun(&head, now));
        // What was signed and sent cannot be given up: what becomes of it is told by its chain.
        if state.status.is_terminal() || state.status == Status::Committed || head.profile.is_some() {
            return Ok(state.status.is_terminal());
        }
        let mut next = state.next(app.entropy().hex32(), now);
        next.cut_off(Cut::Poison);
        let written = store.put_state(keys, &head, before.as_ref().map(|state| state.rev), &next).await?;
        if written == Written::Late {
            return Err(Fault::new("write state", "the time of the call is over"));
        }
        if written == Written::Done {
            tracing::error!(batch.id = %id, "batch given up: its message failed too often");
            execute::ended(app, &head, &next);
            if !next.stale.is_empty() {
                enqueue(app, &head).await;
            }
            return Ok(true);
        }
    }
}

/// A new batch of what failed or was skipped.
#[derive(Debug)]
pub struct Retried {
    /// The new batch.
    pub told: Told,
    /// How many operations were copied.
    pub count: usize,
    /// How manieth retry in the line it is.
    pub attempt: usize,
}

/// Sends what failed or was skipped again, as a new batch in the background. References to what succeeded resolve to
/// the results there were. `None` when there is no batch that `caller` may see.
pub async fn retry(
    app: &App,
    caller: &Caller,
    id: &BatchId,
    (path, idempotency_key): (&str, Option<&str>),
    only_contract: bool,
) -> Result<Option<Retried>, Refusal> {
    let found = status::batch_and_calls(app, caller, id).await.map_err(Refusal::NotStarted)?;
    let Some((head, state, calls)) = found else { return Ok(None) };
    if head.profile.is_some() {
        let message = "intents are built and signed anew: POST /api/v1/batch/{batchId}/retry";
        return Err(Rejection::new(Code::NotSupported, message).into());
    }
    if let Some(job) = head.job.as_ref().filter(|job| !caller.acts_for(&job.creator)) {
        return Err(Rejection { problems: Vec::new(), ..stranger_to(&job.creator) }.into());
    }
    if !state.as_ref().is_some_and(|state| state.status.is_terminal()) {
        return Err(
            Rejection::new(Code::BatchNotEnded, "the batch has not ended; only then it is known what failed").into()
        );
    }
    let attempt = head.lineage.as_ref().map_or(0, |lineage| lineage.attempt) + 1;
    if attempt > MAX_RETRY_ATTEMPTS {
        let message = format!("the batch is retry {MAX_RETRY_ATTEMPTS} of its line, which is the last");
        return Err(Rejection::new(Code::RetryLimit, message).into());
    }
    let results = status::results(app, &head, state.as_ref()).await.map_err(Refusal::NotStarted)?;
    let (operations, given, content) = match results.plan.content() {
        None => {
            let (operations, given) = remainder(&results.plan, &results.outcomes);
            (operations, given, None)
        }
        Some(content) => {
            let (operations, content) = content_remainder(content, &results, &calls, only_contract);
            (operations, BTreeMap::new(), Some(content))
        }
    };
    if operations.is_empty() {
        let message = if only_contract { "no contract call was refused" } else { "every operation succeeded" };
        return Err(Rejection::new(Code::NothingToRetry, message).into());
    }
    let count = operations.len();
    let plan =
        Plan::new(operations).map_err(|_| Rejection::new(Code::BatchValidation, "the batch cannot be ordered"))?;
    let order = plan.order().to_vec();
    let preference = Preference { background: true, ..Preference::default() };
    let acceptance = Acceptance {
        caller,
        dialect: head.dialect,
        quota: head.dialect,
        path,
        idempotency_key,
        preference: &preference,
        work: Work { operations: plan.into_operations(), given, content, ..Work::default() },
        order,
        options: head.options.clone(),
        reference: head.reference.clone(),
        body_hash: sha256_hex(canonical(&retry_of(id, only_contract)).as_bytes()),
        retries: Some((&head, attempt)),
    };
    let (Submitted::Ended(told) | Submitted::Accepted(told)) = Box::pin(acceptance.accept(app)).await?;
    Ok(Some(Retried { told, count, attempt }))
}

/// What an idempotency key of a retry stands for.
fn retry_of(id: &BatchId, only_contract: bool) -> serde_json::Value {
    if only_contract {
        return serde_json::json!(["retry", id.as_str(), "contract"]);
    }
    serde_json::json!(["retry", id.as_str()])
}

/// The items of a content job that failed, or with `only_contract` those whose calls were refused.
fn content_remainder(
    content: &Content,
    results: &status::Results,
    calls: &BTreeMap<usize, Call>,
    only_contract: bool,
) -> (Vec<Operation>, Content) {
    let refused = |index: usize| {
        let settled = calls.get(&index).and_then(|call| call.settled.as_ref());
        matches!(settled, Some(Settled::Refused { .. }))
    };
    let wanted = |index: usize| {
        let completed = results.outcomes.get(index).is_some_and(|o| o.as_ref().is_some_and(Outcome::is_completed));
        if only_contract { completed && refused(index) } else { !completed }
    };
    let wanted = content.ids.iter().enumerate().filter(|(index, _)| wanted(*index));
    let ids: Vec<String> = wanted.map(|(_, id)| id.clone()).collect();
    let mut job = content.job.clone();
    job.contract_only |= only_contract;
    let content = Content { job, ids };
    (content.operations(), content)
}

/// The operations that did not succeed, and the results of the others that they refer to.
fn remainder(plan: &Plan, outcomes: &[Option<Outcome>]) -> (Vec<Operation>, BTreeMap<OperationId, serde_json::Value>) {
    let ended = || plan.operations().iter().zip(outcomes);
    let succeeded: BTreeMap<&OperationId, &serde_json::Value> = ended()
        .filter_map(|(operation, outcome)| match outcome {
            Some(Outcome::Completed { data }) => Some((&operation.id, data)),
            _ => None,
        })
        .collect();
    let mut operations: Vec<Operation> = Vec::new();
    let mut given = BTreeMap::new();
    for (operation, _) in ended().filter(|(operation, _)| !succeeded.contains_key(&operation.id)) {
        for name in referred(operation) {
            let Some(id) = OperationId::parse(name) else { continue };
            let data = succeeded.get(&id).copied().or_else(|| plan.given(name));
            if let Some(data) = data {
                given.insert(id, data.clone());
            }
        }
        let mut operation = operation.clone();
        operation.depends_on.retain(|id| !succeeded.contains_key(id));
        operations.push(operation);
    }
    (operations, given)
}
