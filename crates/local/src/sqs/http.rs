use std::io;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch};

use super::{MAX_MESSAGE_BYTES, Sqs, actions};

/// JSON escapes make the largest message up to six times longer; the rest is room for the other fields.
const MAX_REQUEST_BYTES: usize = 6 * MAX_MESSAGE_BYTES + 64 * 1024;

#[derive(Clone)]
struct Service {
    sqs: Sqs,
    closing: watch::Receiver<bool>,
}

impl Sqs {
    /// Serves the AWS JSON protocol 1.0 until `shutdown` ends; long polls are then answered at once.
    ///
    /// Requests are not authenticated: the listener should be bound to loopback.
    pub async fn serve_on(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let (close, closing) = watch::channel(false);
        // Any path: some clients post to the queue's URL.
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(Service { sqs: self, closing });
        let shutdown = async move {
            shutdown.await;
            close.send_replace(true);
        };
        axum::serve(listener, router).with_graceful_shutdown(shutdown).await
    }
}

async fn answer(State(mut service): State<Service>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target = header("x-amz-target");
    let action = target.strip_prefix("AmazonSQS.").unwrap_or(target);
    let authority = header(HOST.as_str());
    let outcome = tokio::select! {
        biased;
        outcome = actions::call(&service.sqs, action, &body, authority) => outcome,
        // Only a long poll is ever still under way here, and it has received nothing.
        _ = service.closing.wait_for(|closing| *closing) => Ok(json!({})),
    };
    let (status, query_error, body) = match outcome {
        Ok(body) => (StatusCode::OK, None, body),
        Err(error) => {
            let (shape, code) = error.names();
            let (status, side) = if error.is_senders_fault() {
                (StatusCode::BAD_REQUEST, "Sender")
            } else {
                (StatusCode::INTERNAL_SERVER_ERROR, "Receiver")
            };
            (status, Some(format!("{code};{side}")), json!({ "__type": shape, "message": error.to_string() }))
        }
    };
    let query_error = query_error.map(|value| [("x-amzn-query-error", value)]);
    (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], query_error, body.to_string()).into_response()
}
