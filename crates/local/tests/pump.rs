//! Messages reach the executor as Lambda's event source mapping brings them.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use batch_core::runtime::{Clock, Timestamp};
use batch_local::sqs::{Counts, NewMessage, Receive};
use batch_local::{Executor, Service, Settings};
use lambda_http::lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

const QUEUE: &str = "BatchQueue";
const DEAD_LETTERS: &str = "BatchDeadLetterQueue";
const START_MS: i64 = 1_700_000_000_000;
const VISIBILITY_MS: i64 = 360_000;

struct Bench {
    service: Service,
    now_ms: Arc<AtomicI64>,
    deliveries: Arc<Mutex<Vec<Vec<SqsMessage>>>>,
}

impl Bench {
    /// A service whose executor fails the messages called `fail`, panics at `panic` and reports nonsense at `nonsense`.
    async fn start() -> Self {
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let (time, told) = (now_ms.clone(), deliveries.clone());
        let mut settings = Settings::in_memory().unwrap();
        settings.pump = false;
        settings.clock = Clock::from_fn(move || Timestamp(time.load(Ordering::SeqCst)));
        let executor: Executor = Arc::new(move |event| {
            let told = told.clone();
            Box::pin(async move { take(&told, event) })
        });
        settings.executor = Some(executor);
        Self { service: Service::start(settings).await.unwrap(), now_ms, deliveries }
    }

    fn send(&self, body: &str) {
        let message = NewMessage { body: body.to_owned(), group_id: Some("g".to_owned()), ..NewMessage::default() };
        self.service.sqs().send(QUEUE, &message).unwrap();
    }

    fn counts(&self) -> Counts {
        self.service.sqs().counts(QUEUE).unwrap()
    }

