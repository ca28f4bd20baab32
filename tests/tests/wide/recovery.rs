//! What a wide commit leaves when its process goes away, is stopped, or comes too late.

use std::time::Duration;

use super::*;

/// A batch of six in the background, whose process went away while it locked, or when it had committed.
async fn left_alone(world: &World, committed: bool) -> String {
    places(world, 6).await;
    let body = json!({ "operations": marks(6, "second") });
    let id = world.post_with("/batch", &[("prefer", "respond-async")], &body).await.batch_id();
    let messages = world.seam.take_messages();
    // Two transactions lock; the redo log, the state preparing and the state committed are written by themselves.
    if committed {
        cut_off(world, 2, 3);
    } else {
        cut_off(world, 1, 2);
    }
    assert_eq!(world.deliver(&messages).await, ["m0"], "the message comes again");
    world.seam.clear();
    id
}

async fn run_again(world: &World, id: &str) -> usize {
    let message = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }).to_string();
    assert_eq!(world.deliver(&[message]).await, Vec::<String>::new());
    world.seam.take_messages().len()
}

#[tokio::test(start_paused = true)]
async fn locks_of_a_process_that_is_gone_hold_until_the_lease_is_over_and_then_it_begins_anew() {
    let world = small().await;
    let id = left_alone(&world, false).await;
    assert_eq!((status_of(&world, &id), locked(&world).len()), ("preparing".to_owned(), 3));
    assert_eq!(world.get(&format!("/batches/{id}")).await.body["status"], "processing");
    world.seam.take_calls();
    assert_eq!(run_again(&world, &id).await, 1, "handed on, for when the lease is over");
    let sent = world.seam.take_calls().into_iter().find(|call| call.operation == "SendMessage").expect("a message");
    let delay = sent.body["DelaySeconds"].as_i64().unwrap_or(0);
    assert!((1..=90).contains(&delay), "{}", sent.body);
    tokio::time::advance(Duration::from_secs(91)).await;
    assert_eq!(run_again(&world, &id).await, 0);
    assert_eq!((status_of(&world, &id), marked(&world)), ("completed".to_owned(), vec!["second".to_owned(); 6]));
    assert_eq!(locked(&world), [""; 0]);
    assert!((0..6).all(|n| item(&world, &format!("place#p{n:03}"))["_v"]["N"] == "2"));
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_finished_by_the_next_process_whatever_the_time() {
    let world = small().await;
    let id = left_alone(&world, true).await;
    assert_eq!(status_of(&world, &id), "committed");
    tokio::time::advance(Duration::from_mins(100)).await;
    for act in ["cancel", "pause"] {
        let refused = world.post_with(&format!("/batches/{id}/{act}"), &[], &json!({})).await;
        assert_eq!((refused.status, &refused.body["error"]), (409, &json!("BATCH_ENDED")), "{:#}", refused.body);
    }
    assert_eq!(run_again(&world, &id).await, 0);
    assert_eq!((status_of(&world, &id), marked(&world)), ("completed".to_owned(), vec!["second".to_owned(); 6]));
    assert_eq!(locked(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_ends_what_is_prepared_and_finishes_what_is_committed() {
    for (committed, end, mark) in [(false, "failed", "first"), (true, "completed", "second")] {
        let world = small().await;
        let id = left_alone(&world, committed).await;
        let message = json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": id }).to_string();
        assert_eq!(world.deliver_dead(&[message]).await, Vec::<String>::new());
        world.drain().await;
        assert_eq!((status_of(&world, &id), marked(&world)), (end.to_owned(), vec![mark.to_owned(); 6]));
        assert_eq!(locked(&world), [""; 0], "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_stopped_while_it_locks_gives_its_locks_back() {
    for (act, end) in [("cancel", "cancelled"), ("pause", "paused")] {
        let world = small().await;
        let id = left_alone(&world, false).await;
        assert_eq!(world.post_with(&format!("/batches/{id}/{act}"), &[], &json!({})).await.status, 200);
        assert_eq!(status_of(&world, &id), end);
        world.drain().await;
        assert_eq!((marked(&world), locked(&world)), (vec!["first".to_owned(); 6], Vec::new()));
        if act == "pause" {
            assert_eq!(world.post_with(&format!("/batches/{id}/resume"), &[], &json!({})).await.status, 200);
            world.drain().await;
            assert_eq!(marked(&world), ["second"; 6]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passed_while_it_locks_ends_it_and_frees_its_rows() {
    let world = small().await;
    let id = left_alone(&world, false).await;
    tokio::time::advance(Duration::from_mins(61)).await;
    assert_eq!(run_again(&world, &id).await, 0);
    assert_eq!((status_of(&world, &id), locked(&world)), ("timed_out".to_owned(), Vec::new()));
    assert_eq!(marked(&world), ["first"; 6]);
}

#[tokio::test(start_paused = true)]
async fn others_take_what_a_process_that_is_gone_has_locked_once_its_lease_is_over() {
    let world = small().await;
    let id = left_alone(&world, false).await;
    tokio::time::advance(Duration::from_secs(91)).await;
    assert_eq!(world.run(marks(1, "third"), json!({})).await.body["status"], "completed");
    assert_eq!(status_of(&world, &id), "running", "it was fenced first");
    assert_eq!(run_again(&world, &id).await, 0);
    assert_eq!((marked(&world), locked(&world)), (vec!["second".to_owned(); 6], Vec::new()));
    assert_eq!(item(&world, "place#p000")["_v"]["N"], "3");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_comes_too_late_can_neither_lock_nor_commit_and_begins_anew() {
    // Before its second transaction of locks, and before its commit point.
    for (operation, passed) in [("TransactWriteItems", 1), ("PutItem", 3)] {
        let world = small().await;
        places(&world, 6).await;
        before(&world, operation, passed, |world| async move {
            // To the others its lease is over.
            tokio::time::advance(Duration::from_secs(95)).await;
            assert!(!locked(&world).is_empty());
            assert_eq!(world.run(marks(1, "third"), json!({})).await.body["status"], "completed");
        });
        let answer = world.run(marks(6, "second"), json!({})).await;
        assert!(world.seam.all_happened());
        assert_eq!(answer.body["status"], "completed", "{operation}: {:#}", answer.body);
        assert_eq!((marked(&world), locked(&world)), (vec!["second".to_owned(); 6], Vec::new()));
        assert_eq!(item(&world, "place#p000")["_v"]["N"], "3", "first, third, second");
        assert_eq!(item(&world, "place#p001")["_v"]["N"], "2");
    }
}
