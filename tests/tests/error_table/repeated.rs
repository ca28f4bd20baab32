//! What may pass, and what is not known: the same request again.

use std::time::Duration;

use batch_tests::seam::{Call, Fault};
use serde_json::json;

use crate::{commits, outcome, raise, version, world};

/// The times between one call and the next, in milliseconds.
fn waits(calls: &[&Call]) -> Vec<u128> {
    calls.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at).as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_wait_before_each_new_sending_is_random_and_its_bound_doubles_to_a_second() {
    let world = world(1, 50).await;
    for _ in 0..20 {
        world.seam.plan("TransactWriteItems", Fault::Error(400, "ThrottlingException"));
    }
    let answer = world.run(raise(1), json!({})).await;
    assert_eq!(outcome(&answer, "u0"), "completed");
    let calls = world.seam.take_calls();
    let waits = waits(&commits(&calls));
    assert_eq!(waits.len(), 20);
    for (round, wait) in waits.iter().enumerate() {
        let most = (10_u128 << round.min(7)).min(1_000);
        // Sleeping is exact to a millisecond, upwards.
        assert!((1..=most + 1).contains(wait), "wait {round} is {wait} of at most {most} ms: {waits:?}");
    }
    let (early, late): (u128, u128) = (waits[..6].iter().sum(), waits[14..].iter().sum());
    assert!(late > 4 * early, "they grow: {waits:?}");
    assert!(waits[7..].iter().any(|wait| *wait < 800), "and are not all as long as they may be: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_is_sent_again_as_it_was() {
    for (operation, fault) in [
        ("TransactWriteItems", Fault::Hang),
        ("TransactWriteItems", Fault::SlowReply(Duration::from_secs(10))),
        ("PutItem", Fault::Hang),
        ("PutItem", Fault::SlowReply(Duration::from_secs(10))),
        ("BatchGetItem", Fault::Hang),
    ] {
        let world = world(1, 50).await;
        world.seam.plan(operation, fault.clone());
        let answer = world.run(raise(1), json!({})).await;
        assert_eq!((answer.status, outcome(&answer, "u0")), (200, "completed".into()), "{operation} {fault:?}");
        assert_eq!(version(&world, 0), 2, "{operation} {fault:?}");
        let calls = world.seam.take_calls();
        let sent: Vec<&Call> = calls.iter().filter(|call| call.operation == operation).collect();
        assert_eq!(sent.len(), 2, "{operation} {fault:?}");
        assert_eq!(sent[0].body, sent[1].body, "{operation} {fault:?}");
        // One attempt has three seconds.
        assert!((3_000..=3_020).contains(&waits(&sent)[0]), "{operation} {fault:?}: {:?}", waits(&sent));
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_a_transaction_is_sent_again() {
    let read = json!({ "id": "r", "entity": "account", "action": "read", "query_params": { "account_id": 0 } });
    let made = json!({ "id": "c", "entity": "artist", "action": "create", "store_params": { "name": "N" } });
    // The acceptance, a state by itself, the drawing of integer keys.
    for (operation, skipped, batch) in [("PutItem", 0, &read), ("PutItem", 1, &read), ("UpdateItem", 0, &made)] {
        let world = world(1, 50).await;
        for _ in 0..skipped {
            world.seam.plan(operation, crate::before(|_| {}, &world));
        }
        world.seam.plan(operation, Fault::Error(400, "TransactionConflictException"));
        let answer = world.run(vec![batch.clone()], json!({})).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{operation} {skipped}");
        assert!(world.seam.all_happened());
    }
}
