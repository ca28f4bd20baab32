//! I1, I3, I10, I12, I14 of content jobs: what clients sent is what is stored, what they are told agrees with the chain, and a
//! retry is of what failed.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::batch::{Content, NOT_SENT, Settled, unpack};
use batch_core::operation::Outcome;
use serde_json::{Value, json};

use super::stored::{Stored, summary};
use super::{given_up, is_terminal};
use crate::sim::client::{Said, Told, What};
use crate::sim::content::{CREATORS, Deal, Job};
use crate::sim::outside::Outside;
use crate::sim::tables::Tables;
use crate::sim::wire::{bytes, text};

pub(super) fn check(
    tables: &Tables,
    batches: &[Stored<'_>],
    (told, sent, outside): (&Told, &[Job], &Outside),
    wrong: &mut Vec<String>,
) {
    given_up(batches, told, wrong);
    let taken: BTreeSet<&str> = outside.taken.iter().map(|(txid, _)| txid.as_str()).collect();
    for batch in batches {
        asked(batch, (told, sent), wrong);
        let Some(content) = &batch.work.content else { continue };
        let settled = settled(tables, batch);
        agrees(tables, batch, (&settled, &taken), wrong);
        retried(tables, batches, (batch, content), wrong);
        for said in told.said.iter().filter(|said| said.id == batch.id()) {
            if !is_right(tables, batches, (batch, content, &settled), said) {
                wrong.push(format!(
                    "I1: {} was told as {said:?} and went as {:?} with {settled:?}",
                    batch.pk, batch.states
                ));
            }
        }
    }
}

/// What is stored is what was sent.
fn asked(batch: &Stored<'_>, (told, sent): (&Told, &[Job]), wrong: &mut Vec<String>) {
    let Some(job) = told.batches.get(batch.id()).and_then(|number| sent.get(*number)) else { return };
    let number = told.batches.get(batch.id()).copied().unwrap_or(0);
    let right = match &batch.work.content {
        None => matches!(job.deal, Deal::Edit | Deal::Begin),
        Some(content) => {
            let body = job.body(number);
            let payload = match job.deal {
                Deal::Price => json!({ "newPrice": body["newPrice"] }),
                Deal::Metadata => body["updates"].clone(),
                _ => json!({}),
            };
            content.job.creator == CREATORS[job.creator]
                && content.ids == job.ids
                && Value::Object(content.job.payload.clone()) == payload
        }
    };
    if !right {
        wrong.push(format!("I10: {} was sent as {job:?} and is {:?}", batch.pk, batch.work.content));
    }
}

/// What became of the call of each changed item that has one: as the state tells, and of a batch that was ended from outside
/// as its ledger does.
fn settled(tables: &Tables, batch: &Stored<'_>) -> BTreeMap<usize, Settled> {
    let known = batch.last().map(|state| bytes(state, "calls")).filter(|calls| !calls.is_empty());
    let mut settled: BTreeMap<usize, Settled> = known.and_then(|calls| unpack(&calls).ok()).unwrap_or_default();
    for (place, rows) in batch.ledger(tables) {
        let (Ok(index), Some((_, row))) = (place.parse::<usize>(), rows.last()) else { continue };
        settled.entry(index).or_insert_with(|| match (row.get("txid"), row.get("refused")) {
            (_, Some(_)) => Settled::refused(text(row, "refused", "S")),
            (Some(_), None) => Settled::Unknown,
            (None, None) => Settled::refused(NOT_SENT),
        });
    }
    settled
}

/// A call that is told as made was taken by the node; one that is told as not made was not.
fn agrees(
    tables: &Tables,
    batch: &Stored<'_>,
    (settled, taken): (&BTreeMap<usize, Settled>, &BTreeSet<&str>),
    wrong: &mut Vec<String>,
) {
    for (place, rows) in batch.ledger(tables) {
        let (Ok(index), Some((_, row))) = (place.parse::<usize>(), rows.last()) else { continue };
        let txid = text(row, "txid", "S");
        let right = match settled.get(&index) {
            Some(Settled::Taken { txid: told }) => told == txid && taken.contains(txid),
            Some(Settled::Refused { .. }) => !taken.contains(txid),
            Some(Settled::Unknown) => !txid.is_empty(),
            None => false,
        };
        if !right {
            let was = taken.contains(txid);
            wrong.push(format!(
                "I14: item {index} of {} is {:?}; taken: {was}: {rows:?}",
                batch.pk,
                settled.get(&index)
            ));
        }
    }
}

/// A retry is of the items that failed, or of those whose calls were refused.
fn retried(
    tables: &Tables,
    batches: &[Stored<'_>],
    (batch, content): (&Stored<'_>, &Content),
    wrong: &mut Vec<String>,
) {
    let same = |other: &&Stored<'_>| Some(other.id()) == batch.parent && other.tenant() == batch.tenant();
    let Some(parent) = batches.iter().find(same) else { return };
    let Some(before) = &parent.work.content else { return };
    let calls = settled(tables, parent);
    let is_done = |index: &usize| parent.outcome(*index).is_some_and(Outcome::is_completed);
    let refused = |index: &usize| matches!(calls.get(index), Some(Settled::Refused { .. }));
    let ids = |wanted: &dyn Fn(&usize) -> bool| -> Vec<&String> {
        before.ids.iter().enumerate().filter(|(index, _)| wanted(index)).map(|(_, id)| id).collect()
    };
    let own: Vec<&String> = content.ids.iter().collect();
    let failed = own == ids(&|index| !is_done(index)) && content.job.contract_only == before.job.contract_only;
    // Of a batch that was ended from outside it may have been known later that a call was refused.
    let known = ids(&|index| is_done(index) && refused(index));
    let recalled = content.job.contract_only && own.iter().all(|id| known.contains(id));
    let same = content.job.kind == before.job.kind && content.job.payload == before.job.payload;
    if !same || !(failed || recalled) {
        wrong.push(format!("I12: {} retries {:?} of {} as {:?}", batch.pk, before, parent.pk, content));
    }
}

fn is_right(
    tables: &Tables,
    batches: &[Stored<'_>],
    (batch, content, settled): (&Stored<'_>, &Content, &BTreeMap<usize, Settled>),
    said: &Said,
) -> bool {
    let then = |step: usize| tables.steps.get(step).is_some_and(|step| step.at <= said.at);
    let ended = batch.end().is_some_and(then);
    let Some(state) = batch.last() else { return matches!(said.what, What::Accepted) };
    match &said.what {
        What::Accepted => then(batch.step),
        What::End(body) => ended && body["status"] == text(state, "status", "S") && body["summary"] == summary(state),
        What::Ended => batch.states.iter().any(|(step, state)| then(*step) && is_terminal(state)),
        What::Paused => batch.states.iter().any(|(step, state)| then(*step) && text(state, "status", "S") == "paused"),
        What::Again(id, count) => batches.iter().any(|retry| {
            let is = retry.id() == id && retry.parent == Some(batch.id());
            is && u64::try_from(retry.work.operations.len()) == Ok(*count)
        }),
        What::Job(body) => {
            let word = if state.get("cut").is_some() { "failed" } else { "completed" };
            let summary = summary(state);
            let count = |name: &str| summary[name].as_u64().unwrap_or(0);
            let results = body["results"].as_array().map(Vec::as_slice).unwrap_or_default();
            ended
                && body["status"] == word
                && body["successCount"] == count("successful")
                && body["failureCount"] == count("failed") + count("skipped")
                && results.len() == content.ids.len()
                && results.iter().enumerate().all(|(index, told)| {
                    told["contentId"] == *content.ids[index] && item(batch.outcome(index), settled.get(&index), told)
                })
        }
        _ => true,
    }
}

/// An item is told as it is.
fn item(outcome: Option<&Outcome>, settled: Option<&Settled>, told: &Value) -> bool {
    let message = told["message"].as_str().unwrap_or_default();
    let (off, open) = (message.ends_with("(off-chain)"), message.ends_with("(on-chain pending)"));
    match (outcome, settled) {
        (Some(Outcome::Completed { .. }), Some(Settled::Taken { txid })) => {
            told["success"] == true && told["txId"] == format!("0x{txid}") && !off && !open
        }
        // What is signed when its batch is ended from outside is told as open, until the node refuses it.
        (Some(Outcome::Completed { .. }), Some(Settled::Refused { .. })) => {
            told["success"] == true && told["txId"].is_null() && (off || open)
        }
        (Some(Outcome::Completed { .. }), Some(Settled::Unknown)) => {
            told["success"] == true && told["txId"].is_null() && open
        }
        (Some(Outcome::Completed { .. }), None) => told["success"] == true && told["txId"].is_null() && !open,
        (Some(_), _) => told["success"] == false,
        (None, _) => false,
    }
}
