//! What a later version stored, or what is damaged, is refused cleanly: nothing is written, and nobody else suffers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_core::batch::pack;
use batch_tests::World;
use serde_json::{Value, json};

use crate::{Left, Stored, fixture};

/// Deliveries after which a message goes to the dead-letter queue.
const DELIVERIES: usize = 5;

fn stored(world: &World) -> [Vec<Value>; 2] {
    ["BatchesTable", "RecordsTable"].map(|table| world.items(table))
}

fn head(name: &str, value: Value) -> Stored {
    let mut stored = fixture(Left::HalfDone);
    stored.head[name] = value;
    stored
}

fn state(name: &str, value: Value) -> Stored {
    let mut stored = fixture(Left::HalfDone);
    stored.state[name] = value;
    stored
}

fn packed(value: Value) -> Value {
    json!({ "B": STANDARD.encode(pack(&value).expect("packed")) })
}

/// Heads and states that only a later version can have written.
fn later() -> Vec<(&'static str, Stored)> {
    vec![
        ("a head of the next format", head("format", json!({ "N": "2" }))),
        ("a head of no format", head("format", json!({ "S": "1" }))),
        ("a contract", head("dialect", json!({ "S": "oracle" }))),
        ("a state of the next format", state("format", json!({ "N": "2" }))),
        ("a status", state("status", json!({ "S": "hibernating" }))),
        ("an end", state("cut", json!({ "S": "revoked" }))),
        ("a wide commit", state("wide", json!({ "S": r#"{"plan":"x"}"# }))),
        ("remains", state("stale", json!({ "S": "{}" }))),
    ]
}

/// Contents that cannot be read, under a head and a state that can.
fn unreadable() -> Vec<(&'static str, Stored)> {
    let upsert = json!({ "o": [{ "i": "c", "e": "customer", "a": "upsert" }] });
    vec![
        ("an action", head("operations", packed(upsert))),
        ("operations that are damaged", head("operations", json!({ "B": "AAAA" }))),
        ("a reason", state("results", packed(json!([{ "d": [] }, { "s": "z" }])))),
    ]
}

/// Whether an answer tells the client to come back, and nothing else.
fn is_opaque(answer: &batch_tests::Answer, status: u16, error: &str) {
    assert_eq!((answer.status, &answer.body["error"]), (status, &json!(error)), "{:#}", answer.body);
    assert_eq!(answer.header("retry-after"), "2");
    let text = answer.body.to_string();
    assert!(!["format", "version", "attribute", "A#"].iter().any(|word| text.contains(word)), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_a_later_version_stored_is_left_to_it() {
    for (what, later) in later().into_iter().chain(unreadable()) {
        let world = crate::world(Left::HalfDone).await;
        later.put(&world);
        let before = stored(&world);
        let message = [later.message.to_string()];
        for _ in 0..DELIVERIES {
            assert_eq!(world.deliver(&message).await, ["m0"], "{what}");
        }
        assert_eq!(stored(&world), before, "{what}");
        assert!(world.seam.take_messages().is_empty(), "{what}: nothing is sent on");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_a_later_version_stays_for_it() {
    for (what, later) in later() {
        let world = crate::world(Left::HalfDone).await;
        later.put(&world);
        let before = stored(&world);
        assert_eq!(world.deliver_dead(&[later.message.to_string()]).await, ["m0"], "{what}");
        assert_eq!(stored(&world), before, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_contents_cannot_be_read_is_given_up_in_the_end() {
    for (what, unreadable) in unreadable() {
        let world = crate::world(Left::HalfDone).await;
        unreadable.put(&world);
        assert!(world.deliver_dead(&[unreadable.message.to_string()]).await.is_empty(), "{what}");
        let batch = world.get(&format!("/batches/{}", unreadable.id())).await;
        assert_eq!((&batch.body["status"], &batch.body["summary"]["failed"]), (&json!("partial"), &json!(2)), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_a_batch_of_a_later_version_is_told_to_ask_again() {
    for (what, later) in later() {
        let world = crate::world(Left::HalfDone).await;
        later.put(&world);
        let before = stored(&world);
        let batch = format!("/batches/{}", later.id());
        for path in ["", "/results", "/failure-analysis"] {
            is_opaque(&world.get(&format!("{batch}{path}")).await, 500, "INTERNAL_ERROR");
        }
        for act in ["cancel", "pause", "resume", "retry"] {
            // Nothing was done, so it may be asked for again.
            is_opaque(&world.post_with(&format!("{batch}/{act}"), &[], &json!({})).await, 503, "NOT_STARTED");
        }
        assert_eq!(stored(&world), before, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_operations_cannot_be_read_still_tells_how_far_it_is() {
    for (what, unreadable) in unreadable() {
        let world = crate::world(Left::HalfDone).await;
        unreadable.put(&world);
        let batch = world.get(&format!("/batches/{}", unreadable.id())).await;
        assert_eq!((batch.status, &batch.body["status"]), (200, &json!("processing")), "{what}");
        is_opaque(&world.get(&format!("/batches/{}/results", unreadable.id())).await, 500, "INTERNAL_ERROR");
    }
}

#[tokio::test(start_paused = true)]
async fn the_neighbours_of_a_later_version_in_a_delivery_are_worked_on() {
    for (what, later) in later().into_iter().chain(unreadable()) {
        let world = crate::world(Left::HalfDone).await;
        later.put(&world);
        let operations: Vec<Value> = (0..2)
            .map(|n| json!({ "entity": "artist", "action": "create", "store_params": { "name": format!("N{n}") } }))
            .collect();
        let mut messages = Vec::new();
        let mut ids = Vec::new();
        for operation in operations {
            let body = json!({ "operations": [operation] });
            ids.push(world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id());
            messages.extend(world.seam.take_messages());
        }
        let next = later.message.to_string().replace("\"v\":1", "\"v\":2");
        let unknown = later.message.to_string().replace("execute", "archive");
        let bodies = [messages[0].clone(), next, later.message.to_string(), unknown, messages[1].clone()];
        assert_eq!(world.deliver(&bodies).await, ["m1", "m2", "m3"], "{what}");
        for id in ids {
            assert_eq!(world.get(&format!("/batches/{id}")).await.body["status"], "completed", "{what}");
        }
    }
}

/// Another batch of the same minute, whose message was never sent.
async fn lost(world: &World) -> String {
    let body = json!({ "operations": [{ "entity": "artist", "action": "create", "store_params": { "name": "N" } }] });
    let id = world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id();
    world.seam.take_messages();
    id
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_later_version_keeps_the_sweep_from_no_other() {
    for (what, later) in later() {
        let world = crate::world(Left::HalfDone).await;
        later.put(&world);
        let id = lost(&world).await;
        tokio::time::advance(std::time::Duration::from_mins(2)).await;
        let minute = json!({
            "version": "0", "id": "e", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
            "time": "2026-01-01T00:02:00Z", "region": "us-east-1", "resources": [], "detail": {},
        });
        world.deliver(&[minute.to_string()]).await;
        let sent: Vec<String> = world.seam.take_messages();
        assert!(sent.iter().any(|message| message.contains(&id)), "{what}: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_later_version_keeps_no_other_out_of_the_listing() {
    for (what, later) in later() {
        let world = crate::world(Left::HalfDone).await;
        later.put(&world);
        let id = lost(&world).await;
        let listed = world.get("/batches").await;
        assert_eq!(listed.status, 200, "{what}: {:#}", listed.body);
        let ids: Vec<&Value> = listed.body["data"].as_array().into_iter().flatten().map(|batch| &batch["id"]).collect();
        assert!(ids.contains(&&json!(id)), "{what}: {ids:?}");
    }
}
