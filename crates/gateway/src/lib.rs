//! From API Gateway's events to the core's requests and back: what the two functions behind the gateway share.

use std::panic::AssertUnwindSafe;

use batch_core::app::App;
use batch_core::config::Function;
use batch_core::dialect::native;
use batch_core::http;
use batch_core::operation::Code;
use batch_core::trace::{self, Trace};
use futures::FutureExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use tracing::Instrument;

/// Answers one event for `function`.
pub async fn answer(app: &App, function: Function, request: Request) -> Response<Body> {
    // Lambda's own account of the trace, never the header that a client may have sent.
    let context = request.lambda_context_ref();
    let trace = context.and_then(|context| context.xray_trace_id.as_deref()).and_then(Trace::parse);
    let request = decode(app, request);
    // Of the highest level, so that its fields are there whatever level is logged.
    let span = tracing::error_span!(
        "request",
        request.id = request.request_id.as_str(),
        trace.id = trace.as_ref().map(Trace::id)
    );
    let work = async {
        let answer = AssertUnwindSafe(http::handle(app, function, &request)).catch_unwind().await;
        let Ok(answer) = answer else {
            tracing::error!("working on a request panicked");
            return opaque(&request.request_id);
        };
        encode(answer, &request.request_id)
    };
    trace::scope(trace, work).instrument(span).await
}

fn decode(app: &App, request: Request) -> http::Request {
    let path = request.raw_http_path().to_owned();
    let context = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => Some(context),
        _ => None,
    };
    let base_path = context.and_then(|context| base_path(context, &path)).unwrap_or_default();
    let request_id = context.and_then(|context| context.request_id.clone());
    let query = request.query_string_parameters();
    let query = query.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (parts, body) = request.into_parts();
    http::Request {
        method: parts.method.to_string(),
        path,
        base_path,
        query,
        headers: parts.headers,
        body: body.to_vec(),
        request_id: request_id.filter(|id| is_uuid(id)).unwrap_or_else(|| app.entropy().hex32()),
    }
}

/// The gateway's ids are UUIDs; but a client may name its request itself, by `X-Amzn-RequestId`, and its words are for no
/// log.
fn is_uuid(id: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    let hex = |group: &str| group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    id.split('-').map(str::len).eq(groups) && id.split('-').all(hex)
}

/// The stage, as the client sees it: the gateway gives the path with it (`/prod/batch`) and without.
fn base_path(context: &ApiGatewayProxyRequestContext, path: &str) -> Option<String> {
    let outside = context.path.as_deref()?;
    Some(outside.strip_suffix(path)?.to_owned())
}

fn encode(answer: http::Response, request_id: &str) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::Text(answer.body)).unwrap_or_else(|_| opaque(request_id))
}

/// An answer in the place of one that could not be made, when nobody knows how far the work came.
fn opaque(request_id: &str) -> Response<Body> {
    let message = "the outcome is not known; send the same request with the same Idempotency-Key to learn it";
    let body = native::error(Code::OutcomeUnknown, message, None, &[], request_id);
    let mut opaque = Response::new(Body::Text(body.to_string()));
    *opaque.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("retry-after", "2")];
    opaque
        .headers_mut()
        .extend(headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
    opaque
}
