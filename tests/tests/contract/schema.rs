//! The contract's schemas, as strictly as a reader takes them: what is not declared is not there.

use serde_json::Value;

use super::files::SPEC;

/// What `reference` points to, or the value itself.
pub fn resolve(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let found = SPEC.pointer(reference.trim_start_matches('#'));
            resolve(found.unwrap_or_else(|| panic!("{reference} points to nothing")))
        }
    }
}

/// Everything in which `value` differs from `schema`, with its place.
pub fn misfits(schema: &'static Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &'static Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolve(schema);
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    let fits = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.as_i64().is_some(),
        Some("number") => value.is_number(),
        other => panic!("{at}: a schema of type {other:?}"),
    };
    if !fits {
        return found.push(format!("{at}: {value} is not of type {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    bounds(schema, value, at, found);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(name) {
                    found.push(format!("{at}: {name} is missing"));
                }
            }
            for (name, field) in fields {
                let at = format!("{at}/{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(property), _) => check(property, field, &at, found),
                    (None, Some(Value::Bool(true))) => {}
                    (None, Some(other)) if other.is_object() => check(other, field, &at, found),
                    _ => found.push(format!("{at} is not declared")),
                }
            }
        }
        _ => {}
    }
}

fn bounds(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let size = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => u32::try_from(text.chars().count()).ok().map(f64::from),
        Value::Array(items) => u32::try_from(items.len()).ok().map(f64::from),
        _ => None,
    };
    let Some(size) = size else { return };
    for (least, most) in [("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems")] {
        let bound = |name: &str| schema[name].as_f64();
        if bound(least).is_some_and(|least| size < least) || bound(most).is_some_and(|most| size > most) {
            found.push(format!("{at}: {value} is out of bounds"));
        }
    }
}
