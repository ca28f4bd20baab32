//! `sort` of `metadata_params`, and the one order of JSON values.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::entity::Entity;
use super::error::hint;
use crate::json::clip;
use crate::limits::MAX_SHOWN;

/// Orders rows by some of their fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    keys: Vec<SortKey>,
}

/// One field to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The field's name.
    pub field: String,
    /// Greatest first.
    pub descending: bool,
}

impl Sort {
    /// Reads `name:desc,other`; `:asc` may be said.
    ///
    /// # Errors
    /// What is wrong with it: an unknown field, one of lists or maps, one named twice, another direction.
    pub fn parse(entity: &Entity, text: &str) -> Result<Self, String> {
        let mut keys: Vec<SortKey> = Vec::new();
        for part in text.split(',') {
            let (name, direction) = match part.split_once(':') {
                Some((name, direction)) => (name.trim(), direction.trim()),
                None => (part.trim(), "asc"),
            };
            let Some(field) = entity.field(name) else {
                let name = clip(name, MAX_SHOWN);
                let hint = hint(&name, entity.fields().iter().map(|field| field.name.as_str()));
                return Err(format!("{} has no field {name:?} to sort by{hint}", entity.name));
            };
            if !field.kind.is_scalar() {
                return Err(format!("{name} is of type {} and cannot be sorted by", field.kind.as_str()));
            }
            if keys.iter().any(|key| key.field == name) {
                return Err(format!("{name} is sorted by twice"));
            }
            let descending = match direction {
                "asc" => false,
                "desc" => true,
                _ => {
                    let direction = clip(direction, MAX_SHOWN);
                    return Err(format!("{direction:?} is no direction; wanted is asc or desc"));
                }
            };
            keys.push(SortKey { field: name.to_owned(), descending });
        }
        Ok(Self { keys })
    }

    /// The fields, the most significant first.
    #[must_use]
    pub fn keys(&self) -> &[SortKey] {
        &self.keys
    }

    /// The order of two rows; an absent field counts as null. Use a stable sort: rows may be equal here.
    #[must_use]
    pub fn compare(&self, a: &Map<String, Value>, b: &Map<String, Value>) -> Ordering {
        self.keys.iter().fold(Ordering::Equal, |order, SortKey { field, descending }| {
            order.then_with(|| {
                let order = compare(a.get(field).unwrap_or(&Value::Null), b.get(field).unwrap_or(&Value::Null));
                if *descending { order.reverse() } else { order }
            })
        })
    }
}

/// A total order of JSON values: null, false, true, numbers by exact value, strings by code points,
/// lists item by item, maps by their sorted members. Equal are 1 and 1.0, and maps in another sequence.
#[must_use]
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => crate::decimal::compare(a.as_str(), b.as_str()),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => sequence(a.iter(), b.iter(), compare),
        (Value::Object(a), Value::Object(b)) => {
            let member = |(name, value): &(&String, &Value), (other, against): &(&String, &Value)| {
                name.cmp(other).then_with(|| compare(value, against))
            };
            sequence(sorted(a).iter(), sorted(b).iter(), member)
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn sequence<T>(
    a: impl ExactSizeIterator<Item = T>,
    b: impl ExactSizeIterator<Item = T>,
    order: impl Fn(T, T) -> Ordering,
) -> Ordering {
    let lengths = a.len().cmp(&b.len());
    a.zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne()).unwrap_or(lengths)
}

fn sorted(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    members
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_total_order() {
        let ascending = [
            "null",
            "false",
            "true",
            "-1",
            "0",
            "9007199254740992",
            "9007199254740993",
            "\"\"",
            "\"B\"",
            "\"a\"",
            "\"ab\"",
            "[]",
            "[1]",
            "[1,null]",
            "[2]",
            "{}",
            "{\"a\":1}",
            "{\"a\":2}",
            "{\"b\":0}",
        ];
        let values: Vec<Value> = ascending.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn rows_are_sorted_by_several_fields_each_its_own_way() {
        let yaml = "components: {schemas: {thing: {type: object, properties: {id: {type: integer, x-af-primary-key: auto}, a: {type: string}, l: {type: array}}}}}";
        let model = crate::model::Model::from_yaml(yaml).unwrap();
        let thing = model.entity("thing").unwrap();
        let mut rows: Vec<Map<String, Value>> = [(1, Some("x")), (2, None), (10, Some("x"))]
            .map(|(id, a)| serde_json::json!({"id": id, "a": a}).as_object().cloned().unwrap())
            .to_vec();
        rows[1].remove("a");
        let sort = Sort::parse(thing, "a, id:desc").unwrap();
        rows.sort_by(|a, b| sort.compare(a, b));
        let ids: Vec<String> = rows.iter().map(|row| row["id"].to_string()).collect();
        assert_eq!(ids, ["2", "10", "1"]);
        for (text, part) in [
            ("", "no field \"\""),
            ("aa", "no field"),
            ("a,a", "twice"),
            ("a:up", "no direction"),
            ("l", "cannot be sorted by"),
        ] {
            let reason = Sort::parse(thing, text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn equality_is_of_values_not_of_spelling() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}"), ("[0]", "[-0]")] {
            let parse = |text| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(compare(&parse(a), &parse(b)), Ordering::Equal, "{a} {b}");
        }
    }
}
