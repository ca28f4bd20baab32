//! The local gateway does what API Gateway does: routes, quotas, compression, events, and a function that fails.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use batch_core::trace::Trace;
use batch_local::gateway::{Function, Handler};
use batch_local::{Service, Settings};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lambda_http::{Body, Context, Request, RequestExt, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

const MB: usize = 1024 * 1024;

/// What a function was given.
#[derive(Debug, Clone, Default)]
struct Seen {
    body: Vec<u8>,
    is_binary: bool,
    headers: BTreeMap<String, String>,
    remaining_ms: i64,
    request_id: String,
    trace: String,
    calls: usize,
}

/// A service whose submit function tells what it saw, panics when the body is `panic`, and answers with as many bytes as
/// the body asks for.
async fn service() -> (Service, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let told = seen.clone();
    let handler: Handler = Arc::new(move |request: Request| {
        let told = told.clone();
        Box::pin(async move { answer(&told, &request) })
    });
    let mut settings = Settings::in_memory().unwrap();
    settings.handlers = BTreeMap::from([(Function::Submit, handler)]);
    (Service::start(settings).await.unwrap(), seen)
}

fn answer(seen: &Mutex<Seen>, request: &Request) -> Response<Body> {
    assert_ne!(request.body().as_ref(), b"panic", "told to");
    let context: Option<Context> = request.lambda_context_ref().cloned();
    let deadline = context.as_ref().map_or(0, |context| i64::try_from(context.deadline).unwrap());
    let mut seen = seen.lock().unwrap();
    *seen = Seen {
        body: request.body().to_vec(),
        is_binary: matches!(request.body(), Body::Binary(_)),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        remaining_ms: deadline - batch_core::runtime::Clock::system().now().0,
        trace: context.as_ref().and_then(|context| context.xray_trace_id.clone()).unwrap_or_default(),
        request_id: context.map(|context| context.request_id).unwrap_or_default(),
        calls: seen.calls + 1,
    };
    let asked = std::str::from_utf8(request.body()).ok().and_then(|text| text.trim().parse::<usize>().ok());
    Response::builder()
        .header("content-type", "text/plain")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .body(Body::Text("x".repeat(asked.unwrap_or(0))))
        .unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bytes that don't compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(len)
    .collect()
}

async fn post(service: &Service, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut request = Client::new().post(format!("{}/batch", service.base_url())).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

fn assert_gateway_error((status, body): &(StatusCode, Value), wanted: u16, error: &str, response: &str) {
    assert_eq!((status.as_u16(), &body["error"]), (wanted, &json!(error)), "{body}");
    assert_eq!(body["details"], json!({"gatewayResponse": response}));
    assert!(!body["message"].as_str().unwrap().is_empty() && !body["requestId"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn an_undeclared_route_is_told_in_the_common_shape() {
    let (service, seen) = service().await;
    let client = Client::new();
    for (method, path) in [("GET", "/batch"), ("DELETE", "/batches"), ("POST", "/"), ("PUT", "/nothing/here")] {
        let url = format!("{}{path}", service.base_url());
        let response = client.request(method.parse().unwrap(), url).send().await.unwrap();
        let status = response.status();
        let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["requestId"], id);
        assert_gateway_error(&(status, body), 404, "ROUTE_NOT_FOUND", "MISSING_AUTHENTICATION_TOKEN");
    }
    assert_eq!(seen.lock().unwrap().calls, 0);
    service.stop().await;
}

#[tokio::test]
async fn the_function_gets_the_bytes_that_were_sent() {
    let (service, seen) = service().await;
    let bytes: Vec<u8> = (0..=255).collect();
    for body in [bytes.clone(), b"{\"a\": \"\xc3\xa9\"}".to_vec(), gzip(&bytes)] {
        let (status, _) = post(&service, body.clone(), &[("content-type", "application/gzip")]).await;
        assert_eq!(status, 200);
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.body, body);
        assert!(seen.is_binary, "bodies travel as base64");
        assert_eq!(seen.headers["content-type"], "application/gzip");
        assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    }
    service.stop().await;
}

#[tokio::test]
async fn the_function_has_29_seconds_and_the_id_of_the_request() {
    let (service, seen) = service().await;
    let response = Client::new().post(format!("{}/batch", service.base_url())).send().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert!((20_000..=29_000).contains(&seen.remaining_ms), "{}", seen.remaining_ms);
    assert_eq!(response.headers()["x-amzn-requestid"], seen.request_id.as_str());
    assert!(Trace::parse(&seen.trace).is_some() && seen.headers["x-amzn-trace-id"] == seen.trace, "{}", seen.trace);
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"], "every value of a header comes back");
    service.stop().await;
}

#[tokio::test]
async fn a_body_beyond_a_quota_does_not_reach_the_function() {
    let (service, seen) = service().await;
    // 4.5 MB is 6 MB as base64; some of the event is taken by what is around it.
    let (status, _) = post(&service, noise(4_500_000), &[]).await;
    assert_eq!((status.as_u16(), seen.lock().unwrap().calls), (200, 1));
    for size in [4_800_000, 10 * MB, 10 * MB + 1, 20 * MB] {
        let answer = post(&service, noise(size), &[]).await;
        assert_gateway_error(&answer, 413, "PAYLOAD_TOO_LARGE", "REQUEST_TOO_LARGE");
    }
    assert_eq!(seen.lock().unwrap().calls, 1);
    service.stop().await;
}

#[tokio::test]
async fn the_gateway_expands_a_content_encoding_but_no_content_type() {
    let (service, seen) = service().await;
    let body = b"{\"operations\": []}".repeat(1000);
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    assert_eq!(post(&service, gzip(&body), &headers).await.0, 200);
    let last = seen.lock().unwrap().clone();
    assert_eq!(last.body, body);
    assert!(!last.headers.contains_key("content-encoding"));

    assert_eq!(post(&service, gzip(&body), &[("content-type", "application/gzip")]).await.0, 200);
    assert_eq!(seen.lock().unwrap().body, gzip(&body));

    // What expands to more than the event can hold, or than the gateway will look at.
    for size in [4_800_000, 11 * MB, 200 * MB] {
        let answer = post(&service, gzip(&vec![b' '; size]), &headers).await;
        assert_gateway_error(&answer, 413, "PAYLOAD_TOO_LARGE", "REQUEST_TOO_LARGE");
    }
    for (body, coding) in [(b"not gzip".to_vec(), "gzip"), (gzip(b"{}")[..10].to_vec(), "gzip"), (b"{}".to_vec(), "br")]
    {
        let answer = post(&service, body, &[("content-encoding", coding)]).await;
        assert_eq!(answer.0, 415, "{coding}");
        assert_eq!(answer.1["details"]["gatewayResponse"], "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(seen.lock().unwrap().calls, 2);
    service.stop().await;
}

#[tokio::test]
async fn an_answer_is_compressed_for_who_takes_it() {
    let (service, _) = service().await;
    let ask = |size: &'static str, accept: &'static str| {
        Client::new().post(format!("{}/batch", service.base_url())).header(ACCEPT_ENCODING, accept).body(size).send()
    };
    for (size, accept, compressed) in
        [("1024", "br, gzip;q=0.5", true), ("1023", "gzip", false), ("1024", "gzip;q=0", false), ("1024", "br", false)]
    {
        let response = ask(size, accept).await.unwrap();
        assert_eq!(response.headers().contains_key(CONTENT_ENCODING), compressed, "{size} {accept}");
        let bytes = response.bytes().await.unwrap();
        let mut text = String::new();
        if compressed {
            GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes.to_vec()).unwrap();
        }
        assert_eq!(text, "x".repeat(size.parse().unwrap()));
    }
    service.stop().await;
}

#[tokio::test]
async fn a_function_that_panics_leaves_the_gateway_serving() {
    let (service, seen) = service().await;
    for _ in 0..3 {
        let answer = post(&service, "panic", &[]).await;
        assert_gateway_error(&answer, 502, "OUTCOME_UNKNOWN", "INTEGRATION_FAILURE");
    }
    assert_eq!(post(&service, "0", &[]).await.0, 200);
    assert_eq!(seen.lock().unwrap().calls, 1);
    service.stop().await;
}

#[tokio::test]
async fn a_host_that_is_none_does_not_reach_the_function() {
    let (service, seen) = service().await;
    for host in ["a b\"c", "[::1", "xn--a"] {
        let answer = post(&service, "0", &[("host", host)]).await;
        assert_eq!((answer.0.as_u16(), &answer.1["error"]), (400, &json!("INVALID_PARAMETER")), "{host}");
    }
    assert_eq!(seen.lock().unwrap().calls, 0);
    service.stop().await;
}

#[tokio::test]
async fn an_answer_beyond_the_quota_of_lambda_is_no_answer() {
    let (service, _) = service().await;
    let answer = post(&service, (6 * MB).to_string(), &[]).await;
    assert_gateway_error(&answer, 502, "OUTCOME_UNKNOWN", "INTEGRATION_FAILURE");
    assert_eq!(post(&service, (5 * MB).to_string(), &[]).await.0, 200);
    service.stop().await;
}

#[tokio::test]
async fn the_key_set_is_published_and_its_tokens_are_taken() {
    let service = Service::start(Settings::in_memory().unwrap()).await.unwrap();
    let keys: Value =
        reqwest::get(format!("{}/.well-known/jwks.json", service.base_url())).await.unwrap().json().await.unwrap();
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    let identity = batch_local::keys::Identity::new("acme", "ann", ["admin"], serde_json::Map::new()).unwrap();
    let token = service.token(&identity).unwrap();
    let key = service.api_key("acme", "ann", &["admin"]).await.unwrap();
    let batches = |credential: String| {
        Client::new().get(format!("{}/batches", service.base_url())).bearer_auth(credential).send()
    };
    for credential in [token.clone(), key.expose().clone()] {
        assert_eq!(batches(credential).await.unwrap().status(), 200);
    }
    let (rest, _) = token.rsplit_once('.').unwrap();
    assert_eq!(batches(format!("{rest}.{}", "A".repeat(86))).await.unwrap().status(), 401);
    service.stop().await;
}
