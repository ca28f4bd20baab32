//! What is seen: rows and fields, and what may be asked of them.

use serde_json::{Value, json};

use super::setting::{column, forbidden, missing, read, setting, update};

#[tokio::test(start_paused = true)]
async fn a_row_shows_the_fields_that_the_roles_of_the_caller_add_up_to() {
    let s = setting().await;
    let by_key = |id: &str| read(json!({ "doc_id": id }), json!({}));
    let team = json!({ "doc_id": "r2", "title": "T r2", "team_id": "red", "state": "open", "version": 1 });
    assert_eq!(s.rows(&s.bob, by_key("r2")).await, json!([team]));
    assert_eq!(s.rows(&s.eve, by_key("r2")).await, json!([{ "doc_id": "r2", "price": 30 }]));
    let own = json!({
        "doc_id": "r1", "title": "T r1", "team_id": "red", "owner": "ann", "state": "open", "price": 10, "salary": "s3", "version": 1,
    });
    assert_eq!(s.rows(&s.ann, by_key("r1")).await, json!([own]));
    assert_eq!(s.rows(&s.ann, by_key("r2")).await, json!([team]), "of others an author sees what everybody does");
    let both = s.world.key_with("kim", &["auditor"], &json!({ "teams": ["red"] })).await;
    let mut sum = team.clone();
    sum["price"] = json!(30);
    assert_eq!(s.rows(&both, by_key("r2")).await, json!([sum]));
    assert_eq!(s.rows(&s.root, by_key("r2")).await[0]["rank"], 1, "an admin sees everything");
    let all = s.world.key("t2", "root", &["admin"]).await;
    assert_eq!(s.rows(&all, by_key("r2")).await, json!([]), "but of his tenant alone");
}

