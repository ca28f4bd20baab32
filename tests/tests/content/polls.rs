//! What a client that polls sees of every kind of job, from acceptance to end. It is kept in `fixtures/content/polls.json`,
//! over which `scripts/check-content` runs the loop that the page prints.

use std::time::Duration;

use batch_core::limits::Limits;
use batch_local::stacks::{Rule, Treatment};
use batch_tests::{CREATOR, World};
use serde_json::{Value, json};

use super::scene::Scene;

const KEPT: &str = include_str!("../../fixtures/content/polls.json");
const ITEMS: [&str; 4] = ["c0", "c1", "c2", "c3"];

/// Four items, two of them in a transaction, and of two calls one waits for a block.
async fn scene() -> Scene {
    let limits = Limits { chunk_operations: 2, in_chain: 2, ..Limits::default() };
    Scene::with(World::chained(limits).await, ITEMS.len()).await
}

fn ended(batch: &Value) -> bool {
    matches!(batch["status"].as_str(), Some("completed" | "failed"))
}

/// What is polled before and after each delivery, with a block before it if there are any, until the job has ended.
async fn polls(scene: &Scene, id: &str, blocks: bool) -> Vec<Value> {
    let mut polls = vec![scene.batch(id).await];
    for _ in 0..60 {
        if polls.last().is_some_and(ended) {
            return polls;
        }
        if blocks {
            scene.world.node.mine();
        }
        let messages = scene.world.seam.take_messages();
        let patience = Duration::from_secs(if blocks { 3 } else { 60 });
        // A process that is given up, so that the calls it had under way are seen.
        if tokio::time::timeout(patience, scene.world.deliver(&messages)).await.is_err() {
            polls.push(scene.batch(id).await);
            tokio::time::advance(Duration::from_mins(1)).await;
            scene.world.node.mine();
            scene.world.deliver(&messages).await;
        }
        polls.push(scene.batch(id).await);
    }
    panic!("no end: {:#}", polls[polls.len() - 1]);
}

async fn native(scene: &Scene, id: &str, act: &str) {
    let answer = scene.world.post_as(&scene.key, &format!("/batches/{id}/{act}"), &json!({})).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
}

/// A job that is ended from outside once two of its items are changed.
async fn cut_short(scene: &Scene, act: &str) -> Vec<Value> {
    use batch_tests::seam::Fault;
    let id = scene.price(&ITEMS, 9).await.batch_id();
    let messages = scene.world.seam.take_messages();
    let mut polls = vec![scene.batch(&id).await];
    scene.world.seam.plan("TransactWriteItems", Fault::Slow(1));
    scene.world.seam.plan("TransactWriteItems", Fault::Hang);
    assert!(tokio::time::timeout(Duration::from_secs(1), scene.world.deliver(&messages)).await.is_err());
    polls.push(scene.batch(&id).await);
    if act == "dead" {
        assert!(scene.world.deliver_dead(&messages).await.is_empty());
    } else {
        native(scene, &id, act).await;
    }
    polls.push(scene.batch(&id).await);
    if act == "pause" {
        native(scene, &id, "resume").await;
        polls.extend(self::polls(scene, &id, true).await);
    }
    polls
}

async fn begun(scene: &Scene, path: &str, more: Value) -> String {
    let mut body = json!({ "creator": CREATOR, "contentIds": ["c0", "c1", "missing"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = scene.post(path, &body).await;
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    answer.batch_id()
}

async fn retried(scene: &Scene, id: &str, body: Value) -> String {
    let answer = scene.post(&format!("{id}/retry"), &body).await;
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    answer.batch_id()
}

/// Every kind of job, and what is polled of it.
async fn every_kind() -> Vec<(&'static str, Vec<Value>)> {
    let mut seen = Vec::new();

    let its = scene().await;
    let id = its.price(&ITEMS, 9).await.batch_id();
    seen.push(("all done", polls(&its, &id, true).await));
    let id = begun(&its, "batch-update-price", json!({ "newPrice": 7 })).await;
    seen.push(("one failed", polls(&its, &id, true).await));
    let again = retried(&its, &id, json!({})).await;
    seen.push(("all failed, a retry", polls(&its, &again, true).await));
    let id = begun(&its, "batch-update-metadata", json!({ "updates": { "title": "A title" } })).await;
    seen.push(("metadata", polls(&its, &id, true).await));
    let id = begun(&its, "batch-remove-content", json!({ "removalReason": "sold" })).await;
    seen.push(("removal", polls(&its, &id, true).await));

    let its = scene().await;
    its.world.node.rule(Rule { content: None, times: 1, treatment: Treatment::Refuse("NotEnoughFunds") });
    its.world.node.rule(Rule { content: None, times: 1, treatment: Treatment::TakeInSilence });
    let id = its.price(&ITEMS[..2], 9).await.batch_id();
    seen.push(("a call refused, and one not answered", polls(&its, &id, true).await));
    let again = retried(&its, &id, json!({ "only": "contract" })).await;
    seen.push(("a retry of calls alone", polls(&its, &again, true).await));

    let its = scene().await;
    its.create("nobody", &[json!({ "content_id": "x", "onChainId": 1 })]).await;
    let id =
        begun(&its, "batch-update-price", json!({ "creator": "nobody", "contentIds": ["x"], "newPrice": 7 })).await;
    seen.push(("a creator without a signer", polls(&its, &id, true).await));
    let id = its.price(&ITEMS, 9).await.batch_id();
    native(&its, &id, "cancel").await;
    seen.push(("cancelled before it began", vec![its.batch(&id).await]));

    seen.push(("cancelled at work", cut_short(&scene().await, "cancel").await));
    seen.push(("paused and resumed", cut_short(&scene().await, "pause").await));
    seen.push(("given up", cut_short(&scene().await, "dead").await));

    let its = scene().await;
    let id = its.price(&ITEMS, 9).await.batch_id();
    seen.push(("out of time with calls left", polls(&its, &id, false).await));
    let id = its.price(&ITEMS, 8).await.batch_id();
    tokio::time::advance(Duration::from_secs(541)).await;
    seen.push(("out of time before it began", polls(&its, &id, false).await));
    seen
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_job_is_polled_to_its_end_as_kept() {
    let seen = every_kind().await;
    for (kind, polls) in &seen {
        let (last, before) = polls.split_last().unwrap();
        assert!(ended(last) && !before.iter().any(ended), "{kind}: {polls:#?}");
        let mut earlier = 0;
        for poll in polls {
            let count = |name: &str| poll[name].as_u64().unwrap();
            let progress = count("successCount") + count("failureCount");
            assert!(earlier <= progress && progress <= count("totalItems"), "{kind}: {polls:#?}");
            assert_eq!(poll["results"].as_array().map(Vec::len), usize::try_from(progress).ok(), "{kind}: {poll:#}");
            earlier = progress;
        }
        assert_eq!(last["totalItems"], earlier, "{kind}: every item is accounted for");
    }
    let told: Vec<Value> = seen.iter().map(|(kind, polls)| json!({ "kind": kind, "polls": polls })).collect();
    let actual = format!("{}\n", serde_json::to_string_pretty(&told).unwrap());
    if actual != KEPT {
        let place = concat!(env!("CARGO_TARGET_TMPDIR"), "/polls.json");
        std::fs::write(place, &actual).unwrap();
        panic!("polls.json is not what is polled now; that is in {place}");
    }
}
