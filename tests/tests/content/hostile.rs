//! Requests of clients that mean harm, or do not know what they mean: each answer names the field and what it must be.

use std::collections::BTreeSet;
use std::time::Duration;

use batch_tests::{Answer, CREATOR};
use serde_json::{Value, json};

use super::scene::{Scene, item};

/// POSTs these very bytes.
async fn raw(scene: &Scene, path: &str, body: &[u8]) -> Answer {
    let headers = [("content-type", "application/json"), ("x-api-key", scene.key.as_str())];
    scene.world.send("POST", &format!("/api/batches/{path}"), &headers, body).await
}

async fn price(scene: &Scene, number: &str) -> Answer {
    let body = format!(r#"{{"creator":"{CREATOR}","contentIds":["c0"],"newPrice":{number}}}"#);
    raw(scene, "batch-update-price", body.as_bytes()).await
}

#[tokio::test(start_paused = true)]
async fn a_price_is_a_whole_number_however_it_is_written() {
    let scene = Scene::new(1).await;
    for (written, meant) in [
        ("1e3", "1000"),
        ("1.0", "1"),
        ("10e-1", "1"),
        ("-0", "0"),
        ("0.0", "0"),
        ("9223372036854775807", "9223372036854775807"),
    ] {
        let answer = price(&scene, written).await;
        assert_eq!(answer.status, 201, "{written}: {:#}", answer.body);
        let done = scene.run(&answer.batch_id()).await;
        assert_eq!(item(&done, "c0")["message"], format!("Price updated to {meant} STX"));
        assert_eq!(scene.rows(&["c0"]).await[0]["price"].to_string(), meant);
        assert_eq!(done["updatePayload"]["newPrice"].to_string(), meant);
    }
    for written in [
        "-1",
        "1.5",
        "1e-1",
        "9223372036854775808",
        "18446744073709551616",
        "1e38",
        "\"abc\"",
        "\"5\"",
        "[5]",
        "{}",
        "true",
    ] {
        let answer = price(&scene, written).await;
        let problem = &answer.body["details"]["errors"][0];
        assert_eq!((answer.status, &problem["pointer"]), (400, &json!("/newPrice")), "{written}: {:#}", answer.body);
        assert!(answer.body["message"].as_str().unwrap().starts_with("newPrice must be a"), "{:#}", answer.body);
    }
    for written in ["1e400", &"9".repeat(60)] {
        let answer = price(&scene, written).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("INVALID_JSON")), "{:#}", answer.body);
        assert_eq!(answer.body["details"]["errors"][0]["pointer"], "/newPrice", "{:#}", answer.body);
    }
    for written in ["NaN", "Infinity", "+1", "01", "0x10", "1_000", ""] {
        assert_eq!(price(&scene, written).await.body["error"], "INVALID_JSON", "{written}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_json_or_too_deep_is_refused_in_the_words_of_this_contract() {
    let scene = Scene::new(1).await;
    let deep = format!(
        r#"{{"creator":"{CREATOR}","contentIds":["c0"],"updates":{{"tokenGating":{}{}}}}}"#,
        r#"{"a":"#.repeat(40) + "1",
        "}".repeat(40)
    );
    let surrogate = format!(r#"{{"creator":"{CREATOR}","contentIds":["\ud800"],"newPrice":1}}"#);
    for (body, status, error) in [
        (b"".as_slice(), 400, "INVALID_JSON"),
        (b"{", 400, "INVALID_JSON"),
        (b"\xff", 400, "INVALID_JSON"),
        (b"\xef\xbb\xbf{}", 400, "INVALID_JSON"),
        (b"null", 400, "BATCH_VALIDATION_ERROR"),
        (b"\"x\"", 400, "BATCH_VALIDATION_ERROR"),
        (surrogate.as_bytes(), 400, "INVALID_JSON"),
        (deep.as_bytes(), 400, "INVALID_JSON"),
        ("[".repeat(100_000).as_bytes(), 400, "INVALID_JSON"),
        (&vec![b' '; 4_500_001], 413, "PAYLOAD_TOO_LARGE"),
    ] {
        for path in ["batch-update-price", "batch-remove", "batch-remove-content", "batch-update-metadata"] {
            let answer = raw(&scene, path, body).await;
            assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(error)), "{:#}", answer.body);
            assert!(answer.body["message"].is_string() && answer.body["details"].is_object(), "{:#}", answer.body);
        }
    }
    let answer = scene.world.send("POST", "/api/batches/batch-remove", &[("x-api-key", &scene.key)], b"{}").await;
    assert_eq!((answer.status, &answer.body["error"]), (415, &json!("UNSUPPORTED_MEDIA_TYPE")));
}

