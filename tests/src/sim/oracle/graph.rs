//! I6: the dependency graph of the transactions has no cycle.
//!
//! An edge goes from a transaction to another one that must come after it: it wrote what the other one read or wrote
//! over, or it read what the other one wrote over. What a transaction read is what the conditions it was sent with say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::history::History;
use crate::sim::tables::{ItemKey, Tables};
use crate::sim::wire::{int, text};

pub(super) fn check(tables: &Tables, history: &History, wrong: &mut Vec<String>) {
    let mut edges: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); tables.steps.len()];
    for (key, states) in &history.items {
        for pair in states.windows(2) {
            let (before, after) = (pair[0].0, pair[1].0);
            if before != after && !key.1.contains("#N#") {
                edges[before].insert(after);
            }
        }
    }
    for (step, sent) in tables.steps.iter().enumerate() {
        let actions = sent.request.actions();
        // Locks, and what is written under them, belong to the transaction of a commit point.
        if actions.first().is_none_or(|(_, guard)| text(&guard["Item"], "sk", "S") != "A#STATE") {
            continue;
        }
        for (kind, action) in actions.into_iter().skip(1) {
            let item = &action[if kind == "Put" { "Item" } else { "Key" }];
            let key = (
                action["TableName"].as_str().unwrap_or_default().to_owned(),
                text(item, "pk", "S").to_owned(),
                text(item, "sk", "S").to_owned(),
            );
            read(history, &mut edges, step, &key, |state| holds(action, state));
        }
    }
    for (commit, key) in &history.held {
        let then = history.before(key, *commit);
        let counter = key.1.contains("#N#");
        let met = |state: Option<&Value>| if counter { state.is_some() == then.is_some() } else { state == then };
        read(history, &mut edges, *commit, key, met);
    }
    if let Some(cycle) = cycle(&edges) {
        wrong.push(format!("I6: transactions {cycle:?} each come after the one before"));
    }
}

/// The edges of one condition: from the writer of what it was met by, to the writer of what came then.
fn read(
    history: &History,
    edges: &mut [BTreeSet<usize>],
    step: usize,
    key: &ItemKey,
    met: impl Fn(Option<&Value>) -> bool,
) {
    let states = history.of(key);
    // Before the first write there was nothing.
    let mut last = met(None).then_some(None);
    for (place, (at, state)) in states.iter().enumerate() {
        if *at >= step {
            break;
        }
        if met(state.as_ref()) {
            last = Some(Some(place));
        }
    }
    let Some(last) = last else { return };
    if let Some(place) = last.filter(|place| states[*place].0 != step) {
        edges[states[place].0].insert(step);
    }
    let next = last.map_or(0, |place| place + 1);
    let counted = key.1.contains("#N#");
    // A counter that only has to be there is met by each of its counts.
    let over = states[next.min(states.len())..].iter().find(|(_, state)| !counted || !met(state.as_ref()));
    if let Some((at, _)) = over.filter(|(at, _)| *at != step) {
        edges[step].insert(*at);
    }
}

/// Whether an item meets the condition of an action.
fn holds(action: &Value, item: Option<&Value>) -> bool {
    let condition = action["ConditionExpression"].as_str().unwrap_or_default();
    if condition.starts_with("attribute_not_exists(pk)") {
        return item.is_none();
    }
    let Some(item) = item else { return false };
    match action["ExpressionAttributeNames"]["#is"].as_str() {
        None => true,
        Some("owner") => text(item, "owner", "S") == text(&action["ExpressionAttributeValues"], ":is", "S"),
        Some(name) => int(item, name) == int(&action["ExpressionAttributeValues"], ":is"),
    }
}

/// Some cycle, if there is one.
fn cycle(edges: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut ended = vec![false; edges.len()];
    for start in 0..edges.len() {
        let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
        if !ended[start] {
            path.push((start, edges[start].iter().copied().collect()));
        }
        while let Some((at, left)) = path.last_mut() {
            let at = *at;
            match left.pop() {
                None => {
                    ended[at] = true;
                    path.pop();
                }
                Some(next) if ended[next] => {}
                Some(next) => {
                    if let Some(place) = path.iter().position(|(node, _)| *node == next) {
                        return Some(path[place..].iter().map(|(node, _)| *node).collect());
                    }
                    path.push((next, edges[next].iter().copied().collect()));
                }
            }
        }
    }
    None
}
