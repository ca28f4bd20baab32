//! Every example of the contract's source, field by field: what it prints is what is asked and answered.
//!
//! The source abbreviates: `"..."` stands for any text, or in a list for whatever follows; `batch_...` and `0x...` for any
//! text that begins so. Everything else must be there as printed; answers may have more. What differs is meant:
//! - operations are counted from 0, as in every contract here, and called `op_0`, `op_1` or by their operation set;
//! - `issue` goes on after the source's words, to say what is wrong with the address;
//! - `0xDEX...` is no address, so a real one stands in its place.

use std::time::Duration;

use batch_local::orby::Treatment;
use serde_json::{Value, json};

use super::scene::{SEND, Scene, TO, id_of, transfer};

/// Where `told` is not what `printed` says.
fn differences(printed: &Value, told: &Value, at: &str) -> Vec<String> {
    match (printed, told) {
        (Value::Object(printed), Value::Object(told)) => printed
            .iter()
            .flat_map(|(name, value)| match told.get(name) {
                Some(told) => differences(value, told, &format!("{at}/{name}")),
                None => vec![format!("{at}/{name} is missing")],
            })
            .collect(),
        (Value::Array(printed), Value::Array(told)) => {
            let more = printed.last().is_some_and(|last| last == "...");
            let exact = &printed[..printed.len() - usize::from(more)];
            if told.len() < exact.len() || (!more && told.len() > exact.len()) {
                return vec![format!("{at} has {} entries", told.len())];
            }
            let each = exact.iter().zip(told).enumerate();
            each.flat_map(|(place, (printed, told))| differences(printed, told, &format!("{at}/{place}"))).collect()
        }
        (Value::String(text), Value::String(told)) if text.ends_with("...") => {
            let begins = told.starts_with(text.trim_end_matches("...")) && !told.is_empty();
            if begins { Vec::new() } else { vec![format!("{at} is {told}")] }
        }
        _ if printed == told => Vec::new(),
        _ => vec![format!("{at} is {told}, not {printed}")],
    }
}

