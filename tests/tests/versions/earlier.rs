//! What an earlier version stored goes on under this one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::batch::unpack;
use batch_tests::World;
use serde_json::{Value, json};

use crate::{Stored, fixture, stored_now, world};

/// Runs what is stored to its end; what it came to.
async fn run(stored: &Stored) -> World {
    let world = world().await;
    stored.put(&world);
    let before = world.get(&format!("/batches/{}", stored.id())).await;
    assert_eq!((before.status, &before.body["status"]), (200, &json!("processing")), "{:#}", before.body);
    assert_eq!(before.body["summary"]["successful"], 2);
    assert!(world.deliver(&[stored.message.to_string()]).await.is_empty(), "{:#}", stored.head);
    world
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_version_1_left_half_done_is_run_to_its_end() {
    let stored = fixture();
    let world = run(&stored).await;
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
async fn what_is_no_longer_or_was_not_yet_stored_is_no_obstacle() {
    let mut bare = fixture();
    for (name, of_head) in [("background", true), ("reference", true), ("g_reference", true), ("paused_ms", false)] {
        let mut stored = fixture();
        for stored in [&mut stored, &mut bare] {
            let item = if of_head { &mut stored.head } else { &mut stored.state };
            assert!(item.as_object_mut().expect("an item").shift_remove(name).is_some(), "{name}");
        }
        let world = run(&stored).await;
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
    let world = run(&bare).await;
    let batch = world.get(&format!("/batches/{}", bare.id())).await.body;
    assert_eq!((&batch["status"], &batch["reference"]), (&json!("completed"), &Value::Null));
}

/// What an attribute holds: packed bytes as JSON, everything else as it is.
fn opened(name: &str, value: &Value) -> Value {
    if !matches!(name, "operations" | "results") {
        return value.clone();
    }
    let bytes = STANDARD.decode(value["B"].as_str().expect("bytes")).expect("base64");
    unpack(&bytes).expect("packed JSON")
}

/// Made by chance, or following from it.
const CHANCE: [&str; 6] = ["pk", "seed", "nonce", "_tx", "g_watch", "batch_id"];

#[tokio::test(start_paused = true)]
async fn this_version_stores_all_that_version_1_knows_of() {
    let (then, now) = (fixture(), stored_now().await);
    for (what, then, now) in
        [("message", &then.message, &now.message), ("head", &then.head, &now.head), ("state", &then.state, &now.state)]
    {
        for (name, before) in then.as_object().expect("an item") {
            let Some(after) = now.get(name) else { panic!("{what}: {name} is stored no more") };
            if !CHANCE.contains(&name.as_str()) {
                assert_eq!(opened(name, after), opened(name, before), "{what}: {name}");
            }
        }
    }
    assert_eq!(now.rows.len(), then.rows.len());
    for (before, after) in then.rows.iter().zip(&now.rows) {
        let known = before.as_object().expect("an item").iter().filter(|(name, _)| *name != "_tx");
        known.for_each(|(name, value)| assert_eq!(&after[name], value, "{name} of {after:#}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_version_1_accepted_is_still_the_same_request() {
    // Its key names the batch, and the hash of its body tells whether it is the same request.
    let world = world().await;
    let headers = [("idempotency-key", "k"), ("prefer", "respond-async")];
    let options = json!({ "atomic": false, "continueOnError": true, "max_retries": 1, "timeout": 60_000, "reference": "import-7" });
    let body = json!({ "operations": crate::operations(), "options": options });
    let answer = world.post_with("/batch", &headers, &body).await;
    let head = world.items("BatchesTable").into_iter().find(|item| item["sk"]["S"] == "A#HEAD").expect("the head");
    // UUIDv5 of t1, alice, /batch and k.
    assert_eq!(answer.batch_id(), "batch_f354b5e1b3a05d5d92d4d160dec86742");
    assert_eq!(head["hash"], fixture().head["hash"]);
}
