//! A service on a loopback socket, the SDK's client for it, and a clock that only the tests move.

use std::{
    future::pending,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        receive_message::builders::ReceiveMessageFluentBuilder, send_message::builders::SendMessageFluentBuilder,
    },
    types::{Message, MessageAttributeValue, MessageSystemAttributeName as SystemName},
};
use batch_local::sqs::{Counts, QueueSettings, Redrive, Sqs, queue_url};
use tokio::{net::TcpListener, task::JoinHandle};

/// When every test starts.
pub const START_MS: i64 = 1_700_000_000_000;

pub fn settings() -> [QueueSettings; 2] {
    let redrive = Redrive { queue: "dead".into(), max_receive_count: 2 };
    [
        QueueSettings { name: "work".into(), visibility_s: 30, redrive: Some(redrive) },
        QueueSettings { name: "dead".into(), visibility_s: 30, redrive: None },
    ]
}

pub struct Service {
    pub client: Client,
    pub clock: Arc<AtomicI64>,
    /// How often the service asked for the time.
    pub clock_reads: Arc<AtomicUsize>,
    /// The same queues without a socket.
    pub sqs: Sqs,
    /// The URL of a queue that hides messages for 30 seconds and gives up after two receives.
    pub work: String,
    /// The URL of its dead-letter queue.
    pub dead: String,
    /// Ends when the service has stopped.
    pub server: JoinHandle<io::Result<()>>,
}

impl Service {
    pub async fn start(path: Option<&Path>, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let clock = Arc::new(AtomicI64::new(START_MS));
        let clock_reads = Arc::new(AtomicUsize::new(0));
        let (time, reads) = (clock.clone(), clock_reads.clone());
        let now = move || {
            reads.fetch_add(1, Ordering::SeqCst);
            time.load(Ordering::SeqCst)
        };
        let sqs = Sqs::open(path, &settings(), now).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(sqs.clone().serve_on(listener, stop));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "test"))
            .endpoint_url(format!("http://{authority}"))
            .build();
        Self {
            client: Client::from_conf(config),
            clock,
            clock_reads,
            sqs,
            work: queue_url(&authority, "work"),
            dead: queue_url(&authority, "dead"),
            server,
        }
    }

    pub async fn in_memory() -> Self {
        Self::start(None, pending()).await
    }

    pub fn pass_s(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub async fn send(&self, body: &str) -> String {
        self.message(&self.work, body).send().await.unwrap().message_id.unwrap()
    }

    pub fn message(&self, queue: &str, body: impl Into<String>) -> SendMessageFluentBuilder {
        self.client.send_message().queue_url(queue).message_body(body)
    }

    /// A receive that asks for everything.
    pub fn receive(&self, queue: &str) -> ReceiveMessageFluentBuilder {
        let receive = self.client.receive_message().queue_url(queue).max_number_of_messages(10);
        receive.message_system_attribute_names(SystemName::All).message_attribute_names("All")
    }

    pub async fn received(&self, queue: &str) -> Vec<Message> {
        self.receive(queue).send().await.unwrap().messages.unwrap_or_default()
    }

    pub async fn only(&self, queue: &str) -> Message {
        let [message] = <[Message; 1]>::try_from(self.received(queue).await).unwrap();
        message
    }

    pub async fn change(&self, message: &Message, seconds: i32) -> Result<(), (String, String)> {
        let change = self.client.change_message_visibility().queue_url(&self.work);
        let change = change.receipt_handle(handle(message)).visibility_timeout(seconds);
        change.send().await.map(drop).map_err(|error| refusal(&error))
    }

    pub async fn delete(&self, message: &Message) {
        self.client.delete_message().queue_url(&self.work).receipt_handle(handle(message)).send().await.unwrap();
    }

    pub fn counts(&self, queue: &str) -> [u32; 3] {
        let Counts { visible, in_flight, delayed } = self.sqs.counts(queue).unwrap();
        [visible, in_flight, delayed]
    }
}

pub fn handle(message: &Message) -> &str {
    message.receipt_handle().unwrap()
}

pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

pub fn text(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
}

/// The SDK's code and, as the socket had it, the shape's name.
pub fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> (String, String) {
    let response = error.raw_response().expect("the service answered");
    assert_eq!(response.status().as_u16(), 400);
    let code = error.code().unwrap().to_owned();
    assert_eq!(response.headers().get("x-amzn-query-error"), Some(format!("{code};Sender").as_str()));
    let body: serde_json::Value = serde_json::from_slice(response.body().bytes().unwrap()).unwrap();
    assert!(!body["message"].as_str().unwrap().is_empty());
    (code, body["__type"].as_str().unwrap().to_owned())
}

pub fn named(code: &str, shape: &str) -> (String, String) {
    (code.to_owned(), shape.to_owned())
}

pub fn invalid_value() -> (String, String) {
    named("InvalidParameterValue", "com.amazon.coral.service#InvalidParameterValueException")
}
