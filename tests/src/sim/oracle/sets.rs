//! I14 of intents: what is signed is sent once at most, after it was claimed, in its order; and what is told agrees with Orby's
//! books.

use std::collections::BTreeMap;

use batch_core::batch::{Intents, Phase};
use batch_core::intent::Reason;
use batch_local::orby::Fate;
use serde_json::Value;

use super::stored::Stored;
use crate::sim::outside::Outside;
use crate::sim::tables::Tables;
use crate::sim::wire::{int, text};

/// A signed operation set, with each of its states.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub index: usize,
    states: Vec<(usize, &'a Value)>,
}

impl Row<'_> {
    /// The phase it was in before a step.
    pub fn before(&self, step: usize) -> Option<Phase> {
        self.states.iter().rev().find(|(at, _)| *at < step).map(|(_, row)| phase(row))
    }

    pub fn last(&self) -> Option<Phase> {
        self.before(usize::MAX)
    }

    /// Each phase with the step that it began at.
    pub fn phases(&self) -> impl Iterator<Item = (usize, Phase)> + '_ {
        self.states.iter().map(|(step, row)| (*step, phase(row)))
    }

    fn list(&self, name: &str) -> Vec<String> {
        let first = self.states.first().map(|(_, row)| text(row, name, "S")).unwrap_or_default();
        serde_json::from_str(first).unwrap_or_default()
    }
}

fn phase(row: &Value) -> Phase {
    serde_json::from_str(text(row, "phase", "S")).unwrap_or(Phase::Ready)
}

/// The rows of a batch of intents, in request order.
pub(super) fn rows<'a>(tables: &'a Tables, batch: &Stored<'a>) -> Vec<Row<'a>> {
    let rows = batch.ledger(tables).into_iter();
    rows.filter_map(|(place, states)| Some(Row { index: place.parse().ok()?, states })).collect()
}

