//! A value's schema as the file writes it, turned into [`Rules`].
//!
//! `$ref` is replaced by what it names, and `nullable` by a second type.

use regex_lite::Regex;
use serde_json::Value;

use super::annotation::{self, DESCRIPTIVE, HINTED_FORMATS, NUMERIC, OF_PROPERTY, READ_ONLY, REF, TYPES, VALUE_SCHEMA};
use super::entity::Kind;
use super::error::{Place, Problems, hint};
use super::formats::Format;
use super::rules::{Bound, Others, Rules};
use super::yaml::{Entry, Node};
use crate::decimal;

/// Where the reusable schemas stand.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// Integers of so many bits.
const WIDTHS: &[(&str, i64, i64)] = &[("int32", i32::MIN as i64, i32::MAX as i64), ("int64", i64::MIN, i64::MAX)];

/// What a schema says of its values.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) rules: Rules,
    /// The allowed types but null; empty for any.
    pub(super) kinds: Vec<Kind>,
    pub(super) nullable: bool,
    pub(super) format: Option<String>,
}

impl Shape {
    pub(super) fn kind(&self) -> Kind {
        match self.kinds.as_slice() {
            [kind] => *kind,
            _ => Kind::Mixed,
        }
    }
}

/// Reads schemas, telling problems of one place.
pub(super) struct ShapeReader<'a> {
    /// `components.schemas`.
    pub(super) schemas: &'a Node,
    pub(super) place: Place<'a>,
    pub(super) problems: &'a mut Problems,
    /// The names being resolved, outermost first.
    pub(super) trail: Vec<&'a str>,
}

impl<'a> ShapeReader<'a> {
    pub(super) fn read(&mut self, property: &'a Node) -> Shape {
        self.read_with(property, &[OF_PROPERTY, &[READ_ONLY]])
    }

    /// Reads a reusable schema for its problems alone.
    pub(super) fn read_unused(&mut self, schema: &'a Node) {
        self.read_part(schema);
    }

    fn tell(&mut self, line: usize, reason: impl Into<String>) {
        self.problems.add(line, self.place, reason);
    }

    fn read_part(&mut self, node: &'a Node) -> Shape {
        self.read_with(node, &[])
    }

    /// Reads a schema that may have these keywords besides those of a value.
    fn read_with(&mut self, node: &'a Node, also: &[&[&str]]) -> Shape {
        let Some(entries) = node.entries() else {
            self.tell(node.line, "a schema must be a map of keywords");
            return Shape::default();
        };
        let known = [&[VALUE_SCHEMA, NUMERIC, DESCRIPTIVE], also].concat();
        annotation::check_keywords(entries, &known, self.place, self.problems);
        if let Some(reference) = node.entry(REF) {
            return self.follow(reference, entries);
        }
        let mut shape = Shape::default();
        self.read_type(node, &mut shape);
        for entry in entries {
            self.read_keyword(entry, &mut shape);
        }
        self.read_bounds(node, &mut shape);
        shape
    }

    fn follow(&mut self, reference: &'a Entry, siblings: &[Entry]) -> Shape {
        for sibling in siblings {
            let key = sibling.name();
            if key != REF && (key == "nullable" || VALUE_SCHEMA.contains(&key) || NUMERIC.contains(&key)) {
                self.tell(sibling.line, format!("{key} has no effect beside $ref; put both into allOf"));
            }
        }
        let text = reference.node.text().unwrap_or_default();
        let name = text.strip_prefix(SCHEMAS).unwrap_or_default();
        let Some(target) = self.schemas.entry(name) else {
            let names = self.schemas.entries().unwrap_or_default().iter().map(Entry::name);
            let hint = hint(name, names);
            self.tell(reference.line, format!("$ref {text:?} leads nowhere; wanted is {SCHEMAS}<name>{hint}"));
            return Shape::default();
        };
        if self.trail.contains(&name) {
            self.tell(reference.line, format!("$ref {text:?} leads back to itself"));
            return Shape::default();
        }
        self.trail.push(&target.key);
        let shape = self.read_part(&target.node);
        self.trail.pop();
        shape
    }

