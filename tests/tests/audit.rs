//! The log of a batch: who did what to it and when.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use std::time::Duration;

use batch_tests::seam::{Fault, dispatch};
use batch_tests::{Answer, World};
use serde_json::{Value, json};

fn artists(count: usize) -> Value {
    let artist = |n: usize| json!({ "id": format!("a{n}"), "entity": "artist", "action": "create", "store_params": { "name": format!("N{n}") } });
    (0..count).map(artist).collect()
}

async fn accepted(world: &World, count: usize) -> String {
    let body = json!({ "operations": artists(count) });
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    answer.batch_id()
}

async fn act(world: &World, id: &str, act: &str) -> Answer {
    world.post_with(&format!("/batches/{id}/{act}"), &[], &json!({})).await
}

async fn log(world: &World, id: &str) -> Vec<Value> {
    let page = world.get(&format!("/batches/{id}/audit?limit=100")).await;
    assert_eq!((page.status, &page.body["hasMore"]), (200, &json!(false)), "{:#}", page.body);
    page.body["data"].as_array().cloned().expect("entries")
}

fn acts(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["act"].as_str().expect("an act")).collect()
}

fn rows(world: &World) -> Vec<Value> {
    let items = world.items("BatchesTable").into_iter();
    items.filter(|item| item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("LOG#"))).collect()
}

/// Who does `word` to the batch, as another caller of the tenant's admins.
async fn act_as(world: &World, key: &str, id: &str, act: &str) -> Answer {
    world.send("POST", &format!("/batches/{id}/{act}"), &[("x-api-key", key)], b"").await
}

#[tokio::test(start_paused = true)]
async fn a_log_tells_a_life_in_its_order_with_times_and_names() {
    let world = World::new().await;
    let id = accepted(&world, 2).await;
    let admin = world.key("t1", "root", &["admin"]).await;
    let wait = || tokio::time::advance(Duration::from_secs(1));
    wait().await;
    assert_eq!(act(&world, &id, "pause").await.status, 200);
    wait().await;
    assert_eq!(act_as(&world, &admin, &id, "resume").await.status, 200);
    wait().await;
    assert_eq!(act_as(&world, &admin, &id, "cancel").await.status, 200);
    wait().await;
    let retried = act(&world, &id, "retry").await;
    let new = retried.body["newBatchId"].as_str().expect("an id");
    assert_eq!(
        json!(log(&world, &id).await),
        json!([
            { "at": "2026-01-01T00:00:00.000Z", "act": "created", "by": "alice", "totalItems": 2, "background": true },
            { "at": "2026-01-01T00:00:01.000Z", "act": "paused", "by": "alice" },
            { "at": "2026-01-01T00:00:02.000Z", "act": "resumed", "by": "root" },
            { "at": "2026-01-01T00:00:03.000Z", "act": "cancelled", "by": "root" },
            { "at": "2026-01-01T00:00:03.000Z", "act": "ended", "status": "cancelled" },
            { "at": "2026-01-01T00:00:04.000Z", "act": "retried", "by": "alice", "newBatchId": new },
        ])
    );
    world.drain().await;
    let entries = log(&world, new).await;
    assert_eq!(acts(&entries), ["created", "ended"]);
    assert_eq!((&entries[0]["retryOf"], &entries[1]["status"]), (&json!(id), &json!("completed")));
}

