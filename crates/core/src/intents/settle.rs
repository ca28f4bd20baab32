//! What becomes of sets that were sent, and the end of a batch.

use super::send::{Sender, replace};
use super::{Batch, CALL_MS, cluster, whole};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Cut, Defeat, Phase, State, Status, pack};
use crate::execute;
use crate::gateway::orby::{Looked, Progress};
use crate::intent::{Address, Reason};
use crate::limits::MAX_PAUSE_MS;
use crate::operation::{Code, Outcome, SkipReason};
use crate::queue::Message;
use crate::runtime::Timestamp;
use crate::store::{Fault, IntentBatch, SignedSet, TenantKey, Written};

/// How long a set may be unknown to Orby after it was sent, milliseconds; then it was not taken.
const MISSING_MS: i64 = 600_000;

/// Where the operation at `index` stands; `None` before it is signed. What is merged shares the outcome.
pub(crate) fn phase(batch: &Batch, index: usize) -> Option<Phase> {
    let set = batch.intents.sets.get(index)?;
    let index = set.merged_into.unwrap_or(index);
    let set = batch.intents.sets.get(index)?;
    if let Some(defeat) = &set.defeat {
        return Some(Phase::Failed(defeat.clone(), false));
    }
    let row = batch.stored.rows.iter().find(|row| row.index == index);
    match (row, &batch.stored.state) {
        (Some(row), _) => Some(row.phase.clone()),
        // Ended without having been executed.
        (None, Some(state)) if state.status.is_terminal() => Some(Phase::Skipped),
        (None, _) => None,
    }
}

/// Whether everything in it has come to its end, whether or not the executor has said so yet.
pub(crate) fn has_ended(stored: &IntentBatch) -> bool {
    let Some(state) = &stored.state else { return false };
    state.status.is_terminal() || stored.rows.iter().all(|row| row.phase.is_final())
}

/// Positions of what failed or was skipped.
pub(super) fn failed(batch: &Batch) -> Vec<usize> {
    let lost = |index: &usize| matches!(phase(batch, *index), Some(Phase::Failed(..) | Phase::Skipped));
    (0..batch.intents.sets.len()).filter(lost).collect()
}

/// The batch as it stands, after Orby was asked about what nobody asked about for 30 s. What is learnt is kept, by one
/// conditional write for each such set.
pub async fn status(app: &App, caller: &Caller, id: &BatchId) -> Result<Option<Batch>, Fault> {
    let Some(mut batch) = super::batch(app, caller, id).await? else { return Ok(None) };
    if let Some(sender) = sender(app, &TenantKey::new(caller.tenant()), app.clock().now().plus_ms(CALL_MS)) {
        look(&sender, &mut batch, app.limits().look_ms).await?;
    }
    Ok(Some(batch))
}

/// What it takes to reach Orby; `None` in a deployment without it.
pub(super) fn sender<'a>(app: &'a App, keys: &TenantKey, until: Timestamp) -> Option<Sender<'a>> {
    let store = app.store().until(until);
    Some(Sender { app, orby: app.orby()?, keys: keys.clone(), store, until })
}

/// Asks Orby about every open set that nobody asked about for so long.
async fn look(sender: &Sender<'_>, batch: &mut Batch, every_ms: i64) -> Result<(), Fault> {
    let now = sender.app.clock().now();
    let head = &batch.stored.head;
    let Some((profile, account)) = head.profile.as_ref().and_then(|p| Some((p, Address::parse(&p.address).ok()?)))
    else {
        return Ok(());
    };
    let due = |row: &&SignedSet| row.phase.is_open() && now.since_ms(row.looked.max(row.since)) >= every_ms;
    let mut changed = Vec::new();
    for row in batch.stored.rows.iter().filter(due) {
        let Some(set) = batch.intents.sets.get(row.index) else { continue };
        let looked = match cluster::node(sender.orby, profile, account, set.chain).await {
            Ok(node) => sender.orby.look_up(&node, &row.ids).await,
            Err(failed) => Err(failed),
        };
        match looked {
            Ok(looked) => {
                let next = learnt(row, &looked, sender.app.clock().now());
                if sender.store.put_set(&sender.keys, head, &next).await? == Written::Done {
                    changed.push(next);
                }
            }
            Err(failed) => tracing::warn!(batch.id = %head.id, error = %failed, "a set was not looked up"),
        }
    }
    for row in changed {
        replace(&mut batch.stored.rows, row);
    }
    Ok(())
}

/// The row after a look-up.
fn learnt(row: &SignedSet, looked: &[Looked], now: Timestamp) -> SignedSet {
    let all = |progress: Progress| looked.iter().all(|one| one.progress == progress);
    let failed = looked.iter().find_map(|one| match one.progress {
        Progress::Failed(reason) => Some(reason),
        _ => None,
    });
    let taken = row.phase == Phase::Taken;
    let phase = match failed {
        Some(reason) => Phase::Failed(Defeat::new(reason), true),
        None if all(Progress::Successful) => Phase::Done,
        None if all(Progress::NotFound) && now.since_ms(row.since) > MISSING_MS => {
            Phase::Failed(Defeat::new(Reason::Timeout), taken)
        }
        None if all(Progress::NotFound) => row.phase.clone(),
        None => Phase::Taken,
    };
    let hash = looked.iter().rev().find_map(|one| one.hash.clone());
    let since = if phase == row.phase { row.since } else { now };
    SignedSet {
        rev: row.rev + 1,
        phase,
        since,
        looked: now,
        tx_hash: hash.or_else(|| row.tx_hash.clone()),
        ..row.clone()
    }
}

