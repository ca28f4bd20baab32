//! An atomic batch of 99 updates, from the gateway's event to the answer, beside the bare transaction that it comes down to:
//! the very request that it sends, handed to the same database in memory as text, and answered as text.
//!
//! Both are timed in turn, and the medians compared: the batch may take three times as long.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]
#![expect(clippy::print_stdout, reason = "a benchmark tells its results")]
#![expect(clippy::disallowed_methods, reason = "what is measured is the machine's own time")]

use std::time::{Duration, Instant};

use batch_tests::World;
use batch_tests::seam::dispatch;
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};

const COUNT: usize = 99;
const SAMPLES: usize = 101;
const MOST_TIMES: f64 = 3.0;

fn operations(action: &str, address: &str) -> Value {
    let operation = |n: usize| match action {
        "create" => {
            json!({ "entity": "profile", "action": "create", "store_params": { "profile_id": format!("p{n}"), "address": address } })
        }
        _ => {
            json!({ "entity": "profile", "action": "update", "query_params": { "profile_id": format!("p{n}") }, "store_params": { "address": address } })
        }
    };
    (0..COUNT).map(operation).collect()
}

fn event(key: &str, body: &Value) -> String {
    json!({
        "resource": "/batch", "path": "/batch", "httpMethod": "POST",
        "headers": { "content-type": "application/json", "x-api-key": key },
        "multiValueHeaders": { "content-type": ["application/json"], "x-api-key": [key] },
        "requestContext": { "path": "/batch", "stage": "test", "requestId": "r", "httpMethod": "POST", "resourcePath": "/batch" },
        "body": body.to_string(), "isBase64Encoded": false,
    })
    .to_string()
}

/// Sends the event, and returns the answer as text, as the runtime does.
async fn batch(world: &World, event: &str) -> String {
    let request: LambdaRequest = serde_json::from_str(event).expect("an event");
    let response = submit::handle(&world.app, request.into()).await;
    assert_eq!(response.status(), 200);
    json!({ "statusCode": 200, "body": std::str::from_utf8(response.body()).expect("text") }).to_string()
}

/// Puts back what the transaction changes.
fn restore(world: &World, rows: &[Value], state: &Value) {
    let delete = json!({ "TableName": "BatchesTable", "Key": { "pk": state["pk"], "sk": state["sk"] } });
    dispatch(world.seam.database(), "DeleteItem", delete).expect("deleted");
    for row in rows {
        dispatch(world.seam.database(), "PutItem", json!({ "TableName": "RecordsTable", "Item": row })).expect("put");
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (world, key) = runtime.block_on(async {
        let world = World::new().await;
        let key = world.key("t1", "alice", &[]).await;
        let made =
            world.batch(&json!({ "operations": operations("create", "a"), "options": { "atomic": false } })).await;
        assert_eq!(made.body["success"], true);
        (world, key)
    });
    let event = event(&key, &json!({ "operations": operations("update", "b") }));
    let rows = world.items("RecordsTable");
    world.seam.take_calls();
    runtime.block_on(batch(&world, &event));
    let calls = world.seam.take_calls();
    let mut commit = calls.into_iter().find(|call| call.operation == "TransactWriteItems").expect("a commit").body;
    let state = commit["TransactItems"][0]["Put"]["Item"].clone();
    // With the token the database would recall the first answer.
    commit.as_object_mut().expect("a request").remove("ClientRequestToken");
    let commit = commit.to_string();
    world.seam.forget_calls();

    let (mut batches, mut transactions) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        let answer = runtime.block_on(batch(&world, &event));
        batches.push(begun.elapsed());
        drop(answer);
        restore(&world, &rows, &state);
        let begun = Instant::now();
        let request: Value = serde_json::from_str(&commit).expect("JSON");
        let answer = dispatch(world.seam.database(), "TransactWriteItems", request).expect("committed").to_string();
        transactions.push(begun.elapsed());
        drop(answer);
    }
    let (batch, transaction) = (median(&mut batches), median(&mut transactions));
    let times = batch.as_secs_f64() / transaction.as_secs_f64();
    println!(
        "an atomic batch of {COUNT} updates: {batch:.2?}, its bare transaction {transaction:.2?}: {times:.2} times"
    );
    assert!(times <= MOST_TIMES, "{times:.2} times its bare transaction");
}
