//! How much a caller may send, and what it is told of that.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use std::sync::Arc;
use std::time::Duration;

use batch_core::app::{App, Parts};
use batch_core::config::Config;
use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_core::rate::{Quotas, Rates};
use batch_tests::seam::{Fault, Hook, dispatch};
use batch_tests::{Answer, World, config};
use serde_json::{Value, json};

fn artists(count: usize) -> Value {
    let artist = |n: usize| json!({ "id": format!("a{n}"), "entity": "artist", "action": "create", "store_params": { "name": format!("N{n}") } });
    json!({ "operations": (0..count).map(artist).collect::<Vec<_>>(), "options": { "atomic": false } })
}

async fn send(world: &World) -> Answer {
    world.batch(&artists(1)).await
}

fn operations(world: &World) -> Vec<String> {
    world.seam.take_calls().into_iter().map(|call| call.operation).collect()
}

fn heads(world: &World) -> usize {
    world.items("BatchesTable").iter().filter(|item| item["sk"]["S"] == "A#HEAD").count()
}

#[tokio::test(start_paused = true)]
async fn a_quota_may_be_used_at_once_and_comes_back_evenly() {
    let world = World::limited(6).await;
    for left in (0..6).rev() {
        let answer = send(&world).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        assert_eq!(answer.header("ratelimit-policy"), r#""batches";q=6;w=60, "operations";q=600;w=60"#);
        let whole_in = 10 * (6 - left);
        let levels = format!(r#""batches";r={left};t={whole_in}, "operations";r={};t=1"#, 594 + left);
        assert_eq!(answer.header("ratelimit"), levels);
    }
    let refused = send(&world).await;
    assert_eq!((refused.status, &refused.body["error"]), (429, &json!("RATE_LIMITED")), "{:#}", refused.body);
    assert_eq!((refused.header("retry-after"), refused.header("batch-id")), ("10", ""));
    assert_eq!(refused.header("ratelimit"), r#""batches";r=0;t=60, "operations";r=594;t=1"#);
    let details = json!({ "policy": "batches", "quota": 6, "windowSeconds": 60, "retryAfterSeconds": 10 });
    assert_eq!(refused.body["details"], details);
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(send(&world).await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(send(&world).await.status, 200, "Retry-After is as long as it takes");
    assert_eq!(send(&world).await.status, 429);
    tokio::time::advance(Duration::from_mins(5)).await;
    let statuses: Vec<u16> = vec![send(&world).await.status; 1];
    assert_eq!(statuses, [200]);
    for _ in 0..5 {
        assert_eq!(send(&world).await.status, 200, "a silence of any length gives back the quota and no more");
    }
    assert_eq!(send(&world).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_does_nothing_and_consumes_nothing() {
    let world = World::limited(2).await;
    send(&world).await;
    send(&world).await;
    let kept = world.items("ControlTable");
    let before = heads(&world);
    world.seam.take_calls();
    for _ in 0..50 {
        assert_eq!(send(&world).await.status, 429);
    }
    assert_eq!(operations(&world), [""; 0], "this process knows that the quota is used up");
    // One that does not is told by the write that fails, and needs no second call.
    let other = elsewhere(&world).await;
    assert_eq!(send(&other).await.status, 429);
    assert_eq!(operations(&world), ["UpdateItem"]);
    assert_eq!((world.items("ControlTable"), heads(&world)), (kept, before));
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(send(&world).await.status, 200);
}

/// Another process of the same deployment, which has seen nothing yet but the key.
async fn elsewhere(world: &World) -> World {
    let parts = Parts { http: Some(world.seam.client()), clock: world.app.clock().clone(), ..Parts::default() };
    let config = Config { rates: world.app.limiter().rates(), ..config() };
    let model = Model::shipped().expect("the shipped model is right");
    let mut other = world.clone();
    other.app = App::assemble(config, model, parts).expect("it starts");
    other.get("/capabilities").await;
    world.seam.take_calls();
    other
}

#[tokio::test(start_paused = true)]
async fn processes_share_the_quota_and_one_of_them_learns_by_one_write_more() {
    let world = World::limited(2).await;
    let other = elsewhere(&world).await;
    assert_eq!(send(&world).await.status, 200);
    world.seam.take_calls();
    assert_eq!(send(&other).await.status, 200);
    let charges = operations(&world).iter().filter(|call| *call == "UpdateItem").count();
    assert_eq!(charges, 2 + 1, "the key of the artist is one");
    assert_eq!((send(&world).await.status, send(&other).await.status), (429, 429));
}

#[tokio::test(start_paused = true)]
async fn quotas_belong_to_a_subject_of_a_tenant() {
    let world = World::limited(1).await;
    assert_eq!((send(&world).await.status, send(&world).await.status), (200, 429));
    for (tenant, subject) in [("t1", "bob"), ("t2", "alice"), ("t1", "bob alice"), ("t1", "records")] {
        let key = world.key(tenant, subject, &[]).await;
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
        let body = artists(1).to_string();
        for status in [200, 429] {
            let answer = world.send("POST", "/batch", &headers, body.as_bytes()).await;
            assert_eq!(answer.status, status, "{tenant} {subject}");
        }
    }
    // Another key of the same subject is the same caller.
    let key = world.key("t1", "alice", &["admin"]).await;
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    assert_eq!(world.send("POST", "/batch", &headers, artists(1).to_string().as_bytes()).await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn operations_are_counted_too() {
    let quotas = Quotas { batches: 100, operations: 250 };
    let config = Config { rates: Rates { records: quotas, ..Rates::default() }, ..config() };
    let world = World::of(config, Model::shipped().expect("a model"), Limits::default(), (None, 1)).await;
    assert_eq!(world.batch(&artists(100)).await.status, 200);
    let second = world.batch(&artists(100)).await;
    assert_eq!(second.header("ratelimit"), r#""batches";r=98;t=2, "operations";r=50;t=48"#);
    let refused = world.batch(&artists(60)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "3"));
    assert_eq!(refused.body["details"]["policy"], "operations");
    assert_eq!(world.batch(&artists(50)).await.status, 200, "what fits is let through");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_batch_is_not_charged() {
    let world = World::limited(1).await;
    let wrong = json!({ "operations": [{ "entity": "ghost", "action": "create" }] });
    let checked = json!({ "operations": artists(1)["operations"], "options": { "validate_only": true } });
    for _ in 0..3 {
        assert_eq!(world.batch(&wrong).await.status, 400);
        assert_eq!(world.batch(&checked).await.status, 200);
        assert_eq!(world.post_with("/batch/plan", &[], &artists(1)).await.status, 200);
        let answer = world.post_with("/batch", &[("idempotency-key", "")], &artists(1)).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (400, ""));
    }
    assert_eq!(operations(&world), [""; 0], "a request that cannot run costs no call at all");
    assert_eq!(send(&world).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_charged_and_so_is_a_replay() {
    let world = World::limited(3).await;
    let failing = json!({ "operations": [{ "entity": "album", "action": "create", "store_params": { "title": "T", "artist_id": 99 } }] });
    let key = [("idempotency-key", "k")];
    let first = world.post_with("/batch", &key, &failing).await;
    let again = world.post_with("/batch", &key, &failing).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    assert!(again.header("ratelimit").starts_with(r#""batches";r=1;"#), "{}", again.header("ratelimit"));
    let retry = format!("/batches/{}/retry", first.batch_id());
    let retried = world.post_with(&retry, &[], &json!({})).await;
    assert_eq!(retried.status, 202);
    assert!(retried.header("ratelimit").starts_with(r#""batches";r=0;"#), "{}", retried.header("ratelimit"));
    let refused = world.post_with(&retry, &[], &json!({})).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "20"));
    let refused = world.post_with("/batch", &key, &failing).await;
    assert_eq!(refused.status, 429);
    let message = refused.body["message"].as_str().unwrap_or_default();
    assert!(message.contains("this call ran nothing") && message.contains("same Idempotency-Key"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_charged_twice() {
    for busy in [false, true] {
        let world = World::limited(5).await;
        if busy {
            send(&world).await;
        }
        world.seam.plan("UpdateItem", Fault::ReplyLost);
        let answer = send(&world).await;
        assert!(world.seam.all_happened());
        let left = if busy { 3 } else { 4 };
        let level = format!(r#""batches";r={left};"#);
        assert!(answer.header("ratelimit").starts_with(&level), "{}", answer.header("ratelimit"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_does_not_answer_lets_calls_through() {
    for fault in
        [Fault::Error(400, "AccessDeniedException"), Fault::Error(500, "InternalServerError"), Fault::RequestLost]
    {
        let world = World::limited(1).await;
        send(&world).await;
        let other = elsewhere(&world).await;
        for _ in 0..1_000 {
            world.seam.plan("UpdateItem", fault.clone());
        }
        let body = json!({ "operations": [{ "entity": "account", "action": "create", "store_params": { "account_id": 1, "available_balance": 1 } }] });
        let begun = world.app.clock().now();
        let answer = other.batch(&body).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, ""), "{:#}", answer.body);
        let took = world.app.clock().now().since_ms(begun);
        assert!(took <= 1_100, "{took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_is_called_too_fast_lets_nothing_through() {
    let world = World::limited(5).await;
    for _ in 0..1_000 {
        world.seam.plan("UpdateItem", Fault::Error(400, "ThrottlingException"));
    }
    let before = heads(&world);
    let answer = send(&world).await;
    assert_eq!((answer.status, &answer.body["error"]), (503, &json!("NOT_STARTED")));
    assert_eq!(heads(&world), before);
    world.seam.clear();
    assert_eq!(send(&world).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_meets_itself_is_charged_for_both() {
    let world = World::limited(5).await;
    // Another process charges just before this one's write arrives: a fifth of a minute for a batch.
    let now = world.app.clock().now().0;
    world.seam.plan(
        "UpdateItem",
        Fault::Before(Hook(Arc::new(move |database| {
            let item = json!({
                "pk": { "S": "T#t1#L#records#alice" }, "mark": { "S": "m" }, "ttl": { "N": "9999999999" },
                "batches": { "N": (now + 12_000).to_string() }, "operations": { "N": (now + 120).to_string() },
            });
            dispatch(database, "PutItem", json!({ "TableName": "ControlTable", "Item": item })).expect("it is written");
        }))),
    );
    world.seam.take_calls();
    let answer = send(&world).await;
    assert!(answer.header("ratelimit").starts_with(r#""batches";r=3;t=24"#), "{}", answer.header("ratelimit"));
    assert_eq!(operations(&world)[..3], ["UpdateItem", "UpdateItem", "PutItem"], "the first has failed, and told why");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_a_caller_is_two_times_that_expire() {
    let world = World::limited(7).await;
    send(&world).await;
    send(&world).await;
    let items = world.items("ControlTable");
    let item = items.iter().find(|item| item["pk"]["S"] == "T#t1#L#records#alice").expect("the caller's item");
    let mut names: Vec<&str> = item.as_object().expect("an item").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["batches", "mark", "operations", "pk", "ttl"]);
    // Two sevenths of a minute after now, in milliseconds.
    assert_eq!(item["batches"]["N"], "1767225617142.856");
    assert_eq!(item["ttl"]["N"], "1767229200");
    // An item that TTL has deleted, or not yet, makes no difference to one who was silent.
    dispatch(world.seam.database(), "DeleteItem", json!({ "TableName": "ControlTable", "Key": { "pk": item["pk"] } }))
        .expect("it is deleted");
    tokio::time::advance(Duration::from_mins(2)).await;
    assert_eq!(send(&world).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_goes_while_a_caller_waits_is_made_anew() {
    let world = World::limited(7).await;
    send(&world).await;
    let key = json!({ "TableName": "ControlTable", "Key": { "pk": { "S": "T#t1#L#records#alice" } } });
    dispatch(world.seam.database(), "DeleteItem", key).expect("it is deleted");
    let answer = send(&world).await;
    assert!(answer.header("ratelimit").starts_with(r#""batches";r=6;"#), "{}", answer.header("ratelimit"));
}
