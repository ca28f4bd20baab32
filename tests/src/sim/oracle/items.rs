//! I4 of content: jobs, and batches of records about the same items, run one after another in the order of their commits, by
//! a naive reading of what each does. What is told as done is what a row shows, once; what failed could not be done.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::batch::{ContentJob, JobKind};
use batch_core::operation::{Action, Code, Outcome};
use serde_json::Value;

use super::cursor;
use super::history::{History, record_key};
use super::stored::Stored;
use crate::sim::tables::Tables;
use crate::sim::wire::{plain, text};

/// What there is to know of an item.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    creator: Value,
    title: Value,
    price: Value,
    removed: bool,
}

impl Item {
    /// As a row tells it; `None` for a row that is not there.
    fn of(row: Option<&Value>) -> Option<Self> {
        let fields = plain(&row.filter(|row| row.get("_del").is_none())?["f"]);
        let of = |name: &str| fields[name].clone();
        Some(Self {
            creator: of("creator"),
            title: of("title"),
            price: of("price"),
            removed: !of("removedAt").is_null(),
        })
    }
}

type Key = (&'static str, String);

struct Run<'a> {
    history: &'a History,
    items: BTreeMap<Key, Item>,
    wrong: &'a mut Vec<String>,
}

pub(super) fn check(tables: &Tables, history: &History, batches: &[Stored<'_>], wrong: &mut Vec<String>) {
    let commits = batches
        .iter()
        .flat_map(|batch| (0..batch.states.len()).map(move |place| (batch.states[place].0, (batch, place))));
    let mut run = Run { history, items: BTreeMap::new(), wrong };
    for (step, (batch, place)) in commits.collect::<BTreeMap<usize, (&Stored<'_>, usize)>>() {
        let from = place.checked_sub(1).map_or(0, |before| cursor(batch.states[before].1));
        let until = cursor(batch.states[place].1);
        let mut changed = BTreeSet::new();
        for (index, outcome) in batch.order.iter().zip(&batch.outcomes).take(until).skip(from) {
            changed.extend(run.ended((batch, *index), outcome, step));
        }
        let request = &tables.steps[step].request;
        let rows = request.actions().into_iter().filter(|(_, action)| action["Item"].get("_v").is_some());
        let written: BTreeSet<String> = rows.map(|(_, action)| text(&action["Item"], "pk", "S").to_owned()).collect();
        let expected: BTreeSet<String> = changed.iter().map(row_key).collect();
        if written != expected {
            run.wrong.push(format!("I4: {} wrote {written:?} at {step} and tells of {expected:?}", batch.pk));
        }
        for key in &changed {
            run.shown(batch, key, step);
        }
    }
    for key in run.items.keys().cloned().collect::<Vec<Key>>() {
        let last = run.history.of(&record_key(row_key(&key))).last().and_then(|(_, row)| row.as_ref());
        if Item::of(last).as_ref() != run.items.get(&key) {
            run.wrong.push(format!("I4: {key:?} should be {:?} and is {last:?}", run.items.get(&key)));
        }
    }
}

fn row_key((tenant, id): &Key) -> String {
    format!("T#{tenant}#content#{id}")
}

impl Run<'_> {
    /// What ended with a commit; the item that it changed.
    fn ended(&mut self, (batch, index): (&Stored<'_>, usize), outcome: &Outcome, step: usize) -> Option<Key> {
        let Some(content) = &batch.work.content else { return self.recorded((batch, index), outcome) };
        let key = (batch.tenant(), content.ids.get(index)?.clone());
        let job = &content.job;
        let known = self.items.get(&key).filter(|item| item.creator == job.creator.as_str()).cloned();
        match (outcome, known) {
            (Outcome::Failed { failure }, known) => {
                let right = match failure.code {
                    // Whatever is removed stays so.
                    Code::NotFound => known.is_none_or(|item| item.removed != (job.contract_only && removes(job))),
                    Code::ConditionFailed => job.contract_only && !removes(job),
                    Code::Conflict | Code::Poison => true,
                    _ => false,
                };
                if !right {
                    self.say(batch, index, &format!("is told as {failure:?}"));
                }
                None
            }
            (Outcome::Completed { .. }, None) => {
                self.say(batch, index, "is done to what is not there");
                None
            }
            (Outcome::Completed { .. }, Some(item)) if job.contract_only => {
                // What it rests on was read, and so was so at some time.
                let price = job.payload.get("newPrice");
                let was = self.history.of(&record_key(row_key(&key))).iter().filter(|(at, _)| *at < step);
                let was = was.filter_map(|(_, row)| Item::of(row.as_ref())).any(|was| Some(&was.price) == price);
                if !(if removes(job) { item.removed } else { was }) {
                    self.say(batch, index, "is told to the contract and is not so");
                }
                None
            }
            (Outcome::Completed { .. }, Some(item)) if item.removed => {
                self.say(batch, index, "is done to what is removed");
                None
            }
            (Outcome::Completed { .. }, Some(mut item)) => {
                match job.kind {
                    JobKind::UpdatePrice => item.price = job.payload.get("newPrice").cloned().unwrap_or_default(),
                    JobKind::UpdateMetadata => item.title = job.payload.get("title").cloned().unwrap_or_default(),
                    JobKind::RemoveContent => item.removed = true,
                }
                self.items.insert(key.clone(), item);
                Some(key)
            }
            (Outcome::Skipped { .. }, _) => {
                self.say(batch, index, "is skipped by a commit");
                None
            }
        }
    }

    /// The same of a batch of records.
    fn recorded(&mut self, (batch, index): (&Stored<'_>, usize), outcome: &Outcome) -> Option<Key> {
        let operation = batch.work.operations.get(index)?;
        let field = |from: &batch_core::json::Object, name: &str| from.get(name).cloned().unwrap_or_default();
        let creates = operation.action == Action::Create;
        let id = field(if creates { &operation.store } else { &operation.query }, "content_id");
        let key = (batch.tenant(), id.as_str()?.to_owned());
        let known = self.items.get(&key).filter(|item| !item.removed).cloned();
        let done = match (outcome, known) {
            (Outcome::Completed { .. }, None) if creates => {
                let of = |name: &str| field(&operation.store, name);
                Item { creator: of("creator"), title: Value::Null, price: of("price"), removed: false }
            }
            (Outcome::Completed { .. }, Some(item)) if !creates => {
                Item { title: field(&operation.store, "title"), ..item }
            }
            (Outcome::Failed { failure }, None) if failure.code == Code::NotFound => return None,
            (Outcome::Failed { failure }, _) if matches!(failure.code, Code::Conflict | Code::Poison) => return None,
            (outcome, known) => {
                self.say(batch, index, &format!("is told as {outcome:?} of {known:?}"));
                return None;
            }
        };
        self.items.insert(key.clone(), done);
        Some(key)
    }

    /// What a commit left of a row is what is expected.
    fn shown(&mut self, batch: &Stored<'_>, key: &Key, step: usize) {
        let row = self.history.before(&record_key(row_key(key)), step + 1);
        let right = self.items.get(key);
        if Item::of(row).as_ref() != right {
            self.wrong.push(format!("I4: {} left {key:?} as {row:?} where {right:?} is right", batch.pk));
        }
    }

    fn say(&mut self, batch: &Stored<'_>, index: usize, what: &str) {
        self.wrong.push(format!("I4: item {index} of {} {what}", batch.pk));
    }
}

fn removes(job: &ContentJob) -> bool {
    job.kind == JobKind::RemoveContent
}
