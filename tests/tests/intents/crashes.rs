//! Processes that die: whatever they leave behind, nothing is sent twice, and everything comes to an end.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{Scene, id_of, transfer};

/// Executes while the process dies at its `number`th call of the database, before or `after` it took effect; then the
/// client tries again, and messages come twice.
async fn survived(number: usize, after: bool) -> (Value, usize) {
    let scene = Scene::new().await;
    let operations = json!([transfer("eth", 1, "1"), transfer("dai", 1, "1"), transfer("pol", 137, "1")]);
    let created = scene.created(&operations, false).await;
    let body = scene.wallet.sign_all(&created);
    let path = format!("/api/v1/batch/{}/execute", id_of(&created));
    scene.world.seam.die_at(number, after);
    let call = scene.world.post_with(&path, &[], &body);
    let _ = tokio::time::timeout(Duration::from_mins(1), call).await;
    scene.world.seam.revive();
    scene.post(&path, &body).await;
    scene.later(1).await;
    scene.post(&path, &body).await;
    let ended = scene.ended(id_of(&created)).await;
    (ended, scene.sent_once())
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_call_sends_nothing_twice() {
    let mut completed = 0;
    for number in 0..24 {
        for after in [false, true] {
            let (ended, sent) = survived(number, after).await;
            let summary = &ended["summary"];
            assert_eq!(summary["pending"], 0, "{number} {after}: {ended:#}");
            assert_eq!(summary["total"], 3);
            assert!(sent <= 3);
            let successful = usize::try_from(summary["successful"].as_u64().unwrap()).unwrap();
            assert!(successful <= sent, "{number} {after}: {ended:#}");
            completed += usize::from(successful == 3);
        }
    }
    // Most deaths change nothing for the client; one between a claim and its sending does.
    assert!(completed >= 24, "{completed}");
}
