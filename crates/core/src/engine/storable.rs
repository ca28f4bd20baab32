//! What a row must be for the store to take it, beyond what its schema says.

use serde_json::Value;

use crate::json::{Object, child};
use crate::limits::{MAX_ITEM_BYTES, MAX_NAME_BYTES, MAX_ROW_DEPTH};
use crate::operation::{Code, Failure};
use crate::plan::item_bytes;

/// Refuses a row of `entity` that cannot be stored.
pub(super) fn check(entity: &str, row: &Object) -> Result<(), Failure> {
    if depth(row) > MAX_ROW_DEPTH {
        let message = format!("the row would be nested more than {MAX_ROW_DEPTH} levels deep");
        return Err(Failure::new(Code::InvalidValue, message).at("/store_params"));
    }
    if let Some((field, _)) = row.iter().find(|(_, value)| holds_bad_name(value)) {
        let message = format!("{field} holds a field whose name is empty or longer than {MAX_NAME_BYTES} bytes");
        return Err(Failure::new(Code::InvalidValue, message).at(child("/store_params", field)));
    }
    let bytes = item_bytes(row);
    if bytes > MAX_ITEM_BYTES {
        let message = format!("{entity} would be a row of {bytes} bytes; {MAX_ITEM_BYTES} is the most");
        return Err(Failure::new(Code::ItemTooLarge, message).at("/store_params"));
    }
    Ok(())
}

/// Levels of lists and objects, the row itself the first. References can stack what each was shallow enough by itself.
fn depth(row: &Object) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or(0),
            Value::Object(fields) => depth(fields),
            _ => 0,
        }
    }
    1 + row.values().map(of).max().unwrap_or(0)
}

/// Whether an object in it has a field that the store cannot name.
fn holds_bad_name(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_bad_name),
        Value::Object(fields) => {
            fields.iter().any(|(name, field)| !(1..=MAX_NAME_BYTES).contains(&name.len()) || holds_bad_name(field))
        }
        _ => false,
    }
}
