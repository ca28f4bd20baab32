//! Two executions of one batch, or one that ends half-way and another that goes on.

use batch_tests::World;
use batch_tests::seam::Fault;
use serde_json::{Value, json};

use crate::{accounts, balance, chunked, create, cut_off, given, meanwhile, nothing, update, version};

fn raise(count: usize) -> Vec<Value> {
    let raise =
        |n: usize| update(&format!("u{n}"), "account", json!({ "account_id": n }), json!({ "available_balance": 11 }));
    (0..count).map(raise).collect()
}

/// Accepts operations for the queue; the batch and its message.
async fn queued(world: &World, operations: Vec<Value>, options: Value) -> (String, Vec<String>) {
    let body = json!({ "operations": operations, "options": options });
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    (answer.batch_id(), world.seam.take_messages())
}

/// The status of a batch, and for each operation its status or the reason it was skipped for.
async fn told(world: &World, id: &str) -> (String, Vec<String>) {
    let batch = world.get(&format!("/batches/{id}")).await;
    let results = world.get(&format!("/batches/{id}/results?limit=100")).await;
    let counted = |name: &str| batch.body["summary"][name].as_u64().unwrap_or(0);
    let ended = counted("successful") + counted("failed") + counted("skipped");
    assert_eq!(ended + counted("pending"), counted("total"), "counts sum to the total");
    let ending =
        |result: &Value| result["reason"].as_str().or(result["status"].as_str()).unwrap_or_default().to_owned();
    let words = results.body["data"].as_array().into_iter().flatten().map(ending).collect();
    (batch.body["status"].as_str().unwrap_or_default().to_owned(), words)
}

