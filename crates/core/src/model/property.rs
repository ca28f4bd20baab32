//! Reads one property of an entity: a field or a relation.

use super::annotation::{
    self, CHILD, CREATE_ONLY, DESCRIPTIVE, INDEX, INJECT, INJECT_ON, PARENT, READ_ONLY, REF, REFERENCES, SOFT_DELETE,
    UNIQUE,
};
use super::entity::{Field, Inject, InjectSource, Kind, Reference, Relation, RelationKind};
use super::error::{Place, Problems, hint};
use super::links::{Claim, Link};
use super::load::has_entity_marks;
use super::shape::{SCHEMAS, Shape, ShapeReader};
use super::yaml::{Entry, Node};

/// Indexes of an entity; the table has as many slots beside the listing.
const MAX_INDEXES: u8 = 4;

pub(super) struct PropertyReader<'a, 'p> {
    pub(super) schemas: &'a Node,
    pub(super) place: Place<'a>,
    pub(super) problems: &'p mut Problems,
    /// Index slots given out so far.
    pub(super) slots: u8,
    pub(super) links: Vec<Link>,
}

impl<'a> PropertyReader<'a, '_> {
    fn tell(&mut self, line: usize, reason: impl Into<String>) {
        self.problems.add(line, self.place, reason);
    }

    pub(super) fn check_name(&mut self, property: &Entry, max: usize) {
        let name = property.name();
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.starts_with(|first: char| first.is_ascii_alphabetic())
            || !name.bytes().all(letters)
            || name.len() > max
        {
            self.tell(property.line, "a field's name is a letter, then up to 62 of a-z, A-Z, 0-9 and _");
        }
    }

    pub(super) fn read_relation(&mut self, property: &'a Entry) -> Option<Relation> {
        let node = &property.node;
        let (mark, holder, keywords) = match (node.entry(PARENT), node.entry(CHILD)) {
            (Some(mark), None) => (mark, Some(node), vec![REF, PARENT]),
            (None, Some(mark)) => (mark, node.get("items"), vec!["type", "items", CHILD]),
            _ => {
                self.tell(property.line, format!("a relation has either {PARENT} or {CHILD}"));
                return None;
            }
        };
        annotation::check_keywords(node.entries()?, &[&keywords, DESCRIPTIVE], self.place, self.problems);
        let reference = holder.and_then(|holder| holder.entry(REF));
        let target = reference.and_then(|entry| entry.node.text()).and_then(|text| text.strip_prefix(SCHEMAS));
        let Some((reference, entity)) = reference.zip(target) else {
            let place = if mark.key == CHILD { "items: {$ref: ...} of an array" } else { "$ref" };
            self.tell(property.line, format!("a relation needs {place}, '{SCHEMAS}<entity>'"));
            return None;
        };
        let Some(field) = mark.node.text() else {
            self.tell(mark.line, format!("{} must name a property", mark.key));
            return None;
        };
        let (entity, field) = (entity.to_owned(), field.to_owned());
        let (claim, kind) = if mark.key == PARENT {
            (
                Claim::Parent { local_field: field.clone() },
                RelationKind::Parent { entity: entity.clone(), local_field: field },
            )
        } else {
            (
                Claim::Child { child_field: field.clone() },
                RelationKind::Child { entity: entity.clone(), child_field: field },
            )
        };
        // An entity that is missing is told where it is named, a field where that is.
        let line = if self.schemas.entry(&entity).is_some() { mark.line } else { reference.line };
        self.links.push(Link { line, path: self.place.to_string(), entity, claim });
        Some(Relation { name: property.name().to_owned(), kind })
    }

    pub(super) fn read_field(&mut self, property: &'a Entry) -> Field {
        let node = &property.node;
        let shape = self.read_shape(node);
        let (kind, nullable) = (shape.kind(), shape.nullable);
        let read_only = self.read_flag(node, READ_ONLY) || node.entry(SOFT_DELETE).is_some();
        let create_only = self.read_flag(node, CREATE_ONLY);
        if let Some(entry) = node.entry(CREATE_ONLY).filter(|_| read_only) {
            self.tell(entry.line, format!("{CREATE_ONLY} does not go with {READ_ONLY}"));
        }
        let unique = self.read_flag(node, UNIQUE);
        if let Some(entry) = node.entry(UNIQUE).filter(|_| unique && !kind.is_scalar()) {
            self.tell(entry.line, format!("{UNIQUE} needs one scalar type, not {}", kind.as_str()));
        }
        Field {
            name: property.name().to_owned(),
            kind,
            types: shape.kinds.clone(),
            format: shape.format.clone(),
            nullable,
            required: false,
            unique,
            index: self.read_index(node, kind),
            references: self.read_references(node, kind),
            inject: self.read_inject(node, &shape),
            read_only,
            create_only,
            rules: shape.rules,
        }
    }

    fn read_shape(&mut self, node: &'a Node) -> Shape {
        let target = |node: &Node| node.get(REF).and_then(Node::text)?.strip_prefix(SCHEMAS).map(str::to_owned);
        let named = target(node).map(|name| (name, PARENT)).or_else(|| Some((target(node.get("items")?)?, CHILD)));
        if let Some((name, annotation)) = named
            && self.schemas.get(&name).is_some_and(has_entity_marks)
        {
            self.tell(node.line, format!("{name} is an entity: a relation to it needs {annotation}"));
            return Shape::default();
        }
        let trail = vec![self.place.schema];
        ShapeReader { schemas: self.schemas, place: self.place, problems: self.problems, trail }.read(node)
    }

    fn read_flag(&mut self, node: &Node, key: &str) -> bool {
        let Some(entry) = node.entry(key) else {
            return false;
        };
        if entry.node.boolean().is_none() {
            self.tell(entry.line, format!("{key} must be true or false"));
        }
        entry.node.boolean() == Some(true)
    }

    fn read_index(&mut self, node: &Node, kind: Kind) -> Option<u8> {
        let entry = node.entry(INDEX)?;
        if !self.read_flag(node, INDEX) {
            return None;
        }
        if !kind.is_scalar() {
            self.tell(entry.line, format!("{INDEX} needs one scalar type, not {}", kind.as_str()));
        }
        if self.slots == MAX_INDEXES {
            self.tell(entry.line, format!("an entity has at most {MAX_INDEXES} indexes; this is one more"));
            return None;
        }
        self.slots += 1;
        Some(self.slots)
    }

    fn read_references(&mut self, node: &Node, kind: Kind) -> Option<Reference> {
        let entry = node.entry(REFERENCES)?;
        let Some((entity, field)) = entry.node.text().and_then(|text| text.split_once('.')) else {
            self.tell(entry.line, format!("{REFERENCES} must be <entity>.<field>"));
            return None;
        };
        let (entity, field) = (entity.to_owned(), field.to_owned());
        let claim = Claim::References { field: field.clone(), kind };
        self.links.push(Link { line: entry.line, path: self.place.to_string(), entity: entity.clone(), claim });
        Some(Reference { entity, field })
    }

    fn read_inject(&mut self, node: &Node, shape: &Shape) -> Option<Inject> {
        let moment = node.entry(INJECT_ON);
        let Some(entry) = node.entry(INJECT) else {
            if let Some(moment) = moment {
                self.tell(moment.line, format!("{INJECT_ON} needs {INJECT} beside it"));
            }
            return None;
        };
        let text = entry.node.text().unwrap_or_default();
        let source = match text.split_once(':') {
            Some(("claim", name)) if !name.is_empty() => InjectSource::Claim(name.to_owned()),
            None if text == "uuid" => InjectSource::Uuid,
            None if text == "timestamp" => InjectSource::Timestamp,
            _ => {
                let hint = hint(text, ["claim:sub", "uuid", "timestamp"]);
                self.tell(entry.line, format!("{INJECT} must be claim:<name>, uuid or timestamp{hint}"));
                return None;
            }
        };
        let date_time = shape.format.as_deref() == Some("date-time");
        match &source {
            InjectSource::Uuid if shape.kind() != Kind::String => self.tell(entry.line, "a uuid needs a string"),
            InjectSource::Timestamp if !date_time || shape.kind() != Kind::String => {
                self.tell(entry.line, "a timestamp needs a string of format date-time");
            }
            _ => {}
        }
        let on_write = match moment.map(|moment| (moment.line, moment.node.text())) {
            None | Some((_, Some("create"))) => false,
            Some((_, Some("write"))) => true,
            Some((line, _)) => {
                self.tell(line, format!("{INJECT_ON} must be create or write"));
                false
            }
        };
        Some(Inject { source, on_write })
    }
}
