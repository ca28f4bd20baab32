//! `create`: one new row.

use serde_json::Value;

use super::evaluate::Effect;
use super::posting::{Post, Posting};
use super::turn::Turn;
use super::view::{Change, Halt, View};
use crate::json::{Object, number};
use crate::model::{Entity, Field, Inject, InjectSource, KeyKind, Violation};
use crate::operation::{Code, Failure};
use crate::plan::{RowKey, UniqueKey};

/// Makes the row of the operation from the values given.
pub(super) fn create(turn: &Turn<'_>, view: &mut View<'_>, mut row: Object) -> Result<Effect, Halt> {
    let entity = turn.entity();
    refuse(entity.check_new(&row, |_| false))?;
    // The key addresses the row, as it does in a change.
    let given: Vec<String> = row.keys().filter(|name| **name != entity.primary_key.field).cloned().collect();
    turn.check_given(&given)?;
    inject(turn, &mut row, |_| true);
    if let Some(version) = &entity.version_field {
        row.insert(version.clone(), number("1"));
    }
    let id = primary_key(turn, view, &row)?;
    let key = RowKey::new(&entity.name, &id).ok_or_else(|| bad_key(entity))?;
    row.insert(entity.primary_key.field.clone(), id);
    // Whoever may not create the row is not told whether it is there.
    turn.check_written(&given, None, &row)?;
    if view.row_if_known(&key).is_some() {
        let message = format!("{} {} is there already", entity.name, key.id);
        return Err(Failure::new(Code::AlreadyExists, message).at("/store_params").into());
    }
    let mut changes = vec![Change::Row(key.clone(), Some(row.clone()))];
    for field in entity.fields() {
        let value = row.get(&field.name).unwrap_or(&Value::Null);
        take_unique(view, entity, field, value, &key.id, &mut changes)?;
        take_parent(view, field, value, &mut changes)?;
    }
    if entity.searched {
        changes.push(Change::Post(key.clone(), Post::Put(Posting::of(&row))));
    }
    if entity.is_referenced {
        view.reads.insert(super::Key::Children(key.clone()));
        changes.push(Change::BeginChildren(key));
    }
    Ok(turn.effect(&row, changes))
}

/// The first of `violations` becomes the failure's place; all of them its message.
pub(super) fn refuse(violations: Vec<Violation>) -> Result<(), Failure> {
    let Some(first) = violations.first() else { return Ok(()) };
    let code = first.code.into();
    let at = format!("/store_params{}", first.pointer);
    let messages: Vec<String> = violations.into_iter().map(|violation| violation.message).collect();
    Err(Failure::new(code, messages.join("; ")).at(at))
}

/// Sets what the server sets, for the injections that `when` picks.
pub(super) fn inject(turn: &Turn<'_>, row: &mut Object, when: impl Fn(&Inject) -> bool) {
    let job = turn.job;
    for field in turn.entity().fields() {
        let Some(injected) = field.inject.as_ref().filter(|inject| when(inject)) else { continue };
        let value = match &injected.source {
            InjectSource::Claim(name) => turn.caller().claims().get(name).cloned(),
            InjectSource::Uuid => Some(Value::String(derived_uuid(job.seed, turn.index, &field.name))),
            InjectSource::Timestamp => Some(Value::String(job.now.to_string())),
        };
        if let Some(value) = value {
            row.insert(field.name.clone(), value);
        }
    }
}

/// The same for every attempt at the batch, and for no other batch.
fn derived_uuid(seed: &str, index: usize, field: &str) -> String {
    let name = format!("{seed}\u{1f}{index}\u{1f}{field}");
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

fn primary_key(turn: &Turn<'_>, view: &mut View<'_>, row: &Object) -> Result<Value, Halt> {
    let (entity, index) = (turn.entity(), turn.index);
    let key = &entity.primary_key;
    let given = row.get(&key.field).filter(|value| !value.is_null());
    match (key.kind, given) {
        (_, Some(value)) => Ok(value.clone()),
        (KeyKind::Auto, None) if key.integer => Ok(number(&view.integer(&entity.name, index)?.to_string())),
        (KeyKind::Auto | KeyKind::Uuid, None) => {
            let uuid = derived_uuid(turn.job.seed, index, &key.field);
            let prefixed = |prefix: &String| format!("{prefix}{}", uuid.replace('-', ""));
            Ok(Value::String(key.prefix.as_ref().map_or(uuid.clone(), prefixed)))
        }
        (KeyKind::Manual, None) => {
            let message = format!("{} is the primary key of {} and must be given", key.field, entity.name);
            Err(Failure::new(Code::Required, message).at("/store_params").into())
        }
    }
}

pub(super) fn bad_key(entity: &Entity) -> Failure {
    let message = format!("{} must be a number or a text of 1 to 1024 bytes", entity.primary_key.field);
    Failure::new(Code::InvalidValue, message)
}

/// Claims `value` for the row `id`, if the field is unique and the value is one.
pub(super) fn take_unique(
    view: &mut View<'_>,
    entity: &Entity,
    field: &Field,
    value: &Value,
    id: &str,
    changes: &mut Vec<Change>,
) -> Result<(), Failure> {
    if !field.unique {
        return Ok(());
    }
    let Some(key) = UniqueKey::new(&entity.name, &field.name, value) else { return Ok(()) };
    let before = view.owner(&key).map(str::to_owned);
    if before.as_deref().is_some_and(|owner| owner != id) {
        let message = format!("another {} has this {}", entity.name, field.name);
        return Err(Failure::new(Code::UniqueViolation, message).at(format!("/store_params/{}", field.name)));
    }
    changes.push(Change::Own { key, before, after: Some(id.to_owned()) });
    Ok(())
}

/// Counts the row as a child of the one `value` names, if the field refers to one.
pub(super) fn take_parent(
    view: &mut View<'_>,
    field: &Field,
    value: &Value,
    changes: &mut Vec<Change>,
) -> Result<(), Failure> {
    let Some(reference) = field.references.as_ref().filter(|_| !value.is_null()) else { return Ok(()) };
    let Some(parent) = RowKey::new(&reference.entity, value) else { return Ok(()) };
    if !view.can_have_children(&parent) {
        let message = format!("{} names no {}: {} does not exist", field.name, reference.entity, parent.id);
        return Err(Failure::new(Code::ForeignKeyViolation, message).at(format!("/store_params/{}", field.name)));
    }
    changes.push(Change::AddChildren(parent, 1));
    Ok(())
}
