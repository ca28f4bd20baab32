//! What a client may do to a batch that was accepted, and what ends one before its operations have.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use std::sync::Arc;
use std::time::Duration;

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::seam::{Fault, Hook};
use batch_tests::{Answer, World};
use serde_json::{Value, json};

fn artists(count: usize) -> Value {
    let artist = |n: usize| json!({ "id": format!("a{n}"), "entity": "artist", "action": "create", "store_params": { "name": format!("N{n}") } });
    (0..count).map(artist).collect()
}

/// Commits of two operations each, so that there is something between them.
async fn small_steps() -> World {
    let limits = Limits { chunk_operations: 2, ..Limits::default() };
    World::with(Model::shipped().expect("the shipped model is right"), limits).await
}

async fn accepted(world: &World, count: usize, options: Value) -> String {
    let body = json!({ "operations": artists(count), "options": options });
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    answer.batch_id()
}

async fn act(world: &World, id: &str, act: &str) -> Answer {
    world.post_with(&format!("/batches/{id}/{act}"), &[], &json!({})).await
}

async fn batch(world: &World, id: &str) -> Value {
    world.get(&format!("/batches/{id}")).await.body
}

async fn results(world: &World, id: &str) -> Vec<Value> {
    let page = world.get(&format!("/batches/{id}/results?limit=100")).await;
    page.body["data"].as_array().cloned().expect("results")
}

fn artists_stored(world: &World) -> usize {
    world
        .items("RecordsTable")
        .iter()
        .filter(|item| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("T#t1#artist#")))
        .count()
}

