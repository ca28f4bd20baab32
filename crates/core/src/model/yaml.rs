//! YAML as JSON values that remember their lines.
//!
//! The build script is made with this file too, and writes `model.yaml` as a [`Node`] in Rust: hence what is borrowed.

use std::borrow::Cow;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Number, Value};

use super::error::Problems;

/// A YAML value with the line it begins on.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(super) line: usize,
    pub(super) data: Data,
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Boolean(bool),
    /// The text of a number of JSON.
    Number(Cow<'static, str>),
    Text(Cow<'static, str>),
    List(Cow<'static, [Node]>),
    Map(Cow<'static, [Entry]>),
}

/// A key of a map and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Cow<'static, str>,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Entry {
    /// The key.
    pub(super) fn name(&self) -> &str {
        &self.key
    }
}

impl Node {
    /// The document's root; problems are added where there are any.
    pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Self> {
        let documents = match MarkedYaml::load_from_str(text) {
            Ok(documents) => documents,
            Err(error) => {
                problems.add(error.marker().line(), "", error.info());
                return None;
            }
        };
        match documents.as_slice() {
            [root] => Some(convert(root, text, problems)),
            [] => {
                problems.add(1, "", "the file is empty");
                None
            }
            [_, second, ..] => {
                problems.add(second.span.start.line(), "", "one YAML document is wanted");
                None
            }
        }
    }

    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> Option<&[Node]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name of its JSON type.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Boolean(_) => "boolean",
            Data::Number(_) => "number",
            Data::Text(_) => "string",
            Data::List(_) => "array",
            Data::Map(_) => "object",
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.data {
            Data::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The number's text, exactly as the file has it.
    pub(super) fn number(&self) -> Option<&str> {
        match &self.data {
            Data::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Boolean(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(Number::from_string_unchecked(number.to_string())),
            Data::Text(text) => Value::String(text.to_string()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.to_string(), entry.node.to_json())).collect())
            }
        }
    }
}

/// The name of a value's JSON type.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn convert(yaml: &MarkedYaml<'_>, source: &str, problems: &mut Problems) -> Node {
    let line = yaml.span.start.line();
    let data = match &yaml.data {
        YamlData::Value(scalar) => convert_scalar(scalar, yaml, source, problems),
        YamlData::Sequence(items) => Data::List(items.iter().map(|item| convert(item, source, problems)).collect()),
        YamlData::Mapping(entries) => {
            let entries = entries.iter().filter_map(|(key, value)| {
                let line = key.span.start.line();
                let node = convert(value, source, problems);
                if let YamlData::Value(Scalar::String(key)) = &key.data {
                    return Some(Entry { key: key.to_string().into(), line, node });
                }
                problems.add(line, "", "keys must be strings; quote this one");
                None
            });
            Data::Map(entries.collect())
        }
        _ => {
            problems.add(line, "", "tags and values that do not fit them are not supported");
            Data::Null
        }
    };
    Node { line, data }
}

fn convert_scalar(scalar: &Scalar<'_>, yaml: &MarkedYaml<'_>, source: &str, problems: &mut Problems) -> Data {
    match scalar {
        Scalar::Null => Data::Null,
        Scalar::Boolean(value) => Data::Boolean(*value),
        Scalar::Integer(value) => Data::Number(value.to_string().into()),
        Scalar::String(text) => Data::Text(text.to_string().into()),
        // The parser has made a float of it; the file has the exact number.
        Scalar::FloatingPoint(_) => {
            let (start, end) = (yaml.span.start.index(), yaml.span.end.index());
            let text: String = source.chars().skip(start).take(end.saturating_sub(start)).collect();
            serde_json::from_str::<Number>(text.trim()).map_or_else(
                |_| {
                    problems.add(
                        yaml.span.start.line(),
                        "",
                        format!("{:?} is not a number that JSON can hold", text.trim()),
                    );
                    Data::Null
                },
                |number| Data::Number(number.as_str().to_owned().into()),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_exact_numbers_are_kept() {
        let mut problems = Problems::default();
        let node =
            Node::parse("# ä\na: 1\nb:\n  - 0.10000000000000000000000001\n  - 99999999999999999999\n", &mut problems)
                .unwrap();
        assert_eq!(problems.or(()), Ok(()));
        let list = node.entry("b").unwrap();
        assert_eq!((list.line, list.node.line), (3, 4));
        let numbers: Vec<_> =
            list.node.items().unwrap().iter().map(|item| (item.line, item.number().unwrap())).collect();
        assert_eq!(numbers, [(4, "0.10000000000000000000000001"), (5, "99999999999999999999")]);
    }

    #[test]
    fn broken_yaml_is_told_with_its_line() {
        for (text, line) in [
            ("a: 1\nb: [1\n", 3),
            ("a: 1\na: 2\n", 2),
            ("1: x\n", 1),
            ("a: .inf\n", 1),
            ("", 1),
            ("a: 1\n---\nb: 2\n", 3),
        ] {
            let mut problems = Problems::default();
            let _ = Node::parse(text, &mut problems);
            let found = problems.or(()).unwrap_err();
            assert_eq!(found[0].line, line, "{text:?}: {found:?}");
        }
    }
}
