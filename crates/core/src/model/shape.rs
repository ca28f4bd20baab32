//! A value's schema as the file writes it, turned into what the schema library checks and what we do.
//!
//! `$ref` is replaced by what it names, `nullable` by a second type, and the rules about numbers are taken out.

use serde_json::{Map, Value, json};

use super::annotation::{
    self, ASSERTED_FORMATS, DESCRIPTIVE, HINTED_FORMATS, NUMERIC, OF_PROPERTY, READ_ONLY, REF, TYPES, VALUE_SCHEMA,
};
use super::entity::Kind;
use super::error::{Problems, hint};
use super::numbers::{Bound, Numbers};
use super::yaml::{Entry, Node};
use crate::decimal;

/// Where the reusable schemas stand.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// What a schema says of its values.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// For the schema library.
    pub(super) schema: Map<String, Value>,
    pub(super) numbers: Numbers,
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

/// Reads schemas, telling problems under one path.
pub(super) struct ShapeReader<'a> {
    /// `components.schemas`.
    pub(super) schemas: &'a Node,
    pub(super) path: String,
    pub(super) problems: &'a mut Problems,
    /// The names being resolved, outermost first.
    pub(super) trail: Vec<&'a str>,
}

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Property,
    /// Below a property, on every way to its value.
    Within,
    /// In one of several forms; the schema library alone decides which of them applies.
    Branch,
}

impl Place {
    fn below(self) -> Self {
        if self == Self::Branch { Self::Branch } else { Self::Within }
    }
}

impl<'a> ShapeReader<'a> {
    pub(super) fn read(&mut self, property: &'a Node) -> Shape {
        self.read_at(property, Place::Property)
    }

    /// Reads a reusable schema for its problems alone.
    pub(super) fn read_unused(&mut self, schema: &'a Node) {
        self.read_at(schema, Place::Within);
    }

    fn tell(&mut self, line: usize, reason: impl Into<String>) {
        self.problems.add(line, &self.path, reason);
    }

    fn read_at(&mut self, node: &'a Node, place: Place) -> Shape {
        let Some(entries) = node.entries() else {
            self.tell(node.line, "a schema must be a map of keywords");
            return Shape::default();
        };
        let mut known = vec![VALUE_SCHEMA, NUMERIC, DESCRIPTIVE];
        if place == Place::Property {
            known.extend([OF_PROPERTY, &[READ_ONLY][..]]);
        }
        annotation::check_keywords(entries, &known, &self.path, self.problems);
        if let Some(reference) = node.entry(REF) {
            return self.follow(reference, entries, place);
        }
        let mut shape = Shape::default();
        self.read_type(node, &mut shape);
        for entry in entries {
            self.read_keyword(entry, place, &mut shape);
        }
        self.read_bounds(node, place, &mut shape);
        shape
    }

    fn follow(&mut self, reference: &'a Entry, siblings: &[Entry], place: Place) -> Shape {
        for sibling in siblings {
            let key = sibling.key.as_str();
            if key != REF && (key == "nullable" || VALUE_SCHEMA.contains(&key) || NUMERIC.contains(&key)) {
                self.tell(sibling.line, format!("{key} has no effect beside $ref; put both into allOf"));
            }
        }
        let text = reference.node.text().unwrap_or_default();
        let name = text.strip_prefix(SCHEMAS).unwrap_or_default();
        let Some(target) = self.schemas.entry(name) else {
            let names = self.schemas.entries().unwrap_or_default().iter().map(|entry| entry.key.as_str());
            let hint = hint(name, names);
            self.tell(reference.line, format!("$ref {text:?} leads nowhere; wanted is {SCHEMAS}<name>{hint}"));
            return Shape::default();
        };
        if self.trail.contains(&name) {
            self.tell(reference.line, format!("$ref {text:?} leads back to itself"));
            return Shape::default();
        }
        self.trail.push(&target.key);
        let shape = self.read_at(&target.node, place.below());
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
        let mut types = Vec::new();
        for name in names {
            match name {
                Some(name) if TYPES.contains(&name) => {
                    types.push(name);
                    shape.kinds.extend(kind_of(name).filter(|kind| !shape.kinds.contains(kind)));
                    shape.nullable |= name == "null";
                }
                Some(name) => {
                    let hint = hint(name, TYPES.iter().copied());
                    self.tell(entry.line, format!("unknown type {name:?}{hint}"));
                }
                None => self.tell(entry.line, "type must be a name or a list of names"),
            }
        }
        if shape.nullable && !types.contains(&"null") {
            types.push("null");
        }
        match types.as_slice() {
            [] => {}
            [one] => drop(shape.schema.insert("type".to_owned(), json!(one))),
            several => drop(shape.schema.insert("type".to_owned(), json!(several))),
        }
    }

