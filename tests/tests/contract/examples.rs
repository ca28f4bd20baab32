//! The examples of the contract: requests that are answered as the examples of the answers say, and schemas that hold.

use std::collections::BTreeMap;

use batch_core::rate::Rates;
use batch_tests::{Answer, World};
use serde_json::{Value, json};

use super::files::{SPEC, walk};
use super::routes::operations;
use super::schema::{misfits, resolve};

/// A field whose value is another every time.
const VARYING: [&str; 16] = [
    "batchId",
    "id",
    "requestId",
    "executionTime",
    "at",
    "createdAt",
    "updatedAt",
    "startedAt",
    "completedAt",
    "expiresAt",
    "created_at",
    "nextCursor",
    "instance",
    "newBatchId",
    "retryOf",
    "path",
];

/// `value` without what varies, its numbers in one form.
fn settled(value: &Value) -> Value {
    let mut value = batch_core::json::parse(value.to_string().as_bytes()).unwrap();
    settle(&mut value);
    value
}

fn settle(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let is_operation = name == "id" && !field.as_str().is_some_and(|id| id.starts_with("batch_"));
                if VARYING.contains(&name.as_str()) && !is_operation && !field.is_null() {
                    *field = json!(format!("a {}", if field.is_string() { "text" } else { "number" }));
                } else {
                    settle(field);
                }
            }
        }
        _ => {}
    }
}

fn requests(path: &str) -> BTreeMap<&'static str, &'static Value> {
    let content = &SPEC["paths"][path]["post"]["requestBody"]["content"]["application/json"];
    content["examples"].as_object().unwrap().iter().map(|(name, example)| (name.as_str(), &example["value"])).collect()
}

/// The example of an answer, by its name where there are several.
fn answer_of(method: &str, path: &str, status: &str, name: Option<&str>) -> &'static Value {
    let content = &resolve(&SPEC["paths"][path][method]["responses"][status])["content"]["application/json"];
    let example = match name {
        Some(name) => &content["examples"][name]["value"],
        None => &content["example"],
    };
    assert!(!example.is_null(), "{method} {path} {status} has no example {name:?}");
    example
}

/// A world that holds what the examples speak of.
async fn world() -> World {
    let world = World::new().await;
    let account = json!({ "account_id": 42, "available_balance": 250.75 });
    let answer =
        world.run(vec![json!({ "entity": "account", "action": "create", "store_params": account })], json!({})).await;
    assert_eq!(answer.body["success"], true, "{:#}", answer.body);
    // What follows is listed before it.
    tokio::time::advance(std::time::Duration::from_millis(1)).await;
    world
}

#[track_caller]
fn same(answer: &Answer, status: u16, example: &Value) {
    assert_eq!(answer.status, status, "{:#}", answer.body);
    assert_eq!(settled(&answer.body), settled(example), "the answer was {:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn each_example_of_a_batch_is_answered_as_its_example() {
    let requests = requests("/batch");
    assert_eq!(requests.keys().collect::<Vec<_>>(), [&"conditional", &"related"]);
    for (name, request) in &requests {
        let answer = world().await.batch(request).await;
        same(&answer, 200, answer_of("post", "/batch", "200", Some(name)));
    }
    let world = world().await;
    world.batch(requests["related"]).await;
    let again = world.batch(requests["related"]).await;
    same(&again, 200, answer_of("post", "/batch", "200", Some("failed")));
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], requests["related"]).await;
    same(&answer, 202, answer_of("post", "/batch", "202", None));
}

#[tokio::test(start_paused = true)]
async fn each_example_of_a_plan_is_answered_as_its_example() {
    let requests = requests("/batch/plan");
    assert_eq!(requests, self::requests("/batch"), "the same batches");
    let world = world().await;
    for (name, request) in &requests {
        let answer = world.post_with("/batch/plan", &[], request).await;
        assert_eq!((answer.status, &answer.body["valid"]), (200, &json!(true)), "{name}: {:#}", answer.body);
    }
    let answer = world.post_with("/batch/plan", &[], requests["related"]).await;
    same(&answer, 200, answer_of("post", "/batch/plan", "200", None));
}

#[tokio::test(start_paused = true)]
async fn examples_of_what_is_read_are_what_is_read() {
    let world = world().await;
    let create = |id: &str, entity: &str, fields: Value| json!({ "id": id, "entity": entity, "action": "create", "store_params": fields });
    let john = json!({ "first_name": "John", "last_name": "Doe", "email": "john@example.com" });
    let answer = world
        .run(
            vec![
                create("create_customer", "customer", john),
                create("create_invoice", "invoice", json!({ "customer_id": 7 })),
                create("create_artist", "artist", json!({ "name": "A" })),
            ],
            json!({ "atomic": false, "continueOnError": true, "reference": "import-2024-11" }),
        )
        .await;
    let id = answer.batch_id();
    same(&world.get(&format!("/batches/{id}")).await, 200, answer_of("get", "/batches/{batchId}", "200", None));
    same(&world.get("/batches?limit=1").await, 200, answer_of("get", "/batches", "200", None));
    let results = world.get(&format!("/batches/{id}/results?limit=2")).await;
    same(&results, 200, answer_of("get", "/batches/{batchId}/results", "200", None));
    let usual = World::limited(Rates::default().records.batches).await;
    same(&usual.get("/capabilities").await, 200, answer_of("get", "/capabilities", "200", None));
    same(&world.get("/health").await, 200, answer_of("get", "/health", "200", None));
}

