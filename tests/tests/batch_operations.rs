//! The records contract at work: whole batches, from the request to the answer and to what is stored.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use batch_tests::operations::create;
use batch_tests::{Answer, World};
use serde_json::{Value, json};

fn rows(world: &World, entity: &str) -> usize {
    let prefix = format!("T#t1#{entity}#");
    let rows = world.items("RecordsTable");
    rows.iter()
        .filter(|row| row["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with(&prefix)) && row.get("_del").is_none())
        .count()
}

/// A result without the id and place that every result has.
fn told(answer: &Answer, id: &str) -> Value {
    let mut result = answer.body["results"][id].clone();
    let fields = result.as_object_mut().expect("a result");
    assert_eq!(fields.remove("id"), Some(json!(id)));
    assert!(fields.remove("index").is_some_and(|index| index.is_u64()));
    result
}

#[tokio::test(start_paused = true)]
async fn create_invoice_with_line_items_full_workflow() {
    let world = World::new().await;
    let answer = world
        .run(
            vec![
                create("customer", "customer", json!({ "first_name": "John", "last_name": "Doe", "email": "john@example.com" })),
                create("invoice", "invoice", json!({ "customer_id": "$ref:customer.customer_id", "invoice_date": "2024-11-11T10:00:00", "total": 100.00 })),
                create("line_1", "invoice_line", json!({ "invoice_id": "$ref:invoice.invoice_id", "unit_price": 40, "quantity": 1 })),
                create("line_2", "invoice_line", json!({ "invoice_id": "$ref:invoice.invoice_id", "unit_price": 30, "quantity": 2 })),
            ],
            json!({}),
        )
        .await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert_eq!(answer.body["success"], true, "{:#}", answer.body);
    let results = &answer.body["results"];
    let invoice = &results["invoice"]["data"][0];
    assert_eq!(invoice["customer_id"], results["customer"]["data"][0]["customer_id"]);
    assert_eq!(invoice["total"].to_string(), "100");
    assert_eq!(results["line_2"]["data"][0]["invoice_id"], invoice["invoice_id"]);
    assert_eq!((rows(&world, "customer"), rows(&world, "invoice"), rows(&world, "invoice_line")), (1, 1, 2));
    assert_eq!(answer.body["executionOrder"], json!(["customer", "invoice", "line_1", "line_2"]));
}

#[tokio::test(start_paused = true)]
async fn mixed_read_and_write_operations() {
    let world = World::new().await;
    let made = world
        .run(vec![create("a", "account", json!({ "account_id": 42, "available_balance": 250.5 }))], json!({}))
        .await;
    assert_eq!(made.body["success"], true, "{:#}", made.body);
    let answer = world
        .run(
            vec![
                json!({ "id": "check_balance", "entity": "account", "action": "read", "query_params": { "account_id": 42 } }),
                json!({ "id": "create_payment", "entity": "payment", "action": "create", "depends_on": ["check_balance"],
                        "store_params": { "account_id": 42, "amount": "$ref:check_balance.available_balance" } }),
                json!({ "id": "debit", "entity": "account", "action": "update", "query_params": { "account_id": 42 },
                        "store_params": { "available_balance": 0 }, "depends_on": ["create_payment"] }),
                json!({ "id": "after", "entity": "account", "action": "read", "query_params": { "account_id": 42 }, "depends_on": ["debit"] }),
                json!({ "id": "gone", "entity": "account", "action": "read", "query_params": { "account_id": 43 } }),
            ],
            json!({ "atomic": true }),
        )
        .await;
    let results = &answer.body["results"];
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    assert_eq!(results["create_payment"]["data"][0]["amount"].to_string(), "250.5");
    assert_eq!(results["check_balance"]["data"][0]["available_balance"].to_string(), "250.5");
    assert_eq!(results["after"]["data"][0]["available_balance"].to_string(), "0");
    assert_eq!(told(&answer, "gone"), json!({ "status": "completed", "data": [] }));
    let stored = world
        .run(vec![json!({ "entity": "account", "action": "read", "query_params": { "account_id": 42 } })], json!({}))
        .await;
    assert_eq!(stored.body["results"]["op_0"]["data"][0]["available_balance"].to_string(), "0");
}

#[tokio::test(start_paused = true)]
async fn rollback_on_error_atomic_mode() {
    let world = World::new().await;
    let answer = world
        .run(
            vec![
                create("ok", "customer", json!({ "first_name": "A", "email": "a@example.com" })),
                create("bad", "invoice", json!({ "customer_id": 999_999, "total": 1 })),
                create("child", "invoice_line", json!({ "invoice_id": "$ref:bad.invoice_id" })),
                create("later", "customer", json!({ "first_name": "B" })),
            ],
            json!({}),
        )
        .await;
    assert_eq!(
        (answer.status, &answer.body["success"], &answer.body["status"]),
        (200, &json!(false), &json!("failed"))
    );
    let results = &answer.body["results"];
    assert_eq!(told(&answer, "ok"), json!({ "status": "skipped", "reason": "Rolled back" }));
    assert_eq!(results["bad"]["code"], "FOREIGN_KEY_VIOLATION", "{:#}", answer.body);
    assert_eq!(results["bad"]["statusCode"], 409);
    assert_eq!(told(&answer, "child"), json!({ "status": "skipped", "reason": "Dependency failed" }));
    assert_eq!(told(&answer, "later"), json!({ "status": "skipped", "reason": "Batch stopped" }));
    assert_eq!(answer.body["failedOperations"], json!(["bad"]));
    assert_eq!(world.items("RecordsTable"), Vec::<Value>::new(), "nothing was applied, no sentinel or counter either");
}

#[tokio::test(start_paused = true)]
async fn continue_on_error_non_atomic_mode() {
    let world = World::new().await;
    let operations = || {
        vec![
            create("first", "customer", json!({ "first_name": "A", "email": "a@example.com" })),
            create("taken", "customer", json!({ "first_name": "B", "email": "a@example.com" })),
            create("third", "customer", json!({ "first_name": "C", "email": "c@example.com" })),
        ]
    };
    let answer = world.run(operations(), json!({ "atomic": false, "continueOnError": true })).await;
    assert_eq!(answer.body["status"], "partial", "{:#}", answer.body);
    assert_eq!(answer.body["results"]["taken"]["code"], "UNIQUE_VIOLATION");
    assert_eq!(answer.body["results"]["third"]["status"], "completed");
    assert_eq!(answer.header("batch-status"), "partial;succeeded=2;failed=1;skipped=0");
    assert_eq!(rows(&world, "customer"), 2);

    let world = World::new().await;
    let stopped = world.run(operations(), json!({ "atomic": false, "continueOnError": false })).await;
    assert_eq!(stopped.body["results"]["first"]["status"], "completed", "what was done before the failure stays");
    assert_eq!(told(&stopped, "third"), json!({ "status": "skipped", "reason": "Batch stopped" }));
    assert_eq!(rows(&world, "customer"), 1);

    let world = World::new().await;
    let every = world.run(operations(), json!({ "atomic": true, "continueOnError": true })).await;
    assert_eq!(told(&every, "third"), json!({ "status": "skipped", "reason": "Rolled back" }), "every error is told");
    assert_eq!((every.body["status"].as_str(), rows(&world, "customer")), (Some("failed"), 0));
}

#[tokio::test(start_paused = true)]
async fn dependency_skipping_on_failure() {
    let world = World::new().await;
    let answer = world
        .run(
            vec![
                json!({ "id": "fails", "entity": "customer", "action": "update", "query_params": { "customer_id": 7 }, "store_params": { "first_name": "X" } }),
                json!({ "id": "direct", "entity": "artist", "action": "create", "store_params": { "name": "D" }, "depends_on": ["fails"] }),
                create("by_reference", "artist", json!({ "name": "$ref:fails.first_name" })),
                json!({ "id": "transitive", "entity": "artist", "action": "create", "store_params": { "name": "T" }, "depends_on": ["direct"] }),
                create("free", "artist", json!({ "name": "F" })),
            ],
            json!({ "atomic": false, "continueOnError": true }),
        )
        .await;
    let results = &answer.body["results"];
    assert_eq!(results["fails"]["code"], "NOT_FOUND", "{:#}", answer.body);
    for id in ["direct", "by_reference", "transitive"] {
        assert_eq!(told(&answer, id), json!({ "status": "skipped", "reason": "Dependency failed" }), "{id}");
    }
    assert_eq!(results["free"]["status"], "completed");
    assert_eq!(answer.body["summary"], json!({ "total": 5, "successful": 1, "failed": 1, "skipped": 3, "pending": 0 }));
    assert_eq!(rows(&world, "artist"), 1);
}

#[tokio::test(start_paused = true)]
async fn circular_dependency_detection() {
    let world = World::new().await;
    let answer = world
        .run(
            vec![
                json!({ "id": "a", "entity": "artist", "action": "create", "store_params": { "name": "A" }, "depends_on": ["c"] }),
                json!({ "id": "b", "entity": "artist", "action": "create", "store_params": { "name": "$ref:a.name" } }),
                json!({ "id": "c", "entity": "artist", "action": "create", "store_params": { "name": "C" }, "depends_on": ["b"] }),
            ],
            json!({}),
        )
        .await;
    assert_eq!((answer.status, &answer.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")));
    let problem = &answer.body["errors"][0];
    assert_eq!(problem["code"], "CIRCULAR_DEPENDENCY");
    assert!(problem["message"].as_str().is_some_and(|text| text.contains("a -> c -> b -> a")), "{problem}");
    assert_eq!(world.items("BatchesTable"), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn batch_size_limit_enforcement() {
    let world = World::new().await;
    let artists = |count: usize| {
        (0..count)
            .map(|n| json!({ "entity": "artist", "action": "create", "store_params": { "name": format!("N{n}") } }))
            .collect()
    };
    let over = world.run(artists(101), json!({ "atomic": false })).await;
    assert_eq!((over.status, &over.body["errors"][0]["code"]), (400, &json!("TOO_MANY_OPERATIONS")));
    assert_eq!(world.items("BatchesTable"), Vec::<Value>::new());
    let most = world.run(artists(100), json!({ "atomic": false })).await;
    assert_eq!((most.status, &most.body["summary"]["successful"]), (200, &json!(100)));
    let empty = world.run(Vec::new(), json!({})).await;
    assert_eq!((empty.status, &empty.body["errors"][0]["code"]), (400, &json!("EMPTY_BATCH")));
}

#[tokio::test(start_paused = true)]
async fn update_with_reference_substitution() {
    let world = World::new().await;
    let answer = world
        .run(
            vec![
                create("customer", "customer", json!({ "first_name": "Ada", "last_name": "Lovelace" })),
                create("invoice", "invoice", json!({ "customer_id": "$ref:customer.customer_id", "total": 5 })),
                json!({ "id": "renamed", "entity": "customer", "action": "update",
                        "query_params": { "customer_id": "$ref:invoice.customer_id" },
                        "store_params": { "last_name": "$ref:customer.last_name King", "company": "Invoice ${ref:invoice.invoice_id}." } }),
            ],
            json!({}),
        )
        .await;
    assert_eq!(answer.body["success"], true, "{:#}", answer.body);
    let row = &answer.body["results"]["renamed"]["data"][0];
    assert_eq!(row["last_name"], "Lovelace King");
    assert_eq!(row["company"], format!("Invoice {}.", answer.body["results"]["invoice"]["data"][0]["invoice_id"]));
    assert_eq!(row["first_name"], "Ada", "fields that are not given stay");
    assert_eq!(rows(&world, "customer"), 1);
}

#[tokio::test(start_paused = true)]
async fn both_source_examples_work_as_printed() {
    let world = World::new().await;
    let first = json!({
        "operations": [
            { "id": "create_customer", "entity": "customer", "action": "create",
              "store_params": { "first_name": "John", "last_name": "Doe", "email": "john@example.com" } },
            { "id": "create_invoice", "entity": "invoice", "action": "create",
              "store_params": { "customer_id": "$ref:create_customer.customer_id", "invoice_date": "2024-11-11T10:00:00", "total": 100.00 },
              "depends_on": ["create_customer"] }
        ]
    });
    let answer = world.batch(&first).await;
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)), "{:#}", answer.body);
    assert_eq!(
        answer.body["results"]["create_invoice"]["data"][0]["customer_id"],
        answer.body["results"]["create_customer"]["data"][0]["customer_id"]
    );

    world.run(vec![create("a", "account", json!({ "account_id": 42, "available_balance": 10 }))], json!({})).await;
    let second = json!({
        "operations": [
            { "id": "check_balance", "entity": "account", "action": "read", "query_params": { "account_id": 42 } },
            { "id": "create_payment", "entity": "payment", "action": "create",
              "store_params": { "account_id": 42, "amount": "$ref:check_balance.available_balance" }, "depends_on": ["check_balance"] }
        ],
        "options": { "atomic": true }
    });
    let answer = world.batch(&second).await;
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)), "{:#}", answer.body);
    assert_eq!(answer.body["results"]["create_payment"]["data"][0]["amount"], json!(10));
}
