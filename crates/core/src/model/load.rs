//! Reads the entities of a model file.

use std::collections::BTreeSet;

use super::ModelError;
use super::annotation::{
    self, ACTIONS, CHILD, DATABASE, DESCRIPTIVE, ENTITY_SCHEMA, KEY_PREFIX, OF_ENTITY, PARENT, PERMISSIONS,
    PRIMARY_KEY, READ_ONLY, REF, SEARCH, SOFT_DELETE, UNIQUE, VERSION,
};
use super::entity::{Entity, Field, KeyKind, Kind, PrimaryKey, Relation, SoftDelete, SoftDeleteKind};
use super::error::{Place, Problems, hint};
use super::links::{self, Link};
use super::permission::{PermissionReader, Permissions};
use super::property::PropertyReader;
use super::shape::{SCHEMAS, ShapeReader};
use super::yaml::{Data, Entry, Node};
use crate::operation::Action;

/// Longest name of an entity or a field.
const MAX_NAME: usize = 63;

/// Names of entities that mean something else in an operation.
const RESERVED: &[&str] = &["batch"];

/// An entity, and what can be checked only once all of them are known.
pub(super) struct Draft {
    pub(super) entity: Entity,
    pub(super) links: Vec<Link>,
}

pub(super) fn load(text: &str) -> Result<Vec<Entity>, Vec<ModelError>> {
    let mut problems = Problems::default();
    match Node::parse(text, &mut problems) {
        Some(root) => load_root(&root, problems),
        None => problems.or(Vec::new()),
    }
}

/// The same of a document that is read already.
pub(super) fn load_root(root: &Node, mut problems: Problems) -> Result<Vec<Entity>, Vec<ModelError>> {
    let schemas = root.get("components").and_then(|components| components.get("schemas"));
    let Some((schemas, entries)) = schemas.and_then(|schemas| Some((schemas, schemas.entries()?))) else {
        problems.add(root.line, "", "components.schemas must be a map of entities");
        return problems.or(Vec::new());
    };
    let mut used = BTreeSet::new();
    collect_value_schemas(schemas, &mut used);
    let mut drafts = Vec::with_capacity(entries.len());
    for entry in entries {
        if is_entity(entry, &used) {
            let mut reader = EntityReader { schemas, name: &entry.key, problems: &mut problems };
            drafts.extend(reader.read(entry));
        } else if !used.contains(entry.name()) {
            let place = Place { schema: entry.name(), property: None };
            ShapeReader { schemas, place, problems: &mut problems, trail: vec![&entry.key] }.read_unused(&entry.node);
        }
    }
    links::check(&mut drafts, &mut problems);
    let mut searched = drafts.iter().filter(|draft| draft.entity.searched).map(|draft| draft.entity.name.clone());
    if let (Some(first), Some(second)) = (searched.next(), searched.next()) {
        let line = schemas.entry(&second).map_or(root.line, |entry| entry.line);
        problems.add(line, &second, format!("{SEARCH}: only one entity is searched, and {first} is"));
    }
    problems.or(drafts.into_iter().map(|draft| draft.entity).collect())
}

/// The names of schemas that some property uses as the form of its value.
fn collect_value_schemas<'a>(node: &'a Node, used: &mut BTreeSet<&'a str>) {
    match &node.data {
        Data::Null | Data::Boolean(_) | Data::Number(_) | Data::Text(_) => {}
        Data::List(items) => items.iter().for_each(|item| collect_value_schemas(item, used)),
        Data::Map(entries) => {
            if node.entry(PARENT).or(node.entry(CHILD)).is_some() {
                return;
            }
            used.extend(node.get(REF).and_then(Node::text).and_then(|text| text.strip_prefix(SCHEMAS)));
            for entry in entries.iter() {
                collect_value_schemas(&entry.node, used);
            }
        }
    }
}

