//! A batch from the gateway's event to the answer, over the embedded database in memory, beside the bare transaction
//! that it comes down to.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use batch_tests::World;
use batch_tests::seam::dispatch;
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

const COUNT: usize = 99;

fn operations(action: &str, address: &str) -> Value {
    let operation = |n: usize| match action {
        "create" => {
            json!({ "entity": "profile", "action": "create", "store_params": { "profile_id": format!("p{n}"), "address": address } })
        }
        _ => {
            json!({ "entity": "profile", "action": "update", "query_params": { "profile_id": format!("p{n}") }, "store_params": { "address": address } })
        }
    };
    (0..COUNT).map(operation).collect()
}

fn event(key: &str, body: &Value) -> String {
    json!({
        "resource": "/batch", "path": "/batch", "httpMethod": "POST",
        "headers": { "content-type": "application/json", "x-api-key": key },
        "multiValueHeaders": { "content-type": ["application/json"], "x-api-key": [key] },
        "requestContext": { "path": "/batch", "stage": "test", "requestId": "r", "httpMethod": "POST", "resourcePath": "/batch" },
        "body": body.to_string(), "isBase64Encoded": false,
    })
    .to_string()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

#[divan::bench(sample_count = 50)]
fn an_atomic_batch_of_99_updates(bencher: divan::Bencher<'_, '_>) {
    let runtime = runtime();
    let (world, key) = runtime.block_on(async {
        let world = World::new().await;
        let key = world.key("t1", "alice", &[]).await;
        let made =
            world.batch(&json!({ "operations": operations("create", "a"), "options": { "atomic": false } })).await;
        assert_eq!(made.body["success"], true);
        (world, key)
    });
    let text = event(&key, &json!({ "operations": operations("update", "b") }));
    bencher.bench_local(|| {
        runtime.block_on(async {
            let request: LambdaRequest = serde_json::from_str(&text).expect("an event");
            let response = submit::handle(&world.app, request.into()).await;
            assert_eq!(response.status(), 200);
            world.seam.take_calls();
            response
        })
    });
}

#[divan::bench(sample_count = 50)]
fn its_bare_transaction(bencher: divan::Bencher<'_, '_>) {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let put = |n: usize| {
        json!({ "Put": { "TableName": "RecordsTable", "Item": {
            "pk": { "S": format!("T#t1#profile#p{n}") }, "_v": { "N": "1" }, "_tx": { "S": "batch_0123456789abcdef#0123456789abcdef" },
            "_g0": { "S": "T#t1#profile" }, "f": { "M": { "profile_id": { "S": format!("p{n}") }, "owner": { "S": "alice" }, "address": { "S": "a" } } } } } })
    };
    let mut items: Vec<Value> = (0..COUNT).map(put).collect();
    items.push(json!({ "Put": { "TableName": "BatchesTable", "Item": { "pk": { "S": "T#t1#B#x" }, "sk": { "S": "A#STATE" } } } }));
    let body = json!({ "TransactItems": items });
    bencher.bench_local(|| dispatch(world.seam.database(), "TransactWriteItems", body.clone()).expect("committed"));
}
