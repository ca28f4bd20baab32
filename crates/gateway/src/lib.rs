//! From API Gateway's events to the core's requests and back: what the two functions behind the gateway share.

use std::panic::AssertUnwindSafe;

use batch_core::app::App;
use batch_core::config::Function;
use batch_core::dialect::native;
use batch_core::http;
use batch_core::operation::Code;
use futures::FutureExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};

/// Answers one event for `function`.
pub async fn answer(app: &App, function: Function, request: Request) -> Response<Body> {
    let request = decode(app, request);
    let answer = AssertUnwindSafe(http::handle(app, function, &request)).catch_unwind().await;
    let Ok(answer) = answer else {
        tracing::error!(request.id = %request.request_id, "working on a request panicked");
        return opaque(&request.request_id);
    };
    encode(answer, &request.request_id)
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
        request_id: request_id.unwrap_or_else(|| app.entropy().hex32()),
    }
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
