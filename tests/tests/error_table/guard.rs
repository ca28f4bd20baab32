//! A condition failed: on the state, or on a row.

use batch_tests::seam::{Fault, dispatch};
use serde_json::json;

use crate::{before, commits, create, item, outcome, queued, raise, version, world};

#[tokio::test(start_paused = true)]
async fn ones_own_commit_is_recognised_when_the_store_has_forgotten_its_token() {
    for atomic in [true, false] {
        let world = world(1, 50).await;
        world.seam.plan("TransactWriteItems", Fault::ReplyLost);
        world.seam.plan("TransactWriteItems", Fault::TokenForgotten);
        // The row it made is there now, and must not be taken for another's.
        let mut batch = raise(1);
        batch.push(create("made", "account", json!({ "account_id": 5 })));
        let answer = world.run(batch, json!({ "atomic": atomic })).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{:#}", answer.body);
        assert_eq!((version(&world, 0), version(&world, 5)), (2, 1));
        assert!(world.seam.all_happened());
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_with_ones_own_mark_is_no_proof_of_a_commit() {
    let world = world(0, 50).await;
    let mark = before(
        |seam| {
            let calls = seam.take_calls();
            let [.., commit] = calls.as_slice() else { panic!("the commit is on its way") };
            let row = &commit.body["TransactItems"][1]["Put"];
            assert!(row["Item"]["_tx"]["S"].as_str().is_some_and(|mark| mark.starts_with("batch_")), "{row:#}");
            let put = json!({ "TableName": row["TableName"], "Item": row["Item"] });
            dispatch(seam.database(), "PutItem", put).expect("the row is there");
        },
        &world,
    );
    world.seam.plan("TransactWriteItems", mark);
    let answer = world.run(vec![create("made", "account", json!({ "account_id": 5 }))], json!({})).await;
    assert_eq!(outcome(&answer, "made"), "failed ALREADY_EXISTS", "only the state says what was committed");
    assert_eq!(version(&world, 5), 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_changes_before_each_commit_is_planned_for_eight_times_more() {
    let one_more = json!({
        "TableName": "RecordsTable", "Key": { "pk": { "S": "T#t1#account#0" } }, "UpdateExpression": "ADD #v :one",
        "ExpressionAttributeNames": { "#v": "_v" }, "ExpressionAttributeValues": { ":one": { "N": "1" } },
    });
    for (changes, told) in [(8, "completed"), (9, "failed CONFLICT")] {
        for atomic in [true, false] {
            let world = world(1, 50).await;
            for _ in 0..changes {
                let change = one_more.clone();
                let change = move |seam: &batch_tests::seam::Seam| {
                    dispatch(seam.database(), "UpdateItem", change.clone()).expect("the row is changed");
                };
                world.seam.plan("TransactWriteItems", before(change, &world));
            }
            let answer = world.run(raise(1), json!({ "atomic": atomic })).await;
            assert_eq!(outcome(&answer, "u0"), told, "{changes} changes, atomic {atomic}: {:#}", answer.body);
            let sent = commits(&world.seam.take_calls())
                .iter()
                .filter(|call| call.body.to_string().contains("account#0"))
                .count();
            assert_eq!(sent, 9, "{changes} changes, atomic {atomic}");
            let done = told == "completed";
            assert_eq!(version(&world, 0), 1 + changes + u64::from(done));
            let balance = &item(&world, "account#0")["f"]["M"]["available_balance"]["N"];
            assert_eq!(balance, if done { "11" } else { "10" });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_has_ended_meanwhile_is_told_as_it_ended() {
    let world = world(2, 50).await;
    let (id, messages) = queued(&world, raise(2), json!({})).await;
    let again = messages.clone();
    // The same message, delivered to another executor, is done before the commit of this one arrives.
    let other = world.clone();
    let twin = before(
        move |_| {
            let (other, again) = (other.clone(), again.clone());
            let twin = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                runtime.expect("a runtime").block_on(async { assert!(other.deliver(&again).await.is_empty()) });
            });
            twin.join().expect("the other executor does its work");
        },
        &world,
    );
    world.seam.plan("TransactWriteItems", twin);
    world.seam.take_calls();
    assert!(world.deliver(&messages).await.is_empty(), "its work is done, by whomever");
    let calls = world.seam.take_calls();
    let tokens: Vec<&str> =
        commits(&calls).iter().filter_map(|call| call.body["ClientRequestToken"].as_str()).collect();
    assert!(tokens.len() == 2 && tokens[0] != tokens[1], "one commit of each, none twice: {tokens:?}");
    assert_eq!(world.get(&format!("/batches/{id}")).await.body["status"], "completed");
    assert_eq!((version(&world, 0), version(&world, 1)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answers_are_all_lost_is_found_done() {
    let world = world(2, 50).await;
    let (id, messages) = queued(&world, raise(2), json!({})).await;
    for _ in 0..500 {
        world.seam.plan("TransactWriteItems", Fault::ReplyLost);
    }
    assert_eq!(world.deliver(&messages).await, ["m0"], "nobody told this executor");
    world.seam.clear();
    let calls = world.seam.take_calls();
    let (first, rest) = commits(&calls).split_first().map(|(first, rest)| (*first, rest.to_vec())).expect("commits");
    assert!(rest.len() > 10 && rest.iter().all(|call| call.body == first.body), "the same request, the same token");
    assert!(world.deliver(&messages).await.is_empty());
    assert_eq!(commits(&world.seam.take_calls()).len(), 0, "the state says that it is done");
    assert_eq!(world.get(&format!("/batches/{id}")).await.body["status"], "completed");
    assert_eq!((version(&world, 0), version(&world, 1)), (2, 2));
}
