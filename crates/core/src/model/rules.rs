//! What a property's schema asks of its values, checked exactly: numbers are compared as decimals, never as floats.
//!
//! These are the keywords of JSON Schema 2020-12 that [`super::annotation`] lists, with its meanings: a rule about one type of
//! value says nothing of the others.

use std::cmp::Ordering;

use regex_lite::Regex;
use serde_json::{Map, Value};

use super::formats::Format;
use super::sort;
use super::yaml::type_of;
use crate::decimal;

/// Most problems told of one value; a list of a thousand wrong items is clear from the first.
const MAX_FINDINGS: usize = 20;

/// Longest text of one problem, in characters; some quote the schema.
const MAX_MESSAGE: usize = 300;

/// The rules of one schema, and of those below it.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// JSON types, one of which a value has; empty for any.
    pub(super) types: Vec<&'static str>,
    /// The values of an `enum` or `const`; of two such lists a value is in both.
    pub(super) allowed: Vec<Vec<Value>>,
    pub(super) bounds: Vec<(Bound, String)>,
    /// Characters of a text.
    pub(super) length: Range,
    pub(super) format: Option<Format>,
    pub(super) pattern: Option<Regex>,
    /// Items of a list.
    pub(super) count: Range,
    pub(super) unique_items: bool,
    pub(super) items: Option<Box<Rules>>,
    /// Members of a map.
    pub(super) size: Range,
    pub(super) required: Vec<String>,
    pub(super) properties: Vec<(String, Rules)>,
    pub(super) others: Others,
    pub(super) all_of: Vec<Rules>,
    pub(super) any_of: Vec<Rules>,
    pub(super) one_of: Vec<Rules>,
    pub(super) not: Option<Box<Rules>>,
}

/// Of a map, the members that `properties` does not name.
#[derive(Debug, Default)]
pub(super) enum Others {
    /// Are any values.
    #[default]
    Any,
    /// May not be there.
    None,
    /// Have rules.
    Like(Box<Rules>),
}

/// How many there may be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub(super) least: Option<usize>,
    pub(super) most: Option<usize>,
}

/// A rule about a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Minimum,
    Maximum,
    Above,
    Below,
    MultipleOf,
}

/// Something wrong within a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// JSON pointer (RFC 6901) from the value; empty for the value itself.
    pub(super) pointer: String,
    pub(super) message: String,
}

/// The pointer of a member of what stands at `parent`.
pub(super) fn pointer(parent: &str, member: &str) -> String {
    format!("{parent}/{}", member.replace('~', "~0").replace('/', "~1"))
}

impl Range {
    fn check(self, has: usize, what: &str, at: &str, findings: &mut Findings) {
        if let Some(least) = self.least.filter(|least| has < *least) {
            findings.add(at, || format!("must have at least {least} {what}, not {has}"));
        }
        if let Some(most) = self.most.filter(|most| has > *most) {
            findings.add(at, || format!("must have at most {most} {what}, not {has}"));
        }
    }
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

/// What was found so far, up to a bound.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, at: &str, message: impl FnOnce() -> String) {
        if !self.is_full() {
            self.0.push(Finding { pointer: at.to_owned(), message: shorten(message()) });
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MAX_FINDINGS
    }
}

impl Rules {
    /// Everything wrong with the value, up to a bound.
    pub(super) fn check(&self, value: &Value) -> Vec<Finding> {
        let mut findings = Findings::default();
        self.check_at(value, "", &mut findings);
        findings.0
    }

    fn holds(&self, value: &Value) -> bool {
        self.check(value).is_empty()
    }

