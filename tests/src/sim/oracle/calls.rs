//! I14 of contract calls: each at most once, stored before it is sent, under a nonce of its own, and at rest nothing waits
//! behind a nonce that nothing took.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::batch::ContentJob;
use batch_core::gateway::stacks::Progress;
use batch_local::stacks::Does;
use serde_json::Value;

use super::stored::Stored;
use super::{batch_key, cursor};
use crate::sim::outside::Outside;
use crate::sim::tables::{ItemKey, Tables};
use crate::sim::wire::{int, text};

/// Whether transactions of a batch that has ended have not come to their end.
pub(in crate::sim) fn is_followed(tables: &Tables, pk: &str) -> bool {
    let from = batch_key(pk, "A#X#");
    let own = tables.items.range(from..).take_while(|((_, own, sk), _)| own == pk && sk.starts_with("A#X#"));
    own.filter_map(|(_, states)| states.last()?.1.as_ref()).any(is_open)
}

/// Whether it is not known what became of a row's transaction.
fn is_open(row: &Value) -> bool {
    let last = Progress::parse(text(row, "progress", "S"));
    is_signed(row) && row.get("refused").is_none() && !last.is_some_and(Progress::is_final)
}

fn is_signed(row: &Value) -> bool {
    row.get("txid").is_some()
}

/// A transaction as the ledger has it.
struct Signed<'a> {
    batch: &'a Stored<'a>,
    /// What its row stands for: the place of an item, or a nonce.
    place: &'a str,
    txid: &'a str,
    account: &'a str,
    nonce: i64,
    from: usize,
    /// When its nonce was given back.
    until: usize,
}

pub(super) fn check(tables: &Tables, batches: &[Stored<'_>], outside: &Outside, wrong: &mut Vec<String>) {
    let mut signed: Vec<Signed<'_>> = Vec::new();
    for batch in batches {
        intents(tables, batch, wrong);
        for (place, rows) in batch.ledger(tables) {
            signed.extend(row(batch, place, &rows, wrong));
        }
    }
    for (place, one) in signed.iter().enumerate() {
        let clash = |other: &&Signed<'_>| {
            (other.account, other.nonce) == (one.account, one.nonce) && other.from < one.until && one.from < other.until
        };
        if let Some(other) = signed.iter().skip(place + 1).find(clash) {
            wrong.push(format!("I14: {} and {} have one nonce, {}", one.txid, other.txid, one.nonce));
        }
    }
    taken(&signed, outside, wrong);
    at_rest(tables, batches, outside, wrong);
}

/// Each item that is changed has the call it is to have, from the same step on.
fn intents(tables: &Tables, batch: &Stored<'_>, wrong: &mut Vec<String>) {
    let job: Option<&ContentJob> = batch.work.content.as_ref().map(|content| &content.job);
    let mut expected: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    let mut from = 0;
    for (step, state) in &batch.states {
        for (index, outcome) in batch.order.iter().zip(&batch.outcomes).take(cursor(state)).skip(from) {
            let intent = job.and_then(|job| job.intent(outcome));
            let intent = intent.map(|intent| (*step, serde_json::to_value(intent).unwrap_or_default()));
            expected.extend(intent.map(|intent| (format!("{index:03}"), intent)));
        }
        from = from.max(cursor(state));
    }
    let mut found: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    for (place, rows) in batch.ledger(tables).iter().filter(|(place, _)| !place.starts_with('P')) {
        let first =
            rows.first().map(|(step, row)| (*step, serde_json::from_str(text(row, "intent", "S")).unwrap_or_default()));
        found.extend(first.map(|first| ((*place).to_owned(), first)));
    }
    if found != expected {
        wrong.push(format!("I14: {} is to make {expected:?} and has {found:?}", batch.pk));
    }
}

/// A row is signed once, while its batch runs; what is refused stays so.
fn row<'a>(
    batch: &'a Stored<'a>,
    place: &'a str,
    rows: &[(usize, &'a Value)],
    wrong: &mut Vec<String>,
) -> Option<Signed<'a>> {
    let mut signed: Option<Signed<'a>> = None;
    for (step, row) in rows {
        let txid = text(row, "txid", "S");
        match &mut signed {
            None if is_signed(row) => {
                if !place.starts_with('P') && batch.status_before(*step) != "running" {
                    wrong.push(format!(
                        "I16: {place} of {} is signed while it is {}",
                        batch.pk,
                        batch.status_before(*step)
                    ));
                }
                let nonce = int(row, "nonce").unwrap_or(-1);
                let account = text(row, "signer", "S");
                signed = Some(Signed { batch, place, txid, account, nonce, from: *step, until: usize::MAX });
            }
            None => {}
            Some(before) if before.txid != txid => {
                wrong.push(format!("I14: {place} of {} was {} and is {txid}", batch.pk, before.txid));
            }
            Some(before) if before.until < usize::MAX && row.get("refused").is_none() => {
                wrong.push(format!("I14: {place} of {} was refused and is not", batch.pk));
            }
            Some(_) => {}
        }
        if let Some(signed) =
            signed.as_mut().filter(|signed| row.get("refused").is_some() && signed.until == usize::MAX)
        {
            signed.until = *step;
        }
    }
    signed
}

/// What the node took was stored before, and of each item of a line of retries it took one at most.
fn taken(signed: &[Signed<'_>], outside: &Outside, wrong: &mut Vec<String>) {
    for (txid, steps) in &outside.taken {
        if !signed.iter().any(|signed| signed.txid == txid && signed.from < *steps) {
            wrong.push(format!("I14: the node took {txid}, which was not stored then"));
        }
    }
    let taken: BTreeSet<&str> = outside.taken.iter().map(|(txid, _)| txid.as_str()).collect();
    let calls = outside.node.pool(|pool| pool.taken().to_vec());
    let calls: BTreeSet<&str> =
        calls.iter().filter(|call| matches!(call.does, Does::Call { .. })).map(|call| call.txid.as_str()).collect();
    for one in signed.iter().filter(|one| taken.contains(one.txid)) {
        if one.until < usize::MAX {
            wrong.push(format!("I14: the node took {}, whose nonce was given back", one.txid));
        }
        if one.place.starts_with('P') == calls.contains(one.txid) {
            wrong.push(format!("I14: {} of {} is of another kind", one.place, one.batch.pk));
        }
    }
}

fn at_rest(tables: &Tables, batches: &[Stored<'_>], outside: &Outside, wrong: &mut Vec<String>) {
    for batch in batches.iter().filter(|batch| is_followed(tables, batch.pk)) {
        wrong.push(format!("I14: nobody knows what became of transactions of {}", batch.pk));
    }
    let waiting = outside.node.pool(|pool| pool.waiting_ids());
    if !waiting.is_empty() {
        wrong.push(format!("I14: {waiting:?} wait for ever"));
    }
    let from: ItemKey = ("ControlTable".to_owned(), "SIGNER#".to_owned(), String::new());
    for ((_, pk, _), states) in tables.items.range(from..).take_while(|((_, pk, _), _)| pk.starts_with("SIGNER#")) {
        let address = pk.rsplit('#').next().unwrap_or_default();
        let account = outside.node.pool(|pool| pool.nonce(address));
        let next = states.last().and_then(|(_, item)| int(item.as_ref()?, "next"));
        if next.is_none_or(|next| next > i64::try_from(account).unwrap_or(i64::MAX)) {
            wrong.push(format!("I14: {address} is at {account}, and {next:?} is given out: {states:?}"));
        }
    }
}
