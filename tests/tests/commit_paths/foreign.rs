//! A foreign writer between the reads of a batch and its commit.

use batch_tests::World;
use serde_json::{Value, json};

use crate::{create, delete, given, item, outcome, rival, update, version};

/// What is there before, the operation, what another client does before its commit, and what comes of it.
struct Scene {
    what: &'static str,
    before: Vec<Value>,
    operation: Value,
    rival: Vec<Value>,
    expected: &'static str,
}

fn account(store: Value) -> Value {
    create("a", "account", store)
}

fn customer(email: &str) -> Value {
    create("c", "customer", json!({ "first_name": "A", "email": email }))
}

fn node(id: &str, parent: Value) -> Value {
    create(&format!("n_{id}"), "node", json!({ "id": id, "parent": parent }))
}

fn scenes() -> Vec<Scene> {
    let one = || json!({ "account_id": 1 });
    let node_id = |id: &str| json!({ "id": id });
    vec![
        Scene {
            what: "the row has changed, and the change is no obstacle",
            before: vec![account(one())],
            operation: update("x", "account", one(), json!({ "available_balance": 11 })),
            rival: vec![update("u", "account", one(), json!({ "name": "N" }))],
            expected: "completed",
        },
        Scene {
            what: "the row has changed, and a condition does not hold any more",
            before: vec![account(json!({ "account_id": 1, "available_balance": 10 }))],
            operation: update(
                "x",
                "account",
                json!({ "account_id": 1, "available_balance": "ge::10" }),
                json!({ "available_balance": 1 }),
            ),
            rival: vec![update("u", "account", one(), json!({ "available_balance": 9 }))],
            expected: "failed CONDITION_FAILED",
        },
        Scene {
            what: "the row has another version than the client expected",
            before: vec![account(one())],
            operation: update("x", "account", one(), json!({ "name": "M", "version": 1 })),
            rival: vec![update("u", "account", one(), json!({ "name": "N" }))],
            expected: "failed VERSION_CONFLICT",
        },
        Scene {
            what: "the row is gone",
            before: vec![account(one())],
            operation: update("x", "account", one(), json!({ "name": "M" })),
            rival: vec![delete("d", "account", one())],
            expected: "failed NOT_FOUND",
        },
        Scene {
            what: "the row is gone and there again",
            before: vec![account(one())],
            operation: update("x", "account", one(), json!({ "available_balance": 3 })),
            rival: vec![delete("d", "account", one()), account(json!({ "account_id": 1, "name": "new" }))],
            expected: "completed",
        },
        Scene {
            what: "the key is taken",
            before: vec![],
            operation: create("x", "account", one()),
            rival: vec![account(one())],
            expected: "failed ALREADY_EXISTS",
        },
        Scene {
            what: "the key was taken and is free again",
            before: vec![],
            operation: create("x", "account", one()),
            rival: vec![account(one()), delete("d", "account", json!({ "account_id": "$ref:a.account_id" }))],
            expected: "completed",
        },
        Scene {
            what: "the tombstone is a row again",
            before: vec![account(one()), delete("d", "account", json!({ "account_id": "$ref:a.account_id" }))],
            operation: create("x", "account", one()),
            rival: vec![account(one())],
            expected: "failed ALREADY_EXISTS",
        },
        Scene {
            what: "the unique value is taken",
            before: vec![],
            operation: create("x", "customer", json!({ "first_name": "B", "email": "a@example.com" })),
            rival: vec![customer("a@example.com")],
            expected: "failed UNIQUE_VIOLATION",
        },
        Scene {
            what: "the unique value has become free",
            before: vec![node("m", json!(null)), create("t", "node", json!({ "id": "t", "label": "L" }))],
            operation: update("x", "node", node_id("m"), json!({ "label": "L" })),
            rival: vec![update("u", "node", node_id("t"), json!({ "label": null }))],
            // It was never read, only assumed, so the commit finds it free.
            expected: "completed",
        },
        Scene {
            what: "the parent is gone",
            before: vec![node("m", json!(null))],
            operation: create("x", "node", json!({ "id": "k", "parent": "m" })),
            rival: vec![delete("d", "node", node_id("m"))],
            expected: "failed FOREIGN_KEY_VIOLATION",
        },
        Scene {
            what: "a child has come",
            before: vec![node("m", json!(null))],
            operation: delete("x", "node", node_id("m")),
            rival: vec![node("k", json!("m"))],
            expected: "failed FOREIGN_KEY_VIOLATION",
        },
        Scene {
            what: "the last child has gone",
            before: vec![node("m", json!(null)), create("k", "node", json!({ "id": "k", "parent": "$ref:n_m.id" }))],
            operation: delete("x", "node", node_id("m")),
            rival: vec![delete("d", "node", node_id("k"))],
            expected: "completed",
        },
    ]
}

