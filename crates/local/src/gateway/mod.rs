//! API Gateway on loopback: an HTTP request becomes the event of a REST API, and the function's answer a response.
//!
//! What it does is what `openapi.yaml` says and what the deployed gateway does to bodies, so that a client cannot tell
//! the two apart. Requests are not limited in rate, and nothing is cached.
//!
//! - `spec`: routes and errors, from `openapi.yaml`
//! - `body`: quotas and compression
//! - `event`: the event of a request
//! - `invoke`: the function, called as Lambda calls it

mod body;
mod event;
mod invoke;
mod spec;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::get;
use batch_core::runtime::{Clock, Entropy, Timestamp};
use reqwest::Url;
use serde_json::Value;
use tokio::net::TcpListener;

use self::body::BadBody;
use self::event::Call;
pub use self::invoke::Handler;
use self::invoke::{Answer, Failure};
pub use self::spec::Function;
use self::spec::Spec;
use crate::Error;
use crate::stop::{Stop, Tasks};

/// Where the key set is published. It is no part of the API: on AWS the issuer publishes its own.
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";

/// The gateway and the functions behind it.
pub(crate) struct Gateway {
    spec: Spec,
    functions: BTreeMap<Function, Handler>,
    jwks: String,
    clock: Clock,
    entropy: Entropy,
    tasks: Tasks,
}

/// An error of the gateway's own: its type in API Gateway, and the status where the definition gives none.
type GatewayError = (&'static str, u16);

const ROUTE_NOT_FOUND: GatewayError = ("MISSING_AUTHENTICATION_TOKEN", 403);
const TOO_LARGE: GatewayError = ("REQUEST_TOO_LARGE", 413);
const UNSUPPORTED: GatewayError = ("UNSUPPORTED_MEDIA_TYPE", 415);
const BAD_REQUEST: GatewayError = ("BAD_REQUEST_PARAMETERS", 400);
const TIMED_OUT: GatewayError = ("INTEGRATION_TIMEOUT", 504);
const CRASHED: GatewayError = ("INTEGRATION_FAILURE", 502);

impl Gateway {
    pub(crate) fn new(
        functions: BTreeMap<Function, Handler>,
        jwks: &Value,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, Error> {
        let spec = Spec::load()?;
        Ok(Self { spec, functions, jwks: jwks.to_string(), clock, entropy, tasks: Tasks::default() })
    }

    /// Answers until told to stop; ends when every call has ended.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop: Stop) {
        let tasks = self.tasks.clone();
        let router = Router::new().route(JWKS_PATH, get(jwks)).fallback(answer).with_state(Arc::new(self));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(async move { stop.requested().await }).await;
        if let Err(error) = served {
            tracing::error!(%error, "the gateway failed");
        }
        tasks.finish().await;
    }

    async fn answer(
        &self,
        peer: SocketAddr,
        request: Request,
        request_id: &str,
    ) -> Result<Response<Body>, GatewayError> {
        let (mut parts, body) = request.into_parts();
        let found = self.spec.find(parts.method.as_str(), parts.uri.path());
        let read = body::read(&mut parts.headers, body).await;
        let found = found.ok_or(ROUTE_NOT_FOUND)?;
        let body = read.map_err(|error| match error {
            BadBody::TooLarge => TOO_LARGE,
            BadBody::UnknownCoding => UNSUPPORTED,
            BadBody::Broken => BAD_REQUEST,
        })?;
        if !is_url_host(&parts.headers) {
            return Err(BAD_REQUEST);
        }
        let now = self.clock.now();
        let trace = self.trace(now);
        let trace = trace.as_str();
        let call = Call { parts: &parts, found: &found, body: &body, source_ip: peer.ip(), request_id, trace, now };
        let event = call.event().to_string();
        let handler = self.functions.get(&found.route.function).ok_or(CRASHED)?;
        let answer = invoke::invoke(handler.clone(), event, (request_id, trace), now, &self.tasks).await;
        let response = answer.and_then(|answer| self.response(&parts.headers, &answer));
        response.map_err(|failure| match failure {
            Failure::EventTooLarge => TOO_LARGE,
            Failure::TimedOut => TIMED_OUT,
            Failure::Crashed(reason) => {
                tracing::error!(request_id, reason, "a function failed");
                CRASHED
            }
        })
    }

    /// The trace of a request, as AWS makes one: the time in seconds, and chance.
    fn trace(&self, now: Timestamp) -> String {
        let chance = self.entropy.hex32();
        format!("Root=1-{:08x}-{}", now.seconds() & 0xffff_ffff, chance.get(..24).unwrap_or_default())
    }

    fn response(&self, request: &HeaderMap, answer: &Answer) -> Result<Response<Body>, Failure> {
        let wrong = |what: &str| Failure::Crashed(format!("the answer has a wrong {what}"));
        let mut body = answer.body()?;
        let mut headers = HeaderMap::new();
        let single = answer.headers.iter().filter(|(name, _)| !answer.multi_value_headers.contains_key(*name));
        let many =
            answer.multi_value_headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        for (name, value) in single.chain(many) {
            let name = HeaderName::try_from(name).map_err(|_| wrong("header"))?;
            headers.append(name, HeaderValue::try_from(value).map_err(|_| wrong("header"))?);
        }
        if let Some((coding, compressed)) = body::compress(request, self.spec.compress_from, &body)
            && !headers.contains_key(&coding)
        {
            headers.insert(coding, HeaderValue::from_static("gzip"));
            body = compressed;
        }
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(answer.status_code).map_err(|_| wrong("status"))?;
        *response.headers_mut() = headers;
        Ok(response)
    }

    fn error(&self, (error_type, status): GatewayError, request_id: &str) -> Response<Body> {
        let (status, body, headers) = self.spec.error(error_type, status, request_id);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A function takes the URL of the request apart. On AWS a host that is none finds no API at all.
fn is_url_host(headers: &HeaderMap) -> bool {
    headers.get(HOST).is_none_or(|host| host.to_str().is_ok_and(|host| Url::parse(&format!("https://{host}/")).is_ok()))
}

async fn answer(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let request_id = uuid::Builder::from_random_bytes(gateway.entropy.bytes()).into_uuid().to_string();
    let answer = gateway.answer(peer, request, &request_id).await;
    let mut response = answer.unwrap_or_else(|error| gateway.error(error, &request_id));
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

async fn jwks(State(gateway): State<Arc<Gateway>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/json")], gateway.jwks.clone())
}

/// Publishes the key set alone, for functions that run elsewhere.
pub(crate) async fn serve_jwks(listener: TcpListener, keys: &Value, mut stop: Stop) {
    let keys = keys.to_string();
    let publish = move || async move { ([(CONTENT_TYPE, "application/json")], keys) };
    let router = Router::new().route(JWKS_PATH, get(publish));
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.requested().await }).await;
    if let Err(error) = served {
        tracing::error!(%error, "the server of the key set failed");
    }
}
