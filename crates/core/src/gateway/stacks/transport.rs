//! How a node is reached: over HTTP, or in a test by something that answers in its place.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use reqwest::Url;

/// Bytes of an answer of a node. A transaction as the extended interface tells it has a few thousand.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// One call. Longer than a healthy node takes, short enough for several in a call of ours.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request to a node.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// What is posted, with its content type; `None` for a GET.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// Path and query, with the leading slash.
    pub path: String,
}

/// Shows no body: it may be a signed transaction.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No connection was made: the node has not seen the request.
    NotSent,
    /// Nobody knows what the node made of it.
    TimedOut,
    /// The same, because the connection broke or the answer made no sense.
    Broken,
}

/// Sends calls. Its futures must end by themselves, as those of [`over_http`] do after 5 s.
pub type Transport = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Lost>> + Send>> + Send + Sync>;

/// A node at `url`, which is `https`, or `http` on a loopback host; else `None`.
pub fn over_http(url: &str) -> Option<Transport> {
    let base = Url::parse(url).ok().filter(is_safe)?;
    let base = base.as_str().trim_end_matches('/').to_owned();
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .ok()?;
    Some(Box::new(move |call| Box::pin(send(http.clone(), format!("{base}{}", call.path), call.body))))
}

fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")),
        _ => false,
    }
}

async fn send(http: reqwest::Client, url: String, body: Option<(&'static str, Vec<u8>)>) -> Result<Answer, Lost> {
    let request = match body {
        Some((content_type, body)) => http.post(url).header("content-type", content_type).body(body),
        None => http.get(url),
    };
    let lost = |error: reqwest::Error| match () {
        () if error.is_connect() => Lost::NotSent,
        () if error.is_timeout() => Lost::TimedOut,
        () => Lost::Broken,
    };
    let mut response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            return Err(Lost::Broken);
        }
    }
    Ok(Answer { status, body })
}
