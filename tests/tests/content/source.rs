//! The contract of content jobs as its own pages print it: every example and table. Where the pages contradict themselves
//! or promise less than can be kept, the test says what holds instead, and ADR 32 why.

use std::time::Duration;

use batch_local::stacks::{Rule, Treatment};
use batch_tests::CREATOR;
use serde_json::{Value, json};

use super::scene::{Scene, item};

/// Content by its ids, known to the contract by its place.
async fn scene_of(ids: &[&str]) -> Scene {
    let scene = Scene::new(0).await;
    let rows = ids.iter().enumerate().map(|(place, id)| json!({ "content_id": id, "onChainId": place }));
    scene.create(CREATOR, &rows.collect::<Vec<Value>>()).await;
    scene
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z'))
}

/// "Data Flow Example: Batch Price Update".
#[tokio::test(start_paused = true)]
async fn the_example_of_a_price_update_goes_as_printed() {
    let scene = scene_of(&["id1", "id2"]).await;
    let request = json!({ "creator": CREATOR, "contentIds": ["id1", "id2"], "newPrice": 1_000_000 });
    let answer = scene.post("batch-update-price", &request).await;
    let id = answer.batch_id();
    let initiated =
        json!({ "message": "Batch price update initiated", "batchId": id, "status": "pending", "totalItems": 2 });
    assert_eq!((answer.status, &answer.body), (201, &initiated), "at once, whatever is to be done");

    let mut stored = scene.batch(&id).await;
    let fields = stored.as_object_mut().unwrap();
    let (created, updated) = (fields.remove("createdAt").unwrap(), fields.remove("updatedAt").unwrap());
    assert!(is_time(&created) && updated == created);
    let expected = json!({
        "batchId": id, "creator": CREATOR, "operationType": "update-price", "status": "pending", "totalItems": 2,
        "successCount": 0, "failureCount": 0, "startedAt": null, "completedAt": null,
        "metrics": {
            "batchId": id, "startTime": created, "endTime": null, "totalDuration": null, "itemCount": 2,
            "avgTimePerItem": null, "successRate": 0, "failureRate": 0,
        },
        "contentIds": ["id1", "id2"], "updatePayload": { "newPrice": 1_000_000 }, "results": [],
    });
    assert_eq!(stored, expected);

    let done = scene.run(&id).await;
    assert_eq!(
        [&done["status"], &done["successCount"], &done["failureCount"]],
        [&json!("completed"), &json!(2), &json!(0)]
    );
    assert!(is_time(&done["completedAt"]) && is_time(&done["startedAt"]));
    for id in ["id1", "id2"] {
        let told = item(&done, id);
        assert_eq!((&told["success"], &told["message"]), (&json!(true), &json!("Price updated to 1000000 STX")));
        assert!(told["txId"].as_str().is_some_and(|txid| txid.starts_with("0x") && txid.len() == 66), "{told}");
    }
    assert_eq!(scene.rows(&["id1"]).await[0]["price"], 1_000_000, "UPDATE content SET price");
}

/// "Per-Item Error Tracking", and "Network Failures": a timeout is `(on-chain pending)`, as the second prints it, and not
/// `(off-chain)`, as the first does: the node may have it. A failure also has its code, and a transaction its progress.
#[tokio::test(start_paused = true)]
async fn the_three_results_of_an_item_are_told_as_printed() {
    let scene = scene_of(&["content-123", "content-456", "content-457"]).await;
    scene.world.node.rule(Rule { content: Some(1), times: 1, treatment: Treatment::TakeInSilence });
    scene.world.node.rule(Rule { content: Some(2), times: 1, treatment: Treatment::Refuse("FeeTooLow") });
    let ids = ["content-123", "content-456", "content-457", "content-789"];
    let done = scene.run(&scene.price(&ids, 1_000_000).await.batch_id()).await;
    let without = |id: &str, extra: &str| {
        let mut told = item(&done, id).clone();
        assert!(told.as_object_mut().unwrap().remove(extra).is_some(), "{told}");
        told
    };
    let txid = item(&done, "content-123")["txId"].clone();
    for (told, expected) in [
        (
            without("content-123", "chain"),
            json!({ "contentId": "content-123", "success": true, "message": "Price updated to 1000000 STX", "txId": txid }),
        ),
        (
            without("content-456", "chain"),
            json!({
                "contentId": "content-456", "success": true, "message": "Price updated (on-chain pending)", "txId": null,
                "error": "Contract call timed out",
            }),
        ),
        (
            item(&done, "content-457").clone(),
            json!({
                "contentId": "content-457", "success": true, "message": "Price updated (off-chain)", "txId": null,
                "error": "FeeTooLow: the fee was too low for the node",
            }),
        ),
        (
            without("content-789", "code"),
            json!({ "contentId": "content-789", "success": false, "error": "Content not found in database" }),
        ),
    ] {
        assert_eq!(told, expected);
    }
    // "Level 3, contract error: continue loop", and "on-chain failures don't block off-chain success".
    assert_eq!(
        (&done["status"], &done["successCount"], &done["failureCount"]),
        (&json!("completed"), &json!(3), &json!(1))
    );
    assert!(scene.rows(&ids[..3]).await.iter().all(|row| row["price"] == 1_000_000));
}

