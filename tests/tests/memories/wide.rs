//! Search rows of memories that an all-or-nothing batch of records writes under locks.

use std::sync::Arc;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use batch_tests::seam::{Fault, Hook};
use serde_json::{Value, json};

use super::setting::{adds_up, create, found, result, run};

const MEMORIES: usize = 5;

/// Transactions of four actions: two of locks, three of effects for five memories.
async fn small() -> (World, Vec<String>) {
    let model = Model::shipped().expect("the shipped model is right");
    let world = World::with(model, Limits { actions: 4, ..Limits::default() }).await;
    let operations: Vec<Value> = (0..MEMORIES).map(|n| create(&format!("heron {n}"))).collect();
    let answer = run(&world, json!(operations), json!({})).await;
    adds_up(&answer);
    let id = |n: usize| result(&answer, n)["id"].as_str().unwrap().to_owned();
    let ids = (0..MEMORIES).map(id).collect();
    (world, ids)
}

/// A batch that changes or deletes them all, whose process went away when it was committed and so many transactions of
/// effects were written.
async fn left_alone(world: &World, ids: &[String], deletes: bool, written: usize) -> String {
    let operation = |id: &String| {
        if deletes {
            json!({ "entity": "memory", "action": "delete", "query_params": { "id": id } })
        } else {
            json!({ "entity": "memory", "action": "update", "query_params": { "id": id }, "store_params": { "content": "swan" } })
        }
    };
    let body = json!({ "operations": ids.iter().map(operation).collect::<Vec<_>>() });
    let id = world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id();
    let messages = world.seam.take_messages();
    for (operation, passed) in [("TransactWriteItems", 2 + written), ("PutItem", 3)] {
        for _ in 0..passed {
            world.seam.plan(operation, Fault::Before(Hook(Arc::new(|_| {}))));
        }
        for _ in 0..300 {
            world.seam.plan(operation, Fault::RequestLost);
        }
    }
    assert_eq!(world.deliver(&messages).await, ["m0"], "the message comes again");
    world.seam.clear();
    id
}

async fn finish(world: &World, id: &str) {
    let message = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }).to_string();
    assert_eq!(world.deliver(&[message]).await, Vec::<String>::new());
    assert_eq!(world.get(&format!("/batches/{id}")).await.body["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_wide_commit_that_is_finished_by_another_leaves_the_search_rows_of_its_memories() {
    for written in 0..=3 {
        for deletes in [false, true] {
            let (world, ids) = small().await;
            let id = left_alone(&world, &ids, deletes, written).await;
            finish(&world, &id).await;
            let swans = if deletes { 0 } else { MEMORIES as u64 };
            assert_eq!((found(&world, "heron").await.1, found(&world, "swan").await.1), (0, swans), "{written}");
            assert_eq!(world.items("SearchTable").len(), if deletes { 0 } else { MEMORIES });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_write_in_between_is_not_undone_by_effects_that_come_late() {
    for written in 0..=3 {
        let (world, ids) = small().await;
        let id = left_alone(&world, &ids, false, written).await;
        // They meet its lock, write what it has decided about this memory, and then their own.
        for memory in &ids {
            let later = json!([{ "type": "update", "id": memory, "data": { "content": "crane" } }]);
            adds_up(&run(&world, later, json!({})).await);
        }
        finish(&world, &id).await;
        assert_eq!((found(&world, "swan").await.1, found(&world, "crane").await.1), (0, MEMORIES as u64), "{written}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_each_transaction_is_made_good() {
    for skipped in 0..5 {
        let (world, ids) = small().await;
        for _ in 0..skipped {
            world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(|_| {}))));
        }
        world.seam.plan("TransactWriteItems", Fault::ReplyLost);
        world.seam.plan("TransactWriteItems", Fault::TokenForgotten);
        let update = |id: &String| json!({ "entity": "memory", "action": "update", "query_params": { "id": id }, "store_params": { "content": "swan" } });
        let answer = world.run(ids.iter().map(update).collect(), json!({})).await;
        assert_eq!(answer.body["status"], "completed", "{skipped}: {:#}", answer.body);
        assert_eq!(found(&world, "swan").await.1, MEMORIES as u64);
    }
}
