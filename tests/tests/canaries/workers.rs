//! What reaches the functions otherwise: messages, damaged items, and panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::app::{App, Parts};
use batch_core::batch::pack;
use batch_core::limits::Limits;
use batch_core::logging;
use batch_core::model::Model;
use batch_core::runtime::{Clock, Timestamp};
use batch_tests::seam::{Seam, dispatch};
use batch_tests::{Lines, World, config};
use lambda_http::{Body, RequestExt};
use serde_json::{Value, json};

use super::requests::{NO_BATCH, good};
use super::scene::{Marks, Scene};

#[tokio::test(start_paused = true)]
async fn nothing_of_a_message_is_logged_but_the_id_of_its_batch() {
    let mut scene = Scene::new(true).await;
    let marks = &mut scene.marks;
    let bodies: Vec<String> = vec![
        marks.mark("message"),
        format!("{{\"{}", marks.mark("broken message")),
        json!({ "v": marks.mark("version"), "kind": "execute", "tenant": "t1", "batch_id": NO_BATCH }).to_string(),
        json!({ "v": 1, "kind": marks.mark("kind"), "tenant": "t1", "batch_id": NO_BATCH }).to_string(),
        json!({ "v": 1, "kind": "execute", "tenant": format!("{}#", marks.mark("bad tenant")), "batch_id": NO_BATCH })
            .to_string(),
        json!({ "v": 1, "kind": "execute", "tenant": marks.mark("unknown tenant"), "batch_id": NO_BATCH }).to_string(),
        json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": marks.mark("bad batch id") }).to_string(),
        json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": NO_BATCH, "x": marks.mark("more in a message") })
            .to_string(),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": marks.mark("time of an event") })
            .to_string(),
        json!({ "source": marks.mark("source of an event"), "detail-type": marks.mark("type of an event") }).to_string(),
    ];
    for _ in 0..2 {
        scene.world.deliver(&bodies).await;
        scene.world.deliver_dead(&bodies).await;
    }
    scene.check(&["message cannot be read", "dead letter cannot be read", "no such batch", NO_BATCH]);
}

