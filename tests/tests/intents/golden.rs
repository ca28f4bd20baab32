//! The examples of the contract, as printed there.

use batch_local::orby::Treatment;
use serde_json::{Value, json};

use super::scene::{SEND, Scene, TO, id_of, transfer};

#[tokio::test(start_paused = true)]
async fn a_transfer_and_a_swap_are_built_signed_executed_and_completed() {
    let scene = Scene::new().await;
    let created = scene
        .create(&json!({
            "operations": [{
                "type": "transfer",
                "from": { "token": "eth", "chainId": 1, "amount": "0.1" },
                "to": { "address": TO },
            }, {
                "type": "swap",
                "from": { "token": "usdc", "chainId": 1, "amount": "100" },
                "to": { "token": "dai" },
            }],
            "atomicExecution": true,
        }))
        .await;
    assert_eq!(created.status, 200, "{:#}", created.body);
    let created = created.body;
    assert!(id_of(&created).starts_with("batch_"));
    let operations = created["operations"].as_array().unwrap();
    let told: Vec<[&Value; 3]> = operations.iter().map(|o| [&o["operationId"], &o["type"], &o["status"]]).collect();
    assert_eq!(json!(told), json!([["op_0", "transfer", "created"], ["op_1", "swap", "created"]]));
    let first = &operations[0]["unsignedOps"][0];
    assert_eq!(
        [&first["value"], &first["nonce"], &first["chainId"]],
        [&json!("100000000000000000"), &json!(0), &json!(1)]
    );
    // The swap's permit is signed as typed data, its transaction takes the next nonce.
    let second = &operations[1]["unsignedOps"];
    assert_eq!([&second[0]["format"], &second[1]["nonce"]], [&json!("TYPED_DATA"), &json!(1)]);
    assert_eq!(created["atomicity"], "stop-on-failure");
    let status = scene.status(id_of(&created)).await;
    assert_eq!([&status["status"], &status["summary"]["pending"]], [&json!("pending"), &json!(2)]);
    assert_eq!(scene.native(id_of(&created)).await["status"], "awaiting_signatures");

    let executed = scene.run(&created).await;
    assert_eq!((executed.status, &executed.body["status"]), (200, &json!("submitted")), "{:#}", executed.body);
    for result in executed.body["results"].as_array().unwrap() {
        assert_eq!(result["success"], true);
        assert!(result["txHash"].as_str().unwrap().starts_with("0x"));
    }
    assert_eq!(executed.body.get("error"), None);

    let ended = scene.ended(id_of(&created)).await;
    let summary = json!({ "total": 2, "successful": 2, "failed": 0, "pending": 0 });
    assert_eq!((&ended["status"], &ended["summary"]), (&json!("completed"), &summary));
    assert_eq!(scene.native(id_of(&created)).await["status"], "completed");
    assert_eq!(scene.sent_once(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_on_two_chains_is_grouped_and_sorted_by_chain() {
    let scene = Scene::new().await;
    let created = scene.created(&json!([transfer("matic", 137, "10"), transfer("eth", 1, "0.1")]), false).await;
    let chains: Vec<&Value> = created["operations"].as_array().unwrap().iter().map(|o| &o["chainId"]).collect();
    assert_eq!(json!(chains), json!([1, 137]));
    assert_eq!(created["executionOrder"], json!(["op_1", "op_0"]));
    let gas = created["gas"].as_array().unwrap();
    assert_eq!(gas[0]["estimatedFee"]["token"], "eth");
    assert_eq!(gas[1]["estimatedFee"]["token"], "pol");
    // 21,000 gas at 30 gwei at most.
    assert_eq!(gas[0]["estimatedFee"]["amount"], "0.00063");
    let coins = json!([{ "token": "eth", "amount": "0.00063" }, { "token": "pol", "amount": "0.00063" }]);
    let total = json!({ "coins": coins, "fiat": { "amount": "2.66", "currency": "USD" } });
    assert_eq!(created["estimatedFeeTotal"], total);
    assert_eq!(created["atomicity"], "none");
    scene.run(&created).await;
    assert_eq!(scene.ended(id_of(&created)).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_strategy_of_three_is_built_in_its_order() {
    let scene = Scene::new().await;
    let created = scene
        .created(
            &json!([
                { "type": "approve", "token": "usdc", "spender": TO, "amount": "unlimited" },
                { "type": "swap", "from": { "token": "usdc", "amount": "1000" }, "to": { "token": "weth" } },
                { "type": "addLiquidity", "tokens": ["usdc", "weth"], "amounts": ["500", "0.2"] },
            ]),
            true,
        )
        .await;
    assert_eq!(created["executionOrder"], json!(["op_0", "op_1", "op_2"]));
    let executed = scene.run(&created).await;
    assert_eq!(executed.body["status"], "submitted", "{:#}", executed.body);
    assert_eq!(scene.ended(id_of(&created)).await["status"], "completed");
    let entries = scene.world.get(&format!("/batches/{}/audit", id_of(&created))).await.body;
    let acts: Vec<&Value> = entries["data"].as_array().unwrap().iter().map(|entry| &entry["act"]).collect();
    assert_eq!(json!(acts), json!(["created", "executed", "ended"]));
}

#[tokio::test(start_paused = true)]
async fn equal_approvals_are_signed_once_and_share_their_outcome() {
    let scene = Scene::new().await;
    let approve = json!({ "type": "approve", "token": "usdc", "spender": TO, "amount": "5" });
    let created = scene.created(&json!([approve, transfer("eth", 1, "1"), approve]), false).await;
    let merged = &created["operations"][2];
    assert_eq!([&merged["mergedInto"], &merged["status"]], [&json!("op_0"), &json!("merged")]);
    assert_eq!(merged.get("unsignedOps"), None);
    assert_eq!(created["gas"][0]["optimizations"], json!(["op_2 is the same approval as op_0"]));
    scene.run(&created).await;
    assert_eq!(scene.ended(id_of(&created)).await["summary"]["successful"], 3);
    assert_eq!(scene.sent_once(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_analysed_and_retried_at_most_three_times() {
    let scene = Scene::new().await;
    scene.world.orby.books(|books| books.set_balance(&scene.wallet.address(), "usdc", 50_000_000));
    let created = scene.created(&json!([transfer("eth", 1, "0.1"), transfer("usdc", 1, "100")]), false).await;
    let failed = &created["operations"][1];
    assert_eq!([&failed["status"], &failed["error"]["code"]], [&json!("failed"), &json!("INSUFFICIENT_BALANCE")]);
    let early = scene.retry(id_of(&created), &json!({})).await;
    assert_eq!((early.status, &early.body["error"]), (409, &json!("BATCH_NOT_ENDED")));
    let executed = scene.run(&created).await;
    let details = json!({ "successful": 1, "failed": 1, "failureReason": "Operation 1 failed: insufficient balance" });
    assert_eq!([&executed.body["error"], &executed.body["details"]], [&json!("BATCH_EXECUTION_FAILED"), &details]);
    assert_eq!(scene.ended(id_of(&created)).await["status"], "partial");
    let analysis = scene.analysis(id_of(&created)).await;
    let told = &analysis["failedOperations"][0];
    assert_eq!(
        [&told["operationId"], &told["reason"], &told["suggestion"], &told["retryable"]],
        [&json!("op_1"), &json!("INSUFFICIENT_BALANCE"), &json!("Add 50 USDC"), &json!(true)]
    );
    let native = scene.world.get(&format!("/batches/{}/failure-analysis", id_of(&created))).await.body;
    assert_eq!(native, analysis);

    let mut id = id_of(&created).to_owned();
    for attempt in 1..=3 {
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        let body = scene.analysis(&id).await["retry"]["body"].clone();
        scene.world.orby.books(|books| books.set_balance(&scene.wallet.address(), "usdc", 100_000_000));
        let retried = scene.retry(&id, &body).await;
        assert_eq!(retried.status, 200, "{:#}", retried.body);
        assert_eq!([&retried.body["retryCount"], &retried.body["attempt"]], [&json!(1), &json!(attempt)]);
        scene.rule(SEND, 1, Treatment::Error("nonce too low"));
        assert_eq!(scene.run(&retried.body).await.body["status"], "failed");
        id = id_of(&retried.body).to_owned();
        scene.ended(&id).await;
    }
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    let last = scene.retry(&id, &json!({})).await;
    assert_eq!((last.status, &last.body["error"]), (409, &json!("RETRY_LIMIT")));
    assert_eq!(scene.analysis(&id).await["retry"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_retry_takes_updates_for_one_operation_or_for_all() {
    let scene = Scene::new().await;
    let failing = json!([transfer("usdc", 1, "100"), transfer("dai", 1, "7")]);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let created = scene.created(&failing, true).await;
        scene.rule(SEND, 1, Treatment::Error("insufficient funds"));
        let executed = scene.run(&created).await.body;
        assert_eq!(executed["error"], "ATOMIC_EXECUTION_FAILED", "{executed:#}");
        ids.push(id_of(&created).to_owned());
    }
    let analysis = scene.analysis(&ids[0]).await;
    assert_eq!(analysis["impactedOperations"][0]["operationId"], "op_1", "{analysis:#}");
    let keyed = scene.retry(&ids[0], &json!({ "updateParams": { "op_0": { "from": { "amount": "3" } } } })).await.body;
    let flat = json!({ "operationIds": ["op_1"], "updateParams": { "from": { "amount": "4" } } });
    let flat = scene.retry(&ids[1], &flat).await.body;
    let data =
        |told: &Value, place: usize| told["operations"][place]["unsignedOps"][0]["data"].as_str().unwrap().to_owned();
    assert!(data(&keyed, 0).ends_with(&format!("{:064x}", 3_000_000)), "{keyed:#}");
    assert!(data(&keyed, 1).ends_with(&format!("{:064x}", 7_000_000_000_000_000_000_u64)));
    assert_eq!((flat["retryCount"].as_u64(), flat["operations"].as_array().map(Vec::len)), (Some(1), Some(1)));
    assert!(data(&flat, 0).ends_with(&format!("{:064x}", 4_000_000_000_000_000_000_u64)));
    let unknown = scene.retry(&ids[0], &json!({ "operationIds": ["op_9"] })).await;
    assert_eq!((unknown.status, &unknown.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")));
}

#[tokio::test(start_paused = true)]
async fn the_three_errors_have_the_contracts_shapes() {
    let scene = Scene::new().await;
    let mut wrong = transfer("eth", 1, "1");
    wrong["from"]["token"] = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB49".into();
    let answer =
        scene.create(&json!({ "operations": [transfer("eth", 1, "1"), transfer("eth", 1, "1"), wrong] })).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        [&answer.body["error"], &answer.body["message"]],
        ["BATCH_VALIDATION_ERROR", "Invalid batch operations"]
    );
    assert_eq!(answer.body["details"]["operation"], 2);
    assert!(answer.body["details"]["issue"].as_str().unwrap().starts_with("Invalid token address"));

    let both = json!([transfer("eth", 1, "1"), transfer("usdc", 1, "1")]);
    scene.rule("orby_getOperationsToTransferToken", 1, Treatment::Error("cannot estimate gas"));
    let answer = scene.create(&json!({ "operations": [both[0]], "atomicExecution": true })).await;
    assert_eq!((answer.status, &answer.body["error"]), (400, &json!("ATOMIC_EXECUTION_FAILED")));
    let details = &answer.body["details"];
    assert_eq!(
        [&details["failedOperation"], &details["reason"], &details["rollback"]],
        [&json!("op_0"), &json!("Gas estimation failed"), &json!(true)]
    );

    let created = scene.created(&both, true).await;
    scene.rule(SEND, 1, Treatment::Error("insufficient balance"));
    let answer = scene.run(&created).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("failed")));
    let details = json!({ "failedOperation": "op_0", "reason": "insufficient balance", "rollback": true });
    assert_eq!([&answer.body["error"], &answer.body["details"]], [&json!("ATOMIC_EXECUTION_FAILED"), &details]);
    assert_eq!(scene.sent_once(), 0);
}
