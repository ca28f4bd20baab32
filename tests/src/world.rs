//! The service in one process, over an embedded database, with time and chance under the test's control.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use batch_core::app::{App, Parts};
use batch_core::auth::{ApiKey, ApiKeyRecord, Fetch};
use batch_core::config::{Aws, Config, Function, Issuer, Tables};
use batch_core::gateway::{orby, stacks};
use batch_core::http::{Request, Response, handle};
use batch_core::limits::{CONTENT_CONCURRENCY, Limits};
use batch_core::metrics::Metrics;
use batch_core::model::Model;
use batch_core::rate::{MOST_BATCHES, MOST_OPERATIONS, OPERATIONS_PER_BATCH, Quotas, Rates};
use batch_core::runtime::{Clock, Entropy, Timestamp};
use http::HeaderMap;
use serde_json::{Value, json};

use batch_local::orby::OrbySandbox;
use batch_local::stacks::StacksNode;

use crate::seam::{Seam, dispatch};

/// When the tests' time begins: 2026-01-01T00:00:00Z.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// A clock that stands until the test's (paused) time moves.
pub fn fixed_clock() -> Clock {
    let begin = tokio::time::Instant::now();
    Clock::from_fn(move || Timestamp(BEGIN_MS).plus_ms(i64::try_from(begin.elapsed().as_millis()).unwrap_or(0)))
}

/// The service.
#[derive(Debug, Clone)]
pub struct World {
    /// All three functions use this one.
    pub app: App,
    /// Between it and the database.
    pub seam: Seam,
    /// Where content is registered.
    pub node: StacksNode,
    /// The sandbox of Orby.
    pub orby: OrbySandbox,
    key: String,
    lines: Arc<Mutex<Vec<Value>>>,
}

/// An answer, its body parsed.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Value,
}

impl Answer {
    /// A header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// The batch the answer is about.
    pub fn batch_id(&self) -> String {
        self.body["batchId"].as_str().unwrap_or_default().to_owned()
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let body = batch_core::json::parse(response.body.as_bytes()).unwrap_or_default();
        Self { status: response.status, headers: response.headers, body }
    }
}

/// An API key for `subject` of `tenant`, stored in the service.
pub async fn caller(app: &App, tenant: &str, subject: &str, roles: &[&str]) -> String {
    caller_with(app, (tenant, subject), roles, &json!({})).await
}

/// The same with claims.
async fn caller_with(app: &App, (tenant, subject): (&str, &str), roles: &[&str], claims: &Value) -> String {
    let key = ApiKey::generate(&app.entropy().bytes());
    let record = ApiKeyRecord {
        id: key.id().clone(),
        hash: key.sha256_hex(),
        tenant: tenant.try_into().expect("a tenant"),
        subject: subject.try_into().expect("a subject"),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        claims: claims.as_object().cloned().unwrap_or_default(),
        created_at: app.clock().now(),
        expires_at: None,
    };
    app.store().put_api_key(&record).await.expect("the key is stored");
    key.expose().to_owned()
}

fn chance(seed: u64) -> Entropy {
    let state = Arc::new(AtomicU64::new(seed));
    Entropy::from_fn(move |bytes| {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64 (Steele, Lea and Flood 2014).
            let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    })
}

/// As much as there can be.
const UNBOUNDED: Quotas = Quotas { batches: MOST_BATCHES, operations: MOST_OPERATIONS };

/// The settings of every function at once; the seam stands where AWS would.
pub fn config() -> Config {
    Config {
        aws: Aws {
            region: "us-east-1".into(),
            access_key_id: "test".into(),
            secret_access_key: String::from("test").into(),
            session_token: None,
            dynamodb_url: None,
            sqs_url: None,
        },
        tables: Tables {
            batches: "BatchesTable".into(),
            records: "RecordsTable".into(),
            search: "SearchTable".into(),
            control: "ControlTable".into(),
        },
        queue_url: Some("https://sqs.us-east-1.amazonaws.com/000000000000/BatchQueue".into()),
        issuer: Some(Issuer {
            issuer: "https://issuer.test".into(),
            audience: "batch".into(),
            jwks_url: "https://issuer.test/jwks.json".into(),
        }),
        cursor_key: Some("c".repeat(32).into()),
        rates: Rates { records: UNBOUNDED, memories: UNBOUNDED },
        stacks: None,
        orby: Some(orby_settings()),
        content_concurrency: CONTENT_CONCURRENCY,
        metrics_namespace: batch_core::metrics::NAMESPACE.into(),
        log_level: tracing::Level::INFO,
    }
}

