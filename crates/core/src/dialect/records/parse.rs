//! The request body of `POST /batch`, read for its shape. Every problem is kept, none stops the reading.

use serde_json::Value;

use crate::batch::Options;
use crate::dialect::Request;
use crate::dialect::options::{OptionReader, depends_on};
use crate::json::{Object, child, type_name};
use crate::limits::{MAX_OPERATIONS, MAX_RETRIES, MAX_TIMEOUT_MS};
use crate::operation::{Action, Code, Draft, OperationId, Problem};

/// Fields that would change what a batch means if they were ignored, and do not exist yet.
const NOT_YET: [&str; 12] = [
    "webhook",
    "webhooks",
    "webhook_url",
    "webhookUrl",
    "callback_url",
    "callbackUrl",
    "schedule",
    "scheduled_at",
    "scheduledAt",
    "priority",
    "template",
    "depends_on_batches",
];

/// Reads `body`.
pub fn parse(body: Value) -> Request {
    let mut request = Request {
        drafts: Vec::new(),
        options: Options::default(),
        reference: None,
        validate_only: false,
        each: false,
        problems: Vec::new(),
        countable: false,
    };
    let mut body = match body {
        Value::Object(body) => body,
        other => {
            let message = format!("the body must be an object with operations, not {}", type_name(&other));
            request.problems.push(Problem::new("", Code::WrongType, message));
            return request;
        }
    };
    refuse_not_yet(&body, "", &mut request.problems);
    match body.get("options") {
        None => {}
        Some(Value::Object(options)) => read_options(options, &mut request),
        Some(other) => {
            let message = format!("options must be an object, not {}; leave it out for the defaults", type_name(other));
            request.problems.push(Problem::new("/options", Code::WrongType, message));
        }
    }
    match body.remove("operations") {
        None => {
            let message = "operations is missing: a list of 1 to 100 operations";
            request.problems.push(Problem::new("/operations", Code::Required, message));
        }
        Some(Value::Array(operations)) => read_operations(operations, &mut request),
        Some(other) => {
            let message = format!("operations must be a list, not {}", type_name(&other));
            request.problems.push(Problem::new("/operations", Code::WrongType, message));
        }
    }
    request
}

fn read_operations(operations: Vec<Value>, request: &mut Request) {
    if operations.is_empty() {
        let message = "operations is empty: a batch has 1 to 100 operations";
        request.problems.push(Problem::new("/operations", Code::EmptyBatch, message));
        return;
    }
    if operations.len() > MAX_OPERATIONS {
        let message = format!("{} operations; a batch has at most {MAX_OPERATIONS}", operations.len());
        request.problems.push(Problem::new("/operations", Code::TooManyOperations, message));
        return;
    }
    request.countable = operations.iter().all(Value::is_object);
    for (index, operation) in operations.into_iter().enumerate() {
        let draft = read_operation(index, operation, &mut request.problems);
        request.drafts.push(draft);
    }
}

fn read_operation(index: usize, operation: Value, problems: &mut Vec<Problem>) -> Draft {
    let mut draft = Draft {
        id: OperationId::automatic(index),
        entity: None,
        action: None,
        store: Object::new(),
        query: Object::new(),
        metadata: Object::new(),
        depends_on: Vec::new(),
        claims: Object::new(),
        single: None,
        refused: None,
    };
    let mut fields = match operation {
        Value::Object(fields) => fields,
        other => {
            let message = format!("an operation must be an object, not {}", type_name(&other));
            problems.push(draft.problem(index, "", Code::WrongType, message));
            return draft;
        }
    };
    let mut found: Vec<(String, Code, String)> = Vec::new();
    let mut wrong = |pointer: &str, code: Code, message: String| found.push((pointer.to_owned(), code, message));
    match fields.get("id") {
        None => {}
        Some(Value::String(text)) => match OperationId::parse(text) {
            Some(id) => draft.id = id,
            None => wrong("/id", Code::InvalidValue, "an id has 1 to 64 of the characters A-Z a-z 0-9 _".to_owned()),
        },
        Some(other) => wrong("/id", Code::WrongType, format!("id must be a string, not {}", type_name(other))),
    }
    match fields.get("entity") {
        None => wrong("/entity", Code::Required, "entity is missing: the kind of record to work on".to_owned()),
        Some(Value::String(text)) => draft.entity = Some(text.clone()),
        Some(other) => wrong("/entity", Code::WrongType, format!("entity must be a string, not {}", type_name(other))),
    }
    match fields.get("action") {
        None => wrong("/action", Code::Required, "action is missing: create, read, update or delete".to_owned()),
        Some(Value::String(text)) => {
            draft.action = Action::parse(text);
            if draft.action.is_none() {
                let shown: String = text.chars().take(64).collect();
                let message = format!("there is no action {shown:?}; there are create, read, update, delete");
                wrong("/action", Code::UnknownAction, message);
            }
        }
        Some(other) => wrong("/action", Code::WrongType, format!("action must be a string, not {}", type_name(other))),
    }
    for (name, target) in [
        ("store_params", &mut draft.store),
        ("query_params", &mut draft.query),
        ("metadata_params", &mut draft.metadata),
        ("claims", &mut draft.claims),
    ] {
        match fields.remove(name) {
            None => {}
            Some(Value::Object(given)) => *target = given,
            Some(other) => wrong(
                &format!("/{name}"),
                Code::WrongType,
                format!("{name} must be an object, not {}", type_name(&other)),
            ),
        }
    }
    draft.depends_on = depends_on(fields.get("depends_on"), &mut wrong);
    if fields.contains_key("permissions") {
        let message = "permissions of an operation are not supported: the rights come from the credential alone; claims \
                       narrow them";
        wrong("/permissions", Code::NotSupported, message.to_owned());
    }
    problems.extend(found.into_iter().map(|(pointer, code, message)| draft.problem(index, &pointer, code, message)));
    draft
}

fn read_options(given: &Object, request: &mut Request) {
    refuse_not_yet(given, "/options", &mut request.problems);
    let mut reader = OptionReader::new(given);
    let options = &mut request.options;
    reader.flag(&["atomic"], &mut options.atomic);
    reader.flag(&["continueOnError", "continue_on_error"], &mut options.continue_on_error);
    reader.flag(&["parallel"], &mut options.parallel);
    reader.flag(&["validate_only", "validateOnly"], &mut request.validate_only);
    if let Some(retries) = reader.whole(&["max_retries", "maxRetries"], 0, MAX_RETRIES) {
        options.max_retries = retries;
    }
    options.timeout_ms = reader.whole(&["timeout"], 1, MAX_TIMEOUT_MS);
    request.reference = reader.reference();
    request.problems.append(&mut reader.problems);
}

fn refuse_not_yet(fields: &Object, at: &str, problems: &mut Vec<Problem>) {
    for name in fields.keys().filter(|name| NOT_YET.contains(&name.as_str())) {
        let message = format!("{name} is not supported");
        problems.push(Problem::new(child(at, name), Code::NotSupported, message));
    }
}
