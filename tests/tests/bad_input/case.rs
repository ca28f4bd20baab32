//! A batch that makes no sense, and what must be told of it.

use batch_core::json::clip;
use batch_core::limits::MAX_POINTER;
use serde_json::{Value, json};

use super::client::{Client, refused};

/// A problem that must be told.
pub struct Told {
    pointer: String,
    code: &'static str,
    operation: Option<(u64, &'static str)>,
    words: Vec<&'static str>,
}

pub struct Case {
    pub name: String,
    pub body: Value,
    pub told: Vec<Told>,
}

pub fn case(name: impl Into<String>, body: Value) -> Case {
    Case { name: name.into(), body, told: Vec::new() }
}

impl Case {
    /// A problem of the request as a whole.
    pub fn whole(mut self, pointer: &str, code: &'static str, words: &[&'static str]) -> Self {
        self.told.push(Told { pointer: pointer.to_owned(), code, operation: None, words: words.to_vec() });
        self
    }

    /// A problem of one operation; the pointer starts inside of it.
    pub fn at(
        mut self,
        operation: (u64, &'static str),
        inside: &str,
        code: &'static str,
        words: &[&'static str],
    ) -> Self {
        // A name as long as the request is told by its beginning.
        let pointer = clip(&format!("/operations/{}{inside}", operation.0), MAX_POINTER);
        self.told.push(Told { pointer, code, operation: Some(operation), words: words.to_vec() });
        self
    }
}

/// Sends each case to `POST /batch` as it is, to `POST /batch/plan`, and again with `validate_only`: all three tell exactly
/// the same problems, and nothing is written.
pub async fn check(client: &Client, cases: Vec<Case>) {
    let before = client.stored();
    for Case { name, body, told } in cases {
        let countable = body["operations"]
            .as_array()
            .is_some_and(|operations| (1..=100).contains(&operations.len()) && operations.iter().all(Value::is_object));

        let answer = client.post("/batch", &[], body.to_string().as_bytes()).await;
        refused(&name, &answer, 400, "BATCH_VALIDATION_ERROR");
        check_told(&name, &answer.body["errors"], &told);
        if let Some((index, id)) = told.first().and_then(|first| first.operation) {
            let details = &answer.body["details"];
            assert_eq!((&details["operation"], &details["operationId"]), (&json!(index), &json!(id)), "{name}");
        }

        let plan = client.post("/batch/plan", &[], body.to_string().as_bytes()).await;
        if countable {
            assert_eq!((plan.status, &plan.body["valid"]), (200, &json!(false)), "{name}: {:#}", plan.body);
            check_told(&name, &plan.body["problems"], &told);
        } else {
            refused(&name, &plan, 400, "BATCH_VALIDATION_ERROR");
            check_told(&name, &plan.body["errors"], &told);
        }

        if countable {
            check_validated(client, &name, body, &told).await;
        }
    }
    assert_eq!(client.writes(), [""; 0], "something was written");
    assert_eq!(client.stored(), before);
}

pub fn check_told(name: &str, errors: &Value, told: &[Told]) {
    let errors = errors.as_array().cloned().unwrap_or_default();
    for Told { pointer, code, operation, words } in told {
        let found = errors.iter().find(|error| error["pointer"] == pointer.as_str() && error["code"] == *code);
        let found = found.unwrap_or_else(|| panic!("{name}: no {code} at {pointer}: {errors:#?}"));
        let whose = (found["operation"].as_u64(), found["operationId"].as_str());
        assert_eq!(whose, (operation.map(|(index, _)| index), operation.map(|(_, id)| id)), "{name}: {found:#}");
        let message = found["message"].as_str().unwrap_or_default();
        for word in words {
            assert!(message.contains(word), "{name}: no {word:?} in {message:?}");
        }
        assert!(message.len() < 2_000, "{name}: a message of {} bytes", message.len());
    }
    assert_eq!(errors.len(), told.len(), "{name}: {errors:#?}");
}

async fn check_validated(client: &Client, name: &str, mut body: Value, told: &[Told]) {
    let mut options = body.get("options").cloned().unwrap_or(json!({}));
    let Some(fields) = options.as_object_mut() else { return };
    if fields.contains_key("validateOnly") || fields.insert("validate_only".to_owned(), json!(true)).is_some() {
        return;
    }
    body["options"] = options;
    let answer = client.post("/batch", &[], body.to_string().as_bytes()).await;
    let told_as = (answer.status, &answer.body["status"], &answer.body["success"], &answer.body["batchId"]);
    assert_eq!(told_as, (200, &json!("invalid"), &json!(false), &Value::Null), "{name}: {:#}", answer.body);
    for Told { operation, words, .. } in told {
        let Some((index, id)) = operation else { continue };
        let verdict = &answer.body["operations"][usize::try_from(*index).unwrap()];
        assert_eq!((&verdict["id"], &verdict["status"]), (&json!(id), &json!("invalid")), "{name}: {verdict:#}");
        let error = verdict["error"].as_str().unwrap_or_default();
        assert!(words.iter().all(|word| error.contains(word)), "{name}: {verdict:#}");
    }
}

pub fn ops(operations: impl Into<Value>) -> Value {
    json!({ "operations": operations.into() })
}

/// A batch of one operation `a`: a good one, with `changes` over it; null removes a field.
pub fn one(changes: impl Into<Value>) -> Value {
    ops(json!([operation("a", changes)]))
}

pub fn operation(id: &str, changes: impl Into<Value>) -> Value {
    let mut operation =
        json!({ "id": id, "entity": "customer", "action": "create", "store_params": { "first_name": "John" } });
    for (name, value) in changes.into().as_object().cloned().unwrap_or_default() {
        if value == json!("-") {
            operation.as_object_mut().unwrap().remove(&name);
        } else {
            operation[name] = value;
        }
    }
    operation
}

pub fn with_options(options: Value) -> Value {
    let mut body = one(json!({}));
    body["options"] = options;
    body
}

/// The operation of [`one`].
pub const A: (u64, &str) = (0, "a");
