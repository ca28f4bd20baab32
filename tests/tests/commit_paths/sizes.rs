//! Batches whose operations, results or rows are large.

use batch_core::limits::{Limits, MAX_ITEM_BYTES};
use batch_core::model::Model;
use batch_tests::World;
use serde_json::{Value, json};

use crate::{create, given, of, outcome, read};

/// Text that hardly compresses: 6 random bits a character.
pub fn noise(length: usize, mut seed: u64) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        // Xorshift (Marsaglia 2003).
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        text.push(char::from(LETTERS[usize::try_from(seed % 64).expect("small")]));
    }
    text
}

fn memories(count: u64, length: usize) -> Vec<Value> {
    (0..count).map(|n| create(&format!("m{n}"), "memory", json!({ "content": noise(length, 99 + n) }))).collect()
}

fn parts(world: &World, kind: &str) -> usize {
    let items = world.items("BatchesTable");
    let own = items.iter().filter(|item| item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with(kind)));
    own.inspect(|item| assert!(item.to_string().len() < MAX_ITEM_BYTES * 4 / 3, "a part is an item")).count()
}

/// All results of a batch, by page.
async fn pages(world: &World, id: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/batches/{id}/results?limit=100{cursor}")).await;
        assert_eq!(page.status, 200);
        pages.push(page.body["data"].as_array().cloned().unwrap_or_default());
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn results_that_the_state_cannot_hold_are_stored_in_parts_and_read_back() {
    for (atomic, chunk_operations) in [(true, 50), (false, 3)] {
        let limits = Limits { chunk_operations, ..Limits::default() };
        let world = World::with(Model::shipped().expect("the model is right"), limits).await;
        let answer = world.run(memories(10, 3_000), json!({ "atomic": atomic })).await;
        assert_eq!(answer.body["status"], "completed");
        assert!(parts(&world, "RES#") >= 1);
        let told: Vec<Value> = pages(&world, &answer.batch_id()).await.concat();
        assert_eq!(told.len(), 10);
        for result in told {
            let id = result["id"].as_str().unwrap_or_default();
            assert_eq!(result["data"], answer.body["results"][id]["data"], "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_and_a_half_megabytes_are_taken_committed_and_told() {
    let world = World::new().await;
    let operations = memories(88, 40_000);
    let answer = world.run(operations.clone(), json!({ "atomic": false })).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body["message"]);
    assert_eq!(answer.body["summary"]["successful"], 88);
    assert!(parts(&world, "OPS#") >= 7, "{}", parts(&world, "OPS#"));
    assert!(parts(&world, "RES#") >= 7, "{}", parts(&world, "RES#"));
    let pages = pages(&world, &answer.batch_id()).await;
    assert!(pages.len() > 1, "no page is larger than an answer may be");
    let contents: Vec<&Value> = pages.iter().flatten().map(|result| &result["data"][0]["content"]).collect();
    let sent: Vec<&Value> = operations.iter().map(|operation| &operation["store_params"]["content"]).collect();
    assert!(contents == sent, "in request order, as sent");
}

#[tokio::test(start_paused = true)]
async fn three_and_a_half_megabytes_go_through_the_queue() {
    let world = World::new().await;
    let body = json!({ "operations": memories(88, 40_000), "options": { "atomic": false } });
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, 202);
    world.drain().await;
    let told = world.get(&format!("/batches/{}", answer.batch_id())).await;
    assert_eq!((&told.body["status"], &told.body["summary"]["successful"]), (&json!("completed"), &json!(88)));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_cut_by_the_bytes_of_its_rows() {
    let limits = Limits { bytes: 100_000, ..Limits::default() };
    let world = World::with(Model::shipped().expect("the model is right"), limits).await;
    let mut batch = memories(10, 100);
    for one in &mut batch {
        one["store_params"]["metadata"] = json!({ "text": noise(30_000, 1) });
    }
    let answer = world.run(batch, json!({ "atomic": false })).await;
    assert_eq!(answer.body["status"], "completed");
    let calls = world.seam.take_calls();
    let sizes: Vec<usize> =
        of(&calls, "TransactWriteItems").into_iter().map(|call| crate::actions(call).len()).collect();
    assert_eq!(sizes, [6, 6, 6, 2], "each row and its search row");
}

#[tokio::test(start_paused = true)]
async fn a_row_too_large_fails_its_operation_alone() {
    let world = World::new().await;
    let mut batch = memories(3, 100);
    batch[1]["store_params"]["metadata"] = json!({ "text": noise(MAX_ITEM_BYTES, 5) });
    let answer = world.run(batch, json!({ "atomic": false, "continueOnError": true })).await;
    let told: Vec<String> = (0..3).map(|n| outcome(&answer, &format!("m{n}"))).collect();
    assert_eq!(told, ["completed", "failed ITEM_TOO_LARGE", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_row_just_small_enough_is_taken() {
    let world = World::new().await;
    let mut batch = memories(1, 100);
    batch[0]["store_params"]["metadata"] = json!({ "text": noise(MAX_ITEM_BYTES - 1_000, 5) });
    let answer = world.run(batch, json!({})).await;
    assert_eq!(outcome(&answer, "m0"), "completed");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_rests_on_more_than_a_transaction_holds_is_told_all_the_same() {
    let limits = Limits { actions: 5, ..Limits::default() };
    let world = World::with(Model::shipped().expect("the model is right"), limits).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let mut one = memories(1, 100);
        one[0]["store_params"]["metadata"] = json!({ "text": noise(200_000, 7 + n) });
        let answer = world.run(one, json!({})).await;
        ids.push(answer.body["results"]["m0"]["data"][0]["id"].as_str().unwrap_or_default().to_owned());
    }
    let all = read("all", "memory", json!({ "id": format!("in::{}", ids.join(",")) }));
    let next = create("next", "memory", json!({ "content": "${ref:all.0.id}" }));
    let answer = world.run(vec![all, next], json!({})).await;
    assert_eq!(outcome(&answer, "all"), "failed RESULT_TOO_LARGE");
    assert_eq!(outcome(&answer, "next"), "skipped Dependency failed");
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_that_turns_out_too_large_is_refused_as_a_whole() {
    let limits = Limits { actions: 4, wide_actions: 6, ..Limits::default() };
    let world = World::with(Model::shipped().expect("the model is right"), limits).await;
    let profile = |n: usize| create(&format!("p{n}"), "profile", json!({ "profile_id": format!("p{n}") }));
    given(&world, (0..5).map(profile).collect()).await;
    // How many rows it touches shows only when it runs.
    let many = read("many", "profile", json!({ "profile_id": "in::p0,p1,p2,p3,p4" }));
    let next = create("next", "memory", json!({ "content": "${ref:many.0.profile_id}" }));
    let answer = world.run(vec![many, next], json!({})).await;
    let told = [outcome(&answer, "many"), outcome(&answer, "next")];
    assert_eq!(told, ["skipped Rolled back", "failed ATOMIC_TOO_LARGE"], "{:#}", answer.body);
}
