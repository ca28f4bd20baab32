//! Contract calls: how many at once, how many wait, and that none is made twice.

use std::collections::BTreeMap;
use std::time::Duration;

use batch_core::config::Config;
use batch_core::limits::{CONTENT_CONCURRENCY, Limits, MOST_IN_CHAIN};
use batch_core::model::Model;
use batch_local::stacks::Does;
use batch_tests::seam::Fault;
use batch_tests::{World, config, stacks_settings};
use serde_json::json;

use super::scene::{Scene, item};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("c{n}")).collect()
}

/// A hundred items, each with a call of 50 ms, so many calls at once; how long that took.
async fn hundred(concurrency: usize) -> Duration {
    let unchained = Limits { in_chain: 1_000, ..Limits::default() };
    let config = Config { stacks: Some(stacks_settings()), content_concurrency: concurrency, ..config() };
    let world = World::of(config, Model::shipped().unwrap(), unchained, (None, 1)).await;
    let scene = Scene::with(world, 100).await;
    scene.world.node.set_delay(Duration::from_millis(50));
    scene.world.node.pool(|pool| pool.limits_chains = false);
    let mining = scene.mine_every(Duration::from_millis(20));
    let names = names(100);
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let begun = tokio::time::Instant::now();
    let id = scene.price(&ids, 3).await.batch_id();
    let done = scene.run(&id).await;
    let took = begun.elapsed();
    mining.abort();
    assert_eq!((done["successCount"].as_i64(), done["failureCount"].as_i64()), (Some(100), Some(0)));
    assert!(done["results"].as_array().unwrap().iter().all(|item| item["txId"].is_string()));
    assert_eq!(scene.world.node.most_in_flight(), concurrency);
    let mut nonces = scene.nonces();
    nonces.sort_unstable();
    assert_eq!(nonces, (0..100).collect::<Vec<u64>>());
    took
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_go_ten_at_once_and_seven_times_as_fast_as_one_by_one() {
    let (one_by_one, together) = (hundred(1).await, hundred(CONTENT_CONCURRENCY).await);
    eprintln!("100 calls of 50 ms: one by one {one_by_one:?}, {CONTENT_CONCURRENCY} at once {together:?}");
    assert_eq!(CONTENT_CONCURRENCY, 10);
    assert!(one_by_one >= Duration::from_millis(50) * 100, "each waits for the one before it: {one_by_one:?}");
    assert!(together * 7 <= one_by_one, "{one_by_one:?} one by one, {together:?} together");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_twenty_wait_for_a_block() {
    let scene = Scene::new(50).await;
    let names = names(50);
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = scene.price(&ids, 3).await.batch_id();
    let messages = scene.world.seam.take_messages();
    let working = scene.world.deliver(&messages);
    tokio::pin!(working);
    for block in 1..=3 {
        let quiet = tokio::time::timeout(Duration::from_secs(5), &mut working).await.is_err();
        let taken = scene.nonces().len();
        assert_eq!(taken, 50.min(usize::try_from(MOST_IN_CHAIN).unwrap() * block));
        let batch = scene.batch(&id).await;
        assert_eq!(batch["status"], if quiet { "processing" } else { "completed" });
        assert_eq!(batch["successCount"], taken, "what the node has taken is counted");
        scene.world.node.mine();
        if !quiet {
            return;
        }
    }
}

/// The price that the contract was told last of each item.
fn told_last(scene: &Scene) -> BTreeMap<u128, u128> {
    let mut taken = scene.world.node.pool(|pool| pool.taken().to_vec());
    taken.sort_by_key(|taken| taken.nonce);
    let prices = taken.into_iter().filter_map(|taken| match taken.does {
        Does::Call { arguments, .. } => Some((arguments[0] - 1000, arguments[1])),
        Does::Pay { .. } => None,
    });
    prices.collect()
}

#[tokio::test(start_paused = true)]
async fn of_jobs_at_one_item_the_contract_is_told_last_what_the_item_has() {
    for (delay, late) in [(0, 0), (0, 1), (30, 15), (30, 100), (200, 50), (200, 700)] {
        let scene = Scene::new(12).await;
        scene.world.node.set_delay(Duration::from_millis(delay));
        let names = names(12);
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let (first, second) = (scene.price(&ids, 100).await.batch_id(), scene.price(&ids[3..], 200).await.batch_id());
        let messages = scene.world.seam.take_messages();
        // Each call of the store takes its time, so that the two meet in many ways.
        for _ in 0..40 {
            scene.world.seam.plan("TransactWriteItems", Fault::Slow(delay % 7 + 1));
        }
        let mining = scene.mine_every(Duration::from_millis(150));
        let other = async {
            tokio::time::sleep(Duration::from_millis(late)).await;
            scene.world.deliver(&messages[1..]).await
        };
        tokio::join!(scene.world.deliver(&messages[..1]), other);
        let ended = [scene.run(&first).await, scene.run(&second).await];
        mining.abort();
        let (rows, told) = (scene.rows(&ids).await, told_last(&scene));
        for (place, row) in rows.iter().enumerate() {
            let told = told.get(&(place as u128)).copied();
            assert_eq!(
                told.map(|price| json!(u64::try_from(price).unwrap())),
                Some(row["price"].clone()),
                "{place} {late}"
            );
        }
        for item in ended.iter().flat_map(|batch| batch["results"].as_array().unwrap()) {
            assert_eq!(item["success"], true);
            let superseded = item["error"].as_str().is_some_and(|error| error.starts_with("SUPERSEDED: "));
            assert_ne!(item["txId"].is_string(), superseded, "{item}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_price_that_was_replaced_is_not_made_and_is_told_so() {
    let scene = Scene::new(2).await;
    let first = scene.price(&["c0", "c1"], 100).await.batch_id();
    let messages = scene.world.seam.take_messages();
    // It changes both, and then dies.
    scene.world.seam.plan("GetItem", Fault::Hang);
    assert!(tokio::time::timeout(Duration::from_secs(1), scene.world.deliver(&messages)).await.is_err());
    let second = scene.price(&["c1"], 200).await.batch_id();
    scene.run(&second).await;
    scene.world.deliver(&messages).await;
    let done = scene.run(&first).await;
    assert_eq!(done["successCount"], 2, "{done:#}");
    assert_eq!(item(&done, "c0")["message"], "Price updated to 100 STX");
    assert_eq!(
        *item(&done, "c1"),
        json!({
            "contentId": "c1", "success": true, "message": "Price updated (off-chain)", "txId": null,
            "error": "SUPERSEDED: another job has changed the item since, and the contract is told of that one",
        })
    );
    assert_eq!(told_last(&scene), BTreeMap::from([(0, 100), (1, 200)]));
    let retried = scene.post(&format!("{first}/retry"), &json!({ "only": "contract" })).await.batch_id();
    assert_eq!(scene.run(&retried).await["failureCount"], 1, "the price is another one");
    assert_eq!(scene.nonces().len(), 2);
}
