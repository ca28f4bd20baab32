//! What a batch is certain to touch, as far as its text tells: before anything is read.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::Plan;
use super::reference::{Segment, Template, contains_reference};
use super::{RowKey, UniqueKey, item_bytes};
use crate::json::Object;
use crate::limits::Limits;
use crate::model::{Entity, Field, Model};
use crate::operation::{Action, Operation};

/// A primary key, as far as the request tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Id {
    /// Known.
    Known(String),
    /// Of the row the operation at this index creates.
    New(usize),
    /// Taken from a result: this text.
    Reference(String),
    /// Whatever a search finds.
    Found,
}

/// What happens to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read by its key.
    Read,
    /// Written.
    Write,
}

/// One item of the store that an operation touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    /// A row.
    Row(String, Id, Access),
    /// A unique value: entity, field, and the value's hash or, while it is a reference, its text.
    Unique(String, String, String),
    /// The child counter of a row.
    Children(String, Id),
    /// The search row of a row.
    Posting(String, Id),
}

/// What a batch touches.
#[derive(Debug)]
pub struct Footprint {
    /// What is certain, by operation in request order.
    pub touches: Vec<Vec<Touch>>,
    /// Unique values and parents that updates give, and so touch if they change them.
    pub possible: Vec<Touch>,
    /// Bytes of the rows it creates, as far as their values are known.
    pub bytes: usize,
}

impl Footprint {
    /// Of `plan` over `model`.
    pub fn of(plan: &Plan, model: &Model) -> Self {
        let mut footprint = Self { touches: Vec::new(), possible: Vec::new(), bytes: 0 };
        for (index, operation) in plan.operations().iter().enumerate() {
            let mut touches = Vec::new();
            if let Some(entity) = model.entity(&operation.entity) {
                touch(plan, index, operation, entity, &mut touches);
                if operation.action == Action::Update {
                    touch_values(plan, entity, &operation.store, &mut footprint.possible);
                }
                if operation.action == Action::Create {
                    footprint.bytes += item_bytes(&operation.store);
                }
            }
            footprint.touches.push(touches);
        }
        footprint
    }

    /// The least number of actions one transaction of the whole batch has, the guard included. Items named by
    /// references may turn out to be the same, so they are not counted.
    pub fn least_actions(&self) -> usize {
        let items: BTreeSet<(u8, &str, &str, &Id)> = self
            .touches
            .iter()
            .flatten()
            .filter_map(|touch| match touch {
                Touch::Row(entity, id @ (Id::Known(_) | Id::New(_)), _) => Some((0, entity.as_str(), "", id)),
                Touch::Children(entity, id @ (Id::Known(_) | Id::New(_))) => Some((1, entity.as_str(), "", id)),
                Touch::Posting(entity, id @ (Id::Known(_) | Id::New(_))) => Some((2, entity.as_str(), "", id)),
                _ => None,
            })
            .collect();
        let values: BTreeSet<&Touch> = self
            .touches
            .iter()
            .flatten()
            .filter(|touch| matches!(touch, Touch::Unique(_, _, hash) if !hash.contains('$')))
            .collect();
        1 + items.len() + values.len()
    }

    /// Whether an all-or-nothing batch is certain to be more than one transaction holds.
    pub fn is_wide(&self, limits: &Limits) -> bool {
        (self.least_actions() > limits.actions || self.bytes > limits.bytes) && !self.is_read_only()
    }

    /// The least number of actions of an all-or-nothing batch, when even a wide commit does not take as many.
    pub fn beyond(&self, limits: &Limits) -> Option<usize> {
        Some(self.least_actions()).filter(|actions| self.is_wide(limits) && *actions > limits.wide_actions)
    }

    /// Whether nothing is written.
    pub fn is_read_only(&self) -> bool {
        self.touches.iter().flatten().all(|touch| matches!(touch, Touch::Row(_, _, Access::Read)))
    }
}

fn touch(plan: &Plan, index: usize, operation: &Operation, entity: &Entity, touches: &mut Vec<Touch>) {
    let name = || entity.name.clone();
    match operation.action {
        Action::Create => {
            let key = &entity.primary_key;
            let id = match operation.store.get(&key.field) {
                Some(value) => id_of(plan, entity, value),
                None => Id::New(index),
            };
            touches.push(Touch::Row(name(), id.clone(), Access::Write));
            touches.extend(entity.searched.then(|| Touch::Posting(name(), id.clone())));
            if entity.is_referenced {
                touches.push(Touch::Children(name(), id));
            }
            touch_values(plan, entity, &operation.store, touches);
        }
        Action::Update | Action::Delete => {
            let id =
                operation.query.get(&entity.primary_key.field).map_or(Id::Found, |value| id_of(plan, entity, value));
            touches.push(Touch::Row(name(), id.clone(), Access::Write));
            touches.extend(entity.searched.then(|| Touch::Posting(name(), id.clone())));
            if operation.action == Action::Delete && entity.is_referenced {
                touches.push(Touch::Children(name(), id));
            }
        }
        Action::Read => {
            let id =
                operation.query.get(&entity.primary_key.field).map_or(Id::Found, |value| id_of(plan, entity, value));
            touches.push(Touch::Row(name(), id, Access::Read));
        }
        Action::Search => touches.push(Touch::Row(name(), Id::Found, Access::Read)),
    }
}

/// Unique values and parents among the values to be written.
fn touch_values(plan: &Plan, entity: &Entity, values: &Object, touches: &mut Vec<Touch>) {
    for (field, value) in values.iter().filter_map(|(name, value)| Some((entity.field(name)?, value))) {
        if value.is_null() {
            continue;
        }
        if field.unique {
            touches.push(Touch::Unique(entity.name.clone(), field.name.clone(), unique_text(entity, field, value)));
        }
        if let Some(reference) = &field.references {
            let id = parent_id(plan, &reference.entity, &reference.field, value);
            touches.push(Touch::Children(reference.entity.clone(), id));
        }
    }
}

fn unique_text(entity: &Entity, field: &Field, value: &Value) -> String {
    match value {
        Value::String(text) if contains_reference(value) => format!("$ {text}"),
        value => UniqueKey::new(&entity.name, &field.name, value).map_or_else(String::new, |key| key.hash),
    }
}

fn id_of(plan: &Plan, entity: &Entity, value: &Value) -> Id {
    parent_id(plan, &entity.name, &entity.primary_key.field, value)
}

/// The key that `value` names in `entity`; `$ref:op.<key>` of an operation that creates such a row is that row.
fn parent_id(plan: &Plan, entity: &str, key: &str, value: &Value) -> Id {
    let Value::String(text) = value else {
        return RowKey::new(entity, value).map_or(Id::Found, |row| Id::Known(row.id));
    };
    if !contains_reference(value) {
        // A condition with an operator names no single key; a plain string does.
        return if text.contains("::") { Id::Found } else { Id::Known(text.clone()) };
    }
    let template = Template::parse(text).map(|template| template.segments).unwrap_or_default();
    if let [Segment::Reference(reference)] = template.as_slice() {
        let path = reference.path.strip_prefix("0.").unwrap_or(reference.path);
        let source = plan.index_of(reference.operation);
        let creates = |index: usize| {
            plan.operations()
                .get(index)
                .is_some_and(|source| source.action == Action::Create && source.entity == entity)
        };
        if let Some(index) = source.filter(|index| path == key && creates(*index)) {
            // A plan has no cycles, so following given keys ends.
            let given = plan.operations().get(index).and_then(|source| source.store.get(key));
            return given.map_or(Id::New(index), |given| parent_id(plan, entity, key, given));
        }
    }
    Id::Reference(text.clone())
}
