//! Answers that are lost, late or strange: the effect is installed once, and told.

use batch_tests::World;
use batch_tests::seam::Fault;
use serde_json::{Value, json};

use crate::{accounts, balance, cut_off, given, of, outcome, read, token, update, version};

fn raise(account: usize) -> Value {
    update("u", "account", json!({ "account_id": account }), json!({ "available_balance": 11 }))
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_sent_again_as_it_was_with_the_same_token() {
    let faults = [
        Fault::ReplyLost,
        Fault::RequestLost,
        Fault::Error(400, "ThrottlingException"),
        Fault::Error(400, "ProvisionedThroughputExceededException"),
        Fault::Error(400, "RequestLimitExceeded"),
        Fault::Error(400, "TransactionInProgressException"),
        Fault::Error(500, "InternalServerError"),
        Fault::Garbled,
    ];
    for fault in faults {
        for atomic in [true, false] {
            let world = World::new().await;
            given(&world, accounts(1)).await;
            world.seam.plan("TransactWriteItems", fault.clone());
            let answer = world.run(vec![raise(0)], json!({ "atomic": atomic })).await;
            assert_eq!((answer.status, outcome(&answer, "u")), (200, "completed".into()), "{fault:?}");
            assert_eq!((balance(&world, 0), version(&world, "account#0")), ("11".into(), 2), "{fault:?}");
            let calls = world.seam.take_calls();
            let commits = of(&calls, "TransactWriteItems");
            assert_eq!(commits.len(), 2, "{fault:?}");
            assert_eq!(token(commits[0]), token(commits[1]), "{fault:?}");
            assert_eq!(token(commits[0]).len(), 32, "{fault:?}");
            assert!(world.seam.all_happened());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_by_the_state_when_the_token_is_forgotten() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    world.seam.plan("TransactWriteItems", Fault::ReplyLost);
    world.seam.plan("TransactWriteItems", Fault::Error(400, "IdempotentParameterMismatchException"));
    let answer = world.run(vec![raise(0)], json!({})).await;
    assert_eq!((answer.status, outcome(&answer, "u")), (200, "completed".into()), "{:#}", answer.body);
    assert_eq!(version(&world, "account#0"), 2);
    let calls = world.seam.take_calls();
    assert_eq!((of(&calls, "TransactWriteItems").len(), of(&calls, "Query").len()), (2, 1), "the state is read");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_followed_by_a_new_one() {
    for before in [0, 1] {
        let world = crate::chunked(1).await;
        given(&world, accounts(2)).await;
        for _ in 0..before {
            world.seam.plan("TransactWriteItems", crate::nothing());
        }
        world.seam.plan("TransactWriteItems", Fault::Error(400, "IdempotentParameterMismatchException"));
        let second = update("v", "account", json!({ "account_id": 1 }), json!({ "available_balance": 12 }));
        let answer = world.run(vec![raise(0), second], json!({ "atomic": false })).await;
        assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
        assert_eq!((version(&world, "account#0"), version(&world, "account#1")), (2, 2));
        let calls = world.seam.take_calls();
        let commits = of(&calls, "TransactWriteItems");
        assert_eq!(commits.len(), 3);
        assert_ne!(token(commits[before]), token(commits[before + 1]));
    }
}

#[tokio::test(start_paused = true)]
async fn every_commit_has_a_token_of_its_own_and_the_sdk_makes_none_up() {
    let world = crate::chunked(2).await;
    given(&world, accounts(6)).await;
    let updates = (0..6)
        .map(|n| update(&format!("u{n}"), "account", json!({ "account_id": n }), json!({ "available_balance": n })));
    world.run(updates.collect(), json!({ "atomic": false })).await;
    let calls = world.seam.take_calls();
    let mut tokens: Vec<&str> = of(&calls, "TransactWriteItems").into_iter().map(token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    assert!(calls.iter().all(|call| !call.body.to_string().contains("never-used")));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_acceptance_or_to_a_state_alone_changes_nothing() {
    for place in [0, 1] {
        let world = World::new().await;
        given(&world, accounts(1)).await;
        if place == 1 {
            world.seam.plan("PutItem", crate::nothing());
        }
        world.seam.plan("PutItem", Fault::ReplyLost);
        // Nothing is written but the head and, at the end, the state.
        let answer =
            world.run(vec![read("r", "account", json!({ "account_id": 0 }))], json!({ "atomic": false })).await;
        assert_eq!((answer.status, outcome(&answer, "r")), (200, "completed".into()), "{:#}", answer.body);
        assert_eq!(answer.header("idempotent-replayed"), "");
        assert!(world.seam.all_happened());
    }
}

#[tokio::test(start_paused = true)]
async fn integer_keys_stay_unique_when_the_answer_to_their_drawing_is_lost() {
    let world = World::new().await;
    // The first is the caller's quota.
    world.seam.plan("UpdateItem", crate::nothing());
    world.seam.plan("UpdateItem", Fault::ReplyLost);
    let artists =
        |n: usize| (0..n).map(|n| crate::create(&format!("a{n}"), "artist", json!({ "name": format!("N{n}") })));
    let first = world.run(artists(3).collect(), json!({})).await;
    let second = world.run(artists(3).collect(), json!({})).await;
    let id = |answer: &batch_tests::Answer, n: usize| {
        answer.body["results"][format!("a{n}")]["data"][0]["artist_id"].to_string()
    };
    let mut ids: Vec<String> = (0..3).flat_map(|n| [id(&first, n), id(&second, n)]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_stay_unprocessed_are_asked_for_again() {
    let world = World::new().await;
    given(&world, accounts(30)).await;
    world.seam.plan("BatchGetItem", Fault::Unprocessed(10));
    world.seam.plan("BatchGetItem", Fault::Unprocessed(5));
    let updates = (0..30)
        .map(|n| update(&format!("u{n}"), "account", json!({ "account_id": n }), json!({ "available_balance": 7 })));
    let answer = world.run(updates.collect(), json!({ "atomic": false })).await;
    assert_eq!(answer.body["summary"]["successful"], 30, "{:#}", answer.body);
    let calls = world.seam.take_calls();
    let asked: Vec<usize> = of(&calls, "BatchGetItem")
        .into_iter()
        .map(|call| call.body["RequestItems"]["RecordsTable"]["Keys"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(asked, [30, 20, 15]);
}

#[tokio::test(start_paused = true)]
async fn a_sync_batch_that_cannot_be_committed_in_time_goes_on_in_the_background() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    cut_off(&world, "TransactWriteItems");
    let answer = world.run(vec![raise(0)], json!({})).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    world.seam.clear();
    assert_eq!(balance(&world, 0), "10");
    assert_eq!(world.drain().await, 1);
    assert_eq!((balance(&world, 0), version(&world, "account#0")), ("11".into(), 2));
    assert_eq!(world.get(&format!("/batches/{}", answer.batch_id())).await.body["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_accepted_is_not_said_to_have_run() {
    let world = World::new().await;
    cut_off(&world, "PutItem");
    let answer = world.run(accounts(1), json!({})).await;
    world.seam.clear();
    assert_eq!((answer.status, &answer.body["error"]), (500, &json!("OUTCOME_UNKNOWN")));
    assert_eq!(world.items("BatchesTable").len(), 0);
}
