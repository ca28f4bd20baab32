//! The same request again, under the same key.

use std::time::Duration;

use batch_tests::{Answer, World};
use serde_json::{Value, json};

use crate::sizes::noise;
use crate::{accounts, create, given, outcome, read, update, version};

const KEY: (&str, &str) = ("idempotency-key", "key-1");

fn raise() -> Value {
    json!({ "operations": [update("u", "account", json!({ "account_id": 0 }), json!({ "available_balance": 11.5 }))] })
}

/// POSTs text as it is.
async fn post(world: &World, key: &str, text: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("x-api-key", key), KEY];
    world.send("POST", "/batch", &headers, text.as_bytes()).await
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_answered_with_what_it_came_to() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let first = world.post_with("/batch", &[KEY], &raise()).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, ""));
    world.seam.take_calls();
    let second = world.post_with("/batch", &[KEY], &raise()).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, "true"));
    assert_eq!(first.body, second.body);
    assert_eq!(version(&world, "account#0"), 2);
    assert_eq!(world.seam.take_calls().len(), 3, "the quota, the refused acceptance, and the state");
}

#[tokio::test(start_paused = true)]
async fn spelling_and_order_of_a_request_do_not_matter_and_what_acts_does() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let key = world.key("t1", "bob", &[]).await;
    let operation = r#"{"id":"u","entity":"account","action":"update","query_params":{"account_id":0},"store_params":{"available_balance":11.5,"name":"N"}}"#;
    let first = post(&world, &key, &format!(r#"{{"operations":[{operation}]}}"#)).await;
    assert_eq!(first.status, 200, "{:#}", first.body);
    let same = [
        format!(r#"{{ "options": {{}}, "operations": [{operation}] }}"#),
        r#"{"operations":[{"store_params":{"name":"N","available_balance":1.150e1},"query_params":{"account_id":0.0},"action":"update","entity":"account","id":"u"}]}"#.to_owned(),
        format!(r#"{{"operations":[{operation}],"options":{{"atomic":true,"continue_on_error":false,"parallel":true,"maxRetries":0}}}}"#),
        format!(r#"{{"operations":[{operation}],"unknown":1}}"#),
    ];
    for text in same {
        let answer = post(&world, &key, &text).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, "true"), "{text}: {:#}", answer.body);
        assert_eq!(answer.batch_id(), first.batch_id());
    }
    let other = [
        format!(r#"{{"operations":[{operation}],"options":{{"atomic":false}}}}"#),
        format!(r#"{{"operations":[{operation}],"options":{{"continueOnError":true}}}}"#),
        format!(r#"{{"operations":[{operation}],"options":{{"timeout":5000}}}}"#),
        format!(r#"{{"operations":[{operation}],"options":{{"max_retries":1}}}}"#),
        format!(r#"{{"operations":[{operation}],"options":{{"reference":"r"}}}}"#),
        format!(r#"{{"operations":[{}]}}"#, operation.replace("11.5", "11.50001")),
        format!(r#"{{"operations":[{}]}}"#, operation.replace(r#""id":"u""#, r#""id":"v""#)),
    ];
    for text in other {
        let answer = post(&world, &key, &text).await;
        assert_eq!((answer.status, &answer.body["error"]), (422, &json!("IDEMPOTENCY_KEY_REUSED")), "{text}");
    }
    assert_eq!(version(&world, "account#0"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_its_callers_own() {
    let world = World::new().await;
    let (bob, other) = (world.key("t1", "bob", &[]).await, world.key("t2", "bob", &[]).await);
    let mut ids = Vec::new();
    for key in [&bob, &other] {
        let text = json!({ "operations": [create("a", "artist", json!({ "name": "N" }))] }).to_string();
        let answer = post(&world, key, &text).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, ""));
        ids.push(answer.batch_id());
    }
    let mine = world.post_with("/batch", &[KEY], &json!({ "operations": accounts(1) })).await;
    assert_eq!((mine.status, mine.header("idempotent-replayed")), (200, ""));
    ids.push(mine.batch_id());
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_replay_helps_a_batch_on_that_has_not_ended() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let headers = [KEY, ("prefer", "respond-async")];
    assert_eq!(world.post_with("/batch", &headers, &raise()).await.status, 202);
    assert_eq!(world.seam.take_messages().len(), 1, "and this message is lost");
    let soon = world.post_with("/batch", &headers, &raise()).await;
    assert_eq!((soon.status, soon.header("idempotent-replayed")), (202, "true"));
    assert_eq!(world.seam.take_messages().len(), 0, "it may be on its way");
    tokio::time::advance(Duration::from_millis(5_001)).await;
    assert_eq!(world.post_with("/batch", &headers, &raise()).await.status, 202);
    assert_eq!(world.drain().await, 1);
    let done = world.post_with("/batch", &headers, &raise()).await;
    assert_eq!((done.status, outcome(&done, "u")), (200, "completed".into()));
    assert_eq!(version(&world, "account#0"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_free_again_when_its_batch_has_expired() {
    let world = World::new().await;
    let memory = json!({ "operations": [create("m", "memory", json!({ "content": noise(20_000, 1) }))] });
    let first = world.post_with("/batch", &[KEY], &memory).await;
    assert_eq!(first.body["status"], "completed", "{:#}", first.body);
    tokio::time::advance(Duration::from_hours(31 * 24)).await;
    assert_eq!(world.get(&format!("/batches/{}", first.batch_id())).await.status, 404);
    let body = json!({ "operations": [read("r", "account", json!({ "account_id": 1 })), read("s", "account", json!({ "account_id": 2 }))] });
    let second = world.post_with("/batch", &[KEY, ("prefer", "respond-async")], &body).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (202, ""));
    assert_eq!(second.batch_id(), first.batch_id(), "the name is the same");
    let now = world.get(&format!("/batches/{}", first.batch_id())).await;
    assert_eq!(now.body["status"], "pending", "the old state is not its own");
    assert_eq!(now.body["summary"], json!({ "total": 2, "successful": 0, "failed": 0, "skipped": 0, "pending": 2 }));
    let results = world.get(&format!("/batches/{}/results", first.batch_id())).await;
    assert_eq!(
        results.body["data"],
        json!([{ "id": "r", "index": 0, "status": "pending" }, { "id": "s", "index": 1, "status": "pending" }])
    );
    world.drain().await;
    let results = world.get(&format!("/batches/{}/results", first.batch_id())).await;
    assert_eq!(results.body["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(results.body["data"][0]["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_batch_outlives_it_even_where_an_older_one_left_it() {
    let world = World::new().await;
    let memory = json!({ "operations": [create("m", "memory", json!({ "content": noise(20_000, 1) }))] });
    world.post_with("/batch", &[KEY], &memory).await;
    tokio::time::advance(Duration::from_hours(31 * 24)).await;
    let second = world.post_with("/batch", &[KEY], &memory).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, ""), "{:#}", second.body);
    let ends = |kind: &str| {
        let items = world.items("BatchesTable");
        let own = items.into_iter().filter(|item| item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with(kind)));
        own.map(|item| item["ttl"]["N"].as_str().and_then(|ttl| ttl.parse::<i64>().ok()).unwrap_or(0))
            .collect::<Vec<_>>()
    };
    let head = ends("A#HEAD")[0];
    let (operations, states) = (ends("OPS#"), ends("A#STATE"));
    assert!(!operations.is_empty());
    assert!(operations.iter().chain(&states).all(|ttl| *ttl > head), "{operations:?} {states:?} {head}");
}
