//! `update` and `delete`: one row, found by its primary key.

use serde_json::Value;

use super::create::{bad_key, inject, refuse, take_parent, take_unique};
use super::evaluate::Effect;
use super::posting::{Post, Posting};
use super::read::is_soft_deleted;
use super::turn::Turn;
use super::view::{Change, Halt, View};
use crate::decimal;
use crate::json::{Object, number};
use crate::model::query::Condition;
use crate::model::{Entity, SoftDeleteKind};
use crate::operation::{Code, Failure};
use crate::plan::{Named, RowKey, UniqueKey, check_named, forbidden, named_by_conditions};

/// Changes the row that `conditions` name; fields not among `changes` stay.
pub(super) fn update(
    turn: &Turn<'_>,
    view: &mut View<'_>,
    conditions: &[Condition],
    mut given: Object,
) -> Result<Effect, Halt> {
    let entity = turn.entity();
    refuse(entity.check_change(&given, |_| false))?;
    let expected = entity.version_field.as_ref().and_then(|field| Some((field, given.shift_remove(field)?)));
    let Found { key, row: before, shown } = find(turn, view, conditions)?;
    if let Some((field, expected)) = expected {
        let at = format!("/store_params/{field}");
        check_named(turn.callers, &[Named { entity, field: field.clone(), at: at.clone() }])?;
        let expected = Condition::parse(required_field(entity, field)?, &expected, true);
        let expected = expected.map_err(|reason| Failure::new(Code::InvalidValue, reason).at(at.clone()))?;
        check(entity, &shown, &expected).map_err(|failure| failure.at(at))?;
    }
    write(turn, view, (key, before), given)
}

/// Makes `given` of the row `before`.
pub(super) fn write(
    turn: &Turn<'_>,
    view: &mut View<'_>,
    (key, before): (RowKey, Object),
    given: Object,
) -> Result<Effect, Halt> {
    let entity = turn.entity();
    let names: Vec<String> = given.keys().cloned().collect();
    let mut row = before.clone();
    row.extend(given);
    inject(turn, &mut row, |inject| inject.on_write);
    bump_version(entity, &mut row);
    turn.check_written(&names, Some(&before), &row)?;
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
    if entity.searched {
        changes.push(Change::Post(key, Post::Put(Posting::of(&row))));
    }
    Ok(turn.effect(&row, changes))
}

/// Removes the row that `conditions` name, or marks it where the entity keeps deleted rows.
pub(super) fn delete(turn: &Turn<'_>, view: &mut View<'_>, conditions: &[Condition]) -> Result<Effect, Halt> {
    let Found { key, row, .. } = find(turn, view, conditions)?;
    remove(turn, view, key, &row)
}

/// Removes the row, or marks it.
pub(super) fn remove(turn: &Turn<'_>, view: &mut View<'_>, key: RowKey, row: &Object) -> Result<Effect, Halt> {
    let entity = turn.entity();
    if !turn.access.deletable(row) {
        return Err(forbidden(format!("you may not delete this {}", entity.name)).into());
    }
    if entity.is_referenced && !view.is_childless(&key, references_to_itself(entity, &key, row)) {
        let message = format!("{} {} still has rows that refer to it; delete them first", entity.name, key.id);
        return Err(Failure::new(Code::ForeignKeyViolation, message).into());
    }
    let marked = entity.soft_delete.as_ref().map(|mark| {
        let value = match mark.kind {
            SoftDeleteKind::Timestamp => Value::String(turn.job.now.to_string()),
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
    if entity.searched {
        changes.push(Change::Post(key.clone(), Post::Gone));
    }
    if entity.is_referenced {
        changes.push(Change::EndChildren(key));
    }
    Ok(turn.effect(row, changes))
}

/// A row to change.
struct Found {
    key: RowKey,
    /// As it is.
    row: Object,
    /// As the callers see it.
    shown: Object,
}

/// The row that the primary key among `conditions` names, once every other condition holds for what is seen of it. One of
/// which nothing is seen is not there.
fn find(turn: &Turn<'_>, view: &mut View<'_>, conditions: &[Condition]) -> Result<Found, Halt> {
    let entity = turn.entity();
    let names = conditions.iter().map(|condition| condition.field.as_str());
    check_named(turn.callers, &named_by_conditions(entity, names, true))?;
    let field = &entity.primary_key.field;
    let at = format!("/query_params/{field}");
    let condition = conditions.iter().find(|condition| condition.field == *field);
    let Some(id) = condition.and_then(Condition::equal_to) else {
        let message = format!("{field} must name the one {} to change, by equality", entity.name);
        return Err(Failure::new(Code::PrimaryKeyRequired, message).at(at).into());
    };
    let key = RowKey::new(&entity.name, id).ok_or_else(|| bad_key(entity).at(at.clone()))?;
    let row = view.row(&key)?.filter(|row| !is_soft_deleted(entity, row)).cloned();
    let Some((row, shown)) = row.and_then(|row| turn.access.show(&row).map(|shown| (row, shown))) else {
        let message = format!("{} {} does not exist", entity.name, key.id);
        return Err(Failure::new(Code::NotFound, message).at(at).into());
    };
    for condition in conditions.iter().filter(|condition| condition.field != *field) {
        check(entity, &shown, condition)?;
    }
    Ok(Found { key, row, shown })
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
