//! Retries: what may be changed, what is refused, and by which names it is told.

use std::time::Duration;

use batch_local::orby::Treatment;
use serde_json::{Value, json};

use super::scene::{SEND, Scene, TO, id_of, transfer};

const BUILD: &str = "orby_getOperationsToTransferToken";

/// A batch of three on one chain, of which the first is taken and the others are not.
async fn half_failed(scene: &Scene) -> Value {
    let approve = json!({ "type": "approve", "token": "dai", "spender": TO, "amount": "7", "chainId": 1 });
    let created = scene.created(&json!([transfer("pol", 137, "1"), transfer("usdc", 1, "100"), approve]), false).await;
    scene.rule(SEND, 1, Treatment::Error("insufficient balance"));
    scene.run(&created).await;
    scene.ended(id_of(&created)).await;
    tokio::time::advance(Duration::from_mins(1)).await;
    created
}

#[tokio::test(start_paused = true)]
async fn an_update_that_does_not_fit_is_refused_by_its_place() {
    let scene = Scene::new().await;
    let created = half_failed(&scene).await;
    scene.world.orby.take_calls();
    for (body, pointer, operation, told) in [
        (json!(7), "", None, "the body must be an object, not a number"),
        (json!([]), "", None, "the body must be an object, not a list"),
        (json!({ "operationIds": 7 }), "/operationIds", None, "a list of operation ids, not a number"),
        (json!({ "operationIds": ["op_1", 7] }), "/operationIds/1", None, "name it as op_0"),
        (json!({ "operationIds": ["op_99999999999999999999"] }), "/operationIds/0", None, "no operation of the batch"),
        (json!({ "updateParams": [] }), "/updateParams", None, "must be an object, not a list"),
        (json!({ "updateParams": { "op_9": {} } }), "/updateParams/op_9", None, "no operation of the batch"),
        (json!({ "updateParams": { "op_1": 7 } }), "/updateParams/op_1", None, "must be an object, not a number"),
        (json!({ "updateParams": { "op_1": {}, "from": {} } }), "/updateParams/from", None, "not both"),
        (
            json!({ "updateParams": { "op_0": { "from": { "amount": "2" } } } }),
            "/updateParams/op_0",
            Some(0),
            "not built again",
        ),
        (json!({ "updateParams": { "type": "swap" } }), "/updateParams/type", None, "keeps the type"),
        (
            json!({ "updateParams": { "op_1": { "type": "swap" } } }),
            "/updateParams/op_1/type",
            Some(1),
            "keeps the type",
        ),
        (json!({ "updateParams": { "amuont": "2" } }), "/updateParams/amuont", None, "no field of approve, transfer"),
        (
            json!({ "updateParams": { "op_1": { "spender": TO } } }),
            "/updateParams/op_1/spender",
            Some(1),
            "no field of transfer",
        ),
        (json!({ "updateParams": { "from": { "sender": "x" } } }), "/updateParams/from/sender", None, "no field"),
        (json!({ "updateParams": { "from/amount": "2" } }), "/updateParams/from~1amount", None, "no field"),
        (json!({ "updateParams": { "evil": {} } }), "/updateParams/evil", None, "no field"),
        (json!({ "updateParams": { "op_1/~": {} } }), "/updateParams/op_1~1~0", None, "\"op_1/~\" is no operation"),
        (json!({ "updateParams": { "from": "usdc" } }), "/updateParams/from", None, "from must be an object"),
        (
            json!({ "updateParams": { "op_1": { "from": { "amount": "-1" } } } }),
            "/updateParams/op_1/from/amount",
            Some(1),
            "decimal string",
        ),
        (json!({ "updateParams": { "amount": "1e3" } }), "/updateParams/amount", Some(2), "decimal string"),
        (
            json!({ "updateParams": { "to": { "address": "0x1" } } }),
            "/updateParams/to/address",
            Some(1),
            "40 hex digits",
        ),
    ] {
        let refused = scene.retry(id_of(&created), &body).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")), "{body}");
        let problem = &refused.body["errors"][0];
        assert_eq!(problem["pointer"], pointer, "{body}");
        assert!(problem["message"].as_str().unwrap().contains(told), "{body}: {problem}");
        assert_eq!(
            refused.body["details"].get("operation"),
            operation.map(|place: u64| json!(place)).as_ref(),
            "{body}"
        );
    }
    assert_eq!(scene.world.orby.take_calls(), Vec::<String>::new(), "what is refused asks nobody");
}

