//! Batches in the background: accepted at once, run by the executor, never forgotten.

use std::time::Duration;

use batch_tests::World;
use batch_tests::seam::Fault;
use serde_json::{Value, json};

fn artists(count: usize) -> Value {
    (0..count).map(|n| json!({ "id": format!("a{n}"), "entity": "artist", "action": "create", "store_params": { "name": format!("N{n}") } })).collect()
}

fn minute(time: &str) -> String {
    json!({ "version": "0", "id": "e", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
            "time": time, "region": "us-east-1", "resources": [], "detail": {} })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_to_run_in_the_background_is_executed_from_its_message() {
    let world = World::new().await;
    let accepted =
        world.post_with("/batch", &[("prefer", "respond-async")], &json!({ "operations": artists(3) })).await;
    assert_eq!(accepted.status, 202);
    let id = accepted.batch_id();
    assert_eq!(accepted.body, json!({ "batchId": id, "status": "pending", "totalItems": 3 }));
    assert_eq!(accepted.header("location"), format!("/batches/{id}"));
    assert_eq!((accepted.header("retry-after"), accepted.header("preference-applied")), ("1", "respond-async"));
    let before = world.get(&format!("/batches/{id}")).await;
    assert_eq!((&before.body["status"], &before.body["summary"]["pending"]), (&json!("pending"), &json!(3)));
    let messages = world.seam.take_messages();
    let message: Value = serde_json::from_str(&messages[0]).expect("JSON");
    assert_eq!(message, json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }), "ids only");
    assert!(world.deliver(&messages).await.is_empty());
    let after = world.get(&format!("/batches/{id}")).await;
    assert_eq!((&after.body["status"], &after.body["summary"]["successful"]), (&json!("completed"), &json!(3)));
    let results = world.get(&format!("/batches/{id}/results?status=completed&limit=2")).await;
    assert_eq!((results.body["data"].as_array().map(Vec::len), &results.body["hasMore"]), (Some(2), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_message_was_never_sent_is_found_by_the_sweep() {
    let world = World::new().await;
    for _ in 0..5 {
        world.seam.plan("SendMessage", Fault::RequestLost);
    }
    let accepted =
        world.post_with("/batch", &[("prefer", "respond-async")], &json!({ "operations": artists(2) })).await;
    assert_eq!(accepted.status, 202, "accepted is accepted");
    assert_eq!(world.drain().await, 0);
    tokio::time::advance(Duration::from_mins(2)).await;
    assert!(world.deliver(&[minute("2026-01-01T00:02:00Z")]).await.is_empty());
    assert_eq!(world.drain().await, 1);
    let told = world.get(&format!("/batches/{}", accepted.batch_id())).await;
    assert_eq!(told.body["status"], "completed");
    // Once it has ended, nothing is sent any more.
    assert!(world.deliver(&[minute("2026-01-01T00:02:00Z")]).await.is_empty());
    assert_eq!(world.drain().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_hands_the_batch_to_the_queue() {
    let world = World::new().await;
    let body = json!({ "operations": artists(3) });
    let accepted = world.post_with("/batch", &[("prefer", "wait=0")], &body).await;
    assert_eq!((accepted.status, accepted.header("preference-applied")), (202, "wait=0"));
    assert_eq!(world.drain().await, 1);
    assert_eq!(world.get(&format!("/batches/{}", accepted.batch_id())).await.body["status"], "completed");
    let waited = world.post_with("/batch", &[("prefer", "wait=5, return=minimal")], &body).await;
    assert_eq!((waited.status, waited.header("preference-applied")), (200, "wait=5, return=minimal"));
    assert_eq!(waited.body["results"]["a0"], json!({ "id": "a0", "index": 0, "status": "completed" }));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_after_acceptance_leaves_the_batch_to_the_queue() {
    let world = World::new().await;
    for _ in 0..200 {
        world.seam.plan("TransactWriteItems", Fault::Error(500, "InternalServerError"));
    }
    let accepted = world.batch(&json!({ "operations": artists(3), "options": { "timeout": 3000 } })).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    world.seam.clear();
    assert_eq!(world.drain().await, 1);
    let told = world.get(&format!("/batches/{}", accepted.batch_id())).await;
    assert_eq!((&told.body["status"], &told.body["summary"]["successful"]), (&json!("completed"), &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn batches_are_listed_newest_first_to_those_who_may_see_them() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        tokio::time::advance(Duration::from_millis(10)).await;
        let options = if n == 2 { json!({ "reference": "import-7" }) } else { json!({}) };
        ids.insert(
            0,
            world
                .run(vec![json!({ "entity": "artist", "action": "create", "store_params": { "name": "N" } })], options)
                .await
                .batch_id(),
        );
    }
    let list = |page: &Value| -> Vec<String> {
        page["data"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|batch| batch["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let first = world.get("/batches?limit=3").await;
    assert_eq!(list(&first.body), ids[..3]);
    let cursor = first.body["nextCursor"].as_str().expect("more");
    let rest = world.get(&format!("/batches?limit=3&cursor={cursor}")).await;
    assert_eq!((list(&rest.body), &rest.body["hasMore"]), (ids[3..].to_vec(), &json!(false)));
    let other = world.get(&format!("/batches?limit=3&status=failed&cursor={cursor}")).await;
    assert_eq!(
        (other.status, &other.body["error"]),
        (400, &json!("INVALID_PARAMETER")),
        "a cursor is bound to its filter"
    );
    assert_eq!(list(&world.get("/batches?reference=import-7").await.body), ids[2..3]);
    assert_eq!(list(&world.get("/batches?status=failed").await.body), Vec::<String>::new());

    for (tenant, subject, roles, sees) in
        [("t1", "bob", &[][..], false), ("t1", "root", &["admin"][..], true), ("t2", "alice", &["admin"][..], false)]
    {
        let key = world.key(tenant, subject, roles).await;
        let headers = [("x-api-key", key.as_str())];
        let listed = world.send("GET", "/batches", &headers, b"").await;
        assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(if sees { 5 } else { 0 }), "{tenant} {subject}");
        for target in [format!("/batches/{}", ids[0]), format!("/batches/{}/results", ids[0])] {
            let one = world.send("GET", &target, &headers, b"").await;
            assert_eq!(one.status, if sees { 200 } else { 404 }, "{tenant} {subject} {target}");
        }
    }
}
