//! Two tenants: nothing of the one is seen, changed or even asked for on behalf of the other.

use batch_core::http::ROUTES;
use batch_tests::World;
use serde_json::{Value, json};

/// The other tenant: the world's own caller is of `t1`.
const OTHER: &str = "t2";

struct Other {
    world: World,
    key: String,
}

impl Other {
    async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> batch_tests::Answer {
        let mut all = vec![("x-api-key", self.key.as_str()), ("content-type", "application/json")];
        all.extend(headers);
        let body = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
        self.world.send(method, target, &all, &body).await
    }

    /// No call since has named anything of the first tenant, whatever it was for.
    fn has_touched_nothing(&self, what: &str) {
        for call in self.world.seam.take_calls() {
            let text = call.body.to_string();
            assert!(!text.contains("T#t1") && !text.contains("\"t1\""), "{what}: {} {text}", call.operation);
        }
    }
}

/// A world in which the first tenant has rows of every kind and batches in every state, and the second has a caller, who
/// is an admin there.
async fn two_tenants() -> (Other, Vec<String>) {
    let world = World::new().await;
    let rows = json!([
        { "id": "customer", "entity": "customer", "action": "create", "store_params": { "first_name": "Ada", "email": "ada@example.com" } },
        { "id": "invoice", "entity": "invoice", "action": "create", "store_params": { "customer_id": "$ref:customer.customer_id" } },
        { "id": "track", "entity": "track", "action": "create", "store_params": { "name": "T" } },
        { "id": "account", "entity": "account", "action": "create", "store_params": { "account_id": 1, "available_balance": 5 } },
    ]);
    let body = json!({ "operations": rows, "options": { "reference": "theirs" } });
    let ended = world.post_with("/batch", &[("idempotency-key", "shared")], &body).await;
    assert_eq!(ended.body["status"], "completed", "{:#}", ended.body);
    let failing =
        json!({ "operations": [{ "entity": "account", "action": "create", "store_params": { "account_id": 1 } }] });
    let failed = world.batch(&failing).await;
    let background = [("prefer", "respond-async")];
    let waiting = world.post_with("/batch", &background, &body).await;
    let paused = world.post_with("/batch", &background, &body).await;
    assert_eq!(world.post_with(&format!("/batches/{}/pause", paused.batch_id()), &[], &json!({})).await.status, 200);
    let ids = [ended, failed, waiting, paused].iter().map(batch_tests::Answer::batch_id).collect();
    let key = world.key(OTHER, "mallory", &["admin"]).await;
    let other = Other { world, key };
    other.send("GET", "/capabilities", &[], &Value::Null).await;
    other.world.seam.take_messages();
    other.world.seam.take_calls();
    (other, ids)
}

