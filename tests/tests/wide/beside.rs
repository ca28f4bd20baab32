//! Others at the same rows, at every stage of a wide commit.

use super::*;

/// Six places: two transactions of locks, two of effects.
async fn six() -> World {
    let world = small().await;
    places(&world, 6).await;
    world
}

async fn told(world: &World, atomic: bool) -> Vec<String> {
    let reads = (0..2).map(|n| read(&format!("p{n}"), "place", json!({ "place_id": format!("p{n:03}") }))).collect();
    let answer = world.run(reads, json!({ "atomic": atomic })).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    ["p0", "p1"]
        .map(|id| answer.body["results"][id]["data"][0]["mark"].as_str().unwrap_or_default().to_owned())
        .to_vec()
}

#[tokio::test(start_paused = true)]
async fn before_its_commit_point_others_read_what_was() {
    let world = six().await;
    before_transaction(&world, 1, |world| async move {
        assert_eq!(locked(&world).len(), 3, "some are locked");
        assert_eq!(told(&world, false).await, ["first", "first"]);
    });
    assert_eq!(world.run(marks(6, "second"), json!({})).await.body["status"], "completed");
    assert!(world.seam.all_happened());
    assert_eq!(marked(&world), ["second"; 6]);
}

#[tokio::test(start_paused = true)]
async fn after_its_commit_point_others_read_what_is_to_be() {
    for atomic in [false, true] {
        let world = six().await;
        // The first effects are about to be written.
        before_transaction(&world, 2, move |world| async move {
            assert_eq!((locked(&world).len(), marked(&world)), (6, vec!["first".to_owned(); 6]));
            assert_eq!(told(&world, atomic).await, ["second", "second"], "atomic: {atomic}");
        });
        assert_eq!(world.run(marks(6, "second"), json!({})).await.body["status"], "completed");
        assert!(world.seam.all_happened());
        assert_eq!(marked(&world), ["second"; 6]);
        assert!((0..6).all(|n| item(&world, &format!("place#p{n:03}"))["_v"]["N"] == "2"), "each was written once");
    }
}

#[tokio::test(start_paused = true)]
async fn who_writes_what_is_committed_helps_it_on_and_comes_after_it() {
    for atomic in [false, true] {
        let world = six().await;
        before_transaction(&world, 2, move |world| async move {
            let answer = world.run(marks(1, "third"), json!({ "atomic": atomic })).await;
            assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
        });
        assert_eq!(world.run(marks(6, "second"), json!({})).await.body["status"], "completed");
        assert_eq!(marked(&world), [&["third"][..], &["second"; 5]].concat());
        assert_eq!(item(&world, "place#p000")["_v"]["N"], "3");
        assert_eq!(locked(&world), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_writes_what_is_being_locked_waits_and_then_tells_a_conflict() {
    let world = six().await;
    before_transaction(&world, 1, |world| async move {
        let answer = world.run(marks(1, "third"), json!({})).await;
        assert_eq!((&answer.body["status"], code(&answer, "p0")), (&json!("failed"), "CONFLICT".to_owned()));
    });
    assert_eq!(world.run(marks(6, "second"), json!({})).await.body["status"], "completed");
    assert_eq!(marked(&world), ["second"; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_row_changed_before_its_lock_is_planned_again() {
    let world = six().await;
    before_transaction(&world, 1, |world| async move {
        // Not locked yet: the last of the six.
        let last = update("x", "place", json!({ "place_id": "p005" }), json!({ "mark": "between" }));
        assert_eq!(world.run(vec![last], json!({})).await.body["status"], "completed");
    });
    let answer = world.run(marks(6, "second"), json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    assert_eq!((marked(&world), locked(&world)), (vec!["second".to_owned(); 6], Vec::new()));
    assert_eq!(item(&world, "place#p005")["_v"]["N"], "3");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_being_taken_is_not_told_as_taken() {
    let world = small().await;
    let tags: Vec<Value> = (0..4)
        .map(|n| create(&format!("t{n}"), "thing", json!({ "thing_id": format!("t{n}"), "tag": format!("{n}") })))
        .collect();
    // The values are locked, and the batch is stopped: its placeholders are nobody's values.
    before_transaction(&world, 2, |world| async move {
        let batches = world.get("/batches?status=processing").await;
        let id = batches.body["data"][0]["id"].as_str().unwrap_or_default().to_owned();
        assert_eq!(world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await.status, 200);
        let mine = create("mine", "thing", json!({ "thing_id": "mine", "tag": "0" }));
        let answer = world.run(vec![mine], json!({})).await;
        assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    });
    let answer = world.run(tags, json!({})).await;
    assert_eq!(answer.body["status"], "cancelled", "{:#}", answer.body);
    world.drain().await;
    assert_eq!(locked(&world), [""; 0]);
    let rows: Vec<Value> = records(&world).into_iter().filter(|item| item.get("f").is_some()).collect();
    assert_eq!(rows.len(), 1, "{rows:#?}");
}

#[tokio::test(start_paused = true)]
async fn two_on_the_same_rows_both_end_and_one_comes_after_the_other() {
    let world = six().await;
    for wait in (0..400).map(|n| 1 + (n * 7) % 13) {
        world.seam.plan("TransactWriteItems", Fault::Slow(wait));
    }
    let (one, other) = tokio::join!(world.run(marks(6, "one"), json!({})), world.run(marks(6, "other"), json!({})));
    world.seam.clear();
    assert_eq!((&one.body["status"], &other.body["status"]), (&json!("completed"), &json!("completed")));
    let marks = marked(&world);
    assert!(marks.iter().all(|mark| *mark == marks[0]), "{marks:?}");
    assert!((0..6).all(|n| item(&world, &format!("place#p{n:03}"))["_v"]["N"] == "3"));
    assert_eq!(locked(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_that_want_the_same_values_both_end_and_one_wins() {
    let world = small().await;
    let tags = |of: &str| -> Vec<Value> {
        let one =
            |n| create(&format!("t{n}"), "thing", json!({ "thing_id": format!("{of}{n}"), "tag": format!("{n}") }));
        (0..5).map(one).collect()
    };
    for wait in (0..400).map(|n| 1 + (n * 5) % 11) {
        world.seam.plan("TransactWriteItems", Fault::Slow(wait));
    }
    let (one, other) = tokio::join!(world.run(tags("a"), json!({})), world.run(tags("b"), json!({})));
    world.seam.clear();
    let mut ends = [&one, &other].map(|answer| answer.body["status"].as_str().unwrap_or_default().to_owned());
    ends.sort();
    assert_eq!(ends, ["completed", "failed"], "{:#} {:#}", one.body, other.body);
    assert_eq!(locked(&world), [""; 0]);
    let rows = records(&world).into_iter().filter(|item| item.get("f").is_some()).count();
    assert_eq!(rows, 5);
}
