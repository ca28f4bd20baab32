//! Values as the contract sees them: their types, their order, and what conditions say of them.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::batch::Cond;
use crate::interpret::Row;
use crate::schema::{Field, Kind};

/// The value is one of the field.
pub fn fits(field: &Field, value: &Value) -> bool {
    match (field.kind, value) {
        (_, Value::Null) => field.nullable,
        (Kind::Text, Value::String(text)) => text.chars().count() <= field.max,
        (Kind::Integer, Value::Number(number)) => number.as_i64().is_some(),
        (Kind::Number, Value::Number(_)) | (Kind::Flag, Value::Bool(_)) => true,
        _ => false,
    }
}

/// `value` as a value of that type, which text may stand for.
pub fn typed(kind: Kind, value: Value) -> Option<Value> {
    let read = |text: &str| match kind {
        Kind::Text => Some(json!(text)),
        Kind::Integer => text.parse::<i64>().ok().map(|number| json!(number)),
        Kind::Number => text.parse::<f64>().ok().map(|_| text.parse().map(Value::Number).expect("a number")),
        Kind::Flag => text.parse::<bool>().ok().map(|flag| json!(flag)),
    };
    match (&value, kind) {
        (Value::Null, _) | (Value::Number(_), Kind::Number) | (Value::Bool(_), Kind::Flag) => Some(value),
        (Value::Number(number), Kind::Integer) => number.as_i64().map(|_| value.clone()),
        (Value::String(text), _) => read(text),
        _ => None,
    }
}

/// The condition, with these operands, holds for the row.
pub fn holds(cond: &Cond, operands: &[Value], row: &Row) -> bool {
    let value = row.get(cond.field).unwrap_or(&Value::Null);
    let order = |operand: &Value| (!value.is_null() && !operand.is_null()).then(|| compare(value, operand));
    let first = &operands[0];
    let equal = |operand: &Value| compare(value, operand).is_eq();
    let between = || order(first).is_some_and(Ordering::is_ge) && order(&operands[1]).is_some_and(Ordering::is_le);
    let matches = || value.as_str().zip(first.as_str()).is_some_and(|(text, pattern)| like(pattern, text));
    match cond.op {
        "" | "eq" => equal(first),
        "ne" => !equal(first),
        "in" => operands.iter().any(equal),
        "not-in" => !operands.iter().any(equal),
        "lt" => order(first).is_some_and(Ordering::is_lt),
        "le" => order(first).is_some_and(Ordering::is_le),
        "gt" => order(first).is_some_and(Ordering::is_gt),
        "ge" => order(first).is_some_and(Ordering::is_ge),
        "between" => between(),
        "not-between" => !between(),
        "like" => matches(),
        "not-like" => !matches(),
        other => panic!("no operator {other}"),
    }
}

/// Null first, then false and true, numbers by value, texts by code points.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        _ => 3,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).expect("ordered numbers"),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// `*` is any text, `?` one character.
pub fn like(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).any(|at| text.is_char_boundary(at) && like(&pattern[1..], &text[at..])),
        Some('?') => rest.next().is_some() && like(&pattern[1..], rest.as_str()),
        Some(wanted) => rest.next() == Some(wanted) && like(&pattern[wanted.len_utf8()..], rest.as_str()),
    }
}
