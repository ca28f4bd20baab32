//! The records contract at work: whole batches, from the request to the answer and to what is stored.

use batch_tests::World;
use serde_json::{Value, json};

fn rows(world: &World, entity: &str) -> usize {
    let prefix = format!("T#t1#{entity}#");
    let rows = world.items("RecordsTable");
    rows.iter().filter(|row| row["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with(&prefix)) && row.get("_del").is_none()).count()
}

fn create(id: &str, entity: &str, store: Value) -> Value {
    json!({ "id": id, "entity": entity, "action": "create", "store_params": store })
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
