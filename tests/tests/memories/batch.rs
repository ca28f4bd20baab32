//! `POST /api/v1/batch`.

use batch_tests::World;
use serde_json::{Value, json};

use super::setting::{adds_up, create, failure, found, made, named, result, run, search};

#[tokio::test(start_paused = true)]
async fn the_five_types_answer_as_documented() {
    let world = World::new().await;
    let id = made(&world, "The gateway verifies tokens").await;
    let answer = run(
        &world,
        json!([
            { "type": "create", "data": { "content": "c", "title": "t", "tags": ["a"], "metadata": { "k": 1 }, "memory_type": "context", "topic_id": "x" } },
            named("read", &id),
            { "type": "update", "id": id, "data": { "title": "Gateway", "metadata": { "updated": true } } },
            named("read", &id),
            search("verifying a token"),
            named("delete", &id),
            named("read", &id),
        ]),
        json!({ "continue_on_error": true }),
    )
    .await;
    adds_up(&answer);
    assert_eq!(answer.status, 207);
    let made = result(&answer, 0);
    assert!(made["id"].as_str().unwrap().starts_with("mem_") && made["created_at"].is_string());
    assert_eq!(made.as_object().unwrap().len(), 2);
    assert_eq!(result(&answer, 1)["content"], "The gateway verifies tokens");
    let updated = result(&answer, 2);
    assert_eq!((&updated["id"], updated.as_object().unwrap().len()), (&json!(id), 2));
    let read = result(&answer, 3);
    assert_eq!(
        (&read["content"], &read["title"], &read["metadata"], &read["tags"]),
        (&json!("The gateway verifies tokens"), &json!("Gateway"), &json!({ "updated": true }), &json!([]))
    );
    let hit = &result(&answer, 4)["results"][0];
    assert_eq!((&hit["id"], &hit["title"]), (&json!(id), &json!("Gateway")), "as it was changed before");
    assert!(hit["score"].as_f64().is_some_and(|score| score > 0.0 && score < 1.0));
    assert_eq!(result(&answer, 5), &json!({ "id": id, "deleted": true }));
    assert_eq!(failure(&answer, 6), ("NOT_FOUND", "id"));
    let summary = json!({ "creates": 1, "reads": 3, "updates": 1, "deletes": 1, "searches": 1 });
    assert_eq!(answer.body["data"]["summary"], summary);
}

