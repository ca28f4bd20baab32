//! What must hold after every schedule, told by the number of the invariant.

mod batches;
mod graph;
mod links;
mod rules;
mod serial;

use batch_core::batch::{Cut, Status};
use batch_core::operation::Outcome;
use serde_json::Value;

use super::client::Told;
use super::tables::{ItemKey, Tables};
use super::wire::{bytes, int, text};
use super::workload::Batch;

/// Everything that is wrong with a schedule that has ended.
pub(super) fn check(tables: &Tables, told: &Told, sent: &[Batch], most_actions: usize) -> Vec<String> {
    let mut wrong = told.wrong.clone();
    let batches = batches::all(tables, sent, &mut wrong);
    batches::check(tables, &batches, told, &mut wrong);
    links::versions(tables, &batches, &mut wrong);
    let rows = serial::check(tables, &batches, most_actions, &mut wrong);
    links::check(tables, &rows, &mut wrong);
    graph::check(tables, &mut wrong);
    wrong
}

/// A batch as it was accepted.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    pub pk: String,
    pub sent: &'a Batch,
    pub order: Vec<usize>,
    /// Each state of it, with the step that wrote it.
    pub states: Vec<(usize, &'a Value)>,
    /// How its operations ended, in execution order.
    pub outcomes: Vec<Outcome>,
}

impl Accepted<'_> {
    pub fn tenant(&self) -> &'static str {
        super::workload::TENANTS[self.sent.tenant]
    }

    /// The outcome of an operation by its place in the request.
    pub fn outcome(&self, op: usize) -> Option<&Outcome> {
        let place = self.order.iter().position(|other| *other == op)?;
        self.outcomes.get(place)
    }
}

pub(super) fn batch_key(pk: &str, sk: &str) -> ItemKey {
    ("BatchesTable".into(), pk.to_owned(), sk.to_owned())
}

/// The results that a state points to; none when they are not all there.
fn outcomes(tables: &Tables, pk: &str, state: &Value) -> Option<Vec<Outcome>> {
    let unpack = |packed: &[u8]| batch_core::batch::unpack::<Vec<Outcome>>(packed).ok();
    let segments: Vec<Value> = serde_json::from_str(text(state, "segments", "S")).ok()?;
    let mut all = Vec::new();
    for segment in &segments {
        let mut packed = Vec::new();
        for part in 0..segment["p"].as_u64()? {
            let sk = format!("RES#{:03}#{}#{part:03}", segment["f"].as_u64()?, segment["x"].as_str()?);
            packed.extend(bytes(tables.item(&batch_key(pk, &sk))?, "bytes"));
        }
        all.extend(unpack(&packed)?);
    }
    let inline = bytes(state, "results");
    if !inline.is_empty() {
        all.extend(unpack(&inline)?);
    }
    Some(all)
}

fn cursor(state: &Value) -> usize {
    int(state, "cursor").and_then(|cursor| usize::try_from(cursor).ok()).unwrap_or(0)
}

/// What a state says of the operations that had not ended, when something ended the batch before them.
fn cut(state: &Value) -> Option<Cut> {
    Cut::parse(text(state, "cut", "S"))
}

/// Whether nothing may change any more.
pub(super) fn is_terminal(state: &Value) -> bool {
    Status::parse(text(state, "status", "S")).is_some_and(Status::is_terminal)
}
