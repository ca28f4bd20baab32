//! A search from the request to the answer, over tenants of 1,000 to 100,000 memories of 200 words in the embedded
//! database; and what it reads, which must grow no faster than they do.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use batch_tests::World;
use batch_tests::memories::world_with;
use serde_json::json;

fn main() {
    divan::main();
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().expect("a runtime")
}

async fn search(world: &World) -> u64 {
    let answer = world.post_with("/api/v1/memory/search", &[], &json!({ "query": "Zanzibar" })).await;
    answer.body["total_results"].as_u64().expect("an answer")
}

#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 10)]
fn search_memories(bencher: divan::Bencher<'_, '_>, count: u32) {
    let runtime = runtime();
    let world = runtime.block_on(world_with(count as usize));
    assert_eq!(runtime.block_on(search(&world)), 1);
    let calls = world.seam.take_calls();
    let pages: Vec<_> = calls.iter().filter(|call| call.operation == "Query").collect();
    let units: f64 = pages.iter().map(|page| page.read_units).sum();
    eprintln!("{count} memories: {} pages, {units} read units", pages.len());
    assert!(units <= 0.18 * f64::from(count) && pages.len() <= 8 + count as usize / 1_000);
    bencher.bench_local(|| {
        let total = runtime.block_on(search(&world));
        world.seam.take_calls();
        total
    });
}