fn is_entity(schema: &Entry, used: &BTreeSet<&str>) -> bool {
    let node = &schema.node;
    let object = node.get("type").and_then(Node::text) == Some("object") || node.entry("properties").is_some();
    has_entity_marks(node) || (object && !used.contains(schema.name()))
}

/// Whether only an entity can be written like this.
pub(super) fn has_entity_marks(schema: &Node) -> bool {
    let properties = schema.get("properties").and_then(Node::entries).unwrap_or_default();
    OF_ENTITY.iter().any(|key| schema.entry(key).is_some())
        || properties.iter().any(|property| property.node.entry(PRIMARY_KEY).is_some())
}

struct EntityReader<'a, 'p> {
    schemas: &'a Node,
    name: &'a str,
    problems: &'p mut Problems,
}

impl<'a> EntityReader<'a, '_> {
    fn tell(&mut self, line: usize, reason: impl Into<String>) {
        self.problems.add(line, self.name, reason);
    }

    fn read(&mut self, entry: &'a Entry) -> Option<Draft> {
        self.check_name(entry);
        let node = &entry.node;
        let Some(keywords) = node.entries() else {
            self.tell(entry.line, "an entity must be a map with type object and properties");
            return None;
        };
        annotation::check_keywords(keywords, &[ENTITY_SCHEMA, OF_ENTITY, DESCRIPTIVE], self.name, self.problems);
        if node.get("type").and_then(Node::text) != Some("object") {
            self.tell(entry.line, "an entity must have type: object");
        }
        if let Some(rest) = node.entry("additionalProperties").filter(|rest| rest.node.boolean() != Some(false)) {
            self.tell(rest.line, "additionalProperties can only be false: an entity has the fields it names");
        }
        let Some(properties) = node.get("properties").and_then(Node::entries) else {
            self.tell(entry.line, "an entity must have properties, a map");
            return None;
        };
        let (fields, relations, links) = self.read_properties(properties);
        let primary_key = self.read_key(entry, properties, &fields);
        let mut entity = Entity {
            name: self.name.to_owned(),
            database: self.read_text(node, DATABASE),
            primary_key: primary_key?,
            version_field: self.read_version(node, &fields),
            soft_delete: self.read_soft_delete(properties, &fields),
            relations,
            is_referenced: false,
            actions: self.read_actions(node),
            searched: false,
            permissions: self.read_permissions(node, &fields),
            fields,
        };
        self.check_key(properties, &entity);
        self.read_required(node, &mut entity);
        entity.searched = self.read_search(node, &entity);
        Some(Draft { entity, links })
    }

    fn check_name(&mut self, entry: &Entry) {
        let name = entry.name();
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !name.starts_with(|first: char| first.is_ascii_lowercase())
            || !name.bytes().all(letters)
            || name.len() > MAX_NAME
        {
            self.tell(entry.line, "an entity's name is a lower-case letter, then up to 62 of a-z, 0-9 and _");
        } else if RESERVED.contains(&name) {
            self.tell(entry.line, format!("the name {name:?} is reserved"));
        }
    }

    fn read_properties(&mut self, properties: &'a [Entry]) -> (Vec<Field>, Vec<Relation>, Vec<Link>) {
        let mut reader = PropertyReader {
            schemas: self.schemas,
            place: Place { schema: self.name, property: None },
            problems: self.problems,
            slots: 0,
            links: Vec::new(),
        };
        let (mut fields, mut relations) = (Vec::with_capacity(properties.len()), Vec::new());
        for property in properties {
            reader.place.property = Some(property.name());
            reader.check_name(property, MAX_NAME);
            if property.node.entry(PARENT).or(property.node.entry(CHILD)).is_some() {
                relations.extend(reader.read_relation(property));
            } else {
                fields.push(reader.read_field(property));
            }
        }
        (fields, relations, reader.links)
    }

    fn read_key(&mut self, entry: &Entry, properties: &[Entry], fields: &[Field]) -> Option<PrimaryKey> {
        let mut keys = properties.iter().filter_map(|property| Some((property, property.node.entry(PRIMARY_KEY)?)));
        let Some((property, mark)) = keys.next() else {
            self.tell(entry.line, format!("no primary key: one property needs {PRIMARY_KEY}"));
            return None;
        };
        for (second, mark) in keys {
            self.tell(mark.line, format!("two primary keys: {} and {}", property.key, second.key));
        }
        let field = fields.iter().find(|field| field.name == property.key)?;
        let kind = match mark.node.text() {
            Some("auto") => KeyKind::Auto,
            Some("uuid") => KeyKind::Uuid,
            Some("manual") => KeyKind::Manual,
            other => {
                let hint = hint(other.unwrap_or_default(), ["auto", "uuid", "manual"]);
                self.tell(mark.line, format!("{PRIMARY_KEY} must be auto, uuid or manual{hint}"));
                return None;
            }
        };
        let integer = field.kind == Kind::Integer;
        if !integer && field.kind != Kind::String {
            self.tell(mark.line, format!("a primary key is an integer or a string, not {}", field.kind.as_str()));
        }
        if integer && kind == KeyKind::Uuid {
            self.tell(mark.line, "a uuid key must be a string");
        }
        let prefix = property.node.entry(KEY_PREFIX);
        if let Some(mark) = prefix.filter(|_| integer || kind == KeyKind::Manual) {
            self.tell(mark.line, format!("{KEY_PREFIX} goes with a text key that the server chooses"));
        }
        let prefix = self.read_text(&property.node, KEY_PREFIX);
        Some(PrimaryKey { field: field.name.clone(), kind, integer, prefix })
    }

    /// Whether rows are searched, which needs a text to search and keys that are texts.
    fn read_search(&mut self, node: &Node, entity: &Entity) -> bool {
        let Some(entry) = node.entry(SEARCH) else { return false };
        let Some(searched) = entry.node.boolean() else {
            self.tell(entry.line, format!("{SEARCH} must be true or false"));
            return false;
        };
        let content = entity.field("content").is_some_and(|field| field.kind == Kind::String);
        if searched && (!content || entity.primary_key.integer) {
            self.tell(entry.line, format!("{SEARCH} needs a text content and a text key"));
        }
        if searched && entity.soft_delete.is_some() {
            self.tell(entry.line, format!("{SEARCH} does not go with {SOFT_DELETE}"));
        }
        searched
    }

    fn check_key(&mut self, properties: &[Entry], entity: &Entity) {
        let Some(property) = properties.iter().find(|property| property.key == entity.primary_key.field) else {
            return;
        };
        for other in properties.iter().filter(|other| other.key != property.key) {
            if let Some(mark) = other.node.entry(KEY_PREFIX) {
                self.tell(mark.line, format!("{KEY_PREFIX} goes with the primary key"));
            }
        }
        for key in [UNIQUE, annotation::INDEX, annotation::INJECT, SOFT_DELETE, "nullable"] {
            if let Some(mark) = property.node.entry(key) {
                self.tell(mark.line, format!("{key} does not go with a primary key"));
            }
        }
        if let Some(mark) = property.node.entry(READ_ONLY).filter(|_| entity.primary_key.kind != KeyKind::Auto) {
            self.tell(mark.line, "a primary key that a client may give is not readOnly");
        }
    }

    fn read_text(&mut self, node: &Node, key: &str) -> Option<String> {
        let entry = node.entry(key)?;
        let text = entry.node.text().filter(|text| !text.is_empty()).map(str::to_owned);
        if text.is_none() {
            self.tell(entry.line, format!("{key} must be a name"));
        }
        text
    }

    fn read_version(&mut self, node: &Node, fields: &[Field]) -> Option<String> {
        let name = self.read_text(node, VERSION)?;
        let line = node.entry(VERSION).map_or(node.line, |entry| entry.line);
        match fields.iter().find(|field| field.name == name) {
            Some(field) if field.kind != Kind::Integer => {
                self.tell(line, format!("{VERSION}: {name} must be an integer"));
            }
            Some(field) if field.unique || field.inject.is_some() || field.references.is_some() || field.read_only => {
                self.tell(line, format!("{VERSION}: {name} is set by the server and takes no other annotation"));
            }
            Some(_) => {}
            None => {
                let hint = hint(&name, fields.iter().map(|field| field.name.as_str()));
                self.tell(line, format!("{VERSION}: there is no property {name:?}{hint}"));
            }
        }
        Some(name)
    }

    fn read_soft_delete(&mut self, properties: &[Entry], fields: &[Field]) -> Option<SoftDelete> {
        let mut marks = properties.iter().filter_map(|property| Some((property, property.node.entry(SOFT_DELETE)?)));
        let (property, mark) = marks.next()?;
        for (second, mark) in marks {
            self.tell(mark.line, format!("two marks of deletion: {} and {}", property.key, second.key));
        }
        let field = fields.iter().find(|field| field.name == property.key)?;
        let date_time = field.format.as_deref() == Some("date-time");
        let kind = match mark.node.text() {
            Some("timestamp") if field.kind == Kind::String && date_time => SoftDeleteKind::Timestamp,
            Some("boolean") if field.kind == Kind::Boolean => SoftDeleteKind::Boolean,
            Some("timestamp") => {
                self.tell(mark.line, format!("{SOFT_DELETE}: timestamp needs a string of format date-time"));
                return None;
            }
            Some("boolean") => {
                self.tell(mark.line, format!("{SOFT_DELETE}: boolean needs a boolean"));
                return None;
            }
            _ => {
                self.tell(mark.line, format!("{SOFT_DELETE} must be timestamp or boolean"));
                return None;
            }
        };
        Some(SoftDelete { field: field.name.clone(), kind })
    }

    fn read_actions(&mut self, node: &Node) -> Vec<Action> {
        let Some(entry) = node.entry(ACTIONS) else { return Action::ALL.to_vec() };
        let words: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        let named = entry.node.items().unwrap_or_default().iter().map(|item| Action::parse(item.text()?));
        let actions = named.collect::<Option<Vec<Action>>>().filter(|actions| !actions.is_empty());
        if actions.is_none() {
            self.tell(entry.line, format!("{ACTIONS} must be a list of {}", words.join(", ")));
        }
        actions.unwrap_or_default()
    }

    fn read_permissions(&mut self, node: &Node, fields: &[Field]) -> Option<Permissions> {
        let entry = node.entry(PERMISSIONS)?;
        Some(PermissionReader { entity: self.name, fields, problems: self.problems }.read(entry))
    }

    /// Marks the fields that a client must give: a manual key, and what is required and not set by the server.
    fn read_required(&mut self, node: &Node, entity: &mut Entity) {
        let entry = node.entry("required");
        let items = entry.and_then(|entry| entry.node.items());
        if let Some(entry) = entry.filter(|_| items.is_none()) {
            self.tell(entry.line, "required must be a list of properties");
        }
        let key = entity.primary_key.clone();
        let version = entity.version_field.clone();
        for item in items.unwrap_or_default() {
            let name = item.text().unwrap_or_default();
            let names = || entity.fields.iter().map(|field| field.name.as_str());
            if !names().any(|field| field == name) {
                let hint = hint(name, names());
                self.tell(item.line, format!("required: there is no field {name:?}{hint}"));
            }
            let given =
                |field: &&mut Field| field.name == name && !field.is_server_set() && version.as_deref() != Some(name);
            if let Some(field) = entity.fields.iter_mut().find(given) {
                field.required = field.name != key.field;
            }
        }
        let manual = |field: &&mut Field| field.name == key.field && key.kind == KeyKind::Manual;
        if let Some(field) = entity.fields.iter_mut().find(manual) {
            field.required = true;
        }
    }
}
