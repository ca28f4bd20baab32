//! HTTP to systems outside: one attempt, bounded in time and in what is read of an answer.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, Request, Url};

/// One call. Longer than a healthy system takes, short enough for four in a row within a call of ours.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Shows its status alone: a body may hold what was sent.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No connection was made: the other side has not seen the call.
    NotSent,
    /// Nobody knows what the other side made of it.
    TimedOut,
    /// The same, because the connection broke or the answer was too long.
    Broken,
}

/// A client that is made when the first call needs it: making it reads the machine's certificates, which a start need
/// not wait for. It follows no redirect, for a URL may hold a key, and what was allowed is the URL itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Web(Arc<OnceLock<Option<Client>>>);

impl Web {
    /// Sends what `request` makes with the client, and reads at most so many bytes of the answer.
    pub async fn send(
        &self,
        request: impl FnOnce(&Client) -> reqwest::Result<Request>,
        most_bytes: usize,
    ) -> Result<Answer, Lost> {
        let client = self.0.get_or_init(|| client().ok()).as_ref().ok_or(Lost::NotSent)?;
        let request = request(client).map_err(|error| lost(&error))?;
        let mut response = client.execute(request).await.map_err(|error| lost(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > most_bytes {
                return Err(Lost::Broken);
            }
        }
        Ok(Answer { status, body })
    }
}

fn client() -> reqwest::Result<Client> {
    Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

fn lost(error: &reqwest::Error) -> Lost {
    match () {
        () if error.is_connect() || error.is_builder() => Lost::NotSent,
        () if error.is_timeout() => Lost::TimedOut,
        () => Lost::Broken,
    }
}

/// A URL that may be called: `https`, or `http` on a loopback host.
pub(crate) fn safe_url(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|url| match url.scheme() {
        "https" => url.host_str().is_some_and(|host| !host.is_empty()),
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")),
        _ => false,
    })
}
