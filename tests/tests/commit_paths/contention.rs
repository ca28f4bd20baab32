//! Others write the same items at the same time, and the store says so.

use batch_tests::World;
use batch_tests::seam::{Fault, dispatch};
use serde_json::{Value, json};

use crate::{accounts, actions, balance, chunked, create, given, of, outcome, read, rival, update, version};

fn raise(count: usize) -> Vec<Value> {
    let raise =
        |n: usize| update(&format!("u{n}"), "account", json!({ "account_id": n }), json!({ "available_balance": 11 }));
    (0..count).map(raise).collect()
}

fn sizes(world: &World) -> Vec<usize> {
    of(&world.seam.take_calls(), "TransactWriteItems").into_iter().map(|call| actions(call).len()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_conflict_halves_the_chunk() {
    let world = World::new().await;
    given(&world, accounts(8)).await;
    world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
    world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1, 2]));
    let answer = world.run(raise(8), json!({ "atomic": false })).await;
    assert_eq!(answer.body["summary"]["successful"], 8, "{:#}", answer.body);
    let sizes = sizes(&world);
    assert_eq!(sizes[..3], [8, 4, 2]);
    assert_eq!(sizes[2..].iter().sum::<usize>(), 8, "each operation is committed once: {sizes:?}");
    assert!((0..8).all(|n| balance(&world, n) == "11" && version(&world, &format!("account#{n}")) == 2));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_of_the_guard_alone_is_tried_again() {
    for atomic in [true, false] {
        let world = World::new().await;
        given(&world, accounts(2)).await;
        world.seam.plan("TransactWriteItems", Fault::Conflict(vec![0]));
        let answer = world.run(raise(2), json!({ "atomic": atomic })).await;
        assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn nine_conflicts_on_one_row_fail_its_operation_and_no_other() {
    let world = World::new().await;
    given(&world, accounts(8)).await;
    for _ in 0..9 {
        world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
    }
    let answer = world.run(raise(8), json!({ "atomic": false, "continueOnError": true })).await;
    assert!(world.seam.all_happened());
    assert_eq!(outcome(&answer, "u0"), "failed CONFLICT");
    assert_eq!(answer.body["results"]["u0"]["statusCode"], 409);
    assert_eq!(answer.body["summary"], json!({ "total": 8, "successful": 7, "failed": 1, "skipped": 0, "pending": 0 }));
    assert_eq!((balance(&world, 0), balance(&world, 7)), ("10".into(), "11".into()));
    assert_eq!(sizes(&world)[..9], [8, 4, 2, 1, 1, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn nine_conflicts_fail_an_atomic_batch_as_a_whole() {
    let world = World::new().await;
    given(&world, accounts(2)).await;
    for _ in 0..9 {
        world.seam.plan("TransactWriteItems", Fault::Conflict(vec![2]));
    }
    let answer = world.run(raise(2), json!({ "continueOnError": true })).await;
    assert_eq!(
        (outcome(&answer, "u0"), outcome(&answer, "u1")),
        ("skipped Rolled back".into(), "failed CONFLICT".into())
    );
    assert_eq!((balance(&world, 0), balance(&world, 1)), ("10".into(), "10".into()));
}

#[tokio::test(start_paused = true)]
async fn what_a_commit_learns_is_no_contention_however_often_it_learns() {
    let world = World::new().await;
    let taken = (0..12).map(|n| create(&format!("c{n}"), "profile", json!({ "profile_id": format!("p{n}") })));
    given(&world, taken.collect()).await;
    // Each failure uncovers the next: only then is the next key tried.
    let mut batch = Vec::new();
    for n in 0..12 {
        batch.push(create(&format!("x{n}"), "profile", json!({ "profile_id": format!("p{n}") })));
        batch.push(create(&format!("y{n}"), "account", json!({ "account_id": 100 })));
    }
    let answer = world.run(batch, json!({ "atomic": false, "continueOnError": true })).await;
    assert!((0..12).all(|n| outcome(&answer, &format!("x{n}")) == "failed ALREADY_EXISTS"), "{:#}", answer.body);
    assert_eq!(outcome(&answer, "y0"), "completed");
}

#[tokio::test(start_paused = true)]
async fn unique_values_uncovered_one_after_another_are_told_as_taken() {
    let world = World::new().await;
    let person = |n: usize| json!({ "first_name": "A", "email": format!("p{n}@example.com") });
    given(&world, (0..11).map(|n| create(&format!("c{n}"), "customer", person(n))).collect()).await;
    let model = "components: {schemas: {thing: {type: object, properties: {id: {type: string, x-af-primary-key: manual}, u: {type: integer, x-unique: true}}}}}";
    let world = World::with(
        batch_core::model::Model::from_yaml(model).expect("a model"),
        batch_core::limits::Limits::default(),
    )
    .await;
    given(
        &world,
        (0..11).map(|n| create(&format!("c{n}"), "thing", json!({ "id": format!("t{n}"), "u": n }))).collect(),
    )
    .await;
    // All of one id, so each is there already unless the one before it failed.
    let batch = (0..12).map(|n| create(&format!("x{n}"), "thing", json!({ "id": "one", "u": n }))).collect();
    let answer = world.run(batch, json!({ "atomic": false, "continueOnError": true })).await;
    assert!((0..11).all(|n| outcome(&answer, &format!("x{n}")) == "failed UNIQUE_VIOLATION"), "{:#}", answer.body);
    assert_eq!(outcome(&answer, "x11"), "completed");
}

#[tokio::test(start_paused = true)]
async fn a_search_after_a_conflict_finds_what_the_chunks_before_wrote() {
    let world = chunked(1).await;
    world.seam.plan("TransactWriteItems", crate::nothing());
    world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
    let mut all = read("all", "artist", json!({ "name": "B" }));
    all["depends_on"] = json!(["second"]);
    let batch = vec![
        create("first", "artist", json!({ "name": "B" })),
        create("second", "artist", json!({ "name": "B" })),
        all,
    ];
    let answer = world.run(batch, json!({ "atomic": false })).await;
    assert_eq!(answer.body["results"]["all"]["data"].as_array().map(Vec::len), Some(2), "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn what_an_atomic_batch_read_still_holds_when_it_commits() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let other = update("u", "account", json!({ "account_id": 0 }), json!({ "available_balance": 20 }));
    world.seam.plan("TransactWriteItems", rival(&world, vec![other]));
    let payment = create("p", "payment", json!({ "account_id": 0, "amount": "$ref:r.available_balance" }));
    let answer = world.run(vec![read("r", "account", json!({ "account_id": 0 })), payment], json!({})).await;
    let results = &answer.body["results"];
    assert_eq!(results["r"]["data"][0]["available_balance"].to_string(), "20", "{:#}", answer.body);
    assert_eq!(results["p"]["data"][0]["amount"].to_string(), "20");
}

#[tokio::test(start_paused = true)]
async fn what_was_referred_to_is_what_is_told_even_where_it_has_changed_since() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let other = update("u", "account", json!({ "account_id": 0 }), json!({ "available_balance": 20 }));
    world.seam.plan("TransactWriteItems", rival(&world, vec![other]));
    let payment = create("p", "payment", json!({ "account_id": 0, "amount": "$ref:r.available_balance" }));
    let batch = vec![read("r", "account", json!({ "account_id": 0 })), payment];
    let answer = world.run(batch, json!({ "atomic": false })).await;
    let results = &answer.body["results"];
    let (told, used) = (&results["r"]["data"][0]["available_balance"], &results["p"]["data"][0]["amount"]);
    assert_eq!((told, answer.body["status"].as_str()), (used, Some("completed")), "{:#}", answer.body);
}

/// Another batch holds account 0.
fn lock(world: &World) {
    let lock = json!({
        "TableName": "RecordsTable",
        "Key": { "pk": { "S": "T#t1#account#0" } },
        "UpdateExpression": "SET #lk = :lk",
        "ExpressionAttributeNames": { "#lk": "_lk" },
        "ExpressionAttributeValues": { ":lk": { "S": "batch_0#nonce" } },
    });
    dispatch(world.seam.database(), "UpdateItem", lock).expect("the row is locked");
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_that_fails_for_contention_waits_for_nothing_more() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    lock(&world);
    let raise =
        |n: usize| update(&format!("u{n}"), "account", json!({ "account_id": 0 }), json!({ "available_balance": n }));
    let before = world.app.clock().now();
    let answer = world.run((0..20).map(raise).collect(), json!({ "continueOnError": true })).await;
    assert_eq!((answer.status, outcome(&answer, "u0")), (200, "failed CONFLICT".into()), "{:#}", answer.body);
    assert!(world.app.clock().now().since_ms(before) < 5_000, "eight rounds, and no more for each operation");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_another_batch_has_locked_is_left_alone() {
    for atomic in [true, false] {
        let world = World::new().await;
        given(&world, accounts(2)).await;
        lock(&world);
        let answer = world.run(raise(2), json!({ "atomic": atomic, "continueOnError": true })).await;
        assert_eq!(outcome(&answer, "u0"), "failed CONFLICT", "{:#}", answer.body);
        assert_eq!(outcome(&answer, "u1"), if atomic { "skipped Rolled back" } else { "completed" });
        assert_eq!((balance(&world, 0), version(&world, "account#0")), ("10".into(), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_committed_with_checks_of_what_it_rests_on() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let batch = vec![
        update("u0", "account", json!({ "account_id": 0 }), json!({ "available_balance": 11 })),
        update("u1", "account", json!({ "account_id": 1 }), json!({ "available_balance": 11 })),
    ];
    let answer = world.run(batch.clone(), json!({})).await;
    assert_eq!(
        (outcome(&answer, "u0"), outcome(&answer, "u1")),
        ("skipped Rolled back".into(), "failed NOT_FOUND".into())
    );
    let calls = world.seam.take_calls();
    let [commit] = of(&calls, "TransactWriteItems")[..] else { panic!("one commit") };
    let checks = actions(commit);
    let check = checks.iter().find(|check| check["ConditionCheck"]["Key"]["pk"]["S"] == "T#t1#account#1");
    let condition = check.and_then(|check| check["ConditionCheck"]["ConditionExpression"].as_str());
    assert_eq!(condition, Some("attribute_not_exists(pk)"), "{checks:?}");
    assert!(checks.iter().all(|check| check.get("ConditionCheck").is_some()), "nothing is written: {checks:?}");
    // What it rests on changes before it is committed: so does the outcome.
    world.seam.plan("TransactWriteItems", rival(&world, vec![create("a", "account", json!({ "account_id": 1 }))]));
    let answer = world.run(batch, json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    assert_eq!((balance(&world, 0), balance(&world, 1)), ("11".into(), "11".into()));
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_told_even_where_it_shows_at_the_commit_only() {
    let world = World::new().await;
    given(&world, vec![create("c", "customer", json!({ "first_name": "A", "email": "a@example.com" }))]).await;
    let batch = |id: &str| {
        vec![
            create("taken", "customer", json!({ "first_name": "B", "email": "a@example.com" })),
            update("missing", "account", json!({ "account_id": id }), json!({ "available_balance": 11 })),
        ]
    };
    let stops = world.run(batch("5"), json!({})).await;
    assert_eq!(
        (outcome(&stops, "taken"), outcome(&stops, "missing")),
        ("failed UNIQUE_VIOLATION".into(), "skipped Batch stopped".into())
    );
    let goes_on = world.run(batch("6"), json!({ "continueOnError": true })).await;
    assert_eq!(
        (outcome(&goes_on, "taken"), outcome(&goes_on, "missing")),
        ("failed UNIQUE_VIOLATION".into(), "failed NOT_FOUND".into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_that_only_reads_is_one_read_and_one_write_of_the_state() {
    let world = World::new().await;
    given(&world, accounts(3)).await;
    let batch = (0..3).map(|n| read(&format!("r{n}"), "account", json!({ "account_id": n }))).collect();
    let answer = world.run(batch, json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    let calls = world.seam.take_calls();
    let names: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(names, ["UpdateItem", "PutItem", "TransactGetItems", "PutItem"]);
    assert_eq!(calls[3].body["Item"]["sk"]["S"], "A#STATE");
    assert_eq!(calls[2].body["TransactItems"].as_array().map(Vec::len), Some(3));
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_that_only_reads_waits_for_writers() {
    let world = World::new().await;
    given(&world, accounts(2)).await;
    for _ in 0..2 {
        world.seam.plan("TransactGetItems", Fault::Conflict(vec![0]));
    }
    let batch = (0..2).map(|n| read(&format!("r{n}"), "account", json!({ "account_id": n }))).collect();
    let answer = world.run(batch, json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    assert!(world.seam.all_happened());
}

#[tokio::test(start_paused = true)]
async fn rows_too_large_to_be_read_at_once_are_read_one_by_one() {
    let world = World::new().await;
    given(&world, accounts(2)).await;
    world.seam.plan("TransactGetItems", Fault::Error(400, "ValidationException"));
    let batch = (0..2).map(|n| read(&format!("r{n}"), "account", json!({ "account_id": n }))).collect();
    let answer = world.run(batch, json!({})).await;
    assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
    let calls = world.seam.take_calls();
    assert_eq!(of(&calls, "BatchGetItem").len(), 1);
    assert_eq!(actions(of(&calls, "TransactWriteItems")[0]).len(), 2, "they still are as read");
}
