//! How much memory a content job takes. By itself, because all of a process is counted.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

#[path = "content/scene.rs"]
#[expect(dead_code, reason = "shared with tests that use more of it")]
mod scene;

use std::time::Duration;

use batch_tests::CREATOR;
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

use scene::Scene;

/// Counts what is allocated; the embedded database's own memory is not among it, for `SQLite` has an allocator of its own.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MEBIBYTE: usize = 1024 * 1024;
/// What the executor has (`MemorySize` in `template.yaml`).
const FUNCTION: usize = 512 * MEBIBYTE;

/// The most that was allocated at once, beyond what was before, while a job of 100 items was worked on and then polled.
async fn peak_of(fields: impl Fn(usize) -> Value) -> usize {
    let scene = Scene::new(0).await;
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let mut row = fields(n);
        row["content_id"] = json!(name);
        row["onChainId"] = json!(n);
        scene.create(CREATOR, &[row]).await;
    }
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.world.seam.take_calls();
    scene.world.seam.forget_calls();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let id = scene.price(&ids, 9).await.batch_id();
    let mining = scene.mine_every(Duration::from_millis(100));
    let done = scene.run(&id).await;
    mining.abort();
    let peak = MEMORY.peak_usage() - before;
    assert_eq!((&done["status"], &done["successCount"]), (&json!("completed"), &json!(100)));
    peak
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_hundred_items_takes_little_memory_and_of_the_largest_ones_less_than_a_function_has() {
    assert!(include_str!("../../template.yaml").contains("MemorySize: 512"));
    let ordinary = peak_of(|n| json!({ "title": format!("Song {n}"), "description": "x".repeat(1_000) })).await;
    eprintln!("100 ordinary items: {} KiB", ordinary / 1024);
    assert!(ordinary < 8 * MEBIBYTE, "{ordinary}");
    // A row is at most 400 KB.
    let largest = peak_of(|_| json!({ "tokenGating": { "list": "x".repeat(380_000) } })).await;
    eprintln!("100 items of 380 KB: {} MiB", largest / MEBIBYTE);
    assert!(largest < FUNCTION / 2, "{largest}");
}
