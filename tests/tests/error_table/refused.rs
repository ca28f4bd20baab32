//! What the store will never take is not sent again as it is.

use batch_tests::World;
use batch_tests::seam::Fault;
use serde_json::json;

use crate::{before, commits, outcome, raise, version, world};

/// How many operations each commit had, with those it was refused for.
fn sizes(world: &World) -> Vec<usize> {
    let calls = world.seam.take_calls();
    commits(&calls).iter().map(|call| call.body["TransactItems"].as_array().map_or(0, Vec::len) - 1).collect()
}

#[tokio::test(start_paused = true)]
async fn a_row_that_the_store_does_not_take_fails_its_operation_and_is_not_sent_again() {
    for reason in ["ValidationError", "ItemCollectionSizeLimitExceeded"] {
        let world = world(4, 50).await;
        // The first place is the state's.
        world.seam.plan("TransactWriteItems", Fault::Cancelled(reason, vec![3]));
        let answer = world.run(raise(4), json!({ "atomic": false, "continueOnError": true })).await;
        let told: Vec<String> = (0..4).map(|n| outcome(&answer, &format!("u{n}"))).collect();
        assert_eq!(told, ["completed", "completed", "failed ITEM_TOO_LARGE", "completed"], "{reason}");
        assert_eq!(sizes(&world), [4, 3], "{reason}: without it, at once");
        assert_eq!([0, 1, 2, 3].map(|n| version(&world, n)), [2, 2, 1, 2], "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_store_does_not_take_is_halved_until_the_one_to_blame_is_alone() {
    let world = world(8, 50).await;
    let mut refused = 0;
    // Whatever has the sixth account in it.
    for with_it in [true, false, true, true, false, true, true] {
        refused += usize::from(with_it);
        let fault = if with_it { Fault::Error(400, "ValidationException") } else { before(|_| {}, &world) };
        world.seam.plan("TransactWriteItems", fault);
    }
    let answer = world.run(raise(8), json!({ "atomic": false, "continueOnError": true })).await;
    assert!(world.seam.all_happened());
    let failed: Vec<usize> = (0..8).filter(|n| outcome(&answer, &format!("u{n}")) != "completed").collect();
    assert_eq!((failed, outcome(&answer, "u5")), (vec![5], "failed ITEM_TOO_LARGE".into()), "{:#}", answer.body);
    let sizes = sizes(&world);
    assert_eq!(sizes[..7], [8, 4, 4, 2, 1, 2, 1]);
    assert_eq!(sizes[7..].iter().sum::<usize>(), 2, "the last two go on without it: {sizes:?}");
    assert_eq!(refused, 5);
    assert!((0..8).all(|n| version(&world, n) == if n == 5 { 1 } else { 2 }));
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_that_the_store_does_not_take_fails_and_changes_nothing() {
    let world = world(3, 50).await;
    world.seam.plan("TransactWriteItems", Fault::Cancelled("ValidationError", vec![2]));
    let answer = world.run(raise(3), json!({ "continueOnError": true })).await;
    let told: Vec<String> = (0..3).map(|n| outcome(&answer, &format!("u{n}"))).collect();
    assert_eq!(told, ["skipped Rolled back", "failed ITEM_TOO_LARGE", "skipped Rolled back"]);
    assert_eq!(answer.body["results"]["u1"]["statusCode"], 413);
    assert!((0..3).all(|n| version(&world, n) == 1));
    assert_eq!(commits(&world.seam.take_calls()).len(), 2, "the refused one, and the end");
}
