//! Messages and stored batches that are not as they should be.

use batch_tests::World;
use batch_tests::seam::dispatch;
use serde_json::{Value, json};

use crate::{accounts, balance, given, update, version};

async fn queued(world: &World, account: usize) -> (String, String) {
    let raise = update("u", "account", json!({ "account_id": account }), json!({ "available_balance": 11 }));
    let answer = world.post_with("/batch", &[("prefer", "respond-async")], &json!({ "operations": [raise] })).await;
    let mut messages = world.seam.take_messages();
    (answer.batch_id(), messages.pop().expect("a message"))
}

/// Changes one attribute of an item of the batch.
fn spoil(world: &World, id: &str, sk: &str, name: &str, value: Value) {
    let body = json!({
        "TableName": "BatchesTable",
        "Key": { "pk": { "S": format!("T#t1#B#{id}") }, "sk": { "S": sk } },
        "UpdateExpression": "SET #n = :v",
        "ExpressionAttributeNames": { "#n": name },
        "ExpressionAttributeValues": { ":v": value },
    });
    dispatch(world.seam.database(), "UpdateItem", body).expect("the item is changed");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_worked_on_is_delivered_again_and_harms_no_other() {
    let world = World::new().await;
    given(&world, accounts(3)).await;
    let ((_, first), (poisoned, second), (_, third)) =
        (queued(&world, 0).await, queued(&world, 1).await, queued(&world, 2).await);
    spoil(&world, &poisoned, "A#HEAD", "operations", json!({ "B": "AAAA" }));
    let next = first.replace("\"v\":1", "\"v\":2");
    assert_ne!(next, first);
    let bodies = [
        first,
        "not JSON".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        json!({ "v": 1, "kind": "dance", "tenant": "t1", "batch_id": "batch_0" }).to_string(),
        next,
        second,
        String::new(),
        third,
    ];
    assert_eq!(world.deliver(&bodies).await, ["m1", "m2", "m3", "m4", "m5", "m6", "m7"]);
    assert_eq!([0, 1, 2].map(|n| balance(&world, n)), ["11", "10", "11"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_tenant_or_of_no_batch_does_nothing() {
    let world = World::new().await;
    given(&world, accounts(1)).await;
    let (_, message) = queued(&world, 0).await;
    let foreign = message.replace("\"t1\"", "\"t2\"");
    let gone =
        json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": format!("batch_{:032x}", 7) }).to_string();
    assert_ne!(foreign, message);
    assert!(world.deliver(&[foreign, gone]).await.is_empty(), "there is nothing that another delivery could do");
    assert_eq!(version(&world, "account#0"), 1);
    assert!(world.deliver(&[message]).await.is_empty());
    assert_eq!(version(&world, "account#0"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_version_has_stored_is_not_touched() {
    for sk in ["A#HEAD", "A#STATE"] {
        let world = crate::chunked(1).await;
        given(&world, accounts(2)).await;
        let updates: Vec<Value> = (0..2)
            .map(|n| {
                update(&format!("u{n}"), "account", json!({ "account_id": n }), json!({ "available_balance": 11 }))
            })
            .collect();
        let body = json!({ "operations": updates, "options": { "atomic": false } });
        let headers = [("prefer", "respond-async"), ("idempotency-key", "k")];
        let answer = world.post_with("/batch", &headers, &body).await;
        let messages = world.seam.take_messages();
        // One of two chunks is done, so that there is a state.
        world.seam.plan("TransactWriteItems", crate::nothing());
        crate::cut_off(&world, "TransactWriteItems");
        assert_eq!(world.deliver(&messages).await, ["m0"]);
        world.seam.clear();
        spoil(&world, &answer.batch_id(), sk, "format", json!({ "N": "2" }));
        assert_eq!(world.deliver(&messages).await, ["m0"], "{sk}: perhaps the next one knows it");
        let told = world.get(&format!("/batches/{}", answer.batch_id())).await;
        assert_eq!((told.status, &told.body["error"]), (500, &json!("INTERNAL_ERROR")), "{sk}");
        let again = world.post_with("/batch", &headers, &body).await;
        assert_eq!((again.status, &again.body["error"]), (500, &json!("OUTCOME_UNKNOWN")), "{sk}");
        assert_eq!([0, 1].map(|n| balance(&world, n)), ["11", "10"], "{sk}");
        assert!(world.seam.take_messages().is_empty());
    }
}
