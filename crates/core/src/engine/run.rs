//! The loop that reads what evaluation needs and commits what it gives, until the batch has ended or its time is over.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action as Write;
use super::chunk::{Chunk, advance, checks, fold};
use super::evaluate::{Job, Progress, Step, evaluate};
use super::snapshot::{Need, Snapshot};
use crate::batch::{Cut, Head, Segment, State, Status, pack};
use crate::limits::{Limits, MAX_ROUNDS};
use crate::model::Model;
use crate::operation::{Action, Code, Failure, Outcome};
use crate::plan::Plan;
use crate::plan::item_bytes;
use crate::plan::{Key, RowKey};
use crate::runtime::{Clock, Entropy, Timestamp};
use crate::store::{AtOnce, Commit, Committing, Contents, Fault, Refusal, Store, TenantKey};

/// Everything one execution of a batch works with.
#[derive(Debug)]
pub struct Run<'a> {
    /// The store, bounded to the time of this call.
    pub store: &'a Store,
    /// The entities.
    pub model: &'a Model,
    /// What bounds one commit.
    pub limits: &'a Limits,
    /// The time.
    pub clock: &'a Clock,
    /// For nonces.
    pub entropy: &'a Entropy,
    /// No commit is begun after this.
    pub until: Timestamp,
    /// The batch.
    pub head: &'a Head,
}

/// What a [`Run`] came to.
#[derive(Debug)]
pub struct Ran {
    /// Where the batch stands; `None` when nothing was committed.
    pub state: Option<State>,
    /// In request order.
    pub plan: Plan,
    /// In execution order, of the operations that have ended.
    pub outcomes: Vec<Outcome>,
}

impl Ran {
    /// Whether the batch has ended.
    pub fn ended(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.status.is_terminal())
    }

    /// Whether the batch is paused.
    pub fn paused(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.status == Status::Paused)
    }
}

/// Runs the batch on from `state`. What it does is safe whoever else runs the same batch at the same time: each commit
/// carries the state guard, and whoever loses adopts the winner's state and goes on from there.
pub async fn run(run: &Run<'_>, state: Option<State>, contents: Contents) -> Result<Ran, Fault> {
    let plan = Plan::ordered(contents.work, run.head.order.clone());
    let mut session = Session {
        run,
        plan: &plan,
        keys: TenantKey::new(run.head.tenant()),
        store: run.store.clone(),
        begun: run.clock.now(),
        state,
        outcomes: contents.outcomes,
        snapshot: Snapshot::default(),
        decided: BTreeMap::new(),
        retried: BTreeMap::new(),
        rounds: 0,
        most: run.limits.chunk_operations,
        at_once: false,
        over: false,
    };
    while !session.stands() && !session.over && run.clock.now() < run.until {
        session.store = run.store.until(run.until.min(session.deadline()));
        if run.clock.now() < session.deadline() {
            let steps = session.evaluate().await?;
            session.commit_all(steps).await?;
        } else {
            session.time_out().await?;
        }
    }
    let (state, mut outcomes) = (session.state, session.outcomes);
    if let Some(cut) = state.as_ref().and_then(|state| state.cut) {
        outcomes.resize_with(run.head.total(), || cut.outcome());
    }
    Ok(Ran { state, plan, outcomes })
}

struct Session<'a> {
    run: &'a Run<'a>,
    plan: &'a Plan,
    keys: TenantKey,
    /// Bounded to the batch's own deadline too: no commit is sent after it.
    store: Store,
    /// When this run began: the start of a batch that nothing was committed of.
    begun: Timestamp,
    state: Option<State>,
    outcomes: Vec<Outcome>,
    snapshot: Snapshot,
    decided: BTreeMap<usize, Failure>,
    /// How often an operation was planned again after it had failed for good.
    retried: BTreeMap<usize, u64>,
    /// Attempts since the cursor last moved.
    rounds: u32,
    /// Operations in a chunk, at most; halved by contention.
    most: usize,
    /// Whether all that was read was read as of one moment.
    at_once: bool,
    /// Whether the time of this run is over.
    over: bool,
}

