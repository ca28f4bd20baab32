//! The examples of the contract's own documentation.

use batch_tests::World;
use serde_json::{Value, json};

/// What varies from run to run, in its place something that does not.
fn settled(mut value: Value) -> Value {
    fn settle(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(settle),
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    match name.as_str() {
                        "batch_id" | "created_at" | "id" => *field = json!(format!("a {name}")),
                        "execution_time" => *field = json!("a number"),
                        _ => settle(field),
                    }
                }
            }
            _ => {}
        }
    }
    settle(&mut value);
    value
}

fn request() -> Value {
    json!({
        "operations": [
            { "type": "create", "data": { "content": "User profile data", "metadata": { "type": "profile", "user_id": "123" }, "tags": ["user", "profile"] } },
            { "type": "create", "data": { "content": "Product catalog entry", "metadata": { "type": "product", "category": "electronics" }, "tags": ["product", "catalog"] } },
            { "type": "search", "query": "user authentication", "options": { "limit": 5 } }
        ],
        "options": { "continue_on_error": true, "max_retries": 3, "timeout": 30000 }
    })
}

#[tokio::test(start_paused = true)]
async fn the_example_request_is_answered_as_documented() {
    let world = World::new().await;
    let doc = world.post_with("/api/v1/batch", &[], &json!({ "operations": [{ "type": "create", "data": { "content": "Authentication system documentation" } }] })).await;
    assert_eq!(doc.status, 200);
    let key = ("x-batch-id", "migration-2024-01-15");
    let answer = world.post_with("/api/v1/batch", &[key], &request()).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let mut body = settled(answer.body);
    assert_eq!(body["data"].as_object_mut().unwrap().remove("reference"), Some(json!("migration-2024-01-15")));
    let found = body["data"]["operations"][2].as_object_mut().unwrap().remove("result").unwrap();
    let contents: Vec<&Value> = found["results"].as_array().unwrap().iter().map(|one| &one["content"]).collect();
    assert_eq!(contents, [&json!("User profile data"), &json!("Authentication system documentation")]);
    assert_eq!(found["total"], 2, "what the batch wrote before is found too");
    let expected = json!({
        "success": true,
        "data": {
            "batch_id": "a batch_id", "processed": 3, "failed": 0, "total": 3, "execution_time": "a number",
            "operations": [
                { "index": 0, "type": "create", "status": "success", "result": { "id": "a id", "created_at": "a created_at" } },
                { "index": 1, "type": "create", "status": "success", "result": { "id": "a id", "created_at": "a created_at" } },
                { "index": 2, "type": "search", "status": "success" }
            ],
            "summary": { "creates": 2, "reads": 0, "updates": 0, "deletes": 0, "searches": 1 }
        }
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn a_partial_success_is_answered_as_documented() {
    let world = World::new().await;
    let mut request = request();
    request["operations"][1]["data"].as_object_mut().unwrap().remove("content");
    request["operations"][2]["query"] = json!("nothing of it");
    let answer = world.post_with("/api/v1/batch", &[], &request).await;
    assert_eq!(answer.status, 207);
    let mut body = settled(answer.body);
    assert_eq!(body["data"].as_object_mut().unwrap().remove("summary").unwrap()["creates"], 2, "as asked for");
    let expected = json!({
        "success": true,
        "data": {
            "batch_id": "a batch_id", "processed": 2, "failed": 1, "total": 3, "execution_time": "a number",
            "operations": [
                { "index": 0, "type": "create", "status": "success", "result": { "id": "a id", "created_at": "a created_at" } },
                { "index": 1, "type": "create", "status": "failed", "error": { "code": "VALIDATION_ERROR", "message": "Content is required", "details": { "field": "content" } } },
                { "index": 2, "type": "search", "status": "success", "result": { "results": [], "total": 0 } }
            ]
        }
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn the_documented_errors_are_told_word_for_word() {
    let world = World::new().await;
    for (body, status, expected) in [
        (
            json!({}),
            400,
            json!({ "success": false, "error": { "code": "INVALID_BATCH_REQUEST", "message": "Invalid batch request", "details": { "field": "operations", "reason": "operations_array_required" } } }),
        ),
        (
            json!({ "operations": vec![json!({ "type": "search", "query": "x" }); 150] }),
            413,
            json!({ "success": false, "error": { "code": "BATCH_TOO_LARGE", "message": "Batch size exceeds maximum limit", "details": { "max_operations": 100, "provided_operations": 150 } } }),
        ),
    ] {
        let mut answer = world.post_with("/api/v1/batch", &[], &body).await;
        assert_eq!(answer.status, status);
        let message = answer.body.as_object_mut().unwrap().remove("message");
        assert_eq!(message, Some(expected["error"]["message"].clone()), "for published clients");
        assert_eq!(answer.body, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn defaults_of_the_options_are_as_documented() {
    let world = World::new().await;
    let operations = json!([{ "type": "read", "id": "mem_none" }, { "type": "create", "data": { "content": "x" } }]);
    let answer = world.post_with("/api/v1/batch", &[], &json!({ "operations": operations })).await;
    assert_eq!(answer.body["data"]["operations"][1]["error"]["code"], "NOT_EXECUTED", "continue_on_error is false");
    let id = answer.body["data"]["batch_id"].as_str().unwrap();
    let told = world.get(&format!("/batches/{id}")).await;
    assert_eq!(told.body["metadata"]["continueOnError"], false);
    assert_eq!(told.body["atomicExecution"], false);
}

#[tokio::test(start_paused = true)]
async fn each_type_of_operation_is_taken_as_documented() {
    let world = World::new().await;
    let content = json!({ "content": "Memory content", "metadata": {}, "tags": ["tag1", "tag2"] });
    let made = world.post_with("/api/v1/memory", &[], &content).await.body["id"].as_str().unwrap().to_owned();
    let changed = json!({ "content": "Updated content", "metadata": { "updated": true } });
    let options = json!({ "limit": 10, "filters": { "category": "important" } });
    for (operation, fields) in [
        (json!({ "type": "create", "data": content }), &["id", "created_at"][..]),
        (json!({ "type": "read", "id": made }), &["id", "content", "metadata", "tags", "created_at", "updated_at"]),
        (json!({ "type": "update", "id": made, "data": changed }), &["id", "updated_at"]),
        (json!({ "type": "search", "query": "search terms", "options": options }), &["results", "total"]),
        (json!({ "type": "delete", "id": made }), &["id", "deleted"]),
    ] {
        let answer = world.post_with("/api/v1/batch", &[], &json!({ "operations": [operation] })).await;
        let told = &answer.body["data"]["operations"][0];
        assert_eq!((answer.status, &told["type"]), (200, &operation["type"]), "{:#}", answer.body);
        let names: Vec<&str> = told["result"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, fields);
    }
}

#[tokio::test(start_paused = true)]
async fn the_credential_of_the_example_is_an_api_key_as_bearer_and_the_content_type_is_json() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", world.key("t1", "alice", &[]).await);
    let body = request().to_string();
    for (media, status) in [("application/json", 200), ("application/x-www-form-urlencoded", 415)] {
        let headers = [("authorization", bearer.as_str()), ("content-type", media)];
        assert_eq!(world.send("POST", "/api/v1/batch", &headers, body.as_bytes()).await.status, status);
    }
}

/// "Batch Options": what a batch without options does is what one with the defaults does, and nothing else may be said.
#[tokio::test(start_paused = true)]
async fn each_option_has_the_default_and_the_bounds_of_the_table() {
    let world = World::new().await;
    let operations = json!([{ "type": "read", "id": "mem_none" }, { "type": "create", "data": { "content": "x" } }]);
    let told = async |options: Value| {
        let body = json!({ "operations": operations, "options": options });
        let answer = world.post_with("/api/v1/batch", &[], &body).await;
        (answer.status, settled(answer.body))
    };
    let plain = told(json!({})).await;
    for (name, default) in [
        ("continue_on_error", json!(false)),
        ("max_retries", json!(0)),
        ("timeout", json!(30_000)),
        ("parallel", json!(true)),
        ("validate_only", json!(false)),
    ] {
        assert_eq!(told(json!({ name: default })).await, plain, "{name}");
    }
    assert_eq!(plain.0, 207);
    assert_eq!(told(json!({ "continue_on_error": true })).await.1["data"]["processed"], 1);
    assert_eq!(told(json!({ "validate_only": true })).await.1["data"]["batch_id"], "a batch_id");
    assert_eq!(told(json!({ "timeout": 60_000 })).await.0, 207, "60 seconds maximum");
    assert_eq!(told(json!({ "timeout": 60_001 })).await.0, 400);
}

/// "Timeout in milliseconds for the entire batch": without one it is 30 seconds, of which 20 are waited for.
#[tokio::test(start_paused = true)]
async fn a_batch_without_a_timeout_ends_thirty_seconds_after_it_began() {
    use batch_tests::seam::{Fault, Hook};
    for (waited, code) in [(5, "success"), (11, "TIMEOUT")] {
        let world = World::new().await;
        // The first 49 are written, and then nothing.
        let seam = world.seam.clone();
        let begins = move |_: &_| seam.plan_wherever("RecordsTable", Fault::Error(500, "InternalServerError"));
        world.seam.plan("TransactWriteItems", Fault::Before(Hook(std::sync::Arc::new(begins))));
        let body = json!({ "operations": vec![json!({ "type": "create", "data": { "content": "x" } }); 60] });
        let key = [("idempotency-key", "k")];
        let answer = world.post_with("/api/v1/batch", &key, &body).await;
        let data = &answer.body["data"];
        assert_eq!((answer.status, &data["status"], &data["processed"]), (202, &json!("processing"), &json!(49)));
        tokio::time::advance(std::time::Duration::from_secs(waited)).await;
        world.seam.clear();
        world.drain().await;
        let ended = world.post_with("/api/v1/batch", &key, &body).await;
        let last = &ended.body["data"]["operations"][59];
        let told = last["error"]["code"].as_str().or(last["status"].as_str());
        assert_eq!(told, Some(code), "{waited} s: {last:#}");
    }
}
