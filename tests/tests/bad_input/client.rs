//! A client that sends exactly the bytes it is told to, and sees whether they left anything behind.

use batch_core::config::Function;
use batch_core::http::{Request, handle};
use batch_core::limits::MAX_RESPONSE_BYTES;
use batch_tests::{Answer, World};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

/// What a call did to the database; a call that is refused does none of it.
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// A client with a world of its own and a key that opens it.
pub struct Client {
    /// The service.
    pub world: World,
    /// An API key of the tenant `t1`.
    pub key: String,
}

impl Client {
    pub async fn new() -> Self {
        Self::of(World::new().await).await
    }

    pub async fn of(world: World) -> Self {
        let key = world.key("t1", "mallory", &[]).await;
        world.seam.take_calls();
        Self { world, key }
    }

    /// Sends a request without adding anything to it; header values may be any bytes.
    pub async fn raw(&self, method: &str, target: &str, headers: &[(&str, &[u8])], body: &[u8]) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        let query = query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.to_owned(), value.to_owned())
        });
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            base_path: "/prod".to_owned(),
            query: query.collect(),
            headers: map,
            body: body.to_vec(),
            request_id: "request-7".to_owned(),
        };
        let function = if method == "GET" { Function::Status } else { Function::Submit };
        let response = handle(&self.world.app, function, &request).await;
        let escaped = json!(response.body).to_string().len();
        assert!(escaped <= MAX_RESPONSE_BYTES + 2, "{method} {path}: an answer of {escaped} bytes");
        response.into()
    }

    /// Posts a body as JSON with the client's key and more headers.
    pub async fn post(&self, path: &str, more: &[(&str, &[u8])], body: &[u8]) -> Answer {
        let mut headers = vec![("content-type", &b"application/json"[..]), ("x-api-key", self.key.as_bytes())];
        headers.extend(more);
        self.raw("POST", path, &headers, body).await
    }

    /// Gets with the client's key.
    pub async fn get(&self, target: &str) -> Answer {
        self.raw("GET", target, &[("x-api-key", self.key.as_bytes())], b"").await
    }

    /// Everything that is stored, but for what callers have used of their quotas.
    pub fn stored(&self) -> Vec<Value> {
        let items =
            ["BatchesTable", "RecordsTable", "SearchTable", "ControlTable"].map(|table| self.world.items(table));
        let is_quota = |item: &Value| item["pk"]["S"].as_str().is_some_and(|pk| pk.contains("#L#"));
        items.into_iter().flatten().filter(|item| !is_quota(item)).collect()
    }

    /// The writing calls and messages since this was last asked.
    pub fn writes(&self) -> Vec<String> {
        let calls = self.world.seam.take_calls().into_iter().map(|call| call.operation);
        let mut writes: Vec<String> = calls.filter(|operation| WRITES.contains(&operation.as_str())).collect();
        writes.extend(self.world.seam.take_messages());
        writes
    }
}

/// What a client can rely on in every refusal: a catalogued code, words, and nothing left behind.
#[track_caller]
pub fn refused(name: &str, answer: &Answer, status: u16, code: &str) {
    let body = &answer.body;
    assert_eq!((answer.status, body["error"].as_str()), (status, Some(code)), "{name}: {body:#}");
    assert!(body["details"].is_object() && body["requestId"] == "request-7", "{name}: {body:#}");
    assert!(body["message"].as_str().is_some_and(|message| message.len() > 10), "{name}: {body:#}");
    assert_eq!(answer.header("content-type"), "application/json", "{name}");
    assert_eq!(answer.header("cache-control"), "no-store", "{name}");
    assert_eq!(answer.header("batch-id"), "", "{name}: there is no batch");
}
