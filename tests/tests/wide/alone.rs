//! One batch by itself: what is stored, what it costs, and what is too much.

use super::*;

/// `count` things, each with a tag of its own, between two places of its own.
fn things(count: usize, tag: &str) -> Vec<Value> {
    let thing = |n: usize| {
        let (from, to) = (format!("p{:03}", 2 * n), format!("p{:03}", 2 * n + 1));
        let store = json!({ "thing_id": format!("t{n:03}"), "tag": format!("{tag}{n}"), "from_id": from, "to_id": to });
        create(&format!("t{n}"), "thing", store)
    };
    (0..count).map(thing).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_creates_with_a_unique_value_and_two_parents_each_commit_as_one() {
    let world = world_with(Limits::default()).await;
    places(&world, 200).await;
    let answer = world.run(things(100, "tag"), json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{:#}", answer.body);
    // 100 rows, 100 values and 200 counters: five transactions lock them and four write them.
    let calls = world.seam.take_calls();
    let transactions = |count| vec!["TransactWriteItems"; count];
    let begun = vec!["UpdateItem", "PutItem", "PutItem", "PutItem"];
    let expected = [begun, transactions(5), vec!["PutItem"], transactions(4), vec!["PutItem"]].concat();
    assert_eq!(operations(&calls), expected, "quota, head, redo log, preparing; locks; committed; effects; end");
    assert_eq!(locked(&world), [""; 0]);
    for n in 0..100 {
        assert_eq!(item(&world, &format!("thing#t{n:03}"))["_v"]["N"], "1");
    }
    let count = |n: usize| item(&world, &format!("N#place#p{n:03}"))["n"]["N"].clone();
    assert!((0..200).all(|n| count(n) == "1"), "each place has one child");
    let owners = records(&world).into_iter().filter(|item| item.get("owner").is_some()).count();
    assert_eq!(owners, 100);
}

#[tokio::test(start_paused = true)]
async fn one_taken_value_fails_all_of_it() {
    let world = world_with(Limits::default()).await;
    places(&world, 200).await;
    let taken = create("a", "thing", json!({ "thing_id": "first", "tag": "tag57" }));
    assert_eq!(world.run(vec![taken], json!({})).await.body["status"], "completed");
    let before = records(&world);
    let answer = world.run(things(100, "tag"), json!({})).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("failed")), "{:#}", answer.body);
    assert_eq!((code(&answer, "t57"), code(&answer, "t0")), ("UNIQUE_VIOLATION".to_owned(), "Rolled back".to_owned()));
    assert_eq!(answer.body["summary"]["failed"], 1);
    assert_eq!(records(&world), before, "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_taken_is_learnt_from_one_attempt() {
    let world = world_with(Limits::default()).await;
    places(&world, 200).await;
    let taken =
        |n: usize| create(&format!("a{n}"), "thing", json!({ "thing_id": format!("x{n}"), "tag": format!("tag{n}") }));
    assert_eq!(world.run((0..20).map(taken).collect(), json!({})).await.body["status"], "completed");
    world.seam.take_calls();
    let answer = world.run(things(100, "tag"), json!({ "continueOnError": true })).await;
    assert_eq!((&answer.body["status"], &answer.body["summary"]["failed"]), (&json!("failed"), &json!(20)));
    let calls = world.seam.take_calls();
    let puts = calls.iter().filter(|call| call.operation == "PutItem").count();
    assert_eq!(puts, 4, "head, redo log, preparing, and back: {:?}", operations(&calls));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_there_already_is_told_so() {
    let world = small().await;
    places(&world, 3).await;
    let operations = (2..6).map(place).collect();
    let answer = world.run(operations, json!({})).await;
    assert_eq!((code(&answer, "p2"), code(&answer, "p3")), ("ALREADY_EXISTS".to_owned(), "Batch stopped".to_owned()));
    assert_eq!(locked(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_parent_fails_all_of_it() {
    let world = small().await;
    places(&world, 3).await;
    let mut operations = marks(3, "second");
    operations.push(create("t", "thing", json!({ "thing_id": "t", "from_id": "nowhere" })));
    let before = records(&world);
    let answer = world.run(operations, json!({})).await;
    assert_eq!(code(&answer, "t"), "FOREIGN_KEY_VIOLATION", "{:#}", answer.body);
    assert_eq!(records(&world), before);
}

#[tokio::test(start_paused = true)]
async fn rows_of_more_bytes_than_one_transaction_commit_as_one() {
    let world = world_with(Limits::default()).await;
    let note =
        |n: usize| create(&format!("n{n}"), "note", json!({ "note_id": format!("n{n}"), "text": "x".repeat(390_000) }));
    let answer = world.run((0..10).map(note).collect(), json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:.300}", answer.body.to_string());
    assert_eq!(records(&world).len(), 10);
    assert_eq!(locked(&world), [""; 0]);
    let gone = (0..10).map(|n| delete(&format!("n{n}"), "note", json!({ "note_id": format!("n{n}") }))).collect();
    let answer = world.run(gone, json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:.300}", answer.body.to_string());
    assert!(records(&world).iter().all(|item| item.get("_del").is_some() && item.get("ttl").is_some()));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_effect_takes_place_under_locks() {
    let world = small().await;
    places(&world, 4).await;
    let first = json!([
        create("t", "thing", json!({ "thing_id": "t", "tag": "old", "from_id": "p000", "to_id": "p001" })),
        create("gone", "note", json!({ "note_id": "gone", "text": "x" })),
    ]);
    let given = world.run(first.as_array().cloned().unwrap_or_default(), json!({})).await;
    assert_eq!(given.body["status"], "completed");
    // A value is released and taken by another, a child moves, a row goes and comes again, one is only read.
    let answer = world
        .run(
            vec![
                update("t", "thing", json!({ "thing_id": "t" }), json!({ "tag": "new", "from_id": "p002" })),
                create("u", "thing", json!({ "thing_id": "u", "tag": "old", "to_id": "p003" })),
                delete("d", "note", json!({ "note_id": "gone" })),
                create("again", "note", json!({ "note_id": "gone", "text": "y" })),
                delete("p", "place", json!({ "place_id": "p000" })),
                read("r", "place", json!({ "place_id": "p001" })),
            ],
            json!({}),
        )
        .await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    assert_eq!(locked(&world), [""; 0]);
    assert_eq!(item(&world, "thing#t")["_v"]["N"], "2");
    assert_eq!(item(&world, "note#gone")["_v"]["N"], "2", "deleted and made again in one batch is one write");
    assert_eq!(item(&world, "place#p000")["_del"]["BOOL"], true);
    assert_eq!(item(&world, "N#place#p000"), Value::Null);
    let counts: Vec<String> = (1..4)
        .map(|n| item(&world, &format!("N#place#p{n:03}"))["n"]["N"].as_str().unwrap_or("-").to_owned())
        .collect();
    assert_eq!(counts, ["1", "1", "1"]);
    assert_eq!(item(&world, "place#p001")["_v"]["N"], "1", "what is read stays");
}

#[tokio::test(start_paused = true)]
async fn reading_more_rows_than_one_transaction_is_reading_them_at_one_moment() {
    let world = small().await;
    places(&world, 7).await;
    let reads = (0..7).map(|n| read(&format!("p{n}"), "place", json!({ "place_id": format!("p{n:03}") }))).collect();
    let answer = world.run(reads, json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    assert_eq!(locked(&world), [""; 0]);
    assert!((0..7).all(|n| item(&world, &format!("place#p{n:03}"))["_v"]["N"] == "1"));
}

#[tokio::test(start_paused = true)]
async fn more_actions_than_a_wide_commit_takes_are_refused_with_their_number() {
    let world = world_with(Limits { actions: 4, wide_actions: 40, ..Limits::default() }).await;
    let things = (0..20)
        .map(|n| create(&format!("t{n}"), "thing", json!({ "thing_id": format!("t{n}"), "tag": format!("{n}") })))
        .collect();
    let answer = world.run(things, json!({})).await;
    assert_eq!((answer.status, &answer.body["error"]), (400, &json!("ATOMIC_TOO_LARGE")), "{:#}", answer.body);
    let message = answer.body["message"].as_str().unwrap_or_default();
    assert!(message.contains("at most 40 actions; this one has 41"), "{message}");
    assert_eq!(world.items("BatchesTable"), [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_plan_says_that_a_batch_is_wide() {
    let world = world_with(Limits::default()).await;
    places(&world, 200).await;
    let plan = world.post_with("/batch/plan", &[], &json!({ "operations": things(100, "t") })).await;
    assert_eq!(
        (&plan.body["commitPath"], &plan.body["actions"]),
        (&json!("wide"), &json!(401)),
        "{:.500}",
        plan.body.to_string()
    );
}
