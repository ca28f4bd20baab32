//! One schedule: what happens next is decided by the seed, again and again, until everything has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batch_core::limits::SWEPT_MINUTES;
use batch_core::runtime::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Client, Known, Net, Told};
use super::counter::Counted;
use super::fault::{Counters, Fault, Faults};
use super::kind::Kind;
use super::mutant::Mutant;
use super::oracle::{batch_key, is_followed, is_terminal, lockers};
use super::outside::Outside;
use super::process::{BEGIN_MS, Finished, Node, Of, since};
use super::queue::Queue;
use super::rng::Rng;
use super::script::Deed;
use super::seam::{Lot, Parked};
use super::setup::{DELIVERY_MS, Setup};
use super::tables::{Tables, api_key, database};
use super::wire::{int, text};
use super::workload::TENANTS;
use crate::Answer;

/// What waits for the end of a process's call.
#[derive(Debug)]
pub(super) enum Waiting {
    Client(oneshot::Sender<Answer>),
    /// Ids of the messages that were delivered.
    Queue(Vec<u64>),
}

/// A schedule at work.
pub(super) struct Schedule {
    pub rng: Rng,
    pub setup: Setup,
    pub faults: Faults,
    pub mutant: Option<Mutant>,
    pub counted: Counted,
    pub tables: Tables,
    pub queue: Queue,
    pub lot: Lot,
    pub outside: Outside,
    pub net: Net,
    pub nodes: Vec<Node>,
    pub tasks: JoinSet<()>,
    pub finished: Finished,
    pub waiting: BTreeMap<(usize, u64), Waiting>,
    pub told: Arc<Mutex<Told>>,
    pub begin: Instant,
    /// Told when there may be something to do.
    stir: Arc<Notify>,
    /// Calls of processes so far.
    pub runs: u64,
    /// Calls of AWS since the first batches have ended.
    pub calls: usize,
    pub phase: Phase,
    /// When the phase ends, if it has not ended by itself.
    until: i64,
    /// Minutes that the rule has told.
    pub minute: i64,
    pub keys: Vec<String>,
    /// Commits that are to be repeated, and when.
    pub replays: Vec<(i64, Parked)>,
    /// Ids of batches that nobody can read.
    pub unknown: BTreeSet<String>,
    pub wrong: Vec<String>,
    pub trace: Option<Vec<String>>,
}

/// The three parts of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first batches make the first rows, undisturbed.
    Begin,
    /// Clients, processes and faults.
    Work,
    /// No new faults; all work is done.
    Drain,
}

/// Events before faults stop.
const EVENTS: usize = 2_000;
/// Events after which a schedule that has not ended never will.
const MOST_EVENTS: usize = 40_000;
/// Looks of the sweep after which what has not ended never will: a batch that is paused for a day takes some thirty.
const MOST_LOOKS: usize = 300;
/// The longest wait for something to happen, in milliseconds: what needs no call is noticed then.
const IDLE_MS: i64 = 2_000;

/// A week.
const LONG_LEASE_MS: i64 = 7 * 24 * 3_600_000;

impl Schedule {
    pub fn new(mut rng: Rng, mut setup: Setup, mutant: Option<Mutant>, traced: bool) -> Self {
        if mutant == Some(Mutant::LongLease) {
            setup.limits.lease_ms = LONG_LEASE_MS;
        }
        let (begin, stir) = (Instant::now(), Arc::<Notify>::default());
        let lot = Lot::new(stir.clone(), begin);
        let kind = setup.work.kind();
        let of = Of { kind, limits: setup.limits, lot: &lot, begin };
        let node = |(number, skew): (usize, &i64)| Node::new(number, (rng.next(), *skew), &of);
        let nodes = setup.skews.iter().enumerate().map(node).collect();
        let database = database();
        let keys = TENANTS.iter().map(|tenant| api_key(&database, tenant, &mut rng)).collect();
        let faults = std::mem::replace(&mut setup.faults, Faults::none(Counters::new()));
        Self {
            rng,
            setup,
            faults,
            mutant,
            counted: Counted::default(),
            tables: Tables::new(database, mutant),
            queue: Queue::default(),
            lot,
            outside: Outside::new(),
            net: Net::new(stir.clone()),
            nodes,
            tasks: JoinSet::new(),
            finished: Finished::new(stir.clone()),
            waiting: BTreeMap::new(),
            told: Arc::default(),
            begin,
            stir,
            runs: 0,
            calls: 0,
            phase: Phase::Begin,
            until: i64::MAX,
            minute: 0,
            keys,
            replays: Vec::new(),
            unknown: BTreeSet::new(),
            wrong: Vec::new(),
            trace: traced.then(Vec::new),
        }
    }

