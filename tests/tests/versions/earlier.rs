//! What an earlier version stored goes on under this one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::batch::unpack;
use batch_tests::World;
use serde_json::{Value, json};

use crate::{Left, Stored, fixture, stored_now, world};

/// Runs what is stored to its end; what it came to.
async fn run(left: Left, stored: &Stored) -> World {
    let world = world(left).await;
    stored.put(&world);
    let before = world.get(&format!("/batches/{}", stored.id())).await;
    assert_eq!((before.status, &before.body["status"]), (200, &json!("processing")), "{:#}", before.body);
    assert!(world.deliver(&[stored.message.to_string()]).await.is_empty(), "{:#}", stored.head);
    world
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_version_1_left_half_done_is_run_to_its_end() {
    let stored = fixture(Left::HalfDone);
    let world = run(Left::HalfDone, &stored).await;
    let batch = world.get(&format!("/batches/{}", stored.id())).await.body;
    assert_eq!((&batch["status"], &batch["reference"]), (&json!("completed"), &json!("import-7")), "{batch:#}");
    assert_eq!(batch["summary"], json!({ "total": 4, "successful": 4, "failed": 0, "skipped": 0, "pending": 0 }));
    let results = world.get(&format!("/batches/{}/results", stored.id())).await.body;
    let row = |place: usize| results["data"][place]["data"][0].clone();
    assert_eq!(row(0)["email"], "ada@example.com", "as version 1 had it");
    assert_eq!((&row(2)["invoice_id"], &row(2)["quantity"]), (&row(1)["invoice_id"], &json!(2)), "{results:#}");
    assert_eq!((&row(3)["city"], &row(3)["version"]), (&json!("London"), &json!(2)));
    let rows = world.items("RecordsTable");
    let of = |pk: &str| rows.iter().find(|row| row["pk"]["S"] == pk).cloned().unwrap_or_default();
    assert_eq!(of("T#t1#customer#1")["_v"]["N"], "2", "made once, changed once");
    assert_eq!(of("T#t1#N#invoice#1")["n"]["N"], "1");
    assert_eq!(of("T#t1#invoice_line#2")["f"]["M"]["quantity"]["N"], "2", "the next integer key is drawn: {rows:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_version_1_committed_and_had_still_to_install_is_installed() {
    let stored = fixture(Left::Committed);
    assert!(stored.rows.iter().filter(|row| row.get("_lk").is_some()).count() >= 9, "every key is locked");
    let world = run(Left::Committed, &stored).await;
    let batch = world.get(&format!("/batches/{}", stored.id())).await.body;
    assert_eq!((&batch["status"], &batch["summary"]["successful"]), (&json!("completed"), &json!(3)), "{batch:#}");
    let rows = world.items("RecordsTable");
    assert!(rows.iter().all(|row| row.get("_lk").is_none()), "{rows:#?}");
    let names: Vec<&Value> =
        rows.iter().map(|row| &row["f"]["M"]["first_name"]["S"]).filter(|name| !name.is_null()).collect();
    assert_eq!(names.len(), 3);
    let results = world.get(&format!("/batches/{}/results", stored.id())).await.body;
    for (place, name) in ["ada", "bob", "cleo"].into_iter().enumerate() {
        assert_eq!(results["data"][place]["data"][0]["first_name"], name, "{results:#}");
        assert!(names.contains(&&json!(name)), "{names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_or_was_not_yet_stored_is_no_obstacle() {
    let mut bare = fixture(Left::HalfDone);
    for (name, of_head) in [("background", true), ("reference", true), ("g_reference", true), ("paused_ms", false)] {
        let mut stored = fixture(Left::HalfDone);
        for stored in [&mut stored, &mut bare] {
            let item = if of_head { &mut stored.head } else { &mut stored.state };
            assert!(item.as_object_mut().expect("an item").shift_remove(name).is_some(), "{name}");
        }
        let world = run(Left::HalfDone, &stored).await;
        assert_eq!(world.get(&format!("/batches/{}", stored.id())).await.body["status"], "completed", "{name}");
    }
    // An attribute, an option and a field of a message that nobody knows any more.
    bare.head["obsolete"] = json!({ "S": "x" });
    bare.state["obsolete"] = json!({ "L": [] });
    bare.message["obsolete"] = json!(true);
    let mut options: Value = serde_json::from_str(bare.head["options"]["S"].as_str().expect("text")).expect("JSON");
    options["obsolete"] = json!(7);
    options.as_object_mut().expect("options").shift_remove("t");
    bare.head["options"]["S"] = options.to_string().into();
    let world = run(Left::HalfDone, &bare).await;
    let batch = world.get(&format!("/batches/{}", bare.id())).await.body;
    assert_eq!((&batch["status"], &batch["reference"]), (&json!("completed"), &Value::Null));
}

/// What an attribute holds: packed bytes as JSON, everything else as it is.
fn opened(name: &str, value: &Value) -> Value {
    if !matches!(name, "operations" | "results" | "bytes") {
        return value.clone();
    }
    let bytes = STANDARD.decode(value["B"].as_str().expect("bytes")).expect("base64");
    unpack(&bytes).expect("packed JSON")
}

/// Made by chance, or following from it.
const CHANCE: [&str; 12] =
    ["pk", "sk", "seed", "nonce", "_tx", "_lk", "g_watch", "batch_id", "wide", "attempt", "bytes", "updated"];

#[tokio::test(start_paused = true)]
async fn this_version_stores_all_that_version_1_knows_of() {
    for left in [Left::HalfDone, Left::Committed] {
        let (then, now) = (fixture(left), stored_now(left).await);
        same("message", &then.message, &now.message);
        same("head", &then.head, &now.head);
        same("state", &then.state, &now.state);
        assert_eq!((now.rest.len(), now.rows.len()), (then.rest.len(), then.rows.len()), "{left:?}");
        then.rest.iter().zip(&now.rest).for_each(|(then, now)| same("rest", then, now));
        then.rows.iter().zip(&now.rows).for_each(|(then, now)| same("row", then, now));
    }
}

/// Whether `now` is `then`, or has more: JSON texts inside of what is stored may have grown.
fn includes(now: &Value, then: &Value) -> bool {
    let inner = |value: &Value| value["S"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    match (now, then) {
        (Value::Object(after), Value::Object(before)) => {
            let grown = |name: &String, value: &Value| after.get(name).is_some_and(|now| includes(now, value));
            inner(now).zip(inner(then)).is_some_and(|(now, then)| now.is_object() && includes(&now, &then))
                || before.iter().all(|(name, value)| grown(name, value))
        }
        _ => now == then,
    }
}

/// What is stored now has each attribute that was stored then, with the same value, or by chance another of its type.
fn same(what: &str, then: &Value, now: &Value) {
    for (name, before) in then.as_object().expect("an item") {
        let Some(after) = now.get(name) else { panic!("{what}: {name} is stored no more") };
        if CHANCE.contains(&name.as_str()) {
            let kind = |value: &Value| value.as_object().and_then(|value| value.keys().next().cloned());
            assert_eq!(kind(after), kind(before), "{what}: {name}");
        } else {
            assert!(includes(&opened(name, after), &opened(name, before)), "{what}: {name}: {after} was {before}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_version_1_accepted_is_still_the_same_request() {
    // Its key names the batch, and the hash of its body tells whether it is the same request.
    let world = world(Left::HalfDone).await;
    let headers = [("idempotency-key", "k"), ("prefer", "respond-async")];
    let answer = world.post_with("/batch", &headers, &Left::HalfDone.body()).await;
    let head = world.items("BatchesTable").into_iter().find(|item| item["sk"]["S"] == "A#HEAD").expect("the head");
    // UUIDv5 of t1, alice, /batch and k.
    assert_eq!(answer.batch_id(), "batch_f354b5e1b3a05d5d92d4d160dec86742");
    assert_eq!(head["hash"], fixture(Left::HalfDone).head["hash"]);
}
