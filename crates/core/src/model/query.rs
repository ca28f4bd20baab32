//! Conditions of `query_params`: equality, or `op::value` in a string.
//!
//! - Operands take the field's type: `"gt::5"` compares numbers where the field is a number, text where it is
//!   text. So does a plain value: `"42"` is 42 for an integer field. Numbers compare exactly.
//! - Strings compare by code points, dates and times among them: RFC 3339 texts of one offset sort by time.
//! - `in` and `not-in` take a list between commas, `between` and `not-between` two inclusive ends; a comma
//!   cannot be part of a value there. `like` has `*` for any text and `?` for one character, case counts.
//! - Null, and a field that is absent, which is the same, equals null only, and no order, list, range or
//!   pattern holds for it. Every `not-` operator and `ne` is the exact negation of its counterpart, so it
//!   holds for null where the counterpart does not.
//! - An unknown prefix is part of the value: `"a::b"` is text.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::entity::{Field, Kind};
use super::glob::Glob;
use super::sort;
use crate::decimal;

/// Most values of `in`; enough for one batch's worth of keys.
const MAX_OPERANDS: usize = 100;

/// An operator of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its word says")]
pub enum Op {
    Lt,
    Le,
    Eq,
    Ne,
    Ge,
    Gt,
    In,
    NotIn,
    Between,
    NotBetween,
    Like,
    NotLike,
}

/// Every operator with its word, as written before `::`.
const WORDS: &[(&str, Op)] = &[
    ("lt", Op::Lt),
    ("le", Op::Le),
    ("eq", Op::Eq),
    ("ne", Op::Ne),
    ("ge", Op::Ge),
    ("gt", Op::Gt),
    ("in", Op::In),
    ("not-in", Op::NotIn),
    ("between", Op::Between),
    ("not-between", Op::NotBetween),
    ("like", Op::Like),
    ("not-like", Op::NotLike),
];

impl Op {
    /// The operator that a text begins with, and the rest; nothing if it begins with none.
    #[must_use]
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once("::")?;
        let (_, op) = WORDS.iter().find(|(known, _)| *known == word)?;
        Some((*op, rest))
    }

    /// The word before `::`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(_, op)| *op == self).map_or("eq", |(word, _)| word)
    }
}

/// Something that holds for a field's value, or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field's name.
    pub field: String,
    /// How the value is compared.
    pub op: Op,
    /// With what: one value, two ends, or a list; of the field's type or null, numbers in canonical form.
    pub operands: Vec<Value>,
    /// The pattern of `like` and `not-like`.
    glob: Option<Glob>,
}

impl Condition {
    /// Reads one member of `query_params`. Where `literal`, a string never holds an operator; so it is for a
    /// value that a reference was replaced by.
    ///
    /// # Errors
    /// What is wrong with it, in words that name the field.
    pub fn parse(field: &Field, value: &Value, literal: bool) -> Result<Self, String> {
        let Some((op, rest)) = value.as_str().filter(|_| !literal).and_then(Op::split) else {
            return Self::new(field, Op::Eq, vec![value.clone()]);
        };
        let texts: Vec<&str> = match op {
            Op::In | Op::NotIn | Op::Between | Op::NotBetween => rest.split(',').collect(),
            _ => vec![rest],
        };
        Self::new(field, op, texts.into_iter().map(|text| Value::String(text.to_owned())).collect())
    }

    /// A condition of its parts; strings take the field's type.
    ///
    /// # Errors
    /// What is wrong with it, in words that name the field.
    pub fn new(field: &Field, op: Op, operands: Vec<Value>) -> Result<Self, String> {
        let name = field.name.as_str();
        let word = op.as_str();
        let (wanted, count) = match op {
            Op::Between | Op::NotBetween => ("two values", 2..=2),
            Op::In | Op::NotIn => ("1 to 100 values", 1..=MAX_OPERANDS),
            _ => ("one value", 1..=1),
        };
        if !count.contains(&operands.len()) {
            return Err(format!("{name}: {word} takes {wanted}, not {}", operands.len()));
        }
        let pattern = matches!(op, Op::Like | Op::NotLike);
        let ordered = !pattern && !matches!(op, Op::Eq | Op::Ne);
        let sortable = matches!(field.kind, Kind::String | Kind::Integer | Kind::Number);
        let listed = matches!(op, Op::In | Op::NotIn) && field.kind == Kind::Boolean;
        if pattern && field.kind != Kind::String || ordered && !sortable && !listed {
            return Err(format!("{name}: {word} does not apply to type {}", field.kind.as_str()));
        }
        let operands = operands.into_iter().map(|operand| typed(field, operand)).collect::<Result<Vec<_>, _>>()?;
        let glob = match operands.first() {
            Some(Value::String(text)) if pattern => {
                Some(Glob::new(text).map_err(|reason| format!("{name}: {reason}"))?)
            }
            _ if pattern => return Err(format!("{name}: {word} takes a text")),
            _ => None,
        };
        Ok(Self { field: name.to_owned(), op, operands, glob })
    }