/// Whether to go on with the steps at hand or to evaluate again.
enum Next {
    Continue,
    Replan,
}

impl Session<'_> {
    /// Whether there is nothing to do: the batch has ended, or is paused.
    fn stands(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.status.is_terminal() || state.status == Status::Paused)
    }

    fn deadline(&self) -> Timestamp {
        let (started, paused_ms) =
            self.state.as_ref().map_or((self.begun, 0), |state| (state.started, state.paused_ms));
        self.run.head.deadline(started, paused_ms)
    }

    /// Ends the batch where it stands, unless somebody else moved it on.
    async fn time_out(&mut self) -> Result<(), Fault> {
        let mut state = self.next_state();
        state.cut_off(Cut::Deadline);
        let store = self.run.store.until(self.run.until);
        self.store = store;
        self.write_state(state, &[]).await.map(|_| ())
    }

    fn atomic(&self) -> bool {
        self.run.head.options.atomic
    }

    /// Evaluates what has not ended, reading what that takes: one read for each level of references.
    async fn evaluate(&mut self) -> Result<Vec<Step>, Fault> {
        loop {
            let job = Job {
                model: self.run.model,
                plan: self.plan,
                caller: &self.run.head.caller,
                options: &self.run.head.options,
                seed: &self.run.head.seed,
                now: self.run.clock.now(),
                decided: &self.decided,
            };
            match evaluate(&job, &self.snapshot, &self.outcomes) {
                Progress::Ready(steps) => return Ok(steps),
                Progress::Needs(needs) => self.load(needs).await?,
            }
        }
    }

    async fn load(&mut self, needs: Vec<Need>) -> Result<(), Fault> {
        let store = self.store.clone();
        let first = self.snapshot.rows.is_empty() && self.snapshot.found.is_empty();
        let only_rows = needs.iter().all(|need| matches!(need, Need::Row(_)));
        let mut rows = BTreeSet::new();
        let mut integers = BTreeMap::<String, Vec<usize>>::new();
        for need in needs {
            match need {
                Need::Row(key) => {
                    rows.insert(key);
                }
                Need::Search(search) => {
                    let found = store.search(&self.keys, &search).await?;
                    rows.extend(found.iter().filter(|key| !self.snapshot.rows.contains_key(key)).cloned());
                    self.snapshot.found.insert(search, found);
                }
                Need::Integer(entity, operation) => integers.entry(entity).or_default().push(operation),
            }
        }
        for (entity, operations) in integers {
            let from = store.draw_integers(&self.keys, &entity, operations.len()).await?;
            self.snapshot.integers.extend(operations.into_iter().zip(from..));
        }
        let rows: Vec<RowKey> = rows.into_iter().collect();
        let read_only = self.plan.operations().iter().all(|operation| operation.action == Action::Read);
        self.at_once = self.atomic() && read_only && first && only_rows && rows.len() <= self.run.limits.actions;
        for round in 0..MAX_ROUNDS {
            if !self.at_once {
                break;
            }
            match store.rows_at_once(&self.keys, &rows).await? {
                AtOnce::Read(found) => {
                    self.snapshot.rows.extend(found);
                    return Ok(());
                }
                AtOnce::Busy => self.at_once = store.pause(round).await,
                AtOnce::TooMuch => self.at_once = false,
            }
        }
        self.at_once = false;
        if !rows.is_empty() {
            self.snapshot.rows.extend(store.rows(&self.keys, &rows).await?);
        }
        Ok(())
    }

    /// Commits `steps` chunk by chunk, until they are done, the time is over, or something makes them untrue.
    async fn commit_all(&mut self, mut steps: Vec<Step>) -> Result<(), Fault> {
        let until = self.run.until.min(self.deadline());
        while !steps.is_empty() && !self.stands() && self.run.clock.now() < until {
            let failed = self.atomic() && steps.iter().any(|step| step.outcome.is_failed());
            let (count, actions) = if self.atomic() {
                (steps.len(), if failed { self.failure_checks(&steps) } else { self.atomic_actions(&steps) })
            } else {
                let count = Chunk::cut(&steps, self.run.limits, self.most).operations;
                (count, fold(self.run.model, &self.snapshot, steps.iter().take(count)))
            };
            // A batch that fails writes nothing, so it cannot be too large.
            if let Some((operation, failure)) = self.too_large(&steps, &actions).filter(|_| !failed) {
                self.decided.insert(operation, failure);
                return Ok(());
            }
            let rest = steps.split_off(count);
            match self.commit(&steps, actions, rest.is_empty()).await? {
                Next::Continue => steps = rest,
                Next::Replan => return Ok(()),
            }
        }
        Ok(())
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

    /// The operation at which an all-or-nothing batch outgrows one transaction, and how that is told.
    fn too_large(&self, steps: &[Step], actions: &[Write]) -> Option<(usize, Failure)> {
        let limits = self.run.limits;
        let bytes: usize = actions
            .iter()
            .map(|action| match action {
                Write::WriteRow { fields: Some(fields), .. } => item_bytes(fields),
                _ => 0,
            })
            .sum();
        if !self.atomic() || (actions.len() < limits.actions && bytes <= limits.bytes) {
            return None;
        }
        let fits = Chunk::cut(steps, &Limits { chunk_operations: steps.len(), ..*limits }, steps.len()).operations;
        let operation = steps.get(fits).or(steps.last())?.operation;
        let message = too_large_message(actions.len() + 1, bytes, limits);
        Some((operation, Failure::new(Code::AtomicTooLarge, message)))
    }

    /// One commit: results and state, effects, all or nothing of it.
    async fn commit(&mut self, steps: &[Step], actions: Vec<Write>, last: bool) -> Result<Next, Fault> {
        let state = self.state_after(steps, last).await?;
        if actions.is_empty() {
            return self.write_state(state, steps).await;
        }
        let guard = self.state.as_ref().map(|state| state.rev);
        let committing = Committing { head: self.run.head, guard, state: &state, actions: &actions };
        match self.store.commit(&self.keys, &committing).await? {
            Commit::Done => {
                self.moved(state, steps, actions);
                Ok(Next::Continue)
            }
            Commit::Guard(stands) => self.adopt(*stands, state, (steps, actions)).await,
            Commit::Refused(refusals) => {
                let keys: Vec<Key> = refusals.iter().map(Refusal::key).collect();
                // Learning what was only assumed is not contention; each item is learnt once, so that ends by itself.
                let contended = keys.iter().any(|key| self.snapshot.knows(key));
                for refusal in refusals {
                    self.snapshot.correct(refusal);
                }
                if contended {
                    self.contended(steps, &keys).await;
                }
                Ok(Next::Replan)
            }
            Commit::Busy(keys) => {
                self.most = (steps.len() / 2).max(1);
                // Without time to wait there is none to try again in: the next run does.
                if self.contended(steps, &keys).await && !self.store.pause(self.rounds).await {
                    self.over = true;
                }
                Ok(Next::Replan)
            }
            Commit::Invalid(keys) => {
                self.invalid(steps, &keys);
                Ok(Next::Replan)
            }
        }
    }

    /// A commit without effects: the state alone.
    async fn write_state(&mut self, state: State, steps: &[Step]) -> Result<Next, Fault> {
        let (head, guard) = (self.run.head, self.state.as_ref().map(|state| state.rev));
        if self.store.put_state(&self.keys, head, guard, &state).await? {
            self.moved(state, steps, Vec::new());
            return Ok(Next::Continue);
        }
        let stands = self.store.batch(&self.keys, &head.id).await?.and_then(|(_, state)| state);
        self.adopt(stands, state, (steps, Vec::new())).await
    }

    fn next_state(&self) -> State {
        let first = || State::begun(self.run.head, self.begun);
        let before = self.state.clone().unwrap_or_else(first);
        before.next(self.run.entropy.hex32(), self.run.clock.now())
    }

    /// The state after `steps`; results that have outgrown it are stored in parts first, which the commit points to.
    async fn state_after(&self, steps: &[Step], last: bool) -> Result<State, Fault> {
        let head = self.run.head;
        let mut state = self.next_state();
        for step in steps {
            state.summary.add(&step.outcome);
        }
        let from = state.results.inline_from();
        let inline: Vec<&Outcome> =
            self.outcomes.iter().skip(from).chain(steps.iter().map(|step| &step.outcome)).collect();
        state.results.inline = pack(&inline)?;
        if state.results.inline.len() > self.run.limits.inline_results {
            let packed = std::mem::take(&mut state.results.inline);
            let parts = self.store.put_results(&self.keys, head, (from, &state.nonce), &packed).await?;
            let segment = Segment { from, count: inline.len(), nonce: state.nonce.clone(), parts };
            state.results.segments.push(segment);
        }
        let failed = head.options.atomic && state.summary.failed > 0;
        state.status = match (last, failed) {
            (false, _) => Status::Running,
            (true, true) => Status::Failed,
            (true, false) => Status::at_end(&state.summary),
        };
        state.cursor = self.outcomes.len() + steps.len();
        Ok(state)
    }

    fn moved(&mut self, state: State, steps: &[Step], actions: Vec<Write>) {
        advance(&mut self.snapshot, actions);
        self.outcomes.extend(steps.iter().map(|step| step.outcome.clone()));
        self.state = Some(state);
        self.rounds = 0;
        self.most = (self.most * 2).min(self.run.limits.chunk_operations);
    }

    /// Goes on from a state that somebody else wrote, or that our own commit did before its answer was lost.
    async fn adopt(
        &mut self,
        stands: Option<State>,
        ours: State,
        (steps, actions): (&[Step], Vec<Write>),
    ) -> Result<Next, Fault> {
        let head = self.run.head;
        let Some(stands) = stands.filter(|state| state.belongs_to(head)) else {
            // There was none before either: the store refused the sending, not the state. A new nonce, a new try.
            if self.state.is_none() && self.contended(steps, &[]).await {
                return Ok(Next::Replan);
            }
            return Err(Fault::new("commit", "the guard failed and there is no state"));
        };
        if stands.nonce == ours.nonce {
            self.moved(ours, steps, actions);
            return Ok(Next::Continue);
        }
        self.outcomes = self.store.contents(&self.keys, head, Some(&stands)).await?.outcomes;
        self.state = Some(stands);
        self.snapshot = Snapshot::default();
        self.at_once = false;
        self.rounds = 0;
        Ok(Next::Replan)
    }

    /// Counts a round lost to others; after [`MAX_ROUNDS`] the first operation in their way fails, once its retries are
    /// spent too. True to try again.
    async fn contended(&mut self, steps: &[Step], keys: &[Key]) -> bool {
        self.rounds += 1;
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
            self.store.pause(MAX_ROUNDS).await;
            return true;
        }
        let message = format!("others kept changing what this operation touches, {MAX_ROUNDS} times in a row");
        self.decided.insert(step.operation, Failure::new(Code::Conflict, message));
        false
    }

    /// A transaction the store will never take: made smaller until the operation to blame is alone.
    fn invalid(&mut self, steps: &[Step], keys: &[Key]) {
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

/// The arithmetic of a batch that one transaction cannot hold.
pub(crate) fn too_large_message(actions: usize, bytes: usize, limits: &Limits) -> String {
    format!(
        "an atomic batch is one transaction of at most {} actions and {} bytes; this one has {actions} actions \
         (one for each row, unique value and parent it touches, and one for the batch itself) and {bytes} bytes",
        limits.actions, limits.bytes
    )
}
