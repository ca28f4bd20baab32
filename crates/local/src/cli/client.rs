//! A client of the API: what one in another language would do, in full.

use std::time::Duration;

use batch_core::runtime::Entropy;
use batch_local::Error;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::output::Progress;

/// Longer than the 29 s after which a gateway gives up.
const TIMEOUT: Duration = Duration::from_secs(35);
/// How often a call is made whose outcome stays unknown.
const ATTEMPTS: u32 = 4;
/// Between two such calls, where the answer does not ask for more.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait that an answer may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Between the first two looks at a batch; every next one waits half as long again, up to the longest.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_secs(1);
/// Results on a page.
const PAGE: usize = 100;

/// Calls one service with one credential.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    credential: String,
}

/// An answer of the service.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the service says is wrong.
    pub(super) fn complaint(&self) -> Error {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        let mut lines = vec![format!("{} {}: {}", self.status, text("error"), text("message"))];
        for problem in self.body["errors"].as_array().into_iter().flatten() {
            let part = |name: &str| problem[name].as_str().unwrap_or_default();
            lines.push(format!("  {} {}: {}", part("pointer"), part("code"), part("message")));
        }
        Error::new(lines.join("\n"))
    }
}

impl Client {
    /// For the service at `base`, with an API key or a token.
    pub(super) fn new(base: &str, credential: String) -> Result<Self, Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build();
        let http = http.map_err(|error| Error::caused("no HTTP client", &error))?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), credential })
    }

    /// Sends a batch of records.
    pub(super) async fn submit(&self, batch: &Value, prefer: Option<&str>) -> Result<Reply, Error> {
        let headers: Vec<(&str, &str)> = prefer.map(|prefer| ("Prefer", prefer)).into_iter().collect();
        self.post("/batch", batch, &headers).await
    }

    /// Sends a batch to `path`. All attempts carry one key, so however many arrive, it runs once.
    pub(super) async fn post(&self, path: &str, batch: &Value, headers: &[(&str, &str)]) -> Result<Reply, Error> {
        let key = Entropy::system().hex32();
        let body = batch.to_string();
        self.repeat(|| {
            let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json");
            let request = request.header("Idempotency-Key", &key).body(body.clone());
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        })
        .await
    }

    /// Looks at a content job until it has ended, and returns it as it ended.
    pub(super) async fn watch_job(&self, id: &str) -> Result<Value, Error> {
        let mut progress: Option<Progress> = None;
        loop {
            let reply = self.get(&format!("/api/batches/{id}")).await?;
            if reply.status != 200 {
                return Err(reply.complaint());
            }
            let count = |name: &str| reply.body[name].as_u64().unwrap_or(0);
            let (total, ended) = (count("totalItems"), count("successCount") + count("failureCount"));
            let status = reply.body["status"].as_str().unwrap_or_default();
            progress.get_or_insert_with(|| Progress::new(total)).show(ended, total, status);
            if matches!(status, "completed" | "failed") {
                if let Some(progress) = progress {
                    progress.finish();
                }
                return Ok(reply.body);
            }
            tokio::time::sleep(LAST_LOOK / 4).await;
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.repeat(|| self.request(Method::GET, path)).await
    }

    /// Looks at a batch until it has ended, and returns it as it ended.
    pub(super) async fn watch(&self, id: &str) -> Result<Value, Error> {
        let mut progress: Option<Progress> = None;
        let mut pause = FIRST_LOOK;
        loop {
            let reply = self.get(&format!("/batches/{id}")).await?;
            if reply.status != 200 {
                return Err(reply.complaint());
            }
            let count = |name: &str| reply.body["summary"][name].as_u64().unwrap_or(0);
            let (total, pending) = (count("total"), count("pending"));
            let status = reply.body["status"].as_str().unwrap_or_default();
            let bar = progress.get_or_insert_with(|| Progress::new(total));
            bar.show(total.saturating_sub(pending), total, status);
            if !matches!(status, "pending" | "processing" | "paused") {
                if let Some(progress) = progress {
                    progress.finish();
                }
                return Ok(reply.body);
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f32(1.5).min(LAST_LOOK);
        }
    }

    /// Every result of a batch, page by page.
    pub(super) async fn results(&self, id: &str) -> Result<Vec<Value>, Error> {
        let mut results = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut reply = self.get(&format!("/batches/{id}/results?limit={PAGE}{cursor}")).await?;
            if reply.status != 200 {
                return Err(reply.complaint());
            }
            if let Value::Array(page) = reply.body["data"].take() {
                results.extend(page);
            }
            match reply.body["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(results),
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.credential)
    }

    /// Makes the call again while its outcome is unknown, or the service asks to come back.
    async fn repeat(&self, request: impl Fn() -> RequestBuilder) -> Result<Reply, Error> {
        let mut attempt = 1;
        loop {
            let outcome = self.once(request()).await;
            let pause = match &outcome {
                Ok(reply) if reply.status < 500 && reply.status != 429 => return outcome,
                Ok(reply) => reply.header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()),
                Err(_) => None,
            };
            if attempt == ATTEMPTS {
                return outcome;
            }
            attempt += 1;
            tokio::time::sleep(pause.map_or(PAUSE, Duration::from_secs).min(MAX_PAUSE)).await;
        }
    }

    async fn once(&self, request: RequestBuilder) -> Result<Reply, Error> {
        let failed = |error: reqwest::Error| Error::caused(format!("{} does not answer", self.base), &error);
        let response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.map_err(failed)?;
        let body = serde_json::from_slice(&bytes)
            .map_err(|error| Error::caused(format!("{} answered {status} without JSON", self.base), &error))?;
        Ok(Reply { status, headers, body })
    }
}