/// Has `what` happen just before the next commit but `skipped` of them reaches the database.
fn before_commit(world: &World, skipped: usize, what: impl Fn() + Send + Sync + 'static) {
    for _ in 0..skipped {
        world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(|_| {}))));
    }
    world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(move |_| what()))));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_batch_runs_no_more_and_tells_its_operations_so() {
    let world = World::new().await;
    let id = accepted(&world, 3, json!({})).await;
    let cancelled = act(&world, &id, "cancel").await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")), "{:#}", cancelled.body);
    assert_eq!(
        cancelled.body["summary"],
        json!({ "total": 3, "successful": 0, "failed": 0, "skipped": 3, "pending": 0 })
    );
    assert_eq!(world.drain().await, 1, "its message is acknowledged");
    assert_eq!(artists_stored(&world), 0);
    for result in results(&world, &id).await {
        assert_eq!((&result["status"], &result["reason"]), (&json!("skipped"), &json!("Cancelled")));
    }
    let again = act(&world, &id, "cancel").await;
    assert_eq!((again.status, &again.body["error"]), (409, &json!("BATCH_ENDED")));
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_between_two_chunks_keeps_what_was_committed() {
    let world = small_steps().await;
    let id = accepted(&world, 6, json!({ "atomic": false })).await;
    // The cancellation is the state's own guarded write, made by another process between two commits.
    let (other, target) = (world.clone(), id.clone());
    before_commit(&world, 1, move || {
        let (other, target) = (other.clone(), target.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(async {
                assert_eq!(act(&other, &target, "cancel").await.status, 200);
            });
        })
        .join()
        .expect("it is cancelled");
    });
    world.drain().await;
    let told = batch(&world, &id).await;
    assert_eq!(told["status"], "cancelled");
    assert_eq!(told["summary"], json!({ "total": 6, "successful": 2, "failed": 0, "skipped": 4, "pending": 0 }));
    assert_eq!(artists_stored(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_paused_batch_stands_until_it_is_resumed_and_its_time_with_it() {
    let world = small_steps().await;
    let id = accepted(&world, 4, json!({ "atomic": false, "timeout": 10_000 })).await;
    let paused = act(&world, &id, "pause").await;
    assert_eq!((paused.status, &paused.body["status"]), (200, &json!("paused")));
    assert_eq!(act(&world, &id, "pause").await.body["status"], "paused", "pausing it twice is pausing it");
    assert_eq!(world.drain().await, 1);
    assert_eq!(artists_stored(&world), 0);
    tokio::time::advance(Duration::from_mins(10)).await;
    let resumed = act(&world, &id, "resume").await;
    assert_eq!((resumed.status, &resumed.body["status"]), (200, &json!("processing")));
    assert_eq!(world.drain().await, 1);
    assert_eq!(batch(&world, &id).await["status"], "completed", "ten minutes of pause are no time of its ten seconds");
    assert_eq!(artists_stored(&world), 4);
    let late = act(&world, &id, "resume").await;
    assert_eq!((late.status, &late.body["error"]), (409, &json!("BATCH_ENDED")));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_runs_is_not_there_to_be_resumed() {
    let world = World::new().await;
    let id = accepted(&world, 1, json!({})).await;
    let refused = act(&world, &id, "resume").await;
    assert_eq!((refused.status, &refused.body["error"]), (409, &json!("NOT_PAUSED")));
}

#[tokio::test(start_paused = true)]
async fn no_commit_is_sent_after_the_deadline() {
    let world = small_steps().await;
    let id = accepted(&world, 6, json!({ "atomic": false, "timeout": 1_000 })).await;
    // The second commit does not get through for longer than the batch has.
    world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(|_| {}))));
    for _ in 0..400 {
        world.seam.plan("TransactWriteItems", Fault::Error(400, "ThrottlingException"));
    }
    let messages = world.seam.take_messages();
    world.deliver(&messages).await;
    world.seam.clear();
    tokio::time::advance(Duration::from_secs(2)).await;
    world.seam.take_calls();
    world.deliver(&messages).await;
    let commits = world.seam.take_calls().iter().filter(|call| call.operation == "TransactWriteItems").count();
    assert_eq!(commits, 0);
    let told = batch(&world, &id).await;
    assert_eq!(told["status"], "timed_out");
    assert_eq!(told["summary"], json!({ "total": 6, "successful": 2, "failed": 0, "skipped": 4, "pending": 0 }));
    assert_eq!(results(&world, &id).await[5]["reason"], "Deadline exceeded");
    assert_eq!(artists_stored(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_a_timeout_has_an_hour_in_the_background() {
    let world = World::new().await;
    let (late, in_time) = (accepted(&world, 1, json!({})).await, accepted(&world, 1, json!({})).await);
    let messages = world.seam.take_messages();
    tokio::time::advance(Duration::from_mins(59)).await;
    world.deliver(&messages[1..]).await;
    tokio::time::advance(Duration::from_mins(2)).await;
    world.deliver(&messages[..1]).await;
    assert_eq!(batch(&world, &in_time).await["status"], "completed");
    assert_eq!(batch(&world, &late).await["status"], "timed_out");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_ends_its_batch() {
    let world = small_steps().await;
    let untouched = accepted(&world, 2, json!({ "atomic": false })).await;
    let begun = accepted(&world, 4, json!({ "atomic": false })).await;
    let messages = world.seam.take_messages();
    world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(|_| {}))));
    for _ in 0..2_000 {
        world.seam.plan("TransactWriteItems", Fault::Error(500, "InternalServerError"));
    }
    assert_eq!(world.deliver(&messages[1..]).await, ["m0"], "it is delivered again");
    world.seam.clear();
    assert!(world.deliver_dead(&messages).await.is_empty());
    let told = batch(&world, &untouched).await;
    assert_eq!((&told["status"], &told["summary"]["failed"]), (&json!("failed"), &json!(2)));
    let told = batch(&world, &begun).await;
    assert_eq!((&told["status"], &told["summary"]["failed"]), (&json!("partial"), &json!(2)));
    assert_eq!(results(&world, &begun).await[3]["code"], "POISON");
    assert_eq!(world.deliver(&messages).await, Vec::<String>::new());
    assert_eq!(artists_stored(&world), 2, "what has ended stays as it ended");
    assert_eq!(world.deliver_dead(&["no message".to_owned()]).await, ["m0"], "what is no message of ours stays");
}

#[tokio::test(start_paused = true)]
async fn a_retry_runs_what_failed_with_the_results_of_what_did_not() {
    let world = World::new().await;
    let body = json!({
        "operations": [
            { "id": "artist", "entity": "artist", "action": "create", "store_params": { "name": "Nina" } },
            { "id": "paid", "entity": "payment", "action": "create", "store_params": { "account_id": 7, "amount": 1, "description": "for $ref:artist.name" }, "depends_on": ["artist"] },
            { "id": "after", "entity": "artist", "action": "create", "store_params": { "name": "$ref:paid.description" } }
        ],
        "options": { "atomic": false, "continueOnError": true, "reference": "r-1" }
    });
    let parent = world.batch(&body).await;
    assert_eq!(parent.body["status"], "partial", "{:#}", parent.body);
    assert_eq!(act(&world, &parent.batch_id(), "retry").await.status, 202);
    world.drain().await;
    // It fails again, until there is an account.
    world.run(vec![json!({ "entity": "account", "action": "create", "store_params": { "account_id": 7, "available_balance": 1 } })], json!({})).await;
    let retried = act(&world, &parent.batch_id(), "retry").await;
    assert_eq!((retried.status, &retried.body["retryCount"], &retried.body["attempt"]), (202, &json!(2), &json!(1)));
    world.drain().await;
    let id = retried.body["newBatchId"].as_str().expect("an id").to_owned();
    let told = batch(&world, &id).await;
    assert_eq!(
        (&told["status"], &told["retryOf"], &told["reference"]),
        (&json!("completed"), &json!(parent.batch_id()), &json!("r-1"))
    );
    let rows = results(&world, &id).await;
    assert_eq!((&rows[0]["id"], &rows[0]["data"][0]["description"]), (&json!("paid"), &json!("for Nina")));
    assert_eq!((&rows[1]["id"], &rows[1]["data"][0]["name"]), (&json!("after"), &json!("for Nina")));
    let nothing = act(&world, &id, "retry").await;
    assert_eq!((nothing.status, &nothing.body["error"]), (409, &json!("NOTHING_TO_RETRY")));
}

#[tokio::test(start_paused = true)]
async fn a_line_of_retries_has_three() {
    let world = World::new().await;
    let fails =
        json!({ "id": "x", "entity": "album", "action": "create", "store_params": { "title": "T", "artist_id": 99 } });
    let mut id = world.run(vec![fails], json!({})).await.batch_id();
    for attempt in 1..=3 {
        let headers = [("idempotency-key", "once")];
        let retried = world.post_with(&format!("/batches/{id}/retry"), &headers, &json!({})).await;
        assert_eq!((retried.status, &retried.body["attempt"]), (202, &json!(attempt)), "{:#}", retried.body);
        let same = world.post_with(&format!("/batches/{id}/retry"), &headers, &json!({})).await;
        assert_eq!(
            (&same.body["newBatchId"], same.header("idempotent-replayed")),
            (&retried.body["newBatchId"], "true")
        );
        let early = act(&world, retried.body["newBatchId"].as_str().expect("an id"), "retry").await;
        assert_eq!((early.status, &early.body["error"]), (409, &json!("BATCH_NOT_ENDED")));
        world.drain().await;
        id = retried.body["newBatchId"].as_str().expect("an id").to_owned();
        assert_eq!(batch(&world, &id).await["status"], "failed");
    }
    let over = act(&world, &id, "retry").await;
    assert_eq!((over.status, &over.body["error"]), (409, &json!("RETRY_LIMIT")));
}

#[tokio::test(start_paused = true)]
async fn an_analysis_tells_causes_what_they_took_along_and_the_way_on() {
    let world = World::new().await;
    let body = json!({
        "operations": [
            { "id": "cause", "entity": "album", "action": "create", "store_params": { "title": "T", "artist_id": 99 } },
            { "id": "child", "entity": "track", "action": "create", "store_params": { "name": "$ref:cause.title" } },
            { "id": "grandchild", "entity": "artist", "action": "create", "store_params": { "name": "G" }, "depends_on": ["child"] },
            { "id": "free", "entity": "artist", "action": "create", "store_params": { "name": "F" } }
        ],
        "options": { "atomic": false, "continueOnError": true }
    });
    let id = world.batch(&body).await.batch_id();
    let analysis = world.get(&format!("/batches/{id}/failure-analysis")).await;
    assert_eq!(analysis.status, 200, "{:#}", analysis.body);
    let cause = &analysis.body["failedOperations"][0];
    assert_eq!(
        (&cause["operationId"], &cause["reason"], &cause["impact"]),
        (&json!("cause"), &json!("FOREIGN_KEY_VIOLATION"), &json!(2))
    );
    assert_eq!(
        (&cause["retryable"], &cause["suggestion"]),
        (&json!(false), &json!("Create the parent first; delete the children first."))
    );
    let impacted: Vec<&Value> = analysis.body["impactedOperations"].as_array().expect("a list").iter().collect();
    assert_eq!(impacted.len(), 2);
    for operation in impacted {
        assert_eq!((&operation["reason"], &operation["causedBy"]), (&json!("Dependency failed"), &json!(["cause"])));
    }
    let retry = &analysis.body["retry"];
    world.run(vec![], json!({})).await;
    let sent = world.post_with(retry["path"].as_str().expect("a path"), &[], &retry["body"]).await;
    assert_eq!((sent.status, &sent.body["retryCount"]), (202, &json!(3)));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_callers_to_see_is_not_its_to_change() {
    let world = World::new().await;
    let id = accepted(&world, 1, json!({})).await;
    for (tenant, subject) in [("t1", "bob"), ("t2", "alice")] {
        let key = world.key(tenant, subject, &[]).await;
        for word in ["cancel", "pause", "resume", "retry"] {
            let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
            let answer = world.send("POST", &format!("/batches/{id}/{word}"), &headers, b"{}").await;
            assert_eq!((answer.status, &answer.body["error"]), (404, &json!("NOT_FOUND")), "{tenant} {subject} {word}");
        }
        let headers = [("x-api-key", key.as_str())];
        assert_eq!(world.send("GET", &format!("/batches/{id}/failure-analysis"), &headers, b"").await.status, 404);
    }
    world.drain().await;
    assert_eq!(batch(&world, &id).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn retries_of_an_operation_are_spent_before_it_fails_for_good() {
    for (retries, conflicts, fails) in [(0, 9, true), (1, 9, false), (1, 18, true), (3, 35, false)] {
        let world = World::new().await;
        for _ in 0..conflicts {
            world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
        }
        let body = json!({ "operations": artists(1), "options": { "max_retries": retries } });
        let answer = world.batch(&body).await;
        let result = &answer.body["results"]["a0"];
        let told = if fails { "CONFLICT" } else { "" };
        assert_eq!(
            result["code"].as_str().unwrap_or_default(),
            told,
            "{retries} retries, {conflicts} conflicts: {:#}",
            answer.body
        );
    }
}
