//! `update` and `delete`: one row, found by its primary key.

use serde_json::Value;

use super::create::{bad_key, inject, refuse, take_parent, take_unique};
use super::evaluate::{Effect, Job};
use super::read::{is_soft_deleted, present};
use super::view::{Change, Halt, View};
use crate::decimal;
use crate::json::{Object, number};
use crate::model::query::Condition;
use crate::model::{Entity, SoftDeleteKind};
use crate::operation::{Code, Failure};
use crate::plan::{RowKey, UniqueKey};

/// Changes the row that `conditions` name; fields not among `changes` stay.
pub(super) fn update(
    job: &Job<'_>,
    view: &mut View<'_>,
    entity: &Entity,
    (index, conditions): (usize, &[Condition]),
    mut given: Object,
) -> Result<Effect, Halt> {
    refuse(entity.check_change(&given, |_| false))?;
    let expected = entity.version_field.as_ref().and_then(|field| given.shift_remove(field));
    let (key, before) = find(view, entity, conditions)?;
    if let (Some(field), Some(expected)) = (&entity.version_field, expected) {
        let expected = Condition::parse(required_field(entity, field)?, &expected, true);
        let at = format!("/store_params/{field}");
        let expected = expected.map_err(|reason| Failure::new(Code::InvalidValue, reason).at(at.clone()))?;
        check(entity, &before, &expected).map_err(|failure| failure.at(at))?;
    }
    let mut row = before.clone();
    row.extend(given);
    inject(job, entity, index, &mut row, |inject| inject.on_write);
    bump_version(entity, &mut row);
    let mut changes = vec![Change::Row(key.clone(), Some(row.clone()))];
    for field in entity.fields() {
        let old = before.get(&field.name).unwrap_or(&Value::Null);
        let new = row.get(&field.name).unwrap_or(&Value::Null);
        if old == new {
            continue;
        }
        if field.unique {
            changes.extend(release(entity, &field.name, old, &key));
        }
        take_unique(view, entity, field, new, &key.id, &mut changes)?;
        changes.extend(field.references.as_ref().and_then(|parent| leave(&parent.entity, old)));
        take_parent(view, field, new, &mut changes)?;
    }
    Ok(Effect { data: vec![present(entity, &row)], changes })
}

/// Removes the row that `conditions` name, or marks it where the entity keeps deleted rows.
pub(super) fn delete(
    job: &Job<'_>,
    view: &mut View<'_>,
    entity: &Entity,
    conditions: &[Condition],
) -> Result<Effect, Halt> {
    let (key, row) = find(view, entity, conditions)?;
    if entity.is_referenced && !view.is_childless(&key, references_to_itself(entity, &key, &row)) {
        let message = format!("{} {} still has rows that refer to it; delete them first", entity.name, key.id);
        return Err(Failure::new(Code::ForeignKeyViolation, message).into());
    }
    let marked = entity.soft_delete.as_ref().map(|mark| {
        let value = match mark.kind {
            SoftDeleteKind::Timestamp => Value::String(job.now.to_string()),
            SoftDeleteKind::Boolean => Value::Bool(true),
        };
        let mut row = row.clone();
        row.insert(mark.field.clone(), value);
        bump_version(entity, &mut row);
        row
    });
    let mut changes = vec![Change::Row(key.clone(), marked)];
    for field in entity.fields() {
        let value = row.get(&field.name).unwrap_or(&Value::Null);
        if field.unique {
            changes.extend(release(entity, &field.name, value, &key));
        }
        changes.extend(field.references.as_ref().and_then(|parent| leave(&parent.entity, value)));
    }
    if entity.is_referenced {
        changes.push(Change::EndChildren(key));
    }
    Ok(Effect { data: vec![present(entity, &row)], changes })
}

/// The row that the primary key among `conditions` names, once every other condition holds for it.
fn find(view: &mut View<'_>, entity: &Entity, conditions: &[Condition]) -> Result<(RowKey, Object), Halt> {
    let field = &entity.primary_key.field;
    let at = format!("/query_params/{field}");
    let condition = conditions.iter().find(|condition| condition.field == *field);
    let Some(id) = condition.and_then(Condition::equal_to) else {
        let message = format!("{field} must name the one {} to change, by equality", entity.name);
        return Err(Failure::new(Code::PrimaryKeyRequired, message).at(at).into());
    };
    let key = RowKey::new(&entity.name, id).ok_or_else(|| bad_key(entity).at(at.clone()))?;
    let row = view.row(&key)?.filter(|row| !is_soft_deleted(entity, row)).cloned();
    let Some(row) = row else {
        let message = format!("{} {} does not exist", entity.name, key.id);
        return Err(Failure::new(Code::NotFound, message).at(at).into());
    };
    for condition in conditions {
        check(entity, &row, condition)?;
    }
    Ok((key, row))
}

fn check(entity: &Entity, row: &Object, condition: &Condition) -> Result<(), Failure> {
    if condition.matches(row.get(&condition.field).unwrap_or(&Value::Null)) {
        return Ok(());
    }
    let at = format!("/query_params/{}", condition.field);
    if entity.version_field.as_ref() == Some(&condition.field) {
        let message = format!("the row has another {} than expected", condition.field);
        return Err(Failure::new(Code::VersionConflict, message).at(at));
    }
    let message = format!("the condition on {} does not hold for the row", condition.field);
    Err(Failure::new(Code::ConditionFailed, message).at(at))
}

fn required_field<'a>(entity: &'a Entity, name: &str) -> Result<&'a crate::model::Field, Failure> {
    let message = || Failure::new(Code::UnknownField, format!("{} has no field {name}", entity.name));
    entity.field(name).ok_or_else(message)
}

fn bump_version(entity: &Entity, row: &mut Object) {
    let Some(field) = &entity.version_field else { return };
    let version = row.get(field).and_then(Value::as_u64).unwrap_or(0);
    let next = version.saturating_add(1).to_string();
    row.insert(field.clone(), number(&decimal::canonical(&next).unwrap_or(next)));
}

/// The row gives a unique value up, which it has: that much the row itself tells.
fn release(entity: &Entity, field: &str, value: &Value, row: &RowKey) -> Option<Change> {
    let key = UniqueKey::new(&entity.name, field, value)?;
    Some(Change::Own { key, before: Some(row.id.clone()), after: None })
}

/// How often the row is its own parent; that does not keep it.
fn references_to_itself(entity: &Entity, key: &RowKey, row: &Object) -> i64 {
    let to_itself = |field: &&crate::model::Field| {
        let named = field.references.as_ref().filter(|parent| parent.entity == entity.name);
        named.and_then(|parent| RowKey::new(&parent.entity, row.get(&field.name)?)).is_some_and(|named| named == *key)
    };
    entity.fields().iter().filter(to_itself).fold(0, |count, _| count + 1)
}

fn leave(entity: &str, value: &Value) -> Option<Change> {
    let value = Some(value).filter(|value| !value.is_null())?;
    RowKey::new(entity, value).map(|parent| Change::AddChildren(parent, -1))
}
