//! API keys while they live: made apart from the service, two at once, expired, withdrawn.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use batch_core::auth::ApiKeyRecord;
use batch_core::runtime::Entropy;
use batch_core::store::api_key_item;
use batch_local::keys::{Identity, new_api_key};
use batch_tests::World;
use batch_tests::seam::dispatch;
use serde_json::{Map, Value, json};

/// Records are trusted for so long.
const CACHED: Duration = Duration::from_secs(30);

/// A key of `ann`, made as for a deployment: its item is stored by somebody else than the service.
fn key(world: &World, days: Option<u16>) -> (String, ApiKeyRecord) {
    let identity = Identity::new("acme", "ann", Vec::<String>::new(), Map::new()).unwrap();
    let (key, record) = new_api_key(identity, days, &Entropy::system(), world.app.clock().now());
    let attributes = api_key_item(&record).unwrap();
    let item: Map<String, Value> =
        attributes.into_iter().map(|(name, text)| (name.to_owned(), json!({ "S": text }))).collect();
    call(world, "PutItem", json!({ "TableName": "ControlTable", "Item": item }));
    (key.expose().to_owned(), record)
}

fn call(world: &World, operation: &str, body: Value) {
    dispatch(world.seam.database(), operation, body).unwrap();
}

async fn status(world: &World, key: &str) -> u16 {
    world.send("GET", "/batches", &[("x-api-key", key)], b"").await.status
}

#[tokio::test(start_paused = true)]
async fn a_key_is_replaced_while_both_are_good() {
    let world = World::new().await;
    let (old, _) = key(&world, Some(1));
    let body = json!({ "operations": [{ "entity": "artist", "action": "create", "store_params": { "name": "ada" } }] });
    let text = body.to_string();
    let send = async |key: &str| {
        let headers = [("x-api-key", key), ("idempotency-key", "once"), ("content-type", "application/json")];
        world.send("POST", "/batch", &headers, text.as_bytes()).await
    };
    let made = send(&old).await;
    assert_eq!(made.status, 200, "{:#}", made.body);

    let (new, _) = key(&world, None);
    let again = send(&new).await;
    assert_eq!(again.header("idempotent-replayed"), "true", "both keys speak for one subject");
    assert_eq!((status(&world, &old).await, status(&world, &new).await), (200, 200));

    tokio::time::advance(Duration::from_hours(24)).await;
    assert_eq!((status(&world, &old).await, status(&world, &new).await), (401, 200), "a day is over");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_is_refused_half_a_minute_later_at_the_latest() {
    let world = World::new().await;
    let ((first, record), (second, _)) = (key(&world, None), key(&world, None));
    assert_eq!((status(&world, &first).await, status(&world, &second).await), (200, 200));
    let [(_, pk), _] = api_key_item(&record).unwrap();
    call(&world, "DeleteItem", json!({ "TableName": "ControlTable", "Key": { "pk": { "S": pk } } }));
    tokio::time::advance(CACHED).await;
    assert_eq!((status(&world, &first).await, status(&world, &second).await), (401, 200));
}

#[tokio::test(start_paused = true)]
async fn of_a_key_nothing_is_stored_that_opens_anything() {
    let world = World::new().await;
    let (key, record) = key(&world, None);
    assert_eq!(status(&world, &key).await, 200);
    let stored = json!(world.items("ControlTable")).to_string();
    let secret = key.rsplit('_').next().unwrap();
    assert!(!stored.contains(secret) && stored.contains(&record.hash), "{stored}");
}