    fn read_keyword(&mut self, entry: &'a Entry, place: Place, shape: &mut Shape) {
        let Entry { key, node, .. } = entry;
        match key.as_str() {
            "format" => self.read_format(entry, place, shape),
            "enum" | "const" => self.read_allowed(entry, place, shape),
            "items" => {
                let part = self.read_at(node, place.below());
                shape.schema.insert(key.clone(), Value::Object(part.schema));
                shape.numbers.items = Some(Box::new(part.numbers));
            }
            "properties" => self.read_properties(entry, place, shape),
            "additionalProperties" if node.boolean().is_none() => {
                let part = self.read_at(node, place.below());
                shape.schema.insert(key.clone(), Value::Object(part.schema));
                shape.numbers.other_properties = Some(Box::new(part.numbers));
            }
            "allOf" => shape.numbers.all_of = self.read_parts(entry, place.below(), shape),
            "anyOf" | "oneOf" => {
                self.read_parts(entry, Place::Branch, shape);
            }
            "not" => {
                let part = self.read_at(node, Place::Branch);
                shape.schema.insert(key.clone(), Value::Object(part.schema));
            }
            "uniqueItems" if place != Place::Branch && node.boolean().is_some() => {
                shape.numbers.unique_items = node.boolean() == Some(true);
            }
            "type" | "nullable" => {}
            key if VALUE_SCHEMA.contains(&key) => drop(shape.schema.insert(key.to_owned(), node.to_json())),
            _ => {}
        }
    }

    fn read_parts(&mut self, entry: &'a Entry, place: Place, shape: &mut Shape) -> Vec<Numbers> {
        let parts: Vec<Shape> =
            entry.node.items().unwrap_or_default().iter().map(|part| self.read_at(part, place)).collect();
        if parts.is_empty() {
            self.tell(entry.line, format!("{} must be a list of schemas", entry.key));
            return Vec::new();
        }
        let kinds = parts.iter().flat_map(|part| part.kinds.iter().copied());
        for kind in kinds.collect::<Vec<_>>() {
            if !shape.kinds.contains(&kind) && !shape.schema.contains_key("type") {
                shape.kinds.push(kind);
            }
        }
        shape.nullable |= entry.key != "allOf" && parts.iter().any(|part| part.nullable);
        let schemas = parts.iter().map(|part| Value::Object(part.schema.clone())).collect();
        shape.schema.insert(entry.key.clone(), Value::Array(schemas));
        parts.into_iter().map(|part| part.numbers).collect()
    }

    fn read_properties(&mut self, entry: &'a Entry, place: Place, shape: &mut Shape) {
        let Some(properties) = entry.node.entries() else {
            self.tell(entry.line, "properties must be a map of schemas");
            return;
        };
        let mut schemas = Map::new();
        for property in properties {
            let part = self.read_at(&property.node, place.below());
            schemas.insert(property.key.clone(), Value::Object(part.schema));
            shape.numbers.properties.push((property.key.clone(), part.numbers));
        }
        shape.schema.insert(entry.key.clone(), Value::Object(schemas));
    }

    fn read_format(&mut self, entry: &Entry, place: Place, shape: &mut Shape) {
        let Some(format) = entry.node.text() else {
            self.tell(entry.line, "format must be a string");
            return;
        };
        let range = match format {
            "int32" => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            "int64" => Some((i64::MIN, i64::MAX)),
            _ => None,
        };
        if let Some((least, greatest)) = range {
            if place == Place::Branch {
                self.tell(entry.line, not_in_branches(format));
            }
            shape.numbers.bounds.push((Bound::Minimum, least.to_string()));
            shape.numbers.bounds.push((Bound::Maximum, greatest.to_string()));
        } else if ASSERTED_FORMATS.contains(&format) {
            shape.schema.insert(entry.key.clone(), json!(format));
        } else if !HINTED_FORMATS.contains(&format) {
            let hint = hint(format, ASSERTED_FORMATS.iter().chain(HINTED_FORMATS).copied());
            self.tell(entry.line, format!("unknown format {format:?}{hint}"));
        }
        shape.format = Some(format.to_owned());
    }

    fn read_allowed(&mut self, entry: &Entry, place: Place, shape: &mut Shape) {
        let mut value = entry.node.to_json();
        let items = match (&mut value, entry.key.as_str()) {
            (Value::Array(items), "enum") => {
                if shape.nullable && !items.contains(&Value::Null) {
                    items.push(Value::Null);
                }
                items.clone()
            }
            (_, "enum") => return self.tell(entry.line, "enum must be a list of values"),
            (one, _) => vec![one.clone()],
        };
        let numbers: Vec<String> =
            items.iter().filter_map(|item| item.as_number().map(|number| number.as_str().to_owned())).collect();
        if !numbers.is_empty() {
            if place != Place::Branch {
                shape.numbers.allowed.push(numbers);
            } else if !numbers.iter().all(|number| number.parse::<i64>().is_ok()) {
                self.tell(entry.line, not_in_branches("a number with a fraction"));
            }
        }
        shape.schema.insert(entry.key.clone(), value);
    }

    fn read_bounds(&mut self, node: &'a Node, place: Place, shape: &mut Shape) {
        for keyword in NUMERIC {
            let Some(entry) = node.entry(keyword) else { continue };
            if place == Place::Branch {
                self.tell(entry.line, not_in_branches(keyword));
            }
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
                    Ok(limit) => shape.numbers.bounds.push((bound, limit)),
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

fn not_in_branches(what: &str) -> String {
    format!("{what} is not supported in anyOf, oneOf and not, where numbers would be compared inexactly")
}