/// "Expected Status Timeline": polled every two seconds, it is pending, then processing with ever more of 100 items, then
/// completed.
#[tokio::test(start_paused = true)]
async fn a_client_that_polls_sees_it_come_along() {
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene = scene_of(&names).await;
    // Ten at once, so a hundred take five seconds; and as long again, because twenty wait for a block and are looked at
    // each second.
    scene.world.node.set_delay(Duration::from_millis(500));
    let mining = scene.mine_every(Duration::from_millis(500));
    let id = scene.price(&names, 3).await.batch_id();
    let messages = scene.world.seam.take_messages();
    let mut seen = Vec::new();
    let polling = async {
        loop {
            let batch = scene.batch(&id).await;
            let progress = batch["successCount"].as_u64().unwrap() + batch["failureCount"].as_u64().unwrap();
            assert_eq!(
                batch["results"].as_array().map(Vec::len),
                usize::try_from(progress).ok(),
                "what counts is told"
            );
            seen.push((batch["status"].as_str().unwrap().to_owned(), progress));
            if seen.last().unwrap().0 == "completed" {
                return;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let working = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.world.deliver(&messages).await
    };
    tokio::join!(polling, working);
    mining.abort();
    let status: Vec<&str> = seen.iter().map(|(status, _)| status.as_str()).collect();
    let progress: Vec<u64> = seen.iter().map(|(_, progress)| *progress).collect();
    assert_eq!(status.iter().filter(|status| **status == "pending").count(), 1, "{seen:?}");
    assert_eq!(status.last(), Some(&"completed"), "{seen:?}");
    assert!((4..=7).contains(&status.len()), "{seen:?}");
    assert!(progress.is_sorted() && progress[0] == 0 && progress.last() == Some(&100), "{seen:?}");
    let between = &progress[1..progress.len() - 1];
    assert!(between.iter().all(|progress| (1..100).contains(progress)), "{seen:?}");
    assert!(between.windows(2).all(|two| two[0] < two[1]), "it is seen to come along: {seen:?}");
}

/// "Phase 1: Validation", but that zero is a price: the page's own check takes it for an absent one.
#[tokio::test(start_paused = true)]
async fn the_checks_before_anything_runs_are_those_printed() {
    let scene = scene_of(&["id1"]).await;
    let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    for (ids, price, status) in [
        (json!([]), json!(1), 400),
        (json!(many), json!(1), 400),
        (json!(&many[..100]), json!(1), 201),
        (json!(["id1"]), json!(-1), 400),
        (json!(["id1"]), Value::Null, 400),
        (json!(["id1"]), json!(0), 201),
    ] {
        let body = json!({ "creator": CREATOR, "contentIds": ids, "newPrice": price });
        let answer = scene.post("batch-update-price", &body).await;
        assert_eq!(answer.status, status, "{body}");
    }
    let without_creator = scene.post("batch-update-price", &json!({ "contentIds": ["id1"], "newPrice": 1 })).await;
    assert_eq!(without_creator.status, 400);
    assert_eq!(scene.get("/api/batches").await.body["data"].as_array().unwrap().len(), 2, "the others were not kept");
}

/// "Metadata Whitelist Validation".
#[tokio::test(start_paused = true)]
async fn the_fields_that_may_be_changed_are_those_printed() {
    let scene = scene_of(&["id1"]).await;
    let fields = [
        ("title", json!("A")),
        ("description", json!("B")),
        ("contentType", json!("video")),
        ("tokenGating", json!({ "token": "SP1.t" })),
        ("refundable", json!(true)),
        ("refundWindowDays", json!(14)),
    ];
    for (name, value) in &fields {
        let body = json!({ "creator": CREATOR, "contentIds": ["id1"], "updates": { *name: value } });
        let answer = scene.post("batch-update-metadata", &body).await;
        let done = scene.run(&answer.batch_id()).await;
        assert_eq!((&done["successCount"], &item(&done, "id1")["message"]), (&json!(1), &json!("Metadata updated")));
        assert_eq!(scene.rows(&["id1"]).await[0][name], *value);
    }
    for name in ["price", "creator", "content_id", "onChainId", "removedAt", "updatedAt", "anything"] {
        let body = json!({ "creator": CREATOR, "contentIds": ["id1"], "updates": { name: 1, "title": "C" } });
        let answer = scene.post("batch-update-metadata", &body).await;
        let told = answer.body["message"].as_str().unwrap_or_default();
        assert_eq!(answer.status, 400);
        assert!(told.starts_with(name) && fields.iter().all(|(known, _)| told.contains(known)), "{told}");
    }
    assert_eq!(scene.rows(&["id1"]).await[0]["title"], "A");
}
