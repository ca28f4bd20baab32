//! One message of a delivery never hurts another: not by what it holds, not by what the store does to its batch, not by
//! a panic. Only those that failed are delivered again.

use std::sync::Arc;
use std::time::Duration;

use batch_tests::World;
use batch_tests::seam::{Fault, Hook};
use serde_json::{Value, json};

/// Accepts a batch of one artist for the queue; its id and its message.
async fn queued(world: &World) -> (String, String) {
    let artist = json!({ "entity": "artist", "action": "create", "store_params": { "name": "N" } });
    let body = json!({ "operations": [artist], "options": { "timeout": 60_000 } });
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    (answer.batch_id(), world.seam.take_messages().remove(0))
}

async fn status(world: &World, id: &str) -> String {
    world.get(&format!("/batches/{id}")).await.body["status"].as_str().unwrap_or_default().to_owned()
}

fn panic() -> Fault {
    Fault::Before(Hook(Arc::new(|_| panic!("the store's client panics"))))
}

fn artists(world: &World) -> usize {
    let is_artist = |item: &&Value| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("T#t1#artist#"));
    world.items("RecordsTable").iter().filter(is_artist).count()
}

#[tokio::test(start_paused = true)]
async fn only_what_failed_is_delivered_again() {
    let world = World::new().await;
    let mut batches = Vec::new();
    for _ in 0..7 {
        batches.push(queued(&world).await);
    }
    let message = |n: usize| batches[n].1.clone();
    let unknown = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": format!("batch_{:032x}", 7) });
    let bodies = [
        message(0),
        "{".to_owned(),
        message(1),
        message(2),
        message(3).replace("\"v\":1", "\"v\":2"),
        message(4),
        unknown.to_string(),
        message(5),
        message(0).replace("\"t1\"", "\"t2\""),
        message(6),
    ];
    // What the store does to a batch, wherever one is named.
    world.seam.plan_wherever(&batches[1].0, Fault::Error(500, "InternalServerError"));
    world.seam.plan_wherever(&batches[2].0, panic());
    world.seam.plan_wherever(&batches[4].0, Fault::Hang);
    world.seam.plan_wherever(&batches[5].0, Fault::Error(400, "AccessDeniedException"));
    let before = tokio::time::Instant::now();
    assert_eq!(world.deliver(&bodies).await, ["m1", "m2", "m3", "m4", "m5", "m7"]);
    assert!(before.elapsed() < Duration::from_mins(1), "the function has a minute: {:?}", before.elapsed());
    let calls = world.seam.take_calls();
    let sent_on = calls.iter().filter(|call| call.operation == "ChangeMessageVisibility").count();
    assert_eq!(sent_on, 6, "each of them comes back soon");
    world.seam.clear();
    let mut told = Vec::new();
    for (id, _) in &batches {
        told.push(status(&world, id).await);
    }
    assert_eq!(told, ["completed", "pending", "pending", "pending", "pending", "pending", "completed"]);
    assert_eq!(artists(&world), 2);
    // What failed is none the worse for it.
    let again: Vec<String> = (1..=5).map(message).collect();
    assert!(world.deliver(&again).await.is_empty());
    assert_eq!(artists(&world), 7);
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_any_call_of_a_batch_costs_it_a_delivery_and_no_other_anything() {
    // Its read, the drawing of a key, its commit.
    for operation in ["Query", "UpdateItem", "TransactWriteItems"] {
        let world = World::new().await;
        let (first, second) = (queued(&world).await, queued(&world).await);
        world.seam.plan(operation, panic());
        assert_eq!(world.deliver(&[first.1.clone(), second.1]).await, ["m0"], "{operation}");
        assert_eq!(status(&world, &second.0).await, "completed", "{operation}");
        assert!(world.deliver(&[first.1]).await.is_empty());
        assert_eq!((status(&world, &first.0).await, artists(&world)), ("completed".into(), 2), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_each_on_their_own_too() {
    let world = World::new().await;
    let mut batches = Vec::new();
    for _ in 0..4 {
        batches.push(queued(&world).await);
    }
    world.seam.plan_wherever(&batches[1].0, Fault::Error(500, "InternalServerError"));
    world.seam.plan_wherever(&batches[2].0, panic());
    let bodies = [&batches[0].1, &batches[1].1, "no message", &batches[2].1, &batches[3].1].map(ToOwned::to_owned);
    assert_eq!(world.deliver_dead(&bodies).await, ["m1", "m2", "m3"]);
    world.seam.clear();
    for (place, end) in ["failed", "pending", "pending", "failed"].into_iter().enumerate() {
        assert_eq!(status(&world, &batches[place].0).await, end, "{place}");
    }
    assert_eq!(artists(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_minute_with_a_batch_whose_message_cannot_be_sent_is_told_again() {
    let world = World::new().await;
    let (first, second) = (queued(&world).await, queued(&world).await);
    tokio::time::advance(Duration::from_mins(2)).await;
    let minute = json!({
        "version": "0", "id": "e", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
        "time": "2026-01-01T00:02:00Z", "region": "us-east-1", "resources": [], "detail": {},
    })
    .to_string();
    // The id as it ends the message in the request that sends it; the sweep's reads name it too.
    let unsendable = format!("{}\\\"}}\",\"MessageGroupId", first.0);
    world.seam.plan_wherever(&unsendable, Fault::Error(500, "InternalServerError"));
    assert_eq!(world.deliver(&[minute.clone(), second.1.clone()]).await, ["m0"]);
    let sent = world.seam.take_messages();
    assert_eq!(sent, [second.1], "the other one is sent");
    world.seam.clear();
    assert!(world.deliver(&[minute]).await.is_empty());
    assert_eq!(world.seam.take_messages(), [first.1], "the second has ended since");
}
