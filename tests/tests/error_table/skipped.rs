//! Every way in which an operation can end without having run or without having failed.

use std::time::Duration;

use batch_core::operation::SkipReason;
use batch_tests::World;
use batch_tests::seam::Fault;
use serde_json::{Value, json};

use crate::{accounts, before, create, queued, raise, update, world};

/// Every reason, in the order in which one goes before the others.
const REASONS: [SkipReason; 5] = [
    SkipReason::Cancelled,
    SkipReason::DeadlineExceeded,
    SkipReason::DependencyFailed,
    SkipReason::RolledBack,
    SkipReason::BatchStopped,
];

/// Fails whenever there is no account 99.
fn missing(id: &str) -> Value {
    update(id, "account", json!({ "account_id": 99 }), json!({ "available_balance": 1 }))
}

fn after(mut operation: Value, id: &str) -> Value {
    operation["depends_on"] = json!([id]);
    operation
}

/// A batch with an operation `x` that ends for this reason.
async fn ends_for(reason: SkipReason) -> (World, String) {
    let world = world(2, 1).await;
    let x = create("x", "artist", json!({ "name": "X" }));
    let going_on = json!({ "atomic": false, "continueOnError": true });
    let (operations, options) = match reason {
        SkipReason::Cancelled => (vec![x], going_on),
        SkipReason::DeadlineExceeded => (vec![raise(1).remove(0), x], json!({ "atomic": false, "timeout": 1_000 })),
        // Not directly: what it depends on depends on what failed.
        SkipReason::DependencyFailed => {
            let between = after(create("between", "artist", json!({ "name": "B" })), "cause");
            (vec![missing("cause"), between, after(x, "between")], going_on)
        }
        SkipReason::RolledBack => (vec![x, missing("cause")], json!({})),
        SkipReason::BatchStopped => (vec![missing("cause"), x], json!({ "atomic": false })),
    };
    let (id, messages) = queued(&world, operations, options).await;
    if reason == SkipReason::Cancelled {
        assert_eq!(world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await.status, 200);
    }
    if reason == SkipReason::DeadlineExceeded {
        // The first commit has happened, and the store has no time for the second.
        world.seam.plan("TransactWriteItems", before(|_| {}, &world));
        world.seam.plan("BatchGetItem", before(|_| {}, &world));
        world.seam.plan("UpdateItem", before(|_| {}, &world));
        for _ in 0..200 {
            world.seam.plan("TransactWriteItems", Fault::Error(400, "ThrottlingException"));
        }
    }
    let mut again = world.deliver(&messages).await;
    world.seam.clear();
    while !again.is_empty() {
        tokio::time::advance(Duration::from_secs(5)).await;
        again = world.deliver(&messages).await;
    }
    (world, id)
}

#[tokio::test(start_paused = true)]
async fn each_reason_is_reached_and_told_alike_wherever_it_is_asked_for() {
    for reason in REASONS {
        let (world, id) = ends_for(reason).await;
        let results = world.get(&format!("/batches/{id}/results")).await;
        let results = results.body["data"].as_array().cloned().expect("results");
        let x = results.iter().find(|result| result["id"] == "x").expect("its result");
        assert_eq!((&x["status"], &x["reason"]), (&json!("skipped"), &json!(reason.as_str())), "{results:#?}");
        assert!(x.get("data").is_none() && x.get("code").is_none(), "{x:#}");
        let only = world.get(&format!("/batches/{id}/results?status=skipped")).await;
        assert!(only.body["data"].as_array().is_some_and(|data| data.contains(x)), "{reason:?}");

        let batch = world.get(&format!("/batches/{id}")).await.body;
        let (status, skipped) = match reason {
            SkipReason::Cancelled => ("cancelled", 1),
            SkipReason::DeadlineExceeded => ("timed_out", 1),
            SkipReason::DependencyFailed => ("failed", 2),
            SkipReason::RolledBack | SkipReason::BatchStopped => ("failed", 1),
        };
        assert_eq!((&batch["status"], &batch["summary"]["skipped"]), (&json!(status), &json!(skipped)), "{reason:?}");

        let analysis = world.get(&format!("/batches/{id}/failure-analysis")).await.body;
        let told = analysis["impactedOperations"].as_array().cloned().expect("a list");
        let told = told.iter().find(|told| told["operationId"] == "x").expect("the operation");
        assert_eq!(told["reason"], reason.as_str());
        let by_another = !matches!(reason, SkipReason::Cancelled | SkipReason::DeadlineExceeded);
        assert_eq!(told["causedBy"], if by_another { json!(["cause"]) } else { json!([]) }, "{reason:?}");

        let made = world
            .items("RecordsTable")
            .iter()
            .any(|item| item["pk"]["S"].as_str().is_some_and(|pk| pk.contains("#artist#")));
        assert!(!made, "{reason:?}: nothing skipped takes effect");
    }
}

#[tokio::test(start_paused = true)]
async fn where_two_reasons_hold_the_nearer_one_is_told() {
    let world = world(0, 50).await;
    let batch = vec![
        create("undone", "artist", json!({ "name": "A" })),
        missing("cause"),
        after(create("behind", "artist", json!({ "name": "B" })), "cause"),
        create("stopped", "artist", json!({ "name": "C" })),
        after(create("behind_that", "artist", json!({ "name": "D" })), "stopped"),
    ];
    for (atomic, undone) in [(true, "Rolled back"), (false, "")] {
        let answer = world.run(batch.clone(), json!({ "atomic": atomic })).await;
        let told: Vec<&str> = ["undone", "cause", "behind", "stopped", "behind_that"]
            .into_iter()
            .map(|id| answer.body["results"][id]["reason"].as_str().unwrap_or_default())
            .collect();
        // What waited for an operation that was only stopped was stopped too.
        assert_eq!(told, [undone, "", "Dependency failed", "Batch stopped", "Batch stopped"], "{:#}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_message_died_tells_every_operation_that_was_left_as_given_up() {
    let world = world(0, 2).await;
    let (untouched, dead) = queued(&world, accounts(3), json!({})).await;
    let (begun, half) = queued(&world, accounts(5), json!({ "atomic": false })).await;
    world.seam.plan("TransactWriteItems", before(|_| {}, &world));
    for _ in 0..500 {
        world.seam.plan("TransactWriteItems", Fault::RequestLost);
    }
    assert_eq!(world.deliver(&half).await, ["m0"]);
    world.seam.clear();
    assert!(world.deliver_dead(&[dead, half].concat()).await.is_empty());
    for (id, status, done, left) in [(untouched, "failed", 0, 3), (begun, "partial", 2, 3)] {
        let batch = world.get(&format!("/batches/{id}")).await.body;
        assert_eq!(batch["status"], status, "{batch:#}");
        let counts = json!({ "total": done + left, "successful": done, "failed": left, "skipped": 0, "pending": 0 });
        assert_eq!(batch["summary"], counts);
        let page = world.get(&format!("/batches/{id}/results?status=failed")).await.body;
        let results = page["data"].as_array().cloned().expect("results");
        assert_eq!(results.len(), left);
        assert!(results.iter().all(|result| result["code"] == "POISON" && result["statusCode"] == 500), "{results:#?}");
        let analysis = world.get(&format!("/batches/{id}/failure-analysis")).await.body;
        assert_eq!(
            (&analysis["retryable"], &analysis["failedOperations"][0]["retryable"]),
            (&json!(true), &json!(true))
        );
    }
    assert_eq!(world.items("RecordsTable").iter().filter(|item| item.get("f").is_some()).count(), 2);
}
