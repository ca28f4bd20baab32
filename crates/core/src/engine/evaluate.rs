//! The operations one after another, as pure computation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::resolve::{Outcomes, budget, conditions, values};
use super::snapshot::{Need, Snapshot};
use super::turn::Turn;
use super::view::{Change, Halt, View};
use super::{change, content, create, read, search, storable};
use crate::auth::Caller;
use crate::batch::Options;
use crate::limits::{MAX_RESULT_BYTES, MAX_RESULTS_BYTES};
use crate::model::Model;
use crate::operation::{Action, Code, Failure, Outcome, SkipReason};
use crate::plan::Key;
use crate::plan::reference::Budget;
use crate::plan::{Plan, ReadOptions, narrowed};
use crate::runtime::Timestamp;
use crate::search::Unreadable;

/// What evaluation is given beside the rows.
#[derive(Debug)]
pub struct Job<'a> {
    /// The entities.
    pub model: &'a Model,
    /// The operations and their order.
    pub plan: &'a Plan,
    /// On whose behalf.
    pub caller: &'a Caller,
    /// All or nothing, and whether to go on after a failure.
    pub options: &'a Options,
    /// New ids derive from it.
    pub seed: &'a str,
    /// The time that is written into rows.
    pub now: Timestamp,
    /// Failures already decided, by position in the request: those operations are not tried again.
    pub decided: &'a BTreeMap<usize, Failure>,
}

/// The end of one operation, and its effect.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its position in the request.
    pub operation: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// What it writes, or would have written before the batch was undone; empty unless it had run.
    pub changes: Vec<Change>,
    /// What its outcome rests on.
    pub reads: BTreeSet<Key>,
}

/// What evaluation came to.
#[derive(Debug)]
pub enum Progress {
    /// A step for each operation that had not ended, in execution order.
    Ready(Vec<Step>),
    /// These must be read first.
    Needs(Vec<Need>),
    /// A search row is not as this version writes it.
    Unreadable(Unreadable),
}

/// What a successful operation does and answers.
#[derive(Debug)]
pub(super) struct Effect {
    pub data: Vec<Value>,
    pub changes: Vec<Change>,
}

/// Runs every operation that has not ended; `done` are the outcomes of those that have, in execution order.
///
/// An operation that needs something unread is passed over, and those after it are tried all the same, so that one
/// pass finds everything the next read can bring.
pub fn evaluate(job: &Job<'_>, snapshot: &Snapshot, done: &[Outcome]) -> Progress {
    let order = job.plan.order();
    let mut run = Evaluation {
        job,
        view: View::new(snapshot),
        steps: Vec::new(),
        unknown: BTreeSet::new(),
        stopped: !job.options.continue_on_error && done.iter().any(Outcome::is_failed),
        budget: budget(),
        result_bytes: done.iter().map(outcome_bytes).sum(),
    };
    for &index in order.iter().skip(done.len()) {
        run.step(index, done);
    }
    if let Some(unreadable) = run.view.unreadable {
        return Progress::Unreadable(unreadable);
    }
    if !run.view.needs.is_empty() {
        return Progress::Needs(snapshot.missing(&run.view.needs));
    }
    let mut steps = run.steps;
    if job.options.atomic && steps.iter().any(|step| step.outcome.is_failed()) {
        for step in &mut steps {
            if step.outcome.is_completed() {
                step.outcome = Outcome::Skipped { reason: SkipReason::RolledBack };
            }
        }
    }
    Progress::Ready(steps)
}

struct Evaluation<'a> {
    job: &'a Job<'a>,
    view: View<'a>,
    steps: Vec<Step>,
    /// Operations that could not be evaluated in this pass.
    unknown: BTreeSet<usize>,
    stopped: bool,
    budget: Budget,
    result_bytes: usize,
}

