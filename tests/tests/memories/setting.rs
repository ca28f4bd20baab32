//! What the tests share.

use batch_tests::{Answer, World};
use serde_json::{Value, json};

/// POSTs a batch of memories with options.
pub async fn run(world: &World, operations: Value, options: Value) -> Answer {
    world.post_with("/api/v1/batch", &[], &json!({ "operations": operations, "options": options })).await
}

pub fn create(content: &str) -> Value {
    json!({ "type": "create", "data": { "content": content } })
}

pub fn search(query: &str) -> Value {
    json!({ "type": "search", "query": query })
}

pub fn named(action: &str, id: &str) -> Value {
    json!({ "type": action, "id": id })
}

/// The result of the operation at `index`.
pub fn result(answer: &Answer, index: usize) -> &Value {
    let operation = &answer.body["data"]["operations"][index];
    assert_eq!(operation["status"], "success", "{:#}", answer.body);
    &operation["result"]
}

/// The code of the operation at `index`, and the field it names.
pub fn failure(answer: &Answer, index: usize) -> (&str, &str) {
    let operation = &answer.body["data"]["operations"][index];
    assert_eq!(operation["status"], "failed", "{:#}", answer.body);
    let error = &operation["error"];
    (error["code"].as_str().unwrap(), error["details"]["field"].as_str().unwrap_or_default())
}

/// Makes a memory; its id.
pub async fn made(world: &World, content: &str) -> String {
    let answer = run(world, json!([create(content)]), json!({})).await;
    result(&answer, 0)["id"].as_str().unwrap().to_owned()
}

/// Ids and total of what a search finds.
pub async fn found(world: &World, query: &str) -> (Vec<String>, u64) {
    let answer = run(world, json!([search(query)]), json!({})).await;
    let result = result(&answer, 0);
    let ids = result["results"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
    (ids.collect(), result["total"].as_u64().unwrap())
}

/// The counts add up, and fit the operations.
pub fn adds_up(answer: &Answer) {
    let data = &answer.body["data"];
    let count = |name: &str| data[name].as_u64().unwrap();
    let operations = data["operations"].as_array().unwrap();
    let good = operations.iter().filter(|operation| operation["status"] == "success").count() as u64;
    assert_eq!(count("processed") + count("failed"), count("total"), "{data:#}");
    assert_eq!((count("processed"), count("total")), (good, operations.len() as u64), "{data:#}");
    assert_eq!(answer.status, if good == count("total") { 200 } else { 207 });
    assert_eq!(answer.body["success"], true);
}
