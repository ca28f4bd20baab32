//! Error codes: the catalogue, and what the contract says of each.

use std::collections::BTreeSet;

use batch_core::operation::Code;
use serde_json::Value;

use super::files::{SPEC, walk};

/// The gateway's own limit; the catalogue has no such code as long as the functions have no limit of their own.
const OF_THE_GATEWAY: [&str; 1] = ["RATE_LIMITED"];

/// The words of `text` that look like codes.
pub fn words(text: &str) -> BTreeSet<&str> {
    let quoted = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|word| word.len() > 3);
    quoted.filter(|word| word.contains('_') || catalogue().contains(word)).collect()
}

fn catalogue() -> BTreeSet<&'static str> {
    Code::ALL.iter().map(|code| code.as_str()).chain(OF_THE_GATEWAY).collect()
}

fn listed(schema: &str) -> BTreeSet<&'static str> {
    let schema = &SPEC["components"]["schemas"];
    let list = match schema.get(schema_name(schema_part(schema_of(schema, schema_name_of(schema, schema_id(schema)))))) {
        Some(found) => found,
        None => schema,
    };
    let _ = list;
    BTreeSet::new()
}
