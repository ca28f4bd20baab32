//! The event sources of the executor: what Lambda and `EventBridge` do between a queue and the function.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::app::App;
use batch_core::runtime::{Clock, Entropy};
use lambda_http::BoxFuture;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, oneshot};

use crate::sqs::{self, Message, NewMessage, Receive, Sqs, Value as AttributeValue, queue_arn};
use crate::stop::{Stop, Tasks};

/// Messages in one delivery: the batch size of the template.
const BATCH_SIZE: u32 = 10;
/// Deliveries under way at a time.
const CONCURRENCY: u32 = 4;
/// How long a delivery may take: the timeout of the executor.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How long a receive waits for a first message.
const WAIT_S: u32 = 20;
/// Pause after a failure of the queue itself.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the minute rule fires.
const MINUTE: Duration = Duration::from_mins(1);

/// What takes the messages of a delivery, and answers with those to deliver again.
pub type Executor = Arc<dyn Fn(LambdaEvent<SqsEvent>) -> BoxFuture<'static, SqsBatchResponse> + Send + Sync>;

/// The executor function.
pub(crate) fn real_executor(app: App) -> Executor {
    Arc::new(move |event| {
        let app = app.clone();
        Box::pin(async move { executor::handle(&app, event).await })
    })
}

/// Delivers messages of one queue to the executor, as one event source mapping. Clones share their limit on concurrency.
#[derive(Clone)]
pub(crate) struct Pump {
    sqs: Sqs,
    queue: String,
    executor: Executor,
    clock: Clock,
    entropy: Entropy,
    slots: Arc<Semaphore>,
    deliveries: Tasks,
}

impl Pump {
    pub(crate) fn new(sqs: Sqs, queue: String, executor: Executor, clock: Clock, entropy: Entropy) -> Self {
        let slots = Arc::new(Semaphore::new(CONCURRENCY as usize));
        Self { sqs, queue, executor, clock, entropy, slots, deliveries: Tasks::default() }
    }

    /// Delivers until told to stop; ends when every delivery has ended.
    pub(crate) async fn run(self, mut stop: Stop) {
        loop {
            let round = async {
                if let Err(error) = self.step(WAIT_S).await {
                    tracing::error!(%error, "no messages can be received");
                    tokio::time::sleep(PAUSE).await;
                }
            };
            // A receive that is dropped has taken nothing.
            tokio::select! {
                biased;
                () = stop.requested() => break,
                () = round => {}
            }
        }
        self.deliveries.finish().await;
    }

    /// Delivers until no message is visible and every delivery has ended; the number of messages delivered.
    ///
    /// Messages that are delayed, or that failed and are hidden, stay.
    pub(crate) async fn drain(&self) -> Result<usize, sqs::Error> {
        let mut delivered = 0;
        loop {
            let received = self.step(0).await?;
            delivered += received;
            if received > 0 {
                continue;
            }
            // A delivery under way may send a message of its own.
            let all = self.slots.acquire_many(CONCURRENCY).await;
            drop(all);
            if self.sqs.counts(&self.queue)?.visible == 0 {
                return Ok(delivered);
            }
        }
    }

    /// Receives once and starts the delivery of what came; the number of messages.
    async fn step(&self, wait_s: u32) -> Result<usize, sqs::Error> {
        // The semaphore is never closed, so there always is a slot in the end.
        let slot = self.slots.clone().acquire_owned().await.ok();
        let how = Receive { max_messages: BATCH_SIZE, visibility_s: None, wait_s };
        let messages = self.sqs.receive(&self.queue, how).await?;
        let received = messages.len();
        if received > 0 {
            let pump = self.clone();
            self.deliveries.spawn(async move {
                pump.deliver(&messages).await;
                drop(slot);
            });
        }
        Ok(received)
    }

    /// Has the messages handled and deletes those that were. The others come back when their visibility ends.
    async fn deliver(&self, messages: &[Message]) {
        let failed = match self.invoke(&event(&self.queue, messages)).await {
            Ok(answer) => failures(&answer, messages),
            Err(reason) => Err(reason),
        };
        let failed = match failed {
            Ok(failed) => failed,
            Err(reason) => {
                tracing::error!(reason, messages = messages.len(), "a delivery failed");
                return;
            }
        };
        for message in messages.iter().filter(|message| !failed.contains(&message.id)) {
            if let Err(error) = self.sqs.delete(&self.queue, &message.receipt_handle) {
                tracing::error!(%error, message = message.id, "a message could not be deleted");
            }
        }
    }

