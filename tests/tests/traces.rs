//! A request and all that comes of it have one trace id, from the gateway through the queue into every line.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what a test cannot do without may stop it")]

use std::collections::BTreeSet;
use std::time::Duration;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_core::trace::{self, Trace};
use batch_local::{Service, Settings};
use batch_tests::seam::{Call, Fault};
use batch_tests::{Lines, World};
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tracing::Level;

const HEADER: &str = "Root=1-58406520-a006649127e371903a2de979;Parent=4c721bf33e3caf8f;Sampled=1";
const OTHER: &str = "Root=1-58406521-b006649127e371903a2de979";

fn a_trace() -> Option<Trace> {
    let trace = Trace::parse(HEADER);
    assert!(trace.is_some());
    trace
}

fn create(id: &str) -> Value {
    json!({ "id": id, "entity": "artist", "action": "create", "store_params": { "name": id } })
}

fn parsed(lines: &Lines) -> Vec<Value> {
    lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The traces that messages were sent with; an empty one for none.
fn sent(calls: &[Call]) -> Vec<String> {
    let messages = calls.iter().filter(|call| call.operation == "SendMessage");
    let headers = messages.map(|call| &call.body["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"]);
    headers.map(|header| header.as_str().unwrap_or_default().to_owned()).collect()
}

/// Delivers a message with a trace, to an executor that has `left` beyond what it keeps for its answer.
async fn deliver(world: &World, body: &str, header: &str, left: Duration) {
    let event = json!({ "Records": [{
        "messageId": "m0", "receiptHandle": "r0", "body": body, "messageAttributes": {},
        "attributes": { "ApproximateReceiveCount": "1", "AWSTraceHeader": header },
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:BatchQueue",
    }] });
    let mut context = Context::default();
    let left = i64::try_from(left.as_millis()).unwrap() + 5_000;
    context.deadline = u64::try_from(world.app.clock().now().plus_ms(left).0).unwrap();
    // The trace of the call is that of the delivery, which may hold messages of many requests.
    context.xray_trace_id = Some(OTHER.to_owned());
    let event = LambdaEvent::new(serde_json::from_value(event).unwrap(), context);
    assert_eq!(executor::handle(&world.app, event).await.batch_item_failures.len(), 0);
}

#[tokio::test]
async fn every_line_of_a_request_and_of_its_batch_has_the_trace_that_the_gateway_gave_it() {
    let (lines, _logging) = Lines::listen(Level::DEBUG);
    let service = Service::start(Settings { pump: false, ..Settings::in_memory().unwrap() }).await.unwrap();
    let key = service.api_key("t1", "alice", &[]).await.unwrap();
    let body = json!({ "operations": [create("a"), create("b")] });
    // None of these is the client's to choose here, and none may show.
    let names = ["x-amzn-trace-id", "traceparent", "x-amzn-requestid"];
    let mut request = reqwest::Client::new().post(format!("{}/batch", service.base_url()));
    for name in names {
        request = request.header(name, "1-58406520-canary-canary\",\"level\":\"x");
    }
    let request = request.bearer_auth(key.expose()).header("prefer", "respond-async").json(&body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let id = answer.json::<Value>().await.unwrap()["batchId"].as_str().unwrap().to_owned();
    assert_eq!(service.drain().await.unwrap(), 1);
    let lines = parsed(&lines);
    let of_the_batch: Vec<&Value> = lines.iter().filter(|line| line["batch.id"] == id.as_str()).collect();
    let traces: BTreeSet<&str> = of_the_batch.iter().map(|line| line["trace.id"].as_str().unwrap_or("none")).collect();
    let [trace] = traces.into_iter().collect::<Vec<_>>()[..] else { panic!("{of_the_batch:#?}") };
    assert!(Trace::parse(&format!("Root={trace}")).is_some(), "{trace}");
    let with = |message: &str, field: &str| {
        let line = lines.iter().find(|line| line["message"] == message && line["trace.id"] == trace);
        line.unwrap_or_else(|| panic!("{message}: {lines:#?}"))[field].is_string()
    };
    assert!(with("batch accepted", "request.id") && with("request answered", "request.id"));
    for message in ["batch started", "operation completed", "operations committed", "batch executed", "batch ended"] {
        assert!(with(message, "message.id"), "{message}");
    }
    assert!(lines.iter().all(|line| !line.to_string().contains("canary")), "{lines:#?}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_sent_with_the_trace_of_the_message_that_was_worked_on() {
    let limits = Limits { chunk_operations: 1, ..Limits::default() };
    let world = World::with(Model::shipped().unwrap(), limits).await;
    let body = json!({ "operations": [create("a"), create("b")], "options": { "atomic": false } });
    trace::scope(a_trace(), world.post_with("/batch", &[("prefer", "respond-async")], &body)).await;
    assert_eq!(sent(&world.seam.take_calls()), [HEADER]);
    let [message] = world.seam.take_messages().try_into().expect("one message");
    world.seam.plan("TransactWriteItems", Fault::SlowReply(Duration::from_millis(900)));
    deliver(&world, &message, HEADER, Duration::from_millis(800)).await;
    assert_eq!(sent(&world.seam.take_calls()), [HEADER]);
    // What has not the form of a trace is none.
    let [message] = world.seam.take_messages().try_into().expect("one message");
    world.seam.plan("TransactWriteItems", Fault::RequestLost);
    deliver(&world, &message, "Root=1-canary", Duration::from_secs(50)).await;
    assert!(!format!("{:?}", world.seam.take_calls()).contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn the_sweep_sends_a_batch_with_the_trace_of_the_request_that_made_it() {
    let (lines, _logging) = Lines::listen(Level::INFO);
    let world = World::new().await;
    let body = json!({ "operations": [create("a")] });
    trace::scope(a_trace(), world.post_with("/batch", &[("prefer", "respond-async")], &body)).await;
    world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    world.seam.take_messages();
    world.seam.take_calls();
    tokio::time::advance(Duration::from_mins(2)).await;
    let time = world.app.clock().now().to_string();
    let tick = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
    deliver(&world, &tick, OTHER, Duration::from_secs(50)).await;
    let sent: BTreeSet<String> = sent(&world.seam.take_calls()).into_iter().collect();
    // One batch has no trace, and takes none of another's.
    assert_eq!(sent, BTreeSet::from([String::new(), HEADER.to_owned()]));
    let again: Vec<Value> = parsed(&lines)
        .into_iter()
        .filter(|line| line["message"].as_str().is_some_and(|m| m.contains("sent again")))
        .collect();
    let traced = again.iter().filter(|line| line["trace.id"] == a_trace().unwrap().id()).count();
    assert_eq!((again.len(), traced), (2, 1), "{again:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_its_client_named_gets_another_name() {
    let world = World::new().await;
    for (given, kept) in [("canary-of-the-client", false), ("01234567-89ab-cdef-0123-456789abcdef", true)] {
        let mut context = ApiGatewayProxyRequestContext::default();
        context.request_id = Some(given.to_owned());
        let request = lambda_http::http::Request::post("https://api.example.com/batch").body(Body::Empty).unwrap();
        let request = request.with_raw_http_path("/batch");
        let request = request.with_request_context(RequestContext::ApiGatewayV1(context));
        let answer = submit::handle(&world.app, request).await;
        let told: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), told["requestId"] == given), (401, kept), "{told}");
    }
}
