//! The rules about numbers of a value's schema, checked on decimals.
//!
//! The schema library compares numbers as binary floats, so that 9007199254740993 would pass a maximum of
//! 9007199254740992, and 0.07 fail as a multiple of 0.01. Its schemas are therefore stripped of these rules.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::schema::{Finding, pointer};
use super::sort;
use crate::decimal;

/// The rules of one schema and of those below it.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) bounds: Vec<(Bound, String)>,
    /// The numbers that an `enum` or `const` allows.
    pub(super) allowed: Vec<Vec<String>>,
    /// Equality of items is that of their numbers.
    pub(super) unique_items: bool,
    pub(super) items: Option<Box<Numbers>>,
    pub(super) properties: Vec<(String, Numbers)>,
    pub(super) other_properties: Option<Box<Numbers>>,
    pub(super) all_of: Vec<Numbers>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Minimum,
    Maximum,
    Above,
    Below,
    MultipleOf,
}

impl Bound {
    fn holds(self, number: &str, limit: &str) -> bool {
        match self {
            Self::Minimum => decimal::compare(number, limit) != Ordering::Less,
            Self::Maximum => decimal::compare(number, limit) != Ordering::Greater,
            Self::Above => decimal::compare(number, limit) == Ordering::Greater,
            Self::Below => decimal::compare(number, limit) == Ordering::Less,
            Self::MultipleOf => decimal::is_multiple_of(number, limit),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Minimum => "must be >=",
            Self::Maximum => "must be <=",
            Self::Above => "must be >",
            Self::Below => "must be <",
            Self::MultipleOf => "must be a multiple of",
        }
    }
}

impl Numbers {
    /// Adds what does not hold of `value`, which stands at `at`.
    pub(super) fn check(&self, value: &Value, at: &str, findings: &mut Vec<Finding>) {
        match value {
            Value::Number(number) => self.check_number(number.as_str(), at, findings),
            Value::Array(items) => self.check_items(items, at, findings),
            Value::Object(object) => self.check_properties(object, at, findings),
            _ => {}
        }
        for part in &self.all_of {
            part.check(value, at, findings);
        }
    }

    fn check_number(&self, number: &str, at: &str, findings: &mut Vec<Finding>) {
        for (bound, limit) in &self.bounds {
            if !bound.holds(number, limit) {
                findings.push(Finding::new(at, format!("{} {limit}", bound.words())));
            }
        }
        for allowed in &self.allowed {
            if !allowed.iter().any(|one| decimal::compare(one, number) == Ordering::Equal) {
                findings.push(Finding::new(at, format!("must be one of {}", allowed.join(", "))));
            }
        }
    }

    fn check_items(&self, items: &[Value], at: &str, findings: &mut Vec<Finding>) {
        if self.unique_items {
            let mut sorted: Vec<(usize, &Value)> = items.iter().enumerate().collect();
            sorted.sort_by(|(_, a), (_, b)| sort::compare(a, b));
            for pair in sorted.windows(2) {
                if let [(i, a), (j, b)] = pair
                    && sort::compare(a, b) == Ordering::Equal
                {
                    findings.push(Finding::new(&pointer(at, &j.to_string()), format!("is equal to item {i}")));
                }
            }
        }
        if let Some(rules) = &self.items {
            for (index, item) in items.iter().enumerate() {
                rules.check(item, &pointer(at, &index.to_string()), findings);
            }
        }
    }

    fn check_properties(&self, object: &Map<String, Value>, at: &str, findings: &mut Vec<Finding>) {
        for (name, value) in object {
            let own = self.properties.iter().find(|(property, _)| property == name).map(|(_, rules)| rules);
            if let Some(rules) = own.or(self.other_properties.as_deref()) {
                rules.check(value, &pointer(at, name), findings);
            }
        }
    }
}

/// The value as the schema library must see it: numbers with a fraction that a float would lose become 0.5,
/// so that they are not taken for integers.
pub(super) fn for_library(value: &Value) -> Cow<'_, Value> {
    if !hides_fraction(value) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(match value {
        Value::Array(items) => items.iter().map(|item| for_library(item).into_owned()).collect(),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(name, value)| (name.clone(), for_library(value).into_owned())).collect())
        }
        _ => Number::from_f64(0.5).map_or(Value::Null, Value::Number),
    })
}

fn hides_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let whole_as_float = number.as_f64().is_some_and(|float| float.fract() == 0.0);
            whole_as_float && !decimal::is_integer(number.as_str())
        }
        Value::Array(items) => items.iter().any(hides_fraction),
        Value::Object(object) => object.values().any(hides_fraction),
        _ => false,
    }
}
