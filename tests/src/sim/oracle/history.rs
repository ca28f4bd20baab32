//! I15, and what the rows were, locks apart: the effects of a wide commit are there from its commit point on, whenever
//! they are written, and what it locks does not change until then.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::accepted::Accepted;
use crate::sim::tables::{ItemKey, Tables};
use crate::sim::wire::text;

/// The past of the `records` table.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Each state of each item, with the step that made it true.
    pub items: BTreeMap<ItemKey, Vec<(usize, Option<Value>)>>,
    /// Items that a wide commit held, by the step of its commit point.
    pub held: Vec<(usize, ItemKey)>,
    /// Commit points of wide commits, by what their locks say.
    pub commits: BTreeMap<String, usize>,
}

impl History {
    /// The item as it was before a step.
    pub fn before(&self, key: &ItemKey, step: usize) -> Option<&Value> {
        self.items.get(key)?.iter().rev().find(|(at, _)| *at < step)?.1.as_ref()
    }

    /// Every state of an item.
    pub fn of(&self, key: &ItemKey) -> &[(usize, Option<Value>)] {
        self.items.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The key of a row, value or counter.
pub(super) fn record_key(pk: String) -> ItemKey {
    ("RecordsTable".to_owned(), pk, String::new())
}

/// `calm_at` is when faults stopped.
pub(super) fn history((tables, calm_at): (&Tables, i64), batches: &[Accepted<'_>], wrong: &mut Vec<String>) -> History {
    let mut history = History::default();
    for batch in batches {
        for (step, state) in batch.states.iter().filter(|(_, state)| text(state, "status", "S") == "committed") {
            history.commits.insert(format!("{}#{}", batch.id(), text(state, "attempt", "S")), *step);
        }
    }
    for (key, states) in tables.items.iter().filter(|((table, ..), _)| table == "RecordsTable") {
        let mut item = Item { key, history: &mut history, content: None, lock: None };
        for (step, state) in states {
            let at = |step: usize| tables.steps.get(step).map_or(0, |step| step.at).max(calm_at);
            if let Some((lock, since)) = item.lock.as_ref().filter(|(_, since)| at(*step) - at(*since) > LONGEST_MS) {
                wrong.push(format!("I15: {} was locked by {lock} from {since} to {step}", key.1));
            }
            if let Err(what) = item.becomes(*step, state.as_ref()) {
                wrong.push(format!("I15: {} {what}, at {step}: {state:?}", key.1));
            }
        }
        if let Some((lock, step)) = item.lock {
            wrong.push(format!("I15: {} is locked by {lock} since {step}", key.1));
        }
        let last = states.last().and_then(|(_, state)| state.as_ref());
        if last.is_some_and(|last| last.get("_del").is_some() && last.get("ttl").is_none()) {
            wrong.push(format!("I15: {} was deleted and is kept for ever", key.1));
        }
    }
    history
}

/// How long a lock may stand once faults have stopped: until its lease is over (90 s, by clocks that are ten minutes
/// apart), and its batch's message comes again (6 minutes, or 10 when it was delayed) or the sweep looks at it.
const LONGEST_MS: i64 = 45 * 60_000;

/// An item, as it goes from one state to the next.
struct Item<'a> {
    key: &'a ItemKey,
    history: &'a mut History,
    content: Option<Value>,
    /// Who holds it, and since which step.
    lock: Option<(String, usize)>,
}

impl Item<'_> {
    fn becomes(&mut self, step: usize, state: Option<&Value>) -> Result<(), String> {
        let (content, lock) = split(state);
        let same = content == self.content;
        let before = self.lock.take();
        self.lock = lock.map(|lock| match &before {
            Some((held, since)) if *held == lock => (lock, *since),
            _ => (lock, step),
        });
        let said = match (before, &self.lock) {
            (None, None) => {
                self.history.items.entry(self.key.clone()).or_default().push((step, content.clone()));
                Ok(())
            }
            (None, Some(_)) if same => Ok(()),
            (Some((held, _)), Some((lock, _))) if same && held == *lock => Ok(()),
            (Some((held, since)), None) => self.released((&held, since), step, (content.clone(), same)),
            (before, _) => Err(format!("changed under a lock ({before:?})")),
        };
        self.content = content;
        said
    }

    fn released(&mut self, (lock, since): (&str, usize), step: usize, to: (Option<Value>, bool)) -> Result<(), String> {
        let (content, same) = to;
        match self.history.commits.get(lock).copied() {
            Some(commit) if since < commit && commit < step => {
                // Others may count on a counter's being there while it counts.
                if same || self.key.1.contains("#N#") {
                    self.history.held.push((commit, self.key.clone()));
                }
                if !same {
                    self.history.items.entry(self.key.clone()).or_default().push((commit, content));
                }
                Ok(())
            }
            Some(commit) => Err(format!("was locked by {lock} from {since}, which committed at {commit}")),
            None if same => Ok(()),
            None => Err(format!("was written under the lock of {lock}, which never committed")),
        }
    }
}

/// What an item holds beside its lock, and the lock. A placeholder holds nothing.
fn split(state: Option<&Value>) -> (Option<Value>, Option<String>) {
    let Some(state) = state else { return (None, None) };
    let lock = state.get("_lk").map(|_| text(state, "_lk", "S").to_owned());
    let mut content = state.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.retain(|name, _| name != "_lk" && name != "ttl");
    }
    let holds = ["_v", "owner", "n"].iter().any(|name| content.get(name).is_some());
    (holds.then_some(content), lock)
}

/// Ids of batches whose locks are on items.
pub(in crate::sim) fn lockers(tables: &Tables) -> BTreeSet<String> {
    let items = tables.items.iter().filter(|((table, ..), _)| table == "RecordsTable");
    let locked = items.filter_map(|(_, states)| states.last()?.1.as_ref()?.get("_lk")?["S"].as_str());
    locked.filter_map(|lock| lock.split('#').next()).map(str::to_owned).collect()
}
