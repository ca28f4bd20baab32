//! Where the service is.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use batch_core::runtime::{Clock, Entropy};
use batch_local::{Service, Settings};
use reqwest::Client;
use serde_json::{Value, json};

/// How long a batch in the background may take here.
const MOST_WAIT: Duration = Duration::from_mins(1);

/// The service and what is needed to call it.
pub struct Place {
    pub client: Client,
    pub key: String,
    base: String,
    settings: BTreeMap<String, String>,
    /// Kept while its tests run.
    _service: Option<Service>,
}

/// The queues and the table of batches.
pub struct Stores {
    pub sqs: aws_sdk_sqs::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub queue: String,
    pub dead_letters: String,
    pub batches: String,
    pub tenant: String,
}

#[expect(clippy::disallowed_methods, reason = "a test is told of a deployment by its environment")]
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

const SETTINGS: [&str; 10] = [
    "QUEUE_URL",
    "DEAD_LETTER_QUEUE_URL",
    "BATCHES_TABLE",
    "BATCH_TENANT",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SQS",
];

impl Place {
    pub async fn new() -> Self {
        let client = Client::new();
        if let Some(base) = given("BASE_URL") {
            let key = given("BATCH_API_KEY").expect("BATCH_API_KEY goes with BASE_URL");
            let settings = SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), given(name)?))).collect();
            return Self { client, key, base: base.trim_end_matches('/').to_owned(), settings, _service: None };
        }
        let service = Service::start(Settings::in_memory().unwrap()).await.unwrap();
        let key = service.api_key("demo", "ann", &["admin"]).await.unwrap().expose().clone();
        let environment = service.environment();
        let mut settings: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let dead = environment["QUEUE_URL"].replace("BatchQueue", "BatchDeadLetterQueue");
        settings.insert("DEAD_LETTER_QUEUE_URL".to_owned(), dead);
        Self { client, key, base: service.base_url(), settings, _service: Some(service) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A word that nobody has used.
    #[expect(clippy::unused_self, reason = "what is unique is so at a place")]
    pub fn unique(&self) -> String {
        format!("e2e-{}", Entropy::system().hex32())
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(self.url(path)).bearer_auth(&self.key).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        let mut request = self.client.post(self.url(path)).bearer_auth(&self.key).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The batch once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        let open = |batch: &Value| matches!(batch["status"].as_str(), Some("pending" | "processing" | "paused"));
        let begun = Clock::system().now();
        loop {
            let (status, batch) = self.get(&format!("/batches/{id}")).await;
            assert_eq!(status, 200, "{batch:#}");
            if !open(&batch) {
                return batch;
            }
            let waited = Clock::system().now().since_ms(begun);
            assert!(waited < i64::try_from(MOST_WAIT.as_millis()).unwrap(), "it does not end: {batch:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Queues and tables, where they can be had.
    pub fn stores(&self) -> Option<Stores> {
        let setting = |name: &str| self.settings.get(name).cloned();
        let (queue, batches) = (setting("QUEUE_URL")?, setting("BATCHES_TABLE")?);
        let region = Region::new(setting("AWS_REGION").unwrap_or_else(|| "us-east-1".into()));
        let (id, secret) = (setting("AWS_ACCESS_KEY_ID")?, setting("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, setting("AWS_SESSION_TOKEN"), None, "settings");
        let latest = BehaviorVersion::latest();
        let mut dynamodb = aws_sdk_dynamodb::Config::builder().behavior_version(latest).region(region.clone());
        let mut sqs = aws_sdk_sqs::Config::builder().behavior_version(latest).region(region);
        dynamodb.set_endpoint_url(setting("AWS_ENDPOINT_URL_DYNAMODB"));
        sqs.set_endpoint_url(setting("AWS_ENDPOINT_URL_SQS"));
        Some(Stores {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.credentials_provider(credentials.clone()).build()),
            sqs: aws_sdk_sqs::Client::from_conf(sqs.credentials_provider(credentials).build()),
            queue,
            dead_letters: setting("DEAD_LETTER_QUEUE_URL")?,
            batches,
            tenant: setting("BATCH_TENANT").unwrap_or_else(|| "demo".into()),
        })
    }
}

/// An operation that makes an artist.
pub fn create(id: &str) -> Value {
    json!({ "id": id, "entity": "artist", "action": "create", "store_params": { "name": id } })
}