#[tokio::test(start_paused = true)]
async fn ids_are_texts_of_any_letters_and_told_apart_as_they_are() {
    let scene = Scene::new(0).await;
    let ids = [
        "1",
        "01",
        "1.5",
        "a\u{0}b",
        "$ref:op_0.x",
        "eq::c0",
        "a#b|c",
        "..",
        "%2F",
        "\u{e9}",
        "e\u{301}",
        "🎵",
        "' OR 1=1",
    ];
    let rows: Vec<Value> = ids.iter().map(|id| json!({ "content_id": id.replace("$ref", "$$ref") })).collect();
    scene.create(CREATOR, &rows).await;
    let mut named: Vec<Value> = ids.iter().map(|id| json!(id)).collect();
    named[0] = json!(1);
    named[2] = serde_json::from_str("1.5").unwrap();
    let body = json!({ "creator": CREATOR, "contentIds": named, "newPrice": 8 });
    let done = scene.run(&scene.post("batch-update-price", &body).await.batch_id()).await;
    assert_eq!((&done["successCount"], &done["contentIds"]), (&json!(ids.len()), &json!(ids)), "{done:#}");
    for (twice, place) in [(json!(["1", 1]), 1), (json!([1, 2, "2"]), 2), (json!(["x", "y", "x"]), 2)] {
        let body = json!({ "creator": CREATOR, "contentIds": twice, "newPrice": 8 });
        let answer = scene.post("batch-update-price", &body).await;
        assert_eq!(answer.body["details"]["errors"][0]["pointer"], format!("/contentIds/{place}"));
        assert!(answer.body["message"].as_str().unwrap().contains("twice"), "{:#}", answer.body);
    }
    let written = format!(r#"{{"creator":"{CREATOR}","contentIds":[1,1.0],"newPrice":8}}"#);
    assert_eq!(raw(&scene, "batch-update-price", written.as_bytes()).await.status, 400, "one number, written twice");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_told_which_creator_and_which_claim() {
    let scene = Scene::new(1).await;
    let body = json!({ "creator": "SP-unknown", "contentIds": ["c0"], "newPrice": 1 });
    let answer = scene.post("batch-update-price", &body).await;
    assert_eq!((answer.status, &answer.body["error"]), (403, &json!("FORBIDDEN")));
    let told = answer.body["message"].as_str().unwrap();
    assert!(told.contains("SP-unknown") && told.contains("creators"), "{told}");
    assert_eq!(answer.body["details"]["errors"][0]["pointer"], "/creator");
    assert!(scene.world.seam.take_messages().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_items_are_to_hold_is_bounded_and_not_read_by_every_poll() {
    let scene = Scene::new(3).await;
    let metadata = |updates: Value| json!({ "creator": CREATOR, "contentIds": ["c0", "c1", "c2"], "updates": updates });
    let gate = |bytes: usize| json!({ "tokenGating": { "list": "x".repeat(bytes - 11) } });
    let refused = scene.post("batch-update-metadata", &metadata(gate(65_537))).await;
    assert_eq!(refused.body["details"]["errors"][0]["pointer"], "/updates/tokenGating", "{:#}", refused.body);
    assert!(refused.body["message"].as_str().unwrap().contains("65536 bytes"));
    let largest = json!({ "title": "t".repeat(255), "description": "\u{1F3B5}".repeat(10_000), "tokenGating": gate(65_536)["tokenGating"] });
    let id = scene.post("batch-update-metadata", &metadata(largest.clone())).await.batch_id();
    let head = scene.world.items("BatchesTable").into_iter().find(|item| item["sk"]["S"] == "A#HEAD");
    assert!(head.unwrap().to_string().len() < 10_000, "a poll and a listing read it");
    let done = scene.run(&id).await;
    assert_eq!((&done["successCount"], &done["updatePayload"]), (&json!(3), &largest));
    assert_eq!(scene.rows(&["c2"]).await[0]["tokenGating"], largest["tokenGating"]);
}

#[tokio::test(start_paused = true)]
async fn questions_that_make_no_sense_are_told_what_would() {
    let scene = Scene::new(1).await;
    scene.price(&["c0"], 1).await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("skip=-1", "skip"),
        ("skip=1.5", "skip"),
        ("skip=99999999999999999999", "skip"),
        ("cursor=", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%F0%9F%8E%B5", "cursor"),
        ("status=COMPLETED", "status"),
        ("status=", "status"),
        ("operationType=update_price", "operationType"),
        ("from=2026-13-01T00:00:00Z", "from"),
        ("to=now", "to"),
    ] {
        let answer = scene.get(&format!("/api/batches?{query}")).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("INVALID_PARAMETER")), "{query}");
        let told = answer.body["message"].as_str().unwrap();
        assert!(told.starts_with(name) && answer.body["details"].is_object(), "{query}: {:#}", answer.body);
    }
    assert_eq!(
        scene.get("/api/batches?skip=400&limit=100").await.body,
        json!({ "data": [], "hasMore": false, "nextCursor": null })
    );
    for id in ["x", "batch_", "batch_zz", &format!("batch_{}", "0".repeat(32)), &"9".repeat(3_000), "%00"] {
        for (method, target) in [("GET", format!("/api/batches/{id}")), ("POST", format!("/api/batches/{id}/retry"))] {
            let answer = scene.world.send(method, &target, &[("x-api-key", &scene.key)], b"").await;
            assert_eq!((answer.status, &answer.body["error"]), (404, &json!("NOT_FOUND")), "{method} {target}");
        }
    }
    assert_eq!(scene.get(&format!("/api/batches?creator={}", "x".repeat(9_000))).await.status, 400);
}

/// Jobs that change the same items at the same time, in chunks that overlap, leave each item as one of them made it.
#[tokio::test(start_paused = true)]
async fn jobs_at_the_same_items_at_once_all_end_and_every_change_is_whole() {
    let scene = Scene::new(20).await;
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let forward: Vec<&str> = names.iter().map(String::as_str).collect();
    let backward: Vec<&str> = forward.iter().copied().rev().collect();
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(scene.price(if n % 2 == 0 { &forward } else { &backward }, 100 + n).await.batch_id());
    }
    let body = json!({ "creator": CREATOR, "contentIds": backward, "updates": { "title": "T" } });
    ids.push(scene.post("batch-update-metadata", &body).await.batch_id());
    let mining = scene.mine_every(Duration::from_millis(300));
    let messages = scene.world.seam.take_messages();
    let one = |place: usize| scene.world.deliver(std::slice::from_ref(&messages[place]));
    let told = tokio::join!(one(0), one(1), one(2), one(3));
    assert!([told.0, told.1, told.2, told.3].iter().all(Vec::is_empty));
    for id in &ids {
        let done = scene.run(id).await;
        let counts = (done["successCount"].as_u64().unwrap(), done["failureCount"].as_u64().unwrap());
        // Whoever keeps meeting the others fails with a code that says so, and may be sent again.
        assert_eq!((counts.0 + counts.1, &done["status"]), (20, &json!("completed")), "{done:#}");
        let codes: BTreeSet<&str> =
            done["results"].as_array().unwrap().iter().filter_map(|item| item["code"].as_str()).collect();
        assert!(codes.iter().all(|code| *code == "CONFLICT"), "{codes:?}");
    }
    mining.abort();
    for row in scene.rows(&forward).await {
        assert!((100..103).contains(&row["price"].as_u64().unwrap()) && row["title"] == "T", "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_of_retries_ends_and_acts_that_race_have_one_winner() {
    let scene = Scene::new(1).await;
    let mut id = scene.price(&["missing"], 1).await.batch_id();
    for attempt in 1..=4 {
        let early = scene.post(&format!("{id}/retry"), &json!({})).await;
        assert_eq!((early.status, &early.body["error"]), (409, &json!("BATCH_NOT_ENDED")));
        scene.run(&id).await;
        let calls = scene.post(&format!("{id}/retry"), &json!({ "only": "contract" })).await;
        let wanted = if attempt == 4 { "RETRY_LIMIT" } else { "NOTHING_TO_RETRY" };
        assert_eq!((calls.status, &calls.body["error"]), (409, &json!(wanted)), "{attempt}: {:#}", calls.body);
        let answer = scene.post(&format!("{id}/retry"), &json!({})).await;
        if attempt == 4 {
            assert_eq!((answer.status, &answer.body["error"]), (409, &json!("RETRY_LIMIT")));
        } else {
            assert_eq!(answer.status, 201, "{:#}", answer.body);
            id = answer.batch_id();
        }
    }
    for _ in 0..3 {
        let id = scene.price(&["c0"], 2).await.batch_id();
        let path = format!("/batches/{id}/cancel");
        let (body, retry) = (json!({}), format!("{id}/retry"));
        let cancel = || scene.world.post_as(&scene.key, &path, &body);
        let (one, two, three) = tokio::join!(cancel(), cancel(), scene.post(&retry, &body));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        assert!([201, 409].contains(&three.status), "{:#}", three.body);
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_is_removed_while_a_job_waits_is_told_as_missing() {
    let scene = Scene::new(2).await;
    let removal = json!({ "creator": CREATOR, "contentIds": ["c0"] });
    let removing = scene.post("batch-remove", &removal).await.batch_id();
    let price = scene.price(&["c0", "c1"], 9).await.batch_id();
    let again = scene.post("batch-remove", &removal).await.batch_id();
    let ended = [scene.run(&removing).await, scene.run(&price).await, scene.run(&again).await];
    let told: Vec<(Value, Value)> =
        ended.iter().map(|batch| (item(batch, "c0")["success"].clone(), item(batch, "c0")["error"].clone())).collect();
    let missing = (json!(false), json!("Content not found in database"));
    assert_eq!(told, [(json!(true), Value::Null), missing.clone(), missing]);
    assert_eq!(item(&ended[1], "c1")["success"], true);
    let retried = scene.post(&format!("{price}/retry"), &json!({})).await.batch_id();
    assert_eq!(scene.run(&retried).await["failureCount"], 1);
}