#[tokio::test(start_paused = true)]
async fn rows_that_no_rule_holds_for_are_not_there() {
    let s = setting().await;
    for query in
        [json!({ "doc_id": "b1" }), json!({ "team_id": "blue" }), json!({ "title": "T b1" }), json!({ "doc_id": "x1" })]
    {
        assert_eq!(s.rows(&s.bob, read(query, json!({}))).await, json!([]));
    }
    let listed = s.rows(&s.bob, read(json!({}), json!({ "limit": 50, "sort": "doc_id" }))).await;
    assert_eq!(column(&listed, "doc_id"), ["r1", "r2"]);
    let many = s.rows(&s.bob, read(json!({ "doc_id": "in::b1,r1,x1,r2" }), json!({ "sort": "doc_id" }))).await;
    assert_eq!(column(&many, "doc_id"), ["r1", "r2"]);
    for (key, count) in [(&s.bob, 2), (&s.ann, 3), (&s.eve, 4), (&s.root, 4)] {
        let counted = s.rows(key, read(json!({}), json!({ "limit": 1, "count": true }))).await;
        assert_eq!(counted, json!([{ "count": count }]));
    }
    let nobody = s.world.key_with("zoe", &[], &json!({})).await;
    assert_eq!(
        s.rows(&nobody, read(json!({}), json!({ "limit": 50 }))).await,
        json!([]),
        "a claim that is missing grants nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_field_that_the_caller_may_never_read_is_not_asked_for() {
    let s = setting().await;
    let texts = ["s2", "ne::s2", "like::*s*", "not-like::s*", "ge::s1", "between::s1,s4", "in::s2", "not-in::s2"];
    let numbers = ["30", "ne::30", "gt::5", "not-between::1,5"];
    for (key, field) in [(&s.bob, "salary"), (&s.bob, "price"), (&s.eve, "owner"), (&s.ann, "pin")] {
        for condition in if field == "price" { &numbers[..] } else { &texts } {
            let refused = s.refusal(key, read(json!({ field: condition }), json!({ "limit": 5 }))).await;
            assert_eq!(refused, forbidden(&format!("/query_params/{field}")), "{condition}");
        }
        let place = |option: &str| forbidden(&format!("/metadata_params/{option}"));
        let sorted = json!({ "limit": 5, "sort": format!("doc_id,{field}:desc") });
        assert_eq!(s.refusal(key, read(json!({}), sorted)).await, place("sort"));
        let chosen = json!({ "limit": 5, "properties": ["doc_id", field] });
        assert_eq!(s.refusal(key, read(json!({}), chosen)).await, place("properties"));
        let counted = json!({ "limit": 5, "count": true });
        let counted = s.refusal(key, read(json!({ field: texts[1].replace("s2", "2") }), counted)).await;
        assert_eq!(counted, forbidden(&format!("/query_params/{field}")));
    }
    let matched = s.rows(&s.bob, read(json!({ "doc_id": "r1" }), json!({ "properties": "*" }))).await;
    assert_eq!(matched[0].as_object().unwrap().len(), 5, "a pattern matches what is seen: {matched}");
}

#[tokio::test(start_paused = true)]
async fn conditions_act_on_what_is_seen_of_a_row() {
    let s = setting().await;
    let found = async |condition: Value| {
        let rows = s.rows(&s.ann, read(json!({ "salary": condition }), json!({ "limit": 50, "sort": "doc_id" }))).await;
        column(&rows, "doc_id")
    };
    // Of r2 an author who is not its owner sees no salary: whatever it is, it is null.
    assert_eq!(found(json!("s3")).await, ["r1"]);
    assert_eq!(found(json!("s2")).await, Vec::<Value>::new(), "by the index, which knows it");
    assert_eq!(found(json!("like::s*")).await, ["b1", "r1"]);
    for wrong in ["ne::s2", "ne::s9", "not-like::s2", "not-in::s2,s9"] {
        assert_eq!(found(json!(wrong)).await, ["b1", "r1", "r2"], "{wrong}");
    }
    assert_eq!(found(Value::Null).await, ["r2"]);
    // Neither does a condition of a change tell.
    for (guess, code) in [("s2", "CONDITION_FAILED"), ("s9", "CONDITION_FAILED")] {
        let mut operation = update("r2", json!({ "title": "T" }));
        operation["query_params"]["salary"] = json!(guess);
        assert_eq!(s.refusal(&s.ann, operation).await, (code.to_owned(), "/query_params/salary".to_owned()));
    }
    let mut operation = update("r2", json!({ "title": "T" }));
    operation["query_params"]["salary"] = json!("s2");
    assert_eq!(s.refusal(&s.bob, operation).await, forbidden("/query_params/salary"));
}

#[tokio::test(start_paused = true)]
async fn an_order_by_a_field_that_is_hidden_in_some_rows_tells_nothing_of_it() {
    let s = setting().await;
    for salary in ["s0", "s2", "s9"] {
        s.done(&s.root, vec![update("r2", json!({ "salary": salary }))]).await;
        let rows = s.rows(&s.ann, read(json!({}), json!({ "limit": 50, "sort": "salary" }))).await;
        assert_eq!(column(&rows, "doc_id"), ["r2", "b1", "r1"], "{salary}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_sees_what_the_result_shows() {
    let s = setting().await;
    let note =
        |text: &str| json!({ "entity": "note", "action": "create", "store_params": { "note_id": "n", "text": text } });
    let mut found = read(json!({ "doc_id": "r1" }), json!({}));
    found["id"] = json!("found");
    for (key, text, code) in [
        (&s.bob, "$ref:found.title", None),
        (&s.bob, "$ref:found.salary", Some("REFERENCE_UNRESOLVED")),
        (&s.bob, "${ref:found.0.salary}", Some("REFERENCE_UNRESOLVED")),
        (&s.eve, "$ref:found.title", Some("REFERENCE_UNRESOLVED")),
    ] {
        let answer =
            s.run(key, vec![found.clone(), note(text)], json!({ "atomic": false, "continueOnError": true })).await;
        let result = &answer.body["results"]["op_1"];
        assert_eq!(result["code"].as_str(), code, "{text}: {result:#}");
        assert!(!answer.body.to_string().contains("s3"), "{:#}", answer.body);
    }
    // Nor does what a change or a deletion answers.
    let mut changed = update("r1", json!({ "title": "New" }));
    changed["id"] = json!("found");
    let answer = s.run(&s.bob, vec![changed, note("$ref:found.salary")], json!({})).await;
    assert_eq!(answer.body["results"]["op_1"]["code"], "REFERENCE_UNRESOLVED", "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn hidden_rows_do_not_use_up_a_limit() {
    let s = setting().await;
    let doc = |n: usize, team: &str| json!({ "entity": "doc", "action": "create", "store_params": { "doc_id": format!("m{n:03}"), "title": "Many", "team_id": team, "state": "open", "rank": 1 } });
    for part in 0..2 {
        let docs = (0..60).map(|n| doc(60 * part + n, if part == 1 && n >= 50 { "red" } else { "blue" })).collect();
        s.run(&s.root, docs, json!({ "atomic": false })).await;
    }
    let by_index = s.rows(&s.bob, read(json!({ "title": "Many" }), json!({ "limit": 5 }))).await;
    assert_eq!(by_index.as_array().unwrap().len(), 5, "{by_index}");
    let listed = s.rows(&s.bob, read(json!({}), json!({ "limit": 12 }))).await;
    assert_eq!(listed.as_array().unwrap().len(), 12, "{listed}");
    let behind = s.rows(&s.bob, read(json!({ "title": "Many" }), json!({ "limit": 5, "offset": 8 }))).await;
    assert_eq!(behind.as_array().unwrap().len(), 2, "{behind}");
}

#[tokio::test(start_paused = true)]
async fn who_may_never_read_an_entity_is_told_so() {
    let s = setting().await;
    let yaml = super::setting::YAML.replace(
        "            '*': {properties: 'team_id|name', where: 'team_id in ${claims.teams}'}",
        "            boss: '.*'",
    );
    let model = batch_core::model::Model::from_yaml(&yaml).unwrap();
    let world = batch_tests::World::with(model, batch_core::limits::Limits::default()).await;
    let other = super::setting::Setting {
        world,
        ann: String::new(),
        bob: String::new(),
        eve: String::new(),
        root: String::new(),
    };
    let bob = other.world.key_with("bob", &[], &json!({ "teams": ["red"] })).await;
    let listed = json!({ "entity": "team", "action": "read", "metadata_params": { "limit": 5 } });
    assert_eq!(other.refusal(&bob, listed.clone()).await, forbidden(""));
    let by_key = json!({ "entity": "team", "action": "read", "query_params": { "team_id": "red" } });
    assert_eq!(other.refusal(&bob, by_key).await.0, "FORBIDDEN");
    assert_eq!(s.rows(&s.eve, listed).await, json!([]), "where there is a rule that holds for no row there is no row");
    assert_eq!(s.refusal(&s.eve, update("none", json!({ "title": "x" }))).await, missing());
}