/// A stored item, changed.
fn spoil(scene: &Scene, id: &str, sk: &str, name: &str, value: &Value) {
    let key = json!({ "pk": { "S": format!("T#t1#B#{id}") }, "sk": { "S": sk } });
    let body = json!({
        "TableName": "BatchesTable", "Key": key, "UpdateExpression": "SET #n = :v",
        "ExpressionAttributeNames": { "#n": name }, "ExpressionAttributeValues": { ":v": value },
    });
    dispatch(scene.world.seam.database(), "UpdateItem", body).expect("the item is spoiled");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_damaged_item_is_logged() {
    let mut scene = Scene::new(true).await;
    let text = |marks: &mut Marks, place: &str| json!({ "S": marks.mark(place) });
    let odd = json!({ "o": [{ "id": scene.marks.mark("stored id"), "action": scene.marks.mark("stored action"), scene.marks.mark("stored name"): 1 }] });
    let packed = STANDARD.encode(pack(&odd).expect("it is packed"));
    let garbage = STANDARD.encode(scene.marks.mark("stored bytes"));
    for (sk, name, value) in [
        ("A#HEAD", "operations", json!({ "B": packed })),
        ("A#HEAD", "operations", json!({ "B": garbage })),
        ("A#HEAD", "caller", text(&mut scene.marks, "stored caller")),
        ("A#HEAD", "options", json!({ "S": format!("{{\"a\":\"{}\"}}", scene.marks.mark("stored options")) })),
        ("A#HEAD", "dialect", text(&mut scene.marks, "stored dialect")),
        ("A#HEAD", "created", text(&mut scene.marks, "stored time")),
        ("A#STATE", "status", text(&mut scene.marks, "stored status")),
        ("A#STATE", "summary", text(&mut scene.marks, "stored summary")),
        ("A#STATE", "segments", text(&mut scene.marks, "stored segments")),
    ] {
        let sync = sk == "A#STATE";
        let prefer = if sync { "return=minimal" } else { "respond-async" };
        let answer = scene.world.post_with("/batch", &[("prefer", prefer)], &good(&mut scene.marks)).await;
        let id = answer.batch_id();
        spoil(&scene, &id, sk, name, &value);
        let messages = scene.world.seam.take_messages();
        scene.world.deliver(&messages).await;
        scene.world.deliver_dead(&messages).await;
        for target in [
            format!("/batches/{id}"),
            format!("/batches/{id}/results"),
            format!("/batches/{id}/audit"),
            "/batches".to_owned(),
        ] {
            scene.look(&scene.world.get(&target).await);
        }
        scene.look(&scene.world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await);
        tokio::time::advance(std::time::Duration::from_mins(2)).await;
        let time = scene.world.app.clock().now().to_string();
        let tick = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
        scene.world.deliver(&[tick]).await;
        scene.world.seam.take_messages();
    }
    scene.check(&[
        "stored bytes cannot be read",
        "attribute caller is missing or of another type",
        "batch cannot be listed",
    ]);
}

/// A clock that panics, with a secret, when it has been asked so many times.
fn failing(clock: Clock, left: &Arc<AtomicI64>, secret: String) -> Clock {
    let left = left.clone();
    Clock::from_fn(move || {
        assert!(left.fetch_sub(1, Ordering::Relaxed) != 1, "the clock stopped at {secret}");
        Timestamp(clock.now().0)
    })
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_logged_by_its_place_and_answered_opaquely() {
    let (lines, _logging) = Lines::listen(tracing::Level::TRACE);
    // As the functions have it; and then what a test that fails needs.
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        logging::panicked(panic);
        shown(panic);
    }));
    let mut marks = Marks::default();
    let secret = marks.mark("message of a panic");
    let left = Arc::new(AtomicI64::new(i64::MAX));
    let seam = Seam::new(batch_local::database_in_memory().expect("a database"));
    let clock = failing(batch_tests::fixed_clock(), &left, secret);
    let parts = Parts { http: Some(seam.client()), clock, limits: Limits::default(), ..Parts::default() };
    let app = App::assemble(config(), Model::shipped().expect("a model"), parts).expect("it starts");
    let key = batch_tests::caller(&app, "t1", "alice", &[]).await;
    marks.also("API key", &key);
    let body = good(&mut marks).to_string();
    let mut failed = 0;
    for asked in 1..60 {
        left.store(asked, Ordering::Relaxed);
        let request = lambda_http::http::Request::builder()
            .method("POST")
            .uri("https://api.example.com/batch")
            .header("x-api-key", &key)
            .header("content-type", "application/json")
            .body(Body::Text(body.replace("example.com", &format!("{asked}.example.com"))));
        let request = request.expect("a request").with_raw_http_path("/batch");
        let answer = submit::handle(&app, request).await;
        left.store(i64::MAX, Ordering::Relaxed);
        let status = answer.status().as_u16();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(matches!(status, 200 | 202) || marks.found(&text).is_empty(), "{text}");
        if status == 500 {
            failed += 1;
            let told: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(told["error"], "OUTCOME_UNKNOWN");
            assert!(
                told["requestId"].as_str().is_some_and(|id| !id.is_empty()) && told["details"].is_object(),
                "{told}"
            );
            assert_eq!(answer.headers()["content-type"], "application/json");
        }
    }
    assert!(failed > 5, "{failed} panics");
    let text = lines.text();
    assert_eq!(marks.found(&text), [""; 0], "{text}");
    assert!(text.contains("working on a request panicked") && text.contains("canaries/workers.rs:"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn levels_are_words_and_the_sdk_is_never_verbose() {
    // What an operator can set is one of five words; the SDK is held to warnings at each of them.
    let scene = Scene::new(true).await;
    let world: &World = &scene.world;
    world.get("/batches").await;
    assert!(!scene.lines.text().contains("aws_"), "{}", scene.lines.text());
}
