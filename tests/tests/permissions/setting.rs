//! A service with rules, and those who call it.

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::{Answer, World};
use serde_json::{Value, json};

/// Documents of teams. Everybody sees some of his teams' documents, an auditor the price of all, and an author everything of
/// his own. `pin` is for nobody.
pub const YAML: &str = "
components:
  schemas:
    team:
      type: object
      x-af-permissions:
        default:
          read:
            '*': {properties: 'team_id|name', where: 'team_id in ${claims.teams}'}
          write:
            boss: '.*'
      properties:
        team_id: {type: string, x-af-primary-key: manual}
        name: {type: string}
        budget: {type: integer}
        docs:
          type: array
          items: {$ref: '#/components/schemas/doc'}
          x-af-child-property: team_id
    doc:
      type: object
      x-af-concurrency-control: version
      x-af-permissions:
        default:
          read:
            '*': {properties: 'doc_id|title|team_id|state|version', where: 'team_id in ${claims.teams}'}
            auditor: 'doc_id|price'
            author: {properties: '.*_id|title|state|price|salary|owner|version', where: 'owner = ${claims.sub}'}
          write:
            '*': {properties: 'title|team_id|state', where: \"team_id in ${claims.teams} and state != 'closed'\"}
            author: {properties: '.*', where: 'owner = ${claims.sub}'}
            scribe: {properties: 'title', where: 'rank <= ${claims.rank}'}
          delete:
            author: {allow: true, where: 'owner = ${claims.sub}'}
      properties:
        doc_id: {type: string, x-af-primary-key: manual}
        title: {type: string, x-index: true}
        team_id: {type: string, nullable: true, x-references: team.team_id, x-index: true}
        owner: {type: string, x-inject: 'claim:sub'}
        state: {type: string}
        price: {type: integer, nullable: true}
        salary: {type: string, nullable: true, x-index: true}
        pin: {type: string, nullable: true}
        rank: {type: integer}
        version: {type: integer}
        team:
          $ref: '#/components/schemas/team'
          x-af-parent-property: team_id
    note:
      type: object
      properties:
        note_id: {type: string, x-af-primary-key: manual}
        text: {type: string}
";

/// The service, and API keys of its callers.
pub struct Setting {
    pub world: World,
    /// Of teams red and blue, an author.
    pub ann: String,
    /// Of team red, with no role.
    pub bob: String,
    /// Of no team, an auditor.
    pub eve: String,
    /// Passes every rule.
    pub root: String,
}

/// Teams red and blue; documents r1 and r2 of red, b1 of blue, and x1 of none, r1 and b1 by ann.
pub async fn setting() -> Setting {
    let world = World::with(Model::from_yaml(YAML).unwrap(), Limits::default()).await;
    let ann = world.key_with("ann", &["author"], &json!({ "teams": ["red", "blue"] })).await;
    let bob = world.key_with("bob", &[], &json!({ "teams": ["red"] })).await;
    let eve = world.key_with("eve", &["auditor"], &json!({})).await;
    let root = world.key_with("root", &["admin"], &json!({})).await;
    let setting = Setting { world, ann, bob, eve, root };
    let team = |id: &str| create("team", json!({ "team_id": id, "name": format!("The {id}s"), "budget": 7 }));
    setting.done(&setting.root, vec![team("red"), team("blue")]).await;
    let doc = |id: &str, team: Value, price: u32, salary: &str| {
        create(
            "doc",
            json!({ "doc_id": id, "title": format!("T {id}"), "team_id": team, "state": "open", "price": price, "salary": salary, "rank": 1 }),
        )
    };
    setting.done(&setting.ann, vec![doc("r1", json!("red"), 10, "s3"), doc("b1", json!("blue"), 20, "s1")]).await;
    setting.done(&setting.root, vec![doc("r2", json!("red"), 30, "s2"), doc("x1", Value::Null, 40, "s4")]).await;
    setting
}

impl Setting {
    /// Sends operations as one batch.
    pub async fn run(&self, key: &str, operations: Vec<Value>, options: Value) -> Answer {
        let answer = self.world.post_as(key, "/batch", &json!({ "operations": operations, "options": options })).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        answer
    }

    /// Sends operations that must succeed.
    pub async fn done(&self, key: &str, operations: Vec<Value>) -> Answer {
        let answer = self.run(key, operations, json!({})).await;
        assert_eq!(answer.body["success"], true, "{:#}", answer.body);
        answer
    }

    /// The rows that an operation answers with.
    pub async fn rows(&self, key: &str, operation: Value) -> Value {
        self.done(key, vec![operation]).await.body["results"]["op_0"]["data"].clone()
    }

    /// The code of an operation that must fail, with the place it blames.
    pub async fn refusal(&self, key: &str, operation: Value) -> (String, String) {
        let answer = self.run(key, vec![operation], json!({})).await;
        let result = &answer.body["results"]["op_0"];
        assert_eq!(result["status"], "failed", "{:#}", answer.body);
        (result["code"].as_str().unwrap().to_owned(), result["pointer"].as_str().unwrap_or_default().to_owned())
    }

    /// The document as it is.
    pub async fn doc(&self, id: &str) -> Value {
        self.rows(&self.root, read(json!({ "doc_id": id }), json!({}))).await[0].clone()
    }
}

pub fn forbidden(at: &str) -> (String, String) {
    ("FORBIDDEN".to_owned(), at.to_owned())
}

pub fn missing() -> (String, String) {
    ("NOT_FOUND".to_owned(), "/query_params/doc_id".to_owned())
}

pub fn create(entity: &str, store: impl Into<Value>) -> Value {
    let store = store.into();
    json!({ "entity": entity, "action": "create", "store_params": store })
}

pub fn read(query: impl Into<Value>, metadata: impl Into<Value>) -> Value {
    let (query, metadata) = (query.into(), metadata.into());
    json!({ "entity": "doc", "action": "read", "query_params": query, "metadata_params": metadata })
}

pub fn update(id: &str, store: impl Into<Value>) -> Value {
    let store = store.into();
    json!({ "entity": "doc", "action": "update", "query_params": { "doc_id": id }, "store_params": store })
}

pub fn delete(id: &str) -> Value {
    json!({ "entity": "doc", "action": "delete", "query_params": { "doc_id": id } })
}

/// The values of one field.
pub fn column(rows: &Value, field: &str) -> Vec<Value> {
    rows.as_array().unwrap().iter().map(|row| row[field].clone()).collect()
}

/// `operation` with its claims.
pub fn with_claims(mut operation: Value, claims: Value) -> Value {
    operation["claims"] = claims;
    operation
}
