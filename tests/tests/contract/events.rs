//! The events for `cargo lambda invoke`: each is what its service sends, and its function takes it.

use aws_lambda_events::apigw::ApiGatewayProxyRequest;
use aws_lambda_events::sqs::SqsEvent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::http::ROUTES;
use batch_core::json::sha256_hex;
use batch_core::queue::Message;
use batch_tests::World;
use serde_json::Value;

const SUBMIT: &str = include_str!("../../../events/submit-batch.json");
const STATUS: &str = include_str!("../../../events/status-batches.json");
const BATCH: &str = include_str!("../../../events/executor-batch.json");
const MINUTE: &str = include_str!("../../../events/executor-minute.json");

/// The call in an event of the gateway, sent on with a good credential.
async fn forward(text: &str) -> (String, batch_tests::Answer) {
    let event: ApiGatewayProxyRequest = serde_json::from_str(text).unwrap();
    let method = event.http_method.to_string();
    let route = event.resource.unwrap();
    assert!(
        ROUTES.iter().any(|(known, path, _)| (*known, *path) == (method.as_str(), route.as_str())),
        "{method} {route}"
    );
    let context = event.request_context;
    assert_eq!(
        (context.resource_path.as_deref(), context.http_method.as_str()),
        (Some(route.as_str()), method.as_str())
    );
    let path = event.path.unwrap();
    assert_eq!(
        context.path,
        Some(format!("/{}{path}", context.stage.unwrap())),
        "the stage stands before the path outside"
    );
    let body = event.body.unwrap_or_default();
    let body = if event.is_base64_encoded { STANDARD.decode(body).unwrap() } else { body.into_bytes() };
    assert_eq!(event.headers["authorization"], "Bearer TOKEN", "to be replaced, as the page says");

    let world = World::new().await;
    let key = world.key("demo", "me", &[]).await;
    let bearer = format!("Bearer {key}");
    let mut headers = vec![("authorization", bearer.as_str())];
    let content_type = event.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
    headers.extend(content_type.as_deref().map(|value| ("content-type", value)));
    let query: Vec<String> =
        event.query_string_parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let answer = world.send(&method, &format!("{path}?{}", query.join("&")), &headers, &body).await;
    (method, answer)
}

#[tokio::test(start_paused = true)]
async fn the_events_of_the_gateway_are_calls_that_succeed() {
    let (method, answer) = Box::pin(forward(SUBMIT)).await;
    assert_eq!(
        (method.as_str(), answer.status, &answer.body["success"]),
        ("POST", 200, &Value::Bool(true)),
        "{:#}",
        answer.body
    );
    let (method, answer) = Box::pin(forward(STATUS)).await;
    assert_eq!((method.as_str(), answer.status), ("GET", 200), "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn the_events_of_the_queue_are_messages_that_the_executor_reads() {
    for text in [BATCH, MINUTE] {
        let event: SqsEvent = serde_json::from_str(text).unwrap();
        let bodies: Vec<String> = event.records.into_iter().map(|record| record.body.unwrap()).collect();
        let world = World::new().await;
        // There is no such batch here, so nothing is to be done; what could not be read would come back.
        assert_eq!(world.deliver(&bodies).await, Vec::<String>::new());
        assert_eq!(world.deliver(&[bodies[0].replace('{', "[")]).await, ["m0"]);
    }
}

#[test]
fn a_queue_message_is_as_submit_sends_it() {
    let event: SqsEvent = serde_json::from_str(BATCH).unwrap();
    let record = &event.records[0];
    let body = record.body.as_deref().unwrap();
    let message: Message = serde_json::from_str(body).unwrap();
    assert_eq!(serde_json::to_string(&message).unwrap(), body);
    assert_eq!(record.attributes["MessageGroupId"], sha256_hex(message.tenant.as_str().as_bytes())[..32]);
}

#[test]
fn the_minute_rule_sends_a_scheduled_event() {
    let event: SqsEvent = serde_json::from_str(MINUTE).unwrap();
    let body: Value = serde_json::from_str(event.records[0].body.as_deref().unwrap()).unwrap();
    assert_eq!((&body["source"], &body["detail-type"]), (&"aws.events".into(), &"Scheduled Event".into()));
    assert!(batch_core::runtime::Timestamp::parse(body["time"].as_str().unwrap()).is_some());
    assert_eq!(event.records[0].attributes.get("MessageGroupId"), None, "a rule sends without a group");
}