    fn check_at(&self, value: &Value, at: &str, findings: &mut Findings) {
        if findings.is_full() {
            return;
        }
        if !self.types.is_empty() && !self.types.iter().any(|name| is_of(value, name)) {
            return findings.add(at, || format!("must be {}, not {}", self.types.join(" or "), type_of(value)));
        }
        for allowed in &self.allowed {
            if !allowed.iter().any(|one| sort::compare(one, value) == Ordering::Equal) {
                findings.add(at, || format!("must be one of {}", listed(allowed)));
            }
        }
        match value {
            Value::Number(number) => self.check_number(number.as_str(), at, findings),
            Value::String(text) => self.check_text(text, at, findings),
            Value::Array(items) => self.check_items(items, at, findings),
            Value::Object(object) => self.check_members(object, at, findings),
            Value::Null | Value::Bool(_) => {}
        }
        self.check_forms(value, at, findings);
    }

    fn check_number(&self, number: &str, at: &str, findings: &mut Findings) {
        for (bound, limit) in &self.bounds {
            if !bound.holds(number, limit) {
                findings.add(at, || format!("{} {limit}", bound.words()));
            }
        }
    }

    fn check_text(&self, text: &str, at: &str, findings: &mut Findings) {
        if self.length.least.or(self.length.most).is_some() {
            self.length.check(text.chars().count(), "characters", at, findings);
        }
        if let Some(format) = self.format
            && let Err(reason) = format.check(text)
        {
            findings.add(at, || format!("is not a valid {}: {reason}", format.as_str()));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            findings.add(at, || format!("does not match the pattern {pattern}"));
        }
    }

    fn check_items(&self, items: &[Value], at: &str, findings: &mut Findings) {
        self.count.check(items.len(), "items", at, findings);
        if self.unique_items {
            let mut sorted: Vec<(usize, &Value)> = items.iter().enumerate().collect();
            sorted.sort_by(|(_, a), (_, b)| sort::compare(a, b));
            for pair in sorted.windows(2) {
                if let [(i, a), (j, b)] = pair
                    && sort::compare(a, b) == Ordering::Equal
                {
                    findings.add(&pointer(at, &j.to_string()), || format!("is equal to item {i}"));
                }
            }
        }
        if let Some(rules) = &self.items {
            for (index, item) in items.iter().enumerate() {
                rules.check_at(item, &pointer(at, &index.to_string()), findings);
            }
        }
    }

    fn check_members(&self, object: &Map<String, Value>, at: &str, findings: &mut Findings) {
        self.size.check(object.len(), "members", at, findings);
        for name in self.required.iter().filter(|name| !object.contains_key(*name)) {
            findings.add(&pointer(at, name), || "is required".to_owned());
        }
        for (name, value) in object {
            let own = self.properties.iter().find(|(property, _)| property == name).map(|(_, rules)| rules);
            match (own, &self.others) {
                (Some(rules), _) => rules.check_at(value, &pointer(at, name), findings),
                (None, Others::Like(rules)) => rules.check_at(value, &pointer(at, name), findings),
                (None, Others::None) => findings.add(&pointer(at, name), || "is not a known property".to_owned()),
                (None, Others::Any) => {}
            }
        }
    }

    fn check_forms(&self, value: &Value, at: &str, findings: &mut Findings) {
        for rules in &self.all_of {
            rules.check_at(value, at, findings);
        }
        let no_form = |forms: &[Self]| {
            let reasons = forms.iter().flat_map(|form| form.check(value)).map(|finding| finding.message);
            format!("fits none of the allowed forms: {}", reasons.collect::<Vec<_>>().join("; "))
        };
        if !self.any_of.is_empty() && !self.any_of.iter().any(|form| form.holds(value)) {
            findings.add(at, || no_form(&self.any_of));
        }
        if !self.one_of.is_empty() {
            match self.one_of.iter().filter(|form| form.holds(value)).count() {
                0 => findings.add(at, || no_form(&self.one_of)),
                1 => {}
                several => findings.add(at, || format!("fits {several} forms, of which one is wanted")),
            }
        }
        if self.not.as_ref().is_some_and(|not| not.holds(value)) {
            findings.add(at, || "is of a form that is not allowed".to_owned());
        }
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match (name, value) {
        ("integer", Value::Number(number)) => decimal::is_integer(number.as_str()),
        _ => name == type_of(value),
    }
}

fn listed(values: &[Value]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