    /// The value that the field must equal, if that is the condition: what a key or an index can look up.
    #[must_use]
    pub fn equal_to(&self) -> Option<&Value> {
        self.operands.first().filter(|operand| self.op == Op::Eq && !operand.is_null())
    }

    /// Whether it holds for a row's value of the field; give null where the row has none.
    #[must_use]
    pub fn matches(&self, value: &Value) -> bool {
        match self.op {
            Op::Eq | Op::In => self.equals_any(value),
            Op::Ne | Op::NotIn => !self.equals_any(value),
            Op::Lt => self.ordered(value, Ordering::is_lt),
            Op::Le => self.ordered(value, Ordering::is_le),
            Op::Ge => self.ordered(value, Ordering::is_ge),
            Op::Gt => self.ordered(value, Ordering::is_gt),
            Op::Between => self.between(value),
            Op::NotBetween => !self.between(value),
            Op::Like => self.like(value),
            Op::NotLike => !self.like(value),
        }
    }

    fn equals_any(&self, value: &Value) -> bool {
        self.operands.iter().any(|operand| sort::compare(value, operand).is_eq())
    }

    fn ordered(&self, value: &Value, holds: impl Fn(Ordering) -> bool) -> bool {
        self.operands.first().is_some_and(|operand| comparable(value, operand) && holds(sort::compare(value, operand)))
    }

    fn between(&self, value: &Value) -> bool {
        match self.operands.as_slice() {
            [low, high] => {
                comparable(value, low)
                    && comparable(value, high)
                    && sort::compare(value, low).is_ge()
                    && sort::compare(value, high).is_le()
            }
            _ => false,
        }
    }

    fn like(&self, value: &Value) -> bool {
        matches!((value, &self.glob), (Value::String(text), Some(glob)) if glob.matches(text))
    }
}

/// Whether an order means something between the two.
fn comparable(value: &Value, operand: &Value) -> bool {
    matches!((value, operand), (Value::Number(_), Value::Number(_)) | (Value::String(_), Value::String(_)))
}

/// The operand in the field's type; null is of every type.
fn typed(field: &Field, operand: Value) -> Result<Value, String> {
    let kinds: &[Kind] = if field.types.is_empty() { &[Kind::String] } else { &field.types };
    let accepts = |kind: Kind| kinds.contains(&kind);
    let any = field.types.is_empty();
    let fits = match &operand {
        Value::Null => true,
        Value::Bool(_) => any || accepts(Kind::Boolean),
        Value::Number(number) => {
            let text = number.as_str();
            if any || accepts(Kind::Number) || accepts(Kind::Integer) && decimal::is_integer(text) {
                // One that cannot be stored stays as it is: it still has a place in the order.
                return Ok(canonical(text).unwrap_or(operand));
            }
            false
        }
        Value::Array(_) => any || accepts(Kind::Array),
        Value::Object(_) => any || accepts(Kind::Object),
        Value::String(text) => {
            if accepts(Kind::String) {
                return Ok(operand);
            }
            return read_as(kinds, text.trim()).ok_or_else(|| mismatch(field));
        }
    };
    if fits { Ok(operand) } else { Err(mismatch(field)) }
}

fn read_as(kinds: &[Kind], text: &str) -> Option<Value> {
    kinds.iter().find_map(|kind| match kind {
        Kind::Boolean => text.parse().ok().map(Value::Bool),
        Kind::Number | Kind::Integer => {
            let fits = *kind == Kind::Number || decimal::is_integer(text);
            canonical(text).filter(|_| fits)
        }
        _ => None,
    })
}

fn canonical(text: &str) -> Option<Value> {
    decimal::canonical(text).ok()?.parse::<Number>().ok().map(Value::Number)
}

