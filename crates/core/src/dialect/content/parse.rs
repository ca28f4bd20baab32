//! Request bodies of content jobs. All that is wrong with one is told at once.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::batch::{Content, ContentJob, JobKind};
use crate::json::{Object, child, clip, type_name};
use crate::limits::{
    MAX_CONTENT_ID, MAX_CREATOR, MAX_OPERATIONS, MAX_REMOVAL_REASON, MAX_SHOWN, MAX_TOKEN_GATING_BYTES,
};
use crate::operation::{Code, Problem};

/// The fields that `updates` may hold.
const METADATA: [&str; 6] = ["title", "description", "contentType", "tokenGating", "refundable", "refundWindowDays"];
/// The first price that is too high: what is told to a contract must not be negative in anyone's eyes.
const PRICES: u64 = 1 << 63;

/// What a body asks for.
#[derive(Debug)]
pub enum Asked {
    /// This job.
    Job(Content),
    /// Nothing that can be done, for these reasons.
    Wrong(Vec<Problem>),
}

/// Reads the body of a job of `kind`.
pub fn parse(kind: JobKind, body: &Value) -> Asked {
    let mut problems = Vec::new();
    let Some(fields) = body.as_object() else {
        return Asked::Wrong(vec![wrong_type("", "the body", "an object", body)]);
    };
    let creator = text(fields, "creator", (1, MAX_CREATOR), &mut problems);
    if creator.is_none() && problems.is_empty() {
        problems.push(Problem::new("/creator", Code::Required, "creator is required"));
    }
    let ids = content_ids(fields.get("contentIds"), &mut problems);
    let payload = match kind {
        JobKind::UpdatePrice => price(fields.get("newPrice"), &mut problems),
        JobKind::RemoveContent => {
            let reason = text(fields, "removalReason", (0, MAX_REMOVAL_REASON), &mut problems);
            reason.map(|reason| ("removalReason".to_owned(), reason.into())).into_iter().collect()
        }
        JobKind::UpdateMetadata => updates(fields.get("updates"), &mut problems),
    };
    match creator {
        Some(creator) if problems.is_empty() => {
            Asked::Job(Content { job: ContentJob { kind, creator, payload, contract_only: false }, ids })
        }
        _ => Asked::Wrong(problems),
    }
}

/// Reads the body of a retry: whether only contract calls are repeated.
pub fn parse_retry(body: &Value) -> Result<bool, Problem> {
    let Some(fields) = body.as_object() else { return Err(wrong_type("", "the body", "an object", body)) };
    match fields.get("only") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(only)) if only == "contract" => Ok(true),
        Some(Value::String(_)) => Err(Problem::new("/only", Code::InvalidValue, "only must be contract, or left out")),
        Some(other) => Err(wrong_type("/only", "only", "a string", other)),
    }
}

fn wrong_type(pointer: &str, name: &str, wanted: &str, found: &Value) -> Problem {
    Problem::new(pointer, Code::WrongType, format!("{name} must be {wanted}, not {}", type_name(found)))
}

/// A text of so many characters; `None` where it is absent or wrong.
fn text(fields: &Object, name: &str, (least, most): (usize, usize), problems: &mut Vec<Problem>) -> Option<String> {
    let at = child("", name);
    match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if (least..=most).contains(&text.chars().count()) => Some(text.clone()),
        Some(Value::String(_)) => {
            let message = format!("{name} must have {least} to {most} characters");
            problems.push(Problem::new(at, Code::InvalidValue, message));
            None
        }
        Some(other) => {
            problems.push(wrong_type(&at, name, "a string", other));
            None
        }
    }
}

