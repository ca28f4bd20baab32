//! How Orby is reached: over HTTP, or in a test by something that answers in its place.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use reqwest::Url;

/// Bytes of an answer. An operation set with a long route has some ten thousand; ten of the longest fit into an answer of
/// ours.
const MAX_BODY_BYTES: usize = 400 * 1024;
/// One call. Building asks several chains; four in a row fit into the time of a call of ours.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A call: always a POST of JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// Where to; it holds a key.
    pub url: String,
    /// JSON.
    pub body: Vec<u8>,
}

/// Shows nothing: the URL holds a key, and the body may hold signed transactions.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Shows its status alone.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No connection was made: Orby has not seen the call.
    NotSent,
    /// Nobody knows what Orby made of it.
    TimedOut,
    /// The same, because the connection broke or the answer was too long.
    Broken,
}

/// Sends calls. Its futures must end by themselves, as those of [`over_http`] do after 5 s.
pub type Transport = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Lost>> + Send>> + Send + Sync>;

/// Over HTTP; `None` when no client can be made.
pub fn over_http() -> Option<Transport> {
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .ok()?;
    Some(Box::new(move |call| Box::pin(send(http.clone(), call))))
}

/// Whether a URL may be called: `https`, or `http` on a loopback host.
pub(super) fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.scheme() {
        "https" => url.host_str().is_some_and(|host| !host.is_empty()),
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")),
        _ => false,
    }
}

async fn send(http: reqwest::Client, call: Call) -> Result<Answer, Lost> {
    let lost = |error: reqwest::Error| match () {
        () if error.is_connect() || error.is_builder() => Lost::NotSent,
        () if error.is_timeout() => Lost::TimedOut,
        () => Lost::Broken,
    };
    let request = http.post(call.url).header("content-type", "application/json").body(call.body);
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
