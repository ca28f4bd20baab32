//! Batches and messages as other versions of the service store them.
//!
//! `tests/fixtures/v1` holds, as the wire has them, what version 1 stores of two batches that have not ended: the message,
//! the head, the state, what else belongs to the batch, and the rows. A version that stores something else keeps these
//! files and adds its own: what is stored outlives the version that stored it.

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
    /// Its other items: what a commit in several transactions is to do.
    rest: Vec<Value>,
    rows: Vec<Value>,
}

/// The batches that version 1 left: one between two commits, one past the commit point of a wide commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    HalfDone,
    Committed,
}

impl Left {
    fn directory(self) -> &'static str {
        match self {
            Self::HalfDone => "half_done",
            Self::Committed => "committed",
        }
    }

    fn limits(self) -> Limits {
        match self {
            Self::HalfDone => Limits { chunk_operations: 2, ..Limits::default() },
            Self::Committed => Limits { actions: 5, ..Limits::default() },
        }
    }

    fn body(self) -> Value {
        match self {
            Self::HalfDone => json!({ "operations": operations(), "options": {
                "atomic": false, "continueOnError": true, "max_retries": 1, "timeout": 60_000, "reference": "import-7",
            } }),
            Self::Committed => json!({ "operations": customers() }),
        }
    }

    /// How many transactions happen before the network is gone.
    fn transactions(self) -> usize {
        match self {
            Self::HalfDone => 1,
            // Nine keys are locked, four at a time.
            Self::Committed => 3,
        }
    }
}

/// A row, a unique value and a counter each.
fn customers() -> Vec<Value> {
    let customer = |name: &str| {
        let store = json!({ "first_name": name, "email": format!("{name}@example.com") });
        json!({ "id": name, "entity": "customer", "action": "create", "store_params": store })
    };
    ["ada", "bob", "cleo"].into_iter().map(customer).collect()
}

/// Two commits, the second refers to results of the first.
fn operations() -> Vec<Value> {
    vec![
        json!({ "id": "c", "entity": "customer", "action": "create", "store_params": { "first_name": "Ada", "email": "ada@example.com" } }),
        json!({ "id": "i", "entity": "invoice", "action": "create", "store_params": { "customer_id": "$ref:c.customer_id", "total": 3.5 } }),
        json!({ "id": "l", "entity": "invoice_line", "action": "create", "store_params": { "invoice_id": "$ref:i.invoice_id", "quantity": 2 } }),
        json!({ "id": "u", "entity": "customer", "action": "update", "query_params": { "customer_id": "$ref:c.customer_id" }, "store_params": { "city": "London" }, "depends_on": ["i"] }),
    ]
}

/// With another chance than [`stored_now`] has, so that no id is drawn twice.
async fn world(left: Left) -> World {
    World::seeded(Model::shipped().expect("the shipped model is right"), left.limits(), 2).await
}

/// What the files hold.
fn fixture(left: Left) -> Stored {
    let read = |name: &str| -> Value {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures", "v1", left.directory(), name].iter().collect();
        serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("JSON")
    };
    let list = |name: &str| read(name).as_array().cloned().expect("a list");
    let (message, head, state) = (read("message.json"), read("head.json"), read("state.json"));
    Stored { message, head, state, rest: list("rest.json"), rows: list("rows.json") }
}

/// What this version stores of the same batch.
async fn stored_now(left: Left) -> Stored {
    let world = World::with(Model::shipped().expect("the shipped model is right"), left.limits()).await;
    let accepted = world.post_with("/batch", &[("prefer", "respond-async")], &left.body()).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    let messages = world.seam.take_messages();
    for _ in 0..left.transactions() {
        world.seam.plan("TransactWriteItems", Fault::Before(Hook(std::sync::Arc::new(|_| {}))));
    }
    for _ in 0..500 {
        world.seam.plan("TransactWriteItems", Fault::RequestLost);
    }
    assert_eq!(world.deliver(&messages).await, ["m0"], "it is not done");
    let mut rest = world.items("BatchesTable");
    let mut of = |sk: &str| {
        let place = rest.iter().position(|item| item["sk"]["S"] == sk).expect("the item");
        rest.swap_remove(place)
    };
    let (head, state) = (of("A#HEAD"), of("A#STATE"));
    rest.sort_by_key(|item| item["sk"]["S"].to_string());
    // Neither keys of callers nor their quotas belong to a batch.
    let is_counter = |item: &Value| item["pk"]["S"].as_str().is_some_and(|pk| pk.contains("#I#"));
    let counters = world.items("ControlTable").into_iter().filter(is_counter);
    let mut rows: Vec<Value> = counters.chain(world.items("RecordsTable")).collect();
    rows.sort_by_key(|item| item["pk"]["S"].to_string());
    let message = serde_json::from_str(&messages[0]).expect("JSON");
    Stored { message, head, state, rest, rows }
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
        self.rest.iter().for_each(|item| put("BatchesTable", item));
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