#[tokio::test(start_paused = true)]
async fn a_message_delivered_twice_at_once_has_one_effect() {
    for atomic in [true, false] {
        let world = World::new().await;
        given(&world, accounts(3)).await;
        let (id, messages) = queued(&world, raise(3), json!({ "atomic": atomic })).await;
        let twice = [messages.clone(), messages].concat();
        assert!(world.deliver(&twice).await.is_empty());
        assert_eq!(told(&world, &id).await, ("completed".into(), vec!["completed".into(); 3]));
        assert!((0..3).all(|n| version(&world, &format!("account#{n}")) == 2));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_second_takes_over_what_the_first_has_done() {
    for atomic in [true, false] {
        for at in 0..3 {
            let world = chunked(2).await;
            given(&world, accounts(6)).await;
            if atomic && at > 0 {
                continue;
            }
            let mut batch = raise(6);
            batch.push(create("e", "artist", json!({ "name": "one" })));
            let (id, messages) = queued(&world, batch, json!({ "atomic": atomic })).await;
            for _ in 0..at {
                world.seam.plan("TransactWriteItems", nothing());
            }
            let again = messages.clone();
            world.seam.plan(
                "TransactWriteItems",
                meanwhile(&world, move |world| {
                    let again = again.clone();
                    async move { assert!(world.deliver(&again).await.is_empty()) }
                }),
            );
            assert!(world.deliver(&messages).await.is_empty(), "both are done with it");
            assert!(world.seam.all_happened());
            assert_eq!(told(&world, &id).await, ("completed".into(), vec!["completed".into(); 7]));
            assert!((0..6).all(|n| version(&world, &format!("account#{n}")) == 2 && balance(&world, n) == "11"));
            let artists = world
                .items("RecordsTable")
                .iter()
                .filter(|item| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("T#t1#artist#")))
                .count();
            assert_eq!(artists, 1, "one row is made, whatever keys both drew");
            // The result tells the row that is there.
            let results = world.get(&format!("/batches/{id}/results?limit=100")).await;
            let artist = results.body["data"][6]["data"][0]["artist_id"].to_string();
            assert_eq!(version(&world, &format!("artist#{artist}")), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_caller_is_answered_from_the_state_another_one_wrote() {
    let world = World::new().await;
    given(&world, accounts(2)).await;
    let body = json!({ "operations": raise(2) });
    let key = [("idempotency-key", "k")];
    let again = body.clone();
    world.seam.plan(
        "TransactWriteItems",
        meanwhile(&world, move |world| {
            let again = again.clone();
            async move {
                let answer = world.post_with("/batch", &[("idempotency-key", "k")], &again).await;
                assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, "true"));
                assert_eq!(answer.body["status"], "completed");
            }
        }),
    );
    let answer = world.post_with("/batch", &key, &body).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")));
    assert!((0..2).all(|n| version(&world, &format!("account#{n}")) == 2));
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_ends_between_chunks_is_followed_by_one_that_goes_on() {
    let world = chunked(2).await;
    given(&world, accounts(6)).await;
    let (id, messages) = queued(&world, raise(6), json!({ "atomic": false })).await;
    world.seam.plan("TransactWriteItems", nothing());
    cut_off(&world, "TransactWriteItems");
    assert_eq!(world.deliver(&messages).await, ["m0"], "it is to be delivered again");
    world.seam.clear();
    let (status, results) = told(&world, &id).await;
    assert_eq!(
        (status.as_str(), results.concat()),
        ("processing", "completedcompletedpendingpendingpendingpending".into())
    );
    assert!(world.deliver(&messages).await.is_empty());
    assert_eq!(told(&world, &id).await, ("completed".into(), vec!["completed".into(); 6]));
    assert!((0..6).all(|n| version(&world, &format!("account#{n}")) == 2));
    assert!(world.deliver(&messages).await.is_empty(), "once more is harmless");
    assert!((0..6).all(|n| version(&world, &format!("account#{n}")) == 2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_stopped_stays_stopped_for_whoever_goes_on() {
    let world = chunked(2).await;
    let mut batch = accounts(6);
    batch[1] = update("a1", "account", json!({ "account_id": 99 }), json!({ "name": "N" }));
    let (id, messages) = queued(&world, batch, json!({ "atomic": false })).await;
    // The first state is written with the first chunk, the next one by itself: nothing happens but skipping.
    cut_off(&world, "PutItem");
    assert_eq!(world.deliver(&messages).await, ["m0"]);
    world.seam.clear();
    assert_eq!(told(&world, &id).await.0, "processing");
    assert!(world.deliver(&messages).await.is_empty());
    let (status, results) = told(&world, &id).await;
    assert_eq!((status.as_str(), &results[..2]), ("partial", &["completed".to_owned(), "failed".to_owned()][..]));
    assert_eq!(results[2..], vec!["Batch stopped".to_owned(); 4]);
    assert!((2..6).all(|n| version(&world, &format!("account#{n}")) == 0));
}

#[tokio::test(start_paused = true)]
async fn references_reach_over_the_end_of_an_executor() {
    let world = chunked(1).await;
    let batch = vec![
        create("c", "customer", json!({ "first_name": "A" })),
        create("i", "invoice", json!({ "customer_id": "$ref:c.customer_id", "total": 3 })),
        create("l", "invoice_line", json!({ "invoice_id": "$ref:i.invoice_id", "quantity": 1 })),
    ];
    let (id, messages) = queued(&world, batch, json!({ "atomic": false })).await;
    world.seam.plan("TransactWriteItems", nothing());
    cut_off(&world, "TransactWriteItems");
    assert_eq!(world.deliver(&messages).await, ["m0"]);
    world.seam.clear();
    assert!(world.deliver(&messages).await.is_empty());
    assert_eq!(told(&world, &id).await.0, "completed");
    let results = world.get(&format!("/batches/{id}/results")).await;
    let data = |n: usize| results.body["data"][n]["data"][0].clone();
    assert_eq!(data(1)["customer_id"], data(0)["customer_id"]);
    assert_eq!(data(2)["invoice_id"], data(1)["invoice_id"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_each_commit_of_a_batch_is_made_good() {
    let world = chunked(1).await;
    given(&world, accounts(4)).await;
    for _ in 0..4 {
        world.seam.plan("TransactWriteItems", Fault::ReplyLost);
        world.seam.plan("TransactWriteItems", Fault::Error(400, "IdempotentParameterMismatchException"));
    }
    let (id, messages) = queued(&world, raise(4), json!({ "atomic": false })).await;
    assert!(world.deliver(&messages).await.is_empty());
    assert!(world.seam.all_happened());
    assert_eq!(told(&world, &id).await, ("completed".into(), vec!["completed".into(); 4]));
    assert!((0..4).all(|n| version(&world, &format!("account#{n}")) == 2));
}

/// Each commit meets as many conflicts as it may.
fn slow(world: &World, commits: usize) {
    for _ in 0..commits {
        for _ in 0..8 {
            world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
        }
        world.seam.plan("TransactWriteItems", nothing());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_longer_than_a_call_is_handed_on() {
    let world = chunked(1).await;
    given(&world, accounts(60)).await;
    let (id, messages) = queued(&world, raise(60), json!({ "atomic": false })).await;
    slow(&world, 60);
    assert!(world.deliver(&messages).await.is_empty(), "it is done with this message");
    assert_eq!(told(&world, &id).await.0, "processing");
    let next = world.seam.take_messages();
    assert_eq!(next, messages, "the next one goes on");
    assert!(world.deliver(&next).await.is_empty());
    world.drain().await;
    assert_eq!(told(&world, &id).await.0, "completed");
    assert!((0..60).all(|n| version(&world, &format!("account#{n}")) == 2));
}

#[tokio::test(start_paused = true)]
async fn a_sync_batch_that_takes_longer_than_a_call_is_answered_and_goes_on() {
    for (headers, most) in [(vec![], 20_000), (vec![("prefer", "wait=3")], 3_000)] {
        let world = chunked(1).await;
        given(&world, accounts(30)).await;
        slow(&world, 30);
        let before = world.app.clock().now();
        let body = json!({ "operations": raise(30), "options": { "atomic": false } });
        let answer = world.post_with("/batch", &headers, &body).await;
        assert_eq!((answer.status, &answer.body["status"]), (202, &json!("processing")), "{:#}", answer.body);
        assert_eq!(answer.body["totalItems"], 30);
        let took = world.app.clock().now().since_ms(before);
        assert!((most - 1_000..=most + 1_000).contains(&took), "{took} of {most} ms");
        assert!(answer.header("batch-status").starts_with("processing;succeeded="), "{:?}", answer.headers);
        world.drain().await;
        assert_eq!(told(&world, &answer.batch_id()).await.0, "completed");
        assert!((0..30).all(|n| version(&world, &format!("account#{n}")) == 2));
    }
}
