//! What commits do under contention and faults: told by the answers, by what is stored, and by the calls that were made.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` makes values; helpers that take them read like the requests"
)]

mod answers;
mod contention;
mod foreign;
mod idempotency;
mod messages;
mod races;
mod sizes;

use std::sync::Arc;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::operations::{create, delete, read, update};
use batch_tests::seam::{Call, Fault, Hook};
use batch_tests::{Answer, World};
use serde_json::{Value, json};

/// Creates of the accounts 0..count, each with a balance of 10.
fn accounts(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| create(&format!("a{n}"), "account", json!({ "account_id": n, "available_balance": 10 })))
        .collect()
}

/// With the shipped model and tiny chunks.
async fn chunked(operations: usize) -> World {
    let limits = Limits { chunk_operations: operations, ..Limits::default() };
    World::with(Model::shipped().expect("the shipped model is right"), limits).await
}

/// Runs operations that must all succeed, as a beginning.
async fn given(world: &World, operations: Vec<Value>) {
    let answer = world.run(operations, json!({ "atomic": false })).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    world.seam.take_calls();
}

/// The item with this end of its partition key.
fn item(world: &World, end: &str) -> Value {
    let pk = format!("T#t1#{end}");
    world.items("RecordsTable").into_iter().find(|item| item["pk"]["S"] == pk).unwrap_or_default()
}

fn version(world: &World, end: &str) -> u64 {
    item(world, end)["_v"]["N"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn balance(world: &World, account: usize) -> String {
    item(world, &format!("account#{account}"))["f"]["M"]["available_balance"]["N"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn of<'c>(calls: &'c [Call], operation: &str) -> Vec<&'c Call> {
    calls.iter().filter(|call| call.operation == operation).collect()
}

fn token(call: &Call) -> &str {
    call.body["ClientRequestToken"].as_str().unwrap_or_default()
}

/// The items of a transaction after the guard.
fn actions(call: &Call) -> Vec<Value> {
    call.body["TransactItems"].as_array().into_iter().flatten().skip(1).cloned().collect()
}

/// What operation `id` came to: its status and, with it, its code or reason.
fn outcome(answer: &Answer, id: &str) -> String {
    let result = &answer.body["results"][id];
    let word = result["status"].as_str().unwrap_or("nothing");
    match result["code"].as_str().or(result["reason"].as_str()) {
        Some(more) => format!("{word} {more}"),
        None => word.to_owned(),
    }
}

/// Another process does `work` before the call that suffers this.
fn meanwhile<F>(world: &World, work: impl Fn(World) -> F + Send + Sync + 'static) -> Fault
where
    F: Future<Output = ()>,
{
    let world = world.clone();
    let work = Arc::new(work);
    Fault::Before(Hook(Arc::new(move |_| {
        let (world, work) = (world.clone(), work.clone());
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(work(world));
        });
        other.join().expect("the other process does its work");
    })))
}

/// Another client's operations, all of which succeed.
fn rival(world: &World, operations: Vec<Value>) -> Fault {
    meanwhile(world, move |world| {
        let operations = operations.clone();
        async move {
            let answer = world.run(operations, json!({})).await;
            assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
        }
    })
}

/// Nothing happens; the faults planned after it begin with the next call.
fn nothing() -> Fault {
    Fault::Before(Hook(Arc::new(|_| {})))
}

/// The network is gone, until the faults are cleared.
fn cut_off(world: &World, operation: &str) {
    for _ in 0..500 {
        world.seam.plan(operation, Fault::RequestLost);
    }
}
