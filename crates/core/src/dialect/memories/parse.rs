//! The request body of `POST /api/v1/batch`, read for its shape. Every problem is kept, none stops the reading.

use serde_json::Value;

use super::FIELDS;
use crate::batch::Options;
use crate::dialect::Request;
use crate::dialect::options::{OptionReader, depends_on};
use crate::json::{Object, clip, type_name};
use crate::limits::{MAX_ID_BYTES, MAX_OPERATIONS, MAX_RETRIES, MAX_SHOWN, MAX_TIMEOUT_MS};
use crate::operation::{Action, Code, Draft, Failure, OperationId, Problem};

/// Reads `body`; operations are on `entity`.
pub fn parse(body: &Value, entity: &str) -> Request {
    let mut request = Request {
        drafts: Vec::new(),
        options: Options { atomic: false, ..Options::default() },
        reference: None,
        validate_only: false,
        each: true,
        problems: Vec::new(),
        countable: false,
    };
    let none = Object::new();
    // What is no object has no operations, which is what is told of it.
    let body = body.as_object().unwrap_or(&none);
    match body.get("options") {
        None => {}
        Some(Value::Object(options)) => read_options(options, &mut request),
        Some(other) => {
            let message = format!("options must be an object, not {}", type_name(other));
            request.problems.push(Problem::new("/options", Code::WrongType, message));
        }
    }
    if let Some(Value::Array(operations)) = body.get("operations") {
        read_operations(operations, entity, &mut request);
    } else {
        let message = "operations must be a list of 1 to 100 operations";
        request.problems.push(Problem::new("/operations", Code::Required, message));
    }
    request
}

fn read_options(given: &Object, request: &mut Request) {
    let mut reader = OptionReader::new(given);
    reader.flag(&["continue_on_error", "continueOnError"], &mut request.options.continue_on_error);
    reader.flag(&["parallel"], &mut request.options.parallel);
    reader.flag(&["validate_only", "validateOnly"], &mut request.validate_only);
    if let Some(retries) = reader.whole(&["max_retries", "maxRetries"], 0, MAX_RETRIES) {
        request.options.max_retries = retries;
    }
    request.options.timeout_ms = reader.whole(&["timeout"], 1, MAX_TIMEOUT_MS);
    request.problems.append(&mut reader.problems);
}

fn read_operations(operations: &[Value], entity: &str, request: &mut Request) {
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
    for (index, operation) in operations.iter().enumerate() {
        let mut found: Vec<(String, Code, String)> = Vec::new();
        let mut draft = blank(entity, OperationId::automatic(index));
        match operation {
            Value::Object(fields) => read_operation(fields, &mut draft, &mut found),
            other => {
                let message = format!("an operation must be an object, not {}", type_name(other));
                found.push((String::new(), Code::WrongType, message));
            }
        }
        let told = found.into_iter().map(|(pointer, code, message)| draft.problem(index, &pointer, code, message));
        request.problems.extend(told);
        request.drafts.push(draft);
    }
}

/// An operation that asks for nothing yet.
pub(super) fn blank(entity: &str, id: OperationId) -> Draft {
    Draft {
        id,
        entity: Some(entity.to_owned()),
        action: None,
        store: Object::new(),
        query: Object::new(),
        metadata: Object::new(),
        depends_on: Vec::new(),
        claims: Object::new(),
        single: None,
        refused: None,
    }
}

fn read_operation(fields: &Object, draft: &mut Draft, found: &mut Vec<(String, Code, String)>) {
    let mut wrong = |pointer: &str, code: Code, message: String| found.push((pointer.to_owned(), code, message));
    draft.depends_on = depends_on(fields.get("depends_on"), &mut wrong);
    let known = "create, read, update, delete or search";
    let action = match fields.get("type") {
        None => return wrong("/type", Code::Required, format!("type is missing: {known}")),
        Some(Value::String(text)) => Action::parse(text).or((text == "search").then_some(Action::Search)),
        Some(other) => {
            return wrong("/type", Code::WrongType, format!("type must be a string, not {}", type_name(other)));
        }
    };
    let Some(action) = action else {
        let text = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        let message = format!("there is no type {:?}; there are {known}", clip(text, MAX_SHOWN));
        return wrong("/type", Code::UnknownAction, message);
    };
    draft.action = Some(action);
    draft.single = Some(answered(action));
    if matches!(action, Action::Read | Action::Update | Action::Delete) {
        match fields.get("id") {
            None => wrong("/id", Code::Required, format!("id is missing: the memory to {}", action.as_str())),
            Some(Value::String(id)) if (1..=MAX_ID_BYTES).contains(&id.len()) => name(draft, id),
            Some(Value::String(_)) => {
                wrong("/id", Code::InvalidValue, format!("id must have 1 to {MAX_ID_BYTES} bytes"));
            }
            Some(other) => wrong("/id", Code::WrongType, format!("id must be a string, not {}", type_name(other))),
        }
    }
    match action {
        Action::Create | Action::Update => give(draft, fields.get("data")),
        Action::Search => look_for(draft, fields),
        Action::Read | Action::Delete => {}
    }
}

/// The fields that an operation answers with.
pub(super) fn answered(action: Action) -> Vec<String> {
    let fields: &[&str] = match action {
        Action::Create => &["id", "created_at"],
        Action::Update => &["id", "updated_at"],
        Action::Delete => &["id"],
        Action::Read | Action::Search => &[],
    };
    fields.iter().map(|field| (*field).to_owned()).collect()
}

/// The operation is about the memory `id`.
pub(super) fn name(draft: &mut Draft, id: &str) {
    // An id is never a condition with an operator, whatever it looks like.
    let id = if id.contains("::") { format!("eq::{id}") } else { id.to_owned() };
    draft.query.insert("id".to_owned(), id.into());
}

/// The operation writes `data`.
pub(super) fn give(draft: &mut Draft, data: Option<&Value>) {
    let refused = |message: String, code| Some(Failure::new(code, message).at("/store_params"));
    match data {
        Some(Value::Object(data)) => {
            let known = data.iter().filter(|(name, _)| FIELDS.contains(&name.as_str()));
            draft.store = known.map(|(name, value)| (name.clone(), value.clone())).collect();
            if draft.store.is_empty() && draft.action == Some(Action::Update) {
                let message = format!("data must hold one of {}", FIELDS.join(", "));
                draft.refused = refused(message, Code::InvalidValue);
            }
        }
        None => draft.refused = refused("data is missing: the fields of the memory".to_owned(), Code::InvalidValue),
        Some(other) => {
            draft.refused = refused(format!("data must be an object, not {}", type_name(other)), Code::WrongType);
        }
    }
}

/// The operation searches.
fn look_for(draft: &mut Draft, fields: &Object) {
    if let Some(query) = fields.get("query") {
        draft.metadata.insert("query".to_owned(), query.clone());
    }
    match fields.get("options") {
        None => {}
        Some(Value::Object(options)) => {
            for name in ["limit", "filters"] {
                draft.metadata.extend(options.get(name).map(|value| (name.to_owned(), value.clone())));
            }
        }
        Some(other) => {
            let message = format!("options must be an object, not {}", type_name(other));
            draft.refused = Some(Failure::new(Code::WrongType, message).at("/metadata_params/options"));
        }
    }
}
