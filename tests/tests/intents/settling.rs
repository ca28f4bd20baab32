//! What becomes of what was sent: told by look-ups, never by sending again.

use batch_local::orby::Treatment;
use serde_json::{Value, json};

use super::scene::{SEND, Scene, id_of, transfer};

const LOOK: &str = "orby_getOperationStatuses";

async fn sent(scene: &Scene, treatment: Option<Treatment>) -> (String, Value) {
    let created = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
    if let Some(treatment) = treatment {
        scene.rule(SEND, 1, treatment);
    }
    let executed = scene.run(&created).await;
    (id_of(&created).to_owned(), executed.body)
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_deed_is_unknown_until_a_look_up_tells() {
    let scene = Scene::new().await;
    let (id, executed) = sent(&scene, Some(Treatment::DoInSilence)).await;
    let result = &executed["results"][0];
    assert_eq!([&result["status"], &result["success"]], [&json!("unknown"), &json!(false)]);
    assert_eq!(scene.ended(&id).await["status"], "completed");
    assert_eq!(scene.sent_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_before_the_deed_ends_as_not_taken() {
    let scene = Scene::new().await;
    let (id, _) = sent(&scene, Some(Treatment::Ignore)).await;
    let ended = scene.ended(&id).await;
    assert_eq!(
        (ended["status"].as_str(), ended["operations"][0]["error"]["code"].as_str()),
        (Some("failed"), Some("TIMEOUT"))
    );
    assert_eq!(scene.sent_once(), 0);
    let retried = scene.retry(&id, &json!({})).await.body;
    scene.run(&retried).await;
    assert_eq!(scene.ended(id_of(&retried)).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn each_later_failure_has_its_reason() {
    for (message, reason) in [
        ("execution reverted", "REVERTED"),
        ("UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT", "SLIPPAGE_EXCEEDED"),
        ("replacement transaction underpriced", "NONCE_CONFLICT"),
        ("out of luck", "UNKNOWN"),
    ] {
        let scene = Scene::new().await;
        let (id, executed) = sent(&scene, Some(Treatment::FailLater(message))).await;
        assert_eq!(executed["results"][0]["success"], true);
        scene.ended(&id).await;
        assert_eq!(scene.analysis(&id).await["failedOperations"][0]["reason"], reason);
    }
}

#[tokio::test(start_paused = true)]
async fn orby_is_asked_about_an_operation_once_in_thirty_seconds() {
    let scene = Scene::new().await;
    scene.world.orby.books(|books| books.hold(true));
    let (id, _) = sent(&scene, None).await;
    scene.world.orby.take_calls();
    scene.world.seam.take_calls();
    for _ in 0..3 {
        scene.status(&id).await;
    }
    let calls = scene.world.seam.take_calls();
    assert_eq!(calls.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(), ["Query"; 3]);
    assert_eq!(scene.world.orby.take_calls(), Vec::<String>::new());
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    for _ in 0..3 {
        scene.status(&id).await;
    }
    assert_eq!(scene.world.orby.take_calls(), [LOOK]);
    let calls = scene.world.seam.take_calls();
    let operations = calls.iter().map(|call| call.operation.as_str());
    // The key of the caller is read again after a while.
    let operations: Vec<&str> = operations.filter(|operation| *operation != "GetItem").collect();
    assert_eq!(operations, ["Query", "PutItem", "Query", "Query"]);
}

#[tokio::test(start_paused = true)]
async fn the_executor_ends_a_batch_that_nobody_asks_about() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1"), transfer("pol", 137, "1")]), false).await;
    scene.rule(SEND, 137, Treatment::DoInSilence);
    scene.run(&created).await;
    for _ in 0..6 {
        scene.later(31).await;
    }
    let told = scene.native(id_of(&created)).await;
    assert_eq!([&told["status"], &told["summary"]["successful"]], [&json!("completed"), &json!(2)], "{told:#}");
    assert_eq!(scene.sent_once(), 2);
    // What has ended is asked about no more, and has no message.
    scene.world.orby.take_calls();
    scene.later(31).await;
    scene.status(id_of(&created)).await;
    assert_eq!(scene.world.orby.take_calls(), Vec::<String>::new());
    let entries = scene.world.get(&format!("/batches/{}/audit", id_of(&created))).await.body;
    let executed = entries["data"].as_array().unwrap().iter().find(|entry| entry["act"] == "executed").unwrap();
    assert_eq!([&executed["by"], &executed["signedBy"]], [&json!("alice"), &json!(scene.wallet.address())]);
    assert_eq!(executed["signedOperations"], 2);
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_stops_and_says_that_something_was_sent() {
    let scene = Scene::new().await;
    let created = scene
        .created(&json!([transfer("pol", 137, "1"), transfer("eth", 1, "1"), transfer("dai", 1, "1")]), true)
        .await;
    assert_eq!(created["executionOrder"], json!(["op_0", "op_1", "op_2"]));
    scene.rule(SEND, 1, Treatment::Error("insufficient funds for gas"));
    let executed = scene.run(&created).await.body;
    let words: Vec<&Value> = executed["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(json!(words), json!(["submitted", "failed", "skipped"]), "{executed:#}");
    assert_eq!(executed["details"]["rollback"], false);
    assert_eq!(scene.ended(id_of(&created)).await["status"], "partial");
    assert_eq!(scene.sent_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn chains_do_not_wait_for_each_other_but_a_lost_nonce_is_not_skipped() {
    let scene = Scene::new().await;
    let created = scene
        .created(&json!([transfer("eth", 1, "1"), transfer("dai", 1, "1"), transfer("pol", 137, "1")]), false)
        .await;
    scene.rule(SEND, 1, Treatment::Error("insufficient funds for gas"));
    let executed = scene.run(&created).await.body;
    let told: Vec<[&Value; 2]> = executed["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| [&result["status"], &result["error"]["code"]])
        .collect();
    let wanted = json!([["failed", "INSUFFICIENT_GAS"], ["failed", "NONCE_CONFLICT"], ["submitted", null]]);
    assert_eq!(json!(told), wanted);
    assert_eq!(scene.ended(id_of(&created)).await["status"], "partial");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_signs_in_a_day_ends() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
    tokio::time::advance(std::time::Duration::from_hours(25)).await;
    let refused = scene.run(&created).await;
    assert_eq!((refused.status, &refused.body["error"]), (409, &json!("BATCH_ENDED")));
    assert_eq!(scene.sent_once(), 0);
}