#[tokio::test(start_paused = true)]
async fn a_field_for_all_goes_to_the_operations_that_have_it() {
    let scene = Scene::new().await;
    let created = half_failed(&scene).await;
    let set = created["operations"][0]["operationSetId"].as_str().unwrap();
    assert_eq!(created["operations"][0]["operationId"], "op_1");
    let data = |told: &Value, place: usize| {
        let unsigned = told["operations"][place]["unsignedOps"].as_array().unwrap();
        unsigned.last().unwrap()["data"].as_str().unwrap().to_owned()
    };
    let flat = json!({ "updateParams": { "amount": "9", "to": { "chainId": 10 }, "from": { "amount": "0.5" } } });
    let flat = scene.retry(id_of(&created), &flat).await.body;
    // To another chain it goes through a bridge, of half a dollar; nine are approved.
    assert!(data(&flat, 0).contains(&format!("{:064x}{:064x}", 500_000, 10)), "{flat:#}");
    assert!(data(&flat, 1).ends_with(&format!("{:064x}", 9_000_000_000_000_000_000_u64)));
    let by_set = json!({ "operationIds": [set], "updateParams": { set: { "from": { "amount": "3" } } } });
    let by_set = scene.retry(id_of(&created), &by_set).await.body;
    assert_eq!((&by_set["retryCount"], &by_set["operations"][0]["retryOf"]), (&json!(1), &json!("op_1")));
    assert!(data(&by_set, 0).ends_with(&format!("{:064x}", 3_000_000)));
}

#[tokio::test(start_paused = true)]
async fn what_did_not_fail_is_never_built_again() {
    let scene = Scene::new().await;
    let created = half_failed(&scene).await;
    for ids in [json!(["op_0"]), json!(["op_1", "op_0"]), json!([])] {
        let refused = scene.retry(id_of(&created), &json!({ "operationIds": ids })).await;
        assert_eq!((refused.status, &refused.body["error"]), (409, &json!("NOTHING_TO_RETRY")), "{ids}");
        assert!(ids == json!([]) || refused.body["message"].as_str().unwrap().starts_with("op_0 "), "{ids}");
    }
    let retried = scene.retry(id_of(&created), &json!({})).await.body;
    scene.run(&retried).await;
    assert_eq!(scene.ended(id_of(&retried)).await["status"], "completed");
    let refused = scene.retry(id_of(&retried), &json!({})).await;
    assert_eq!((refused.status, &refused.body["error"]), (409, &json!("NOTHING_TO_RETRY")));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_cannot_be_built_names_the_operation_that_failed_before() {
    let scene = Scene::new().await;
    let created = half_failed(&scene).await;
    scene.rule(BUILD, 1, Treatment::Unbuilt("NO_EXECUTION_PATH"));
    let refused = scene.retry(id_of(&created), &json!({ "operationIds": ["op_1"] })).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("BATCH_EXECUTION_FAILED")));
    assert_eq!(refused.body["details"]["failureReason"], "Operation 1 failed: no route");
}

#[tokio::test(start_paused = true)]
async fn an_analysis_proposes_only_what_can_succeed_as_it_is() {
    let scene = Scene::new().await;
    scene.rule(BUILD, 10, Treatment::Unbuilt("NO_EXECUTION_PATH"));
    let created = scene.created(&json!([transfer("eth", 10, "1"), transfer("eth", 1, "1")]), false).await;
    scene.rule(SEND, 1, Treatment::Error("nonce too low"));
    scene.run(&created).await;
    scene.ended(id_of(&created)).await;
    let analysis = scene.analysis(id_of(&created)).await;
    let reasons: Vec<[&Value; 2]> = analysis["failedOperations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| [&one["reason"], &one["retryable"]])
        .collect();
    assert_eq!(json!(reasons), json!([["NO_ROUTE", false], ["NONCE_CONFLICT", true]]));
    assert_eq!(analysis["retry"]["body"], json!({ "operationIds": ["op_1"] }));
}

#[tokio::test(start_paused = true)]
async fn retries_at_once_under_one_key_are_one_batch() {
    let scene = Scene::new().await;
    let created = half_failed(&scene).await;
    let path = format!("/api/v1/batch/{}/retry", id_of(&created));
    let retry = |key: &'static str| {
        let (world, path) = (scene.world.clone(), path.clone());
        async move { world.post_with(&path, &[("idempotency-key", key)], &json!({})).await.body }
    };
    let (one, two, other) = tokio::join!(retry("k"), retry("k"), retry("l"));
    assert_eq!(one["newBatchId"], two["newBatchId"]);
    assert_ne!(one["newBatchId"], other["newBatchId"]);
    // Both are the first of their line: how many there are is a matter of the quota.
    assert_eq!([&one["attempt"], &other["attempt"]], [1, 1]);
    let entries = scene.world.get(&format!("/batches/{}/audit", id_of(&created))).await.body;
    let retried = entries["data"].as_array().unwrap().iter().filter(|entry| entry["act"] == "retried").count();
    assert_eq!(retried, 2);
}
