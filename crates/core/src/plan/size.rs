//! Sizes as `DynamoDB` counts them: names and values, in bytes (its developer guide, "Item sizes and formats").

use serde_json::Value;

use crate::json::Object;

/// What our own attributes (keys, version, writer, index keys) add to a row at most, beside the texts in them.
const OWN_ATTRIBUTES: usize = 400;

/// Bytes of a row with these fields, with what our own attributes may add.
pub fn item_bytes(fields: &Object) -> usize {
    OWN_ATTRIBUTES + object_bytes(fields)
}

/// Bytes of one value.
pub fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        // One byte for each two digits, one for the exponent, one for a sign.
        Value::Number(number) => number.as_str().len() / 2 + 3,
        Value::String(text) => text.len(),
        Value::Array(items) => 3 + items.iter().map(|item| 1 + value_bytes(item)).sum::<usize>(),
        Value::Object(fields) => object_bytes(fields),
    }
}

fn object_bytes(fields: &Object) -> usize {
    3 + fields.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
}
