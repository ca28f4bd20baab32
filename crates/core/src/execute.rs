//! Running a batch: the one use case behind the inline path of submit and the queue path of the executor.

use tracing::Instrument;

use crate::app::App;
use crate::batch::{Head, State, Status};
use crate::calls;
use crate::engine::{Ran, Run, run};
use crate::intents;
use crate::lifecycle::give_up;
use crate::limits::{EXECUTOR_BUDGET_MS, FIRST_WATCH_MS, MOST_WATCH_MS, SWEPT_MINUTES};
use crate::queue::{Message, VERSION};
use crate::runtime::Timestamp;
use crate::store::{Contents, Entry, Fault, Standing, TenantKey, Watched};
use crate::trace::{self, Trace};

/// Runs the batch on from `state` until it has ended or `until` is near.
pub async fn execute(
    app: &App,
    head: &Head,
    state: Option<State>,
    contents: Contents,
    until: Timestamp,
) -> Result<Ran, Fault> {
    let span = tracing::error_span!("batch", batch.id = %head.id);
    go_on(app, head, state, contents, until).instrument(span).await
}

async fn go_on(
    app: &App,
    head: &Head,
    state: Option<State>,
    contents: Contents,
    until: Timestamp,
) -> Result<Ran, Fault> {
    let begun = app.clock().now();
    let store = app.store().until(until);
    let (model, limits, clock, entropy) = (app.model(), app.limits(), app.clock(), app.entropy());
    let with = Run { store: &store, model, limits, clock, entropy, until, head };
    if state.as_ref().is_none_or(|state| !state.status.is_terminal()) {
        tell_start(head, state.as_ref());
    }
    // The largest future there is: in a box, those that wait for it stay small.
    let mut ran = Box::pin(run(&with, state, contents)).await?;
    if ran.state.as_ref().is_some_and(State::waits_for_calls) {
        let ids = ran.plan.content().map(|content| content.ids.as_slice()).unwrap_or_default();
        ran.state = Box::pin(calls::make(app, head, ids, until)).await?;
        ran.wrote_end = ran.ended();
    }
    let summary = ran.state.as_ref().map(|state| state.summary).unwrap_or_default();
    tracing::info!(
        batch.contract = head.dialect.as_str(),
        batch.status = ran.state.as_ref().map_or("pending", |state| state.status.as_str()),
        batch.operations = head.total(),
        batch.successful = summary.successful,
        batch.failed = summary.failed,
        batch.skipped = summary.skipped,
        duration_ms = app.clock().now().since_ms(begun),
        "batch executed"
    );
    let now = ran.state.as_ref().map_or(head.created, |state| state.updated);
    app.metrics().ran(head, now, ran.effort);
    if let Some(state) = ran.state.as_ref().filter(|_| ran.wrote_end) {
        ended(app, head, state);
    }
    Ok(ran)
}

fn tell_start(head: &Head, state: Option<&State>) {
    tracing::info!(
        batch.contract = head.dialect.as_str(),
        batch.operations = head.total(),
        batch.atomic = head.options.atomic,
        batch.continue_on_error = head.options.continue_on_error,
        batch.max_retries = head.options.max_retries,
        batch.timeout_ms = head.options.timeout_ms,
        batch.background = head.background,
        batch.cursor = state.map_or(0, |state| state.cursor),
        batch.order = head.order_text(),
        "batch started"
    );
}

/// Tells operators that a batch was accepted.
pub(crate) fn accepted(app: &App, head: &Head) {
    tracing::info!(
        batch.id = %head.id,
        batch.contract = head.dialect.as_str(),
        batch.operations = head.total(),
        batch.retry_of = head.lineage.as_ref().map(|lineage| lineage.retry_of.as_str()),
        "batch accepted"
    );
    app.metrics().accepted(head);
}

/// Tells operators how a batch ended; once, by whoever wrote its end.
pub(crate) fn ended(app: &App, head: &Head, state: &State) {
    calls::warn_of(head, state);
    tracing::info!(
        batch.id = %head.id,
        batch.contract = head.dialect.as_str(),
        batch.status = state.status.as_str(),
        batch.operations = head.total(),
        batch.successful = state.summary.successful,
        batch.failed = state.summary.failed,
        batch.skipped = state.summary.skipped,
        duration_ms = head.worked_ms(state),
        "batch ended"
    );
    app.metrics().ended(head, state);
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// Its work is done, or handed on, or there is none.
    Done,
    /// Deliver it again.
    Again,
}

