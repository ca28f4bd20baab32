//! The files, as JSON values.

use std::sync::LazyLock;

use batch_core::config::Function;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

pub static SPEC: LazyLock<Value> = LazyLock::new(|| yaml(include_str!("../../../openapi.yaml")));
pub static TEMPLATE: LazyLock<Value> = LazyLock::new(|| yaml(include_str!("../../../template.yaml")));
pub const SPEC_TEXT: &str = include_str!("../../../openapi.yaml");
pub const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");

/// Every function, with its name in the template's resources.
pub const FUNCTIONS: [(Function, &str); 3] =
    [(Function::Submit, "Submit"), (Function::Executor, "Executor"), (Function::Status, "Status")];

/// The name of a function in the template's resources.
pub fn name_of(function: Function) -> &'static str {
    FUNCTIONS.iter().find(|(known, _)| *known == function).unwrap().1
}

/// A resource of the template.
pub fn resource(name: &str) -> &'static Value {
    let found = &TEMPLATE["Resources"][name];
    assert!(found.is_object(), "the template has no {name}");
    found
}

/// YAML as JSON; `!Ref X` is `{"Ref": "X"}`.
fn yaml(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).unwrap();
    let [root] = documents.as_slice() else { panic!("one YAML document is wanted") };
    convert(root)
}

fn convert(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.to_string().into(),
        Yaml::Sequence(items) => items.iter().map(convert).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| match convert(key) {
                Value::String(name) => (name, convert(value)),
                other => (other.to_string(), convert(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Tagged(tag, inner) => Map::from_iter([(tag.suffix.clone(), convert(inner))]).into(),
        other => panic!("{other:?} cannot be JSON"),
    }
}

/// Calls `visit` with every value below `value`, and where it is.
pub fn walk(value: &Value, place: &mut Vec<String>, visit: &mut impl FnMut(&[String], &Value)) {
    visit(place, value);
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), field)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        place.push(name);
        walk(child, place, visit);
        place.pop();
    }
}