/// A creator that the settings have a key of.
pub const CREATOR: &str = "ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5";
/// Another one.
pub const OTHER_CREATOR: &str = "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM";
/// Where content is registered.
pub const CONTRACT: &str = "ST2PXWK3KRYWWXRBXMV3V7RNJXTGT1Q5YCWTRY92T.content";
/// The keys of the two creators.
const SIGNERS: &str = r#"{
    "ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5": "7287ba251d44a4d3fd9276c88ce34c5c52a038955511cccaf77e61068649c178", "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM": "753b7cc01a1a2e86221266a154af739463fce51219d97e4f856cd7200c3bd2a6"
}"#;

/// A node, and keys of [`CREATOR`] and [`OTHER_CREATOR`].
pub fn stacks_settings() -> stacks::Settings {
    stacks::Settings {
        node_url: "http://127.0.0.1:1".into(),
        extended_path: "/extended/v1".into(),
        network: stacks::Network::Testnet,
        contract: CONTRACT.into(),
        signers: SIGNERS.to_owned().into(),
        fee: 2_500,
        most_fee: 500_000,
    }
}

/// The sandbox of Orby, reached without a socket.
pub const ORBY_URL: &str = "https://orby.invalid";
/// Its key, which is in no log.
pub const ORBY_KEY: &str = "c0ffee-the-key-of-orby";

fn orby_settings() -> orby::Settings {
    orby::Settings { url: ORBY_URL.into(), key: ORBY_KEY.to_owned().into(), status_method: None }
}

/// Keeps the lines of metrics.
fn kept(lines: &Arc<Mutex<Vec<Value>>>) -> Metrics {
    let lines = lines.clone();
    Metrics::to(move |line| {
        let line = serde_json::from_str(line).expect("a metric is JSON");
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    })
}

impl World {
    /// With the shipped model and the real limits.
    pub async fn new() -> Self {
        Self::with(Model::shipped().expect("the shipped model is right"), Limits::default()).await
    }

    /// With another model or other limits.
    pub async fn with(model: Model, limits: Limits) -> Self {
        Self::of(config(), model, limits, (None, 1)).await
    }

    /// The same, with all chance from `seed`.
    pub async fn seeded(model: Model, limits: Limits, seed: u64) -> Self {
        Self::of(config(), model, limits, (None, seed)).await
    }

    /// With the shipped model, where a caller may send so many batches in a minute; the others allow as many as there
    /// can be.
    pub async fn limited(batches: u32) -> Self {
        let quotas = Quotas { batches, operations: batches * OPERATIONS_PER_BATCH };
        let config = Config { rates: Rates { records: quotas, ..Rates::default() }, ..config() };
        Self::of(config, Model::shipped().expect("the shipped model is right"), Limits::default(), (None, 1)).await
    }

    /// With a node, and keys of [`CREATOR`] and [`OTHER_CREATOR`].
    pub async fn chained(limits: Limits) -> Self {
        let config = Config { stacks: Some(stacks_settings()), ..config() };
        Self::of(config, Model::shipped().expect("the shipped model is right"), limits, (None, 1)).await
    }

    /// With other settings, keys of the issuer from `jwks`, and all chance from a seed.
    pub async fn of(config: Config, model: Model, limits: Limits, (jwks, seed): (Option<Fetch>, u64)) -> Self {
        let seam = Seam::new(batch_local::database_in_memory().expect("an empty database"));
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let node = StacksNode::new(CONTRACT);
        let orby = OrbySandbox::new(ORBY_KEY, ORBY_URL);
        let parts = Parts {
            http: Some(seam.client()),
            stacks: Some(node.transport()),
            orby: Some(orby.transport()),
            jwks,
            clock: fixed_clock(),
            entropy: chance(seed),
            limits,
            metrics: kept(&lines),
        };
        let app = App::assemble(config, model, parts).expect("the app starts");
        let key = caller(&app, "t1", "alice", &[]).await;
        let world = Self { app, seam, node, orby, key, lines };
        // The key's record is cached from here on, so that the calls of a batch are the batch's own.
        world.get("/capabilities").await;
        world.seam.take_calls();
        world
    }

    /// Another process on the same tables, with the same settings and the same caller.
    #[must_use]
    pub fn another(&self) -> Self {
        let seam = Seam::new(self.seam.database().clone());
        let parts = Parts {
            http: Some(seam.client()),
            orby: Some(self.orby.transport()),
            clock: self.app.clock().clone(),
            entropy: chance(u64::MAX / 2),
            limits: *self.app.limits(),
            metrics: kept(&self.lines),
            ..Parts::default()
        };
        let model = Model::shipped().expect("the shipped model is right");
        let app = App::assemble(config(), model, parts).expect("the app starts");
        let (node, orby) = (self.node.clone(), self.orby.clone());
        Self { app, seam, node, orby, key: self.key.clone(), lines: self.lines.clone() }
    }