    fn pass(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

fn take(deliveries: &Mutex<Vec<Vec<SqsMessage>>>, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let messages = event.payload.records;
    let called = |name: &str| messages.iter().any(|message| message.body.as_deref() == Some(name));
    let (panics, nonsense) = (called("panic"), called("nonsense"));
    let mut response = SqsBatchResponse::default();
    for message in messages.iter().filter(|message| message.body.as_deref() == Some("fail")) {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = message.message_id.clone().unwrap();
        response.batch_item_failures.push(failure);
    }
    if nonsense {
        let mut failure = BatchItemFailure::default();
        "nonsense".clone_into(&mut failure.item_identifier);
        response.batch_item_failures.push(failure);
    }
    deliveries.lock().unwrap().push(messages);
    assert!(!panics, "told to");
    response
}

#[tokio::test]
async fn a_message_arrives_as_lambda_would_bring_it() {
    let bench = Bench::start().await;
    bench.send("hello");
    bench.pass(5);
    assert_eq!(bench.service.drain().await.unwrap(), 1);
    let deliveries = bench.deliveries.lock().unwrap().clone();
    let message = serde_json::to_value(&deliveries[0][0]).unwrap();
    assert_eq!(message["body"], "hello");
    assert_eq!(message["eventSource"], "aws:sqs");
    assert_eq!(message["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:BatchQueue");
    assert_eq!(message["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    let attributes = &message["attributes"];
    assert_eq!(attributes["ApproximateReceiveCount"], "1");
    assert_eq!(attributes["SentTimestamp"], START_MS.to_string());
    assert_eq!(attributes["ApproximateFirstReceiveTimestamp"], (START_MS + 5).to_string());
    assert_eq!(attributes["MessageGroupId"], "g");
    assert_eq!(bench.counts(), Counts::default());
    bench.service.stop().await;
}

#[tokio::test]
async fn only_reported_messages_come_back() {
    let bench = Bench::start().await;
    for body in ["fine", "fail", "fine too"] {
        bench.send(body);
    }
    assert_eq!(bench.service.drain().await.unwrap(), 3);
    assert_eq!(bench.counts(), Counts { in_flight: 1, ..Counts::default() });
    bench.pass(VISIBILITY_MS);
    assert_eq!(bench.service.drain().await.unwrap(), 1);
    let deliveries = bench.deliveries.lock().unwrap().clone();
    assert_eq!(deliveries[1][0].body.as_deref(), Some("fail"));
    assert_eq!(deliveries[1][0].attributes["ApproximateReceiveCount"], "2");
    bench.service.stop().await;
}

#[tokio::test]
async fn a_delivery_whose_executor_panics_or_reports_nonsense_comes_back_whole() {
    for bad in ["panic", "nonsense"] {
        let bench = Bench::start().await;
        for body in ["fine", bad] {
            bench.send(body);
        }
        assert_eq!(bench.service.drain().await.unwrap(), 2);
        assert_eq!(bench.counts(), Counts { in_flight: 2, ..Counts::default() }, "{bad}");
        bench.send("later");
        assert_eq!(bench.service.drain().await.unwrap(), 1, "the pump lives on");
        bench.service.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_fails_five_times_is_delivered_from_the_dead_letters() {
    let bench = Bench::start().await;
    bench.send("fail");
    for _ in 0..5 {
        assert_eq!(bench.service.drain().await.unwrap(), 1);
        bench.pass(VISIBILITY_MS);
    }
    for again in 0..2 {
        assert_eq!(bench.service.drain().await.unwrap(), 1, "{again}");
        assert_eq!(bench.counts(), Counts::default());
        let dead = bench.service.sqs().counts(DEAD_LETTERS).unwrap();
        assert_eq!(dead, Counts { in_flight: 1, ..Counts::default() }, "it fails there too, and stays");
        bench.pass(VISIBILITY_MS);
    }
    let deliveries = bench.deliveries.lock().unwrap().clone();
    let message = serde_json::to_value(&deliveries[5][0]).unwrap();
    assert_eq!(message["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:BatchDeadLetterQueue");
    assert_eq!(message["attributes"]["DeadLetterQueueSourceArn"], "arn:aws:sqs:us-east-1:000000000000:BatchQueue");
    bench.service.stop().await;
}

#[tokio::test]
async fn a_dead_letter_ends_its_batch() {
    let mut settings = Settings::in_memory().unwrap();
    settings.pump = false;
    let service = Service::start(settings).await.unwrap();
    let key = service.api_key("acme", "ann", &[]).await.unwrap();
    let client = reqwest::Client::new();
    let batch = json!({"operations": [
        {"entity": "customer", "action": "create", "store_params": {"first_name": "Ann"}},
    ]});
    let accepted = client.post(format!("{}/batch", service.base_url())).bearer_auth(key.expose());
    let accepted = accepted.header("prefer", "respond-async").json(&batch).send().await.unwrap();
    let location = format!("{}{}", service.base_url(), accepted.headers()["location"].to_str().unwrap());
    let received =
        service.sqs().receive(QUEUE, Receive { max_messages: 1, visibility_s: None, wait_s: 0 }).await.unwrap();
    let message = NewMessage { body: received[0].body.clone(), ..NewMessage::default() };
    service.sqs().send(DEAD_LETTERS, &message).unwrap();
    assert_eq!(service.drain().await.unwrap(), 1);
    assert_eq!(service.sqs().counts(DEAD_LETTERS).unwrap(), Counts::default());
    let results = format!("{location}/results");
    for (url, pointer, told) in [(&location, "/status", "failed"), (&results, "/data/0/code", "POISON")] {
        let body: Value = client.get(url).bearer_auth(key.expose()).send().await.unwrap().json().await.unwrap();
        assert_eq!(body.pointer(pointer).unwrap(), told, "{body:#}");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_delivery_has_at_most_ten_messages() {
    let bench = Bench::start().await;
    for number in 0..25 {
        bench.send(&number.to_string());
    }
    assert_eq!(bench.service.drain().await.unwrap(), 25);
    let mut sizes: Vec<usize> = bench.deliveries.lock().unwrap().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    bench.service.stop().await;
}

#[tokio::test]
async fn a_drained_batch_has_been_run_by_the_executor() {
    let mut settings = Settings::in_memory().unwrap();
    settings.pump = false;
    let service = Service::start(settings).await.unwrap();
    let key = service.api_key("acme", "ann", &["admin"]).await.unwrap();
    let client = reqwest::Client::new();
    let batch = json!({"operations": [
        {"entity": "customer", "action": "create", "store_params": {"first_name": "Ann"}},
    ]});
    let accepted = client.post(format!("{}/batch", service.base_url())).bearer_auth(key.expose());
    let accepted = accepted.header("prefer", "respond-async").json(&batch).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let location = format!("{}{}", service.base_url(), accepted.headers()["location"].to_str().unwrap());
    for (status, delivered) in [("pending", 0), ("completed", 1)] {
        if delivered > 0 {
            assert_eq!(service.drain().await.unwrap(), delivered);
        }
        let batch: Value = client.get(&location).bearer_auth(key.expose()).send().await.unwrap().json().await.unwrap();
        assert_eq!(batch["status"], status);
    }
    service.stop().await;
}
