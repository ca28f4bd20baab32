//! The request body of `POST /batch`, read for its shape. Every problem is kept, none stops the reading.

use serde_json::Value;

use crate::batch::Options;
use crate::dialect::Request;
use crate::json::{Object, child, type_name};
use crate::limits::{MAX_DEPENDENCIES, MAX_OPERATIONS, MAX_REFERENCE, MAX_RETRIES, MAX_TIMEOUT_MS};
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
pub fn parse(body: &Value) -> Request {
    let mut request = Request {
        drafts: Vec::new(),
        options: Options::default(),
        reference: None,
        validate_only: false,
        problems: Vec::new(),
        countable: false,
    };
    let Value::Object(body) = body else {
        let message = format!("the body must be an object with operations, not {}", type_name(body));
        request.problems.push(Problem::new("", Code::WrongType, message));
        return request;
    };
    refuse_not_yet(body, "", &mut request.problems);
    match body.get("options") {
        None => {}
        Some(Value::Object(options)) => read_options(options, &mut request),
        Some(other) => {
            let message = format!("options must be an object, not {}; leave it out for the defaults", type_name(other));
            request.problems.push(Problem::new("/options", Code::WrongType, message));
        }
    }
    match body.get("operations") {
        None => {
            let message = "operations is missing: a list of 1 to 100 operations";
            request.problems.push(Problem::new("/operations", Code::Required, message));
        }
        Some(Value::Array(operations)) => read_operations(operations, &mut request),
        Some(other) => {
            let message = format!("operations must be a list, not {}", type_name(other));
            request.problems.push(Problem::new("/operations", Code::WrongType, message));
        }
    }
    request
}

fn read_operations(operations: &[Value], request: &mut Request) {
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
        let draft = read_operation(index, operation, &mut request.problems);
        request.drafts.push(draft);
    }
}

fn read_operation(index: usize, operation: &Value, problems: &mut Vec<Problem>) -> Draft {
    let mut draft = Draft {
        id: OperationId::automatic(index),
        entity: None,
        action: None,
        store: Object::new(),
        query: Object::new(),
        metadata: Object::new(),
        depends_on: Vec::new(),
        claims: Object::new(),
    };
    let Value::Object(fields) = operation else {
        let message = format!("an operation must be an object, not {}", type_name(operation));
        problems.push(draft.problem(index, "", Code::WrongType, message));
        return draft;
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
        match fields.get(name) {
            None => {}
            Some(Value::Object(given)) => target.clone_from(given),
            Some(other) => wrong(
                &format!("/{name}"),
                Code::WrongType,
                format!("{name} must be an object, not {}", type_name(other)),
            ),
        }
    }
    match fields.get("depends_on") {
        None => {}
        Some(Value::Array(ids)) if ids.len() > MAX_DEPENDENCIES => wrong(
            "/depends_on",
            Code::InvalidValue,
            format!("depends_on names {} operations; a batch has at most {MAX_DEPENDENCIES}", ids.len()),
        ),
        Some(Value::Array(ids)) => {
            for (place, id) in ids.iter().enumerate() {
                match id {
                    Value::String(id) if draft.depends_on.iter().any(|(_, known)| known == id) => {}
                    Value::String(id) => draft.depends_on.push((place, id.clone())),
                    other => wrong(
                        &format!("/depends_on/{place}"),
                        Code::WrongType,
                        format!("depends_on holds ids of operations, not {}", type_name(other)),
                    ),
                }
            }
        }
        Some(other) => {
            wrong(
                "/depends_on",
                Code::WrongType,
                format!("depends_on must be a list of operation ids, not {}", type_name(other)),
            );
        }
    }
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
    let mut reader = OptionReader { given, problems: Vec::new() };
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

/// Reads options by any of their spellings.
struct OptionReader<'a> {
    given: &'a Object,
    problems: Vec<Problem>,
}

impl<'a> OptionReader<'a> {
    /// The value under one of `names`; two that differ are a problem.
    fn get(&mut self, names: &[&'a str]) -> Option<(&'a str, &'a Value)> {
        let mut found = names.iter().filter_map(|name| Some((*name, self.given.get(*name)?)));
        let first = found.next()?;
        if let Some((name, _)) = found.find(|(_, value)| *value != first.1) {
            let message = format!("{} and {name} are the same option and differ; send one", first.0);
            self.problems.push(Problem::new(child("/options", name), Code::InvalidValue, message));
        }
        Some(first)
    }

    fn wrong(&mut self, name: &str, value: &Value, wanted: &str) {
        let message = format!("{name} must be {wanted}, not {}", type_name(value));
        self.problems.push(Problem::new(child("/options", name), Code::WrongType, message));
    }

    fn flag(&mut self, names: &[&'a str], target: &mut bool) {
        match self.get(names) {
            None => {}
            Some((_, Value::Bool(flag))) => *target = *flag,
            Some((name, other)) => self.wrong(name, other, "true or false"),
        }
    }

    fn whole(&mut self, names: &[&'a str], least: u64, most: u64) -> Option<u64> {
        let (name, value) = self.get(names)?;
        let Value::Number(number) = value else {
            self.wrong(name, value, &format!("a whole number from {least} to {most}"));
            return None;
        };
        let number = number.as_u64().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("{name} must be a whole number from {least} to {most}, not {value}");
            self.problems.push(Problem::new(child("/options", name), Code::InvalidValue, message));
        }
        number
    }

    fn reference(&mut self) -> Option<String> {
        let (name, value) = self.get(&["reference"])?;
        let Value::String(text) = value else {
            self.wrong(name, value, "a string");
            return None;
        };
        if text.is_empty() || text.chars().count() > MAX_REFERENCE || text.chars().any(char::is_control) {
            let message =
                format!("reference must have 1 to {MAX_REFERENCE} characters, none of them control characters");
            self.problems.push(Problem::new("/options/reference", Code::InvalidValue, message));
            return None;
        }
        Some(text.clone())
    }
}

fn refuse_not_yet(fields: &Object, at: &str, problems: &mut Vec<Problem>) {
    for name in fields.keys().filter(|name| NOT_YET.contains(&name.as_str())) {
        let message = format!("{name} is not supported");
        problems.push(Problem::new(child(at, name), Code::NotSupported, message));
    }
}
