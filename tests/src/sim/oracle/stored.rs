//! Batches as they are stored, of any contract, and what must hold of each: I1, I2, I3, I16.

use std::collections::BTreeSet;

use batch_core::batch::{Cut, Status, Work, unpack};
use batch_core::limits::MAX_RETRY_ATTEMPTS;
use batch_core::operation::Outcome;
use serde_json::{Value, json};

use super::{batch_key, cursor, cut, is_terminal};
use crate::sim::tables::Tables;
use crate::sim::wire::{bytes, int, text};
use crate::sim::workload::TENANTS;

/// A batch that was accepted.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    pub pk: &'a str,
    /// The step that accepted it.
    pub step: usize,
    pub head: &'a Value,
    pub work: Work,
    /// Places of its operations in the request, in execution order.
    pub order: Vec<usize>,
    /// The batch it retries.
    pub parent: Option<&'a str>,
    /// How manieth retry in its line it is.
    pub attempt: usize,
    /// Each state of it, with the step that wrote it.
    pub states: Vec<(usize, &'a Value)>,
    /// How its operations ended, in execution order.
    pub outcomes: Vec<Outcome>,
}

impl<'a> Stored<'a> {
    pub fn id(&self) -> &'a str {
        self.pk.split("#B#").nth(1).unwrap_or_default()
    }

    pub fn tenant(&self) -> &'static str {
        TENANTS.into_iter().find(|tenant| self.pk.starts_with(&format!("T#{tenant}#"))).unwrap_or_default()
    }

    /// The state as it stands.
    pub fn last(&self) -> Option<&'a Value> {
        self.states.last().map(|(_, state)| *state)
    }

    /// When it ended.
    pub fn end(&self) -> Option<usize> {
        self.states.last().filter(|(_, state)| is_terminal(state)).map(|(step, _)| *step)
    }

    /// The status it had before a step.
    pub fn status_before(&self, step: usize) -> &'a str {
        let before = self.states.iter().rev().find(|(at, _)| *at < step);
        before.map_or("", |(_, state)| text(state, "status", "S"))
    }

    /// The outcome of the operation at this place of the request.
    pub fn outcome(&self, index: usize) -> Option<&Outcome> {
        self.outcomes.get(self.order.iter().position(|other| *other == index)?)
    }

    /// The rows of its ledger, by what their sort keys end with, with each of their states.
    pub fn ledger(&self, tables: &'a Tables) -> Vec<(&'a str, Vec<(usize, &'a Value)>)> {
        let from = batch_key(self.pk, "A#X#");
        let own = tables.items.range(from..).take_while(|((_, pk, sk), _)| pk == self.pk && sk.starts_with("A#X#"));
        own.map(|((.., sk), states)| {
            let states = states.iter().filter_map(|(step, row)| Some((*step, row.as_ref()?)));
            (sk.trim_start_matches("A#X#"), states.collect())
        })
        .collect()
    }
}

/// Every batch that was accepted.
pub(super) fn all<'a>(tables: &'a Tables, wrong: &mut Vec<String>) -> Vec<Stored<'a>> {
    let mut batches = Vec::new();
    for pk in &tables.heads {
        let heads = tables.items.get(&batch_key(pk, "A#HEAD")).map(Vec::as_slice).unwrap_or_default();
        if heads.len() > 1 {
            wrong.push(format!("I10: {pk} was accepted {} times", heads.len()));
        }
        let Some((step, Some(head))) = heads.last() else { continue };
        let Some(work) = work(tables, pk, head) else {
            wrong.push(format!("I1: operations of {pk} are missing"));
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
            outcomes.resize_with(work.operations.len(), || cut.outcome());
        }
        batches.push(Stored {
            pk,
            step: *step,
            head,
            work,
            order: bytes(head, "order").into_iter().map(usize::from).collect(),
            parent: head.get("retry_of").map(|_| text(head, "retry_of", "S")),
            attempt: int(head, "attempt").and_then(|attempt| usize::try_from(attempt).ok()).unwrap_or(0),
            states,
            outcomes,
        });
    }
    batches
}

/// The operations that a head holds or points to.
fn work(tables: &Tables, pk: &str, head: &Value) -> Option<Work> {
    if head.get("operations").is_some() {
        return unpack(&bytes(head, "operations")).ok();
    }
    let mut packed = Vec::new();
    for part in 0..int(head, "parts")? {
        let sk = format!("OPS#{}#{part:03}", text(head, "parts_hash", "S"));
        packed.extend(bytes(tables.item(&batch_key(pk, &sk))?, "bytes"));
    }
    unpack(&packed).ok()
}

