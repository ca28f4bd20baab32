//! Options that act: `max_retries`, `timeout`, `parallel`.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::seam::{Call, Fault, Hook};
use batch_tests::{Answer, World};
use serde_json::{Value, json};
use tokio::time::Instant;

fn accounts(count: usize) -> Vec<Value> {
    let store = |n: usize| json!({ "account_id": n, "available_balance": 10 });
    (0..count)
        .map(|n| json!({ "id": format!("a{n}"), "entity": "account", "action": "create", "store_params": store(n) }))
        .collect()
}

fn raise(account: usize) -> Value {
    json!({ "id": format!("u{account}"), "entity": "account", "action": "update",
            "query_params": { "account_id": account }, "store_params": { "available_balance": 11 } })
}

/// With three accounts.
async fn world(limits: Limits) -> World {
    let world = World::with(Model::shipped().expect("the shipped model is right"), limits).await;
    let made = world.run(accounts(3), json!({ "atomic": false })).await;
    assert_eq!(made.body["status"], "completed", "{:#}", made.body);
    world.seam.take_calls();
    world
}

fn nothing() -> Fault {
    Fault::Before(Hook(std::sync::Arc::new(|_| {})))
}

fn plan(world: &World, count: usize, fault: &Fault) {
    for _ in 0..count {
        world.seam.plan("TransactWriteItems", fault.clone());
    }
}

fn commits(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|call| call.operation == "TransactWriteItems").collect()
}

fn ending(result: &Value) -> &str {
    result["code"].as_str().or(result["reason"].as_str()).or(result["status"].as_str()).unwrap_or_default()
}

fn outcomes(answer: &Answer, ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| ending(&answer.body["results"][*id]).to_owned()).collect()
}

/// The status of a batch, and how each operation ended.
async fn told(world: &World, id: &str) -> (String, Vec<String>) {
    let status = world.get(&format!("/batches/{id}")).await.body["status"].as_str().unwrap_or_default().to_owned();
    let results = world.get(&format!("/batches/{id}/results?limit=100")).await.body;
    let endings = results["data"].as_array().into_iter().flatten().map(|result| ending(result).to_owned());
    (status, endings.collect())
}

/// Delivers what was sent until nothing is left, a few seconds after each failure.
async fn run_out(world: &World) {
    let mut messages = world.seam.take_messages();
    while !messages.is_empty() {
        let failed = world.deliver(&messages).await;
        tokio::time::advance(Duration::from_secs(5)).await;
        messages = messages
            .into_iter()
            .enumerate()
            .filter(|(n, _)| failed.contains(&format!("m{n}")))
            .map(|(_, m)| m)
            .collect();
        messages.extend(world.seam.take_messages());
    }
}

/// Rounds after which an operation that others are in the way of fails, or is retried.
const ROUNDS: usize = 9;

