//! Running a batch: the one use case behind the inline path of submit and the queue path of the executor.

use crate::app::App;
use crate::batch::{Head, State};
use crate::engine::{Ran, Run, run};
use crate::lifecycle::give_up;
use crate::limits::{EXECUTOR_BUDGET_MS, SWEPT_MINUTES};
use crate::queue::{Message, VERSION};
use crate::runtime::Timestamp;
use crate::store::{Contents, Fault, TenantKey};

/// Runs the batch on from `state` until it has ended or `until` is near.
pub async fn execute(
    app: &App,
    head: &Head,
    state: Option<State>,
    contents: Contents,
    until: Timestamp,
) -> Result<Ran, Fault> {
    let begun = app.clock().now();
    let store = app.store().until(until);
    let (model, limits, clock, entropy) = (app.model(), app.limits(), app.clock(), app.entropy());
    let ran = run(&Run { store: &store, model, limits, clock, entropy, until, head }, state, contents).await?;
    let summary = ran.state.as_ref().map(|state| state.summary).unwrap_or_default();
    tracing::info!(
        batch.id = %head.id,
        batch.status = ran.state.as_ref().map_or("pending", |state| state.status.as_str()),
        batch.operations = head.total(),
        batch.successful = summary.successful,
        batch.failed = summary.failed,
        batch.skipped = summary.skipped,
        duration_ms = app.clock().now().since_ms(begun),
        "batch executed"
    );
    Ok(ran)
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
/// What is no message of ours stays where it is, for a person.
pub async fn bury(app: &App, body: &str) -> Handled {
    let message = match read(body) {
        Reading::Message(message) => message,
        // The next minute's event does the same work.
        Reading::Tick(_) => return Handled::Done,
        Reading::Unreadable(reason) => {
            tracing::error!(reason, "dead letter cannot be read");
            return Handled::Again;
        }
    };
    match give_up(app, &TenantKey::new(&message.tenant), &message.batch_id).await {
        Ok(()) => Handled::Done,
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
    match resume(app, &message, deadline).await {
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
    let Some((head, state)) = store.batch(&keys, &message.batch_id).await? else {
        tracing::warn!(batch.id = %message.batch_id, "no such batch; the message is dropped");
        return Ok(Handled::Done);
    };
    if state.as_ref().is_some_and(|state| state.status.is_terminal()) {
        return Ok(Handled::Done);
    }
    let contents = store.contents(&keys, &head, state.as_ref()).await?;
    let ran = execute(app, &head, state, contents, until).await?;
    // A paused batch is sent again when it is resumed.
    if ran.ended() || ran.paused() {
        return Ok(Handled::Done);
    }
    let Some(queue) = app.queue() else { return Ok(Handled::Again) };
    queue.send(message, deadline).await?;
    Ok(Handled::Done)
}

/// Sends the batches again that were made some minutes before `time` and have not ended: their message was never sent,
/// or was lost. One that is being worked on is none the worse for it.
async fn sweep(app: &App, time: Timestamp, deadline: Timestamp) -> Handled {
    let Some(queue) = app.queue() else { return Handled::Again };
    let store = app.store().until(deadline);
    let mut handled = Handled::Done;
    for age in SWEPT_MINUTES {
        let found = match store.unfinished(time.minutes() - age).await {
            Ok(found) => found,
            Err(fault) => {
                tracing::error!(error = %fault, "batches could not be looked for");
                handled = Handled::Again;
                continue;
            }
        };
        for (tenant, id) in found {
            tracing::warn!(batch.id = %id, batch.age_minutes = age, "batch has not ended; its message is sent again");
            if let Err(fault) = queue.send(&Message::execute(&tenant, &id), deadline).await {
                tracing::error!(batch.id = %id, error = %fault, "message not sent");
                handled = Handled::Again;
            }
        }
    }
    handled
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