/// Works a batch on until `until`: sends what is ready, looks up what is open, ends it when nothing is left. True when a
/// message should come again.
pub async fn resume(app: &App, message: &Message, until: Timestamp) -> Result<Option<i64>, Fault> {
    let keys = TenantKey::new(&message.tenant);
    let store = app.store().until(until);
    let Some(stored) = store.intent_batch(&keys, &message.batch_id).await? else { return Ok(None) };
    let now = app.clock().now();
    match &stored.state {
        None if stored.head.created.plus_ms(MAX_PAUSE_MS) <= now => return expire(app, &keys, &stored).await,
        None => return Ok(None),
        Some(state) if state.status.is_terminal() => return Ok(None),
        Some(_) => {}
    }
    let mut batch = whole(&store, &keys, stored).await?;
    let Some(sender) = sender(app, &keys, until) else {
        return Err(Fault::new("work on intents", "Orby is not set"));
    };
    let started = batch.stored.state.as_ref().map_or(now, |state| state.started);
    if batch.stored.head.deadline(started, 0) <= now {
        look(&sender, &mut batch, 0).await?;
        abandon(&sender, &mut batch).await?;
    } else {
        look(&sender, &mut batch, app.limits().look_ms).await?;
        sender.send_ready(&mut batch).await?;
    }
    if end(app, &keys, &batch).await? {
        return Ok(None);
    }
    Ok(Some(look_s(app)))
}

/// Seconds until the next look-up is due.
pub(super) fn look_s(app: &App) -> i64 {
    (app.limits().look_ms / 1_000).max(1)
}

/// What is not at its end when its time is over: what was not sent never will be, what was sent is not waited for.
async fn abandon(sender: &Sender<'_>, batch: &mut Batch) -> Result<(), Fault> {
    let open: Vec<SignedSet> = batch.stored.rows.iter().filter(|row| !row.phase.is_final()).cloned().collect();
    for row in open {
        let phase = match row.phase {
            Phase::Ready => Phase::Skipped,
            _ => Phase::Failed(Defeat::new(Reason::Timeout), row.phase == Phase::Taken),
        };
        if let Some(row) = sender.put(batch, row, phase).await? {
            replace(&mut batch.stored.rows, row);
        }
    }
    Ok(())
}

/// Ends a batch that was never signed.
async fn expire(app: &App, keys: &TenantKey, stored: &IntentBatch) -> Result<Option<i64>, Fault> {
    let now = app.clock().now();
    let mut state = State::begun(&stored.head, now).next(app.entropy().hex32(), now);
    state.cut_off(Cut::Deadline);
    let store = app.store().until(now.plus_ms(CALL_MS));
    if store.put_state(keys, &stored.head, None, &state).await? == Written::Done {
        execute::ended(app, &stored.head, &state);
    }
    Ok(None)
}

/// Ends the batch when everything in it has; whether it has ended then.
pub(super) async fn end(app: &App, keys: &TenantKey, batch: &Batch) -> Result<bool, Fault> {
    let Some(state) = batch.stored.state.as_ref().filter(|state| state.status == Status::Running) else {
        return Ok(batch.stored.state.is_some());
    };
    if !has_ended(&batch.stored) {
        return Ok(false);
    }
    let outcomes: Vec<Outcome> = (0..batch.intents.sets.len()).map(|index| outcome(batch, index)).collect();
    let now = app.clock().now();
    let mut next = state.next(app.entropy().hex32(), now);
    for outcome in &outcomes {
        next.summary.add(outcome);
    }
    next.cursor = outcomes.len();
    next.results.inline = pack(&outcomes)?;
    next.status = Status::at_end(&next.summary);
    let store = app.store().until(now.plus_ms(CALL_MS));
    let written = store.put_state(keys, &batch.stored.head, Some(state.rev), &next).await?;
    if written == Written::Done {
        execute::ended(app, &batch.stored.head, &next);
    }
    Ok(written == Written::Done)
}

/// How an operation ended, in the words of every contract.
fn outcome(batch: &Batch, index: usize) -> Outcome {
    let at = batch.intents.sets.get(index).and_then(|set| set.merged_into).unwrap_or(index);
    let row = batch.stored.rows.iter().find(|row| row.index == at);
    match phase(batch, index) {
        Some(Phase::Done) => {
            let data = serde_json::json!([{ "txHash": row.and_then(|row| row.tx_hash.clone()) }]);
            Outcome::Completed { data }
        }
        Some(Phase::Failed(defeat, _)) => {
            let message = format!("{}: {}", defeat.reason.as_str(), defeat.reason.message());
            Outcome::failed(Code::BatchExecutionFailed, message)
        }
        _ => Outcome::Skipped { reason: SkipReason::BatchStopped },
    }
}
