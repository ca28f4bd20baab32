//! All-or-nothing batches that one transaction cannot hold: what they come to, alone and beside others.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]

mod alone;
mod beside;
mod recovery;
mod watch;

use std::sync::Arc;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::operations::{create, delete, read, update};
use batch_tests::seam::{Call, Fault, Hook};
use batch_tests::{Answer, World};
use serde_json::{Value, json};

/// Places, and things that lie between two of them.
const MODEL: &str = "
components:
  schemas:
    place:
      type: object
      properties:
        place_id: {type: string, maxLength: 40, x-af-primary-key: manual}
        mark: {type: string}
    thing:
      type: object
      properties:
        thing_id: {type: string, maxLength: 40, x-af-primary-key: manual}
        tag: {type: string, x-unique: true}
        from_id: {type: string, x-references: place.place_id}
        to_id: {type: string, x-references: place.place_id}
        mark: {type: string}
    note:
      type: object
      properties:
        note_id: {type: string, maxLength: 40, x-af-primary-key: manual}
        text: {type: string}
";

async fn world_with(limits: Limits) -> World {
    World::with(Model::from_yaml(MODEL).expect("the model is right"), limits).await
}

/// Transactions of four actions, so that few operations are many.
async fn small() -> World {
    world_with(Limits { actions: 4, ..Limits::default() }).await
}

fn place(n: usize) -> Value {
    create(&format!("p{n}"), "place", json!({ "place_id": format!("p{n:03}"), "mark": "first" }))
}

/// A new mark for each of the places 0..count.
fn marks(count: usize, mark: &str) -> Vec<Value> {
    let one = |n| update(&format!("p{n}"), "place", json!({ "place_id": format!("p{n:03}") }), json!({ "mark": mark }));
    (0..count).map(one).collect()
}

/// Makes the places 0..count.
async fn places(world: &World, count: usize) {
    for from in (0..count).step_by(100) {
        let answer = world.run((from..count.min(from + 100)).map(place).collect(), json!({ "atomic": false })).await;
        assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    }
    world.seam.take_calls();
}

fn records(world: &World) -> Vec<Value> {
    world.items("RecordsTable")
}

fn item(world: &World, end: &str) -> Value {
    records(world).into_iter().find(|item| item["pk"]["S"] == format!("T#t1#{end}")).unwrap_or_default()
}

/// The marks of the places, in order.
fn marked(world: &World) -> Vec<String> {
    let mut places: Vec<Value> = records(world)
        .into_iter()
        .filter(|item| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("T#t1#place#")))
        .collect();
    places.sort_by_key(|item| item["pk"]["S"].as_str().map(str::to_owned));
    places.iter().map(|item| item["f"]["M"]["mark"]["S"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Keys of the items that are locked.
fn locked(world: &World) -> Vec<String> {
    let locked = records(world).into_iter().filter(|item| item.get("_lk").is_some());
    locked.map(|item| item["pk"]["S"].as_str().unwrap_or_default().to_owned()).collect()
}

fn operations(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

fn status_of(world: &World, id: &str) -> String {
    let pk = format!("T#t1#B#{id}");
    let state =
        world.items("BatchesTable").into_iter().find(|item| item["pk"]["S"] == pk && item["sk"]["S"] == "A#STATE");
    state.unwrap_or_default()["status"]["S"].as_str().unwrap_or_default().to_owned()
}

fn code(answer: &Answer, id: &str) -> String {
    let result = &answer.body["results"][id];
    result["code"].as_str().or(result["reason"].as_str()).or(result["status"].as_str()).unwrap_or_default().to_owned()
}

/// Another process does `work` before the transaction after `skipped` others.
fn before_transaction<F>(world: &World, skipped: usize, work: impl Fn(World) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()>,
{
    before(world, "TransactWriteItems", skipped, work);
}

/// Another process does `work` before the call of `operation` after `skipped` others.
fn before<F>(world: &World, operation: &str, skipped: usize, work: impl Fn(World) -> F + Send + Sync + 'static)
where
    F: Future<Output = ()>,
{
    for _ in 0..skipped {
        world.seam.plan(operation, nothing());
    }
    let (other, work) = (world.clone(), Arc::new(work));
    let hook = Hook(Arc::new(move |_| {
        let (world, work) = (other.clone(), work.clone());
        let process = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.expect("a runtime").block_on(work(world));
        });
        process.join().expect("the other process does its work");
    }));
    world.seam.plan(operation, Fault::Before(hook));
}

fn nothing() -> Fault {
    Fault::Before(Hook(Arc::new(|_| {})))
}

/// After so many transactions and other writes nothing is written any more, until the faults are cleared.
fn cut_off(world: &World, transactions: usize, puts: usize) {
    for (operation, passed) in [("TransactWriteItems", transactions), ("PutItem", puts)] {
        for _ in 0..passed {
            world.seam.plan(operation, nothing());
        }
        for _ in 0..300 {
            world.seam.plan(operation, Fault::RequestLost);
        }
    }
}
