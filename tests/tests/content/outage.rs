//! The store fails while a job is worked on: for a while, or until its message is dead. Nothing is lost, and nothing is
//! done twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use batch_core::limits::Limits;
use batch_core::runtime::Timestamp;
use batch_local::stacks::Does;
use batch_tests::World;
use batch_tests::seam::{Fault, Hook};
use serde_json::{Value, json};

use super::scene::Scene;

const ITEMS: usize = 30;
/// As often as the queue delivers a message before it is dead.
const DELIVERIES: usize = 5;
const PRICE: u64 = 9;
/// Of a job: three that change its items, and three that sign ten calls each.
const TRANSACTIONS: usize = 6;

/// Items that are changed in three transactions.
async fn scene() -> (Scene, Vec<String>) {
    let limits = Limits { chunk_operations: 10, ..Limits::default() };
    let scene = Scene::with(World::chained(limits).await, ITEMS).await;
    (scene, (0..ITEMS).map(|n| format!("c{n}")).collect())
}

/// After so many transactions nothing of AWS answers any more.
fn fails_after(scene: &Scene, transactions: usize) {
    for _ in 1..transactions {
        scene.world.seam.plan("TransactWriteItems", Fault::Slow(1));
    }
    let seam = scene.world.seam.clone();
    let begins = move |_: &_| seam.plan_wherever("", Fault::Error(500, "InternalServerError"));
    scene.world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(begins))));
}

async fn begin(scene: &Scene, names: &[String], transactions: usize) -> (String, Vec<String>) {
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = scene.price(&ids, PRICE).await.batch_id();
    let messages = scene.world.seam.take_messages();
    fails_after(scene, transactions);
    (id, messages)
}

/// How many transactions of each item the node has taken.
fn taken(scene: &Scene) -> BTreeMap<u128, usize> {
    let mut taken = BTreeMap::new();
    for transaction in scene.world.node.pool(|pool| pool.taken().to_vec()) {
        if let Does::Call { arguments, .. } = transaction.does {
            *taken.entry(arguments[0] - 1000).or_default() += 1;
        }
    }
    taken
}

async fn prices(scene: &Scene, names: &[String]) -> Vec<Value> {
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.rows(&ids).await.iter().map(|row| row["price"].clone()).collect()
}