#[tokio::test(start_paused = true)]
async fn acts_of_one_millisecond_stand_in_their_order() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    for word in ["pause", "resume", "pause", "resume", "cancel"] {
        assert_eq!(act(&world, &id, word).await.status, 200, "{word}");
    }
    let entries = log(&world, &id).await;
    assert_eq!(acts(&entries), ["created", "paused", "resumed", "paused", "resumed", "cancelled", "ended"]);
    assert_eq!(entries[5]["at"], entries[6]["at"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_comes_in_pages_of_any_size() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    for word in ["pause", "resume", "pause", "cancel", "retry", "retry"] {
        tokio::time::advance(Duration::from_millis(7)).await;
        assert!(act(&world, &id, word).await.status < 300, "{word}");
    }
    let all = log(&world, &id).await;
    assert_eq!(acts(&all), ["created", "paused", "resumed", "paused", "cancelled", "ended", "retried", "retried"]);
    for limit in 1..=9 {
        let (mut told, mut target) = (Vec::new(), format!("/batches/{id}/audit?limit={limit}"));
        loop {
            let page = world.get(&target).await;
            let data = page.body["data"].as_array().cloned().expect("entries");
            assert!(!data.is_empty() && data.len() <= limit, "{limit}: {:#}", page.body);
            told.extend(data);
            match page.body["nextCursor"].as_str() {
                Some(next) => target = format!("/batches/{id}/audit?limit={limit}&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(told, all, "{limit} on a page");
    }
    let other = accepted(&world, 1).await;
    let cursor = world.get(&format!("/batches/{id}/audit?limit=1")).await.body["nextCursor"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    assert_eq!(world.get(&format!("/batches/{other}/audit?cursor={cursor}")).await.status, 400);
    assert_eq!(world.get(&format!("/batches/{id}/results?cursor={cursor}")).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_not_told() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    for (word, status) in [("resume", 409), ("retry", 409), ("pause", 200), ("pause", 200), ("resume", 200)] {
        assert_eq!(act(&world, &id, word).await.status, status, "{word}");
    }
    world.drain().await;
    for word in ["cancel", "pause", "resume", "retry"] {
        assert_eq!(act(&world, &id, word).await.status, 409, "{word}");
    }
    assert_eq!(acts(&log(&world, &id).await), ["created", "paused", "resumed", "ended"]);
    assert_eq!(rows(&world).len(), 2, "creation and end need no row");
}

#[tokio::test(start_paused = true)]
async fn an_act_and_its_row_are_one_transaction() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    world.seam.take_calls();
    act(&world, &id, "cancel").await;
    let calls = world.seam.take_calls();
    let names: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(names, ["Query", "TransactWriteItems"]);
    let puts: Vec<&Value> =
        calls[1].body["TransactItems"].as_array().expect("items").iter().map(|item| &item["Put"]).collect();
    assert_eq!(puts[0]["Item"]["sk"]["S"], "A#STATE");
    assert!(
        puts[1]["Item"]["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("LOG#2026-01-01T00:00:00.000Z#cancelled#"))
    );
    assert_eq!(puts[1]["ConditionExpression"], "attribute_not_exists(pk)");
    assert_eq!(puts[0]["Item"]["pk"], puts[1]["Item"]["pk"]);
    assert_eq!(puts[0]["Item"]["ttl"], puts[1]["Item"]["ttl"], "it stays as long as the state");

    act(&world, &id, "retry").await;
    let calls = world.seam.take_calls();
    let commit = calls.iter().find(|call| call.operation == "TransactWriteItems").expect("the acceptance");
    let puts: Vec<&Value> =
        commit.body["TransactItems"].as_array().expect("items").iter().map(|item| &item["Put"]).collect();
    assert_eq!(puts[0]["Item"]["sk"]["S"], "A#HEAD");
    assert!(puts[1]["Item"]["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with(&id)), "under the batch that is retried");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_second_row() {
    let trouble = [
        Fault::ReplyLost,
        Fault::RequestLost,
        Fault::Error(500, "InternalServerError"),
        Fault::Error(400, "ThrottlingException"),
        Fault::Conflict(vec![0]),
        Fault::Conflict(vec![1]),
    ];
    for fault in trouble {
        let world = World::new().await;
        let id = accepted(&world, 1).await;
        for (word, row) in [("pause", "paused"), ("resume", "resumed"), ("cancel", "cancelled"), ("retry", "retried")] {
            world.seam.plan("TransactWriteItems", fault.clone());
            // The second sending meets what the first has done, though the store has forgotten its token.
            if matches!(fault, Fault::ReplyLost) {
                world.seam.plan("TransactWriteItems", Fault::Error(400, "IdempotentParameterMismatchException"));
            }
            let answer = act(&world, &id, word).await;
            let mismatch = word == "retry" && matches!(fault, Fault::ReplyLost);
            assert!(answer.status < 300 || mismatch, "{fault:?} {word}: {:#}", answer.body);
            assert!(world.seam.all_happened());
            let told = log(&world, &id).await;
            assert_eq!(acts(&told).into_iter().filter(|act| *act == row).count(), 1, "{fault:?} {word}");
        }
        assert_eq!(rows(&world).len(), 4, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replayed_retry_is_one_row() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    act(&world, &id, "cancel").await;
    let retry = async || {
        let key = [("idempotency-key", "k")];
        let answer = world.post_with(&format!("/batches/{id}/retry"), &key, &json!({})).await;
        assert_eq!(answer.status, 202, "{:#}", answer.body);
        answer.body["newBatchId"].clone()
    };
    assert_eq!(retry().await, retry().await);
    assert_eq!(acts(&log(&world, &id).await), ["created", "cancelled", "ended", "retried"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_is_there_only_if_what_it_tells_happened() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    for (word, status) in [("pause", 500), ("cancel", 500)] {
        world.seam.plan("TransactWriteItems", Fault::Error(400, "AccessDeniedException"));
        assert_eq!(act(&world, &id, word).await.status, status);
    }
    assert_eq!(rows(&world), [Value::Null; 0]);
    // Somebody is faster: it ends while the cancellation is on its way.
    let message = world.seam.take_messages();
    let other = world.clone();
    let hook = move |_: &dynoxide::Database| {
        let (other, message) = (other.clone(), message.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(other.deliver(&message))
        })
        .join()
        .expect("it ends");
    };
    world.seam.plan("TransactWriteItems", Fault::Before(batch_tests::seam::Hook(std::sync::Arc::new(hook))));
    assert_eq!(act(&world, &id, "cancel").await.status, 409);
    assert_eq!(acts(&log(&world, &id).await), ["created", "ended"]);
    assert_eq!(rows(&world), [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_log_is_seen_by_who_sees_the_batch() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    for (tenant, subject, roles, status) in [
        ("t1", "alice", &[][..], 200),
        ("t1", "root", &["admin"], 200),
        ("t1", "bob", &[], 404),
        ("t2", "alice", &["admin"], 404),
    ] {
        let key = world.key(tenant, subject, roles).await;
        let answer = world.send("GET", &format!("/batches/{id}/audit"), &[("x-api-key", key.as_str())], b"").await;
        assert_eq!(answer.status, status, "{tenant} {subject}");
    }
    assert_eq!(world.get("/batches/batch_00000000000000000000000000000000/audit").await.status, 404);
    assert_eq!(world.get("/batches/none/audit").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn rows_of_an_older_batch_under_the_same_key_are_not_this_ones() {
    let world = World::new().await;
    let id = accepted(&world, 1).await;
    act(&world, &id, "cancel").await;
    let mut row = rows(&world).remove(0);
    row["sk"] = json!({ "S": "LOG#2025-11-01T00:00:00.000Z#cancelled#0" });
    row["seed"] = json!({ "S": "of another batch" });
    dispatch(world.seam.database(), "PutItem", json!({ "TableName": "BatchesTable", "Item": row }))
        .expect("it is written");
    assert_eq!(acts(&log(&world, &id).await), ["created", "cancelled", "ended"]);
    let page = world.get(&format!("/batches/{id}/audit?limit=2")).await;
    assert_eq!(acts(page.body["data"].as_array().expect("entries")), ["created", "cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_and_a_deadline_are_ends_of_the_services_own() {
    let world = World::new().await;
    let (dead, late) = (accepted(&world, 1).await, accepted(&world, 1).await);
    let messages = world.seam.take_messages();
    world.deliver_dead(&messages[..1]).await;
    tokio::time::advance(Duration::from_mins(61)).await;
    world.deliver(&messages[1..]).await;
    for (id, status) in [(dead, "failed"), (late, "timed_out")] {
        let entries = log(&world, &id).await;
        assert_eq!((acts(&entries), &entries[1]["status"]), (vec!["created", "ended"], &json!(status)));
        assert_eq!(entries[1].get("by"), None);
    }
}

#[test]
fn no_code_changes_or_deletes_a_row() {
    let log = include_str!("../../crates/core/src/store/log.rs");
    assert!(log.contains(r#".condition_expression("attribute_not_exists(pk)")"#));
    // Items of the table of batches are named by these alone; none but the log's names a row of it.
    for source in [
        include_str!("../../crates/core/src/store/batches.rs"),
        include_str!("../../crates/core/src/store/watch.rs"),
        include_str!("../../crates/core/src/store/wide.rs"),
        include_str!("../../crates/core/src/store/listing.rs"),
    ] {
        assert!(!source.contains("\"LOG") && !source.contains("delete_item") && !source.contains("update_item"));
    }
}
