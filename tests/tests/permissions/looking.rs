//! What is told of permissions before anything runs.

use serde_json::{Value, json};

use super::setting::{create, delete, read, setting, update, with_claims};

/// Operations with what is certain of them for bob.
fn operations() -> Vec<(Value, &'static str)> {
    vec![
        (create("note", json!({ "note_id": "n" })), "allowed"),
        (read(json!({ "team_id": "red" }), json!({ "limit": 5, "sort": "title" })), "by_row"),
        (read(json!({ "salary": "s2" }), json!({})), "denied"),
        (read(json!({}), json!({ "limit": 5, "sort": "price" })), "denied"),
        (read(json!({}), json!({ "limit": 5, "properties": "doc_id,pin" })), "denied"),
        (read(json!({ "doc_id": "r1" }), json!({ "properties": "team:budget" })), "denied"),
        (create("doc", json!({ "doc_id": "d", "team_id": "red", "state": "open" })), "allowed"),
        (create("doc", json!({ "doc_id": "d", "team_id": "$ref:op_1.0.team_id", "state": "open" })), "by_row"),
        (create("doc", json!({ "doc_id": "d", "team_id": "blue", "state": "open" })), "denied"),
        (create("doc", json!({ "doc_id": "d", "team_id": "red", "state": "open", "price": 1 })), "denied"),
        (create("team", json!({ "team_id": "t" })), "denied"),
        (update("r1", json!({ "title": "X" })), "by_row"),
        (update("r1", json!({ "price": 1 })), "denied"),
        (delete("r1"), "denied"),
        (with_claims(create("note", json!({ "note_id": "m" })), json!({ "teams": [] })), "allowed"),
        (with_claims(create("note", json!({ "note_id": "m" })), json!({ "roles": ["admin"] })), "denied"),
        (
            with_claims(
                create("doc", json!({ "doc_id": "d", "team_id": "red", "state": "open" })),
                json!({ "teams": [] }),
            ),
            "denied",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_what_is_certain() {
    let s = setting().await;
    let before = s.world.items("BatchesTable");
    let (bodies, verdicts): (Vec<Value>, Vec<&str>) = operations().into_iter().unzip();
    let body = json!({ "operations": bodies, "options": { "atomic": false } });
    let plan = s.world.post_as(&s.bob, "/batch/plan", &body).await;
    assert_eq!((plan.status, &plan.body["valid"]), (200, &json!(true)), "{:#}", plan.body);
    for ((told, verdict), body) in plan.body["operations"].as_array().unwrap().iter().zip(verdicts).zip(&bodies) {
        assert_eq!(told["permission"], verdict, "{body}");
        assert_eq!(told.get("reason").is_some(), verdict == "denied", "{told}");
    }
    let admin = s.world.post_as(&s.root, "/batch/plan", &body).await;
    let allowed = |told: &Value| told["permission"] == "allowed";
    let open = admin.body["operations"].as_array().unwrap().iter().filter(|told| allowed(told)).count();
    assert_eq!(open, bodies.len() - 2, "all but those with claims that an admin does not have: {:#}", admin.body);
    assert_eq!(s.world.items("BatchesTable"), before);
}

#[tokio::test(start_paused = true)]
async fn a_check_tells_what_is_denied_as_a_problem() {
    let s = setting().await;
    for (operation, verdict) in operations() {
        let first = read(json!({ "doc_id": "r1" }), json!({}));
        let body = json!({ "operations": [first, first, operation], "options": { "validate_only": true } });
        let answer = s.world.post_as(&s.bob, "/batch", &body).await;
        let told = &answer.body["operations"][2];
        assert_eq!((answer.status, &told["permission"]), (200, &json!(verdict)), "{operation}: {:#}", answer.body);
        let denied = verdict == "denied";
        assert_eq!(told["status"], if denied { "invalid" } else { "valid" }, "{operation}");
        assert_eq!(told["code"].as_str(), denied.then_some("FORBIDDEN"), "{operation}");
        assert_eq!(answer.body["success"], !denied);
    }
    let wrong = json!({ "operations": [{ "entity": "doc", "action": "read", "claims": [] }], "options": { "validate_only": true } });
    let answer = s.world.post_as(&s.bob, "/batch", &wrong).await;
    assert_eq!(answer.body["errors"][0]["code"], "WRONG_TYPE", "{:#}", answer.body);
}