    fn read_type(&mut self, node: &'a Node, shape: &mut Shape) {
        let nullable = node.entry("nullable");
        if let Some(entry) = nullable {
            match entry.node.boolean() {
                Some(value) => shape.nullable = value,
                None => self.tell(entry.line, "nullable must be true or false"),
            }
        }
        let Some(entry) = node.entry("type") else {
            if let Some(entry) = nullable.filter(|_| shape.nullable) {
                self.tell(entry.line, "nullable needs a type beside it");
            }
            return;
        };
        let names: Vec<Option<&str>> = match entry.node.items() {
            Some(items) => items.iter().map(Node::text).collect(),
            None => vec![entry.node.text()],
        };
        let mut types: Vec<&'static str> = Vec::new();
        for name in names {
            match name {
                Some(name) => {
                    if let Some(known) = TYPES.iter().find(|known| **known == name) {
                        types.push(known);
                        shape.kinds.extend(kind_of(name).filter(|kind| !shape.kinds.contains(kind)));
                        shape.nullable |= name == "null";
                    } else {
                        let hint = hint(name, TYPES.iter().copied());
                        self.tell(entry.line, format!("unknown type {name:?}{hint}"));
                    }
                }
                None => self.tell(entry.line, "type must be a name or a list of names"),
            }
        }
        if shape.nullable && !types.contains(&"null") {
            types.push("null");
        }
        shape.rules.types = types;
    }

    fn read_keyword(&mut self, entry: &'a Entry, shape: &mut Shape) {
        let Entry { key, node, .. } = entry;
        let rules = &mut shape.rules;
        match key.as_ref() {
            "format" => self.read_format(entry, shape),
            "enum" | "const" => self.read_allowed(entry, shape),
            "pattern" => rules.pattern = self.read_pattern(entry),
            "minLength" => rules.length.least = self.read_count(entry),
            "maxLength" => rules.length.most = self.read_count(entry),
            "minItems" => rules.count.least = self.read_count(entry),
            "maxItems" => rules.count.most = self.read_count(entry),
            "minProperties" => rules.size.least = self.read_count(entry),
            "maxProperties" => rules.size.most = self.read_count(entry),
            "uniqueItems" => rules.unique_items = self.read_flag(entry) == Some(true),
            "required" => rules.required = self.read_names(entry),
            "items" => rules.items = Some(Box::new(self.read_part(node).rules)),
            "not" => rules.not = Some(Box::new(self.read_part(node).rules)),
            "properties" => rules.properties = self.read_properties(entry),
            "additionalProperties" => {
                rules.others = match node.boolean() {
                    Some(true) => Others::Any,
                    Some(false) => Others::None,
                    None => Others::Like(Box::new(self.read_part(node).rules)),
                };
            }
            "allOf" => shape.rules.all_of = self.read_forms(entry, shape),
            "anyOf" => shape.rules.any_of = self.read_forms(entry, shape),
            "oneOf" => shape.rules.one_of = self.read_forms(entry, shape),
            _ => {}
        }
    }

    fn invalid(&mut self, entry: &Entry, wanted: &str) {
        let Entry { key, node, line } = entry;
        self.tell(*line, format!("invalid schema: {key} must be {wanted}, not {}", node.kind()));
    }

    fn read_count(&mut self, entry: &Entry) -> Option<usize> {
        let number = entry.node.number().map(str::parse);
        match number {
            Some(Ok(count)) => return Some(count),
            Some(Err(_)) => {
                self.tell(entry.line, format!("invalid schema: {} must be 0 or more, and whole", entry.key));
            }
            None => self.invalid(entry, "integer"),
        }
        None
    }

    fn read_flag(&mut self, entry: &Entry) -> Option<bool> {
        let flag = entry.node.boolean();
        if flag.is_none() {
            self.invalid(entry, "boolean");
        }
        flag
    }

    fn read_names(&mut self, entry: &Entry) -> Vec<String> {
        let items = entry.node.items().unwrap_or_default();
        let names: Vec<String> = items.iter().filter_map(Node::text).map(str::to_owned).collect();
        if entry.node.items().is_none() || names.len() < items.len() {
            self.tell(entry.line, format!("invalid schema: {} must be a list of names", entry.key));
        }
        names
    }

    fn read_pattern(&mut self, entry: &Entry) -> Option<Regex> {
        let Some(text) = entry.node.text() else {
            self.invalid(entry, "string");
            return None;
        };
        let pattern = Regex::new(text).ok();
        if pattern.is_none() {
            self.tell(entry.line, format!("invalid schema: pattern {text:?} is not a regular expression"));
        }
        pattern
    }