#[tokio::test(start_paused = true)]
async fn a_retry_comes_after_a_pause_and_starts_over() {
    let world = world(Limits::default()).await;
    plan(&world, 3 * ROUNDS, &Fault::Conflict(vec![1]));
    let answer = world.run(vec![raise(0)], json!({ "max_retries": 3 })).await;
    assert_eq!(outcomes(&answer, &["u0"]), ["completed"], "{:#}", answer.body);
    let calls = world.seam.take_calls();
    let commits = commits(&calls);
    assert_eq!(commits.len(), 3 * ROUNDS + 1);
    let waited: Vec<Duration> = commits.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(waited.iter().all(|wait| *wait > Duration::ZERO), "each new try waits: {waited:?}");
    let longest = (0..3).map(|retry| waited[retry * ROUNDS + ROUNDS - 1]).max().unwrap_or_default();
    let first = (0..3).map(|retry| waited[retry * ROUNDS]).max().unwrap_or_default();
    assert!(longest > 4 * first, "longer before a retry than between its rounds: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_own_retries() {
    let world = world(Limits { chunk_operations: 1, ..Limits::default() }).await;
    // Each is retried once, and then there is nobody in its way.
    for _ in 0..3 {
        plan(&world, ROUNDS + 1, &Fault::Conflict(vec![1]));
        plan(&world, 1, &nothing());
    }
    let answer = world.run(vec![raise(0), raise(1), raise(2)], json!({ "atomic": false, "max_retries": 1 })).await;
    assert!(world.seam.all_happened());
    assert_eq!(outcomes(&answer, &["u0", "u1", "u2"]), ["completed"; 3], "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_not_retried() {
    let world = world(Limits::default()).await;
    for operation in [raise(9), accounts(1).remove(0)] {
        let id = operation["id"].as_str().unwrap_or_default().to_owned();
        let before = Instant::now();
        let answer = world.run(vec![operation], json!({ "max_retries": 3 })).await;
        assert!(["NOT_FOUND", "ALREADY_EXISTS"].contains(&outcomes(&answer, &[&id])[0].as_str()), "{:#}", answer.body);
        assert_eq!(before.elapsed(), Duration::ZERO, "nothing was waited for");
        assert!(commits(&world.seam.take_calls()).len() <= 2, "what was assumed, and what was learnt");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_time_of_the_batch() {
    let world = world(Limits::default()).await;
    let begun = Instant::now();
    plan(&world, 500, &Fault::Conflict(vec![1]));
    let body = json!({ "operations": [raise(0)], "options": { "max_retries": 3, "timeout": 1_500 } });
    let answer = world.batch(&body).await;
    // Nothing was committed, so the batch has not begun: the queue begins it.
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("pending")), "{:#}", answer.body);
    let calls = world.seam.take_calls();
    let last = commits(&calls).last().map(|call| call.at - begun);
    assert!(last.is_some_and(|last| last < Duration::from_millis(1_500)), "{last:?}");
}

/// Ways in which a batch of three operations in three commits loses more time than it has, after its first commit or,
/// for those before it, at once.
fn delays() -> Vec<(&'static str, usize, Fault)> {
    let slow = || Fault::SlowReply(Duration::from_millis(2_500));
    vec![
        ("BatchGetItem", 0, slow()),
        ("TransactWriteItems", 0, slow()),
        ("TransactWriteItems", 1, slow()),
        ("TransactWriteItems", 0, Fault::Hang),
        ("TransactWriteItems", 1, Fault::Hang),
        // Results that have outgrown the state are written on their own, before the commit.
        ("PutItem", 1, slow()),
        ("PutItem", 2, slow()),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_commit_is_sent_when_the_time_of_the_batch_is_over() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    for (operation, skipped, fault) in delays() {
        for headers in [&[][..], &[("prefer", "respond-async")]] {
            let inline_results = if operation == "PutItem" { 1 } else { Limits::default().inline_results };
            let world = world(Limits { chunk_operations: 1, inline_results, ..Limits::default() }).await;
            for _ in 0..skipped {
                world.seam.plan(operation, nothing());
            }
            world.seam.plan(operation, fault.clone());
            let options = json!({ "atomic": false, "timeout": 2_000 });
            let body = json!({ "operations": [raise(0), raise(1), raise(2)], "options": options });
            let answer = world.post_with("/batch", headers, &body).await;
            let what = format!("{operation} {skipped} {fault:?} {headers:?}: {:#}", answer.body);
            assert_eq!(answer.status, 202, "{what}");
            run_out(&world).await;
            let (status, endings) = told(&world, &answer.batch_id()).await;
            let items = world.items("BatchesTable");
            let of_batch = |item: &&Value| item["pk"]["S"].as_str().is_some_and(|pk| pk.ends_with(&answer.batch_id()));
            let state = items.iter().filter(of_batch).find(|item| item["sk"]["S"] == "A#STATE").expect("a state");
            let started: i64 = state["started"]["N"].as_str().and_then(|ms| ms.parse().ok()).expect("a time");
            // When the calls were made, by the clock that the state's times are of.
            let (now, now_ms) = (Instant::now(), world.app.clock().now().0);
            let calls = world.seam.take_calls();
            let at = |call: &&Call| now_ms - i64::try_from((now - call.at).as_millis()).unwrap_or(0);
            let late: Vec<i64> =
                commits(&calls).iter().map(at).map(|at| at - started).filter(|at| *at > 2_000).collect();
            assert!(late.is_empty(), "sent after {late:?} ms of {TIMEOUT:?}: {what}");
            let done = endings.iter().filter(|ending| *ending == "completed").count();
            let left = endings.iter().filter(|ending| *ending == "Deadline exceeded").count();
            assert_eq!(done + left, 3, "{endings:?} {what}");
            assert_eq!(status, if left == 0 { "completed" } else { "timed_out" }, "{endings:?} {what}");
            for n in 0..3 {
                let pk = format!("T#t1#account#{n}");
                let row = world.items("RecordsTable").into_iter().find(|row| row["pk"]["S"] == pk).expect("the row");
                assert_eq!(row["_v"]["N"], if n < done { "2" } else { "1" }, "{endings:?} {what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_call_with_a_timeout_is_answered_when_it_is_over_and_its_batch_told_as_timed_out() {
    let world = world(Limits { chunk_operations: 1, ..Limits::default() }).await;
    plan(&world, 1, &nothing());
    plan(&world, 500, &Fault::Error(400, "ThrottlingException"));
    let before = Instant::now();
    let options = json!({ "atomic": false, "continueOnError": true, "timeout": 3_000 });
    let body = json!({ "operations": [raise(0), raise(1), raise(2)], "options": options });
    let answer = world.batch(&body).await;
    assert_eq!((answer.status, &answer.body["status"]), (202, &json!("processing")), "one is done: {:#}", answer.body);
    let took = before.elapsed();
    assert!((2_000..=3_000).contains(&took.as_millis()), "{took:?}");
    world.seam.clear();
    assert_eq!(
        told(&world, &answer.batch_id()).await,
        ("processing".into(), vec!["completed".into(), "pending".into(), "pending".into()])
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    world.drain().await;
    let (status, endings) = told(&world, &answer.batch_id()).await;
    assert_eq!(
        (status.as_str(), endings),
        ("timed_out", vec!["completed".into(), "Deadline exceeded".into(), "Deadline exceeded".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_sync_call_without_a_timeout_has_thirty_seconds_from_its_first_commit() {
    for (seconds, status) in [(29, "completed"), (31, "timed_out")] {
        let world = world(Limits { chunk_operations: 1, ..Limits::default() }).await;
        plan(&world, 1, &nothing());
        plan(&world, 500, &Fault::RequestLost);
        let body = json!({ "operations": [raise(0), raise(1)], "options": { "atomic": false } });
        let begun = Instant::now();
        let answer = world.batch(&body).await;
        assert_eq!(answer.status, 202, "{:#}", answer.body);
        world.seam.clear();
        tokio::time::advance(Duration::from_secs(seconds).saturating_sub(begun.elapsed())).await;
        world.drain().await;
        assert_eq!(told(&world, &answer.batch_id()).await.0, status, "after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn whether_operations_may_run_side_by_side_changes_no_result() {
    let operations = || {
        let mut operations = accounts(3);
        operations.push(json!({ "id": "c", "entity": "customer", "action": "create", "store_params": { "first_name": "A", "email": "a@example.com" } }));
        operations.push(json!({ "id": "d", "entity": "customer", "action": "create", "store_params": { "first_name": "B", "email": "a@example.com" } }));
        operations.push(json!({ "id": "i", "entity": "invoice", "action": "create", "store_params": { "customer_id": "$ref:c.customer_id" } }));
        operations.push(json!({ "id": "p", "entity": "payment", "action": "create", "store_params": { "account_id": "$ref:a1.account_id", "amount": 1 } }));
        operations.push(
            json!({ "id": "r", "entity": "account", "action": "read", "query_params": { "account_id": "in::0,1,2" } }),
        );
        operations.push(json!({ "id": "after", "entity": "artist", "action": "create", "store_params": { "name": "N" }, "depends_on": ["d"] }));
        operations.extend([raise(1), raise(1), raise(7)].into_iter().enumerate().map(|(n, mut operation)| {
            operation["id"] = json!(format!("raise{n}"));
            operation
        }));
        operations
    };
    for atomic in [true, false] {
        for continue_on_error in [true, false] {
            let mut told = Vec::new();
            for parallel in [json!(true), json!(false), Value::Null] {
                let world = World::with(Model::shipped().expect("the shipped model is right"), Limits::default()).await;
                let mut options =
                    json!({ "atomic": atomic, "continueOnError": continue_on_error, "parallel": parallel });
                if parallel.is_null() {
                    options.as_object_mut().expect("options").shift_remove("parallel");
                }
                let answer = world.run(operations(), options).await;
                assert_eq!(answer.status, 200, "{:#}", answer.body);
                told.push((
                    answer.body["results"].clone(),
                    answer.body["executionOrder"].clone(),
                    world.items("RecordsTable"),
                ));
            }
            assert!(
                told[0] == told[1] && told[1] == told[2],
                "atomic {atomic}, going on {continue_on_error}: {told:#?}"
            );
            assert_eq!(told[0].0.as_object().map(serde_json::Map::len), Some(12));
        }
    }
}
