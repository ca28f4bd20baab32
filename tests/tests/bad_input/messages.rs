//! Queue messages that are no messages of ours: each is left for the dead-letter queue, and touches nothing.

use serde_json::json;

use super::client::Client;

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_comes_back_and_holds_up_no_other() {
    let client = Client::new().await;
    let before = client.stored();
    let id = "batch_0123456789abcdef0123456789abcdef";
    let deep = "[".repeat(100_000);
    let mut bodies: Vec<String> =
        ["", " ", "null", "[]", "{}", "7", "\"x\"", "{", "\u{0}", deep.as_str()].map(str::to_owned).to_vec();
    for message in [
        json!({ "kind": "execute", "tenant": "t1", "batch_id": id }),
        json!({ "v": 2, "kind": "execute", "tenant": "t1", "batch_id": id }),
        json!({ "v": "1", "kind": "execute", "tenant": "t1", "batch_id": id }),
        json!({ "v": 1, "kind": "destroy", "tenant": "t1", "batch_id": id }),
        json!({ "v": 1, "kind": "execute", "tenant": "t1#x", "batch_id": id }),
        json!({ "v": 1, "kind": "execute", "tenant": "", "batch_id": id }),
        json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": "batch_1" }),
        json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": format!("{id}#A#HEAD") }),
        json!({ "v": 1, "kind": "execute", "tenant": 5, "batch_id": [] }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event" }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": "soon" }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": 5 }),
        json!({ "source": "aws.s3", "detail-type": "Scheduled Event", "time": "2026-01-01T00:00:00Z" }),
    ] {
        bodies.push(message.to_string());
    }
    let bad = bodies.len();
    // Ones that are understood, among them; what they name is not there, or long ago, or far ahead.
    for message in [
        json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id, "more": true }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": "0001-01-01T00:00:00Z" }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": "9999-12-31T23:59:59+00:00" }),
    ] {
        bodies.push(message.to_string());
    }
    let again: Vec<String> = (0..bad).map(|place| format!("m{place}")).collect();
    assert_eq!(client.world.deliver(&bodies).await, again);
    assert_eq!(client.writes(), [""; 0]);
    assert_eq!(client.stored(), before);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_another_tenant_runs_nothing() {
    let client = Client::new().await;
    let body = r#"{"operations":[{"entity":"customer","action":"create","store_params":{"first_name":"J"}}]}"#;
    let answer = client.post("/batch", &[("prefer", b"respond-async")], body.as_bytes()).await;
    let message = client.world.seam.take_messages().remove(0);
    client.writes();
    let foreign = message.replace("\"t1\"", "\"t2\"");
    assert_ne!(foreign, message);
    assert_eq!(client.world.deliver(&[foreign]).await, [""; 0], "there is no such batch");
    assert_eq!(client.writes(), [""; 0]);
    let pending = client.get(&format!("/batches/{}", answer.batch_id())).await;
    assert_eq!(pending.body["status"], "pending");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_counts_from_now_leaves_time_to_work() {
    let client = Client::new().await;
    let body = r#"{"operations":[{"entity":"customer","action":"create","store_params":{"first_name":"J"}}]}"#;
    let answer = client.post("/batch", &[("prefer", b"respond-async")], body.as_bytes()).await;
    let message = client.world.seam.take_messages().remove(0);
    let event =
        json!({ "Records": [{ "messageId": "m", "body": message, "attributes": {}, "messageAttributes": {} }] });
    let mut context = lambda_runtime::Context::default();
    // So cargo-lambda 1.9.2 puts it; Lambda itself gives milliseconds since the epoch.
    context.deadline = 600_000;
    let event = lambda_runtime::LambdaEvent::new(serde_json::from_value(event).unwrap(), context);
    let response = executor::handle(&client.world.app, event).await;
    assert!(response.batch_item_failures.is_empty());
    let batch = client.get(&format!("/batches/{}", answer.batch_id())).await;
    assert_eq!(batch.body["status"], "completed", "{:#}", batch.body);
    assert_eq!(client.world.seam.take_messages(), [""; 0], "nothing is handed on");
}
