//! Requests of clients that mean harm, or do not know what they mean: each answer names the field, and nothing else is
//! touched.

use batch_tests::{Answer, World};
use serde_json::{Value, json};

use super::setting::{adds_up, create, failure, found, made, named, result, run};

async fn raw(world: &World, path: &str, body: &[u8]) -> Answer {
    let key = world.key("t1", "alice", &[]).await;
    world.send("POST", path, &[("content-type", "application/json"), ("x-api-key", &key)], body).await
}

fn filtered(filters: &Value) -> Value {
    json!({ "type": "search", "query": "heron", "options": { "filters": filters } })
}

#[tokio::test(start_paused = true)]
async fn filters_of_every_shape_find_what_is_equal_and_nothing_else() {
    let world = World::new().await;
    let metadata = json!({ "category": "important", "n": 1, "t": "1", "deep": { "a": { "b": [1, "x", null] } }, "$gt": 5, "a.b": true, "list": [{ "k": 1 }, { "k": 2 }] });
    let one =
        json!({ "type": "create", "data": { "content": "a heron", "tags": ["urgent", "q3"], "metadata": metadata } });
    let answer = run(&world, json!([one, create("another heron")]), json!({})).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    for (filters, total) in [
        (json!({}), 2),
        (json!({ "category": [] }), 2),
        (json!({ "category": {} }), 2),
        (json!({ "category": ".*" }), 0),
        (json!({ "category": "import%" }), 0),
        (json!({ "category": "ne::x" }), 0),
        (json!({ "n": { "$gt": 0 } }), 0),
        (json!({ "$gt": 5 }), 1),
        (json!({ "a.b": true }), 1),
        (json!({ "a": { "b": true } }), 0),
        (json!({ "": "empty" }), 0),
        (json!({ "n": "1" }), 0),
        (json!({ "t": 1 }), 0),
        (json!({ "n": 1.0, "t": "1" }), 1),
        (json!({ "deep": { "a": { "b": null } } }), 1),
        (json!({ "deep": { "a": { "b": "x" } } }), 1),
        (json!({ "deep": null }), 0),
        (json!({ "list": { "k": [2, 3] } }), 1),
        (json!({ "tags": "urgent" }), 1),
        (json!({ "tags": ["none", "q3"] }), 1),
        (json!({ "tags": { "0": "urgent" } }), 0),
        (json!({ "nothing": null }), 0),
    ] {
        let answer = run(&world, json!([filtered(&filters)]), json!({})).await;
        assert_eq!(result(&answer, 0)["total"], total, "{filters}");
    }
    let many: Vec<Value> = (0..101).map(|n| json!(n)).collect();
    for filters in [json!(null), json!("x"), json!(["x"]), json!({ "n": many })] {
        let answer =
            run(&world, json!([filtered(&filters), create("other")]), json!({ "continue_on_error": true })).await;
        assert_eq!(failure(&answer, 0), ("VALIDATION_ERROR", "filters"), "{filters}");
        assert_eq!(answer.body["data"]["processed"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn queries_are_words_whatever_they_look_like() {
    let world = World::new().await;
    for content in [
        "ein Häuschen im Grünen",
        "les élèves étudiaient",
        "los niños corrían",
        "数据库 索引",
        "مرحبا بالعالم",
        "C++ and a.*b",
    ] {
        made(&world, content).await;
    }
    let long = "heron ".repeat(5_000);
    for (query, total) in [
        ("hauschen", 1),
        ("HÄUSCHEN", 1),
        ("Ha\u{308}uschen", 1),
        ("élève", 1),
        ("étudier", 1),
        ("nino", 1),
        ("数据库", 1),
        ("مرحبا", 1),
        (".*", 0),
        ("(((", 0),
        ("a{999999999}", 0),
        ("%", 0),
        ("\\", 0),
        ("\u{0}", 0),
        ("\u{200b}\u{feff}", 0),
        ("🎵", 0),
        ("' OR '1'='1", 0),
        ("$$ref:op_0.id", 0),
        (long.as_str(), 0),
    ] {
        let answer = run(&world, json!([{ "type": "search", "query": query }]), json!({})).await;
        assert_eq!(result(&answer, 0)["total"], total, "{}", &query[..query.len().min(40)]);
    }
    for query in [json!(""), json!(" \t\n"), json!(null), json!(["heron"]), json!({ "text": "heron" }), json!(0)] {
        let answer = run(&world, json!([{ "type": "search", "query": query }]), json!({})).await;
        assert_eq!(failure(&answer, 0), ("VALIDATION_ERROR", "query"), "{query}");
        let single = world.post_with("/api/v1/memory/search", &[], &json!({ "query": query })).await;
        assert_eq!((single.status, &single.body["error"]["details"]["field"]), (400, &json!("query")), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn operations_on_one_id_keep_their_order_in_a_parallel_batch() {
    let world = World::new().await;
    let id = made(&world, "version 0").await;
    let mut operations: Vec<Value> = Vec::new();
    for n in 1..=40 {
        operations.push(json!({ "type": "update", "id": id, "data": { "content": format!("version {n}") } }));
        operations.push(named("read", &id));
    }
    operations.extend([
        named("delete", &id),
        named("read", &id),
        json!({ "type": "update", "id": id, "data": { "content": "late" } }),
        named("delete", &id),
    ]);
    let answer = run(&world, json!(operations), json!({ "parallel": true, "continue_on_error": true })).await;
    adds_up(&answer);
    for n in 1..=40 {
        assert_eq!(result(&answer, 2 * n - 1)["content"], format!("version {n}"));
    }
    assert_eq!(result(&answer, 80)["deleted"], true);
    for place in 81..84 {
        assert_eq!(failure(&answer, place), ("NOT_FOUND", "id"));
    }
    assert_eq!((found(&world, "version").await.1, world.items("SearchTable").len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_id_is_an_id_and_never_a_condition_or_a_reference() {
    let world = World::new().await;
    let kept = made(&world, "a heron").await;
    let odd =
        ["lt::zzz", "not-in::x", "like::*", "ne::", "eq::x", "mem_*", "../x", "a#b", "a b", "\u{0}", "🎵", "null", "0"];
    for id in odd {
        for action in ["read", "update", "delete"] {
            let operation = json!({ "type": action, "id": id, "data": { "content": "gone" } });
            let answer = run(&world, json!([operation]), json!({})).await;
            assert_eq!(failure(&answer, 0), ("NOT_FOUND", "id"), "{action} {id}");
        }
    }
    let mut ids: Vec<&str> = odd.to_vec();
    ids.push("$ref:op_0.id");
    let deleted = world.post_with("/api/v1/memories/bulk/delete", &[], &json!({ "memory_ids": ids })).await;
    assert_eq!((deleted.status, &deleted.body["deleted_count"]), (200, &json!(0)), "{:#}", deleted.body);
    assert_eq!(deleted.body["failed_ids"], json!(ids));
    for ids in
        [json!(null), json!("x"), json!({}), json!([""]), json!([null]), json!([["x"]]), json!(["x".repeat(1_025)])]
    {
        let refused = world.post_with("/api/v1/memory/bulk/delete", &[], &json!({ "memory_ids": ids })).await;
        assert_eq!((refused.status, &refused.body["error"]["details"]["field"]), (400, &json!("memory_ids")), "{ids}");
    }
    assert_eq!(world.get(&format!("/api/v1/memory/{kept}")).await.body["content"], "a heron");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_batch_is_refused_with_the_field_that_is_wrong() {
    let world = World::new().await;
    for (options, field) in [
        (json!({ "timeout": "30000" }), "options.timeout"),
        (json!({ "timeout": 0 }), "options.timeout"),
        (json!({ "timeout": -1 }), "options.timeout"),
        (json!({ "max_retries": 1.5 }), "options.max_retries"),
        (json!({ "max_retries": "3" }), "options.max_retries"),
        (json!({ "parallel": "yes" }), "options.parallel"),
        (json!({ "continue_on_error": null }), "options.continue_on_error"),
        (json!({ "validate_only": 1 }), "options.validate_only"),
        (json!("fast"), "options"),
        (json!(null), "options"),
    ] {
        let answer = run(&world, json!([create("x")]), options.clone()).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["details"]["field"]), (400, &json!(field)), "{options}");
        assert!(error["details"]["reason"].is_string());
    }
    let deep = format!(
        r#"{{"operations":[{{"type":"create","data":{{"content":"x","metadata":{}1{}}}}}]}}"#,
        r#"{"a":"#.repeat(40),
        "}".repeat(40)
    );
    for body in [
        r#"{"operations":[{"type":"create","data":{"content":"\ud800"}}]}"#,
        r#"{"operations":[{"type":"create","data":{"content":"x","metadata":{"n":1e999}}}]}"#,
        r#"{"operations":[{"type":"create","data":{"content":"x"},}]}"#,
        &deep,
        &"[".repeat(50_000),
    ] {
        let answer = raw(&world, "/api/v1/batch", body.as_bytes()).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("INVALID_BATCH_REQUEST")));
        assert_eq!(answer.body["error"]["details"]["field"], "body", "{:#}", answer.body);
        let single = raw(&world, "/api/v1/memory", body.as_bytes()).await;
        assert_eq!((single.status, &single.body["error"]["code"]), (400, &json!("VALIDATION_ERROR")));
    }
    assert!(world.items("RecordsTable").is_empty() && world.items("SearchTable").is_empty());
}

#[tokio::test(start_paused = true)]
async fn texts_of_any_letters_come_back_as_they_were_sent() {
    let world = World::new().await;
    for content in [
        "a\u{0}b",
        "\u{1F468}\u{200d}\u{1F469}",
        "e\u{301}",
        "\\u0041",
        "\r\n\t",
        "</script>",
        "\u{fffd}",
        "\u{202e}abc",
    ] {
        let data = json!({ "content": content, "title": content, "tags": [content], "metadata": { content: content } });
        let made = world.post_with("/api/v1/memory", &[], &data).await;
        assert_eq!(made.status, 201, "{content:?}: {:#}", made.body);
        let read = world.get(&format!("/api/v1/memory/{}", made.body["id"].as_str().unwrap())).await.body;
        for field in ["content", "title", "tags", "metadata"] {
            assert_eq!(read[field], data[field], "{content:?}");
        }
    }
    for metadata in [json!({ "": 1 }), json!({ "a": [{ "b": { "": 1 } }] }), json!({ "x".repeat(65_536): 1 })] {
        let refused = world.post_with("/api/v1/memory", &[], &json!({ "content": "x", "metadata": metadata })).await;
        let error = &refused.body["error"];
        assert_eq!((refused.status, &error["details"]["field"]), (400, &json!("metadata")), "{error:#}");
        assert!(error["message"].as_str().unwrap().contains("a field whose name is empty or longer"));
    }
    // A character is a character, however many bytes it takes.
    let wide = "\u{1F3B5}".repeat(50);
    let fits = json!({ "content": "\u{1F3B5}".repeat(50_000), "tags": [wide] });
    assert_eq!(world.post_with("/api/v1/memory", &[], &fits).await.status, 201);
    let large = json!({ "content": "x", "metadata": { "m": "x".repeat(450_000) } });
    let refused = world.post_with("/api/v1/memory", &[], &large).await;
    assert_eq!(
        (refused.status, &refused.body["error"]["code"]),
        (400, &json!("VALIDATION_ERROR")),
        "{:#}",
        refused.body
    );
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_makes_no_sense_is_told_what_would() {
    let world = World::new().await;
    made(&world, "x").await;
    for (query, field) in [
        ("page=-1", "page"),
        ("page=1.5", "page"),
        ("page=x", "page"),
        ("page=99999999999999999999999", "page"),
        ("limit=-1", "limit"),
        ("limit=1e1", "limit"),
        ("sort=content", "sort"),
        ("order=ASC", "order"),
        ("tags=a,b&sort=", "sort"),
    ] {
        let answer = world.get(&format!("/api/v1/memory?{query}")).await;
        let error = &answer.body["error"];
        assert_eq!((answer.status, &error["details"]["field"]), (400, &json!(field)), "{query}: {:#}", answer.body);
        assert!(error["message"].as_str().unwrap().to_lowercase().starts_with(field));
    }
    let beyond = world.get("/api/v1/memory?page=18446744073709551615&limit=100").await;
    assert_eq!((beyond.status, &beyond.body["data"]), (200, &json!([])));
    let many: Vec<String> = (0..101).map(|n| format!("t{n}")).collect();
    assert_eq!(world.get(&format!("/api/v1/memory?tags={}", many.join(","))).await.status, 400);
}
