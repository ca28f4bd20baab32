//! The operations of a content job: one item each, changed in the way of the job.
//!
//! A job may do what no other batch may: change a price after creation, and remove. What the caller may do with the row
//! is decided by the same rules.

use serde_json::{Value, json};

use super::change;
use super::create::{bad_key, refuse};
use super::evaluate::Effect;
use super::read::is_soft_deleted;
use super::turn::Turn;
use super::view::{Halt, View};
use crate::batch::{Content, ContentJob, JobKind, ON_CHAIN_ID};
use crate::json::Object;
use crate::operation::{Code, Failure};
use crate::plan::RowKey;

/// Changes the item at the operation's place.
pub(super) fn run(turn: &Turn<'_>, view: &mut View<'_>, content: &Content) -> Result<Effect, Halt> {
    let job = &content.job;
    let id = content.ids.get(turn.index).ok_or_else(missing)?;
    let key = RowKey::new(&turn.entity().name, &Value::String(id.clone())).ok_or_else(|| bad_key(turn.entity()))?;
    let removed = job.contract_only && job.kind == JobKind::RemoveContent;
    let row = view.row(&key)?.filter(|row| is_soft_deleted(turn.entity(), row) == removed);
    // What is another creator's is not there.
    let row = row.filter(|row| row.get("creator").and_then(Value::as_str) == Some(job.creator.as_str())).cloned();
    let row = row.filter(|row| turn.access.show(row).is_some()).ok_or_else(missing)?;
    let told = json!({ "contentId": id, ON_CHAIN_ID: row.get(ON_CHAIN_ID).unwrap_or(&Value::Null) });
    let effect = if job.contract_only {
        unchanged(job, &row)?;
        turn.effect(&row, Vec::new())
    } else {
        changed(turn, view, job, (key, row))?
    };
    Ok(Effect { data: vec![told], ..effect })
}

fn missing() -> Failure {
    Failure::new(Code::NotFound, "Content not found in database")
}

fn changed(
    turn: &Turn<'_>,
    view: &mut View<'_>,
    job: &ContentJob,
    (key, row): (RowKey, Object),
) -> Result<Effect, Halt> {
    match job.kind {
        JobKind::UpdatePrice => {
            let price = job.payload.get("newPrice").cloned().unwrap_or_default();
            let given = Object::from_iter([("price".to_owned(), price)]);
            change::write(turn, view, (key, row), given)
        }
        JobKind::UpdateMetadata => {
            refuse(turn.entity().check_change(&job.payload, |_| false))?;
            change::write(turn, view, (key, row), job.payload.clone())
        }
        JobKind::RemoveContent => change::remove(turn, view, key, &row),
    }
}

/// A call is repeated only while the item is as that call would tell the contract.
fn unchanged(job: &ContentJob, row: &Object) -> Result<(), Failure> {
    if !job.stands(row) {
        let message = "The price has been changed since; this one is not sent to the contract any more";
        return Err(Failure::new(Code::ConditionFailed, message));
    }
    Ok(())
}
