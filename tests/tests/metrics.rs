//! What operators are told in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use batch_core::batch::Dialect;
use batch_core::limits::Limits;
use batch_core::metrics::{METRICS, NAMESPACE};
use batch_core::model::Model;
use batch_tests::World;
use serde_json::{Value, json};

/// The sum of each metric since this was last asked.
fn sums(world: &World) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for line in world.take_metrics() {
        check(&line);
        for (name, value) in line.as_object().into_iter().flatten().filter(|(name, _)| *name != "Contract") {
            if let Some(value) = value.as_i64() {
                *sums.entry(name.clone()).or_default() += value;
            }
        }
    }
    sums
}

/// A line is in the embedded metric format, for all contracts together and for its own, and holds nothing else.
fn check(line: &Value) {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert!(line["_aws"]["Timestamp"].is_i64() && directive["Namespace"] == NAMESPACE, "{line}");
    let mut known = BTreeSet::from(["_aws"]);
    if line["Contract"].is_string() {
        known.insert("Contract");
        let contract = line["Contract"].as_str().unwrap_or_default();
        assert!(Dialect::parse(contract).is_some(), "{line}");
        assert_eq!(directive["Dimensions"], json!([[], ["Contract"]]), "{line}");
    } else {
        assert_eq!(directive["Dimensions"], json!([[]]), "{line}");
    }
    for metric in directive["Metrics"].as_array().into_iter().flatten() {
        let (name, unit) = (metric["Name"].as_str().unwrap_or_default(), metric["Unit"].as_str().unwrap_or_default());
        assert!(METRICS.contains(&(name, unit)) && line[name].is_i64(), "{line}");
        known.extend(METRICS.iter().map(|(name, _)| *name).find(|known| *known == name));
    }
    let names: BTreeSet<&str> = line.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, known, "{line}");
}

#[test]
fn the_page_on_operations_lists_every_metric() {
    let page = include_str!("../../docs/OPERATIONS.md");
    for (name, _) in METRICS {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

fn told(of: &[(&str, i64)]) -> BTreeMap<String, i64> {
    of.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn create(id: &str) -> Value {
    json!({ "id": id, "entity": "artist", "action": "create", "store_params": { "name": id } })
}

fn missing(id: &str) -> Value {
    json!({ "id": id, "entity": "artist", "action": "update", "query_params": { "artist_id": 77 }, "store_params": { "name": id } })
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_told_when_it_is_accepted_and_when_it_ends() {
    let world = World::new().await;
    let mut after = create("c");
    after["depends_on"] = json!(["b"]);
    let options = json!({ "atomic": false, "continueOnError": true });
    world.run(vec![create("a"), missing("b"), after], options).await;
    let ended = [
        ("Batches", 1),
        ("BatchSize", 3),
        ("BatchesEnded", 1),
        ("BatchesFailed", 0),
        ("BatchDuration", 0),
        ("OperationsSucceeded", 1),
        ("OperationsFailed", 1),
        ("OperationsSkipped", 1),
    ];
    assert_eq!(sums(&world), told(&ended));
}

#[tokio::test(start_paused = true)]
async fn a_replay_and_a_second_message_tell_nothing_twice() {
    let world = World::new().await;
    let headers = [("prefer", "respond-async"), ("idempotency-key", "once")];
    let body = json!({ "operations": [missing("a")] });
    world.post_with("/batch", &headers, &body).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    let messages = world.seam.take_messages();
    for _ in 0..2 {
        world.deliver(&messages).await;
        world.post_with("/batch", &headers, &body).await;
    }
    let ended = [
        ("Batches", 1),
        ("BatchSize", 1),
        ("BatchesEnded", 1),
        ("BatchesFailed", 1),
        ("BatchDuration", 3_000),
        ("OperationsSucceeded", 0),
        ("OperationsFailed", 1),
        ("OperationsSkipped", 0),
        // Each of two deliveries, a second after the message was sent.
        ("QueueDelay", 2_000),
    ];
    assert_eq!(sums(&world), told(&ended));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_by_its_kind() {
    let world = World::limited(1).await;
    let mut circle = create("a");
    circle["depends_on"] = json!(["a"]);
    world.run(vec![circle], json!({})).await;
    assert_eq!(sums(&world), told(&[("Refused", 1), ("CycleErrors", 1)]));
    let mut lost = create("$ref:nobody.name");
    lost["id"] = json!("a");
    lost["depends_on"] = json!(["nobody"]);
    world.run(vec![lost], json!({})).await;
    assert_eq!(sums(&world), told(&[("Refused", 1), ("ReferenceErrors", 2)]));
    world.run(vec![create("a")], json!({})).await;
    world.take_metrics();
    world.run(vec![create("a")], json!({})).await;
    assert_eq!(sums(&world), told(&[("Refused", 1), ("RateLimited", 1)]));
    world.get("/batches/none").await;
    assert_eq!(sums(&world), told(&[("Refused", 1)]));
}

#[tokio::test(start_paused = true)]
async fn conflicts_retries_and_wide_commits_are_told() {
    let limits = Limits { actions: 4, ..Limits::default() };
    let world = World::with(Model::shipped().expect("the shipped model is right"), limits).await;
    world.run((0..8).map(|n| create(&format!("a{n}"))).collect(), json!({})).await;
    assert_eq!(sums(&world).get("WideCommits"), Some(&1));
    for _ in 0..10 {
        world.seam.plan("TransactWriteItems", batch_tests::seam::Fault::Conflict(vec![1]));
    }
    world.run(vec![create("b")], json!({ "max_retries": 1, "timeout": 60_000 })).await;
    let sums = sums(&world);
    assert_eq!((sums.get("Conflicts"), sums.get("Retries")), (Some(&10), Some(&1)), "{sums:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_its_client_or_the_queue_ended_is_told_as_well() {
    let world = World::new().await;
    for given_up in [false, true] {
        let body = json!({ "operations": [create("a"), create("b")] });
        let id = world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id();
        let messages = world.seam.take_messages();
        world.take_metrics();
        if given_up {
            world.deliver_dead(&messages).await;
        } else {
            world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await;
        }
        let sums = sums(&world);
        let told = |name: &str| sums.get(name).copied().unwrap_or(-1);
        let (failed, skipped) = if given_up { (2, 0) } else { (0, 2) };
        assert_eq!((told("BatchesEnded"), told("BatchesFailed")), (1, i64::from(given_up)), "{sums:?}");
        assert_eq!((told("OperationsFailed"), told("OperationsSkipped")), (failed, skipped), "{sums:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_a_batch_was_paused_is_none_it_took() {
    let world = World::new().await;
    let headers = [("prefer", "respond-async")];
    let id = world.post_with("/batch", &headers, &json!({ "operations": [create("a")] })).await.batch_id();
    world.post_with(&format!("/batches/{id}/pause"), &[], &json!({})).await;
    tokio::time::advance(Duration::from_hours(2)).await;
    world.post_with(&format!("/batches/{id}/resume"), &[], &json!({})).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    world.take_metrics();
    world.drain().await;
    assert_eq!(sums(&world).get("BatchDuration"), Some(&3_000));
}
