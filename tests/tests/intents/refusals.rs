//! What is refused: then nothing is sent, and the operation is named.

use batch_local::orby::{Treatment, Wallet};
use serde_json::{Value, json};

use super::scene::{Scene, id_of, transfer};

#[tokio::test(start_paused = true)]
async fn signatures_that_are_not_whole_and_right_are_refused_by_name() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1"), transfer("usdc", 1, "2")]), false).await;
    let good = scene.wallet.sign_all(&created);
    let stranger = Wallet::new([8; 32]).unwrap().sign_all(&created);
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        edit(&mut body);
        body
    };
    let at = |set: usize| format!("/signatures/{set}/signatures/0/signature");
    let take = |body: &Value, set: usize| body.pointer(&at(set)).unwrap().clone();
    let mut other = created["operations"][0]["unsignedOps"][0].clone();
    other["value"] = "2".into();
    let over_other = scene.wallet.sign(&other).unwrap();
    let truncated = take(&good, 0).as_str().unwrap()[..40].to_owned();
    for (what, body, operation) in [
        ("nothing", json!({}), None),
        ("no list", json!({ "signatures": "0x" }), None),
        ("one set missing", change(&|body| drop(body["signatures"].as_array_mut().unwrap().remove(1))), Some(1)),
        ("one signature missing", change(&|body| body["signatures"][1]["signatures"] = json!([])), Some(1)),
        ("swapped", change(&|body| *body.pointer_mut(&at(0)).unwrap() = take(&good, 1)), Some(0)),
        ("by another account", change(&|body| *body.pointer_mut(&at(1)).unwrap() = take(&stranger, 1)), Some(1)),
        (
            "over a changed field",
            change(&|body| *body.pointer_mut(&at(0)).unwrap() = over_other.clone().into()),
            Some(0),
        ),
        ("truncated", change(&|body| *body.pointer_mut(&at(0)).unwrap() = truncated.clone().into()), Some(0)),
        ("no text", change(&|body| *body.pointer_mut(&at(0)).unwrap() = json!(7)), Some(0)),
        (
            "twice",
            change(&|body| {
                let set = body["signatures"][0].clone();
                body["signatures"].as_array_mut().unwrap().push(set);
            }),
            Some(0),
        ),
        ("of no set", change(&|body| body["signatures"][0]["operationSetId"] = "else".into()), None),
    ] {
        let refused = scene.execute(id_of(&created), &body).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")), "{what}");
        assert!(refused.body["details"]["issue"].is_string(), "{what}");
        if let Some(operation) = operation {
            assert_eq!(refused.body["details"]["operation"], operation, "{what}: {:#}", refused.body);
        }
        assert!(!refused.body.to_string().contains(truncated.as_str()), "{what}: a signature is not told back");
    }
    assert_eq!((scene.sent_once(), scene.status(id_of(&created)).await["status"].as_str()), (0, Some("pending")));
    assert_eq!(scene.execute(id_of(&created), &good).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_second_execution_sends_nothing() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
    let body = scene.wallet.sign_all(&created);
    let first = scene.execute(id_of(&created), &body).await;
    let second = scene.execute(id_of(&created), &body).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, "true"));
    assert_eq!(first.body, second.body);
    assert_eq!(scene.sent_once(), 1);
    let unbuilt = scene.execute("batch_00000000000000000000000000000000", &body).await;
    assert_eq!(unbuilt.status, 404);
    let cancelled = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
    scene.post(&format!("/batches/{}/cancel", id_of(&cancelled)), &json!({})).await;
    let refused = scene.run(&cancelled).await;
    assert_eq!((refused.status, &refused.body["error"]), (409, &json!("BATCH_ENDED")));
    assert_eq!(scene.sent_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_profile_is_its_owners_alone() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("eth", 1, "1")]), false).await;
    let (id, good) = (id_of(&created), scene.wallet.sign_all(&created));
    let body = json!({ "operations": [transfer("eth", 1, "1")] });
    for (roles, execute, status) in [(&[][..], 404, 404), (&["admin"][..], 403, 200)] {
        let other = scene.world.key("t1", "mallory", roles).await;
        let post = |path: String, body: Value| {
            let (world, other) = (scene.world.clone(), other.clone());
            async move { world.post_as(&other, &path, &body).await.status }
        };
        assert_eq!(post("/api/v1/profiles/home/batch-intent".into(), body.clone()).await, 404);
        assert_eq!(post(format!("/api/v1/batch/{id}/execute"), good.clone()).await, execute);
        assert_eq!(post(format!("/api/v1/batch/{id}/retry"), json!({})).await, execute);
        let headers = [("x-api-key", other.as_str())];
        let told = scene.world.send("GET", &format!("/api/v1/batch/{id}/status"), &headers, b"").await;
        assert_eq!(told.status, status);
    }
    assert_eq!(scene.create(&body).await.status, 200);
    let missing = scene.post("/api/v1/profiles/nobody/batch-intent", &body).await;
    assert_eq!(missing.status, 404);
    // A batch of another contract is no batch of intents.
    let records =
        json!({ "operations": [{ "entity": "artist", "action": "create", "store_params": { "name": "x" } }] });
    let records = scene.world.batch(&records).await.batch_id();
    assert_eq!(scene.world.get(&format!("/api/v1/batch/{records}/status")).await.status, 404);
    assert_eq!(scene.sent_once(), 0);
}

#[tokio::test(start_paused = true)]
async fn five_batches_are_built_in_a_minute_and_retries_count() {
    let scene = Scene::new().await;
    let body = json!({ "operations": [transfer("eth", 1, "1")] });
    for _ in 0..5 {
        assert_eq!(scene.create(&body).await.status, 200);
    }
    let refused = scene.create(&body).await;
    assert_eq!((refused.status, &refused.body["error"]), (429, &json!("RATE_LIMITED")));
    scene.world.orby.take_calls();
    scene.create(&body).await;
    assert_eq!(scene.world.orby.take_calls(), Vec::<String>::new(), "what is refused asks nobody");
}

#[tokio::test(start_paused = true)]
async fn the_same_key_builds_once() {
    let scene = Scene::new().await;
    let (path, key) = ("/api/v1/profiles/home/batch-intent", [("idempotency-key", "k")]);
    let body = json!({ "operations": [transfer("eth", 1, "1")] });
    let first = scene.world.post_with(path, &key, &body).await;
    let again = scene.world.post_with(path, &key, &body).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    let other = json!({ "operations": [transfer("eth", 1, "2")] });
    assert_eq!(scene.world.post_with(path, &key, &other).await.status, 422);
}

#[tokio::test(start_paused = true)]
async fn an_orby_that_does_not_answer_builds_nothing() {
    let scene = Scene::new().await;
    let method = "orby_getOperationsToTransferToken";
    for treatment in [Treatment::Ignore, Treatment::Http(502)] {
        scene.rule(method, 1, treatment);
        let refused =
            scene.create(&json!({ "operations": [transfer("eth", 1, "1"), transfer("pol", 137, "1")] })).await;
        assert_eq!((refused.status, &refused.body["error"]), (503, &json!("NOT_STARTED")));
    }
    let listed = scene.world.get("/batches?dialect=intents").await.body;
    assert_eq!(listed["data"], json!([]));
}
