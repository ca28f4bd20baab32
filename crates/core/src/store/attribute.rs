//! Attribute values to and from JSON and plain types.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::call::Fault;
use crate::json::{Object, number};

/// An item as `DynamoDB` gives it.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn n(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn b(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// A JSON value as `DynamoDB` keeps it; numbers exactly, to 38 digits.
pub(super) fn from_json(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(items) => AttributeValue::L(items.iter().map(from_json).collect()),
        Value::Object(fields) => from_object(fields),
    }
}

/// A JSON object as a map.
pub(super) fn from_object(fields: &Object) -> AttributeValue {
    AttributeValue::M(fields.iter().map(|(name, value)| (name.clone(), from_json(value))).collect())
}

/// The JSON value of an attribute that [`from_json`] made. Object fields come in name order, because a map has none.
pub(super) fn to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::N(text) => number(&crate::decimal::canonical(text).unwrap_or_else(|_| text.clone())),
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::L(items) => Value::Array(items.iter().map(to_json).collect()),
        AttributeValue::M(fields) => Value::Object(to_object(fields)),
        _ => Value::Null,
    }
}

/// The JSON object of a map.
pub(super) fn to_object(fields: &Item) -> Object {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort_unstable();
    names.into_iter().map(|name| (name.clone(), to_json(&fields[name]))).collect()
}

/// Reads typed attributes out of an item; a missing or mistyped one is a [`Fault`] that names it.
pub(super) struct Reader<'a>(pub(super) &'a Item);

impl<'a> Reader<'a> {
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Fault> {
        self.maybe_text(name).ok_or_else(|| damaged(name))
    }

    pub(super) fn maybe_text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    pub(super) fn int<T: std::str::FromStr>(&self, name: &str) -> Result<T, Fault> {
        self.maybe_int(name).ok_or_else(|| damaged(name))
    }

    pub(super) fn maybe_int<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.0.get(name)?.as_n().ok()?.parse().ok()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(|value| value.as_bool().ok()).copied().unwrap_or(false)
    }

    pub(super) fn bytes(&self, name: &str) -> Result<&'a [u8], Fault> {
        self.maybe_bytes(name).ok_or_else(|| damaged(name))
    }

    pub(super) fn maybe_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.0.get(name)?.as_b().ok().map(AsRef::as_ref)
    }

    pub(super) fn map(&self, name: &str) -> Option<&'a Item> {
        self.0.get(name)?.as_m().ok()
    }

    /// Text that holds JSON of a known type.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, Fault> {
        serde_json::from_str(self.text(name)?).map_err(|_| damaged(name))
    }
}

pub(super) fn damaged(name: &str) -> Fault {
    Fault::new("read item", format!("attribute {name} is missing or of another type"))
}

/// JSON text of `value` for an attribute that [`Reader::json`] reads back.
pub(super) fn json_text<T: serde::Serialize>(value: &T) -> Result<AttributeValue, Fault> {
    serde_json::to_string(value).map(s).map_err(|error| Fault::new("write item", error.to_string()))
}