const MODEL: &str = "
components:
  schemas:
    account:
      type: object
      x-af-concurrency-control: version
      properties:
        account_id: {type: integer, x-af-primary-key: manual}
        name: {type: string, nullable: true}
        available_balance: {type: number}
        version: {type: integer}
    customer:
      type: object
      properties:
        customer_id: {type: integer, x-af-primary-key: auto}
        first_name: {type: string}
        email: {type: string, nullable: true, x-unique: true}
    node:
      type: object
      properties:
        id: {type: string, x-af-primary-key: manual}
        label: {type: string, nullable: true, x-unique: true}
        parent: {type: string, nullable: true, x-references: node.id}
";

/// Plays a scene beside an operation that nobody is in the way of.
async fn play(scene: &Scene, options: Value, expected: [&str; 2]) -> World {
    let model = batch_core::model::Model::from_yaml(MODEL).expect("the model is right");
    let world = World::with(model, batch_core::limits::Limits::default()).await;
    if !scene.before.is_empty() {
        given(&world, scene.before.clone()).await;
    }
    world.seam.plan("TransactWriteItems", rival(&world, scene.rival.clone()));
    let innocent = create("innocent", "account", json!({ "account_id": 77 }));
    let answer = world.run(vec![innocent, scene.operation.clone()], options).await;
    let told = [outcome(&answer, "innocent"), outcome(&answer, "x")];
    assert_eq!(told, expected, "{}: {:#}", scene.what, answer.body);
    assert!(world.seam.all_happened());
    world
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_before_the_commit_decides() {
    for scene in scenes() {
        let done = scene.expected == "completed";
        let options = json!({ "atomic": false, "continueOnError": true });
        let world = play(&scene, options, ["completed", scene.expected]).await;
        assert_eq!(version(&world, "account#77"), 1, "{}", scene.what);
        let world =
            play(&scene, json!({}), [if done { "completed" } else { "skipped Rolled back" }, scene.expected]).await;
        assert_eq!(version(&world, "account#77"), u64::from(done), "{}", scene.what);
        if scene.what.contains("no obstacle") {
            let row = item(&world, "account#1");
            let (name, balance) = (&row["f"]["M"]["name"]["S"], &row["f"]["M"]["available_balance"]["N"]);
            assert_eq!((name, balance, version(&world, "account#1")), (&json!("N"), &json!("11"), 3), "both are there");
        }
        if scene.what.contains("there again") {
            assert_eq!(item(&world, "account#1")["f"]["M"]["name"]["S"], "new");
        }
        if scene.what.contains("free again") {
            assert_eq!(version(&world, "account#1"), 2, "the tombstone's version goes on");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_chunk_meets_a_foreign_writer_too() {
    let world = crate::chunked(1).await;
    given(&world, crate::accounts(2)).await;
    world.seam.plan("TransactWriteItems", crate::nothing());
    world.seam.plan(
        "TransactWriteItems",
        rival(&world, vec![update("u", "account", json!({ "account_id": 1 }), json!({ "available_balance": 1 }))]),
    );
    let batch = vec![
        update("x0", "account", json!({ "account_id": 0 }), json!({ "available_balance": 0 })),
        update("x1", "account", json!({ "account_id": 1, "available_balance": 10 }), json!({ "available_balance": 0 })),
    ];
    let answer = world.run(batch, json!({ "atomic": false })).await;
    assert_eq!(
        (outcome(&answer, "x0"), outcome(&answer, "x1")),
        ("completed".into(), "failed CONDITION_FAILED".into())
    );
    assert_eq!((crate::balance(&world, 0), crate::balance(&world, 1)), ("0".into(), "1".into()));
}