#[tokio::test(start_paused = true)]
async fn every_route_answers_for_anothers_batch_as_for_none() {
    let (other, ids) = two_tenants().await;
    let before = (other.world.items("BatchesTable"), other.world.items("RecordsTable"));
    let mut asked = 0;
    for (method, path, _) in ROUTES.iter().filter(|(_, path, _)| path.contains("{batchId}")) {
        let none =
            other.send(method, &path.replace("{batchId}", &format!("batch_{}", "0".repeat(32))), &[], &json!({})).await;
        assert_eq!(none.status, 404, "{method} {path}");
        for id in &ids {
            let answer = other.send(method, &path.replace("{batchId}", id), &[], &json!({})).await;
            assert_eq!((answer.status, &answer.body["error"]), (404, &none.body["error"]), "{method} {path}");
            assert_eq!(
                answer.body["message"].as_str().map(|text| text.replace(id.as_str(), "")),
                none.body["message"].as_str().map(|text| text.replace(&format!("batch_{}", "0".repeat(32)), ""))
            );
            other.has_touched_nothing(path);
            asked += 1;
        }
    }
    assert!(asked >= 7 * ids.len(), "{asked} were asked");
    for target in ["/batches", "/batches?reference=theirs", "/batches?status=completed", "/batches?limit=100"] {
        let answer = other.send("GET", target, &[], &Value::Null).await;
        assert_eq!((answer.status, &answer.body["data"]), (200, &json!([])), "{target}");
        other.has_touched_nothing(target);
    }
    assert_eq!(before, (other.world.items("BatchesTable"), other.world.items("RecordsTable")));
    assert_eq!(other.world.seam.take_messages(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn every_action_on_anothers_rows_finds_none() {
    let (other, _) = two_tenants().await;
    let theirs = other.world.items("RecordsTable");
    let rows = [
        ("customer", "customer_id", json!(1)),
        ("invoice", "invoice_id", json!(1)),
        ("track", "track_id", json!(1)),
        ("account", "account_id", json!(1)),
    ];
    for atomic in [true, false] {
        for (entity, key, id) in &rows {
            let query = json!({ *key: id });
            let run = |operation: Value| {
                let body = json!({ "operations": [operation], "options": { "atomic": atomic } });
                let other = &other;
                async move { other.send("POST", "/batch", &[], &body).await.body["results"]["o"].clone() }
            };
            let read = run(json!({ "id": "o", "entity": entity, "action": "read", "query_params": query })).await;
            assert_eq!((&read["status"], &read["data"]), (&json!("completed"), &json!([])), "{entity}");
            for action in ["update", "delete"] {
                let mut operation = json!({ "id": "o", "entity": entity, "action": action, "query_params": query });
                if action == "update" {
                    operation["store_params"] = match *entity {
                        "customer" => json!({ "city": "Oslo" }),
                        "invoice" => json!({ "billing_city": "Oslo" }),
                        "track" => json!({ "name": "x" }),
                        _ => json!({ "available_balance": 0 }),
                    };
                }
                let result = run(operation).await;
                assert_eq!(result["code"], "NOT_FOUND", "{action} {entity}: {result:#}");
            }
            other.has_touched_nothing(entity);
        }
        // A parent of another tenant is none.
        let child = json!({ "operations": [{ "id": "o", "entity": "invoice", "action": "create", "store_params": { "customer_id": 1 } }], "options": { "atomic": atomic } });
        let result = other.send("POST", "/batch", &[], &child).await.body["results"]["o"].clone();
        assert_eq!(result["code"], "FOREIGN_KEY_VIOLATION", "{result:#}");
        other.has_touched_nothing("a parent");
    }
    let listing = json!({ "operations": [{ "id": "o", "entity": "customer", "action": "read", "metadata_params": { "limit": 50 } }, { "id": "by", "entity": "customer", "action": "read", "query_params": { "email": "ada@example.com" } }] });
    let answer = other.send("POST", "/batch", &[], &listing).await;
    assert_eq!(
        (&answer.body["results"]["o"]["data"], &answer.body["results"]["by"]["data"]),
        (&json!([]), &json!([])),
        "{:#}",
        answer.body
    );
    other.has_touched_nothing("searches");
    for row in theirs {
        assert!(other.world.items("RecordsTable").contains(&row), "{row:#} has changed");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_values_and_references_of_one_tenant_are_free_in_the_other() {
    let (other, ids) = two_tenants().await;
    let same = json!({ "operations": [
        { "id": "customer", "entity": "customer", "action": "create", "store_params": { "first_name": "Ada", "email": "ada@example.com" } },
        { "id": "account", "entity": "account", "action": "create", "store_params": { "account_id": 1, "available_balance": 5 } },
    ], "options": { "reference": "theirs" } });
    let answer = other.send("POST", "/batch", &[("idempotency-key", "shared")], &same).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{:#}", answer.body);
    assert_eq!(answer.body["results"]["customer"]["data"][0]["customer_id"], 1, "its own counter");
    assert!(!ids.contains(&answer.batch_id()));
    other.has_touched_nothing("the same request");
    let message = json!({ "v": 1, "kind": "execute", "tenant": OTHER, "batch_id": ids[2] }).to_string();
    assert_eq!(
        other.world.deliver(&[message]).await,
        Vec::<String>::new(),
        "a message that names another's batch is of none"
    );
    other.has_touched_nothing("a message");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_looks_like_a_key_is_refused() {
    for tenant in ["t1#B", "t1#account#1", "", "a\u{0}", "t1/../t2"] {
        assert!(batch_core::auth::Tenant::try_from(tenant).is_err(), "{tenant:?}");
    }
    // A tenant whose name begins with another's shares nothing with it.
    let (other, ids) = two_tenants().await;
    let near = Other { key: other.world.key("t1x", "mallory", &["admin"]).await, world: other.world.clone() };
    near.send("GET", "/capabilities", &[], &Value::Null).await;
    assert_eq!(near.send("GET", &format!("/batches/{}", ids[0]), &[], &Value::Null).await.status, 404);
    assert_eq!(near.send("GET", "/batches", &[], &Value::Null).await.body["data"], json!([]));
    let read = json!({ "operations": [{ "id": "o", "entity": "account", "action": "read", "query_params": { "account_id": 1 } }] });
    assert_eq!(near.send("POST", "/batch", &[], &read).await.body["results"]["o"]["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn anothers_memories_profiles_and_jobs_are_as_none() {
    let (other, _) = two_tenants().await;
    let made = other.world.post_with("/api/v1/memory", &[], &json!({ "content": "a secret of theirs" })).await;
    let memory = made.body["id"].as_str().expect("a memory").to_owned();
    let profile = json!({ "operations": [{ "entity": "profile", "action": "create",
        "store_params": { "profile_id": "p1", "address": "0x9858EfFD232B4033E47d90003D41EC34EcaEda94" } }] });
    assert_eq!(other.world.batch(&profile).await.body["success"], true);
    let before = (other.world.items("RecordsTable"), other.world.items("SearchTable"));
    other.world.seam.take_calls();

    let intent = json!({ "operations": [{ "type": "transfer", "from": { "token": "usdc", "chainId": 1, "amount": "1" },
        "to": { "address": "0x000000000000000000000000000000000000dEaD" } }] });
    let mut asked = 0;
    for (method, path, _) in
        ROUTES.iter().filter(|(_, path, _)| path.contains("{memoryId}") || path.contains("{profileId}"))
    {
        for id in [memory.as_str(), "p1", "mem_00000000000000000000000000000000"] {
            let target = path.replace("{memoryId}", id).replace("{profileId}", id);
            let body = if path.contains("{profileId}") { intent.clone() } else { json!({ "content": "mine" }) };
            let answer = other.send(method, &target, &[], &body).await;
            assert_eq!(answer.status, 404, "{method} {target}: {:#}", answer.body);
            other.has_touched_nothing(&target);
            asked += 1;
        }
    }
    assert!(asked >= 7 * 3, "{asked} were asked");
    let found = other.send("POST", "/api/v1/memory/search", &[], &json!({ "query": "secret" })).await;
    assert_eq!((found.status, &found.body["total_results"]), (200, &json!(0)));
    let gone = other.send("POST", "/api/v1/memories/bulk/delete", &[], &json!({ "memory_ids": [memory] })).await;
    assert_eq!((gone.status, &gone.body["deleted_count"]), (200, &json!(0)));
    let listed = other.send("GET", "/api/v1/memory", &[], &Value::Null).await;
    assert_eq!((listed.status, &listed.body["pagination"]["total"]), (200, &json!(0)));
    let jobs = other.send("GET", "/api/batches", &[], &Value::Null).await;
    assert_eq!((jobs.status, &jobs.body["data"]), (200, &json!([])), "{:#}", jobs.body);
    other.has_touched_nothing("searches and lists");
    assert_eq!(before, (other.world.items("RecordsTable"), other.world.items("SearchTable")));
}
