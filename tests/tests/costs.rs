//! The table of costs in docs/PERFORMANCE.md, counted anew.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use batch_core::limits::Limits;
use batch_tests::memories::text;
use batch_tests::seam::Call;
use batch_tests::{CREATOR, World};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/PERFORMANCE.md");

/// Dollars for a million of each; the page has their source.
const WRITE_UNITS: f64 = 0.625;
const READ_UNITS: f64 = 0.125;
const SQS_REQUESTS: f64 = 0.40;
const API_CALLS: f64 = 3.50;
const INVOCATIONS: f64 = 0.20;

/// What one batch took.
#[derive(Debug, Default)]
struct Bill {
    calls: usize,
    write_units: f64,
    read_units: f64,
    /// Messages, each of which is sent, received and deleted.
    messages: usize,
}

impl Bill {
    fn add(&mut self, calls: &[Call]) {
        for call in calls {
            match call.operation.as_str() {
                "SendMessage" => self.messages += 1,
                "ChangeMessageVisibility" => {}
                _ => self.calls += 1,
            }
            self.write_units += call.write_units;
            self.read_units += call.read_units;
        }
    }

    /// Dollars for a million operations, in batches of `operations`.
    fn dollars(&self, operations: usize) -> f64 {
        let count = |count: usize| f64::from(u32::try_from(count).expect("few"));
        let units = self.write_units * WRITE_UNITS + self.read_units * READ_UNITS;
        let calls = count(self.messages) * (3.0 * SQS_REQUESTS + INVOCATIONS) + API_CALLS + INVOCATIONS;
        (units + calls) / count(operations)
    }

    fn row(&self, what: &str, operations: usize) -> String {
        let Self { calls, write_units, read_units, messages } = self;
        let dollars = self.dollars(operations);
        format!("| {what} | {operations} | {calls} | {write_units} | {read_units} | {messages} | {dollars:.2} |")
    }
}

/// Sends a batch, and has it run to its end.
async fn bill(world: &World, path: &str, body: &Value, background: bool) -> Bill {
    let headers: &[(&str, &str)] = if background { &[("prefer", "respond-async")] } else { &[] };
    world.seam.take_calls();
    let answer = world.post_with(path, headers, body).await;
    assert_eq!(answer.status, if background { 202 } else { 200 }, "{:#}", answer.body);
    let mut bill = Bill::default();
    if background {
        world.drain().await;
    }
    bill.add(&world.seam.take_calls());
    bill
}

async fn records(operations: usize, background: bool) -> Bill {
    let world = World::new().await;
    let of = |action: &str, n: usize| match action {
        "create" => {
            json!({ "entity": "account", "action": "create", "store_params": { "account_id": n, "available_balance": 1 } })
        }
        _ => {
            json!({ "entity": "account", "action": "update", "query_params": { "account_id": n }, "store_params": { "available_balance": 2 } })
        }
    };
    let body = |action: &str| {
        let operations: Vec<Value> = (0..operations).map(|n| of(action, n)).collect();
        json!({ "operations": operations, "options": { "atomic": false } })
    };
    assert_eq!(world.batch(&body("create")).await.body["success"], true);
    bill(&world, "/batch", &body("update"), background).await
}

async fn memories(operations: usize, background: bool) -> Bill {
    let world = World::new().await;
    let operations: Vec<Value> =
        (0..operations).map(|n| json!({ "type": "create", "data": { "content": text(n) } })).collect();
    bill(&world, "/api/v1/batch", &json!({ "operations": operations }), background).await
}

async fn prices(operations: usize) -> Bill {
    let world = World::chained(Limits::default()).await;
    let key = world.key_with("carol", &[], &json!({ "creators": [CREATOR] })).await;
    let ids: Vec<String> = (0..operations).map(|n| format!("c{n}")).collect();
    let create = |(n, id): (usize, &String)| {
        json!({ "entity": "content", "action": "create",
                "store_params": { "content_id": id, "creator": CREATOR, "price": 5, "onChainId": 1000 + n } })
    };
    let made: Vec<Value> = ids.iter().enumerate().map(create).collect();
    let made = world.post_as(&key, "/batch", &json!({ "operations": made })).await;
    assert_eq!(made.body["status"], "completed", "{:#}", made.body);
    world.seam.take_calls();
    let job = json!({ "creator": CREATOR, "contentIds": ids, "newPrice": 7 });
    let answer = world.post_as(&key, "/api/batches/batch-update-price", &job).await;
    assert!(answer.status < 300, "{:#}", answer.body);
    let node = world.node.clone();
    let mining = async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            node.mine();
        }
    };
    tokio::select! {
        biased;
        () = mining => {}
        _ = world.drain() => {}
    }
    let mut bill = Bill::default();
    bill.add(&world.seam.take_calls());
    let told = world.send("GET", &format!("/api/batches/{}", answer.batch_id()), &[("x-api-key", &key)], b"").await;
    assert_eq!(told.body["status"], "completed", "{:#}", told.body);
    bill
}

#[tokio::test(start_paused = true)]
async fn the_table_of_costs_is_what_batches_take() {
    let mut rows = Vec::new();
    for operations in [1, 10, 100] {
        rows.push(records(operations, false).await.row("records, updates, sync", operations));
        rows.push(records(operations, true).await.row("records, updates, in the background", operations));
        rows.push(memories(operations, false).await.row("memories, creations, sync", operations));
        rows.push(memories(operations, true).await.row("memories, creations, in the background", operations));
        rows.push(prices(operations).await.row("content, prices, in the background", operations));
    }
    let missing: Vec<&String> = rows.iter().filter(|row| !PAGE.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/PERFORMANCE.md lacks\n{}", rows.join("\n"));
}

#[test]
fn the_prices_are_those_of_the_page() {
    for price in [WRITE_UNITS, READ_UNITS, SQS_REQUESTS, API_CALLS, INVOCATIONS] {
        let dollars = if (price * 100.0).fract() == 0.0 { format!("| ${price:.2} |") } else { format!("| ${price} |") };
        assert!(PAGE.contains(&dollars), "docs/PERFORMANCE.md lacks {dollars}");
    }
}
