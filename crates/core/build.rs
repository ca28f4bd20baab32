//! Writes `model.yaml` and `tokens.yaml` as JSON, which a function reads at its start in a tenth of the time.
//!
//! Syntax is checked here, and fails the build; what the files say is checked by tests.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script where things are by its environment")]

use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

#[path = "src/model/error.rs"]
#[expect(dead_code, reason = "the model's errors are made here only where its syntax is wrong")]
mod error;
#[path = "src/model/yaml.rs"]
#[expect(dead_code, reason = "a build makes JSON of nodes, and reads nothing else of them")]
mod yaml;

use yaml::{Data, Node};

fn main() -> Result<(), Box<dyn Error>> {
    let files: [(&str, fn(&Node) -> Value); 2] = [("model", packed), ("tokens", |root| plain(root.to_json()))];
    for (file, written) in files {
        let path = format!("{}/../../{file}.yaml", std::env::var("CARGO_MANIFEST_DIR")?);
        println!("cargo::rerun-if-changed={path}");
        let mut problems = error::Problems::default();
        let root = Node::parse(&std::fs::read_to_string(&path)?, &mut problems);
        let root = problems.or(root).map_err(|problems| format!("{path}: {problems:?}"))?;
        let json = root.map(|root| written(&root).to_string()).unwrap_or_default();
        std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join(format!("{file}.json")), json)?;
    }
    Ok(())
}

/// A node, and each entry of a map, as the list of its fields: so lines are kept, and no map is made on the way.
fn packed(node: &Node) -> Value {
    let data = match &node.data {
        Data::Scalar(value) => json!({ "Scalar": value }),
        Data::List(items) => json!({ "List": items.iter().map(packed).collect::<Vec<_>>() }),
        Data::Map(entries) => {
            let entries = entries.iter().map(|entry| json!([entry.key, entry.line, packed(&entry.node)]));
            json!({ "Map": entries.collect::<Vec<_>>() })
        }
    };
    json!([node.line, data])
}

/// Addresses in lower case: the checksum that is in their case takes a hash each to look at, and tests do.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("0x") => text.to_ascii_lowercase().into(),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}
