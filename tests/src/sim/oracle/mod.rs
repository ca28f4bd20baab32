//! What must hold after every schedule, told by the number of the invariant.

mod accepted;
mod batches;
mod graph;
mod history;
mod links;
mod rules;
mod serial;
mod told;

pub(super) use history::lockers;

use batch_core::batch::{Cut, Status};
use serde_json::Value;

use super::client::Told;
use super::tables::{ItemKey, Tables};
use super::wire::{int, text};
use super::workload::Batch;

/// Everything that is wrong with a schedule that has ended.
pub(super) fn check(tables: &Tables, told: &Told, sent: &[Batch], most_actions: usize) -> Vec<String> {
    let mut wrong = told.wrong.clone();
    let batches = accepted::all(tables, sent, &mut wrong);
    batches::check(tables, &batches, &mut wrong);
    told::check(tables, &batches, told, &mut wrong);
    let history = history::history((tables, told.calm_at), &batches, &mut wrong);
    links::versions(&history, &batches, &mut wrong);
    let rows = serial::check((tables, &history), &batches, most_actions, &mut wrong);
    links::check(&history, &rows, &mut wrong);
    graph::check(tables, &history, &mut wrong);
    wrong
}

pub(super) fn batch_key(pk: &str, sk: &str) -> ItemKey {
    ("BatchesTable".into(), pk.to_owned(), sk.to_owned())
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
