//! `read`: rows by key, by index, or by a bounded look through an entity.

use serde_json::{Map, Value};

use super::evaluate::{Effect, Job};
use super::snapshot::Search;
use super::view::{Halt, View};
use crate::json::{Object, canonical};
use crate::limits::{MAX_READ_LIMIT, MAX_SCANNED_ROWS};
use crate::model::projection::{Expansion, Projection};
use crate::model::query::Condition;
use crate::model::{Entity, RelationKind, SoftDeleteKind};
use crate::plan::{Key, ReadOptions, Route, RowKey, route};

/// Finds rows. `validated`: another operation takes values from the result, so every row in it counts as read.
pub(super) fn read(
    job: &Job<'_>,
    view: &mut View<'_>,
    entity: &Entity,
    conditions: &[Condition],
    (options, validated): (&ReadOptions, bool),
) -> Result<Effect, Halt> {
    let (offset, limit) = options.page();
    let mut rows = match route(entity, conditions, options.limit.is_some())? {
        Route::Keys(keys) => {
            let mut rows = Vec::new();
            let mut halted = None;
            for key in keys {
                match view.row(&key) {
                    Ok(row) => rows.extend(row.cloned().map(|row| (key, row))),
                    Err(halt) => halted = Some(halt),
                }
            }
            if let Some(halt) = halted {
                return Err(halt);
            }
            rows
        }
        Route::Search(index) => {
            let whole = options.sort.is_some() || options.count || conditions.len() > usize::from(index.is_some());
            // One more for each row of this batch that may turn out not to match any more.
            let enough = offset + limit + job.plan.operations().len();
            let limit = if whole { MAX_SCANNED_ROWS } else { enough.min(MAX_SCANNED_ROWS) };
            view.search(&Search { entity: entity.name.clone(), index, limit })?
        }
    };
    let holds = |row: &Object| {
        conditions.iter().all(|condition| condition.matches(row.get(&condition.field).unwrap_or(&Value::Null)))
    };
    rows.retain(|(_, row)| !is_soft_deleted(entity, row) && holds(row));
    if let Some(sort) = &options.sort {
        rows.sort_by(|(_, a), (_, b)| sort.compare(a, b));
    }
    if options.count {
        return Ok(Effect { data: vec![serde_json::json!({ "count": rows.len() })], changes: Vec::new() });
    }
    let mut data = Vec::new();
    for (key, row) in rows.into_iter().skip(offset).take(limit) {
        let mut record = select(entity, &row, options.projection.as_ref());
        for expansion in options.projection.iter().flat_map(Projection::relations) {
            let related = relation(job, view, entity, &row, expansion)?;
            record.insert(expansion.relation.clone(), related);
        }
        if validated {
            view.reads.insert(Key::Row(key));
        }
        data.push(Value::Object(record));
    }
    Ok(Effect { data, changes: Vec::new() })
}

/// The rows at the other end of a relation: a list of children, or the parent or null.
fn relation(
    job: &Job<'_>,
    view: &mut View<'_>,
    entity: &Entity,
    row: &Object,
    expansion: &Expansion,
) -> Result<Value, Halt> {
    let kind = entity.relation(&expansion.relation).map(|relation| &relation.kind);
    let Some((kind, other)) = kind.and_then(|kind| Some((kind, job.model.entity(kind.entity())?))) else {
        return Ok(Value::Null);
    };
    match kind {
        RelationKind::Parent { local_field, .. } => {
            let Some(key) = row.get(local_field).and_then(|id| RowKey::new(&other.name, id)) else {
                return Ok(Value::Null);
            };
            let parent = view.row(&key)?.filter(|parent| !is_soft_deleted(other, parent));
            Ok(parent.map_or(Value::Null, |parent| Value::Object(select(other, parent, Some(&expansion.projection)))))
        }
        RelationKind::Child { child_field, .. } => {
            let id = row.get(&entity.primary_key.field).unwrap_or(&Value::Null);
            let slot = other.field(child_field).and_then(|field| field.index).unwrap_or(0);
            let index = Some((slot, canonical(id)));
            let search = Search { entity: other.name.clone(), index, limit: MAX_SCANNED_ROWS };
            let mut children = view.search(&search)?;
            children.retain(|(_, child)| child.get(child_field) == Some(id) && !is_soft_deleted(other, child));
            let children = children.into_iter().take(MAX_READ_LIMIT);
            let select =
                |(_, child): (RowKey, Object)| Value::Object(select(other, &child, Some(&expansion.projection)));
            Ok(Value::Array(children.map(select).collect()))
        }
    }
}

/// Whether a row is kept but deleted.
pub(super) fn is_soft_deleted(entity: &Entity, row: &Object) -> bool {
    let mark = entity.soft_delete.as_ref().and_then(|mark| Some((mark.kind, row.get(&mark.field)?)));
    match mark {
        Some((SoftDeleteKind::Timestamp, value)) => !value.is_null(),
        Some((SoftDeleteKind::Boolean, value)) => value == &Value::Bool(true),
        None => false,
    }
}

/// A row as a client sees it: its fields in the order of the model.
pub(super) fn present(entity: &Entity, row: &Object) -> Value {
    Value::Object(select(entity, row, None))
}

fn select(entity: &Entity, row: &Object, projection: Option<&Projection>) -> Map<String, Value> {
    let fields =
        entity.fields().iter().filter(|field| projection.is_none_or(|projection| projection.keeps(&field.name)));
    fields.filter_map(|field| Some((field.name.clone(), row.get(&field.name)?.clone()))).collect()
}
