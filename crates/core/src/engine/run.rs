//! The loop that reads what evaluation needs and commits what it gives, until the batch has ended or its time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::action::Action as Write;
use super::chunk::advance;
use super::commit::items;
use super::evaluate::{Job, Progress, Step, evaluate};
use super::snapshot::{Need, Snapshot};
use super::tell::Refused;
use crate::batch::{Cut, Head, Segment, State, Status, pack};
use crate::limits::{Limits, MAX_PAUSE_MS, MAX_ROUNDS};
use crate::metrics::Effort;
use crate::model::Model;
use crate::operation::{Action, Failure, Outcome};
use crate::plan::{Plan, RowKey};
use crate::runtime::{Clock, Entropy, Timestamp};
use crate::store::{AtOnce, Contents, Fault, Store, TenantKey};

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
    /// What it took.
    pub effort: Effort,
    /// Whether it was this run that wrote the end of the batch.
    pub wrote_end: bool,
}

impl Ran {
    /// Where the batch `head` stands, with its operations and what became of those that have ended: all of them, where it
    /// was cut off.
    pub fn new(head: &Head, state: Option<State>, plan: Plan, mut outcomes: Vec<Outcome>) -> Self {
        if let Some(cut) = state.as_ref().and_then(|state| state.cut) {
            outcomes.resize_with(head.total(), || cut.outcome());
        }
        Self { state, plan, outcomes, effort: Effort::default(), wrote_end: false }
    }

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
        effort: Effort::default(),
        refused: 0,
        wrote_end: false,
        most: run.limits.chunk_operations,
        at_once: false,
        over: false,
    };
    loop {
        session.store = run.store.until(run.until.min(session.deadline()));
        session.tidy().await?;
        if session.stands() || session.over || run.clock.now() >= run.until {
            break;
        }
        session.step().await?;
    }
    let (state, outcomes) = (session.state, session.outcomes);
    let (effort, wrote_end) = (session.effort, session.wrote_end);
    Ok(Ran { effort, wrote_end, ..Ran::new(run.head, state, plan, outcomes) })
}

/// One run: what it knows of the batch and of the rows, and how much trouble it has had.
pub(super) struct Session<'a> {
    pub run: &'a Run<'a>,
    pub plan: &'a Plan,
    pub keys: TenantKey,
    /// Bounded to the batch's own deadline too: no commit is sent after it.
    pub store: Store,
    /// When this run began: the start of a batch that nothing was committed of.
    begun: Timestamp,
    pub state: Option<State>,
    outcomes: Vec<Outcome>,
    pub snapshot: Snapshot,
    pub decided: BTreeMap<usize, Failure>,
    /// How often an operation was planned again after it had failed for good.
    pub retried: BTreeMap<usize, u64>,
    /// Attempts since the cursor last moved.
    pub rounds: u32,
    pub effort: Effort,
    /// Commits that had no effect since the cursor last moved.
    pub refused: u32,
    wrote_end: bool,
    /// Operations in a chunk, at most; halved by contention.
    pub most: usize,
    /// Whether all that was read was read as of one moment.
    pub at_once: bool,
    /// Whether this run has nothing more to do: its time is over, or another one is at the batch.
    pub over: bool,
}

/// Whether to go on with the steps at hand or to evaluate again.
pub(super) enum Next {
    Continue,
    Replan,
}

impl Session<'_> {
    /// Whether there is nothing to do: the batch has ended, or is paused and may still be resumed.
    pub fn stands(&self) -> bool {
        self.state.as_ref().is_some_and(|state| match state.status {
            Status::Paused => self.run.clock.now() < state.updated.plus_ms(MAX_PAUSE_MS),
            status => status.is_terminal() || state.waits_for_calls(),
        })
    }

    /// What comes next, from where the batch stands.
    async fn step(&mut self) -> Result<(), Fault> {
        let now = self.run.clock.now();
        match self.state.as_ref().map(|state| (state.status, &state.attempt)) {
            Some((Status::Committed, _)) => self.finish(None).await,
            Some((Status::Paused, _)) => self.time_out().await,
            _ if now >= self.deadline() => self.time_out().await,
            // Another process is at it; what it leaves undone is taken up when its lease is over.
            Some((Status::Preparing, Some(attempt))) if now < attempt.lease => {
                self.over = true;
                Ok(())
            }
            Some((Status::Preparing, _)) => {
                let fenced = self.next_state();
                self.write_state(fenced, &[]).await.map(|_| ())
            }
            _ => {
                let steps = self.evaluate().await?;
                self.commit_all(steps).await
            }
        }
    }

    pub fn deadline(&self) -> Timestamp {
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

    pub fn atomic(&self) -> bool {
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
                Progress::Unreadable(unreadable) => return Err(Fault::new("search", unreadable.to_string())),
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
                Need::Postings => self.snapshot.postings = Some(Arc::new(store.postings(&self.keys).await?)),
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
                AtOnce::Locked(locked) => {
                    if !self.free(locked).await? {
                        self.at_once = store.pause(MAX_ROUNDS).await;
                    }
                }
                AtOnce::TooMuch => self.at_once = false,
            }
        }
        self.at_once = false;
        if !rows.is_empty() {
            self.snapshot.rows.extend(store.rows(&self.keys, &rows).await?);
        }
        Ok(())
    }

    pub fn next_state(&self) -> State {
        let first = || State::begun(self.run.head, self.begun);
        let before = self.state.clone().unwrap_or_else(first);
        before.next(self.run.entropy.hex32(), self.run.clock.now())
    }

    /// The state after `steps`; results that have outgrown it are stored in parts first, which the commit points to.
    pub async fn state_after(&self, steps: &[Step], last: bool) -> Result<State, Fault> {
        let head = self.run.head;
        let mut state = self.next_state();
        for step in steps {
            match head.job.as_ref().and_then(|job| job.intent(&step.outcome)) {
                None => state.summary.add(&step.outcome),
                Some(_) => state.open += 1,
            }
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
            (true, _) if state.open > 0 => Status::Running,
            (true, true) => Status::Failed,
            (true, false) => Status::at_end(&state.summary),
        };
        state.cursor = self.outcomes.len() + steps.len();
        Ok(state)
    }

    pub fn moved(&mut self, state: State, steps: &[Step], actions: Vec<Write>) {
        self.tell_committed(&state, steps, items(&actions));
        self.wrote_end |= state.status.is_terminal();
        advance(&mut self.snapshot, actions);
        self.outcomes.extend(steps.iter().map(|step| step.outcome.clone()));
        self.state = Some(state);
        // A state that ends no operation is no progress: contention goes on being counted.
        if !steps.is_empty() {
            (self.rounds, self.refused) = (0, 0);
            self.most = (self.most * 2).min(self.run.limits.chunk_operations);
        }
    }

    /// Goes on from a state that somebody else wrote, or that our own commit did before its answer was lost.
    pub async fn adopt(
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
        self.tell_refused(steps, Refused::Guard);
        self.outcomes = self.store.contents(&self.keys, head, Some(&stands)).await?.outcomes;
        self.state = Some(stands);
        self.snapshot = Snapshot::default();
        self.at_once = false;
        self.rounds = 0;
        Ok(Next::Replan)
    }
}
