//! Batches and messages as other versions of the service store them.
//!
//! `tests/fixtures/v1` holds, as the wire has them, what version 1 stores of a batch that is half done: the message, the
//! head, the state, and the rows that its first commit made. A version that stores something else keeps these files and
//! adds its own: what is stored outlives the version that stored it.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` makes values; helpers that take them read like the requests"
)]

mod earlier;
mod later;

use std::path::PathBuf;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use batch_tests::seam::{Fault, Hook, dispatch};
use serde_json::{Value, json};

/// What version 1 stores of a batch.
#[derive(Debug, Clone)]
struct Stored {
    message: Value,
    head: Value,
    state: Value,
    rows: Vec<Value>,
}

/// The batch: two commits, the second refers to results of the first.
fn operations() -> Vec<Value> {
    vec![
        json!({ "id": "c", "entity": "customer", "action": "create", "store_params": { "first_name": "Ada", "email": "ada@example.com" } }),
        json!({ "id": "i", "entity": "invoice", "action": "create", "store_params": { "customer_id": "$ref:c.customer_id", "total": 3.5 } }),
        json!({ "id": "l", "entity": "invoice_line", "action": "create", "store_params": { "invoice_id": "$ref:i.invoice_id", "quantity": 2 } }),
        json!({ "id": "u", "entity": "customer", "action": "update", "query_params": { "customer_id": "$ref:c.customer_id" }, "store_params": { "city": "London" }, "depends_on": ["i"] }),
    ]
}

/// Two operations in a commit; with another chance than the files, so that no id is drawn twice.
async fn world() -> World {
    let limits = Limits { chunk_operations: 2, ..Limits::default() };
    World::seeded(Model::shipped().expect("the shipped model is right"), limits, 2).await
}

/// What the files hold.
fn fixture() -> Stored {
    let read = |name: &str| -> Value {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "v1", name].iter().collect();
        serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("JSON")
    };
    let rows = read("rows.json").as_array().cloned().expect("a list");
    Stored { message: read("message.json"), head: read("head.json"), state: read("state.json"), rows }
}

/// What this version stores of the same batch.
async fn stored_now() -> Stored {
    let world = world().await;
    let options = json!({ "atomic": false, "continueOnError": true, "max_retries": 1, "timeout": 60_000, "reference": "import-7" });
    let body = json!({ "operations": operations(), "options": options });
    let accepted = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    let messages = world.seam.take_messages();
    world.seam.plan("TransactWriteItems", Fault::Before(Hook(std::sync::Arc::new(|_| {}))));
    for _ in 0..500 {
        world.seam.plan("TransactWriteItems", Fault::RequestLost);
    }
    assert_eq!(world.deliver(&messages).await, ["m0"], "the first commit is done, and no other");
    let items = world.items("BatchesTable");
    let of = |sk: &str| items.iter().find(|item| item["sk"]["S"] == sk).cloned().expect("the item");
    let counters = world.items("ControlTable").into_iter().filter(|item| item.get("record").is_none());
    let mut rows: Vec<Value> = counters.chain(world.items("RecordsTable")).collect();
    rows.sort_by_key(|item| item["pk"]["S"].to_string());
    let message = serde_json::from_str(&messages[0]).expect("JSON");
    Stored { message, head: of("A#HEAD"), state: of("A#STATE"), rows }
}

impl Stored {
    fn id(&self) -> &str {
        self.message["batch_id"].as_str().expect("an id")
    }

    /// Puts it into the tables, as if it had always been there.
    fn put(&self, world: &World) {
        let put = |table: &str, item: &Value| {
            let body = json!({ "TableName": table, "Item": item });
            dispatch(world.seam.database(), "PutItem", body).expect("the item is stored");
        };
        put("BatchesTable", &self.head);
        put("BatchesTable", &self.state);
        for row in &self.rows {
            // Counters of integer keys are kept apart.
            let table = if row["pk"]["S"].as_str().is_some_and(|pk| pk.contains("#I#")) {
                "ControlTable"
            } else {
                "RecordsTable"
            };
            put(table, row);
        }
    }
}
