//! Writes `model.yaml` as a constant and `tokens.yaml` as JSON: a function need not parse YAML at its start.
//!
//! Syntax is checked here, and fails the build; what the files say is checked by tests.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script where things are by its environment")]

use std::error::Error;
use std::path::Path;

use serde_json::Value;

#[path = "src/model/error.rs"]
#[expect(dead_code, reason = "the model's errors are made here only where its syntax is wrong")]
mod error;
#[path = "src/model/yaml.rs"]
#[expect(dead_code, reason = "a build makes JSON of nodes, and reads nothing else of them")]
mod yaml;

use yaml::{Data, Entry, Node};

fn main() -> Result<(), Box<dyn Error>> {
    let files: [(&str, &str, fn(&Node) -> String); 2] =
        [("model", "rs", expression), ("tokens", "json", |root| plain(root.to_json()).to_string())];
    for (file, extension, written) in files {
        let path = format!("{}/../../{file}.yaml", std::env::var("CARGO_MANIFEST_DIR")?);
        println!("cargo::rerun-if-changed={path}");
        let mut problems = error::Problems::default();
        let root = Node::parse(&std::fs::read_to_string(&path)?, &mut problems);
        let root = problems.or(root).map_err(|problems| format!("{path}: {problems:?}"))?;
        let text = root.map(|root| written(&root)).unwrap_or_default();
        std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join(format!("{file}.{extension}")), text)?;
    }
    Ok(())
}

/// The node as an expression of Rust, to be read where the module `yaml` is in scope.
fn expression(node: &Node) -> String {
    let listed = |items: Vec<String>| format!("Cow::Borrowed(&[{}])", items.join(", "));
    let data = match &node.data {
        Data::Null => "Null".to_owned(),
        Data::Boolean(value) => format!("Boolean({value})"),
        Data::Number(text) => format!("Number(Cow::Borrowed({text:?}))"),
        Data::Text(text) => format!("Text(Cow::Borrowed({text:?}))"),
        Data::List(items) => format!("List({})", listed(items.iter().map(expression).collect())),
        Data::Map(entries) => {
            let entry = |Entry { key, line, node }: &Entry| {
                format!("yaml::Entry {{ key: Cow::Borrowed({key:?}), line: {line}, node: {} }}", expression(node))
            };
            format!("Map({})", listed(entries.iter().map(entry).collect()))
        }
    };
    format!("yaml::Node {{ line: {}, data: yaml::Data::{data} }}", node.line)
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
