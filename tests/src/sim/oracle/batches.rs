//! I1, I2, I3, I11, I12, I16: states, counts, order, and lines of retries.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::batch::Cut;
use batch_core::limits::MAX_RETRY_ATTEMPTS;
use batch_core::operation::Outcome;
use serde_json::Value;

use super::accepted::Accepted;
use super::stored::written;
use super::{cursor, cut, is_terminal};
use crate::sim::tables::Tables;
use crate::sim::wire::{int, text};
use crate::sim::workload::Op;

pub(super) fn check(tables: &Tables, batches: &[Accepted<'_>], wrong: &mut Vec<String>) {
    for batch in batches {
        states(tables, batch, wrong);
        counts(batch, wrong);
        order(batch, wrong);
        line(batches, batch, wrong);
    }
}

fn states(tables: &Tables, batch: &Accepted<'_>, wrong: &mut Vec<String>) {
    let pk = &batch.pk;
    let mut nonces = BTreeSet::new();
    let mut before: Option<&Value> = None;
    for (_, state) in &batch.states {
        held(pk, state, before, wrong);
        committed(pk, state, before, batch.ops.len(), wrong);
        let revision = before.and_then(|state| int(state, "rev")).unwrap_or(0);
        if before.is_some_and(is_terminal) {
            wrong.push(format!("I16: {pk} was written after its end"));
        }
        let least = before.map_or(0, cursor) + usize::from(moves(state, before));
        if int(state, "rev") != Some(revision + 1) || cursor(state) < least {
            wrong.push(format!("I2: {pk} went from {:?} to {state}", before.map(Value::to_string)));
        }
        written(tables, (pk, &batch.outcomes), state, &mut nonces, wrong);
        before = Some(state);
    }
    if !before.is_some_and(is_terminal) {
        wrong.push(format!("I1: {pk} did not end: {before:?}"));
    }
}

/// Whether operations must have ended with this state. What ends a batch where it stands, holds it, begins or stops a
/// wide commit, or ends one that is decided, moves nothing.
fn moves(state: &Value, before: Option<&Value>) -> bool {
    let word = |state: &Value| text(state, "status", "S").to_owned();
    let still = match (before.map(word).as_deref(), word(state).as_str()) {
        (_, "preparing") | (Some("preparing"), "running") | (Some("committed"), _) => true,
        _ => cut(state).is_some() || is_held(state, before),
    };
    !still
}

/// A committed batch has all its results, and only ends.
fn committed(pk: &str, state: &Value, before: Option<&Value>, total: usize, wrong: &mut Vec<String>) {
    let is = |state: &Value| text(state, "status", "S") == "committed";
    let ends = is_terminal(state) && cut(state).is_none() && Some(cursor(state)) == before.map(cursor);
    if (is(state) && cursor(state) != total) || (before.is_some_and(is) && !ends) {
        wrong.push(format!("I2: {pk} was committed, and went from {before:?} to {state}"));
    }
}

/// Whether the state is that of a pause, or of what follows one.
fn is_held(state: &Value, before: Option<&Value>) -> bool {
    [Some(state), before].into_iter().flatten().any(|state| text(state, "status", "S") == "paused")
}

/// A paused batch stands until it is resumed or ended, and its time stands still.
fn held(pk: &str, state: &Value, before: Option<&Value>, wrong: &mut Vec<String>) {
    let word = |state: &Value| text(state, "status", "S").to_owned();
    let paused = |state: &Value| int(state, "paused_ms").unwrap_or(0);
    let Some(before) = before else { return };
    let resumed = word(before) == "paused" && word(state) == "running";
    let stood = int(state, "updated").unwrap_or(0) - int(before, "updated").unwrap_or(0);
    let right = if resumed { paused(before) + stood } else { paused(before) };
    let stands = word(before) != "paused" || resumed || (is_terminal(state) && cut(state).is_some());
    if !stands || cursor(state) < cursor(before) || paused(state) != right {
        wrong.push(format!("I2: {pk} was paused as {before} and went on as {state}"));
    }
}

fn counts(batch: &Accepted<'_>, wrong: &mut Vec<String>) {
    let Some((_, state)) = batch.states.last() else { return };
    let count = |word: &str| batch.outcomes.iter().filter(|outcome| outcome.word() == word).count();
    let (completed, failed, skipped) = (count("completed"), count("failed"), count("skipped"));
    let total = batch.ops.len();
    let summary: Value = serde_json::from_str(text(state, "summary", "S")).unwrap_or_default();
    let expected = serde_json::json!({
        "total": total, "successful": completed, "failed": failed, "skipped": skipped,
        "pending": total - batch.outcomes.len(),
    });
    if summary != expected || batch.outcomes.len() != total {
        wrong.push(format!("I3: {} counts {summary} and has {expected}", batch.pk));
    }
    let status = text(state, "status", "S");
    let right = match (status, cut(state)) {
        // Nothing is cut off a batch whose operations have all ended.
        (_, Some(_)) if cursor(state) >= total => false,
        ("cancelled", cut) => cut == Some(Cut::Cancelled),
        ("timed_out", cut) => cut == Some(Cut::Deadline),
        (_, Some(Cut::Cancelled | Cut::Deadline)) => false,
        ("completed", cut) => completed == total && cut.is_none(),
        ("failed", _) => completed == 0,
        _ => !batch.sent.atomic && completed > 0 && completed < total,
    };
    if !right {
        wrong.push(format!("I3: {} is {status} with {expected}", batch.pk));
    }
}

/// I11: nothing comes before what it needs, and what needs a failure is skipped.
fn order(batch: &Accepted<'_>, wrong: &mut Vec<String>) {
    for (place, op) in batch.order.iter().enumerate() {
        let Some(asked) = batch.sent.ops.get(*op) else { continue };
        for needed in asked.needs() {
            if batch.given.contains_key(&needed) || !batch.ops.contains(&needed) {
                continue;
            }
            if !batch.order[..place].contains(&needed) {
                wrong.push(format!("I11: {} runs {op} before {needed}", batch.pk));
            }
            let ran = matches!(batch.outcome(*op), Some(Outcome::Completed { .. }));
            if ran && !matches!(batch.outcome(needed), Some(Outcome::Completed { .. })) {
                wrong.push(format!("I11: {} ran {op} without {needed}", batch.pk));
            }
        }
    }
}

/// A retry is of a batch that had ended, of what did not succeed there, with the results it refers to.
fn line(batches: &[Accepted<'_>], batch: &Accepted<'_>, wrong: &mut Vec<String>) {
    let Some(parent) = &batch.parent else {
        if batch.ops != (0..batch.sent.ops.len()).collect::<Vec<_>>() || !batch.given.is_empty() {
            wrong.push(format!("I12: {} holds {:?} and is given {:?}", batch.pk, batch.ops, batch.given));
        }
        return;
    };
    let of_line = |other: &&Accepted<'_>| other.id() == parent && other.sent.tenant == batch.sent.tenant;
    let Some(parent) = batches.iter().find(of_line) else {
        wrong.push(format!("I12: {} retries {parent}, which is not there", batch.pk));
        return;
    };
    let had_ended = parent.states.last().is_some_and(|(step, state)| *step < batch.step && is_terminal(state));
    if !had_ended || batch.attempt != parent.attempt + 1 || batch.attempt > MAX_RETRY_ATTEMPTS {
        wrong.push(format!("I12: {} is retry {} of {}", batch.pk, batch.attempt, parent.pk));
    }
    let done = |op: &usize| match parent.outcome(*op) {
        Some(Outcome::Completed { data }) => Some(data),
        _ => None,
    };
    let ops: Vec<usize> = parent.ops.iter().copied().filter(|op| done(op).is_none()).collect();
    let referred = ops.iter().filter_map(|op| batch.sent.ops.get(*op)).flat_map(Op::refers);
    let given: BTreeMap<usize, Value> =
        referred.filter_map(|op| Some((op, done(&op).or_else(|| parent.given.get(&op))?.clone()))).collect();
    if batch.ops != ops || batch.given != given {
        wrong.push(format!(
            "I12: {} retries {:?} with {:?}, where {ops:?} with {given:?} is right",
            batch.pk, batch.ops, batch.given
        ));
    }
}
