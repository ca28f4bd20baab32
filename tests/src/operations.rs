//! Operations of `POST /batch`, as JSON.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` makes values; helpers that take them read like the requests"
)]

use serde_json::{Value, json};

/// Creates a row.
pub fn create(id: &str, entity: &str, store: Value) -> Value {
    json!({ "id": id, "entity": entity, "action": "create", "store_params": store })
}

/// Changes rows.
pub fn update(id: &str, entity: &str, query: Value, store: Value) -> Value {
    json!({ "id": id, "entity": entity, "action": "update", "query_params": query, "store_params": store })
}

/// Deletes rows.
pub fn delete(id: &str, entity: &str, query: Value) -> Value {
    json!({ "id": id, "entity": entity, "action": "delete", "query_params": query })
}

/// Reads rows.
pub fn read(id: &str, entity: &str, query: Value) -> Value {
    json!({ "id": id, "entity": entity, "action": "read", "query_params": query })
}