    /// The API key's text of the world's own caller.
    pub fn own_key(&self) -> &str {
        &self.key
    }

    /// An API key's text for another caller.
    pub async fn key(&self, tenant: &str, subject: &str, roles: &[&str]) -> String {
        caller(&self.app, tenant, subject, roles).await
    }

    /// An API key's text for a caller of the world's own tenant with claims.
    pub async fn key_with(&self, subject: &str, roles: &[&str], claims: &Value) -> String {
        caller_with(&self.app, ("t1", subject), roles, claims).await
    }

    /// POSTs JSON as the caller with this API key.
    pub async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("x-api-key", key)];
        self.send("POST", path, &headers, body.to_string().as_bytes()).await
    }

    /// Sends any request.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a header name");
            map.append(name, value.parse().expect("a header value"));
        }
        let query = query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.to_owned(), value.to_owned())
        });
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            base_path: String::new(),
            query: query.collect(),
            headers: map,
            body: body.to_vec(),
            request_id: "request-1".into(),
        };
        let function = if method == "GET" { Function::Status } else { Function::Submit };
        handle(&self.app, function, &request).await.into()
    }

    /// POSTs JSON as the world's own caller, with more headers.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json"), ("x-api-key", self.key.as_str())];
        all.extend(headers);
        self.send("POST", path, &all, body.to_string().as_bytes()).await
    }

    /// POSTs a batch as the world's own caller.
    pub async fn batch(&self, body: &Value) -> Answer {
        self.post_with("/batch", &[], body).await
    }

    /// POSTs operations with options.
    pub async fn run(&self, operations: Vec<Value>, options: Value) -> Answer {
        self.batch(&json!({ "operations": operations, "options": options })).await
    }

    /// GETs as the world's own caller.
    pub async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[("x-api-key", self.key.as_str())], b"").await
    }

    /// Delivers the messages that were sent to the executor's handler, until none is left; how many there were.
    pub async fn drain(&self) -> usize {
        let mut delivered = 0;
        loop {
            let messages = self.seam.take_messages();
            if messages.is_empty() {
                return delivered;
            }
            delivered += messages.len();
            assert!(delivered < 10_000, "messages make messages for ever: {messages:?}");
            // Between two deliveries there is time for a block.
            self.node.mine();
            assert_eq!(self.deliver(&messages).await, Vec::<String>::new(), "a message failed");
        }
    }

    /// Delivers `bodies` as one event; the ids (`m0`, `m1`, ...) of those to be delivered again.
    pub async fn deliver(&self, bodies: &[String]) -> Vec<String> {
        self.deliver_from("BatchQueue", bodies).await
    }

    /// The same from the dead-letter queue.
    pub async fn deliver_dead(&self, bodies: &[String]) -> Vec<String> {
        self.deliver_from("BatchDeadLetterQueue", bodies).await
    }

    async fn deliver_from(&self, queue: &str, bodies: &[String]) -> Vec<String> {
        // They waited for a second.
        let sent = self.app.clock().now().0 - 1_000;
        let record = |(index, body): (usize, &String)| {
            json!({
                "messageId": format!("m{index}"), "receiptHandle": format!("r{index}"), "body": body,
                "attributes": { "ApproximateReceiveCount": "2", "SentTimestamp": sent.to_string() },
                "messageAttributes": {},
                "eventSource": "aws:sqs", "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
            })
        };
        let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
        let event = serde_json::from_value(json!({ "Records": records })).expect("an SQS event");
        let mut context = lambda_runtime::Context::default();
        context.deadline = u64::try_from(self.app.clock().now().plus_ms(60_000).0).unwrap_or(0);
        let response = executor::handle(&self.app, lambda_runtime::LambdaEvent::new(event, context)).await;
        response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    /// The metrics since this was last asked, a line each.
    pub fn take_metrics(&self) -> Vec<Value> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every item of a table, as the wire has it.
    pub fn items(&self, table: &str) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut scan = json!({ "TableName": table });
            if !after.is_null() {
                scan["ExclusiveStartKey"] = after;
            }
            let page = dispatch(self.seam.database(), "Scan", scan).expect("a scan");
            items.extend(page["Items"].as_array().cloned().unwrap_or_default());
            after = page["LastEvaluatedKey"].clone();
            if after.is_null() {
                return items;
            }
        }
    }
}
