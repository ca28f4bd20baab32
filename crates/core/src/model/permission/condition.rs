//! `where` of a rule: what must hold for a row, in view of the caller's claims.
//!
//! Every comparison is true, false or unknown, and only what is true grants anything (Kleene's strong logic of three
//! values). Unknown is a comparison of null, with a claim that is missing, or of values of two types; so a claim that is
//! not there grants nothing behind `not` and `!=` either.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::model::sort;

/// A condition, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(pub(super) Node);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// All of these, with `and` between.
    All(Vec<Node>),
    /// One of these, with `or` between.
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare {
        field: String,
        test: Test,
        with: Operand,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Equal to an item of a list; a claim that is no list is a list of one.
    In,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// A value, or the list behind `in`.
    Literal(Value),
    /// The caller's claim of that name.
    Claim(String),
}

impl Condition {
    /// Whether it holds for `row`, for certain.
    #[must_use]
    pub fn holds(&self, row: &Map<String, Value>, claims: &Map<String, Value>) -> bool {
        self.0.truth(row, claims) == Some(true)
    }

    /// The fields it looks at, each as often as it does.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let (mut fields, mut nodes) = (Vec::new(), vec![&self.0]);
        while let Some(node) = nodes.pop() {
            match node {
                Node::All(parts) | Node::Any(parts) => nodes.extend(parts),
                Node::Not(part) => nodes.push(part),
                Node::Compare { field, .. } => fields.push(field.as_str()),
            }
        }
        fields
    }
}

impl Node {
    /// `None` is unknown. As deep as the text was allowed to be.
    fn truth(&self, row: &Map<String, Value>, claims: &Map<String, Value>) -> Option<bool> {
        match self {
            Self::All(parts) => any(parts.iter().map(|part| part.truth(row, claims).map(|truth| !truth))).map(|no| !no),
            Self::Any(parts) => any(parts.iter().map(|part| part.truth(row, claims))),
            Self::Not(part) => part.truth(row, claims).map(|truth| !truth),
            Self::Compare { field, test, with } => {
                let operand = match with {
                    Operand::Literal(value) => value,
                    Operand::Claim(name) => claims.get(name)?,
                };
                test.truth(row.get(field)?, operand)
            }
        }
    }
}

/// True where one is, false where all are, else unknown.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut unknown = false;
    for truth in truths {
        match truth {
            Some(true) => return Some(true),
            Some(false) => {}
            None => unknown = true,
        }
    }
    (!unknown).then_some(false)
}

impl Test {
    fn truth(self, value: &Value, operand: &Value) -> Option<bool> {
        let holds = match self {
            Self::In => {
                let items = operand.as_array().map_or(std::slice::from_ref(operand), Vec::as_slice);
                // A value that is none is unknown even of an empty list.
                order(value, value)?;
                return any(items.iter().map(|item| order(value, item).map(Ordering::is_eq)));
            }
            Self::Eq => Ordering::is_eq,
            Self::Ne => Ordering::is_ne,
            Self::Lt => Ordering::is_lt,
            Self::Le => Ordering::is_le,
            Self::Gt => Ordering::is_gt,
            Self::Ge => Ordering::is_ge,
        };
        let ordered = matches!(self, Self::Eq | Self::Ne) || !value.is_boolean();
        order(value, operand).filter(|_| ordered).map(holds)
    }
}

/// The order of two values of one scalar type.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let alike = matches!(
        (a, b),
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) | (Value::Bool(_), Value::Bool(_))
    );
    alike.then(|| sort::compare(a, b))
}