#[tokio::test(start_paused = true)]
async fn a_memory_is_found_once_its_batch_has_answered_and_gone_once_deleted() {
    let world = World::new().await;
    let other = world.another();
    let id = made(&world, "Quarterly revenue of the northern region").await;
    assert_eq!(found(&other, "revenues").await, (vec![id.clone()], 1));
    let wet = run(&world, json!([{ "type": "update", "id": id, "data": { "content": "rain" } }]), json!({})).await;
    adds_up(&wet);
    assert_eq!(found(&world, "revenue").await.1, 0);
    assert_eq!(found(&world, "raining").await.1, 1);
    run(&world, json!([named("delete", &id)]), json!({})).await;
    assert_eq!(found(&world, "rain").await, (vec![], 0));
    assert_eq!(world.items("SearchTable"), [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_search_sees_what_the_batch_has_done_before_it_and_nothing_after() {
    let world = World::new().await;
    let old = made(&world, "a heron at the lake").await;
    let answer = run(
        &world,
        json!([
            search("heron"),
            create("a second heron"),
            search("heron"),
            named("delete", &old),
            search("heron"),
            create("a third heron"),
        ]),
        json!({}),
    )
    .await;
    adds_up(&answer);
    let totals: Vec<u64> = [0, 2, 4].iter().map(|index| result(&answer, *index)["total"].as_u64().unwrap()).collect();
    assert_eq!(totals, [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn filters_limit_and_total() {
    let world = World::new().await;
    let operations: Vec<Value> = (0..7)
        .map(|n| json!({ "type": "create", "data": { "content": format!("note {n} on herons"), "tags": [if n % 2 == 0 { "even" } else { "odd" }], "metadata": { "n": n, "category": "important" } } }))
        .collect();
    adds_up(&run(&world, json!(operations), json!({})).await);
    for (options, results, total) in [
        (json!({}), 7, 7),
        (json!({ "limit": 2 }), 2, 7),
        (json!({ "filters": { "category": "important" } }), 7, 7),
        (json!({ "filters": { "category": "other" } }), 0, 0),
        (json!({ "limit": 1, "filters": { "tags": "odd" } }), 1, 3),
        (json!({ "filters": { "tags": ["odd", "even"], "n": [1, 2] } }), 2, 2),
    ] {
        let answer = run(&world, json!([{ "type": "search", "query": "heron", "options": options }]), json!({})).await;
        let found = result(&answer, 0);
        assert_eq!(
            (found["results"].as_array().unwrap().len(), &found["total"]),
            (results, &json!(total)),
            "{options}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_the_rest_unless_told_to_go_on() {
    let world = World::new().await;
    let operations = json!([create("one"), { "type": "create", "data": {} }, create("three"), { "type": "read", "id": "$ref:op_1.id" }]);
    let answer = run(&world, operations.clone(), json!({})).await;
    adds_up(&answer);
    assert_eq!(failure(&answer, 1), ("VALIDATION_ERROR", "content"));
    assert_eq!(answer.body["data"]["operations"][1]["error"]["message"], "Content is required");
    assert_eq!(failure(&answer, 2).0, "NOT_EXECUTED");
    assert_eq!(failure(&answer, 3).0, "DEPENDENCY_FAILED");
    assert_eq!(answer.body["data"]["processed"], 1);
    let answer = run(&world, operations, json!({ "continue_on_error": true })).await;
    adds_up(&answer);
    assert_eq!(answer.body["data"]["processed"], 2);
    assert_eq!(failure(&answer, 3).0, "DEPENDENCY_FAILED");
}

#[tokio::test(start_paused = true)]
async fn operations_refer_to_each_other_and_keep_their_order_on_one_id() {
    let world = World::new().await;
    let update = |text: &str| json!({ "type": "update", "id": "$ref:op_0.id", "data": { "content": text } });
    let answer = run(
        &world,
        json!([
            create("first"),
            update("second"),
            { "type": "read", "id": "$ref:op_0.id" },
            update("third"),
            { "type": "read", "id": "$ref:op_0.id", "depends_on": ["op_3"] },
            { "type": "search", "query": "$ref:op_4.content" },
        ]),
        json!({ "parallel": true }),
    )
    .await;
    adds_up(&answer);
    assert_eq!((&result(&answer, 2)["content"], &result(&answer, 4)["content"]), (&json!("second"), &json!("third")));
    assert_eq!(result(&answer, 5)["total"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_data_fails_the_operation_and_what_is_wrong_with_the_batch_all_of_it() {
    let world = World::new().await;
    let data = |data: Value| json!({ "type": "create", "data": data });
    for (operation, field) in [
        (data(json!({})), "content"),
        (data(json!({ "content": "" })), "content"),
        (data(json!({ "content": 5 })), "content"),
        (data(json!({ "content": "x".repeat(50_001) })), "content"),
        (data(json!({ "content": "x", "title": "x".repeat(501) })), "title"),
        (data(json!({ "content": "x", "tags": ["x".repeat(51)] })), "tags[0]"),
        (data(json!({ "content": "x", "tags": vec!["x"; 21] })), "tags"),
        (data(json!({ "content": "x", "metadata": [] })), "metadata"),
        (data(json!("text")), "data"),
        (json!({ "type": "create" }), "data"),
        (json!({ "type": "update", "id": "mem_1" }), "data"),
        (json!({ "type": "update", "id": "mem_1", "data": { "unknown": 1 } }), "data"),
        (json!({ "type": "search" }), "query"),
        (json!({ "type": "search", "query": " " }), "query"),
        (json!({ "type": "search", "query": 7 }), "query"),
        (json!({ "type": "search", "query": "x", "options": { "limit": 0 } }), "limit"),
        (json!({ "type": "search", "query": "x", "options": { "limit": 101 } }), "limit"),
        (json!({ "type": "search", "query": "x", "options": { "filters": [] } }), "filters"),
        (json!({ "type": "search", "query": "x", "options": 1 }), "options"),
    ] {
        let answer = run(&world, json!([operation, create("good")]), json!({ "continue_on_error": true })).await;
        adds_up(&answer);
        assert_eq!(failure(&answer, 0), ("VALIDATION_ERROR", field), "{operation}");
        assert_eq!(answer.body["data"]["processed"], 1, "the other is not touched");
    }
    let before = world.items("SearchTable").len();
    let good = create("good");
    for (operations, options, field, reason) in [
        (json!(null), json!({}), "operations", "operations_array_required"),
        (json!({}), json!({}), "operations", "operations_array_required"),
        (json!([]), json!({}), "operations", "operations_array_empty"),
        (json!([good, 5]), json!({}), "operations[1]", "wrong_type"),
        (json!([good, {}]), json!({}), "operations[1].type", "required"),
        (json!([good, { "type": "merge" }]), json!({}), "operations[1].type", "unknown_type"),
        (json!([good, { "type": 1 }]), json!({}), "operations[1].type", "wrong_type"),
        (json!([{ "type": "update", "data": {} }]), json!({}), "operations[0].id", "required"),
        (json!([named("read", "")]), json!({}), "operations[0].id", "invalid_value"),
        (json!([{ "type": "read", "id": 5 }]), json!({}), "operations[0].id", "wrong_type"),
        (
            json!([{ "type": "search", "query": "x", "depends_on": ["op_9"] }]),
            json!({}),
            "operations[0].depends_on[0]",
            "unknown_dependency",
        ),
        (json!([create("$ref:op_9.id")]), json!({}), "operations[0].data.content", "unknown_reference"),
        (json!([create("$ref:op_9")]), json!({}), "operations[0].data.content", "malformed_reference"),
        (json!([good]), json!([]), "options", "wrong_type"),
        (json!([good]), json!({ "continue_on_error": 1 }), "options.continue_on_error", "wrong_type"),
        (json!([good]), json!({ "max_retries": 4 }), "options.max_retries", "invalid_value"),
        (json!([good]), json!({ "timeout": 60_001 }), "options.timeout", "invalid_value"),
    ] {
        let answer = run(&world, operations.clone(), options).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["code"]), (400, &json!("INVALID_BATCH_REQUEST")), "{:#}", answer.body);
        assert_eq!(
            (&error["details"]["field"], &error["details"]["reason"]),
            (&json!(field), &json!(reason)),
            "{operations}"
        );
        assert_eq!((&answer.body["success"], answer.body["message"].is_string()), (&json!(false), true));
    }
    let many = run(&world, json!(vec![good; 101]), json!({})).await;
    assert_eq!((many.status, &many.body["error"]["code"]), (413, &json!("BATCH_TOO_LARGE")));
    assert_eq!(world.items("SearchTable").len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_reference_is_kept_echoed_and_listed_by() {
    let world = World::new().await;
    let body = json!({ "operations": [create("a")] });
    let headers = [("x-batch-id", "migration-2024-01-15")];
    let answer = world.post_with("/api/v1/batch", &headers, &body).await;
    assert_eq!(answer.header("x-batch-id"), "migration-2024-01-15");
    assert_eq!(answer.body["data"]["reference"], "migration-2024-01-15");
    let again = world.post_with("/api/v1/batch", &headers, &body).await;
    assert_ne!(again.body["data"]["batch_id"], answer.body["data"]["batch_id"], "it is no idempotency key");
    let listed = world.get("/batches?reference=migration-2024-01-15").await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(listed.body["data"][0]["dialect"], "memories");
    let id = answer.body["data"]["batch_id"].as_str().unwrap();
    let told = world.get(&format!("/batches/{id}")).await;
    assert_eq!((&told.body["status"], &told.body["reference"]), (&json!("completed"), &json!("migration-2024-01-15")));
    let results = world.get(&format!("/batches/{id}/results")).await;
    assert_eq!(results.body["data"][0]["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_key_makes_a_repeated_sending_the_same_batch() {
    let world = World::new().await;
    let send = |content: &'static str| {
        let world = world.clone();
        async move {
            let body = json!({ "operations": [create(content)] });
            world.post_with("/api/v1/batch", &[("idempotency-key", "k")], &body).await
        }
    };
    let (first, again, other) = (send("heron").await, send("heron").await, send("swan").await);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!((other.status, &other.body["error"]["code"]), (422, &json!("IDEMPOTENCY_KEY_REUSED")));
    assert_eq!(found(&world, "herons and swans").await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn validation_runs_and_stores_nothing() {
    let world = World::new().await;
    let options = json!({ "validate_only": true });
    let operations =
        json!([create("a"), { "type": "create", "data": {} }, { "type": "merge" }, named("read", "mem_1")]);
    let answer = run(&world, operations, options).await;
    let data = &answer.body["data"];
    assert_eq!((answer.status, &data["batch_id"]), (200, &Value::Null));
    let statuses: Vec<&str> =
        data["operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["valid", "invalid", "invalid", "valid"]);
    assert_eq!(data["operations"][1]["error"]["details"]["field"], "content");
    assert!(world.items("BatchesTable").is_empty() && world.items("RecordsTable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_the_background_is_told_in_its_own_envelope() {
    let world = World::new().await;
    let body = json!({ "operations": [create("heron"), create("swan")] });
    let answer = world.post_with("/api/v1/batch", &[("prefer", "respond-async")], &body).await;
    let data = &answer.body["data"];
    assert_eq!((answer.status, &answer.body["success"], &data["status"]), (202, &json!(true), &json!("processing")));
    assert_eq!((&data["pending"], &data["total"], &data["processed"]), (&json!(2), &json!(2), &json!(0)));
    world.drain().await;
    let told = world.get(answer.header("location")).await;
    assert_eq!(told.body["status"], "completed");
    assert_eq!(found(&world, "herons and swans").await.1, 2);
}

#[tokio::test(start_paused = true)]
async fn tenants_find_their_own_memories_alone() {
    let world = World::new().await;
    let id = made(&world, "a secret of the first").await;
    let other = world.key("t2", "alice", &[]).await;
    let operations = json!([search("secret"), named("read", &id), named("delete", &id)]);
    let body = json!({ "operations": operations, "options": { "continue_on_error": true } });
    let answer = world.post_as(&other, "/api/v1/batch", &body).await;
    assert_eq!(result(&answer, 0)["total"], 0);
    assert_eq!((failure(&answer, 1).0, failure(&answer, 2).0), ("NOT_FOUND", "NOT_FOUND"));
    assert_eq!(found(&world, "secret").await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn ten_batches_a_minute_and_single_memories_do_not_count() {
    let world = World::limited(600).await;
    let body = json!({ "operations": [create("a")] });
    for n in 0..10 {
        assert_eq!(world.post_with("/api/v1/batch", &[], &body).await.status, 200, "{n}");
    }
    let refused = world.post_with("/api/v1/batch", &[], &body).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (429, &json!("RATE_LIMITED")));
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=60).contains(&seconds)));
    for n in 0..20 {
        let one = json!({ "content": format!("{n}") });
        assert_eq!(world.post_with("/api/v1/memory", &[], &one).await.status, 201, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_the_same_entity_are_searched_too_also_when_they_take_many_transactions() {
    let world = World::new().await;
    let operations: Vec<Value> = (0..80)
        .map(|n| json!({ "entity": "memory", "action": "create", "store_params": { "content": format!("wide heron {n}") } }))
        .collect();
    let answer = world.run(operations, json!({ "atomic": true })).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body["summary"]);
    assert_eq!(found(&world, "heron").await.1, 80);
    let ids: Vec<Value> = (0..80).map(|n| answer.body["results"][format!("op_{n}")]["data"][0]["id"].clone()).collect();
    let deletes = ids.iter().map(|id| json!({ "entity": "memory", "action": "delete", "query_params": { "id": id } }));
    let answer = world.run(deletes.collect(), json!({ "atomic": true })).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body["summary"]);
    assert_eq!((found(&world, "heron").await.1, world.items("SearchTable").len()), (0, 0));
}
