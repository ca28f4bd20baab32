//! What is refused before anything runs, and who may see what.

use batch_tests::{Answer, CREATOR, OTHER_CREATOR};
use serde_json::{Value, json};

use super::scene::Scene;

fn problems(answer: &Answer) -> Vec<(String, String)> {
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap().to_owned();
    let problems = answer.body["details"]["errors"].as_array().cloned().unwrap_or_default();
    problems.iter().map(|problem| (text(problem, "pointer"), text(problem, "code"))).collect()
}

#[tokio::test(start_paused = true)]
async fn every_mistake_is_told_before_anything_runs() {
    let scene = Scene::new(1).await;
    let many: Vec<String> = (0..101).map(|n| format!("c{n}")).collect();
    let long = "x".repeat(129);
    let ids = json!(["c0"]);
    let price = |creator: Value, ids: Value, price: Value| {
        ("batch-update-price", json!({ "creator": creator, "contentIds": ids, "newPrice": price }))
    };
    let good = || json!(CREATOR);
    let update = |updates: Value| {
        ("batch-update-metadata", json!({ "creator": CREATOR, "contentIds": ["c0"], "updates": updates }))
    };
    let remove =
        |reason: Value| ("batch-remove", json!({ "creator": CREATOR, "contentIds": ["c0"], "removalReason": reason }));
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    for ((path, body), wanted) in [
        (("batch-update-price", json!([])), vec![("", "WRONG_TYPE")]),
        (
            ("batch-update-price", json!({})),
            vec![("/creator", "REQUIRED"), ("/contentIds", "REQUIRED"), ("/newPrice", "REQUIRED")],
        ),
        (price(json!(7), ids.clone(), json!(1)), vec![("/creator", "WRONG_TYPE")]),
        (price(json!(""), ids.clone(), json!(1)), vec![("/creator", "INVALID_VALUE")]),
        (price(json!(long), ids.clone(), json!(1)), vec![("/creator", "INVALID_VALUE")]),
        (price(good(), json!([]), json!(1)), vec![("/contentIds", "EMPTY_BATCH")]),
        (price(good(), json!("c0"), json!(1)), vec![("/contentIds", "WRONG_TYPE")]),
        (price(good(), json!(many), json!(1)), vec![("/contentIds", "TOO_MANY_OPERATIONS")]),
        (price(good(), json!(["c0", "c1", "c0"]), json!(1)), vec![("/contentIds/2", "DUPLICATE_ID")]),
        (price(good(), json!([7, "7"]), json!(1)), vec![("/contentIds/1", "DUPLICATE_ID")]),
        (
            price(good(), json!(["", null, [], {}, true]), json!(1)),
            vec![
                ("/contentIds/0", "INVALID_VALUE"),
                ("/contentIds/1", "WRONG_TYPE"),
                ("/contentIds/2", "WRONG_TYPE"),
                ("/contentIds/3", "WRONG_TYPE"),
                ("/contentIds/4", "WRONG_TYPE"),
            ],
        ),
        (price(good(), json!([long]), json!(1)), vec![("/contentIds/0", "INVALID_VALUE")]),
        (price(good(), ids.clone(), json!("abc")), vec![("/newPrice", "WRONG_TYPE")]),
        (price(good(), ids.clone(), json!("1")), vec![("/newPrice", "WRONG_TYPE")]),
        (price(good(), ids.clone(), json!(true)), vec![("/newPrice", "WRONG_TYPE")]),
        (price(good(), ids.clone(), json!(null)), vec![("/newPrice", "REQUIRED")]),
        (price(good(), ids.clone(), number("1.5")), vec![("/newPrice", "INVALID_VALUE")]),
        (price(good(), ids.clone(), json!(-1)), vec![("/newPrice", "INVALID_VALUE")]),
        (price(good(), ids.clone(), number("9223372036854775808")), vec![("/newPrice", "INVALID_VALUE")]),
        (price(good(), ids.clone(), number("18446744073709551616")), vec![("/newPrice", "INVALID_VALUE")]),
        (remove(json!(1)), vec![("/removalReason", "WRONG_TYPE")]),
        (remove(json!("x".repeat(501))), vec![("/removalReason", "INVALID_VALUE")]),
        (update(json!(null)), vec![("/updates", "REQUIRED")]),
        (update(json!([])), vec![("/updates", "WRONG_TYPE")]),
        (update(json!({})), vec![("/updates", "REQUIRED")]),
        (
            update(json!({ "price": 1, "creator": "x", "title": "T" })),
            vec![("/updates/price", "UNKNOWN_FIELD"), ("/updates/creator", "UNKNOWN_FIELD")],
        ),
        (update(json!({ "title": "" })), vec![("/updates/title", "INVALID_VALUE")]),
        (update(json!({ "title": null })), vec![("/updates/title", "WRONG_TYPE")]),
        (update(json!({ "title": "x".repeat(256) })), vec![("/updates/title", "INVALID_VALUE")]),
        (update(json!({ "description": "x".repeat(10_001) })), vec![("/updates/description", "INVALID_VALUE")]),
        (update(json!({ "contentType": "x".repeat(51) })), vec![("/updates/contentType", "INVALID_VALUE")]),
        (update(json!({ "tokenGating": "yes" })), vec![("/updates/tokenGating", "WRONG_TYPE")]),
        (update(json!({ "refundable": 1 })), vec![("/updates/refundable", "WRONG_TYPE")]),
        (update(json!({ "refundWindowDays": 366 })), vec![("/updates/refundWindowDays", "INVALID_VALUE")]),
        (update(json!({ "refundWindowDays": number("1.5") })), vec![("/updates/refundWindowDays", "INVALID_VALUE")]),
        (update(json!({ "refundWindowDays": "7" })), vec![("/updates/refundWindowDays", "WRONG_TYPE")]),
    ] {
        let answer = scene.post(path, &body).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("BATCH_VALIDATION_ERROR")), "{body}");
        let wanted: Vec<(String, String)> =
            wanted.into_iter().map(|(at, code)| (at.to_owned(), code.to_owned())).collect();
        assert_eq!(problems(&answer), wanted, "{body}\n{:#}", answer.body);
        assert!(answer.body["message"].is_string() && answer.body["requestId"].is_string(), "{:#}", answer.body);
    }
    for (body, pointer) in [(json!({ "only": 7 }), "/only"), (json!({ "only": "x" }), "/only"), (json!([]), "")] {
        let answer = scene.post("batch_00000000000000000000000000000000/retry", &body).await;
        assert_eq!((answer.status, problems(&answer)[0].0.as_str()), (400, pointer), "{:#}", answer.body);
    }
    for target in [
        "status=done",
        "operationType=x",
        "from=yesterday",
        "to=1",
        "skip=-1",
        "skip=401",
        "limit=101",
        "creator=",
        "cursor=x",
    ] {
        let answer = scene.get(&format!("/api/batches?{target}")).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("INVALID_PARAMETER")), "{target}");
    }
    assert!(scene.world.seam.take_messages().is_empty());
    assert!(scene.get("/api/batches").await.body["data"].as_array().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_for_who_acts_for_its_creator_and_seen_by_those_it_concerns() {
    let scene = Scene::new(2).await;
    let body = |creator: &str| json!({ "creator": creator, "contentIds": ["c0", 7], "newPrice": 1 });
    let answer = scene.post("batch-update-price", &body(OTHER_CREATOR)).await;
    assert_eq!((answer.status, &answer.body["error"]), (403, &json!("FORBIDDEN")), "{:#}", answer.body);
    let admin = scene.world.key("t1", "root", &["admin"]).await;
    let answer = scene.world.post_as(&admin, "/api/batches/batch-update-price", &body(CREATOR)).await;
    assert_eq!(answer.status, 403, "an admin acts for no creator");
    let id = scene.post("batch-update-price", &body(CREATOR)).await.batch_id();
    let colleague = scene.world.key_with("dave", &[], &json!({ "creators": CREATOR })).await;
    let stranger = scene.world.key_with("mallory", &[], &json!({ "creators": [OTHER_CREATOR] })).await;
    let elsewhere = scene.world.key("t2", "carol", &["admin"]).await;
    for (key, seen) in [(&colleague, true), (&admin, true), (&stranger, false), (&elsewhere, false)] {
        for target in [format!("/api/batches/{id}"), format!("/batches/{id}")] {
            let answer = scene.world.send("GET", &target, &[("x-api-key", key)], b"").await;
            assert_eq!(answer.status, if seen { 200 } else { 404 }, "{target}");
        }
        let list = format!("/api/batches/creator/{CREATOR}");
        let answer = scene.world.send("GET", &list, &[("x-api-key", key)], b"").await;
        assert_eq!(answer.body["data"].as_array().unwrap().len(), usize::from(seen));
    }
    scene.run(&id).await;
    let retry = format!("/api/batches/{id}/retry");
    assert_eq!(scene.world.post_as(&admin, &retry, &json!({})).await.status, 403);
    assert_eq!(scene.world.post_as(&stranger, &retry, &json!({})).await.status, 404);
    assert_eq!(scene.world.post_as(&colleague, &retry, &json!({})).await.status, 201);
    let records = scene
        .world
        .run(vec![json!({ "entity": "artist", "action": "create", "store_params": { "name": "A" } })], json!({}))
        .await;
    let key = scene.world.key("t1", "alice", &["admin"]).await;
    let target = format!("/api/batches/{}", records.batch_id());
    assert_eq!(scene.world.send("GET", &target, &[("x-api-key", &key)], b"").await.status, 404, "it is no content job");
}

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_by_creator_kind_status_and_time_with_pages() {
    let scene = Scene::new(3).await;
    for n in 0..5_u64 {
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        let id = scene.price(&["c0"], n).await.batch_id();
        scene.run(&id).await;
    }
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    let body = json!({ "creator": CREATOR, "contentIds": ["c1"], "updates": { "title": "T" } });
    let last = scene.post("batch-update-metadata", &body).await.batch_id();
    let count =
        async |target: &str| scene.get(&format!("/api/batches?{target}")).await.body["data"].as_array().unwrap().len();
    assert_eq!(count("").await, 6);
    assert_eq!(count("operationType=update-price").await, 5);
    assert_eq!(count("status=pending").await, 1);
    assert_eq!(count(&format!("creator={CREATOR}&status=completed")).await, 5);
    assert_eq!(count("creator=nobody").await, 0);
    assert_eq!(count("skip=4").await, 2);
    assert_eq!(count("from=2026-01-01T00:03:30Z&to=2026-01-01T00:05:30Z").await, 2);
    let first = scene.get("/api/batches?limit=4").await;
    assert_eq!(first.body["data"][0]["batchId"], last);
    let next = first.body["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(count(&format!("limit=4&cursor={next}")).await, 2);
}
