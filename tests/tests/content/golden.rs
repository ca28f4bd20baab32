//! The contract as its pages print it.

use batch_local::stacks::{Does, Rule, Treatment};
use batch_tests::{CONTRACT, CREATOR};
use serde_json::{Value, json};

use super::scene::{Scene, item};

#[tokio::test(start_paused = true)]
async fn a_price_update_is_answered_at_once_run_in_the_background_and_told_item_by_item() {
    let scene = Scene::new(3).await;
    scene.foreign("foreign").await;
    scene.world.node.rule(Rule { content: Some(1001), times: 1, treatment: Treatment::Refuse("NotEnoughFunds") });
    scene.world.node.rule(Rule { content: Some(1002), times: 1, treatment: Treatment::TakeInSilence });
    let answer = scene.price(&["c0", "c1", "c2", "foreign", "missing"], 1_000_000).await;
    let id = answer.batch_id();
    let initiated =
        json!({ "message": "Batch price update initiated", "batchId": id, "status": "pending", "totalItems": 5 });
    assert_eq!((answer.status, &answer.body), (201, &initiated));
    assert_eq!(answer.header("location"), format!("/api/batches/{id}"));
    let pending = scene.batch(&id).await;
    assert_eq!((&pending["status"], &pending["successCount"]), (&json!("pending"), &json!(0)));

    let done = scene.run(&id).await;
    assert_eq!(done["status"], "completed");
    assert_eq!((&done["successCount"], &done["failureCount"]), (&json!(3), &json!(2)));
    assert_eq!(done["contentIds"], json!(["c0", "c1", "c2", "foreign", "missing"]));
    assert_eq!(done["updatePayload"], json!({ "newPrice": 1_000_000 }));
    assert_eq!(done["operationType"], "update-price");
    let taken = scene.world.node.pool(|pool| pool.taken().to_vec());
    let calls: Vec<&Does> = taken.iter().map(|taken| &taken.does).collect();
    let call = |content: u128| Does::Call {
        contract: CONTRACT.to_owned(),
        function: "update-content-price".to_owned(),
        arguments: vec![content, 1_000_000],
    };
    assert!(calls.contains(&&call(1000)) && calls.contains(&&call(1002)), "{calls:?}");
    assert!(taken.iter().all(|taken| taken.sender == CREATOR));

    let txid = format!("0x{}", taken.iter().find(|taken| taken.does == call(1000)).unwrap().txid);
    assert_eq!(
        *item(&done, "c0"),
        json!({
            "contentId": "c0", "success": true, "message": "Price updated to 1000000 STX", "txId": txid,
            "chain": { "state": "pending", "txId": txid },
        })
    );
    assert_eq!(
        *item(&done, "c1"),
        json!({
            "contentId": "c1", "success": true, "message": "Price updated (off-chain)", "txId": null,
            "error": "NotEnoughFunds: the account has not enough funds for the fee",
        })
    );
    let pending = item(&done, "c2");
    assert_eq!(
        [&pending["message"], &pending["txId"], &pending["error"]],
        [&json!("Price updated (on-chain pending)"), &Value::Null, &json!("Contract call timed out")]
    );
    for id in ["foreign", "missing"] {
        let failed = json!({
            "contentId": id, "success": false, "error": "Content not found in database", "code": "NOT_FOUND",
        });
        assert_eq!(*item(&done, id), failed);
    }
    let prices: Vec<Value> =
        scene.rows(&["c0", "c1", "c2", "foreign"]).await.iter().map(|row| row["price"].clone()).collect();
    assert_eq!(prices, [1_000_000, 1_000_000, 1_000_000, 5].map(|price| json!(price)));
}

#[tokio::test(start_paused = true)]
async fn removed_content_is_hidden_and_changes_no_more() {
    let scene = Scene::new(2).await;
    for path in ["batch-remove-content", "batch-remove"] {
        let body = json!({ "creator": CREATOR, "contentIds": ["c0"], "removalReason": "old" });
        let answer = scene.post(path, &body).await;
        assert_eq!(answer.body["message"], "Batch removal initiated");
        let done = scene.run(&answer.batch_id()).await;
        let first = path == "batch-remove-content";
        assert_eq!(item(&done, "c0")["success"], first);
        if first {
            assert_eq!(item(&done, "c0")["message"], "Content removed");
            assert_eq!(done["updatePayload"], json!({ "removalReason": "old" }));
        }
    }
    let id = scene.price(&["c0", "c1"], 0).await.batch_id();
    let done = scene.run(&id).await;
    assert_eq!(item(&done, "c0")["error"], "Content not found in database");
    assert_eq!(item(&done, "c1")["message"], "Price updated to 0 STX");
    assert_eq!(scene.rows(&["c0"]).await, [Value::Null]);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_changed_without_a_contract() {
    let scene = Scene::new(1).await;
    scene.create(CREATOR, &[json!({ "content_id": "plain" })]).await;
    let updates =
        json!({ "title": "$ref:op_0.x", "tokenGating": { "token": "a" }, "refundable": true, "refundWindowDays": 30 });
    let body = json!({ "creator": CREATOR, "contentIds": ["c0", "plain"], "updates": updates });
    let answer = scene.post("batch-update-metadata", &body).await;
    assert_eq!(answer.body["message"], "Batch metadata update initiated");
    let done = scene.run(&answer.batch_id()).await;
    for id in ["c0", "plain"] {
        let told = json!({ "contentId": id, "success": true, "message": "Metadata updated", "txId": null });
        assert_eq!(*item(&done, id), told);
    }
    assert_eq!(scene.rows(&["c0"]).await[0]["title"], "$ref:op_0.x", "no text of a job is a reference");
    let done = scene.run(&scene.price(&["plain"], 9).await.batch_id()).await;
    let told = json!({
        "contentId": "plain", "success": true, "message": "Price updated (off-chain)", "txId": null,
        "error": "The content has no onChainId, so there is no contract call",
    });
    assert_eq!(*item(&done, "plain"), told);
    assert_eq!(scene.nonces(), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_times_and_rates() {
    let scene = Scene::new(3).await;
    let id = scene.price(&["c0", "c1", "c2", "missing"], 7).await.batch_id();
    tokio::time::advance(std::time::Duration::from_secs(4)).await;
    let done = scene.run(&id).await;
    let metrics = &done["metrics"];
    assert_eq!((&metrics["batchId"], &metrics["startTime"]), (&json!(id), &done["createdAt"]));
    assert_eq!(metrics["endTime"], done["completedAt"]);
    assert_eq!((&metrics["itemCount"], &metrics["successRate"]), (&json!(4), &json!(0.75)));
    assert_eq!(metrics["failureRate"], json!(0.25));
    let duration = metrics["totalDuration"].as_i64().unwrap();
    assert!((4_000..6_000).contains(&duration), "{duration}");
    assert_eq!(metrics["avgTimePerItem"], duration / 4);
}
