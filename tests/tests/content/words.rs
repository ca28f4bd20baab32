//! Each thing a node can do to a call, and how its item is told then.

use std::time::Duration;

use batch_core::gateway::stacks::{Payload, Reason, Signed};
use batch_local::stacks::{Rule, Treatment};
use batch_tests::CREATOR;
use serde_json::{Value, json};

use super::scene::{Scene, item};

#[tokio::test(start_paused = true)]
async fn every_refusal_is_told_in_the_nodes_word_and_with_its_meaning() {
    for reason in Reason::ALL.iter().copied() {
        // Neither of them is a refusal of the call itself: the first waits, the others are about its nonce.
        if matches!(reason, Reason::TooMuchChaining | Reason::BadNonce | Reason::ConflictingNonceInMempool) {
            continue;
        }
        let scene = Scene::new(2).await;
        let treatment = Treatment::Refuse(reason.as_str());
        scene.world.node.rule(Rule { content: Some(1000), times: 99, treatment });
        let done = scene.run(&scene.price(&["c0", "c1"], 9).await.batch_id()).await;
        let expected = json!({
            "contentId": "c0", "success": true, "message": "Price updated (off-chain)", "txId": null,
            "error": format!("{}: {}", reason.as_str(), reason.meaning()),
        });
        assert_eq!(*item(&done, "c0"), expected);
        assert!(item(&done, "c1")["txId"].is_string(), "the others go on: {done:#}");
        scene.world.node.mine();
        assert_eq!(scene.world.node.pool(|pool| pool.waiting()), 0, "no nonce is left out: {}", reason.as_str());
    }
}

/// A transaction that the creator's key signs elsewhere.
fn elsewhere(scene: &Scene, nonce: u64, fee: u64) -> Signed {
    let chain = scene.world.app.chain().unwrap();
    let payload = Payload::Pay { contract: chain.contract().clone(), amount: 7 };
    chain.signer(CREATOR).unwrap().sign(nonce, fee, payload).unwrap()
}

async fn followed(scene: &Scene, id: &str) -> Value {
    for _ in 0..6 {
        tokio::time::advance(Duration::from_secs(20)).await;
        let message = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }).to_string();
        assert!(scene.world.deliver(&[message]).await.is_empty());
        scene.world.node.mine();
    }
    scene.batch(id).await
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_a_key_has_used_elsewhere_is_told_and_the_next_call_takes_another() {
    let scene = Scene::new(3).await;
    let other = elsewhere(&scene, 0, 400_000);
    scene.world.node.pool(|pool| pool.receive(&other.bytes).map(drop)).unwrap();
    let done = scene.run(&scene.price(&["c0"], 9).await.batch_id()).await;
    let told = "ConflictingNonceInMempool: another transaction of the account has the same nonce";
    assert_eq!((&item(&done, "c0")["success"], &item(&done, "c0")["error"]), (&json!(true), &json!(told)));
    scene.world.node.mine();
    let done = scene.run(&scene.price(&["c1"], 9).await.batch_id()).await;
    assert!(item(&done, "c1")["txId"].is_string(), "{done:#}");

    // A block with a transaction of its nonce comes between the look at the account and the call.
    let rule = Rule { content: Some(1002), times: 1, treatment: Treatment::Refuse("BadNonce") };
    scene.world.node.rule(rule);
    let done = scene.run(&scene.price(&["c2"], 9).await.batch_id()).await;
    let told = "BadNonce: the account's nonce was used by another transaction";
    assert_eq!(
        (&item(&done, "c2")["message"], &item(&done, "c2")["error"]),
        (&json!("Price updated (off-chain)"), &json!(told))
    );
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_transaction_shows_in_the_nodes_word() {
    let scene = Scene::new(3).await;
    scene.world.node.pool(|pool| pool.make_unknown(1001));
    let id = scene.price(&["c0", "c1", "c2"], 9).await.batch_id();
    let done = scene.run(&id).await;
    let taken = scene.world.node.pool(|pool| pool.taken().to_vec());
    let last = taken.iter().max_by_key(|taken| taken.nonce).unwrap();
    // Somebody with the same key pays more for the nonce of the last.
    let other = elsewhere(&scene, last.nonce, 400_000);
    scene.world.node.pool(|pool| pool.receive(&other.bytes).map(drop)).unwrap();
    let later = followed(&scene, &id).await;
    let states: Vec<&Value> = ["c0", "c1", "c2"].iter().map(|id| &item(&later, id)["chain"]["state"]).collect();
    assert_eq!(states, ["success", "abort_by_response", "replaced"], "{later:#}");
    for field in ["status", "successCount", "failureCount", "completedAt"] {
        assert_eq!(later[field], done[field], "{field}: later confirmations change no count");
    }
    assert!(later["results"].as_array().unwrap().iter().all(|item| item["message"] == "Price updated to 9 STX"));
}
