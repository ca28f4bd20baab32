//! What is changed: whose rows, which fields, and what a batch makes of a refusal.

use serde_json::{Value, json};

use super::setting::{create, delete, forbidden, missing, read, setting, update};

fn doc(id: &str, store: impl Into<Value>) -> Value {
    let mut fields = store.into();
    fields["doc_id"] = json!(id);
    create("doc", fields)
}

#[tokio::test(start_paused = true)]
async fn a_row_is_created_where_a_rule_holds_for_it() {
    let s = setting().await;
    let made = s.rows(&s.bob, doc("n1", json!({ "title": "N", "team_id": "red", "state": "open" }))).await;
    assert_eq!(made, json!([{ "doc_id": "n1", "title": "N", "team_id": "red", "state": "open", "version": 1 }]));
    assert_eq!(s.doc("n1").await["owner"], "bob", "set by the server, and seen by whom it is granted");
    for (store, at) in [
        (json!({ "title": "N", "team_id": "blue", "state": "open" }), ""),
        (json!({ "title": "N", "team_id": "red" }), ""),
        (json!({ "title": "N" }), ""),
        (json!({ "title": "N", "team_id": "red", "state": "closed" }), ""),
        (json!({ "title": "N", "team_id": "red", "state": "open", "price": 1 }), "/store_params/price"),
        (json!({ "team_id": "red", "pin": null }), "/store_params/pin"),
    ] {
        assert_eq!(s.refusal(&s.bob, doc("n2", store.clone())).await, forbidden(at), "{store}");
    }
    assert_eq!(s.refusal(&s.eve, doc("n2", json!({ "title": "N" }))).await, forbidden(""));
    assert_eq!(s.doc("n2").await, Value::Null);
    s.done(&s.ann, vec![doc("n2", json!({ "pin": "1", "team_id": "blue" }))]).await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_create_a_row_is_not_told_whether_its_key_is_taken() {
    let s = setting().await;
    for id in ["b1", "none"] {
        assert_eq!(s.refusal(&s.bob, doc(id, json!({ "team_id": "blue" }))).await, forbidden(""), "{id}");
        assert_eq!(
            s.refusal(&s.bob, doc(id, json!({ "team_id": "gone" }))).await,
            forbidden(""),
            "nor whether its parent is there"
        );
    }
    let taken = s.refusal(&s.bob, doc("b1", json!({ "team_id": "red", "state": "open" }))).await;
    assert_eq!(taken.0, "ALREADY_EXISTS", "who may create it is");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_its_maker_may_not_read_is_made_and_not_shown() {
    let s = setting().await;
    let author = s.world.key_with("kim", &["scribe"], &json!({ "rank": 5 })).await;
    let mut made = doc("k1", json!({ "title": "N" }));
    assert_eq!(s.refusal(&author, made.clone()).await, forbidden(""), "a rank that is null is not less");
    made["store_params"]["rank"] = json!(1);
    assert_eq!(s.refusal(&author, made).await, forbidden("/store_params/rank"));
    let yaml =
        super::setting::YAML.replace("{properties: 'title', where: 'rank", "{properties: 'title|rank', where: 'rank");
    let model = batch_core::model::Model::from_yaml(&yaml).unwrap();
    let world = batch_tests::World::with(model, batch_core::limits::Limits::default()).await;
    let author = world.key_with("kim", &["scribe"], &json!({ "rank": 5 })).await;
    let operations = json!([
        doc("k1", json!({ "title": "N", "rank": 5 })),
        { "id": "after", "entity": "note", "action": "create", "store_params": { "note_id": "n", "text": "$ref:op_0.doc_id" } },
    ]);
    let answer =
        world.post_as(&author, "/batch", &json!({ "operations": operations, "options": { "atomic": false } })).await;
    assert_eq!(answer.body["results"]["op_0"]["data"], json!([]), "{:#}", answer.body);
    assert_eq!(answer.body["results"]["after"]["code"], "REFERENCE_UNRESOLVED", "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_seen_is_not_there_to_change_and_what_is_seen_is_not_therefore_changed() {
    let s = setting().await;
    for id in ["b1", "x1", "none"] {
        assert_eq!(s.refusal(&s.bob, update(id, json!({ "title": "X" }))).await, missing(), "{id}");
        assert_eq!(s.refusal(&s.bob, update(id, json!({ "title": "X", "version": 1 }))).await, missing(), "{id}");
        assert_eq!(s.refusal(&s.bob, update(id, json!({ "title": "X", "version": 9 }))).await, missing(), "{id}");
        assert_eq!(s.refusal(&s.bob, update(id, json!({ "pin": "X" }))).await, missing(), "{id}");
        assert_eq!(s.refusal(&s.bob, delete(id)).await, missing(), "{id}");
        let mut conditional = update(id, json!({ "title": "X" }));
        conditional["query_params"]["version"] = json!(9);
        assert_eq!(s.refusal(&s.bob, conditional).await, missing(), "{id}");
    }
    for (key, operation, at) in [
        (&s.eve, update("r2", json!({ "title": "X" })), ""),
        (&s.eve, update("r2", json!({ "price": 1 })), ""),
        (&s.bob, update("r2", json!({ "price": 1 })), "/store_params/price"),
        (&s.bob, update("r2", json!({ "title": "X", "salary": null })), "/store_params/salary"),
        (&s.bob, delete("r2"), ""),
        (&s.bob, delete("r1"), ""),
        (&s.ann, delete("r2"), ""),
        (&s.eve, delete("r2"), ""),
    ] {
        assert_eq!(s.refusal(key, operation.clone()).await, forbidden(at), "{operation}");
    }
    assert_eq!(s.doc("r2").await["version"], 1, "nothing changed");
    for (key, version) in [(&s.bob, 2), (&s.eve, 1), (&s.eve, 2)] {
        let refused = s.refusal(key, update("r2", json!({ "title": "X", "version": version }))).await;
        assert_eq!(refused.0, "VERSION_CONFLICT", "a version that is not seen is never the expected one");
    }
    let changed = s.rows(&s.bob, update("r2", json!({ "title": "X", "version": 1 }))).await;
    assert_eq!(changed, json!([{ "doc_id": "r2", "title": "X", "team_id": "red", "state": "open", "version": 2 }]));
    let deleted = s.rows(&s.ann, delete("b1")).await;
    assert_eq!(deleted[0]["salary"], "s1", "told as it was seen");
    assert_eq!(deleted[0].get("rank"), None);
}

#[tokio::test(start_paused = true)]
async fn no_row_is_written_out_of_ones_reach_or_into_it() {
    let s = setting().await;
    for store in [json!({ "team_id": "blue" }), json!({ "team_id": null }), json!({ "state": "closed" })] {
        assert_eq!(s.refusal(&s.bob, update("r2", store.clone())).await, forbidden(""), "{store}");
    }
    s.done(&s.root, vec![update("r2", json!({ "state": "closed" }))]).await;
    assert_eq!(s.refusal(&s.bob, update("r2", json!({ "state": "open" }))).await, forbidden(""));
    // A reader of everything is no writer of everything.
    let kim = s.world.key_with("kim", &["auditor"], &json!({ "teams": ["blue"] })).await;
    assert_eq!(s.refusal(&kim, update("r1", json!({ "team_id": "blue" }))).await, forbidden(""));
    // Within both of his teams ann moves what is hers and what is not.
    s.done(&s.ann, vec![update("r1", json!({ "team_id": "blue" }))]).await;
    s.done(&s.root, vec![update("r2", json!({ "state": "open" }))]).await;
    s.done(&s.ann, vec![update("r2", json!({ "team_id": "blue" }))]).await;
    assert_eq!(s.rows(&s.bob, read(json!({}), json!({ "limit": 9 }))).await, json!([]));
    assert_eq!(s.refusal(&s.bob, update("r2", json!({ "title": "mine" }))).await, missing());
}

#[tokio::test(start_paused = true)]
async fn what_the_batch_has_written_is_judged_as_it_is_then() {
    let s = setting().await;
    let mut moved = update("r2", json!({ "team_id": "blue" }));
    moved["id"] = json!("moved");
    let kim = s.world.key_with("kim", &[], &json!({ "teams": ["red", "blue"] })).await;
    let mut narrow = update("r2", json!({ "title": "X" }));
    narrow["claims"] = json!({ "teams": "red" });
    narrow["depends_on"] = json!(["moved"]);
    let answer = s.run(&kim, vec![moved, narrow], json!({ "atomic": false })).await;
    assert_eq!(answer.body["results"]["op_1"]["code"], "NOT_FOUND", "{:#}", answer.body);
    assert_eq!(s.doc("r2").await["title"], "T r2");
}

#[tokio::test(start_paused = true)]
async fn one_forbidden_operation_undoes_an_atomic_batch_and_leaves_the_others_of_another() {
    let s = setting().await;
    let operations = || {
        vec![
            update("r2", json!({ "title": "first" })),
            delete("r2"),
            create("note", json!({ "note_id": "n", "text": "t" })),
        ]
    };
    let before = s.world.items("RecordsTable");
    for going_on in [false, true] {
        let answer = s.run(&s.bob, operations(), json!({ "atomic": true, "continueOnError": going_on })).await;
        assert_eq!(answer.body["status"], "failed", "{:#}", answer.body);
        assert_eq!(answer.body["failedOperations"], json!(["op_1"]));
        assert_eq!(answer.body["results"]["op_1"]["statusCode"], 403);
        assert_eq!(answer.body["results"]["op_0"]["reason"], "Rolled back");
        assert_eq!(s.world.items("RecordsTable"), before, "nothing was applied");
    }
    let answer = s.run(&s.bob, operations(), json!({ "atomic": false, "continueOnError": true })).await;
    assert_eq!(answer.header("batch-status"), "partial;succeeded=2;failed=1;skipped=0", "{:#}", answer.body);
    assert_eq!(s.doc("r2").await["title"], "first");
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_the_background_has_the_rights_that_its_maker_had() {
    let s = setting().await;
    let body = json!({ "operations": [
        update("r2", json!({ "title": "later" })),
        update("b1", json!({ "title": "later" })),
        { "entity": "doc", "action": "update", "query_params": { "doc_id": "r1" }, "store_params": { "title": "x" }, "claims": { "teams": [] } },
    ], "options": { "atomic": false, "continueOnError": true } });
    let headers = [("content-type", "application/json"), ("x-api-key", s.bob.as_str()), ("prefer", "respond-async")];
    let accepted = s.world.send("POST", "/batch", &headers, body.to_string().as_bytes()).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    s.world.drain().await;
    let results = s.world.send("GET", &format!("/batches/{}/results", accepted.batch_id()), &headers[1..2], b"").await;
    let told: Vec<&Value> = results.body["data"].as_array().unwrap().iter().collect();
    assert_eq!(told[0]["status"], "completed", "{:#}", results.body);
    assert_eq!((&told[1]["code"], &told[2]["code"]), (&json!("NOT_FOUND"), &json!("NOT_FOUND")), "{:#}", results.body);
    assert_eq!(told[0]["data"][0].get("salary"), None);
}
