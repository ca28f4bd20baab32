//! A function called as Lambda calls it: event text in, answer text out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::runtime::Timestamp;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::Service;
use lambda_http::{Adapter, BoxFuture, Context, LambdaEvent, Request, Response, service_fn};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::body::MAX_LAMBDA_BYTES;
use crate::stop::Tasks;

/// How long the gateway waits for a function, and a function may take.
const TIMEOUT: Duration = Duration::from_secs(29);

/// A function's handler.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response<lambda_http::Body>> + Send + Sync>;

/// Why there is no answer of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The event is beyond what Lambda takes.
    EventTooLarge,
    /// It did not answer in time, and was ended.
    TimedOut,
    /// It panicked, or what it answered is not an answer; for the log.
    Crashed(String),
}

/// What a function answers to a proxy event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) status_code: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) multi_value_headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl Answer {
    pub(super) fn body(&self) -> Result<Vec<u8>, Failure> {
        let text = self.body.as_deref().unwrap_or_default();
        if !self.is_base64_encoded {
            return Ok(text.as_bytes().to_vec());
        }
        STANDARD.decode(text).map_err(|_| Failure::Crashed("the body of the answer is not base64".to_owned()))
    }
}

/// Calls the function, for the request and the trace of these ids. It runs to its end or its timeout even if the client hangs up, as on Lambda.
pub(super) async fn invoke(
    handler: Handler,
    event: String,
    ids: (&str, &str),
    now: Timestamp,
    tasks: &Tasks,
) -> Result<Answer, Failure> {
    if event.len() > MAX_LAMBDA_BYTES {
        return Err(Failure::EventTooLarge);
    }
    let context = context(ids, now);
    let (answer, answered) = oneshot::channel();
    tasks.spawn(async move {
        let outcome = tokio::time::timeout(TIMEOUT, call(handler, event, context)).await;
        // Nobody listens when the client has hung up.
        let _ = answer.send(outcome.unwrap_or(Err(Failure::TimedOut)));
    });
    let text = answered.await.unwrap_or_else(|_| Err(Failure::Crashed("the function panicked".to_owned())))?;
    if text.len() > MAX_LAMBDA_BYTES {
        return Err(Failure::Crashed(format!("an answer of {} bytes is more than Lambda takes", text.len())));
    }
    serde_json::from_str(&text).map_err(|error| Failure::Crashed(format!("not an answer to a proxy event: {error}")))
}

async fn call(handler: Handler, event: String, context: Context) -> Result<String, Failure> {
    let event: LambdaRequest =
        serde_json::from_str(&event).map_err(|error| Failure::Crashed(format!("the event cannot be read: {error}")))?;
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let answer = match Adapter::from(service).call(LambdaEvent::new(event, context)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    serde_json::to_string(&answer).map_err(|error| Failure::Crashed(format!("the answer cannot be written: {error}")))
}

fn context((request_id, trace): (&str, &str), now: Timestamp) -> Context {
    let timeout_ms = i64::try_from(TIMEOUT.as_millis()).unwrap_or(i64::MAX);
    let mut context = Context::default();
    request_id.clone_into(&mut context.request_id);
    context.xray_trace_id = Some(trace.to_owned());
    context.deadline = u64::try_from(now.plus_ms(timeout_ms).0).unwrap_or(0);
    context
}