    fn read_forms(&mut self, entry: &'a Entry, shape: &mut Shape) -> Vec<Rules> {
        let parts: Vec<Shape> =
            entry.node.items().unwrap_or_default().iter().map(|part| self.read_part(part)).collect();
        if parts.is_empty() {
            self.tell(entry.line, format!("{} must be a list of schemas", entry.key));
        }
        for kind in parts.iter().flat_map(|part| &part.kinds) {
            if !shape.kinds.contains(kind) && shape.rules.types.is_empty() {
                shape.kinds.push(*kind);
            }
        }
        shape.nullable |= entry.key != "allOf" && parts.iter().any(|part| part.nullable);
        parts.into_iter().map(|part| part.rules).collect()
    }

    fn read_properties(&mut self, entry: &'a Entry) -> Vec<(String, Rules)> {
        let Some(properties) = entry.node.entries() else {
            self.tell(entry.line, "properties must be a map of schemas");
            return Vec::new();
        };
        properties.iter().map(|property| (property.name().to_owned(), self.read_part(&property.node).rules)).collect()
    }

    fn read_format(&mut self, entry: &Entry, shape: &mut Shape) {
        let Some(name) = entry.node.text() else {
            self.tell(entry.line, "format must be a string");
            return;
        };
        if let Some((_, least, greatest)) = WIDTHS.iter().find(|(width, ..)| *width == name) {
            shape.rules.bounds.push((Bound::Minimum, least.to_string()));
            shape.rules.bounds.push((Bound::Maximum, greatest.to_string()));
        } else {
            shape.rules.format = Format::ALL.into_iter().find(|format| format.as_str() == name);
            if shape.rules.format.is_none() && !HINTED_FORMATS.contains(&name) {
                let widths = WIDTHS.iter().map(|(width, ..)| *width);
                let known = Format::ALL.iter().map(|format| format.as_str()).chain(widths);
                let hint = hint(name, known.chain(HINTED_FORMATS.iter().copied()));
                self.tell(entry.line, format!("unknown format {name:?}{hint}"));
            }
        }
        shape.format = Some(name.to_owned());
    }

    fn read_allowed(&mut self, entry: &Entry, shape: &mut Shape) {
        let mut items = match (entry.node.to_json(), entry.name()) {
            (Value::Array(items), "enum") => items,
            (_, "enum") => return self.tell(entry.line, "enum must be a list of values"),
            (one, _) => vec![one],
        };
        if entry.key == "enum" && shape.nullable && !items.contains(&Value::Null) {
            items.push(Value::Null);
        }
        shape.rules.allowed.push(items);
    }

    fn read_bounds(&mut self, node: &'a Node, shape: &mut Shape) {
        for keyword in NUMERIC {
            let Some(entry) = node.entry(keyword) else { continue };
            // OpenAPI 3.0 writes `exclusiveMinimum: true` beside a minimum, later drafts the number itself.
            let exclusive = |key: &str| node.get(key).and_then(Node::boolean) == Some(true);
            let flag = entry.node.boolean().is_some() && keyword.starts_with("exclusive");
            let bound = match *keyword {
                "minimum" if exclusive("exclusiveMinimum") => Bound::Above,
                "minimum" => Bound::Minimum,
                "maximum" if exclusive("exclusiveMaximum") => Bound::Below,
                "maximum" => Bound::Maximum,
                "exclusiveMinimum" => Bound::Above,
                "exclusiveMaximum" => Bound::Below,
                _ => Bound::MultipleOf,
            };
            match entry.node.number() {
                Some(limit) if bound == Bound::MultipleOf && !decimal::is_multiple_of(limit, limit) => {
                    self.tell(entry.line, "multipleOf must be positive and have at most 18 digits");
                }
                Some(limit) => match decimal::canonical(limit) {
                    Ok(limit) => shape.rules.bounds.push((bound, limit)),
                    Err(reason) => self.tell(entry.line, format!("{keyword} {limit} {reason}")),
                },
                None if flag => {}
                None => self.tell(entry.line, format!("{keyword} must be a number")),
            }
        }
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    [Kind::String, Kind::Integer, Kind::Number, Kind::Boolean, Kind::Array, Kind::Object]
        .into_iter()
        .find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_letters_of_a_pattern_are_those_of_ascii() {
        for (pattern, text, fits) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\w-]+$", "a_1-", true),
            (r"^[\w-]+$", "ä", false),
            (r"^\D\W$", "ä1", false),
            (r"^\D\W$", "ää", true),
            (r"^\\d$", r"\d", true),
        ] {
            assert_eq!(Regex::new(pattern).unwrap().is_match(text), fits, "{pattern} {text}");
        }
    }
}
