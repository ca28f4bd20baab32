//! I1, I2, I3, I10, I16: heads, states, counts, and what clients were told of them.

use std::collections::BTreeSet;

use batch_core::operation::Outcome;
use serde_json::Value;

use super::{Accepted, batch_key, cursor, cut, is_terminal, outcomes};
use crate::sim::client::Told;
use crate::sim::tables::Tables;
use crate::sim::wire::{bytes, int, text};
use crate::sim::workload::Batch;

/// Every batch that was accepted.
pub(super) fn all<'a>(tables: &'a Tables, sent: &'a [Batch], wrong: &mut Vec<String>) -> Vec<Accepted<'a>> {
    let mut batches = Vec::new();
    let heads = tables.items.iter().filter(|((table, _, sk), _)| table == "BatchesTable" && sk == "A#HEAD");
    for ((_, pk, _), heads) in heads {
        if heads.len() > 1 {
            wrong.push(format!("I10: {pk} was accepted {} times", heads.len()));
        }
        let Some(head) = heads.last().and_then(|(_, head)| head.as_ref()) else { continue };
        let Some(sent) = text(head, "reference", "S").parse().ok().and_then(|number: usize| sent.get(number)) else {
            wrong.push(format!("{pk} is nobody's batch"));
            continue;
        };
        let states = tables.items.get(&batch_key(pk, "A#STATE")).map(Vec::as_slice).unwrap_or_default();
        let states: Vec<(usize, &Value)> =
            states.iter().filter_map(|(step, state)| Some((*step, state.as_ref()?))).collect();
        let told = states.last().map(|(_, state)| outcomes(tables, pk, state));
        if told.as_ref().is_some_and(Option::is_none) {
            wrong.push(format!("I3: results of {pk} are missing"));
        }
        let mut outcomes = told.flatten().unwrap_or_default();
        if let Some(cut) = states.last().and_then(|(_, state)| cut(state)) {
            outcomes.resize_with(sent.ops.len(), || cut.outcome());
        }
        batches.push(Accepted {
            pk: pk.clone(),
            sent,
            order: bytes(head, "order").into_iter().map(usize::from).collect(),
            states,
            outcomes,
        });
    }
    batches
}

pub(super) fn check(tables: &Tables, batches: &[Accepted<'_>], told: &Told, wrong: &mut Vec<String>) {
    for id in &told.acknowledged {
        let end = format!("#B#{id}");
        if !batches.iter().any(|batch| batch.pk.ends_with(&end)) {
            wrong.push(format!("I1: {id} was acknowledged and is not there"));
        }
    }
    for batch in batches {
        states(tables, batch, wrong);
        counts(batch, wrong);
        order(batch, wrong);
    }
    for (id, end) in &told.ends {
        let of = format!("#B#{id}");
        if let Some(batch) = batches.iter().find(|batch| batch.pk.ends_with(&of)) {
            told_end(batch, end, wrong);
        }
    }
}

fn states(tables: &Tables, batch: &Accepted<'_>, wrong: &mut Vec<String>) {
    let pk = &batch.pk;
    let mut nonces = BTreeSet::new();
    let mut before: Option<&Value> = None;
    for (_, state) in &batch.states {
        let revision = before.and_then(|state| int(state, "rev")).unwrap_or(0);
        if before.is_some_and(is_terminal) {
            wrong.push(format!("I16: {pk} was written after its end"));
        }
        // What ends a batch where it stands, or holds it, moves nothing.
        let least = before.map_or(0, cursor) + usize::from(cut(state).is_none() && !is_held(state, before));
        if int(state, "rev") != Some(revision + 1) || cursor(state) < least {
            wrong.push(format!("I2: {pk} went from {:?} to {state}", before.map(Value::to_string)));
        }
        if !nonces.insert(text(state, "nonce", "S")) {
            wrong.push(format!("I2: {pk} was written twice by one attempt"));
        }
        let then = outcomes(tables, pk, state).unwrap_or_default();
        if then.len() != cursor(state) || !batch.outcomes.starts_with(&then) {
            wrong.push(format!("I3: results of {pk} changed: {then:?} and then {:?}", batch.outcomes));
        }
        before = Some(state);
    }
    if !before.is_some_and(is_terminal) {
        wrong.push(format!("I1: {pk} did not end: {before:?}"));
    }
}

/// Whether the state is that of a pause, or of what follows one.
fn is_held(state: &Value, before: Option<&Value>) -> bool {
    [Some(state), before].into_iter().flatten().any(|state| text(state, "status", "S") == "paused")
}

fn counts(batch: &Accepted<'_>, wrong: &mut Vec<String>) {
    let Some((_, state)) = batch.states.last() else { return };
    let count = |word: &str| batch.outcomes.iter().filter(|outcome| outcome.word() == word).count();
    let (completed, failed, skipped) = (count("completed"), count("failed"), count("skipped"));
    let total = batch.sent.ops.len();
    let summary: Value = serde_json::from_str(text(state, "summary", "S")).unwrap_or_default();
    let expected = serde_json::json!({
        "total": total, "successful": completed, "failed": failed, "skipped": skipped,
        "pending": total - batch.outcomes.len(),
    });
    if summary != expected || batch.outcomes.len() != total {
        wrong.push(format!("I3: {} counts {summary} and has {expected}", batch.pk));
    }
    let status = text(state, "status", "S");
    let right = match status {
        "completed" => completed == total,
        "failed" => completed == 0,
        "cancelled" | "timed_out" => cut(state).is_some(),
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

/// What a client was told as the end is the end.
fn told_end(batch: &Accepted<'_>, end: &Value, wrong: &mut Vec<String>) {
    let Some((_, state)) = batch.states.last() else { return };
    let summary: Value = serde_json::from_str(text(state, "summary", "S")).unwrap_or_default();
    let mut right = end["status"] == text(state, "status", "S") && end["summary"] == summary;
    for (id, result) in end["results"].as_object().into_iter().flatten() {
        let op = id.strip_prefix('o').and_then(|op| op.parse().ok()).and_then(|op| batch.outcome(op));
        right &= op.is_some_and(|outcome| match outcome {
            Outcome::Completed { data } => result["status"] == "completed" && result["data"] == *data,
            Outcome::Failed { failure } => result["status"] == "failed" && result["code"] == failure.code.as_str(),
            Outcome::Skipped { reason } => result["status"] == "skipped" && result["reason"] == reason.as_str(),
        });
    }
    if !right {
        wrong.push(format!("I1: {} was told as {end} and ended as {state}", batch.pk));
    }
}
