//! What content jobs leave in the log. By itself, because what is logged is decided once for a process.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

#[path = "content/scene.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod scene;

use std::time::Duration;

use batch_local::stacks::{Rule, Treatment};
use batch_tests::{CREATOR, Lines, stacks_settings};
use serde_json::Value;

use scene::Scene;

/// How many lines have this message.
fn count(lines: &Lines, message: &str) -> usize {
    let text = lines.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == message).count()
}

const SLOW: &str = "content job was slow";
const FAILING: &str = "content job failed for most items";

#[tokio::test(start_paused = true)]
async fn a_slow_job_and_a_failing_one_are_warned_of() {
    let (lines, _guard) = Lines::listen(tracing::Level::WARN);
    let scene = Scene::new(30).await;
    let names: Vec<String> = (0..30).map(|n| format!("c{n}")).collect();
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let warned = || (count(&lines, SLOW), count(&lines, FAILING));

    scene.run(&scene.price(&["c0", "missing"], 9).await.batch_id()).await;
    assert_eq!(warned(), (0, 0), "soon, and no more than half has failed");
    scene.run(&scene.price(&["c0", "missing", "gone"], 9).await.batch_id()).await;
    assert_eq!(warned(), (0, 1));

    // Its message comes two minutes late.
    let id = scene.price(&["c1"], 9).await.batch_id();
    tokio::time::advance(Duration::from_secs(121)).await;
    scene.run(&id).await;
    assert_eq!(warned(), (1, 1));

    // Its message fails as often as the queue delivers one.
    let id = scene.price(&["c2"], 9).await.batch_id();
    let messages = scene.world.seam.take_messages();
    assert_eq!(scene.world.deliver_dead(&messages).await, Vec::<String>::new());
    assert_eq!(scene.batch(&id).await["status"], "failed");
    assert_eq!(warned(), (1, 2));

    // No block is made, so that the last ten calls are never sent.
    scene.world.node.mine();
    let id = scene.price(&ids, 9).await.batch_id();
    for _ in 0..30 {
        scene.deliver().await;
    }
    assert_eq!(scene.batch(&id).await["status"], "completed");
    assert_eq!(warned(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn no_key_no_address_and_no_transaction_is_in_a_log_line() {
    let (lines, _guard) = Lines::listen(tracing::Level::TRACE);
    let scene = Scene::new(6).await;
    for (content, treatment) in [
        (1000, Treatment::Refuse("NotEnoughFunds")),
        (1001, Treatment::TakeInSilence),
        (1002, Treatment::Break),
        (1003, Treatment::Refuse("BadNonce")),
        (1004, Treatment::Refuse("ServerFailureDatabase")),
    ] {
        scene.world.node.rule(Rule { content: Some(content), times: 1, treatment });
    }
    let id = scene.price(&["c0", "c1", "c2", "c3", "c4", "c5", "missing"], 987_654_321).await.batch_id();
    scene.run(&id).await;
    for _ in 0..3 {
        scene.world.node.mine();
        scene.deliver().await;
    }
    let text = lines.text();
    assert!(text.contains("batch executed") && text.contains("calls are signed"), "{text}");
    let settings = stacks_settings();
    let keys = settings.signers.expose().split('"').filter(|part| part.len() == 64);
    let taken = scene.world.node.pool(|pool| pool.taken().to_vec());
    let secrets = keys.map(str::to_owned).chain(taken.into_iter().map(|taken| taken.txid));
    for secret in secrets.chain([CREATOR.to_owned(), "987654321".to_owned(), "missing\"".to_owned()]) {
        assert!(!text.contains(&secret), "{secret} is in the log");
    }
}
