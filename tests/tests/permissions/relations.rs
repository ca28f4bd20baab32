//! What is loaded with a row is seen as if it were read by itself.

use serde_json::{Value, json};

use super::setting::{column, forbidden, read, setting};

fn team(properties: &str) -> Value {
    json!({ "entity": "team", "action": "read", "query_params": { "team_id": "red" }, "metadata_params": { "properties": properties } })
}

#[tokio::test(start_paused = true)]
async fn children_are_those_that_are_seen_with_the_fields_that_are_seen() {
    let s = setting().await;
    let rows = s.rows(&s.bob, team("team_id docs:*")).await;
    let docs = &rows[0]["docs"];
    let mut ids = column(docs, "doc_id");
    ids.sort_by_key(ToString::to_string);
    assert_eq!(ids, ["r1", "r2"]);
    assert!(
        docs.as_array().unwrap().iter().all(|doc| doc.get("salary").is_none() && doc["title"].is_string()),
        "{docs}"
    );
    // An auditor sees of a document not which team it is of, so it is nobody's child for him.
    let kim = s.world.key_with("kim", &["auditor"], &json!({})).await;
    let none =
        json!({ "entity": "team", "action": "read", "metadata_params": { "limit": 5, "properties": "docs:price" } });
    assert_eq!(s.rows(&kim, none).await, json!([]), "a team that is not seen has no children either");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_parent_is_null() {
    let s = setting().await;
    let doc = |id: &str| read(json!({ "doc_id": id }), json!({ "properties": "doc_id team:*" }));
    let seen = s.rows(&s.bob, doc("r1")).await;
    assert_eq!(seen, json!([{ "doc_id": "r1", "team": { "team_id": "red", "name": "The reds" } }]));
    // Ann is of no team here: she sees her document as its author, and not the team.
    let ann = s.world.key_with("ann", &["author"], &json!({})).await;
    assert_eq!(s.rows(&ann, doc("r1")).await, json!([{ "doc_id": "r1", "team": null }]));
}

#[tokio::test(start_paused = true)]
async fn a_relation_over_a_field_that_is_never_seen_is_forbidden() {
    let s = setting().await;
    let refused = forbidden("/metadata_params/properties");
    assert_eq!(s.refusal(&s.bob, team("team_id docs:salary")).await, refused, "a field of the children");
    assert_eq!(
        s.refusal(&s.bob, read(json!({ "doc_id": "r1" }), json!({ "properties": "team:budget" }))).await,
        refused
    );
    let yaml = super::setting::YAML
        .replace("'doc_id|title|team_id|state|version', where", "'doc_id|title|state|version', where");
    let yaml = yaml.replace("'.*_id|title|state|price|salary|owner|version'", "'doc_id|salary'");
    let model = batch_core::model::Model::from_yaml(&yaml).unwrap();
    let world = batch_tests::World::with(model, batch_core::limits::Limits::default()).await;
    let key = world.key_with("bob", &["author", "auditor"], &json!({ "teams": ["red"] })).await;
    for operation in [team("team_id docs:title"), read(json!({ "doc_id": "r1" }), json!({ "properties": "team:name" }))]
    {
        let answer = world.post_as(&key, "/batch", &json!({ "operations": [operation] })).await;
        assert_eq!(answer.body["results"]["op_0"]["code"], "FORBIDDEN", "{:#}", answer.body);
    }
}
