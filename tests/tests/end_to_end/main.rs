//! The service as its clients meet it, over HTTP: the local one, or a deployment.
//!
//! Without settings each test starts the local service in memory. With `BASE_URL` and `BATCH_API_KEY` (or a token) they
//! are sent there. What needs the queues and the tables is done when `QUEUE_URL`, `DEAD_LETTER_QUEUE_URL` and
//! `BATCHES_TABLE` are given too, with AWS's own variables, and `BATCH_TENANT`, the tenant of the key (`demo`).
//! `scripts/rehearse` runs them so against an emulation of AWS.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod place;
mod queue;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use place::{Place, create};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

#[tokio::test]
async fn health_is_open_and_everything_else_wants_a_credential() {
    let place = Place::new().await;
    let open = place.client.get(place.url("/health")).send().await.unwrap();
    assert_eq!(open.status(), 200);
    for path in ["/capabilities", "/batches", "/batches/batch_0123456789abcdef0123456789abcdef"] {
        let closed = place.client.get(place.url(path)).send().await.unwrap();
        assert_eq!(closed.status(), 401, "{path}");
        let told: Value = closed.json().await.unwrap();
        assert_eq!(told["error"], "UNAUTHENTICATED", "{told:#}");
    }
}

#[tokio::test]
async fn a_batch_is_run_while_its_client_waits() {
    let place = Place::new().await;
    let album = json!({ "id": "album", "entity": "album", "action": "create", "store_params": { "title": "Notes", "artist_id": "$ref:ada.artist_id" } });
    let again = json!({ "id": "again", "entity": "artist", "action": "read", "query_params": { "artist_id": "$ref:ada.artist_id" }, "depends_on": ["album"] });
    let (status, told) = place.post("/batch", &[], &json!({ "operations": [album, again, create("ada")] })).await;
    assert_eq!((status, &told["success"]), (200, &json!(true)), "{told:#}");
    assert_eq!(told["executionOrder"], json!(["ada", "album", "again"]));
    let id = told["results"]["ada"]["data"][0]["artist_id"].clone();
    assert_eq!(told["results"]["album"]["data"][0]["artist_id"], id);
    assert_eq!(told["results"]["again"]["data"][0]["artist_id"], id);

    let id = told["batchId"].as_str().unwrap();
    let (status, batch) = place.get(&format!("/batches/{id}")).await;
    assert_eq!((status, &batch["status"], &batch["summary"]["successful"]), (200, &json!("completed"), &json!(3)));
    let (_, page) = place.get(&format!("/batches/{id}/results?limit=2")).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["hasMore"]), (2, &json!(true)), "{page:#}");
    let next = page["nextCursor"].as_str().unwrap();
    let (_, page) = place.get(&format!("/batches/{id}/results?limit=2&cursor={next}")).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["hasMore"]), (1, &json!(false)), "{page:#}");
    let (_, log) = place.get(&format!("/batches/{id}/audit")).await;
    assert!(log["data"].as_array().is_some_and(|log| log.len() >= 2), "{log:#}");
}

#[tokio::test]
async fn a_batch_in_the_background_is_run_from_the_queue() {
    let place = Place::new().await;
    let operations: Vec<Value> = (0..100).map(|n| create(&format!("a{n}"))).collect();
    let body = json!({ "operations": operations, "options": { "atomic": false } });
    let (status, told) = place.post("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!((status, &told["status"], &told["totalItems"]), (202, &json!("pending"), &json!(100)), "{told:#}");
    let batch = place.ended(told["batchId"].as_str().unwrap()).await;
    assert_eq!((&batch["status"], &batch["summary"]["successful"]), (&json!("completed"), &json!(100)), "{batch:#}");
}

#[tokio::test]
async fn what_fails_is_told_analysed_and_retried() {
    let place = Place::new().await;
    let missing = json!({ "id": "gone", "entity": "artist", "action": "update", "query_params": { "artist_id": 999_999_999 }, "store_params": { "name": "x" } });
    let after = json!({ "id": "after", "entity": "artist", "action": "create", "store_params": { "name": "y" }, "depends_on": ["gone"] });
    let body = json!({ "operations": [create("ada"), missing, after], "options": { "atomic": false, "continueOnError": true } });
    let (status, told) = place.post("/batch", &[], &body).await;
    assert_eq!((status, &told["status"]), (200, &json!("partial")), "{told:#}");
    let words = ["ada", "gone", "after"].map(|id| told["results"][id]["status"].as_str().unwrap());
    assert_eq!(words, ["completed", "failed", "skipped"], "{told:#}");
    let id = told["batchId"].as_str().unwrap();
    let (status, analysis) = place.get(&format!("/batches/{id}/failure-analysis")).await;
    assert_eq!(status, 200, "{analysis:#}");
    let (status, retried) = place.post(&format!("/batches/{id}/retry"), &[], &json!({})).await;
    assert_eq!((status, &retried["retryCount"]), (202, &json!(2)), "{retried:#}");
    let batch = place.ended(retried["newBatchId"].as_str().unwrap()).await;
    assert_eq!((&batch["status"], &batch["retryOf"]), (&json!("failed"), &json!(id)), "{batch:#}");
}

#[tokio::test]
async fn the_same_key_is_the_same_batch_and_another_body_is_refused() {
    let place = Place::new().await;
    let key = place.unique();
    let body = json!({ "operations": [create("ada")] });
    let (_, first) = place.post("/batch", &[("idempotency-key", &key)], &body).await;
    let (status, again) = place.post("/batch", &[("idempotency-key", &key)], &body).await;
    assert_eq!((status, &again["batchId"]), (200, &first["batchId"]));
    assert_eq!(again["results"], first["results"]);
    let other = json!({ "operations": [create("bob")] });
    let (status, refused) = place.post("/batch", &[("idempotency-key", &key)], &other).await;
    assert_eq!((status, &refused["error"]), (422, &json!("IDEMPOTENCY_KEY_REUSED")), "{refused:#}");
}

#[tokio::test]
async fn a_gzip_of_json_passes_the_gateway_untouched() {
    let place = Place::new().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(json!({ "operations": [create("ada")] }).to_string().as_bytes()).unwrap();
    let request = place.client.post(place.url("/batch")).bearer_auth(&place.key);
    let request = request.header(CONTENT_TYPE, "application/gzip").body(encoder.finish().unwrap());
    let told: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(told["success"], true, "{told:#}");
}

#[tokio::test]
async fn mistakes_are_told_with_their_place() {
    let place = Place::new().await;
    let wrong =
        json!({ "operations": [{ "entity": "artist", "action": "crate" }, { "entity": "nobody", "action": "read" }] });
    let (status, told) = place.post("/batch", &[], &wrong).await;
    assert_eq!((status, &told["error"]), (400, &json!("BATCH_VALIDATION_ERROR")), "{told:#}");
    let pointers: Vec<&str> =
        told["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert!(pointers.contains(&"/operations/0/action") && pointers.contains(&"/operations/1/entity"), "{pointers:?}");
    let (status, told) = place.get("/batches/batch_0123456789abcdef0123456789abcdef").await;
    assert_eq!((status, &told["error"]), (404, &json!("NOT_FOUND")), "{told:#}");
}