#[tokio::test(start_paused = true)]
async fn examples_of_what_is_done_to_a_batch_are_what_is_answered() {
    let world = world().await;
    let act = async |id: &str, word: &str| world.post_with(&format!("/batches/{id}/{word}"), &[], &json!({})).await;
    let mut batch = requests("/batch")["related"].clone();
    batch["options"] = json!({ "atomic": false, "reference": "import-2024-11" });
    let id = world.post_with("/batch", &[("prefer", "respond-async")], &batch).await.batch_id();
    let path = |word: &str| format!("/batches/{{batchId}}/{word}");
    same(&act(&id, "resume").await, 409, answer_of("post", &path("resume"), "409", None));
    same(&act(&id, "retry").await, 409, answer_of("post", &path("retry"), "409", None));
    same(&act(&id, "cancel").await, 200, answer_of("post", &path("cancel"), "200", None));
    for word in ["cancel", "pause"] {
        same(&act(&id, word).await, 409, answer_of("post", &path(word), "409", None));
    }
    let admin = world.key("t1", "bob", &["admin"]).await;
    for _ in 0..2 {
        world.send("POST", &format!("/batches/{id}/retry"), &[("x-api-key", &admin)], b"").await;
    }
    let audit = world.get(&format!("/batches/{id}/audit?limit=4")).await;
    same(&audit, 200, answer_of("get", &path("audit"), "200", None));

    world.batch(requests("/batch")["related"]).await;
    let id = world.batch(requests("/batch")["related"]).await.batch_id();
    let analysis = world.get(&format!("/batches/{id}/failure-analysis")).await;
    same(&analysis, 200, answer_of("get", &path("failure-analysis"), "200", None));
    same(&act(&id, "retry").await, 202, answer_of("post", &path("retry"), "202", None));
}

#[tokio::test(start_paused = true)]
async fn examples_of_refusals_are_what_is_told() {
    let world = world().await;
    let two = json!({ "operations": [
        { "id": "create_customer", "action": "create", "store_params": { "first_name": "John" } },
        { "id": "create_invoice", "entity": "invoice", "action": "create", "store_params": { "customer_id": 1 }, "depends_on": ["create_custmer"] },
    ] });
    same(&world.batch(&two).await, 400, answer_of("post", "/batch", "400", None));
    let json_type = ("content-type", "application/json");
    same(&world.send("POST", "/batch", &[json_type], b"{}").await, 401, answer_of("post", "/batch", "401", None));
    let large = Value::from(" ".repeat(4_500_000));
    same(&world.batch(&large).await, 413, answer_of("post", "/batch", "413", None));
    let key = world.key("t1", "bob", &[]).await;
    let text = [("x-api-key", key.as_str()), ("content-type", "text/plain")];
    same(&world.send("POST", "/batch", &text, b"{}").await, 415, answer_of("post", "/batch", "415", None));
    let used = [("idempotency-key", "k")];
    for request in requests("/batch").values() {
        let answer = world.post_with("/batch", &used, request).await;
        if answer.status != 200 {
            same(&answer, 422, answer_of("post", "/batch", "422", None));
        }
    }
    let limited = World::limited(1).await;
    for request in requests("/batch").values() {
        let answer = limited.batch(request).await;
        if answer.status != 200 {
            same(&answer, 429, answer_of("post", "/batch", "429", None));
        }
    }
    let missing = world.get("/batches/batch_00000000000000000000000000000000").await;
    same(&missing, 404, answer_of("get", "/batches/{batchId}", "404", None));
    same(&world.get("/batches?limit=0").await, 400, answer_of("get", "/batches", "400", None));

    let refused = batch_tests::seam::Fault::Error(400, "AccessDeniedException");
    world.seam.plan("PutItem", refused.clone());
    same(&world.batch(requests("/batch")["related"]).await, 500, answer_of("post", "/batch", "500", None));
    world.seam.plan("Query", refused);
    same(&world.get("/batches").await, 500, answer_of("get", "/batches", "500", None));
}

#[test]
fn examples_fit_their_schemas() {
    let mut seen = 0;
    let mut check = |place: &str, media: &'static Value| {
        let several = media["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in several.chain(media.get("example")) {
            let misfits = misfits(&media["schema"], example);
            assert!(misfits.is_empty(), "{place}: {misfits:#?}");
            seen += 1;
        }
    };
    for (method, path, operation) in operations() {
        if let Some(body) = operation.get("requestBody") {
            check(&path, &body["content"]["application/json"]);
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            for media in resolve(response)["content"].as_object().into_iter().flatten().map(|(_, media)| media) {
                check(&format!("{method} {path} {status}"), media);
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn no_field_of_a_request_is_refused_that_the_contract_has() {
    let schemas = &SPEC["components"]["schemas"];
    let names = |schema: &str| schemas[schema]["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names("BatchRequest"), ["operations", "options"]);
    let mut operation = names("BatchOperation");
    operation.sort();
    assert_eq!(
        operation,
        ["action", "claims", "depends_on", "entity", "id", "metadata_params", "query_params", "store_params"]
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        for name in names("BatchOptions") {
            // Each option is read: a value of a wrong type is a mistake.
            let answer = world
                .run(
                    vec![json!({ "entity": "customer", "action": "create", "store_params": { "first_name": "J" } })],
                    json!({ &name: {} }),
                )
                .await;
            let pointer = answer.body["errors"][0]["pointer"].as_str();
            assert_eq!((answer.status, pointer), (400, Some(format!("/options/{name}").as_str())), "{:#}", answer.body);
        }
    });
}

#[test]
fn there_is_no_null_in_the_contract() {
    // The gateway refuses to import one.
    let mut nulls = Vec::new();
    walk(&SPEC, &mut Vec::new(), &mut |place, value| {
        if value.is_null() {
            nulls.push(place.join("/"));
        }
    });
    assert_eq!(nulls, [""; 0]);
}
