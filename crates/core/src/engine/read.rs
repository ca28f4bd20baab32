//! `read`: rows by key, by index, or by a bounded look through an entity.

use serde_json::{Map, Value};

use super::evaluate::Effect;
use super::snapshot::Search;
use super::turn::Turn;
use super::view::{Halt, View};
use crate::json::{Object, canonical};
use crate::limits::{MAX_READ_LIMIT, MAX_SCANNED_ROWS};
use crate::model::permission::Right;
use crate::model::projection::{Expansion, Projection};
use crate::model::query::Condition;
use crate::model::{Entity, RelationKind, SoftDeleteKind};
use crate::operation::{Code, Failure};
use crate::plan::{
    Key, ReadOptions, Route, RowKey, check_named, check_some, named_by_conditions, named_by_options, route,
};

/// Finds rows, each as the callers see it: conditions, order and relations act on that, so nothing hidden shows in what
/// is found.
pub(super) fn read(
    turn: &Turn<'_>,
    view: &mut View<'_>,
    conditions: &[Condition],
    options: &ReadOptions,
) -> Result<Effect, Halt> {
    let (entity, job) = (turn.entity(), turn.job);
    check_access(turn, conditions, options)?;
    let (offset, limit) = options.page();
    let rows = match route(entity, conditions, options.limit.is_some())? {
        Route::Keys(keys) => by_key(view, keys)?,
        Route::Search(index) => {
            let filtered = conditions.len() > usize::from(index.is_some()) || drops_rows(turn, conditions);
            let whole = options.sort.is_some() || options.count || filtered;
            // One more for each row of this batch that may turn out not to match any more.
            let enough = offset + limit + job.plan.operations().len();
            let limit = if whole { MAX_SCANNED_ROWS } else { enough.min(MAX_SCANNED_ROWS) };
            view.search(&Search { entity: entity.name.clone(), index, limit })?
        }
    };
    let holds = |row: &Object| {
        conditions.iter().all(|condition| condition.matches(row.get(&condition.field).unwrap_or(&Value::Null)))
    };
    let mut rows: Vec<(RowKey, Object)> = rows
        .into_iter()
        .filter(|(_, row)| !is_soft_deleted(entity, row))
        .filter_map(|(key, row)| Some((key, if turn.access.is_open() { row } else { turn.access.show(&row)? })))
        .filter(|(_, row)| holds(row))
        .collect();
    if let Some(sort) = &options.sort {
        rows.sort_by(|(_, a), (_, b)| sort.compare(a, b));
    }
    if options.count {
        return Ok(Effect { data: vec![serde_json::json!({ "count": rows.len() })], changes: Vec::new() });
    }
    if turn.single().is_some() && rows.is_empty() {
        let message = format!("there is no such {}", entity.name);
        return Err(Failure::new(Code::NotFound, message)
            .at(format!("/query_params/{}", entity.primary_key.field))
            .into());
    }
    // Another operation takes values from the result, so every row in it counts as read.
    let validated = job.plan.is_referenced(turn.index);
    let mut data = Vec::new();
    for (key, row) in rows.into_iter().skip(offset).take(limit) {
        let mut record = select(entity, &row, options.projection.as_ref());
        for expansion in options.projection.iter().flat_map(Projection::relations) {
            let related = relation(turn, view, &row, expansion)?;
            record.insert(expansion.relation.clone(), related);
        }
        if validated {
            view.reads.insert(Key::Row(key));
        }
        data.push(Value::Object(record));
    }
    Ok(Effect { data, changes: Vec::new() })
}

/// Refuses what looks at a field that is hidden in every row.
fn check_access(turn: &Turn<'_>, conditions: &[Condition], options: &ReadOptions) -> Result<(), Failure> {
    check_some(&turn.access, Right::Read, "read")?;
    let fields = conditions.iter().map(|condition| condition.field.as_str());
    let mut named = named_by_conditions(turn.entity(), fields, false);
    named.extend(named_by_options(turn.job.model, turn.entity(), options));
    check_named(turn.callers, &named)
}

/// Whether a row that an index gives may be hidden, or hide what the index knows: more must be looked at then, or the
/// rows that are seen would come out short of the limit.
fn drops_rows(turn: &Turn<'_>, conditions: &[Condition]) -> bool {
    let always = turn.access.always(Right::Read);
    always.is_empty() || conditions.iter().any(|condition| !always.has(turn.entity(), &condition.field))
}

/// The rows of `keys` that are there; all that is unread is noted at once.
fn by_key(view: &mut View<'_>, keys: Vec<RowKey>) -> Result<Vec<(RowKey, Object)>, Halt> {
    let mut rows = Vec::new();
    let mut halted = None;
    for key in keys {
        match view.row(&key) {
            Ok(row) => rows.extend(row.cloned().map(|row| (key, row))),
            Err(halt) => halted = Some(halt),
        }
    }
    halted.map_or(Ok(rows), Err)
}

/// The rows at the other end of a relation: a list of children, or the parent or null. Both ends must be seen.
fn relation(turn: &Turn<'_>, view: &mut View<'_>, row: &Object, expansion: &Expansion) -> Result<Value, Halt> {
    let entity = turn.entity();
    let kind = entity.relation(&expansion.relation).map(|relation| &relation.kind);
    let Some((kind, other)) = kind.and_then(|kind| Some((kind, turn.job.model.entity(kind.entity())?))) else {
        return Ok(Value::Null);
    };
    let access = turn.access_to(other);
    let seen = |related: &Object| access.show(related).filter(|_| !is_soft_deleted(other, related));
    let told = |related: &Object| Value::Object(select(other, related, Some(&expansion.projection)));
    match kind {
        RelationKind::Parent { local_field, .. } => {
            let Some(key) = row.get(local_field).and_then(|id| RowKey::new(&other.name, id)) else {
                return Ok(Value::Null);
            };
            let parent = view.row(&key)?.and_then(seen);
            let parent = parent.filter(|parent| parent.contains_key(&other.primary_key.field));
            Ok(parent.as_ref().map_or(Value::Null, told))
        }
        RelationKind::Child { child_field, .. } => {
            let Some(id) = row.get(&entity.primary_key.field) else { return Ok(Value::Array(Vec::new())) };
            let slot = other.field(child_field).and_then(|field| field.index).unwrap_or(0);
            let index = Some((slot, canonical(id)));
            let search = Search { entity: other.name.clone(), index, limit: MAX_SCANNED_ROWS };
            let children = view.search(&search)?;
            let children = children.iter().filter_map(|(_, child)| seen(child));
            let children = children.filter(|child| child.get(child_field) == Some(id)).take(MAX_READ_LIMIT);
            Ok(Value::Array(children.map(|child| told(&child)).collect()))
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

/// What `projection` keeps of a row, in the order of the model.
pub(super) fn select(entity: &Entity, row: &Object, projection: Option<&Projection>) -> Map<String, Value> {
    let fields =
        entity.fields().iter().filter(|field| projection.is_none_or(|projection| projection.keeps(&field.name)));
    fields.filter_map(|field| Some((field.name.clone(), row.get(&field.name)?.clone()))).collect()
}
