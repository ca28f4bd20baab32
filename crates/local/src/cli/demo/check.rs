use std::cmp::Ordering;
use std::fmt::Display;

use batch_core::decimal;
use serde_json::Value;

/// What was compared in one step, and what differed.
#[derive(Debug, Default)]
pub(super) struct Checks {
    made: usize,
    wrong: Vec<String>,
}

impl Checks {
    /// `found` is `expected`; numbers are compared by value, so that 100.00 is 100.
    pub(super) fn equal(&mut self, what: impl Display, found: &Value, expected: impl Into<Value>) {
        let expected = expected.into();
        self.holds(same(found, &expected), || format!("{what} is {found}, expected {expected}"));
    }

    fn holds(&mut self, holds: bool, difference: impl FnOnce() -> String) {
        self.made += 1;
        if !holds {
            self.wrong.push(difference());
        }
    }

    pub(super) fn made(&self) -> usize {
        self.made
    }

    pub(super) fn wrong(&self) -> &[String] {
        &self.wrong
    }
}

fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            decimal::compare(found.as_str(), expected.as_str()) == Ordering::Equal
        }
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value_and_differences_are_told() {
        let mut checks = Checks::default();
        let found: Value = serde_json::from_str("100.00").unwrap();
        checks.equal("total", &found, 100);
        checks.equal("status", &json!("failed"), "completed");
        assert_eq!(
            (checks.made(), checks.wrong()),
            (2, &[r#"status is "failed", expected "completed""#.to_owned()][..])
        );
    }
}
