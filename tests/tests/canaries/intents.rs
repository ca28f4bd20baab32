//! Intents: the key of Orby, signatures and accounts are in no line, whatever becomes of a batch.

use batch_local::orby::{Rule, Treatment, Wallet};
use batch_tests::{Lines, ORBY_KEY};
use serde_json::json;

use super::scene::Marks;

#[tokio::test(start_paused = true)]
async fn no_key_no_signature_and_no_account_is_logged() {
    let (lines, _logging) = Lines::listen(tracing::Level::TRACE);
    let mut marks = Marks::default();
    let world = batch_tests::World::new().await;
    let wallet = Wallet::new([3; 32]).expect("a key");
    let payee = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    for (place, secret) in [("key of Orby", ORBY_KEY), ("account", &wallet.address()), ("payee", payee)] {
        marks.also(place, secret);
        marks.also(place, &secret.to_lowercase());
    }
    let profile = json!({ "profile_id": "home", "address": wallet.address() });
    world.batch(&json!({ "operations": [{ "entity": "profile", "action": "create", "store_params": profile }] })).await;
    let transfer = |token: &str| {
        let from = json!({ "token": token, "chainId": 1, "amount": "1" });
        json!({ "type": "transfer", "from": from, "to": { "address": payee } })
    };
    let body = json!({ "operations": [transfer("eth"), transfer("usdc")] });
    for treatment in [
        Treatment::Error("secret-of-orby went wrong"),
        Treatment::ErrorInResult("secret-of-orby went wrong"),
        Treatment::Http(502),
        Treatment::DoInSilence,
        Treatment::FailLater("secret-of-orby reverted"),
    ] {
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        let created = world.post_with("/api/v1/profiles/home/batch-intent", &[], &body).await;
        assert_eq!(created.status, 200, "{:#}", created.body);
        let signed = wallet.sign_all(&created.body);
        for set in signed["signatures"].as_array().expect("signatures") {
            marks.also("signature", set["signatures"][0]["signature"].as_str().expect("a text"));
        }
        world.orby.rule(Rule { method: "orby_sendSignedOperations", chain: None, times: 1, treatment });
        let path = format!("/api/v1/batch/{}", created.batch_id());
        let mut broken = signed.clone();
        broken["signatures"][0]["signatures"][0]["signature"] =
            signed["signatures"][1]["signatures"][0]["signature"].clone();
        assert_eq!(world.post_with(&format!("{path}/execute"), &[], &broken).await.status, 400);
        world.post_with(&format!("{path}/execute"), &[], &signed).await;
        tokio::time::advance(std::time::Duration::from_secs(31)).await;
        world.get(&format!("{path}/status")).await;
        let messages = world.seam.take_messages();
        world.deliver(&messages).await;
    }
    marks.also("words of Orby", "secret-of-orby");
    assert_eq!(marks.found(&lines.text()), Vec::<&str>::new());
    assert!(lines.text().lines().filter(|line| line.contains("it is looked up")).count() >= 2, "the paths were taken");
    let debug = format!("{:?}", world.app.orby());
    assert!(!debug.contains(ORBY_KEY) && marks.count() > 10, "{debug}");
}
