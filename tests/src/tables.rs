use dynoxide::Database;
use serde_json::{Value, json};
pub fn database_in_memory() -> Result<Database, String> {
    let db = Database::memory().map_err(|e| e.to_string())?;
    let keys = |hash: &str, range: Option<&str>| {
        let mut k = vec![json!({"AttributeName": hash, "KeyType": "HASH"})];
        if let Some(r) = range {
            k.push(json!({"AttributeName": r, "KeyType": "RANGE"}));
        }
        Value::Array(k)
    };
    let gsi = |name: &str, hash: &str, range: &str| json!({"IndexName": name, "KeySchema": keys(hash, Some(range)), "Projection": {"ProjectionType": "KEYS_ONLY"}});
    let attrs =
        |names: &[&str]| -> Value { names.iter().map(|n| json!({"AttributeName": n, "AttributeType": "S"})).collect() };
    let named: Vec<Value> =
        ["tenant", "subject", "party", "reference", "watch"].iter().map(|n| gsi(n, &format!("g_{n}"), "at")).collect();
    let slots: Vec<Value> = (0..5).map(|n| gsi(&format!("gsi{n}"), &format!("_g{n}"), "pk")).collect();
    let tables = [
        json!({"TableName": "BatchesTable", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys("pk", Some("sk")),
          "AttributeDefinitions": attrs(&["pk","sk","at","g_tenant","g_subject","g_party","g_reference","g_watch"]),
          "GlobalSecondaryIndexes": named}),
        json!({"TableName": "RecordsTable", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys("pk", None),
          "AttributeDefinitions": attrs(&["pk","_g0","_g1","_g2","_g3","_g4"]),
          "GlobalSecondaryIndexes": slots}),
        json!({"TableName": "ControlTable", "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys("pk", None), "AttributeDefinitions": attrs(&["pk"])}),
    ];
    for t in tables {
        crate::seam::dispatch(&db, "CreateTable", t).map_err(|e| e.to_string())?;
    }
    Ok(db)
}
