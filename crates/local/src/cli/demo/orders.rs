//! The batches of the tour.

use serde_json::{Value, json};

/// A customer and an invoice of that customer: an example of the API's description, as it stands there.
pub(super) const RELATED: &str = r#"{
  "operations": [
    {
      "id": "create_customer",
      "entity": "customer",
      "action": "create",
      "store_params": {
        "first_name": "John",
        "last_name": "Doe",
        "email": "john@example.com"
      }
    },
    {
      "id": "create_invoice",
      "entity": "invoice",
      "action": "create",
      "store_params": {
        "customer_id": "$ref:create_customer.customer_id",
        "invoice_date": "2024-11-11T10:00:00",
        "total": 100.00
      },
      "depends_on": ["create_customer"]
    }
  ]
}"#;

/// A payment of what an account holds: the other example.
pub(super) const CONDITIONAL: &str = r#"{
  "operations": [
    {
      "id": "check_balance",
      "entity": "account",
      "action": "read",
      "query_params": { "account_id": 42 }
    },
    {
      "id": "create_payment",
      "entity": "payment",
      "action": "create",
      "store_params": {
        "account_id": 42,
        "amount": "$ref:check_balance.available_balance"
      },
      "depends_on": ["check_balance"]
    }
  ],
  "options": {
    "atomic": true
  }
}"#;

/// The account that [`CONDITIONAL`] pays from.
pub(super) fn account() -> Value {
    json!({"operations": [{
        "id": "open_account",
        "entity": "account",
        "action": "create",
        "store_params": {"account_id": 42, "name": "Petty cash", "available_balance": 250.75},
    }]})
}

/// A customer, an invoice, and as many lines of it as make `operations` in all.
pub(super) fn order(operations: usize, email: &str, atomic: bool) -> Value {
    let mut all = vec![
        customer("customer", email),
        json!({
            "id": "invoice",
            "entity": "invoice",
            "action": "create",
            "store_params": {"customer_id": "$ref:customer.customer_id", "invoice_date": "2024-11-11T10:00:00Z"},
        }),
    ];
    for line in 1..=operations.saturating_sub(2) {
        all.push(json!({
            "id": format!("line_{line}"),
            "entity": "invoice_line",
            "action": "create",
            "store_params": {"invoice_id": "$ref:invoice.invoice_id", "quantity": line, "unit_price": 0.99},
        }));
    }
    json!({"operations": all, "options": {"atomic": atomic, "reference": email}})
}

/// A customer and an invoice, then a customer whose address is taken, then one more: all or nothing, so nothing.
pub(super) fn failing(email: &str, taken: &str) -> Value {
    let mut batch = order(2, email, true);
    if let Some(operations) = batch["operations"].as_array_mut() {
        operations.push(customer("twin", taken));
        operations.push(customer("late", "late@example.com"));
    }
    batch
}

fn customer(id: &str, email: &str) -> Value {
    json!({
        "id": id,
        "entity": "customer",
        "action": "create",
        "store_params": {"first_name": "Ada", "last_name": "Lovelace", "email": email},
    })
}

/// One read; `metadata` such as `{"count": true}`.
pub(super) fn read(entity: &str, query: &Value, metadata: &Value) -> Value {
    json!({"operations": [{
        "id": "look",
        "entity": entity,
        "action": "read",
        "query_params": query,
        "metadata_params": metadata,
    }]})
}
