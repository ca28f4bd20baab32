//! How a node is reached: over HTTP, or in a test by something that answers in its place.

use std::future::Future;
use std::pin::Pin;

use crate::gateway::web::{Web, safe_url};
use crate::gateway::{Answer, Lost};

/// Bytes of an answer of a node. A transaction as the extended interface tells it has a few thousand.
const MAX_BODY_BYTES: usize = 256 * 1024;

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

/// Sends calls. Its futures must end by themselves, as those of [`over_http`] do after 5 s.
pub type Transport = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Lost>> + Send>> + Send + Sync>;

/// A node at `url`, which is `https`, or `http` on a loopback host; else `None`.
pub fn over_http(url: &str) -> Option<Transport> {
    let base = safe_url(url)?;
    let base = base.as_str().trim_end_matches('/').to_owned();
    let web = Web::default();
    Some(Box::new(move |call| {
        let (web, url) = (web.clone(), format!("{base}{}", call.path));
        Box::pin(async move {
            web.send(
                |http| match call.body {
                    Some((content_type, body)) => {
                        http.post(url).header("content-type", content_type).body(body).build()
                    }
                    None => http.get(url).build(),
                },
                MAX_BODY_BYTES,
            )
            .await
        })
    }))
}
