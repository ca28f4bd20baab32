//! The batches as they were accepted, and how they ended.

use std::collections::BTreeMap;

use batch_core::batch::{Work, unpack};
use batch_core::operation::Outcome;
use serde_json::Value;

use super::{batch_key, cut};
use crate::sim::tables::Tables;
use crate::sim::wire::{bytes, int, text};
use crate::sim::workload::{Batch, TENANTS};

/// A batch as it was accepted. Operations go by their number in the request of the first of their line.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    pub pk: String,
    /// The step that accepted it.
    pub step: usize,
    pub sent: &'a Batch,
    /// Its operations, in request order.
    pub ops: Vec<usize>,
    /// Its operations, in execution order.
    pub order: Vec<usize>,
    /// Results of batches before it in its line.
    pub given: BTreeMap<usize, Value>,
    /// The batch it retries.
    pub parent: Option<String>,
    /// How manieth retry in its line it is.
    pub attempt: usize,
    /// Each state of it, with the step that wrote it.
    pub states: Vec<(usize, &'a Value)>,
    /// How its operations ended, in execution order.
    pub outcomes: Vec<Outcome>,
}

impl Accepted<'_> {
    pub fn tenant(&self) -> &'static str {
        TENANTS[self.sent.tenant]
    }

    pub fn id(&self) -> &str {
        self.pk.split("#B#").nth(1).unwrap_or_default()
    }

    /// The outcome of an operation.
    pub fn outcome(&self, op: usize) -> Option<&Outcome> {
        let place = self.order.iter().position(|other| *other == op)?;
        self.outcomes.get(place)
    }

    /// The state as it stands.
    pub fn last(&self) -> Option<&Value> {
        self.states.last().map(|(_, state)| *state)
    }
}

/// Every batch that was accepted.
pub(super) fn all<'a>(tables: &'a Tables, sent: &'a [Batch], wrong: &mut Vec<String>) -> Vec<Accepted<'a>> {
    let mut batches = Vec::new();
    for pk in &tables.heads {
        let heads = tables.items.get(&batch_key(pk, "A#HEAD")).map(Vec::as_slice).unwrap_or_default();
        if heads.len() > 1 {
            wrong.push(format!("I10: {pk} was accepted {} times", heads.len()));
        }
        let Some((step, Some(head))) = heads.last() else { continue };
        let Some(sent) = text(head, "reference", "S").parse().ok().and_then(|number: usize| sent.get(number)) else {
            wrong.push(format!("{pk} is nobody's batch"));
            continue;
        };
        let Some(work) = work(tables, pk, head) else {
            wrong.push(format!("I1: operations of {pk} are missing"));
            continue;
        };
        let number = |id: &str| id.strip_prefix('o').and_then(|op| op.parse().ok()).unwrap_or(usize::MAX);
        let ops: Vec<usize> = work.operations.iter().map(|operation| number(operation.id.as_str())).collect();
        let order = bytes(head, "order");
        let states = tables.items.get(&batch_key(pk, "A#STATE")).map(Vec::as_slice).unwrap_or_default();
        let states: Vec<(usize, &Value)> =
            states.iter().filter_map(|(step, state)| Some((*step, state.as_ref()?))).collect();
        let told = states.last().map(|(_, state)| outcomes(tables, pk, state));
        if told.as_ref().is_some_and(Option::is_none) {
            wrong.push(format!("I3: results of {pk} are missing"));
        }
        let mut outcomes = told.flatten().unwrap_or_default();
        if let Some(cut) = states.last().and_then(|(_, state)| cut(state)) {
            outcomes.resize_with(ops.len(), || cut.outcome());
        }
        batches.push(Accepted {
            pk: pk.clone(),
            step: *step,
            sent,
            order: order.into_iter().filter_map(|index| ops.get(usize::from(index)).copied()).collect(),
            ops,
            given: work.given.into_iter().map(|(id, data)| (number(id.as_str()), data)).collect(),
            parent: head.get("retry_of").map(|_| text(head, "retry_of", "S").to_owned()),
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