/// Ends the batch of a message that failed as often as the queue delivers one, so that a client that polls gets an end.
/// What is committed is not given up, and a sweep is done again. What is no message of ours stays where it is, for a
/// person.
pub async fn bury(app: &App, body: &str, deadline: Timestamp) -> Handled {
    let message = match read(body) {
        Reading::Message(message) => message,
        Reading::Tick(time) => return sweep(app, time, deadline).await,
        Reading::Unreadable(reason) => {
            tracing::error!(reason, "dead letter cannot be read");
            return Handled::Again;
        }
    };
    name(&message);
    match give_up(app, &TenantKey::new(&message.tenant), &message.batch_id).await {
        Ok(true) => Handled::Done,
        Ok(false) => work(app, &message, deadline).await,
        Err(fault) => {
            tracing::error!(batch.id = %message.batch_id, error = %fault, "batch not given up");
            Handled::Again
        }
    }
}

/// Works on one queue message. Acknowledged only when the batch has ended, is gone, or a continuation was accepted.
pub async fn handle(app: &App, body: &str, deadline: Timestamp) -> Handled {
    let message = match read(body) {
        Reading::Message(message) => message,
        Reading::Tick(time) => return sweep(app, time, deadline).await,
        Reading::Unreadable(reason) => {
            tracing::error!(reason, "message cannot be read; it will end in the dead-letter queue");
            return Handled::Again;
        }
    };
    name(&message);
    work(app, &message, deadline).await
}

/// Has every line that is written for a message name its batch.
fn name(message: &Message) {
    tracing::Span::current().record("batch.id", tracing::field::display(&message.batch_id));
}

async fn work(app: &App, message: &Message, deadline: Timestamp) -> Handled {
    match resume(app, message, deadline).await {
        Ok(handled) => handled,
        Err(fault) => {
            tracing::error!(batch.id = %message.batch_id, error = %fault, "execution failed; it will be tried again");
            Handled::Again
        }
    }
}

async fn resume(app: &App, message: &Message, deadline: Timestamp) -> Result<Handled, Fault> {
    let until = deadline.min(app.clock().now().plus_ms(EXECUTOR_BUDGET_MS));
    let store = app.store().until(until);
    let keys = TenantKey::new(&message.tenant);
    let Some((head, state, entries)) = store.batch_and_ledger(&keys, &message.batch_id).await? else {
        tracing::warn!(batch.id = %message.batch_id, "no such batch; the message is dropped");
        return Ok(Handled::Done);
    };
    if head.profile.is_some() {
        let Some(delay_s) = Box::pin(intents::resume(app, message, until)).await? else { return Ok(Handled::Done) };
        let Some(queue) = app.queue() else { return Ok(Handled::Again) };
        queue.send(message, delay_s, deadline).await?;
        return Ok(Handled::Done);
    }
    // A wide commit that was stopped by the batch's end may have left locks.
    if let Some(state) = state.as_ref().filter(|state| state.status.is_terminal() && state.stale.is_empty()) {
        return follow(app, message, (&head, state, entries), (until, deadline)).await;
    }
    let left_locks = state.as_ref().is_some_and(|state| state.status.is_terminal());
    let contents = store.contents(&keys, &head, state.as_ref()).await?;
    let ran = execute(app, &head, state, contents, until).await?;
    if left_locks {
        // They are off now, which the state, being final, cannot tell the sweep.
        store.unwatch(&keys, &head.id).await?;
    }
    if ran.ended() && app.chain().is_some() && ran.state.as_ref().is_some_and(State::has_calls_to_follow) {
        look_again(app, message, deadline).await;
    }
    // A paused batch is sent again when it is resumed.
    if ran.ended() || ran.paused() {
        return Ok(Handled::Done);
    }
    let Some(queue) = app.queue() else { return Ok(Handled::Again) };
    queue.send(message, delay_s(ran.state.as_ref(), app.clock().now()), deadline).await?;
    Ok(Handled::Done)
}

/// Looks up what became of the transactions of a batch that has ended; for a while by messages of its own, later when
/// the sweep asks.
async fn follow(
    app: &App,
    message: &Message,
    (head, state, entries): (&Head, &State, Vec<Entry>),
    (until, deadline): (Timestamp, Timestamp),
) -> Result<Handled, Fault> {
    if head.job.is_none() {
        return Ok(Handled::Done);
    }
    let open = calls::follow(app, head, entries, until).await?;
    if open == Some(0) {
        tracing::info!(batch.id = %head.id, "every transaction of the batch has come to its end");
    } else if open.is_some() && app.clock().now().since_ms(state.updated) < FOLLOWED_MS {
        look_again(app, message, deadline).await;
    }
    Ok(Handled::Done)
}

/// How long after its end a batch's transactions are looked up without the sweep, milliseconds.
const FOLLOWED_MS: i64 = 90_000;
/// Between two such looks, seconds: about as long as a block takes.
const LOOK_S: i64 = 5;

