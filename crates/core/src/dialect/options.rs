//! What the contracts read alike: options, and the operations that one waits for.

use serde_json::Value;

use crate::json::{Object, child, type_name};
use crate::limits::{MAX_DEPENDENCIES, MAX_REFERENCE};
use crate::operation::{Code, Problem};

/// The ids that `depends_on` names, each once with its place; `wrong` takes pointer, code and message of what is not.
pub(super) fn depends_on(given: Option<&Value>, wrong: &mut impl FnMut(&str, Code, String)) -> Vec<(usize, String)> {
    let mut named: Vec<(usize, String)> = Vec::new();
    match given {
        None => {}
        Some(Value::Array(ids)) if ids.len() > MAX_DEPENDENCIES => wrong(
            "/depends_on",
            Code::InvalidValue,
            format!("depends_on names {} operations; a batch has at most {MAX_DEPENDENCIES}", ids.len()),
        ),
        Some(Value::Array(ids)) => {
            for (place, id) in ids.iter().enumerate() {
                match id {
                    Value::String(id) if named.iter().any(|(_, known)| known == id) => {}
                    Value::String(id) => named.push((place, id.clone())),
                    other => wrong(
                        &format!("/depends_on/{place}"),
                        Code::WrongType,
                        format!("depends_on holds ids of operations, not {}", type_name(other)),
                    ),
                }
            }
        }
        Some(other) => {
            wrong(
                "/depends_on",
                Code::WrongType,
                format!("depends_on must be a list of operation ids, not {}", type_name(other)),
            );
        }
    }
    named
}

/// Reads options by any of their spellings.
pub(super) struct OptionReader<'a> {
    given: &'a Object,
    pub problems: Vec<Problem>,
}

impl<'a> OptionReader<'a> {
    /// Of the options `given`.
    pub fn new(given: &'a Object) -> Self {
        Self { given, problems: Vec::new() }
    }

    /// The value under one of `names`; two that differ are a problem.
    fn get(&mut self, names: &[&'a str]) -> Option<(&'a str, &'a Value)> {
        let mut found = names.iter().filter_map(|name| Some((*name, self.given.get(*name)?)));
        let first = found.next()?;
        if let Some((name, _)) = found.find(|(_, value)| *value != first.1) {
            let message = format!("{} and {name} are the same option and differ; send one", first.0);
            self.problems.push(Problem::new(child("/options", name), Code::InvalidValue, message));
        }
        Some(first)
    }

    fn wrong(&mut self, name: &str, value: &Value, wanted: &str) {
        let message = format!("{name} must be {wanted}, not {}", type_name(value));
        self.problems.push(Problem::new(child("/options", name), Code::WrongType, message));
    }

    pub fn flag(&mut self, names: &[&'a str], target: &mut bool) {
        match self.get(names) {
            None => {}
            Some((_, Value::Bool(flag))) => *target = *flag,
            Some((name, other)) => self.wrong(name, other, "true or false"),
        }
    }

    pub fn whole(&mut self, names: &[&'a str], least: u64, most: u64) -> Option<u64> {
        let (name, value) = self.get(names)?;
        let Value::Number(number) = value else {
            self.wrong(name, value, &format!("a whole number from {least} to {most}"));
            return None;
        };
        let number = number.as_u64().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("{name} must be a whole number from {least} to {most}, not {value}");
            self.problems.push(Problem::new(child("/options", name), Code::InvalidValue, message));
        }
        number
    }

    pub fn reference(&mut self) -> Option<String> {
        let (name, value) = self.get(&["reference"])?;
        let Value::String(text) = value else {
            self.wrong(name, value, "a string");
            return None;
        };
        if text.is_empty() || text.chars().count() > MAX_REFERENCE || text.chars().any(char::is_control) {
            let message =
                format!("reference must have 1 to {MAX_REFERENCE} characters, none of them control characters");
            self.problems.push(Problem::new("/options/reference", Code::InvalidValue, message));
            return None;
        }
        Some(text.clone())
    }
}