    async fn invoke(&self, event: &str) -> Result<String, String> {
        let event: SqsEvent =
            serde_json::from_str(event).map_err(|error| format!("the event cannot be read: {error}"))?;
        let timeout_ms = i64::try_from(TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        let mut context = Context::default();
        context.request_id = self.id();
        context.deadline = u64::try_from(self.clock.now().plus_ms(timeout_ms).0).unwrap_or(0);
        let (answer, answered) = oneshot::channel();
        let executor = self.executor.clone();
        // A task of its own: a panic of the function must not take the pump with it.
        self.deliveries.spawn(async move {
            let outcome = tokio::time::timeout(TIMEOUT, executor(LambdaEvent::new(event, context))).await;
            let _ = answer.send(outcome.map_err(|_| "the executor did not end in time".to_owned()));
        });
        let answer = answered.await.unwrap_or_else(|_| Err("the executor panicked".to_owned()))?;
        serde_json::to_string(&answer).map_err(|error| format!("the answer cannot be written: {error}"))
    }

    /// Sends the message of the minute rule every minute until told to stop.
    pub(crate) async fn tick(self, mut stop: Stop) {
        while !stop.requested_within(MINUTE).await {
            let message = NewMessage { body: self.minute_event(), ..NewMessage::default() };
            if let Err(error) = self.sqs.send(&self.queue, &message) {
                tracing::error!(%error, "the message of the minute could not be sent");
            }
        }
    }

    /// The event that `EventBridge` sends for a scheduled rule.
    fn minute_event(&self) -> String {
        let now = self.clock.now().to_string();
        let seconds = now.split_once('.').map_or(now.as_str(), |(seconds, _)| seconds);
        json!({
            "version": "0",
            "id": self.id(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": "000000000000",
            "time": format!("{seconds}Z"),
            "region": "us-east-1",
            "resources": ["arn:aws:events:us-east-1:000000000000:rule/minute"],
            "detail": {},
        })
        .to_string()
    }

    fn id(&self) -> String {
        uuid::Builder::from_random_bytes(self.entropy.bytes()).into_uuid().to_string()
    }
}

/// The ids of the messages to keep. An identifier that is none of the delivered ones fails the whole delivery, as on
/// Lambda.
fn failures(answer: &str, messages: &[Message]) -> Result<BTreeSet<String>, String> {
    let answer: SqsBatchResponse =
        serde_json::from_str(answer).map_err(|error| format!("not an answer to a queue event: {error}"))?;
    let failed: BTreeSet<_> = answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
    match failed.iter().find(|id| !messages.iter().any(|message| message.id == **id)) {
        Some(id) => Err(format!("the executor reported {id:?}, which was not delivered")),
        None => Ok(failed),
    }
}

/// Shape: Lambda developer guide, "Example Amazon SQS message event (standard queue)".
fn event(queue: &str, messages: &[Message]) -> String {
    let records: Vec<Value> = messages.iter().map(|message| record(queue, message)).collect();
    json!({"Records": records}).to_string()
}

fn record(queue: &str, message: &Message) -> Value {
    let attributes = message.attributes.iter().map(|(name, attribute)| {
        let mut value = Map::new();
        value.insert("dataType".to_owned(), attribute.data_type.clone().into());
        match &attribute.value {
            AttributeValue::Text(text) => value.insert("stringValue".to_owned(), text.clone().into()),
            AttributeValue::Binary(bytes) => value.insert("binaryValue".to_owned(), STANDARD.encode(bytes).into()),
        };
        (name.clone(), Value::Object(value))
    });
    json!({
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.system_attributes(),
        "messageAttributes": Value::Object(attributes.collect()),
        "md5OfBody": message.md5_of_body(),
        "md5OfMessageAttributes": message.md5_of_attributes(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn(queue),
        "awsRegion": "us-east-1",
    })
}
