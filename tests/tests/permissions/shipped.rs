//! The shipped model: profiles are their owners', content is everybody's to read and its creators' to write.

use batch_tests::World;
use serde_json::{Value, json};

async fn one(world: &World, key: &str, operation: Value) -> Value {
    let answer = world.post_as(key, "/batch", &json!({ "operations": [operation] })).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    answer.body["results"]["op_0"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_profile_is_seen_and_changed_by_its_owner_alone() {
    let world = World::new().await;
    let (ann, bob) = (world.key("t1", "ann", &[]).await, world.key("t1", "bob", &["editor"]).await);
    let query = json!({ "profile_id": "p" });
    let operation = |action: &str, store: Value| json!({ "entity": "profile", "action": action, "query_params": query, "store_params": store });
    let create =
        json!({ "entity": "profile", "action": "create", "store_params": { "profile_id": "p", "address": "0x1" } });
    assert_eq!(one(&world, &ann, create.clone()).await["data"][0]["owner"], "ann");
    assert_eq!(one(&world, &bob, operation("read", json!({}))).await["data"], json!([]));
    assert_eq!(one(&world, &bob, operation("update", json!({ "address": "0x2" }))).await["code"], "NOT_FOUND");
    assert_eq!(one(&world, &bob, operation("delete", json!({}))).await["code"], "NOT_FOUND");
    assert_eq!(one(&world, &bob, create).await["code"], "ALREADY_EXISTS");
    assert_eq!(one(&world, &ann, operation("update", json!({ "address": "0x2" }))).await["status"], "completed");
    assert_eq!(one(&world, &ann, operation("delete", json!({}))).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn content_is_read_by_all_and_written_by_who_acts_for_its_creator() {
    let world = World::new().await;
    let ann = world.key_with("ann", &[], &json!({ "creators": ["SP1", "SP2"] })).await;
    let bob = world.key_with("bob", &[], &json!({ "creators": ["SP3"] })).await;
    let none = world.key("t1", "eve", &[]).await;
    let create = |creator: &str| json!({ "entity": "content", "action": "create", "store_params": { "content_id": creator, "creator": creator, "price": 5 } });
    let read = json!({ "entity": "content", "action": "read", "query_params": { "content_id": "SP1" } });
    let update = |store: Value| json!({ "entity": "content", "action": "update", "query_params": { "content_id": "SP1" }, "store_params": store });
    assert_eq!(one(&world, &ann, create("SP1")).await["data"][0]["price"], 5);
    for (key, creator) in [(&ann, "SP3"), (&bob, "SP2"), (&none, "SP1")] {
        assert_eq!(one(&world, key, create(creator)).await["code"], "FORBIDDEN", "{creator}");
    }
    assert_eq!(one(&world, &none, read).await["data"][0]["creator"], "SP1");
    for key in [&bob, &none] {
        assert_eq!(one(&world, key, update(json!({ "title": "T" }))).await["code"], "FORBIDDEN");
    }
    assert_eq!(one(&world, &ann, update(json!({ "title": "T" }))).await["data"][0]["title"], "T");
    let mut narrow = update(json!({ "title": "U" }));
    narrow["claims"] = json!({ "creators": "SP2" });
    assert_eq!(one(&world, &ann, narrow).await["code"], "FORBIDDEN");
}

#[tokio::test(start_paused = true)]
async fn price_and_removal_of_content_are_not_changed_by_operations() {
    let world = World::new().await;
    let ann = world.key_with("ann", &["admin"], &json!({ "creators": ["SP1"] })).await;
    let query = json!({ "content_id": "c" });
    for (action, store, code) in [
        ("update", json!({ "price": 6 }), "READ_ONLY"),
        ("update", json!({ "removedAt": null }), "READ_ONLY"),
        ("delete", json!({}), "NOT_SUPPORTED"),
    ] {
        let operation = json!({ "entity": "content", "action": action, "query_params": query, "store_params": store });
        let answer = world.post_as(&ann, "/batch", &json!({ "operations": [operation] })).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["code"]), (400, &json!(code)), "{:#}", answer.body);
    }
}
