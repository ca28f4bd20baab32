//! The executor function: runs batches from the queue.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use batch_core::app::App;
use batch_core::execute::{self, Handled};
use batch_core::runtime::Timestamp;
use batch_core::trace::{self, Trace};
use futures::FutureExt;
use futures::future::join_all;
use lambda_runtime::LambdaEvent;
use std::panic::AssertUnwindSafe;
use tracing::Instrument;

/// Time kept at the end of a call for its answer, milliseconds.
const RESERVE_MS: i64 = 5_000;

/// How the name of the dead-letter queue ends: its messages are told by the queue they come from.
const DEAD_LETTERS: &str = "DeadLetterQueue";

/// Works on the messages of one delivery, each on its own: what one of them does to the process is not the others'
/// concern, and only those that failed are delivered again.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let deadline = deadline(app, event.context.deadline).plus_ms(-RESERVE_MS);
    let messages = &event.payload.records;
    let handled = join_all(messages.iter().map(|message| work(app, message, deadline))).await;
    let mut response = SqsBatchResponse::default();
    for (message, _) in messages.iter().zip(handled).filter(|(_, handled)| *handled == Handled::Again) {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap_or_default();
        response.batch_item_failures.push(failure);
    }
    response
}

/// When the call ends. Lambda gives milliseconds since the epoch, `cargo lambda` 1.9 milliseconds from now.
fn deadline(app: &App, given: u64) -> Timestamp {
    const A_DAY_MS: i64 = 86_400_000;
    let given = i64::try_from(given).unwrap_or(i64::MAX);
    if given < A_DAY_MS { app.clock().now().plus_ms(given) } else { Timestamp(given) }
}

/// Works on one message in the trace that it carries.
async fn work(app: &App, message: &SqsMessage, deadline: Timestamp) -> Handled {
    let trace = message.attributes.get("AWSTraceHeader").and_then(|header| Trace::parse(header));
    // Of the highest level, so that its fields are there whatever level is logged.
    let span = tracing::error_span!(
        "message",
        message.id = message.message_id.as_deref(),
        trace.id = trace.as_ref().map(Trace::id),
        batch.id = tracing::field::Empty
    );
    let work = Box::pin(handle_message(app, message, deadline));
    trace::scope(trace, work).instrument(span).await
}

async fn handle_message(app: &App, message: &SqsMessage, deadline: Timestamp) -> Handled {
    let body = message.body.as_deref().unwrap_or_default();
    let dead = message.event_source_arn.as_deref().is_some_and(|arn| arn.ends_with(DEAD_LETTERS));
    let attribute = |name: &str| message.attributes.get(name).and_then(|value| value.parse::<i64>().ok());
    if let Some(sent) = attribute("SentTimestamp") {
        app.metrics().delivered(app.clock().now(), Timestamp(sent));
    }
    let work = async {
        if dead { execute::bury(app, body, deadline).await } else { execute::handle(app, body, deadline).await }
    };
    let handled = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("working on a message panicked");
        Handled::Again
    });
    if dead {
        return handled;
    }
    if let (Handled::Again, Some(queue), Some(receipt)) = (handled, app.queue(), &message.receipt_handle) {
        let deliveries = attribute("ApproximateReceiveCount").and_then(|count| count.try_into().ok());
        queue.deliver_again(receipt, deliveries.unwrap_or(1)).await;
    }
    handled
}
