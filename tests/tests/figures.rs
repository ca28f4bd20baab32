//! What a batch costs, counted: calls of AWS and capacity units. Times are for the benchmarks.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use batch_tests::seam::Call;
use serde_json::{Value, json};

/// Rows of free text under keys of the client's choice, and rows with integer keys.
const MODEL: &str = "
components:
  schemas:
    note:
      type: object
      properties:
        note_id: {type: string, x-af-primary-key: manual}
        text: {type: string}
        level: {type: integer}
    tag:
      type: object
      properties:
        tag_id: {type: string, x-af-primary-key: manual}
        label: {type: string, x-unique: true}
    artist:
      type: object
      properties:
        artist_id: {type: integer, x-af-primary-key: auto}
        name: {type: string}
";

async fn notes_world() -> World {
    World::with(Model::from_yaml(MODEL).expect("a right model"), Limits::default()).await
}

fn operations(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

fn artists(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({ "entity": "artist", "action": "create", "store_params": { "name": format!("Artist {n}") } }))
        .collect()
}

fn notes(range: std::ops::Range<usize>, text: &str) -> Vec<Value> {
    range.map(|id| json!({ "entity": "note", "action": "create", "store_params": { "note_id": format!("p{id}"), "text": text } })).collect()
}

fn updates(count: usize, text: &str) -> Vec<Value> {
    (0..count)
        .map(|id| json!({ "entity": "note", "action": "update", "query_params": { "note_id": format!("p{id}") }, "store_params": { "text": text } }))
        .collect()
}

async fn with_notes(count: usize, text: &str) -> World {
    let world = notes_world().await;
    let made = world.run(notes(0..count, text), json!({ "atomic": false })).await;
    assert_eq!(made.body["success"], true, "{:#}", made.body);
    world.seam.take_calls();
    world
}

/// Sends the batch to the background; the executor's calls.
async fn executed(world: &World, operations: Vec<Value>, options: Value) -> Vec<Call> {
    let body = json!({ "operations": operations, "options": options });
    let accepted = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    world.seam.take_calls();
    assert_eq!(world.drain().await, 1);
    let calls = world.seam.take_calls();
    let told = world.get(&format!("/batches/{}", accepted.batch_id())).await;
    assert_eq!(told.body["status"], "completed", "{:#}", told.body);
    world.seam.take_calls();
    calls
}

