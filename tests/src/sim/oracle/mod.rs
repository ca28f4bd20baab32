//! What must hold after every schedule, told by the number of the invariant.

mod accepted;
mod batches;
mod calls;
mod graph;
mod history;
mod items;
mod jobs;
mod links;
mod rules;
mod serial;
mod sets;
mod stored;
mod told;
mod wishes;

pub(super) use calls::is_followed;
pub(super) use history::lockers;

use std::collections::BTreeSet;

use batch_core::batch::{Cut, Status};
use serde_json::Value;

use super::client::Told;
use super::content::Job;
use super::intents::Wish;
use super::outside::Outside;
use super::setup::{Setup, Work};
use super::tables::{ItemKey, Tables};
use super::wire::{int, text};
use super::workload::Batch;

/// Everything that is wrong with a schedule that has ended.
pub(super) fn check(tables: &Tables, told: &Told, setup: &Setup, outside: &Outside) -> Vec<String> {
    let mut wrong = told.wrong.clone();
    match &setup.work {
        Work::Records(sent) => records(tables, told, (sent, setup.limits.actions), &mut wrong),
        Work::Content(sent) => content(tables, told, (sent, outside), &mut wrong),
        Work::Intents(sent) => intents(tables, told, (sent, outside), &mut wrong),
    }
    wrong
}

fn records(tables: &Tables, told: &Told, (sent, most_actions): (&[Batch], usize), wrong: &mut Vec<String>) {
    let batches = accepted::all(tables, sent, wrong);
    batches::check(tables, &batches, wrong);
    told::check(tables, &batches, told, wrong);
    let history = history::history((tables, told.calm_at), &batches, wrong);
    let attempts = batches.iter().flat_map(|batch| links::attempts(batch.id(), &batch.states)).collect();
    links::versions(&history, attempts, wrong);
    let rows = serial::check((tables, &history), &batches, most_actions, wrong);
    links::check(&history, &rows, wrong);
    graph::check(tables, &history, wrong);
}

/// Content jobs: their items are rows like all others, their calls are the ledger's.
fn content(tables: &Tables, told: &Told, (sent, outside): (&[Job], &Outside), wrong: &mut Vec<String>) {
    let batches = stored::all(tables, wrong);
    stored::lives(tables, &batches, wrong);
    let history = history::history((tables, told.calm_at), &[], wrong);
    let attempts = batches.iter().flat_map(|batch| links::attempts(batch.id(), &batch.states)).collect();
    links::versions(&history, attempts, wrong);
    items::check(tables, &history, &batches, wrong);
    graph::check(tables, &history, wrong);
    calls::check(tables, &batches, outside, wrong);
    jobs::check(tables, &batches, (told, sent, outside), wrong);
}

/// Blockchain intents: nothing of theirs is in a row.
fn intents(tables: &Tables, told: &Told, (sent, outside): (&[Wish], &Outside), wrong: &mut Vec<String>) {
    let batches = stored::all(tables, wrong);
    stored::lives(tables, &batches, wrong);
    sets::check(tables, &batches, outside, wrong);
    wishes::check(tables, &batches, (told, sent), wrong);
}

/// I1: of a batch that a client was told of, and one that was given up.
fn given_up(batches: &[stored::Stored<'_>], told: &Told, wrong: &mut Vec<String>) {
    let known: BTreeSet<&str> = batches.iter().map(stored::Stored::id).collect();
    for said in told.said.iter().filter(|said| !known.contains(said.id.as_str())) {
        wrong.push(format!("I1: {} was told of and is not there: {said:?}", said.id));
    }
    for batch in batches {
        if batch.last().and_then(cut) == Some(Cut::Poison) && !told.buried.contains(batch.id()) {
            wrong.push(format!("I1: {} was given up, and its message never died", batch.pk));
        }
    }
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