fn as_printed(printed: &Value, told: &Value) {
    assert_eq!(differences(printed, told, ""), Vec::<String>::new(), "{told:#}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_lives_as_the_source_prints_it() {
    let scene = Scene::new().await;
    // 1. Create.
    let created = scene
        .create(&json!({
            "operations": [
                { "type": "transfer", "from": { "token": "eth", "chainId": 1, "amount": "0.1" }, "to": { "address": TO } },
                { "type": "swap", "from": { "token": "usdc", "chainId": 1, "amount": "100" }, "to": { "token": "dai" } },
            ],
            "atomicExecution": true,
        }))
        .await;
    assert_eq!(created.status, 200);
    as_printed(
        &json!({
            "batchId": "batch_...",
            "operations": [{ "operationSetId": "...", "type": "transfer", "unsignedOps": ["..."] }, "..."],
        }),
        &created.body,
    );
    // 2. Execute.
    let executed = scene.run(&created.body).await;
    assert_eq!(executed.status, 200);
    let result = json!({ "operationSetId": created.body["operations"][0]["operationSetId"], "success": true, "txHash": "0x..." });
    as_printed(
        &json!({ "batchId": created.body["batchId"], "status": "submitted", "results": [result, "..."] }),
        &executed.body,
    );
    // 3. Status: in progress, then all success.
    let early = scene.status(id_of(&created.body)).await;
    as_printed(&json!({ "status": "pending", "summary": { "pending": 2 } }), &early);
    let ended = scene.ended(id_of(&created.body)).await;
    as_printed(
        &json!({
            "batchId": created.body["batchId"], "status": "completed",
            "summary": { "total": 2, "successful": 2, "failed": 0, "pending": 0 },
            "operations": ["..."],
        }),
        &ended,
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_and_an_analysis_are_as_the_source_prints_them() {
    let scene = Scene::new().await;
    let operations = json!([transfer("usdc", 137, "100"), transfer("eth", 1, "0.1"), transfer("pol", 137, "1")]);
    scene.world.orby.books(|books| books.set_balance(&scene.wallet.address(), "usdc", 50_000_000));
    let created = scene.created(&operations, false).await;
    for chain in [1, 137] {
        scene.rule(SEND, chain, Treatment::Error("insufficient balance"));
    }
    scene.run(&created).await;
    let told = scene.ended(id_of(&created)).await;
    assert_eq!(told["status"], "failed");
    // 6. Failure analysis.
    as_printed(
        &json!({
            "failedOperations": [
                { "operationId": "...", "reason": "INSUFFICIENT_BALANCE", "suggestion": "Add 50 USDC", "retryable": true },
                "...",
            ],
            "impactedOperations": ["..."],
        }),
        &scene.analysis(id_of(&created)).await,
    );
    // 4. Retry.
    tokio::time::advance(Duration::from_mins(1)).await;
    scene.world.orby.books(|books| books.set_balance(&scene.wallet.address(), "usdc", 100_000_000));
    let retried = scene.retry(id_of(&created), &json!({ "operationIds": ["op_1", "op_2"], "updateParams": {} })).await;
    assert_eq!(retried.status, 200);
    as_printed(&json!({ "newBatchId": "batch_...", "retryCount": 2 }), &retried.body);
    let again: Vec<&Value> =
        retried.body["operations"].as_array().unwrap().iter().map(|operation| &operation["retryOf"]).collect();
    assert_eq!(json!(again), json!(["op_1", "op_2"]));
}

#[tokio::test(start_paused = true)]
async fn the_complex_examples_are_built_in_the_order_the_source_tells() {
    let scene = Scene::new().await;
    // 5. Multi-chain: grouped, gas told for each chain, sorted by chain.
    let body = json!({ "operations": [
        { "type": "transfer", "from": { "token": "eth", "chainId": 1, "amount": "0.1" }, "to": { "address": TO } },
        { "type": "transfer", "from": { "token": "matic", "chainId": 137, "amount": "10" }, "to": { "address": TO } },
    ] });
    let told = scene.create(&body).await.body;
    as_printed(
        &json!({
            "operations": [{ "chainId": 1, "type": "transfer" }, { "chainId": 137, "type": "transfer" }],
            "gas": [{ "chainId": 1, "operations": ["op_0"] }, { "chainId": 137, "operations": ["op_1"] }],
            "estimatedFeeTotal": {
                "coins": [{ "token": "eth", "amount": "0.00063" }, { "token": "pol", "amount": "0.00063" }],
                "fiat": { "amount": "2.66", "currency": "USD" },
            },
        }),
        &told,
    );
    // A strategy, on no chain by name.
    let told = scene
        .create(&json!({ "operations": [
            { "type": "approve", "token": "usdc", "spender": TO, "amount": "unlimited" },
            { "type": "swap", "from": { "token": "usdc", "amount": "1000" }, "to": { "token": "weth" } },
            { "type": "addLiquidity", "tokens": ["usdc", "weth"], "amounts": ["500", "0.2"] },
        ], "atomicExecution": true }))
        .await
        .body;
    as_printed(
        &json!({ "operations": [
            { "type": "approve", "chainId": 1, "unsignedOps": ["..."] },
            { "type": "swap", "chainId": 1, "unsignedOps": ["..."] },
            { "type": "addLiquidity", "chainId": 1, "unsignedOps": ["..."] },
        ], "executionOrder": ["op_0", "op_1", "op_2"] }),
        &told,
    );
}

#[tokio::test(start_paused = true)]
async fn the_three_errors_are_as_the_source_prints_them() {
    let scene = Scene::new().await;
    let mut wrong = transfer("eth", 1, "1");
    wrong["from"]["token"] = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB49".into();
    let good = transfer("eth", 1, "1");
    let refused = scene.create(&json!({ "operations": [good, good, wrong] })).await;
    assert_eq!(refused.status, 400);
    as_printed(
        &json!({
            "error": "BATCH_VALIDATION_ERROR", "message": "Invalid batch operations",
            "details": { "operation": 2, "issue": "Invalid token address..." },
        }),
        &refused.body,
    );

    let created = scene.created(&json!([transfer("eth", 10, "1"), transfer("pol", 137, "1"), good]), false).await;
    for chain in [1, 137] {
        scene.rule(SEND, chain, Treatment::Error("insufficient balance"));
    }
    as_printed(
        &json!({
            "error": "BATCH_EXECUTION_FAILED", "message": "Batch execution failed",
            "details": { "successful": 1, "failed": 2, "failureReason": "Operation 2 failed: insufficient balance" },
        }),
        &scene.run(&created).await.body,
    );

    scene.rule("orby_getOperationsToTransferToken", 137, Treatment::Error("cannot estimate gas"));
    let atomic =
        json!({ "operations": [good, transfer("eth", 10, "1"), transfer("pol", 137, "1")], "atomicExecution": true });
    let refused = scene.create(&atomic).await;
    assert_eq!(refused.status, 400);
    as_printed(
        &json!({
            "error": "ATOMIC_EXECUTION_FAILED", "message": "Atomic batch failed on operation 2",
            "details": { "failedOperation": "op_2", "reason": "Gas estimation failed", "rollback": true },
        }),
        &refused.body,
    );
}