    /// Virtual time, in milliseconds.
    pub fn now(&self) -> i64 {
        since(self.begin)
    }

    pub fn log(&mut self, line: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>8} {}", line()));
        }
    }

    /// Runs everything.
    pub async fn run(&mut self) {
        let counters = std::mem::take(&mut self.faults.counters);
        let faults = std::mem::replace(&mut self.faults, Faults::none(counters));
        self.client(BTreeMap::new(), (0..TENANTS.len()).map(Deed::Submit).collect());
        self.until_quiet(EVENTS).await;
        self.faults = faults.with(std::mem::take(&mut self.faults.counters));
        self.phase = Phase::Work;
        for script in std::mem::take(&mut self.setup.scripts) {
            self.client(BTreeMap::new(), script);
        }
        self.until = self.now() + self.setup.work_ms;
        self.until_quiet(EVENTS).await;
        self.until = i64::MAX;
        self.drain().await;
    }

    fn client(&mut self, known: BTreeMap<usize, Known>, script: Vec<Deed>) {
        let client = Client {
            net: self.net.clone(),
            rng: Rng::new(self.rng.next()),
            told: self.told.clone(),
            work: self.setup.work.clone(),
            begin: self.begin,
            known,
            built: BTreeMap::new(),
        };
        self.tasks.spawn(client.run(script));
    }

    /// Events until nothing is left to do, at most so many.
    async fn until_quiet(&mut self, most: usize) {
        for _ in 0..most {
            if self.now() >= self.until {
                return;
            }
            let pause = 1 + self.rng.below_ms(self.setup.pace);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            while self.tasks.try_join_next().is_some() {}
            self.collect();
            self.limit();
            self.tick();
            if self.event() {
                continue;
            }
            self.pass().await;
            let busy = !self.tasks.is_empty();
            let dead = self.queue.next_dead_at().filter(|_| self.setup.buries);
            let next = self.queue.next_at().into_iter().chain(dead).min();
            if !busy && next.is_none() && self.lot.calls().is_empty() {
                return;
            }
            let longest = if busy { IDLE_MS } else { i64::MAX };
            let wait = next.map(|at| at - self.now()).filter(|wait| *wait > 0).unwrap_or(IDLE_MS).min(longest);
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(1));
            drop(tokio::time::timeout(wait, self.stir.notified()).await);
        }
    }

    /// Without faults: everything that was accepted must end now.
    async fn drain(&mut self) {
        self.phase = Phase::Drain;
        (self.setup.pace, self.setup.delivery_ms) = (1, DELIVERY_MS);
        let counters = std::mem::take(&mut self.faults.counters);
        self.faults = Faults::none(counters);
        self.outside.orby.books(|books| books.hold(false));
        for node in &self.nodes {
            if let Some(busy) = &node.busy {
                busy.gate.open();
            }
        }
        self.replay_all().await;
        self.told.lock().unwrap_or_else(PoisonError::into_inner).calm_at = self.now();
        self.log(|| "faults stop".into());
        self.queue.revive(self.now());
        for _ in 0..MOST_LOOKS {
            self.until_quiet(MOST_EVENTS).await;
            if self.queue.redrive(self.now(), &self.unknown) > 0 {
                continue;
            }
            let paused = self.paused();
            if self.setup.resumes && !paused.is_empty() {
                let script = paused.keys().copied().map(Deed::Resume).collect();
                self.client(paused, script);
                continue;
            }
            let Some(minute) = self.next_look() else { break };
            let wait = u64::try_from(minute * 60_000 - self.now()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.minute = self.minute.max(minute);
            self.outside.advance();
            self.queue.send(&tick(minute), self.now());
        }
        for _ in 0..self.queue.deaths {
            self.faults.count(Fault::MessageDead);
        }
        let open: Vec<String> = self.open().into_iter().map(|(pk, _, status)| format!("{pk} is {status}")).collect();
        if !open.is_empty() {
            self.wrong.push(format!("I1: nobody looks any more at what has not ended: {open:?}"));
        }
    }

    /// The next minute whose sweep comes across a batch that has not ended.
    fn next_look(&self) -> Option<i64> {
        let next = self.looks().into_iter().flat_map(|look| SWEPT_MINUTES.map(|age| look + age));
        next.filter(|minute| *minute > self.minute).min()
    }

    /// Partitions of batches that have not ended or left locks, with when they were made and how they stand.
    fn open(&self) -> Vec<(&String, i64, &str)> {
        let lockers = lockers(&self.tables);
        let open = self.tables.heads.iter().filter_map(|pk| {
            let state = self.tables.item(&batch_key(pk, "A#STATE"));
            let created = int(self.tables.item(&batch_key(pk, "A#HEAD"))?, "created")?;
            let locks = pk.split("#B#").nth(1).is_some_and(|id| lockers.contains(id));
            let followed = self.setup.work.kind() == Kind::Content && is_followed(&self.tables, pk);
            let open = locks || followed || !state.is_some_and(is_terminal);
            open.then(|| (pk, created - BEGIN_MS, state.map_or("pending", |state| text(state, "status", "S"))))
        });
        open.collect()
    }

    /// The minutes for which the sweep looks at batches that have not ended: those in which they were made, and those
    /// at which they are due to be looked at again.
    fn looks(&self) -> Vec<i64> {
        let of = |(pk, created, _): (&String, i64, &str)| {
            let watch = self.tables.item(&batch_key(pk, "WATCH"));
            let due = watch.and_then(|watch| text(watch, "g_watch", "S").split('#').nth(1)?.parse::<i64>().ok());
            [Some(created.div_euclid(60_000)), due.map(|due| due - BEGIN_MS / 60_000)]
        };
        self.open().into_iter().flat_map(of).flatten().collect()
    }

    /// The batches that somebody has to resume.
    fn paused(&self) -> BTreeMap<usize, Known> {
        let paused = self.open().into_iter().filter(|(_, _, status)| *status == "paused");
        let known = paused.filter_map(|(pk, ..)| {
            let (tenant, id) = pk.strip_prefix("T#")?.split_once("#B#")?;
            let tenant = TENANTS.iter().position(|known| *known == tenant)?;
            Some(Known { tenant, id: id.to_owned(), accepted: true, seen: (0, 0) })
        });
        known.enumerate().collect()
    }

    /// The rule of the minute. A sweep that would find nothing changes nothing: most of those are left out.
    fn tick(&mut self) {
        let now = self.now();
        if self.phase == Phase::Drain || self.minute >= now / 60_000 {
            return;
        }
        let looks = self.looks();
        while self.minute < now / 60_000 {
            self.minute += 1;
            let finds = looks.iter().any(|look| SWEPT_MINUTES.contains(&(self.minute - look)));
            if finds || self.rng.sometimes(30) {
                self.queue.send(&tick(self.minute), now);
            }
        }
    }

    /// What clients were told, once they have ended.
    pub fn told(&self) -> Told {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The event of the minute rule.
fn tick(minute: i64) -> String {
    let time = Timestamp(BEGIN_MS).plus_ms(minute * 60_000).to_string();
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string()
}