/// The results that a state points to; none when they are not all there.
pub(super) fn outcomes(tables: &Tables, pk: &str, state: &Value) -> Option<Vec<Outcome>> {
    let segments: Vec<Value> = serde_json::from_str(text(state, "segments", "S")).ok()?;
    let mut all = Vec::new();
    for segment in &segments {
        let mut packed = Vec::new();
        for part in 0..segment["p"].as_u64()? {
            let sk = format!("RES#{:03}#{}#{part:03}", segment["f"].as_u64()?, segment["x"].as_str()?);
            packed.extend(bytes(tables.item(&batch_key(pk, &sk))?, "bytes"));
        }
        all.extend(unpack::<Vec<Outcome>>(&packed).ok()?);
    }
    let inline = bytes(state, "results");
    if !inline.is_empty() {
        all.extend(unpack::<Vec<Outcome>>(&inline).ok()?);
    }
    Some(all)
}

/// What holds of a batch of any contract: it ends, once; nothing of it goes back; its counts are those of its results.
pub(super) fn lives(tables: &Tables, batches: &[Stored<'_>], wrong: &mut Vec<String>) {
    for batch in batches {
        states(tables, batch, wrong);
        counts(batch, wrong);
        let Some(parent) = batch.parent else { continue };
        let parent = batches.iter().find(|other| other.id() == parent && other.tenant() == batch.tenant());
        let right = parent.is_some_and(|parent| {
            // A batch of intents is at its end with its last operation.
            let ended = parent.end().is_some_and(|end| end < batch.step) || parent.head.get("profile").is_some();
            ended && batch.attempt == parent.attempt + 1 && batch.attempt <= MAX_RETRY_ATTEMPTS
        });
        if !right {
            wrong.push(format!("I12: {} is retry {} of {:?}", batch.pk, batch.attempt, batch.parent));
        }
    }
}

fn states(tables: &Tables, batch: &Stored<'_>, wrong: &mut Vec<String>) {
    let pk = batch.pk;
    let mut nonces = BTreeSet::new();
    let mut before: Option<&Value> = None;
    for (_, state) in &batch.states {
        if before.is_some_and(is_terminal) {
            wrong.push(format!("I16: {pk} was written after its end: {before:?} and then {state}"));
        }
        let revision = before.and_then(|state| int(state, "rev")).unwrap_or(0);
        let back = before.is_some_and(|before| cursor(state) < cursor(before) || ended(state) < ended(before));
        if int(state, "rev") != Some(revision + 1) || back {
            wrong.push(format!("I2: {pk} went from {before:?} to {state}"));
        }
        written(tables, (pk, &batch.outcomes), state, &mut nonces, wrong);
        before = Some(state);
    }
    if !before.is_some_and(is_terminal) {
        wrong.push(format!("I1: {pk} did not end: {before:?}"));
    }
}

/// A state is written by one attempt, and results that it has are those at the end.
pub(super) fn written<'a>(
    tables: &Tables,
    (pk, at_end): (&str, &[Outcome]),
    state: &'a Value,
    nonces: &mut BTreeSet<&'a str>,
    wrong: &mut Vec<String>,
) {
    if !nonces.insert(text(state, "nonce", "S")) {
        wrong.push(format!("I2: {pk} was written twice by one attempt"));
    }
    let then = outcomes(tables, pk, state).unwrap_or_default();
    if then.len() != cursor(state) || !at_end.starts_with(&then) {
        wrong.push(format!("I3: results of {pk} changed: {then:?} and then {at_end:?}"));
    }
}

/// How many operations a state counts as ended.
fn ended(state: &Value) -> u64 {
    let summary = summary(state);
    ["successful", "failed", "skipped"].into_iter().filter_map(|name| summary[name].as_u64()).sum()
}

pub(super) fn summary(state: &Value) -> Value {
    serde_json::from_str(text(state, "summary", "S")).unwrap_or_default()
}

fn counts(batch: &Stored<'_>, wrong: &mut Vec<String>) {
    let Some(state) = batch.last() else { return };
    let count = |word: &str| batch.outcomes.iter().filter(|outcome| outcome.word() == word).count();
    let (completed, failed, skipped) = (count("completed"), count("failed"), count("skipped"));
    let total = batch.work.operations.len();
    let right = json!({
        "total": total, "successful": completed, "failed": failed, "skipped": skipped, "pending": 0,
    });
    if summary(state) != right {
        wrong.push(format!("I3: {} counts {} and has {right}", batch.pk, summary(state)));
    }
    let status = Status::parse(text(state, "status", "S"));
    let expected = match cut(state) {
        Some(Cut::Cancelled) => Status::Cancelled,
        Some(Cut::Deadline) => Status::TimedOut,
        // What is given up when only calls are left has no failed item.
        None if completed == total => Status::Completed,
        _ if completed == 0 => Status::Failed,
        _ => Status::Partial,
    };
    if status != Some(expected) {
        wrong.push(format!("I3: {} is {status:?} with {right}", batch.pk));
    }
}