/// A minute passes in which blocks are made and whatever is in the queue is delivered; then the sweep looks.
async fn a_minute(scene: &Scene) {
    for _ in 0..12 {
        tokio::time::advance(Duration::from_secs(5)).await;
        scene.world.node.mine();
        scene.deliver().await;
    }
    let Timestamp(now) = scene.world.app.clock().now();
    let time = Timestamp(now - now % 60_000).to_string();
    let tick = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
    assert_eq!(scene.world.deliver(&[tick]).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_where_it_was_when_the_store_is_back() {
    for transactions in 1..=TRANSACTIONS {
        for failures in [1, 4] {
            let (scene, names) = scene().await;
            let mining = scene.mine_every(Duration::from_secs(1));
            let (id, messages) = begin(&scene, &names, transactions).await;
            for delivery in 0..failures {
                assert_eq!(scene.world.deliver(&messages).await, ["m0"], "delivery {delivery}");
                tokio::time::advance(Duration::from_secs(30)).await;
            }
            scene.world.seam.clear();
            assert_eq!(scene.world.deliver(&messages).await, Vec::<String>::new());
            let done = scene.run(&id).await;
            mining.abort();
            let name = format!("after {transactions} transactions, {failures} failed deliveries");
            assert_eq!((&done["status"], &done["successCount"]), (&json!("completed"), &json!(ITEMS)), "{name}");
            assert_eq!(prices(&scene, &names).await, vec![json!(PRICE); ITEMS], "{name}");
            assert_eq!(taken(&scene).into_values().collect::<Vec<usize>>(), [1; ITEMS], "{name}");
            let mut nonces = scene.nonces();
            nonces.sort_unstable();
            assert_eq!(nonces, (0..ITEMS as u64).collect::<Vec<u64>>(), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_message_is_dead_has_failed_keeps_what_is_done_and_tells_every_item() {
    for transactions in 1..=TRANSACTIONS {
        let (scene, names) = scene().await;
        let mining = scene.mine_every(Duration::from_secs(1));
        let (id, messages) = begin(&scene, &names, transactions).await;
        for _ in 0..DELIVERIES {
            assert_eq!(scene.world.deliver(&messages).await, ["m0"]);
            tokio::time::advance(Duration::from_secs(30)).await;
        }
        assert_eq!(scene.world.deliver_dead(&messages).await, ["m0"], "it is not given up before that can be written");
        scene.world.seam.clear();
        assert_eq!(scene.world.deliver_dead(&messages).await, Vec::<String>::new());
        let dead = scene.batch(&id).await;
        let name = format!("after {transactions} transactions: {dead:#}");
        assert_eq!(dead["status"], "failed", "{name}");
        assert_eq!(dead["error"], "The batch could not be worked on, and was given up", "{name}");
        let changed = (10 * transactions).min(ITEMS);
        assert_eq!(
            (&dead["successCount"], &dead["failureCount"]),
            (&json!(changed), &json!(ITEMS - changed)),
            "{name}"
        );
        let items = dead["results"].as_array().unwrap();
        let ids: Vec<&Value> = items.iter().map(|item| &item["contentId"]).collect();
        assert_eq!(json!(ids), dead["contentIds"], "every item is told, once: {name}");
        let prices = prices(&scene, &names).await;
        for (place, item) in items.iter().enumerate() {
            let done = item["success"] == true;
            assert_eq!(done, place < changed, "{name}");
            assert_eq!(prices[place] == PRICE, done, "what is told is so: {name}");
            let sent = item["chain"].is_object();
            let told = match (done, sent, item["txId"].is_string()) {
                (false, ..) => json!("the batch could not be worked on, and was given up"),
                (_, true, true) => Value::Null,
                (_, true, false) => json!("Contract call timed out"),
                _ => json!("NOT_SENT: the batch ended before the contract call could be sent"),
            };
            assert_eq!(item["error"], told, "{name}");
            assert!(sent || !taken(&scene).contains_key(&(place as u128)), "{name}");
        }
        mining.abort();
        // What was signed comes to its end all the same, and holds nothing up.
        for _ in 0..20 {
            a_minute(&scene).await;
        }
        assert_eq!(scene.world.node.pool(|pool| pool.waiting()), 0, "{name}");
        let settled = scene.batch(&id).await;
        let states = settled["results"].as_array().unwrap().iter().filter_map(|item| item.pointer("/chain/state"));
        assert!(states.clone().all(|state| state == "success"), "{settled:#}");
        assert_eq!((&settled["status"], &settled["successCount"]), (&dead["status"], &dead["successCount"]), "{name}");
        finish(&scene, (&id, &names), changed).await;
    }
}

/// Retries do the rest, and leave out what was done.
async fn finish(scene: &Scene, (id, names): (&str, &[String]), changed: usize) {
    let before: usize = taken(scene).len();
    for (body, count) in [(json!({}), ITEMS - changed), (json!({ "only": "contract" }), changed - before)] {
        let retried = scene.post(&format!("{id}/retry"), &body).await;
        if count == 0 {
            assert_eq!((retried.status, &retried.body["error"]), (409, &json!("NOTHING_TO_RETRY")));
            continue;
        }
        assert_eq!((retried.status, &retried.body["totalItems"]), (201, &json!(count)), "{:#}", retried.body);
        let mining = scene.mine_every(Duration::from_secs(1));
        let done = scene.run(&retried.batch_id()).await;
        mining.abort();
        assert_eq!((&done["status"], &done["successCount"]), (&json!("completed"), &json!(count)));
    }
    assert_eq!(prices(scene, names).await, vec![json!(PRICE); ITEMS]);
    assert_eq!(
        taken(scene).into_values().collect::<Vec<usize>>(),
        [1; ITEMS],
        "one transaction for each item, over all"
    );
}
