//! What a content job costs in calls.

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
    // A read of the batch and of the rows, three chunks; the ledger; then for every ten calls their nonces and a claim,
    // and for every ten of them a write of the state.
    assert_eq!(of("BatchGetItem"), 1);
    assert!(of("TransactWriteItems") <= 3 + 20, "{calls:?}");
    assert!(of("GetItem") <= 20 && of("PutItem") <= 16, "{calls:?}");
    assert!(of("Query") <= 3, "{calls:?}");
    let node = scene.world.node.take_calls();
    let sent = node.iter().filter(|path| *path == "/v2/transactions").count();
    assert_eq!((sent, node.iter().filter(|path| path.contains("fees")).count()), (100, 1));
    scene.batch(&id).await;
    assert_eq!(operations(), ["Query"], "a poll is one call, then too");
}
