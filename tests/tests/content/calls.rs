//! Contract calls: how many at once, how many wait, and that none is made twice.

use std::time::Duration;

use batch_core::limits::{Limits, MOST_IN_CHAIN};
use batch_tests::World;

use super::scene::Scene;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("c{n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_calls_go_ten_at_once_and_seven_times_as_fast_as_one_by_one() {
    let unchained = Limits { in_chain: 1_000, ..Limits::default() };
    let scene = Scene::with(World::chained(unchained).await, 100).await;
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
    assert_eq!(scene.world.node.most_in_flight(), 10);
    // One by one, each would wait for the one before it.
    assert!(took * 7 <= Duration::from_millis(50) * 100, "{took:?}");
    let mut nonces = scene.nonces();
    nonces.sort_unstable();
    assert_eq!(nonces, (0..100).collect::<Vec<u64>>());
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
