//! How Orby is reached: over HTTP, or in a test by something that answers in its place.

use std::future::Future;
use std::pin::Pin;

use crate::gateway::web::Web;
use crate::gateway::{Answer, Lost};

/// Bytes of an answer. An operation set with a long route has some ten thousand; ten of the longest fit into an answer of
/// ours.
const MAX_BODY_BYTES: usize = 400 * 1024;

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

/// Sends calls. Its futures must end by themselves, as those of [`over_http`] do after 5 s.
pub type Transport = Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Result<Answer, Lost>> + Send>> + Send + Sync>;

/// Over HTTP.
pub fn over_http() -> Transport {
    let web = Web::default();
    Box::new(move |call| {
        let web = web.clone();
        Box::pin(async move {
            let json = "application/json";
            web.send(|http| http.post(call.url).header("content-type", json).body(call.body).build(), MAX_BODY_BYTES)
                .await
        })
    })
}
