//! What stays open is looked at again, ever more rarely, until it has ended.

use std::time::Duration;

use super::*;

async fn sweep(world: &World) {
    let time = world.app.clock().now().to_string();
    let event = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
    assert_eq!(world.deliver(&[event]).await, Vec::<String>::new());
}

fn watched(world: &World) -> usize {
    world.items("BatchesTable").iter().filter(|item| item["sk"]["S"] == "WATCH").count()
}

/// A sweep in each of the next minutes; how many messages each of those sent that sent any, with its minute.
async fn minutes(world: &World, count: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    for minute in 1..=count {
        tokio::time::advance(Duration::from_mins(1)).await;
        sweep(world).await;
        if !world.seam.take_messages().is_empty() {
            sent.push(minute);
        }
    }
    sent
}

async fn in_the_background(world: &World) -> String {
    let body = json!({ "operations": [place(0)] });
    let id = world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id();
    world.seam.take_messages();
    id
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_messages_are_lost_is_sent_again_at_doubling_times() {
    let world = small().await;
    let id = in_the_background(&world).await;
    // At 2, 5 and 15 minutes; then 15 minutes after that, looked at three times again, and so on.
    assert_eq!(minutes(&world, 100).await, [2, 5, 15, 32, 35, 45, 77, 80, 90]);
    assert_eq!((status_of(&world, &id), watched(&world)), (String::new(), 1));
    assert_eq!(run(&world, &id).await, "timed_out", "its hour is over");
    assert_eq!(minutes(&world, 70).await, [0; 0]);
    assert_eq!(watched(&world), 0, "what has ended is watched no more");
}

async fn run(world: &World, id: &str) -> String {
    let message = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }).to_string();
    assert_eq!(world.deliver(&[message]).await, Vec::<String>::new());
    status_of(world, id)
}

#[tokio::test(start_paused = true)]
async fn a_batch_paused_for_a_day_ends() {
    let world = small().await;
    let id = in_the_background(&world).await;
    assert_eq!(world.post_with(&format!("/batches/{id}/pause"), &[], &json!({})).await.status, 200);
    assert_eq!(minutes(&world, 24 * 60).await, [0; 0], "a paused batch needs nothing");
    assert_eq!(status_of(&world, &id), "paused");
    assert_eq!(minutes(&world, 5).await, [2, 5]);
    assert_eq!(run(&world, &id).await, "timed_out");
    assert_eq!(records(&world), [Value::Null; 0]);
    minutes(&world, 60).await;
    assert_eq!(watched(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_batch_is_watched_like_any_other() {
    let world = small().await;
    let id = in_the_background(&world).await;
    assert_eq!(world.post_with(&format!("/batches/{id}/pause"), &[], &json!({})).await.status, 200);
    minutes(&world, 3 * 60).await;
    assert_eq!(world.post_with(&format!("/batches/{id}/resume"), &[], &json!({})).await.status, 200);
    world.seam.take_messages();
    assert!(!minutes(&world, 6 * 60).await.is_empty(), "its lost message is sent again");
    assert_eq!(run(&world, &id).await, "timed_out");
}

#[tokio::test(start_paused = true)]
async fn locks_that_an_ended_batch_left_are_found_and_taken_off() {
    let world = small().await;
    places(&world, 6).await;
    let body = json!({ "operations": marks(6, "second") });
    let id = world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id();
    let messages = world.seam.take_messages();
    cut_off(&world, 1, 2);
    world.deliver(&messages).await;
    world.seam.clear();
    assert_eq!(world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await.status, 200);
    world.seam.take_messages();
    assert_eq!(locked(&world).len(), 3);
    assert_eq!(minutes(&world, 2).await, [2]);
    assert_eq!(run(&world, &id).await, "cancelled");
    assert_eq!(locked(&world), [""; 0]);
}