fn mismatch(field: &Field) -> String {
    let kinds: Vec<&str> = field.types.iter().map(|kind| kind.as_str()).collect();
    format!("{}: the value must be of type {}", field.name, kinds.join(" or "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Model;

    fn model() -> Model {
        let yaml = "
components:
  schemas:
    thing:
      type: object
      properties:
        id: {type: integer, x-af-primary-key: auto}
        name: {type: string, nullable: true}
        total: {type: number}
        done: {type: boolean}
        tags: {type: array}
        gate: {type: [boolean, object]}
";
        Model::from_yaml(yaml).unwrap()
    }

    fn parse(field: &str, value: &Value, literal: bool) -> Result<Condition, String> {
        let model = model();
        Condition::parse(model.entity("thing").unwrap().field(field).unwrap(), value, literal)
    }

    fn check(field: &str, condition: &Value, value: &str, expected: bool) {
        let value: Value = serde_json::from_str(value).unwrap();
        let condition = parse(field, condition, false).unwrap();
        assert_eq!(condition.matches(&value), expected, "{condition:?} of {value}");
    }

    #[test]
    fn operands_take_the_type_of_the_field() {
        let table = [
            ("id", json!(5), "5", true),
            ("id", json!(5), "5.0", true),
            ("id", json!("5"), "5", true),
            ("id", json!("gt::5"), "10", true),
            ("name", json!("gt::5"), "\"10\"", false),
            ("id", json!("in::1, 2,3"), "2", true),
            ("id", json!("not-in::1,2"), "2", false),
            ("id", json!("between::1,5"), "5", true),
            ("id", json!("not-between::1,5"), "6", true),
            ("total", json!("le::0.1"), "0.10000000000000000001", false),
            ("total", json!("eq::1e2"), "100.00", true),
            ("total", json!("ge::9007199254740993"), "9007199254740992", false),
            ("done", json!("true"), "true", true),
            ("done", json!("ne::true"), "false", true),
            ("name", json!("in::a,b"), "\"b\"", true),
            ("name", json!("eq::a::b"), "\"a::b\"", true),
            ("name", json!("what::b"), "\"what::b\"", true),
            ("name", json!("like::A*n?"), "\"Anna\"", true),
            ("name", json!("not-like::A*"), "\"anna\"", true),
            ("tags", json!(["a", 1]), "[\"a\", 1.0]", true),
            ("gate", json!({"a": 1}), "{\"a\": 1}", true),
            ("gate", json!("eq::true"), "true", true),
        ];
        for (field, condition, value, expected) in table {
            check(field, &condition, value, expected);
        }
    }

    #[test]
    fn null_equals_null_and_every_negation_is_exact() {
        let table = [
            ("name", json!(null), "null", true),
            ("name", json!(null), "\"\"", false),
            ("name", json!("a"), "null", false),
            ("name", json!("ne::a"), "null", true),
            ("name", json!("lt::a"), "null", false),
            ("id", json!("not-in::1"), "null", true),
            ("id", json!("between::1,5"), "null", false),
            ("id", json!("not-between::1,5"), "null", true),
            ("name", json!("like::*"), "null", false),
            ("name", json!("not-like::*"), "null", true),
        ];
        for (field, condition, value, expected) in table {
            check(field, &condition, value, expected);
        }
    }

    #[test]
    fn a_number_to_look_up_has_its_canonical_form() {
        for value in [json!(5), json!(5.0), json!("5"), json!("eq::5e0")] {
            assert_eq!(parse("id", &value, false).unwrap().equal_to().map(ToString::to_string).as_deref(), Some("5"));
        }
    }

    #[test]
    fn a_literal_holds_no_operator() {
        let literal = parse("name", &json!("ne::x"), true).unwrap();
        assert_eq!((literal.op, literal.equal_to()), (Op::Eq, Some(&json!("ne::x"))));
        assert_eq!(parse("name", &json!("ne::x"), false).unwrap().op, Op::Ne);
        assert!(parse("id", &json!("gt::5"), true).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let table = [
            ("id", json!("x"), "id: the value must be of type integer"),
            ("id", json!(1.5), "id: the value must be of type integer"),
            ("id", json!("gt::1.5"), "id: the value must be of type integer"),
            ("id", json!("in::"), "id: the value must be of type integer"),
            ("id", json!("between::1"), "id: between takes two values, not 1"),
            ("id", json!("like::1*"), "id: like does not apply to type integer"),
            ("done", json!("lt::true"), "done: lt does not apply to type boolean"),
            ("tags", json!("in::a"), "tags: in does not apply to type array"),
            ("name", json!({"a": 1}), "name: the value must be of type string"),
            ("gate", json!("maybe"), "gate: the value must be of type boolean or object"),
        ];
        for (field, value, reason) in table {
            assert_eq!(parse(field, &value, false).unwrap_err(), reason);
        }
        let many = format!("in::{}", ["1"; 101].join(","));
        assert_eq!(parse("id", &json!(many), false).unwrap_err(), "id: in takes 1 to 100 values, not 101");
    }

    #[test]
    fn a_total_of_more_digits_than_a_float_is_ordered() {
        assert!(
            parse("total", &json!("gt::99999999999999999999999999999999999998"), false)
                .unwrap()
                .matches(&serde_json::from_str("99999999999999999999999999999999999999").unwrap())
        );
    }
}