fn content_ids(given: Option<&Value>, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut refuse = |at: String, code, message: String| problems.push(Problem::new(at, code, message));
    let items = match given {
        None | Some(Value::Null) => {
            refuse("/contentIds".into(), Code::Required, "contentIds is required".into());
            return Vec::new();
        }
        Some(Value::Array(items)) => items,
        Some(other) => {
            problems.push(wrong_type("/contentIds", "contentIds", "a list", other));
            return Vec::new();
        }
    };
    if items.is_empty() {
        refuse("/contentIds".into(), Code::EmptyBatch, "contentIds must name at least one item".into());
    }
    if items.len() > MAX_OPERATIONS {
        let message = format!("contentIds may name {MAX_OPERATIONS} items, not {}", items.len());
        refuse("/contentIds".into(), Code::TooManyOperations, message);
        return Vec::new();
    }
    let (mut ids, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, item) in items.iter().enumerate() {
        let at = format!("/contentIds/{index}");
        let id = match item {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => {
                problems.push(wrong_type(&at, "an item of contentIds", "a string or a number", other));
                continue;
            }
        };
        let mut refuse = |code, message: String| problems.push(Problem::new(at.clone(), code, message));
        if !(1..=MAX_CONTENT_ID).contains(&id.chars().count()) {
            refuse(Code::InvalidValue, format!("an item of contentIds must have 1 to {MAX_CONTENT_ID} characters"));
        } else if !seen.insert(id.clone()) {
            refuse(Code::DuplicateId, format!("contentIds names {} twice", clip(&id, MAX_SHOWN)));
        }
        ids.push(id);
    }
    ids
}

fn price(given: Option<&Value>, problems: &mut Vec<Problem>) -> Object {
    match given {
        None | Some(Value::Null) => problems.push(Problem::new("/newPrice", Code::Required, "newPrice is required")),
        Some(Value::Number(number)) if number.to_string().parse().is_ok_and(|price: u64| price < PRICES) => {
            return Object::from_iter([("newPrice".to_owned(), Value::Number(number.clone()))]);
        }
        Some(Value::Number(_)) => {
            let message = "newPrice must be a whole number from 0 to 9223372036854775807";
            problems.push(Problem::new("/newPrice", Code::InvalidValue, message));
        }
        Some(other) => problems.push(wrong_type("/newPrice", "newPrice", "a number", other)),
    }
    Object::new()
}

fn updates(given: Option<&Value>, problems: &mut Vec<Problem>) -> Object {
    let fields = match given {
        None | Some(Value::Null) => {
            problems.push(Problem::new("/updates", Code::Required, "updates is required"));
            return Object::new();
        }
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            problems.push(wrong_type("/updates", "updates", "an object", other));
            return Object::new();
        }
    };
    if fields.is_empty() {
        let message = format!("updates must hold at least one of {}", METADATA.join(", "));
        problems.push(Problem::new("/updates", Code::Required, message));
    }
    for (name, value) in fields {
        let at = child("/updates", name);
        let wrong = match name.as_str() {
            "title" => length(value, (1, 255)),
            "description" => length(value, (0, 10_000)),
            "contentType" => length(value, (0, 50)),
            "tokenGating" => token_gating(value),
            "refundable" if value.is_boolean() => None,
            "refundable" => Some((Code::WrongType, format!("must be a boolean, not {}", type_name(value)))),
            "refundWindowDays" => days(value),
            _ => Some((Code::UnknownField, format!("may not be changed; only {} may", METADATA.join(", ")))),
        };
        if let Some((code, reason)) = wrong {
            problems.push(Problem::new(at, code, format!("{} {reason}", clip(name, MAX_SHOWN))));
        }
    }
    fields.clone()
}

fn length(value: &Value, (least, most): (usize, usize)) -> Option<(Code, String)> {
    match value {
        Value::String(text) if (least..=most).contains(&text.chars().count()) => None,
        Value::String(_) => Some((Code::InvalidValue, format!("must have {least} to {most} characters"))),
        other => Some((Code::WrongType, format!("must be a string, not {}", type_name(other)))),
    }
}

fn token_gating(value: &Value) -> Option<(Code, String)> {
    match value {
        Value::Bool(_) => None,
        Value::Object(_) if value.to_string().len() <= MAX_TOKEN_GATING_BYTES => None,
        Value::Object(_) => {
            Some((Code::InvalidValue, format!("must have at most {MAX_TOKEN_GATING_BYTES} bytes of JSON")))
        }
        other => Some((Code::WrongType, format!("must be a boolean or an object, not {}", type_name(other)))),
    }
}

fn days(value: &Value) -> Option<(Code, String)> {
    match value {
        Value::Number(number) if number.to_string().parse().is_ok_and(|days: u32| days <= 365) => None,
        Value::Number(_) => Some((Code::InvalidValue, "must be a whole number from 0 to 365".to_owned())),
        other => Some((Code::WrongType, format!("must be a number, not {}", type_name(other)))),
    }
}