async fn look_again(app: &App, message: &Message, deadline: Timestamp) {
    let Some(queue) = app.queue() else { return };
    if let Err(fault) = queue.send(message, LOOK_S, deadline).await {
        tracing::warn!(batch.id = %message.batch_id, error = %fault, "message not sent; the sweep looks");
    }
}

/// Seconds until a continuation can do anything: while another process prepares a wide commit, until its lease is over.
fn delay_s(state: Option<&State>, now: Timestamp) -> i64 {
    let attempt = state.filter(|state| state.status == Status::Preparing).and_then(|state| state.attempt.as_ref());
    attempt.map_or(0, |attempt| (attempt.lease.since_ms(now).max(0) + 999) / 1_000)
}

/// Looks at the batches that were made, or are to be looked at, some minutes before `time`, and sends again what has not
/// ended: its message was never sent, or was lost. One that is being worked on is none the worse for it. What is open
/// at the last of these looks is watched from then on, ever more rarely.
async fn sweep(app: &App, time: Timestamp, deadline: Timestamp) -> Handled {
    let mut handled = Handled::Done;
    for age in SWEPT_MINUTES {
        let store = app.store().until(deadline);
        let found = match store.watched(time.minutes() - age).await {
            Ok(found) => found,
            Err(fault) => {
                tracing::error!(error = %fault, "batches could not be looked for");
                handled = Handled::Again;
                continue;
            }
        };
        let last = SWEPT_MINUTES.last() == Some(&age);
        for watched in found {
            // In the trace of the request that made it, not in that of this look.
            let look = Box::pin(look_after(app, &watched, (time, last), deadline));
            if let Err(fault) = trace::scope(watched.trace.clone(), look).await {
                tracing::error!(batch.id = %watched.id, error = %fault, "batch not looked after");
                handled = Handled::Again;
            }
        }
    }
    handled
}

async fn look_after(
    app: &App,
    watched: &Watched,
    (time, last): (Timestamp, bool),
    deadline: Timestamp,
) -> Result<(), Fault> {
    let (store, keys) = (app.store().until(deadline), TenantKey::new(&watched.tenant));
    let standing = match watched.standing {
        Standing::Followed if is_followed(app, watched, deadline).await? => Standing::Open { paused_until: None },
        Standing::Followed => Standing::Ended,
        standing => standing,
    };
    let paused_until = match standing {
        Standing::Followed => None,
        Standing::Ended if watched.every_ms.is_some() => return store.unwatch(&keys, &watched.id).await,
        Standing::Ended => return Ok(()),
        Standing::Open { paused_until } => paused_until,
    };
    if paused_until.is_none_or(|until| until <= app.clock().now()) {
        let trace = watched.trace.as_ref().map(Trace::id);
        tracing::warn!(batch.id = %watched.id, trace.id = trace, "batch has not ended; its message is sent again");
        let queue = app.queue().ok_or_else(|| Fault::new("send message", "no queue is set"))?;
        queue.send(&Message::execute(&watched.tenant, &watched.id), 0, deadline).await?;
    }
    if last {
        let every = watched.every_ms.map_or(FIRST_WATCH_MS, |every| (every * 2).min(MOST_WATCH_MS));
        // An event that is worked on late must not name a minute whose looks are over.
        let from = time.max(app.clock().now());
        let due = from.plus_ms(every);
        let due = paused_until.map_or(due, |until| due.min(until.max(from)));
        store.watch(&keys, &watched.id, (due, every)).await?;
    }
    Ok(())
}

/// Whether transactions of a batch that has ended are still open.
async fn is_followed(app: &App, watched: &Watched, deadline: Timestamp) -> Result<bool, Fault> {
    if app.chain().is_none() {
        return Ok(false);
    }
    let keys = TenantKey::new(&watched.tenant);
    let read = app.store().until(deadline).batch_and_ledger(&keys, &watched.id).await?;
    Ok(read.is_some_and(|(_, _, entries)| entries.iter().any(calls::is_open)))
}

enum Reading {
    Message(Message),
    /// The scheduled event of the minute rule, and the time in it.
    Tick(Timestamp),
    Unreadable(&'static str),
}

fn read(body: &str) -> Reading {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(body) else {
        return Reading::Unreadable("not JSON");
    };
    if value["source"] == "aws.events" && value["detail-type"] == "Scheduled Event" {
        let time = value["time"].as_str().and_then(Timestamp::parse);
        return time.map_or(Reading::Unreadable("a scheduled event without a time"), Reading::Tick);
    }
    if value["v"] != VERSION {
        return Reading::Unreadable("a version this one does not know");
    }
    serde_json::from_value(value).map_or(Reading::Unreadable("not a message of ours"), Reading::Message)
}
