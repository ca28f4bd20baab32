//! Commits in one transaction each: how much of a batch goes into it, and what its answer means.

use std::collections::BTreeSet;

use super::action::Action as Write;
use super::chunk::{Chunk, checks, fold};
use super::evaluate::Step;
use super::posting::Post;
use super::run::{Next, Session};
use super::tell::Refused;
use crate::batch::{Intent, State};
use crate::limits::{Limits, MAX_ROUNDS};
use crate::operation::{Code, Failure, Outcome};
use crate::plan::{Key, item_bytes};
use crate::store::{Commit, Committing, Fault, Locked, Refusal, Written};

impl Session<'_> {
    /// Commits `steps` chunk by chunk, until they are done, the time is over, or something makes them untrue.
    pub(super) async fn commit_all(&mut self, mut steps: Vec<Step>) -> Result<(), Fault> {
        let until = self.run.until.min(self.deadline());
        while !steps.is_empty() && !self.stands() && self.run.clock.now() < until {
            let failed = self.atomic() && steps.iter().any(|step| step.outcome.is_failed());
            let (count, actions) = if self.atomic() {
                (steps.len(), if failed { self.failure_checks(&steps) } else { self.atomic_actions(&steps) })
            } else {
                let count = Chunk::cut(&steps, self.run.limits, self.most_in_chunk()).operations;
                (count, fold(self.run.model, &self.snapshot, steps.iter().take(count)))
            };
            // A batch that fails writes nothing, so it cannot be too large.
            if self.atomic() && !failed && self.is_wide(&actions) {
                return match self.too_large(&steps, &actions) {
                    Some((operation, failure)) => {
                        self.decided.insert(operation, failure);
                        Ok(())
                    }
                    None => self.commit_wide(&steps, actions).await,
                };
            }
            let rest = steps.split_off(count);
            match self.commit(&steps, actions, rest.is_empty()).await? {
                Next::Continue => steps = rest,
                Next::Replan => return Ok(()),
            }
        }
        Ok(())
    }

    /// Operations in a chunk, at most: of a content job each may take a second action, its intent.
    fn most_in_chunk(&self) -> usize {
        match self.run.head.job {
            Some(_) => self.most.min((self.run.limits.actions.saturating_sub(1) / 2).max(1)),
            None => self.most,
        }
    }

    /// The writes of an all-or-nothing batch, and a check of each row it read and does not write.
    fn atomic_actions(&self, steps: &[Step]) -> Vec<Write> {
        let mut actions = fold(self.run.model, &self.snapshot, steps);
        if self.at_once && actions.is_empty() {
            return actions;
        }
        let reads =
            steps.iter().flat_map(|step| &step.reads).filter(|key| matches!(key, Key::Row(_))).cloned().collect();
        actions.extend(checks(&self.snapshot, &reads, &actions));
        actions
    }

    /// Checks that what the outcomes rest on holds: first of the failed operations, then of those that are undone, whose
    /// own failures would otherwise stay hidden; as many as fit.
    fn failure_checks(&self, steps: &[Step]) -> Vec<Write> {
        // Contention rests on nothing that was read, and a check of what others keep changing would only meet it again.
        let contended =
            |step: &Step| matches!(&step.outcome, Outcome::Failed { failure } if failure.code == Code::Conflict);
        if self.at_once || steps.iter().any(contended) {
            return Vec::new();
        }
        let undone: Vec<Write> =
            fold(self.run.model, &self.snapshot, steps).into_iter().map(Write::into_check).collect();
        let reads = |failed: bool| -> BTreeSet<Key> {
            let steps = steps.iter().filter(|step| step.outcome.is_failed() == failed);
            steps.flat_map(|step| step.reads.iter().cloned()).collect()
        };
        let mut all = checks(&self.snapshot, &reads(true), &undone);
        all.extend(undone);
        let rest = checks(&self.snapshot, &reads(false), &all);
        all.extend(rest);
        all.truncate(self.run.limits.actions.saturating_sub(1));
        all
    }

    /// Whether all of `actions` are more than one transaction holds.
    fn is_wide(&self, actions: &[Write]) -> bool {
        let bytes: usize = actions.iter().map(written_bytes).sum();
        items(actions) >= self.run.limits.actions || bytes > self.run.limits.bytes
    }

    /// The operation at which an all-or-nothing batch outgrows even a wide commit, and how that is told.
    fn too_large(&self, steps: &[Step], actions: &[Write]) -> Option<(usize, Failure)> {
        let limits = self.run.limits;
        if items(actions) < limits.wide_actions {
            return None;
        }
        let whole =
            Limits { actions: limits.wide_actions, bytes: usize::MAX, chunk_operations: steps.len(), ..*limits };
        let fits = Chunk::cut(steps, &whole, steps.len()).operations;
        let operation = steps.get(fits).or(steps.last())?.operation;
        Some((operation, Failure::new(Code::AtomicTooLarge, too_large_message(items(actions) + 1, limits))))
    }

    /// One commit: results and state, effects, all or nothing of it.
    async fn commit(&mut self, steps: &[Step], actions: Vec<Write>, last: bool) -> Result<Next, Fault> {
        let state = self.state_after(steps, last).await?;
        let intents = self.intents(steps);
        if actions.is_empty() && intents.is_empty() {
            return self.write_state(state, steps).await;
        }
        let guard = self.state.as_ref().map(|state| state.rev);
        let committing = Committing { head: self.run.head, guard, state: &state, actions: &actions, intents: &intents };
        match self.store.commit(&self.keys, &committing).await? {
            Commit::Done => {
                self.moved(state, steps, actions);
                Ok(Next::Continue)
            }
            Commit::Guard(stands) => self.adopt(*stands, state, (steps, actions)).await,
            // The run looks at the time next, and ends the batch or itself.
            Commit::Late => {
                self.tell_refused(steps, Refused::Late);
                Ok(Next::Replan)
            }
            Commit::Refused(known, locked) => {
                self.tell_refused(steps, if known.is_empty() { Refused::Locked } else { Refused::Changed });
                let keys: Vec<Key> = known.iter().map(Refusal::key).collect();
                if self.learn(known) {
                    self.contended(steps, &keys).await;
                }
                self.wait_for(steps, locked).await?;
                Ok(Next::Replan)
            }
            Commit::Busy(keys) => {
                self.tell_refused(steps, Refused::Busy);
                self.most = (steps.len() / 2).max(1);
                // Without time to wait there is none to try again in: the next run does.
                if self.contended(steps, &keys).await && !self.store.pause(self.rounds).await {
                    self.over = true;
                }
                Ok(Next::Replan)
            }
            Commit::Invalid(keys) => {
                self.tell_refused(steps, Refused::Invalid);
                self.invalid(steps, &keys);
                Ok(Next::Replan)
            }
        }
    }

    /// The contract calls that the steps ask for, by position in the request.
    fn intents(&self, steps: &[Step]) -> Vec<(usize, Intent)> {
        let Some(job) = &self.run.head.job else { return Vec::new() };
        steps.iter().filter_map(|step| Some((step.operation, job.intent(&step.outcome)?))).collect()
    }

    /// Takes in how items really are; true when one of them had been looked at, so that somebody changed it since.
    /// Learning what was only assumed is not contention: each item is learnt once, so that ends by itself.
    pub(super) fn learn(&mut self, known: Vec<Refusal>) -> bool {
        let contended = known.iter().any(|refusal| self.snapshot.knows(&refusal.key()));
        for refusal in known {
            self.snapshot.correct(refusal);
        }
        contended
    }

    /// Frees what wide commits of other batches hold, and waits a while if one of them is still at work.
    async fn wait_for(&mut self, steps: &[Step], locked: Vec<Locked>) -> Result<(), Fault> {
        let keys: Vec<Key> = locked.iter().map(|locked| locked.key.clone()).collect();
        if self.free(locked).await? {
            return Ok(());
        }
        self.most = (steps.len() / 2).max(1);
        if self.contended(steps, &keys).await && !self.store.pause(MAX_ROUNDS).await {
            self.over = true;
        }
        Ok(())
    }

    /// A commit without effects: the state alone.
    pub(super) async fn write_state(&mut self, state: State, steps: &[Step]) -> Result<Next, Fault> {
        let (head, guard) = (self.run.head, self.state.as_ref().map(|state| state.rev));
        match self.store.put_state(&self.keys, head, guard, &state).await? {
            Written::Done => {
                self.moved(state, steps, Vec::new());
                return Ok(Next::Continue);
            }
            Written::Late => return Ok(Next::Replan),
            Written::Guard => {}
        }
        let stands = self.store.batch(&self.keys, &head.id).await?.and_then(|(_, state)| state);
        self.adopt(stands, state, (steps, Vec::new())).await
    }

    /// Counts a round lost to others; after [`MAX_ROUNDS`] the first operation in their way fails, once its retries are
    /// spent too. True to try again.
    pub(super) async fn contended(&mut self, steps: &[Step], keys: &[Key]) -> bool {
        self.rounds += 1;
        self.effort.conflicts += 1;
        if self.rounds <= MAX_ROUNDS {
            return true;
        }
        self.rounds = 0;
        let touches = |step: &&Step| {
            step.changes.iter().any(|change| keys.contains(&change.key()))
                || step.reads.iter().any(|key| keys.contains(key))
        };
        let Some(step) = steps.iter().find(touches).or(steps.first()) else { return true };
        let retried = self.retried.entry(step.operation).or_default();
        if *retried < self.run.head.options.max_retries {
            *retried += 1;
            self.effort.retries += 1;
            self.store.pause(MAX_ROUNDS).await;
            return true;
        }
        let message = format!("others kept changing what this operation touches, {MAX_ROUNDS} times in a row");
        self.decided.insert(step.operation, Failure::new(Code::Conflict, message));
        false
    }

    /// A transaction the store will never take: made smaller until the operation to blame is alone.
    pub(super) fn invalid(&mut self, steps: &[Step], keys: &[Key]) {
        let blamed = |step: &&Step| step.changes.iter().any(|change| keys.contains(&change.key()));
        let named = steps.iter().find(blamed);
        if named.is_none() && steps.len() > 1 && !self.atomic() {
            self.most = (steps.len() / 2).max(1);
            return;
        }
        if let Some(step) = named.or(steps.first()) {
            let message = "the store does not take this row: it is too large or holds a value it cannot keep";
            self.decided.insert(step.operation, Failure::new(Code::ItemTooLarge, message));
        }
    }
}

/// Bytes of the items that an action leaves.
pub(super) fn written_bytes(action: &Write) -> usize {
    match action {
        Write::WriteRow { fields, posting, .. } => {
            fields.as_ref().map_or(0, item_bytes) + posting.as_ref().map_or(0, Post::bytes)
        }
        _ => 0,
    }
}

/// Items of a transaction that does `actions`.
pub(super) fn items(actions: &[Write]) -> usize {
    actions.iter().map(Write::items).sum()
}

/// The arithmetic of a batch that cannot be committed as a whole.
pub(crate) fn too_large_message(actions: usize, limits: &Limits) -> String {
    format!(
        "an atomic batch has at most {} actions; this one has {actions}: one for each row, unique value and parent it \
         touches, and one for the batch itself",
        limits.wide_actions
    )
}