#[tokio::test(start_paused = true)]
async fn an_async_submit_is_three_calls_and_its_replay_three_or_four() {
    let world = notes_world().await;
    let body = json!({ "operations": notes(0..3, "x") });
    let headers = [("prefer", "respond-async"), ("idempotency-key", "k1")];
    let accepted = world.post_with("/batch", &headers, &body).await;
    assert_eq!(accepted.status, 202);
    assert_eq!(
        operations(&world.seam.take_calls()),
        ["UpdateItem", "PutItem", "SendMessage"],
        "the quota is the first"
    );
    world.post_with("/batch", &headers, &body).await;
    assert_eq!(operations(&world.seam.take_calls()), ["UpdateItem", "PutItem", "Query"]);
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    let replayed = world.post_with("/batch", &headers, &body).await;
    assert_eq!(operations(&world.seam.take_calls()), ["UpdateItem", "PutItem", "Query", "SendMessage"]);
    assert_eq!((replayed.header("idempotent-replayed"), replayed.batch_id()), ("true", accepted.batch_id()));
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_of_up_to_a_hundred_actions_is_three_calls() {
    let world = with_notes(99, "x").await;
    let calls = executed(&world, updates(99, "y"), json!({ "atomic": true })).await;
    assert_eq!(operations(&calls), ["Query", "BatchGetItem", "TransactWriteItems"]);
    assert_eq!(calls[2].body["TransactItems"].as_array().map(Vec::len), Some(100));
    // Sync, the quota and the PutItem that accepts it take the Query's place.
    world.run(updates(99, "z"), json!({})).await;
    assert_eq!(operations(&world.seam.take_calls()), ["UpdateItem", "PutItem", "BatchGetItem", "TransactWriteItems"]);
}

#[tokio::test(start_paused = true)]
async fn each_further_level_of_references_is_one_read_more() {
    let world = with_notes(100, "p7").await;
    let chain = |count: usize| {
        let mut chain =
            vec![json!({ "id": "r0", "entity": "note", "action": "read", "query_params": { "note_id": "p1" } })];
        chain.extend((1..count).map(|n| {
            json!({ "id": format!("r{n}"), "entity": "note", "action": "update",
                    "query_params": { "note_id": format!("p{n}${{ref:r{}.level}}", n - 1) },
                    "store_params": { "text": "p9", "level": 1 } })
        }));
        chain
    };
    // p1 has no chain id, so give each row one first.
    let set: Vec<Value> = (0..100)
        .map(|id| json!({ "entity": "note", "action": "update", "query_params": { "note_id": format!("p{id}") }, "store_params": { "level": 1 } }))
        .collect();
    world.run(set, json!({ "atomic": false })).await;
    world.seam.take_calls();
    for levels in [1, 2, 3] {
        let answer = world.run(chain(levels + 1), json!({})).await;
        assert_eq!(answer.body["success"], true, "{:#}", answer.body);
        let calls = world.seam.take_calls();
        let reads = operations(&calls).iter().filter(|name| **name == "BatchGetItem").count();
        assert_eq!(reads, levels + 1, "{:?}", operations(&calls));
    }
    // Twenty references side by side are one level, wherever in the order they stand.
    let pairs: Vec<Value> = (2..9)
        .flat_map(|n| {
            [
                json!({ "id": format!("a{n}"), "entity": "note", "action": "read", "query_params": { "note_id": format!("p{n}") } }),
                json!({ "id": format!("b{n}"), "entity": "note", "action": "update",
                        "query_params": { "note_id": format!("p{n}${{ref:a{n}.level}}") }, "store_params": { "text": "q" } }),
            ]
        })
        .collect();
    let answer = world.run(pairs, json!({})).await;
    assert_eq!(answer.body["success"], true, "{:#}", answer.body);
    assert_eq!(
        operations(&world.seam.take_calls()),
        ["UpdateItem", "PutItem", "BatchGetItem", "BatchGetItem", "TransactWriteItems"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_hundred_non_atomic_operations_are_four_calls_and_creates_only_three() {
    let world = with_notes(100, "x").await;
    let calls = executed(&world, updates(100, "y"), json!({ "atomic": false })).await;
    assert_eq!(operations(&calls), ["Query", "BatchGetItem", "TransactWriteItems", "TransactWriteItems"]);
    let world = notes_world().await;
    let calls = executed(&world, notes(0..100, "x"), json!({ "atomic": false })).await;
    assert_eq!(operations(&calls), ["Query", "TransactWriteItems", "TransactWriteItems"]);
}

#[tokio::test(start_paused = true)]
async fn a_unique_value_that_a_row_gives_up_costs_no_second_commit() {
    let world = notes_world().await;
    let tagged = |id: &str, tag: &str| json!({ "entity": "tag", "action": "create", "store_params": { "tag_id": id, "label": tag } });
    world.run(vec![tagged("a", "red"), tagged("b", "blue")], json!({})).await;
    world.seam.take_calls();
    let change = json!({ "entity": "tag", "action": "update", "query_params": { "tag_id": "a" }, "store_params": { "label": "green" } });
    let delete = json!({ "entity": "tag", "action": "delete", "query_params": { "tag_id": "b" } });
    let answer = world.run(vec![change, delete], json!({})).await;
    assert_eq!(answer.body["success"], true, "{:#}", answer.body);
    let calls = world.seam.take_calls();
    assert_eq!(operations(&calls), ["UpdateItem", "PutItem", "BatchGetItem", "TransactWriteItems"]);
    // The state, two rows, the values red, green and blue.
    assert_eq!(calls[3].body["TransactItems"].as_array().map(Vec::len), Some(6));
}

#[tokio::test(start_paused = true)]
async fn integer_keys_of_an_entity_are_one_call_for_the_whole_batch() {
    let world = notes_world().await;
    let calls = executed(&world, artists(40), json!({ "atomic": true })).await;
    assert_eq!(operations(&calls), ["Query", "UpdateItem", "TransactWriteItems"]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_one_call_and_one_more_for_what_is_kept_in_parts() {
    let world = with_notes(3, "x").await;
    let small = world.run(updates(3, "y"), json!({})).await;
    world.seam.take_calls();
    world.get(&format!("/batches/{}", small.batch_id())).await;
    world.get(&format!("/batches/{}/results", small.batch_id())).await;
    assert_eq!(operations(&world.seam.take_calls()), ["Query", "Query"]);

    let large: Vec<Value> = (0..3).map(|n| json!({ "entity": "note", "action": "create", "store_params": { "note_id": format!("big{n}"), "text": noise(n, 9_000) } })).collect();
    let large = world.run(large, json!({})).await;
    assert_eq!(large.body["success"], true, "{:#}", large.body);
    let calls = world.seam.take_calls();
    assert_eq!(
        operations(&calls),
        ["UpdateItem", "PutItem", "PutItem", "PutItem", "TransactWriteItems"],
        "the quota, one part of operations, the head, one of results"
    );
    world.get(&format!("/batches/{}", large.batch_id())).await;
    assert_eq!(operations(&world.seam.take_calls()), ["Query"]);
    let results = world.get(&format!("/batches/{}/results", large.batch_id())).await;
    assert_eq!(operations(&world.seam.take_calls()), ["Query", "BatchGetItem"]);
    assert_eq!(results.body["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_read_only_atomic_batch_is_one_transactional_read_and_one_write() {
    let world = with_notes(50, "x").await;
    let reads: Vec<Value> = (0..50)
        .map(|id| json!({ "entity": "note", "action": "read", "query_params": { "note_id": format!("p{id}") } }))
        .collect();
    let calls = executed(&world, reads, json!({})).await;
    assert_eq!(operations(&calls), ["Query", "TransactGetItems", "PutItem"]);
}

/// Text that zstd cannot make smaller than three quarters of it.
fn noise(seed: usize, length: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = (seed as u64 + 1) << 32;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        char::from(DIGITS[(z >> 58) as usize])
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test(start_paused = true)]
async fn write_units_of_a_hundred_one_kilobyte_updates_are_at_most_235() {
    let text = noise(7, 836);
    let world = with_notes(100, &text).await;
    // Two texts in turn, so that operations and results compress to about 4 KB each, as the figure supposes.
    let changes: Vec<Value> = (0..100)
        .map(|id| {
            json!({ "entity": "note", "action": "update", "query_params": { "note_id": format!("p{id}") },
                          "store_params": { "text": format!("{}{}", noise(id + 100, 36), noise(3, 800)) } })
        })
        .collect();
    let body = json!({ "operations": changes, "options": { "atomic": false } });
    let accepted = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(accepted.status, 202);
    world.drain().await;
    let calls = world.seam.take_calls();
    let head = calls.iter().find(|call| call.operation == "PutItem").expect("the head");
    let packed = base64_bytes(head.body["Item"]["operations"]["B"].as_str().expect("operations in the head"));
    let last = calls.iter().rfind(|call| call.operation == "TransactWriteItems").expect("a commit");
    let state = &last.body["TransactItems"][0]["Put"]["Item"];
    let results = base64_bytes(state["results"]["B"].as_str().expect("results in the state"));
    assert!((3_500..=4_500).contains(&packed), "operations take {packed} bytes");
    assert!((3_500..=4_500).contains(&results), "results take {results} bytes");
    let row = &last.body["TransactItems"][1]["Put"]["Item"];
    assert!((900..=1_024).contains(&item_bytes(row)), "a row takes {} bytes", item_bytes(row));
    let units: f64 = calls.iter().map(|call| call.write_units).sum();
    assert!(units <= 235.0, "{units} write units");
    assert!(units > 200.0, "{units} write units: two for each row at least");
}

fn base64_bytes(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

fn item_bytes(item: &Value) -> usize {
    fn of(value: &Value) -> usize {
        let Some((kind, inner)) = value.as_object().and_then(|map| map.iter().next()) else { return 0 };
        match (kind.as_str(), inner) {
            ("M", Value::Object(fields)) => {
                3 + fields.iter().map(|(name, value)| 1 + name.len() + of(value)).sum::<usize>()
            }
            ("N", Value::String(text)) => text.len() / 2 + 2,
            (_, Value::String(text)) => text.len(),
            _ => 1,
        }
    }
    item.as_object().into_iter().flatten().map(|(name, value)| name.len() + of(value)).sum()
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_three_and_a_half_megabytes_of_random_text_commits_and_reads_back() {
    let world = notes_world().await;
    let made: Vec<Value> = (0..100).map(|n| json!({ "entity": "note", "action": "create", "store_params": { "note_id": format!("n{n}"), "text": noise(n, 35_000) } })).collect();
    let body = json!({ "operations": made, "options": { "atomic": false } });
    assert!(body.to_string().len() > 3_500_000);
    let accepted = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    let parts = |name: &str| {
        world
            .items("BatchesTable")
            .iter()
            .filter(|item| item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with(name)))
            .count()
    };
    assert!(parts("OPS#") >= 7, "operations in {} parts", parts("OPS#"));
    world.drain().await;
    assert!(parts("RES#") >= 7, "results in {} parts", parts("RES#"));
    let mut seen = Vec::new();
    let mut target = format!("/batches/{}/results?limit=30", accepted.batch_id());
    loop {
        let page = world.get(&target).await;
        assert_eq!(page.status, 200, "{:#}", page.body);
        seen.extend(page.body["data"].as_array().cloned().unwrap_or_default());
        match page.body["nextCursor"].as_str() {
            Some(cursor) => target = format!("/batches/{}/results?limit=30&cursor={cursor}", accepted.batch_id()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 100);
    for (n, result) in seen.iter().enumerate() {
        assert_eq!((result["index"].as_u64(), result["status"].as_str()), (Some(n as u64), Some("completed")));
        assert_eq!(result["data"][0]["text"].as_str(), Some(noise(n, 35_000).as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn no_transaction_asks_the_sdk_for_a_token() {
    let world = with_notes(5, "x").await;
    world.run(updates(5, "y"), json!({})).await;
    for call in world.seam.take_calls().iter().filter(|call| call.operation == "TransactWriteItems") {
        let token = call.body["ClientRequestToken"].as_str().unwrap_or_default();
        assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token:?}");
    }
}
