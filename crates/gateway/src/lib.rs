//! From API Gateway's events to the core's requests and back: what the two functions behind the gateway share.

use batch_core::app::App;
use batch_core::config::Function;
use batch_core::http;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};

/// Answers one event for `function`.
pub async fn answer(app: &App, function: Function, request: Request) -> Response<Body> {
    let request = decode(app, request);
    encode(http::handle(app, function, &request).await)
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

fn encode(answer: http::Response) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::Text(answer.body)).unwrap_or_else(|_| {
        let mut opaque =
            Response::new(Body::Text(r#"{"error":"INTERNAL_ERROR","message":"the answer could not be made"}"#.into()));
        *opaque.status_mut() = lambda_http::http::StatusCode::INTERNAL_SERVER_ERROR;
        opaque
    })
}
