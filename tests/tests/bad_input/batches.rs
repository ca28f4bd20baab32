//! Batches that are wrong as a whole, or in many ways at once.

use serde_json::json;

use super::case::{case, check_told, with_options};
use super::client::{Client, refused};

#[tokio::test(start_paused = true)]
async fn every_problem_is_told_at_once() {
    let batch = json!({
        "options": { "timeout": 0, "atomic": "yes" },
        "webhook": "https://example.com",
        "operations": [
            { "id": "a", "entity": "ghost", "action": "create" },
            { "id": "a", "entity": "customer", "action": "update", "store_params": { "ghost": 1 }, "depends_on": ["nobody"] },
            { "entity": "customer", "action": "grow", "query_params": [] },
        ],
    });
    let told = case("many", batch)
        .whole("/options/timeout", "INVALID_VALUE", &[])
        .whole("/options/atomic", "WRONG_TYPE", &[])
        .whole("/webhook", "NOT_SUPPORTED", &[])
        .at((0, "a"), "/entity", "UNKNOWN_ENTITY", &[])
        .at((1, "a"), "/id", "DUPLICATE_ID", &[])
        .at((1, "a"), "/depends_on/0", "UNKNOWN_DEPENDENCY", &[])
        .at((1, "a"), "/store_params/ghost", "UNKNOWN_FIELD", &[])
        .at((1, "a"), "/query_params", "PRIMARY_KEY_REQUIRED", &[])
        .at((2, "op_2"), "/action", "UNKNOWN_ACTION", &[])
        .at((2, "op_2"), "/query_params", "WRONG_TYPE", &[]);
    let client = Client::new().await;
    let body = told.body.to_string();
    let answer = client.post("/batch", &[], body.as_bytes()).await;
    refused("many", &answer, 400, "BATCH_VALIDATION_ERROR");
    check_told("many", &answer.body["errors"], &told.told);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_option_is_told_by_validate_only_too() {
    let client = Client::new().await;
    let body = with_options(json!({ "validate_only": true, "timeout": 0 })).to_string();
    let answer = client.post("/batch", &[], body.as_bytes()).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("invalid")), "{:#}", answer.body);
    assert!(answer.body.to_string().contains("timeout"), "nothing says what is wrong: {:#}", answer.body);
}