impl Evaluation<'_> {
    fn step(&mut self, index: usize, done: &[Outcome]) {
        let (outcome, changes) = {
            // Borrowed anew for each step: outcomes live in `done` and in the steps so far.
            let steps = std::mem::take(&mut self.steps);
            let ended = ended(self.job.plan, done, &steps, &self.unknown);
            let result = match self.skipped(index, &ended) {
                Some(skipped) => skipped,
                None => self.run(index, &ended),
            };
            self.steps = steps;
            result
        };
        let reads = std::mem::take(&mut self.view.reads);
        if outcome.is_failed() && !self.job.options.continue_on_error && self.unknown.is_empty() {
            self.stopped = true;
        }
        self.view.apply(&changes);
        self.steps.push(Step { operation: index, outcome, changes, reads });
    }

    /// The outcome of an operation that is not to run.
    fn skipped(&mut self, index: usize, ended: &[Option<&Outcome>]) -> Option<(Outcome, Vec<Change>)> {
        let dependencies = self.job.plan.graph().dependencies(index);
        if dependencies.iter().any(|dependency| self.unknown.contains(dependency)) {
            self.unknown.insert(index);
            return Some((Outcome::Skipped { reason: SkipReason::BatchStopped }, Vec::new()));
        }
        let failed =
            dependencies.iter().filter_map(|dependency| ended.get(*dependency).copied().flatten()).any(|outcome| {
                matches!(outcome, Outcome::Failed { .. } | Outcome::Skipped { reason: SkipReason::DependencyFailed })
            });
        let reason = match (failed, self.stopped) {
            (true, _) => SkipReason::DependencyFailed,
            (false, true) => SkipReason::BatchStopped,
            (false, false) => return None,
        };
        Some((Outcome::Skipped { reason }, Vec::new()))
    }

    fn run(&mut self, index: usize, ended: &[Option<&Outcome>]) -> (Outcome, Vec<Change>) {
        if let Some(failure) = self.job.decided.get(&index) {
            return (Outcome::Failed { failure: failure.clone() }, Vec::new());
        }
        let spent = self.budget.clone();
        match self.attempt(index, ended).and_then(|effect| self.accept(effect)) {
            Ok(done) => done,
            Err(Halt::Failed(failure)) => {
                self.budget = spent;
                (Outcome::Failed { failure }, Vec::new())
            }
            Err(Halt::Needs) => {
                self.budget = spent;
                self.unknown.insert(index);
                (Outcome::Skipped { reason: SkipReason::BatchStopped }, Vec::new())
            }
        }
    }

    fn attempt(&mut self, index: usize, ended: &[Option<&Outcome>]) -> Result<Effect, Halt> {
        let job = self.job;
        let operation =
            job.plan.operations().get(index).ok_or_else(|| Failure::new(Code::Internal, "no such operation"))?;
        let entity = job.model.entity(&operation.entity).ok_or_else(|| {
            Failure::new(Code::UnknownEntity, format!("the model has no entity {}", operation.entity))
        })?;
        if let Some(refused) = &operation.refused {
            return Err(refused.clone().into());
        }
        self.budget.start_operation();
        let outcomes = Outcomes { job, ended };
        let narrowed = narrowed(job.caller, &operation.claims)?;
        let callers: Vec<&Caller> = [job.caller].into_iter().chain(&narrowed).collect();
        let turn = Turn::new(job, index, entity, &callers);
        let (view, budget) = (&mut self.view, &mut self.budget);
        if let Some(work) = job.plan.content() {
            return content::run(&turn, view, work);
        }
        match operation.action {
            Action::Create => {
                let row = values(&operation.store, "/store_params", &outcomes, budget)?;
                create::create(&turn, view, row)
            }
            Action::Update => {
                let found = conditions(entity, &operation.query, &outcomes, budget)?;
                let given = values(&operation.store, "/store_params", &outcomes, budget)?;
                change::update(&turn, view, &found, given)
            }
            Action::Delete => {
                let found = conditions(entity, &operation.query, &outcomes, budget)?;
                change::delete(&turn, view, &found)
            }
            Action::Read => {
                let found = conditions(entity, &operation.query, &outcomes, budget)?;
                let metadata = values(&operation.metadata, "/metadata_params", &outcomes, budget)?;
                let options = ReadOptions::parse(job.model, entity, &metadata)?;
                read::read(&turn, view, &found, &options)
            }
            Action::Search => {
                let given = values(&operation.metadata, "/metadata_params", &outcomes, budget)?;
                search::search(&turn, view, &given)
            }
        }
    }

    /// Refuses an effect that cannot be stored.
    fn accept(&mut self, effect: Effect) -> Result<(Outcome, Vec<Change>), Halt> {
        for change in &effect.changes {
            if let Change::Row(key, Some(row)) = change {
                storable::check(&key.entity, row)?;
            }
        }
        let outcome = Outcome::Completed { data: Value::Array(effect.data) };
        let bytes = outcome_bytes(&outcome);
        if bytes > MAX_RESULT_BYTES || self.result_bytes + bytes > MAX_RESULTS_BYTES {
            let message = format!(
                "the result is {bytes} bytes; an operation may return {MAX_RESULT_BYTES} and a batch {MAX_RESULTS_BYTES}"
            );
            return Err(Failure::new(Code::ResultTooLarge, message).into());
        }
        self.result_bytes += bytes;
        Ok((outcome, effect.changes))
    }
}

/// Outcomes by position in the request; those of `unknown` operations count as not there.
fn ended<'o>(
    plan: &Plan,
    done: &'o [Outcome],
    steps: &'o [Step],
    unknown: &BTreeSet<usize>,
) -> Vec<Option<&'o Outcome>> {
    let mut ended = vec![None; plan.operations().len()];
    let outcomes = done.iter().chain(steps.iter().map(|step| &step.outcome));
    for (index, outcome) in plan.order().iter().zip(outcomes) {
        if let Some(slot) = ended.get_mut(*index).filter(|_| !unknown.contains(index)) {
            *slot = Some(outcome);
        }
    }
    ended
}

/// Bytes of an outcome as JSON text.
fn outcome_bytes(outcome: &Outcome) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match outcome {
        Outcome::Completed { data } => serde_json::to_writer(&mut count, data).map_or(0, |()| count.0),
        Outcome::Failed { failure } => failure.message.len() + 200,
        Outcome::Skipped { .. } => 50,
    }
}
