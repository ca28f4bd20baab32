//! What a content job costs in calls.

use serde_json::json;

use super::scene::Scene;

#[tokio::test(start_paused = true)]
async fn calls_are_counted() {
    let scene = Scene::new(100).await;
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.price(&names[..1], 1).await;
    scene.run(scene.get("/api/batches").await.body["data"][0]["batchId"].as_str().unwrap()).await;
    scene.world.seam.take_calls();
    scene.world.node.take_calls();
    let operations =
        || -> Vec<String> { scene.world.seam.take_calls().into_iter().map(|call| call.operation).collect() };

    let id = scene.price(&names, 3).await.batch_id();
    assert_eq!(operations(), ["UpdateItem", "PutItem", "SendMessage"], "quota, acceptance, message");
    scene.batch(&id).await;
    assert_eq!(operations(), ["Query"], "a poll is one call");

    let mining = scene.mine_every(std::time::Duration::from_millis(100));
    scene.deliver().await;
    mining.abort();
    let calls = operations();
    let of = |name: &str| calls.iter().filter(|call| *call == name).count();
    // A read of the batch and of the rows, three chunks; the ledger; then for every ten calls their nonces, their rows and
    // a claim, and for every ten of them a write of the state.
    assert!((2..=21).contains(&of("BatchGetItem")), "{calls:?}");
    assert!(of("TransactWriteItems") <= 3 + 20, "{calls:?}");
    assert!(of("GetItem") <= 20 && of("PutItem") <= 16, "{calls:?}");
    assert!(of("Query") <= 3, "{calls:?}");
    let node = scene.world.node.take_calls();
    let sent = node.iter().filter(|path| *path == "/v2/transactions").count();
    assert_eq!((sent, node.iter().filter(|path| path.contains("fees")).count()), (100, 1));
    scene.batch(&id).await;
    assert_eq!(operations(), ["Query"], "a poll is one call, then too");
}

/// 128 characters that do not compress well.
fn long(n: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = n;
    let letter = || {
        // SplitMix64 (Steele, Lea and Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        char::from(LETTERS[usize::try_from((z ^ (z >> 31)) % 64).unwrap()])
    };
    std::iter::repeat_with(letter).take(128).collect()
}

#[tokio::test(start_paused = true)]
async fn a_poll_of_a_job_in_parts_takes_one_call_more() {
    let scene = Scene::new(0).await;
    let names: Vec<String> = (0..100).map(|n| long(n * 1_000)).collect();
    let rows: Vec<_> = names.iter().map(|name| json!({ "content_id": name, "onChainId": 7 })).collect();
    scene.create(batch_tests::CREATOR, &rows).await;
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.get("/api/batches").await;
    scene.world.seam.take_calls();
    let id = scene.price(&ids, 3).await.batch_id();
    let calls = || -> Vec<String> { scene.world.seam.take_calls().into_iter().map(|call| call.operation).collect() };
    assert_eq!(calls(), ["UpdateItem", "PutItem", "PutItem", "SendMessage"], "the ids are a part of their own");
    let pending = scene.batch(&id).await;
    assert_eq!((&pending["status"], &pending["contentIds"]), (&json!("pending"), &json!(names)));
    assert_eq!(calls(), ["Query", "BatchGetItem"]);
    let mining = scene.mine_every(std::time::Duration::from_millis(100));
    scene.deliver().await;
    mining.abort();
    scene.world.seam.take_calls();
    let done = scene.batch(&id).await;
    assert_eq!((&done["successCount"], done["results"].as_array().map(Vec::len)), (&json!(100), Some(100)));
    let polled = scene.world.seam.take_calls();
    assert_eq!(polled.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(), ["Query", "BatchGetItem"]);
    let parts = polled[1].body["RequestItems"]["BatchesTable"]["Keys"].as_array().unwrap();
    assert!(parts.len() > 1, "ids and results, read at once: {parts:?}");
}
