//! The routes of one memory.

use std::time::Duration;

use batch_tests::seam::Fault;
use batch_tests::{Answer, World};
use serde_json::{Value, json};

use super::setting::found;

const KEY: (&str, &str) = ("content-type", "application/json");

async fn post(world: &World, path: &str, body: Value) -> Answer {
    world.post_with(path, &[], &body).await
}

async fn change(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let key = world.key("t1", "alice", &[]).await;
    world.send(method, path, &[KEY, ("x-api-key", &key)], body.to_string().as_bytes()).await
}

fn id(answer: &Answer) -> String {
    answer.body["id"].as_str().unwrap_or_else(|| panic!("{:#}", answer.body)).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_memory_is_made_read_changed_and_deleted_under_both_names() {
    let world = World::new().await;
    for noun in ["memory", "memories"] {
        let path = format!("/api/v1/{noun}");
        let body = json!({ "content": "costs $ref:op_1.price, $$ and ${ref:x", "title": "T", "memory_type": "project", "organization_id": "o", "summary": "s" });
        let made = post(&world, &path, body).await;
        assert_eq!(made.status, 201, "{:#}", made.body);
        let id = id(&made);
        assert_eq!(made.header("location"), format!("{path}/{id}"));
        assert_eq!(made.body["content"], "costs $ref:op_1.price, $$ and ${ref:x", "a text is no reference");
        assert_eq!((&made.body["data"]["id"], &made.body["success"]), (&json!(id), &json!(true)));
        assert_eq!((&made.body["tags"], &made.body["metadata"]), (&json!([]), &json!({})));
        let target = format!("{path}/{id}");
        let read = world.get(&target).await;
        assert_eq!((read.status, &read.body), (200, &made.body));
        tokio::time::advance(Duration::from_millis(5)).await;
        let changed = change(&world, "PUT", &target, &json!({ "tags": ["a"] })).await;
        assert_eq!((changed.status, &changed.body["tags"], &changed.body["title"]), (200, &json!(["a"]), &json!("T")));
        assert_ne!(changed.body["updated_at"], changed.body["created_at"]);
        let deleted = change(&world, "DELETE", &target, &Value::Null).await;
        assert_eq!((deleted.status, &deleted.body), (204, &Value::Null));
        for gone in [world.get(&target).await, change(&world, "DELETE", &target, &Value::Null).await] {
            assert_eq!((gone.status, &gone.body["error"]["code"]), (404, &json!("NOT_FOUND")));
            assert!(gone.body["message"].is_string(), "what clients show");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_memory_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    for (body, field) in [
        (json!({}), "content"),
        (json!({ "content": "x", "tags": "y" }), "tags"),
        (json!({ "content": "x".repeat(50_001) }), "content"),
        (json!([]), "body"),
    ] {
        let refused = post(&world, "/api/v1/memory", body).await;
        let error = &refused.body["error"];
        assert_eq!(
            (refused.status, &error["code"], &error["details"]["field"]),
            (400, &json!("VALIDATION_ERROR"), &json!(field))
        );
    }
    let refused = change(&world, "PUT", "/api/v1/memory/mem_1", &json!({})).await;
    assert_eq!(refused.status, 400, "{:#}", refused.body);
    assert!(world.items("BatchesTable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_creation_sent_again_within_a_minute_is_the_same_memory() {
    let world = World::new().await;
    let body = json!({ "content": "sent twice" });
    world.seam.plan("TransactWriteItems", Fault::ReplyLost);
    let first = post(&world, "/api/v1/memory", body.clone()).await;
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(9)).await;
        let again = post(&world, "/api/v1/memory", body.clone()).await;
        assert_eq!((again.status, &again.body["id"]), (201, &first.body["id"]));
    }
    let bob = world.key("t1", "bob", &[]).await;
    let other = world.post_as(&bob, "/api/v1/memory", &body).await;
    assert_ne!(other.body["id"], first.body["id"], "another caller means another");
    tokio::time::advance(Duration::from_mins(1)).await;
    let later = post(&world, "/api/v1/memory", body.clone()).await;
    assert_ne!(later.body["id"], first.body["id"], "a minute later it is meant");
    assert_eq!(found(&world, "sent").await.1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_creation_is_no_repetition_of_one_that_was_deleted_or_had_another_key() {
    let world = World::new().await;
    let body = json!({ "content": "again" });
    let mut ids = Vec::new();
    for _ in 0..3 {
        let made = post(&world, "/api/v1/memory", body.clone()).await;
        assert_eq!(made.status, 201);
        assert!(!ids.contains(&id(&made)));
        ids.push(id(&made));
        change(&world, "DELETE", &format!("/api/v1/memory/{}", id(&made)), &Value::Null).await;
    }
    for key in ["a", "b"] {
        let made = world.post_with("/api/v1/memory", &[("idempotency-key", key)], &body).await;
        let again = world.post_with("/api/v1/memory", &[("idempotency-key", key)], &body).await;
        assert_eq!(id(&made), id(&again));
        assert!(!ids.contains(&id(&made)));
        ids.push(id(&made));
    }
}

#[tokio::test(start_paused = true)]
async fn memories_are_listed_by_page_filter_and_order() {
    let world = World::new().await;
    for n in 0..5 {
        let body = json!({ "content": format!("{n}"), "memory_type": if n < 3 { "project" } else { "context" }, "tags": [format!("t{n}")] });
        assert_eq!(post(&world, "/api/v1/memory", body).await.status, 201);
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let first = world.get("/api/v1/memory?order=asc&limit=1").await.body["data"][0]["id"].as_str().unwrap().to_owned();
    change(&world, "PUT", &format!("/api/v1/memory/{first}"), &json!({ "title": "late" })).await;
    for (query, contents, total) in [
        ("", "43210", 5),
        ("order=asc", "01234", 5),
        ("sort=updated_at", "04321", 5),
        ("limit=2&page=2", "21", 5),
        ("limit=2&page=4", "", 5),
        ("memory_type=project", "210", 3),
        ("tags=t1,t4", "41", 2),
        ("memory_type=project&tags=t1,t4", "1", 1),
    ] {
        let page = world.get(&format!("/api/v1/memories?{query}")).await;
        let told: String =
            page.body["data"].as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap()).collect();
        assert_eq!((told.as_str(), &page.body["pagination"]["total"]), (contents, &json!(total)), "{query}");
        assert_eq!(page.body["data"], page.body["memories"]);
    }
    assert_eq!(
        world.get("/api/v1/memory?limit=2").await.body["pagination"],
        json!({ "page": 1, "limit": 2, "total": 5, "pages": 3 })
    );
    for query in ["page=0", "limit=101", "limit=", "sort=title", "order=up", "order="] {
        let refused = world.get(&format!("/api/v1/memory?{query}")).await;
        assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("VALIDATION_ERROR")), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn single_search_and_bulk_deletion() {
    let world = World::new().await;
    let one = id(&post(
        &world,
        "/api/v1/memory",
        json!({ "content": "herons fish", "tags": ["a"], "memory_type": "project" }),
    )
    .await);
    let two = id(&post(
        &world,
        "/api/v1/memory",
        json!({ "content": "herons nest", "tags": ["b"], "memory_type": "context" }),
    )
    .await);
    for (body, total) in [
        (json!({ "query": "heron", "threshold": 0.7, "status": "active" }), 2),
        (json!({ "query": "heron", "tags": ["a"] }), 1),
        (json!({ "query": "heron", "memory_types": ["context", "personal"] }), 1),
        (json!({ "query": "heron", "filters": { "tags": ["b"] }, "type": "project" }), 0),
    ] {
        let found = post(&world, "/api/v1/memory/search", body).await;
        assert_eq!((found.status, &found.body["total_results"]), (200, &json!(total)), "{:#}", found.body);
        assert!(found.body["search_time_ms"].is_number());
        assert_eq!(found.body["data"]["results"], found.body["results"]);
    }
    let found = post(&world, "/api/v1/memory/search", json!({ "query": "fishing", "limit": 1 })).await;
    assert_eq!(found.body["results"][0]["id"], one);
    assert!(found.body["results"][0]["similarity_score"].as_f64().is_some_and(|score| score > 0.0 && score < 1.0));
    for (body, field) in [
        (json!({}), "query"),
        (json!({ "query": "x", "limit": 101 }), "limit"),
        (json!({ "query": "x", "tags": "a" }), "tags"),
        (json!({ "query": "x", "memory_types": [1] }), "memory_types"),
        (json!({ "query": "x", "filters": null }), "filters"),
    ] {
        let refused = post(&world, "/api/v1/memory/search", body).await;
        assert_eq!((refused.status, &refused.body["error"]["details"]["field"]), (400, &json!(field)));
    }
    let deleted =
        post(&world, "/api/v1/memory/bulk/delete", json!({ "memory_ids": [one, "mem_none", two, one] })).await;
    assert_eq!((deleted.status, &deleted.body["deleted_count"]), (200, &json!(2)), "{:#}", deleted.body);
    assert_eq!(deleted.body["failed_ids"], json!(["mem_none"]));
    assert_eq!(found_total(&world).await, 0);
    for body in [
        json!({}),
        json!({ "memory_ids": [] }),
        json!({ "memory_ids": [5] }),
        json!({ "memory_ids": (0..101).map(|n| n.to_string()).collect::<Vec<_>>() }),
    ] {
        assert_eq!(post(&world, "/api/v1/memory/bulk/delete", body).await.status, 400);
    }
}

async fn found_total(world: &World) -> u64 {
    found(world, "heron").await.1
}

#[tokio::test(start_paused = true)]
async fn health_is_open_and_all_else_needs_a_credential() {
    let world = World::new().await;
    let health = world.send("GET", "/api/v1/health", &[], b"").await;
    assert_eq!((health.status, &health.body["status"], &health.body["success"]), (200, &json!("ok"), &json!(true)));
    for (method, path) in [("GET", "/api/v1/memory"), ("POST", "/api/v1/batch"), ("DELETE", "/api/v1/memory/mem_1")] {
        let refused = world.send(method, path, &[], b"").await;
        assert_eq!((refused.status, &refused.body["success"]), (401, &json!(false)));
        assert!(refused.body["message"].is_string());
    }
}
