//! YAML as JSON values, for the deployment files that this service takes its own shape from.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::Error;

/// The one document of `text`, which is called `name` in errors. `CloudFormation`'s short forms become objects:
/// `!Ref X` is `{"Ref": "X"}`.
pub(crate) fn parse(name: &str, text: &str) -> Result<Value, Error> {
    let documents = Yaml::load_from_str(text).map_err(|error| Error::caused(name, &error))?;
    match documents.as_slice() {
        [root] => convert(root).map_err(|what| Error::new(format!("{name}: {what}"))),
        _ => Err(Error::new(format!("{name}: one YAML document is wanted"))),
    }
}

fn convert(yaml: &Yaml<'_>) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(scalar) => convert_scalar(scalar),
        Yaml::Sequence(items) => Value::Array(items.iter().map(convert).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((key_text(key)?, convert(value)?)));
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
        Yaml::Tagged(tag, inner) => Value::Object(Map::from_iter([(tag.suffix.clone(), convert(inner)?)])),
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => {
            return Err("a value that JSON cannot hold".to_owned());
        }
    })
}

fn convert_scalar(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::FloatingPoint(value) => value.into_inner().into(),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

/// A response code is a key too, and a number where it is not quoted.
fn key_text(key: &Yaml<'_>) -> Result<String, String> {
    match key {
        Yaml::Value(Scalar::String(text)) => Ok(text.to_string()),
        Yaml::Value(Scalar::Integer(number)) => Ok(number.to_string()),
        _ => Err("a key that is no text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_forms_become_objects() {
        let value = parse("a file", "a: !GetAtt Queue.Arn\nb: [!Ref X, 1, true, ~]\nc: {200: x}\n").unwrap();
        assert_eq!(value, json!({"a": {"GetAtt": "Queue.Arn"}, "b": [{"Ref": "X"}, 1, true, null], "c": {"200": "x"}}));
    }

    #[test]
    fn a_broken_file_is_named() {
        assert!(parse("template.yaml", "a: [1").unwrap_err().to_string().starts_with("template.yaml: "));
        assert!(parse("template.yaml", "").is_err());
    }
}
