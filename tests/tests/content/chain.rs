//! What a node does to calls, and what their items are told then.

use std::time::Duration;

use batch_core::batch::BatchId;
use batch_core::limits::{CONTENT_TIMEOUT_MS, Limits};
use batch_core::store::{Entry, TenantKey};
use batch_local::stacks::{Does, Rule, Treatment};
use batch_tests::{CREATOR, World};
use serde_json::{Value, json};

use super::scene::{Scene, item};

fn gaps(scene: &Scene) -> Vec<u64> {
    let mut nonces = scene.nonces();
    nonces.sort_unstable();
    let last = nonces.last().copied().unwrap_or(0);
    (0..last).filter(|nonce| !nonces.contains(nonce)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_nonce_is_taken_by_the_next_call_and_the_last_one_by_a_payment() {
    let scene = Scene::new(12).await;
    for content in [1000, 1004, 1008] {
        let treatment = Treatment::Refuse("NoSuchContract");
        scene.world.node.rule(Rule { content: Some(content), times: 1, treatment });
    }
    let names: Vec<String> = (0..12).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let done = scene.run(&scene.price(&names, 9).await.batch_id()).await;
    assert_eq!(done["successCount"], 12);
    for id in ["c0", "c4", "c8"] {
        assert_eq!(item(&done, id)["error"], "NoSuchContract: the contract does not exist");
    }
    assert_eq!(gaps(&scene), Vec::<u64>::new());
    let paid = scene
        .world
        .node
        .pool(|pool| pool.taken().iter().filter(|taken| matches!(taken.does, Does::Pay { amount: 1, .. })).count());
    assert_eq!(paid, 1, "two of the three nonces were taken by the calls that were left");
    scene.world.node.mine();
    assert_eq!(scene.world.node.pool(|pool| pool.waiting()), 0, "nothing waits for ever");
}

#[tokio::test(start_paused = true)]
async fn a_node_out_of_order_is_asked_again_and_given_up_in_the_end() {
    let scene = Scene::new(2).await;
    let busy = Treatment::Refuse("ServerFailureDatabase");
    scene.world.node.rule(Rule { content: Some(1000), times: 3, treatment: busy });
    scene.world.node.rule(Rule { content: Some(1001), times: 99, treatment: busy });
    let done = scene.run(&scene.price(&["c0", "c1"], 9).await.batch_id()).await;
    assert_eq!(item(&done, "c0")["message"], "Price updated to 9 STX");
    assert_eq!(item(&done, "c1")["error"], "ServerFailure: the node failed");
    assert_eq!(gaps(&scene), Vec::<u64>::new());
}

#[tokio::test(start_paused = true)]
async fn too_much_chaining_waits_and_never_fails_an_item() {
    let scene = Scene::new(3).await;
    scene.world.node.rule(Rule { content: None, times: 40, treatment: Treatment::Refuse("TooMuchChaining") });
    let done = scene.run(&scene.price(&["c0", "c1", "c2"], 9).await.batch_id()).await;
    assert_eq!(done["successCount"], 3);
    assert!(done["results"].as_array().unwrap().iter().all(|item| item["txId"].is_string()), "{done:#}");
    assert_eq!(scene.nonces().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_in_its_time_and_what_was_not_sent_never_is() {
    let scene = Scene::new(30).await;
    let names: Vec<String> = (0..30).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let begun = tokio::time::Instant::now();
    let id = scene.price(&names, 9).await.batch_id();
    // No block is ever made: twenty calls fill the chain.
    let done = loop {
        assert!(scene.deliver().await > 0);
        let batch = scene.batch(&id).await;
        if batch["status"] == "completed" {
            break batch;
        }
    };
    let took = begun.elapsed();
    let most = Duration::from_millis(u64::try_from(CONTENT_TIMEOUT_MS).unwrap());
    assert!(took >= most && took < most + Duration::from_secs(10), "{took:?}");
    let told = |error: &str| done["results"].as_array().unwrap().iter().filter(|item| item["error"] == error).count();
    assert_eq!(done["successCount"], 30);
    assert_eq!(told("NOT_SENT: the batch ended before the contract call could be sent"), 10);
    for _ in 0..5 {
        scene.world.node.mine();
        scene.deliver().await;
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    assert_eq!(scene.nonces().len(), 20, "never sent later");
}

#[tokio::test(start_paused = true)]
async fn later_confirmations_show_as_the_items_chain_and_change_no_count() {
    let scene = Scene::new(4).await;
    scene.world.node.pool(|pool| pool.make_unknown(1001));
    scene.world.node.rule(Rule { content: Some(1002), times: 1, treatment: Treatment::Ignore });
    scene.world.node.rule(Rule { content: Some(1003), times: 1, treatment: Treatment::Delay(Duration::from_secs(2)) });
    let id = scene.price(&["c0", "c1", "c2", "c3"], 9).await.batch_id();
    let done = scene.run(&id).await;
    let state = |batch: &Value, id: &str| item(batch, id)["chain"]["state"].clone();
    assert_eq!(state(&done, "c0"), "pending");
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(20)).await;
        scene.deliver().await;
        scene.world.node.mine();
    }
    scene.deliver().await;
    let later = scene.batch(&id).await;
    assert_eq!(
        ["c0", "c1", "c2", "c3"].map(|id| state(&later, id)),
        ["success", "abort_by_response", "success", "success"].map(|word| json!(word)),
        "what did not arrive was sent again, as it was: {later:#}"
    );
    for field in ["status", "successCount", "failureCount", "updatedAt", "completedAt"] {
        assert_eq!(later[field], done[field], "{field}");
    }
    assert_eq!(item(&later, "c2")["message"], "Price updated (on-chain pending)");
    assert_eq!(scene.world.seam.take_messages(), Vec::<String>::new(), "it is looked at no more");
    assert_eq!(scene.nonces().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_of_a_call_that_has_come_to_its_end_stays_as_it_was() {
    let scene = Scene::new(1).await;
    let id = scene.price(&["c0"], 9).await.batch_id();
    scene.run(&id).await;
    let (app, keys) = (&scene.world.app, TenantKey::new(&"t1".try_into().unwrap()));
    let store = app.store().until(app.clock().now().plus_ms(3_600_000));
    let read = || async { store.batch_and_ledger(&keys, &BatchId::parse(&id).unwrap()).await.unwrap().unwrap() };
    let (head, _, waiting) = read().await;
    scene.world.node.mine();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(20)).await;
        scene.deliver().await;
    }
    let seen = |entries: &[Entry]| entries.iter().filter_map(|entry| entry.progress.clone()).collect::<Vec<_>>();
    assert_eq!(seen(&read().await.2), ["success"]);
    // What another process saw before arrives minutes later.
    let late = Entry { progress: Some("pending".to_owned()), ..waiting[0].clone() };
    store.note_progress(&keys, &head, &late).await.unwrap();
    assert_eq!(seen(&read().await.2), ["success"]);
}

#[tokio::test(start_paused = true)]
async fn calls_of_off_chain_items_are_repeated_without_touching_them() {
    let scene = Scene::new(3).await;
    scene.world.node.rule(Rule { content: None, times: 2, treatment: Treatment::Refuse("NotEnoughFunds") });
    let id = scene.price(&["c0", "c1", "c2", "missing"], 9).await.batch_id();
    let done = scene.run(&id).await;
    let off_chain: Vec<&str> = ["c0", "c1", "c2"].into_iter().filter(|id| item(&done, id)["txId"].is_null()).collect();
    assert_eq!(off_chain.len(), 2, "{done:#}");
    let before = scene.rows(&["c0", "c1", "c2"]).await;
    scene.run(&scene.price(&off_chain[..1], 10).await.batch_id()).await;
    let retried = scene.post(&format!("{id}/retry"), &json!({ "only": "contract" })).await;
    assert_eq!((retried.status, &retried.body["totalItems"]), (201, &json!(2)));
    let again = scene.run(&retried.batch_id()).await;
    assert_eq!(item(&again, off_chain[0])["success"], false, "its price is another one now: {again:#}");
    assert_eq!(item(&again, off_chain[1])["message"], "Price updated to 9 STX");
    let after = scene.rows(&["c0", "c1", "c2"]).await;
    let untouched = ["c0", "c1", "c2"].iter().position(|id| *id == off_chain[1]).unwrap();
    assert_eq!(before[untouched], after[untouched]);
    let failed = scene.post(&format!("{id}/retry"), &json!({})).await;
    assert_eq!((failed.status, &failed.body["totalItems"]), (201, &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn without_a_node_or_a_signer_content_changes_off_chain_and_says_so() {
    for (world, creator, error) in [
        (World::new().await, CREATOR, "NO_NODE: no Stacks node is configured"),
        (World::chained(Limits::default()).await, "nobody", "NO_SIGNER: no signer is configured for this creator"),
    ] {
        let scene = Scene::with(world, 0).await;
        scene.create(creator, &[json!({ "content_id": "x", "onChainId": 1 })]).await;
        let body = json!({ "creator": creator, "contentIds": ["x"], "newPrice": 3 });
        let id = scene.post("batch-update-price", &body).await.batch_id();
        let done = scene.run(&id).await;
        assert_eq!((&item(&done, "x")["success"], &item(&done, "x")["error"]), (&json!(true), &json!(error)));
        assert_eq!(scene.rows(&["x"]).await[0]["price"], 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_ends_and_sends_no_more() {
    let scene = Scene::new(25).await;
    let names: Vec<String> = (0..25).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = scene.price(&names, 9).await.batch_id();
    let messages = scene.world.seam.take_messages();
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        scene.world.post_as(&scene.key, &format!("/batches/{id}/cancel"), &json!({})).await
    };
    let (_, cancelled) = tokio::join!(scene.world.deliver(&messages), cancel);
    assert_eq!(cancelled.status, 200);
    scene.world.node.mine();
    let done = scene.batch(&id).await;
    assert_eq!((&done["status"], &done["error"]), (&json!("failed"), &json!("The batch was cancelled")));
    assert_eq!((&done["successCount"], done["results"].as_array().map(Vec::len)), (&json!(25), Some(25)));
    scene.deliver().await;
    assert_eq!(scene.nonces().len(), 20);
}
