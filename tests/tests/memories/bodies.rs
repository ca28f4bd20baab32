//! Bodies of every size and form, and batches whose time is over.

use std::io::Write;
use std::time::Duration;

use batch_tests::seam::Fault;
use batch_tests::{Answer, World};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::setting::{adds_up, create, failure, found, made, named, run};

async fn send(world: &World, media: &str, body: &[u8]) -> Answer {
    let key = world.key("t1", "alice", &[]).await;
    world.send("POST", "/api/v1/batch", &[("content-type", media), ("x-api-key", &key)], body).await
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default())
}

/// A batch of creations that is so many bytes of JSON.
fn sized(bytes: usize) -> Vec<u8> {
    let contents = 49_000;
    let operations: Vec<Value> = (0..bytes / 49_100).map(|_| create(&"herons nest ".repeat(contents / 12))).collect();
    let mut body = json!({ "operations": operations, "filler": "" }).to_string();
    let fill = " ".repeat(bytes - body.len());
    body.insert_str(body.len() - 1, &fill);
    body.into_bytes()
}

#[tokio::test(start_paused = true)]
async fn four_megabytes_are_taken_as_they_are_and_more_only_compressed() {
    let world = World::new().await;
    let plain = send(&world, "application/json", &sized(4_400_000)).await;
    adds_up(&plain);
    assert_eq!(plain.status, 200);
    assert_eq!(told(&send(&world, "application/json", &vec![b' '; 4_500_001]).await), (413, "PAYLOAD_TOO_LARGE"));
    let mut large = sized(4_400_000);
    large.resize(9_900_000, b' ');
    let compressed = send(&world, "application/gzip", &gzip(&large)).await;
    assert_eq!(compressed.status, 200);
    adds_up(&compressed);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_expanded_is_told_and_nothing_runs() {
    let world = World::new().await;
    let good = json!({ "operations": [create("x")] }).to_string();
    let compressed = gzip(good.as_bytes());
    let bomb = gzip(&vec![b' '; 200_000_000]);
    assert!(bomb.len() < 300_000);
    for (media, body, expected) in [
        ("application/gzip", &compressed[..compressed.len() - 9], (400, "INVALID_BATCH_REQUEST")),
        ("application/gzip", b"\x1f\x8bgarbage".as_slice(), (400, "INVALID_BATCH_REQUEST")),
        ("application/gzip", good.as_bytes(), (400, "INVALID_BATCH_REQUEST")),
        ("application/gzip", &bomb, (413, "PAYLOAD_TOO_LARGE")),
        ("application/gzip", &gzip(&vec![b' '; 11_000_000]), (413, "PAYLOAD_TOO_LARGE")),
        ("application/json", b"{", (400, "INVALID_BATCH_REQUEST")),
        ("application/json", b"", (400, "INVALID_BATCH_REQUEST")),
        ("application/json", b"[]", (400, "INVALID_BATCH_REQUEST")),
        ("application/json", b"\xff\xfe", (400, "INVALID_BATCH_REQUEST")),
        ("text/plain", good.as_bytes(), (415, "UNSUPPORTED_MEDIA_TYPE")),
    ] {
        let answer = send(&world, media, body).await;
        assert_eq!(told(&answer), expected, "{media}: {:#}", answer.body);
        assert_eq!((&answer.body["success"], answer.body["message"].is_string()), (&json!(false), true));
    }
    assert_eq!(send(&world, "application/gzip", &compressed).await.status, 200);
    assert_eq!(world.items("SearchTable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_in_time_says_so_and_what_has_stays() {
    let world = World::new().await;
    world.seam.plan("TransactWriteItems", Fault::SlowReply(Duration::from_millis(600)));
    let operations = vec![create("heron"); 60];
    let answer = run(&world, json!(operations), json!({ "timeout": 500 })).await;
    adds_up(&answer);
    assert_eq!((answer.status, &answer.body["data"]["processed"]), (207, &json!(49)), "the first of two chunks");
    assert_eq!(failure(&answer, 49).0, "TIMEOUT");
    assert_eq!(found(&world, "heron").await.1, 49);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_in_time_leaves_the_batch_to_the_queue() {
    let world = World::new().await;
    world.seam.plan_wherever("RecordsTable", Fault::Error(500, "InternalServerError"));
    let answer = run(&world, json!([create("heron")]), json!({})).await;
    world.seam.clear();
    assert_eq!((answer.status, &answer.body["data"]["status"]), (202, &json!("processing")), "{:#}", answer.body);
    world.drain().await;
    assert_eq!(world.get(answer.header("location")).await.body["status"], "completed");
    assert_eq!(found(&world, "heron").await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_says_so_and_a_retry_runs_it() {
    let world = World::new().await;
    let headers = [("prefer", "respond-async"), ("idempotency-key", "k")];
    let body = json!({ "operations": [create("heron"), { "type": "read", "id": "$ref:op_0.id" }] });
    let answer = world.post_with("/api/v1/batch", &headers, &body).await;
    let id = answer.body["data"]["batch_id"].as_str().unwrap();
    assert_eq!(world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await.status, 200);
    world.drain().await;
    let ended = world.post_with("/api/v1/batch", &headers, &body).await;
    adds_up(&ended);
    assert_eq!((failure(&ended, 0).0, failure(&ended, 1).0), ("CANCELLED", "CANCELLED"));
    let retried = world.post_with(&format!("/batches/{id}/retry"), &[], &json!({})).await;
    assert_eq!((retried.status, &retried.body["retryCount"]), (202, &json!(2)));
    world.drain().await;
    assert_eq!(found(&world, "heron").await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn answers_are_held_to_what_a_function_may_answer() {
    let world = World::new().await;
    let id = made(&world, &"\"\\".repeat(25_000)).await;
    let reads = vec![named("read", &id); 100];
    let answer = run(&world, json!(reads), json!({ "continue_on_error": true })).await;
    let data = &answer.body["data"];
    assert!(answer.body.to_string().len() < 5_000_000);
    assert_eq!(data["total"], 100);
    let told = data["operations"].as_array().unwrap().len();
    // Results of a batch are bounded too: beyond that its operations fail, and say so.
    let failed = data["failed"].as_u64().unwrap();
    assert!(data["has_more"] == true || failed > 0, "{told} operations told, {failed} failed");
}