pub(super) fn check(tables: &Tables, batches: &[Stored<'_>], outside: &Outside, wrong: &mut Vec<String>) {
    let mut sent: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (signatures, steps) in &outside.sent {
        sent.entry(signatures.join(" ")).or_default().push(*steps);
    }
    let mut signed: BTreeMap<String, usize> = BTreeMap::new();
    for row in batches.iter().filter(|batch| batch.work.intents.is_some()).flat_map(|batch| rows(tables, batch)) {
        for id in row.list("ids") {
            *signed.entry(id).or_default() += 1;
        }
    }
    for batch in batches {
        let Some(intents) = &batch.work.intents else { continue };
        let rows = rows(tables, batch);
        for row in &rows {
            moves(batch, row, wrong);
            let of_row = row.list("signatures").join(" ");
            let claimed = row.phases().find(|(_, phase)| *phase == Phase::Sending).map(|(step, _)| step);
            // What was never taken may be built again as it was, and signed again as it was: it goes out for each claim.
            let times = sent.get_mut(&of_row);
            let own = claimed.and_then(|claimed| {
                let times = times?;
                let place = times.iter().position(|steps| *steps > claimed)?;
                Some(times.remove(place))
            });
            if let Some(steps) = own {
                in_order(batch, (intents, &rows), row.index, steps, wrong);
            }
            agrees(batch, (row, &signed), outside, wrong);
        }
        let to_sign = intents.sets.iter().filter(|set| !set.unsigned.is_empty()).count();
        if !rows.is_empty() && rows.len() != to_sign {
            wrong.push(format!("I14: {} has {to_sign} sets to sign and {} rows", batch.pk, rows.len()));
        }
    }
    sent.retain(|_, times| !times.is_empty());
    if !sent.is_empty() {
        wrong.push(format!("I14: sent without a claim, or once more: {sent:?}"));
    }
}

/// A row goes from one phase to the next, and is never signed anew.
fn moves(batch: &Stored<'_>, row: &Row<'_>, wrong: &mut Vec<String>) {
    let mut say = |what: String| wrong.push(format!("I14: set {} of {} {what}", row.index, batch.pk));
    let mut before: Option<(&Value, Phase)> = None;
    for (step, state) in &row.states {
        let now = phase(state);
        if let Some((old, was)) = &before {
            let right = match was {
                Phase::Ready => matches!(now, Phase::Sending | Phase::Skipped | Phase::Failed(_, false)),
                Phase::Sending => matches!(now, Phase::Sending | Phase::Taken | Phase::Done | Phase::Failed(..)),
                Phase::Taken => matches!(now, Phase::Taken | Phase::Done | Phase::Failed(_, true)),
                Phase::Done | Phase::Failed(..) | Phase::Skipped => false,
            };
            let grows = int(state, "rev") == int(old, "rev").map(|rev| rev + 1);
            if !right || !grows || old["signatures"] != state["signatures"] {
                say(format!("went from {old} to {state}"));
            }
        } else if int(state, "rev") != Some(1) || now != Phase::Ready {
            say(format!("begins as {state}"));
        }
        if now == Phase::Sending && before.as_ref().is_some_and(|(_, was)| *was == Phase::Ready) {
            let status = batch.status_before(*step);
            if status != "running" {
                say(format!("is claimed while its batch is {status}"));
            }
        }
        before = Some((state, now));
    }
    if before.is_some_and(|(_, last)| !last.is_final()) {
        say(format!("has not come to its end: {:?}", row.last()));
    }
}

/// Whether all of its operations are to come about, or none.
pub(super) fn is_atomic(batch: &Stored<'_>) -> bool {
    serde_json::from_str::<Value>(text(batch.head, "options", "S")).is_ok_and(|options| options["atomic"] == true)
}

/// What is sent comes after what is before it on its chain; in an atomic batch after all before it, each of them taken.
fn in_order(
    batch: &Stored<'_>,
    (intents, rows): (&Intents, &[Row<'_>]),
    index: usize,
    steps: usize,
    wrong: &mut Vec<String>,
) {
    let atomic = is_atomic(batch);
    let chain = |index: usize| intents.sets.get(index).map(|set| set.chain);
    for other in intents.order.iter().take_while(|other| **other != index) {
        let then = rows.iter().find(|row| row.index == *other).and_then(|row| row.before(steps));
        let right = match then {
            _ if !atomic && chain(*other) != chain(index) => true,
            Some(Phase::Taken | Phase::Done) => true,
            // It failed later, when others had been sent.
            Some(Phase::Failed(_, taken)) => taken || !atomic,
            _ => false,
        };
        if !right {
            wrong.push(format!("I14: set {index} of {} is sent while set {other} before it is {then:?}", batch.pk));
        }
    }
}

/// How a set ended is how Orby has it. Of one that was not seen in its time nobody says more.
///
/// `signed` is how many sets have an operation with this id.
fn agrees(
    batch: &Stored<'_>,
    (row, signed): (&Row<'_>, &BTreeMap<String, usize>),
    outside: &Outside,
    wrong: &mut Vec<String>,
) {
    let ids = row.list("ids");
    let fates: Vec<Option<Fate>> = outside.orby.books(|books| ids.iter().map(|id| books.fate(id)).collect());
    // Another set may have been taken with an operation that was built and signed alike: a retry, or what a client sent twice.
    let shared = |id: &String| signed.get(id) > Some(&1);
    let right = match row.last() {
        Some(Phase::Done) => fates.iter().all(|fate| *fate == Some(Fate::Successful)),
        Some(Phase::Failed(defeat, _)) if defeat.reason == Reason::Timeout => true,
        Some(Phase::Failed(_, true)) => fates.iter().any(|fate| matches!(fate, Some(Fate::Failed(_)))),
        Some(Phase::Failed(_, false) | Phase::Skipped) => {
            ids.iter().zip(&fates).all(|(id, fate)| fate.is_none() || shared(id))
        }
        _ => false,
    };
    if !right {
        wrong.push(format!("I14: set {} of {} is {:?} and at Orby {fates:?}", row.index, batch.pk, row.last()));
    }
}
