//! The batches as they were accepted, and how they ended.

use std::collections::BTreeMap;

use batch_core::operation::Outcome;
use serde_json::Value;

use super::stored;
use crate::sim::tables::Tables;
use crate::sim::wire::text;
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
    for stored in stored::all(tables, wrong) {
        let number = text(stored.head, "reference", "S").parse().ok();
        let Some(sent) = number.and_then(|number: usize| sent.get(number)) else {
            wrong.push(format!("{} is nobody's batch", stored.pk));
            continue;
        };
        let number = |id: &str| id.strip_prefix('o').and_then(|op| op.parse().ok()).unwrap_or(usize::MAX);
        let ops: Vec<usize> = stored.work.operations.iter().map(|operation| number(operation.id.as_str())).collect();
        batches.push(Accepted {
            pk: stored.pk.to_owned(),
            step: stored.step,
            sent,
            order: stored.order.into_iter().filter_map(|index| ops.get(index).copied()).collect(),
            ops,
            given: stored.work.given.into_iter().map(|(id, data)| (number(id.as_str()), data)).collect(),
            parent: stored.parent.map(str::to_owned),
            attempt: stored.attempt,
            states: stored.states,
            outcomes: stored.outcomes,
        });
    }
    batches
}
