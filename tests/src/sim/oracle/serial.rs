//! I4, I5, I6, I12: the batches run one after another, in the order of their commits, by a naive interpreter.
//!
//! It looks at every row to find owners and children. What is told must be what it finds at that very moment: every
//! effect, and of an atomic batch every row it read and every failure too.

use std::collections::BTreeMap;

use batch_core::operation::Outcome;
use serde_json::Value;

use super::accepted::Accepted;
use super::cursor;
use super::history::{History, record_key};
use super::rules::{Key, Row, Rows, Verdict, create, has_children, update};
use crate::sim::tables::Tables;
use crate::sim::wire::{plain, text};
use crate::sim::workload::{Action, Arg, Op, key_of};

/// Runs everything; the rows in the end.
pub(super) fn check(
    (tables, history): (&Tables, &History),
    batches: &[Accepted<'_>],
    most_actions: usize,
    wrong: &mut Vec<String>,
) -> Rows {
    let mut rows = Rows::new();
    let commits = batches.iter().flat_map(|batch| {
        let states = batch.states.iter().enumerate();
        states.map(move |(place, (step, _))| (*step, (batch, place)))
    });
    let commits: BTreeMap<usize, (&Accepted<'_>, usize)> = commits.collect();
    for (step, (batch, place)) in commits {
        let mut run = Run { tables, history, batch, step, told: BTreeMap::new(), wrong: Vec::new() };
        run.commit(&mut rows, place, most_actions);
        wrong.append(&mut run.wrong);
    }
    rows
}

struct Run<'a> {
    tables: &'a Tables,
    history: &'a History,
    batch: &'a Accepted<'a>,
    step: usize,
    /// Rows that operations told, as far as they are known.
    told: BTreeMap<usize, Vec<Value>>,
    wrong: Vec<String>,
}

impl Run<'_> {
    fn commit(&mut self, rows: &mut Rows, place: usize, most_actions: usize) {
        let from = place.checked_sub(1).map_or(0, |before| cursor(self.batch.states[before].1));
        let (_, state) = self.batch.states[place];
        let until = cursor(state).min(self.batch.order.len());
        if until <= from {
            return;
        }
        let ended = self.batch.order.iter().zip(&self.batch.outcomes).filter_map(|(op, outcome)| match outcome {
            Outcome::Completed { data } => Some((op, data)),
            _ => None,
        });
        for (op, data) in ended.chain(&self.batch.given) {
            if let Value::Array(data) = data {
                self.told.insert(*op, data.clone());
            }
        }
        let request = &self.tables.steps[self.step].request;
        // The commit point of a wide commit is a write of the state alone too; what it did and read was locked.
        let alone = request.operation == "PutItem" && text(state, "status", "S") != "committed";
        let failed = self.batch.sent.atomic && text(state, "status", "S") == "failed";
        if failed {
            // With as many checks as a transaction holds, some may be missing.
            if !alone && request.actions().len() < most_actions {
                self.undone(&mut rows.clone());
            }
            return;
        }
        let mut changed = Vec::new();
        for place in from..until {
            let op = self.batch.order[place];
            let Some(Outcome::Completed { .. }) = self.batch.outcomes.get(place) else { continue };
            let Some(asked) = self.batch.sent.ops.get(op) else { continue };
            changed.extend(self.completed(rows, op, asked, alone));
        }
        for key in changed {
            self.stored(rows, &key);
        }
        if alone && self.batch.sent.atomic {
            self.at_one_moment();
        }
    }

    /// An operation that is told as done; the row it writes.
    fn completed(&mut self, rows: &mut Rows, op: usize, asked: &Op, alone: bool) -> Option<Key> {
        let told = self.told.get(&op).cloned().unwrap_or_default();
        if asked.action == Action::Read && (!self.batch.sent.atomic || alone || asked.below.is_some()) {
            for row in &told {
                self.once(asked, row);
            }
            return None;
        }
        match self.verdict(rows, op, asked) {
            Verdict::Done(data, effect) => {
                if data != told {
                    self.say("I12", op, &format!("told {told:?} where {data:?} is right"));
                }
                let (key, row) = effect?;
                match row {
                    Some(row) => rows.insert(key.clone(), row),
                    None => rows.remove(&key),
                };
                Some(key)
            }
            Verdict::Fails(codes) => {
                self.say(
                    if self.batch.sent.atomic { "I6" } else { "I4" },
                    op,
                    &format!("is done and must fail {codes:?}"),
                );
                None
            }
            Verdict::Open => None,
        }
    }

    /// The batch failed: every operation, one after another, as if it had run at this moment.
    fn undone(&mut self, rows: &mut Rows) {
        let mut stopped = false;
        for (place, op) in self.batch.order.clone().into_iter().enumerate() {
            let Some(outcome) = self.batch.outcomes.get(place).cloned() else { continue };
            let Some(asked) = self.batch.sent.ops.get(op) else { continue };
            let needed = asked.needs().into_iter().any(|other| {
                self.batch.outcome(other).is_some_and(|outcome| {
                    outcome.is_failed()
                        || matches!(outcome, Outcome::Skipped { reason } if reason.as_str() == "Dependency failed")
                })
            });
            let word = match &outcome {
                Outcome::Completed { .. } => "completed",
                Outcome::Failed { failure } => failure.code.as_str(),
                Outcome::Skipped { reason } => reason.as_str(),
            };
            if needed || stopped {
                let right = if needed { "Dependency failed" } else { "Batch stopped" };
                if word != right {
                    self.say("I6", op, &format!("is told as {word} and is {right}"));
                }
                continue;
            }
            stopped |= outcome.is_failed() && !self.batch.sent.going_on;
            // Contention and size are not the interpreter's.
            if matches!(word, "CONFLICT" | "ATOMIC_TOO_LARGE") {
                continue;
            }
            match self.verdict(rows, op, asked) {
                Verdict::Done(data, effect) => {
                    if word != "Rolled back" {
                        self.say("I6", op, &format!("is told as {word} and could be done: {data:?}"));
                    }
                    self.told.insert(op, data);
                    match effect {
                        Some((key, Some(row))) => drop(rows.insert(key, row)),
                        Some((key, None)) => drop(rows.remove(&key)),
                        None => {}
                    }
                }
                Verdict::Fails(codes) if !codes.contains(&word) => {
                    self.say("I6", op, &format!("is told as {word} and must fail {codes:?}"));
                }
                Verdict::Fails(_) => {}
                Verdict::Open => return,
            }
        }
    }

    fn verdict(&self, rows: &Rows, op: usize, asked: &Op) -> Verdict {
        let resolve = |arg: &Arg| match arg {
            Arg::Known(value) => Ok(value.clone()),
            Arg::Of(other, field) => match self.told.get(other) {
                None => Err(Verdict::Open),
                Some(told) => told
                    .first()
                    .and_then(|row| row.get(*field).cloned())
                    .ok_or_else(|| Verdict::Fails(vec!["REFERENCE_UNRESOLVED"])),
            },
        };
        let mut given = Row::new();
        for (name, arg) in &asked.set {
            match resolve(arg) {
                Ok(value) => drop(given.insert((*name).to_owned(), value)),
                Err(verdict) => return verdict,
            }
        }
        let id = match asked.id.as_ref().map(resolve).transpose() {
            Ok(id) => id,
            Err(verdict) => return verdict,
        };
        if asked.below.is_some() {
            return Verdict::Open;
        }
        let key = |id: &Value| -> Key {
            (self.batch.tenant(), asked.entity, id.as_str().map_or_else(|| id.to_string(), str::to_owned))
        };
        if asked.action == Action::Create {
            // Only the service knows the key it has drawn.
            let told = || self.told.get(&op)?.first()?.get(key_of(asked.entity)).cloned();
            let Some(id) = id.or_else(told) else { return Verdict::Open };
            return create(rows, key(&id), id, given);
        }
        let Some(id) = id else { return Verdict::Open };
        let key = key(&id);
        let Some(row) = rows.get(&key) else {
            let none = if asked.action == Action::Read {
                Verdict::Done(Vec::new(), None)
            } else {
                Verdict::Fails(vec!["NOT_FOUND"])
            };
            return none;
        };
        match asked.action {
            Action::Read => Verdict::Done(vec![Value::Object(row.clone())], None),
            Action::Delete if has_children(rows, &key) => Verdict::Fails(vec!["FOREIGN_KEY_VIOLATION"]),
            Action::Delete => Verdict::Done(vec![Value::Object(row.clone())], Some((key, None))),
            _ => update(rows, key, row, given, asked.version),
        }
    }

    /// A row that was read without being checked was there at some time.
    fn once(&mut self, asked: &Op, row: &Value) {
        let id =
            row[key_of(asked.entity)].as_str().map_or_else(|| row[key_of(asked.entity)].to_string(), str::to_owned);
        let key = record_key(format!("T#{}#{}#{id}", self.batch.tenant(), asked.entity));
        let states = self.history.of(&key);
        let was = states.iter().any(|(_, item)| item.as_ref().is_some_and(|item| plain(&item["f"]) == *row));
        // Rows that operations before have made, or will have made, count too.
        let made = self.told.values().flatten().any(|told| told == row);
        if !was && !made {
            self.wrong.push(format!("I5: {} read {row}, which never was", self.batch.pk));
        }
    }

    /// The rows that a batch has read as of one moment were there together.
    fn at_one_moment(&mut self) {
        let mut reads: Vec<(String, Option<Value>)> = Vec::new();
        for (op, asked) in self.batch.ops.iter().filter_map(|op| Some((*op, self.batch.sent.ops.get(*op)?))) {
            let Some(Arg::Known(id)) = &asked.id else { continue };
            let Some(told) = self.told.get(&op).filter(|_| asked.action == Action::Read) else { continue };
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            reads.push((format!("T#{}#{}#{id}", self.batch.tenant(), asked.entity), told.first().cloned()));
        }
        let together = (0..=self.step).any(|step| {
            reads.iter().all(|(pk, row)| {
                let item = self.history.before(&record_key(pk.clone()), step);
                item.filter(|item| item.get("_del").is_none()).map(|item| plain(&item["f"])) == *row
            })
        });
        if !together {
            self.wrong.push(format!("I5: {} read {reads:?}, which never were together", self.batch.pk));
        }
    }

    /// What the commit left of a row is what the interpreter has.
    fn stored(&mut self, rows: &Rows, key: &Key) {
        let item = record_key(format!("T#{}#{}#{}", key.0, key.1, key.2));
        let stored = self.history.before(&item, self.step + 1);
        let stored = stored.filter(|item| item.get("_del").is_none()).map(|item| plain(&item["f"]));
        let right = rows.get(key).cloned().map(Value::Object);
        if stored != right {
            self.wrong.push(format!("I4: {} left {} as {stored:?} where {right:?} is right", self.batch.pk, item.1));
        }
    }

    fn say(&mut self, invariant: &str, op: usize, what: &str) {
        self.wrong.push(format!("{invariant}: operation {op} of {} at {} {what}", self.batch.pk, self.step));
    }
}
