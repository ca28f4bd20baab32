//! `claims` of an operation: fewer of the caller's, never others.

use serde_json::{Value, json};

use super::setting::{column, create, delete, forbidden, missing, read, setting, update, with_claims};

fn list() -> Value {
    read(json!({}), json!({ "limit": 50, "sort": "doc_id" }))
}

#[tokio::test(start_paused = true)]
async fn an_operation_sees_and_does_what_its_claims_leave() {
    let s = setting().await;
    for (claims, ids) in [
        (json!({}), vec!["b1", "r1", "r2"]),
        (json!({ "teams": ["blue", "red"] }), vec!["b1", "r1", "r2"]),
        (json!({ "teams": ["red"], "roles": [] }), vec!["r1", "r2"]),
        (json!({ "teams": "blue", "roles": [] }), vec!["b1"]),
        (json!({ "teams": [] }), vec!["b1", "r1"]),
        (json!({ "teams": [], "roles": [] }), vec![]),
        (json!({ "sub": "ann", "tenant": "t1", "roles": "author" }), vec!["b1", "r1", "r2"]),
    ] {
        let rows = s.rows(&s.ann, with_claims(list(), claims.clone())).await;
        assert_eq!(column(&rows, "doc_id"), ids, "{claims}");
    }
    let plain = s.rows(&s.ann, with_claims(read(json!({ "doc_id": "r1" }), json!({})), json!({ "roles": [] }))).await;
    assert_eq!(plain[0].get("salary"), None, "without the role its fields are hidden");
    let hidden = with_claims(read(json!({ "salary": "s3" }), json!({})), json!({ "roles": [] }));
    assert_eq!(s.refusal(&s.ann, hidden).await, forbidden("/query_params/salary"));
    let foreign = with_claims(update("r2", json!({ "title": "X" })), json!({ "teams": ["blue"] }));
    assert_eq!(s.refusal(&s.ann, foreign).await, missing());
    assert_eq!(s.refusal(&s.ann, with_claims(delete("r1"), json!({ "roles": [] }))).await, forbidden(""));
    s.done(&s.ann, vec![with_claims(delete("r1"), json!({ "roles": ["author"], "teams": [] }))]).await;
}

#[tokio::test(start_paused = true)]
async fn claims_that_are_not_the_callers_fail_the_operation() {
    let s = setting().await;
    for (claims, at) in [
        (json!({ "teams": ["red", "green"] }), "/claims/teams"),
        (json!({ "teams": "green" }), "/claims/teams"),
        (json!({ "teams": ["red", null] }), "/claims/teams"),
        (json!({ "roles": ["admin"] }), "/claims/roles"),
        (json!({ "roles": ["author", "admin"] }), "/claims/roles"),
        (json!({ "sub": "root" }), "/claims/sub"),
        (json!({ "tenant": "t2" }), "/claims/tenant"),
        (json!({ "iss": "me" }), "/claims/iss"),
        (json!({ "admin": true }), "/claims/admin"),
        (json!({ "a/b~c": 1 }), "/claims/a~1b~0c"),
        (json!({ "teams": "$ref:op_0.team_id" }), "/claims/teams"),
    ] {
        for operation in
            [list(), create("note", json!({ "note_id": "n" })), update("r1", json!({ "title": "X" })), delete("r1")]
        {
            assert_eq!(s.refusal(&s.ann, with_claims(operation, claims.clone())).await, forbidden(at), "{claims}");
        }
    }
    let others = vec![with_claims(list(), json!({ "roles": ["admin"] })), create("note", json!({ "note_id": "n" }))];
    let answer = s.run(&s.ann, others, json!({ "atomic": false, "continueOnError": true })).await;
    assert_eq!(answer.header("batch-status"), "partial;succeeded=1;failed=1;skipped=0", "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn an_admin_who_lays_the_role_down_is_bound_by_the_rules() {
    let s = setting().await;
    assert_eq!(s.rows(&s.root, list()).await.as_array().unwrap().len(), 4);
    assert_eq!(s.rows(&s.root, with_claims(list(), json!({ "roles": [] }))).await, json!([]));
    assert_eq!(s.refusal(&s.root, with_claims(delete("r2"), json!({ "roles": [] }))).await, missing());
}

#[tokio::test(start_paused = true)]
async fn fewer_claims_are_not_more_rights_even_where_a_rule_turns_on_what_is_not_in_them() {
    let yaml = super::setting::YAML.replace("'team_id in ${claims.teams}'", "'not (team_id in ${claims.teams})'");
    let model = batch_core::model::Model::from_yaml(&yaml).unwrap();
    let world = batch_tests::World::with(model, batch_core::limits::Limits::default()).await;
    let root = world.key_with("root", &["admin"], &json!({})).await;
    let setting = super::setting::Setting { world, ann: String::new(), bob: String::new(), eve: String::new(), root };
    let doc = |id: &str, team: &str| {
        vec![create("team", json!({ "team_id": team })), create("doc", json!({ "doc_id": id, "team_id": team }))]
    };
    setting.done(&setting.root, doc("r1", "red")).await;
    setting.done(&setting.root, doc("b1", "blue")).await;
    let bob = setting.world.key_with("bob", &[], &json!({ "teams": ["red"] })).await;
    for claims in [json!({}), json!({ "teams": [] })] {
        let rows = setting.rows(&bob, with_claims(list(), claims.clone())).await;
        assert_eq!(column(&rows, "doc_id"), ["b1"], "{claims}");
    }
}

#[tokio::test(start_paused = true)]
async fn claims_belong_to_the_request() {
    let s = setting().await;
    let send = async |claims: Value| {
        let body = json!({ "operations": [with_claims(update("r1", json!({ "title": "once" })), claims)] });
        let headers = [("content-type", "application/json"), ("x-api-key", s.bob.as_str()), ("idempotency-key", "k")];
        s.world.send("POST", "/batch", &headers, body.to_string().as_bytes()).await
    };
    assert_eq!(send(json!({ "teams": ["red"] })).await.status, 200);
    assert_eq!(send(json!({ "teams": ["red"] })).await.header("idempotent-replayed"), "true");
    assert_eq!(send(json!({ "teams": "red" })).await.status, 422);
    assert_eq!(send(json!({})).await.status, 422);
    // A retry is narrowed as what it repeats was.
    let narrow = with_claims(update("r1", json!({ "title": "again" })), json!({ "teams": [] }));
    let id = s.run(&s.bob, vec![narrow], json!({})).await.batch_id();
    let retried = s.world.post_as(&s.bob, &format!("/batches/{id}/retry"), &json!({})).await;
    s.world.drain().await;
    let key = [("x-api-key", s.bob.as_str())];
    let path = format!("/batches/{}/results", retried.body["newBatchId"].as_str().unwrap());
    let results = s.world.send("GET", &path, &key, b"").await;
    assert_eq!(results.body["data"][0]["code"], "NOT_FOUND", "{:#}", results.body);
}
