//! One schedule: what happens next is decided by the seed, again and again, until everything has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use batch_core::auth::{ApiKey, ApiKeyRecord};
use batch_core::limits::{Limits, SWEPT_MINUTES};
use batch_core::runtime::Timestamp;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Client, Net, Told};
use super::fault::{Counters, Fault, Faults};
use super::mutant::Mutant;
use super::oracle::is_terminal;
use super::process::{BEGIN_MS, Finished, Node, since};
use super::queue::Queue;
use super::rng::{Rng, entropy};
use super::seam::Lot;
use super::tables::Tables;
use super::wire::int;
use super::workload::{self, Batch, TENANTS};
use crate::Answer;
use crate::seam::dispatch;

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
    pub faults: Faults,
    pub tables: Tables,
    pub queue: Queue,
    pub lot: Lot,
    pub net: Net,
    pub nodes: Vec<Node>,
    pub tasks: JoinSet<()>,
    pub finished: Finished,
    pub waiting: BTreeMap<(usize, u64), Waiting>,
    pub told: Arc<Mutex<Told>>,
    pub batches: Vec<Batch>,
    pub limits: Limits,
    pub begin: Instant,
    /// Virtual time between two events, at most, in milliseconds.
    pub pace: u64,
    /// Calls of processes so far.
    pub runs: u64,
    /// Whether the end has come: no new faults, all work is done.
    pub draining: bool,
    /// Minutes that the rule has told.
    pub minute: i64,
    pub keys: Vec<String>,
    pub wrong: Vec<String>,
    pub trace: Option<Vec<String>>,
}

/// Events before faults stop.
const EVENTS: usize = 2_000;
/// Events after which a schedule that has not ended never will.
const MOST_EVENTS: usize = 40_000;

impl Schedule {
    pub fn new(seed: u64, mutant: Option<Mutant>, traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let begin = Instant::now();
        let mut faults = Faults::new(&mut rng);
        let lot = Lot::default();
        let limits = limits(&mut rng, &mut faults);
        let count = 2 + rng.below(4);
        let mut nodes = Vec::new();
        for number in 0..count {
            let skewed = faults.happens(Fault::Skewed, 500, &mut rng);
            let skew = if skewed { i64::try_from(rng.below(600_001)).unwrap_or(0) - 300_000 } else { 0 };
            nodes.push(Node::new(number, (rng.next(), skew), limits, &lot, begin));
        }
        let database = batch_local::database_in_memory().expect("an empty database");
        let keys = TENANTS.iter().map(|tenant| api_key(&database, tenant, &mut rng)).collect();
        let pace = *rng.of(&[1, 1, 4, 30, 250]);
        Self {
            rng,
            faults,
            tables: Tables::new(database, mutant),
            queue: Queue::default(),
            lot,
            net: Net::default(),
            nodes,
            tasks: JoinSet::new(),
            finished: Finished::default(),
            waiting: BTreeMap::new(),
            told: Arc::default(),
            batches: Vec::new(),
            limits,
            begin,
            pace,
            runs: 0,
            draining: false,
            minute: 0,
            keys,
            wrong: Vec::new(),
            trace: traced.then(Vec::new),
        }
    }

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
        let begun = std::mem::replace(&mut self.faults, Faults::none(Counters::new()));
        let first = (0..TENANTS.len()).map(workload::beginning).collect();
        self.clients(vec![first]);
        self.until_quiet(EVENTS).await;
        self.faults = begun;
        let clients = 2 + self.rng.below(3);
        let mut all = Vec::new();
        for _ in 0..clients {
            let count = 1 + self.rng.below(3);
            let mut own = Vec::new();
            for _ in 0..count {
                own.push(workload::batch(
                    &mut self.rng,
                    self.batches.len() + all.iter().map(Vec::len).sum::<usize>() + own.len(),
                ));
            }
            all.push(own);
        }
        self.clients(all);
        self.until_quiet(EVENTS).await;
        self.drain().await;
    }

    fn clients(&mut self, all: Vec<Vec<Batch>>) {
        for own in all {
            let numbered = own.into_iter().map(|batch| {
                self.batches.push(batch.clone());
                (self.batches.len() - 1, batch)
            });
            let numbered = numbered.collect();
            let client = Client { net: self.net.clone(), rng: Rng::new(self.rng.next()), told: self.told.clone() };
            self.tasks.spawn(client.run(numbered));
        }
    }

    /// Events until nothing is left to do, at most so many.
    async fn until_quiet(&mut self, most: usize) {
        for _ in 0..most {
            let pause = 1 + self.rng.below_ms(self.pace);
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
            match self.queue.next_at() {
                _ if busy => tokio::time::sleep(Duration::from_millis(5)).await,
                Some(at) => {
                    let wait = u64::try_from(at - self.now()).unwrap_or(0);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                None if self.lot.calls().is_empty() => return,
                None => {}
            }
        }
    }

    /// Without faults: everything that was accepted must end now.
    async fn drain(&mut self) {
        self.draining = true;
        self.pace = 1;
        let counters = std::mem::take(&mut self.faults.counters);
        self.faults = Faults::none(counters);
        for node in &self.nodes {
            if let Some(busy) = &node.busy {
                busy.gate.open();
            }
        }
        self.log(|| "faults stop".into());
        for _ in 0..40 {
            self.until_quiet(MOST_EVENTS).await;
            let (dead, sent) = self.queue.redrive(self.now());
            for _ in 0..dead {
                self.faults.count(Fault::MessageDead);
            }
            if sent > 0 {
                continue;
            }
            let Some(time) = self.next_sweep() else { return };
            self.queue.send(&tick(time), self.now());
        }
        self.wrong.push("I1: not everything ends".into());
    }

    /// A minute whose sweep finds something that has not ended: the rule's events come at least once.
    fn next_sweep(&self) -> Option<i64> {
        self.unfinished().into_iter().map(|minute| minute + 2).min()
    }

    /// The minutes in which batches were made that have not ended.
    fn unfinished(&self) -> Vec<i64> {
        let heads = self.tables.heads.iter().filter_map(|pk| {
            let key = |sk: &str| ("BatchesTable".to_owned(), pk.clone(), sk.to_owned());
            let state = self.tables.item(&key("A#STATE"));
            let ended = state.is_some_and(is_terminal);
            int(self.tables.item(&key("A#HEAD"))?, "created").filter(|_| !ended)
        });
        heads.map(|created| (created - BEGIN_MS).div_euclid(60_000)).collect()
    }

    /// The rule of the minute. A sweep that would find nothing changes nothing: most of those are left out.
    fn tick(&mut self) {
        let now = self.now();
        if self.draining || self.minute >= now / 60_000 {
            return;
        }
        let unfinished = self.unfinished();
        while self.minute < now / 60_000 {
            self.minute += 1;
            let finds = unfinished.iter().any(|made| SWEPT_MINUTES.contains(&(self.minute - made)));
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

fn limits(rng: &mut Rng, faults: &mut Faults) -> Limits {
    if rng.sometimes(200) {
        return Limits::default();
    }
    faults.count(Fault::TinyLimits);
    Limits {
        actions: *rng.of(&[6, 9, 14, 100]),
        bytes: *rng.of(&[300, 3_500_000]),
        chunk_operations: 1 + rng.below(3),
        inline_results: *rng.of(&[24, 200, 8_192]),
        wide_actions: 0,
        ..Limits::default()
    }
}

/// The event of the minute rule.
fn tick(minute: i64) -> String {
    let time = Timestamp(BEGIN_MS).plus_ms(minute * 60_000).to_string();
    json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string()
}

fn api_key(database: &dynoxide::Database, tenant: &str, rng: &mut Rng) -> String {
    let key = ApiKey::generate(&entropy(rng.next()).bytes());
    let record = ApiKeyRecord {
        id: key.id().clone(),
        hash: key.sha256_hex(),
        tenant: tenant.try_into().expect("a tenant"),
        subject: "client".try_into().expect("a subject"),
        roles: std::iter::empty().collect(),
        claims: serde_json::Map::new(),
        created_at: Timestamp(BEGIN_MS),
        expires_at: None,
    };
    let record = serde_json::to_string(&record).expect("a record");
    let item = json!({ "pk": { "S": format!("K#{}", key.id().as_str()) }, "record": { "S": record } });
    let put: Value = json!({ "TableName": "ControlTable", "Item": item });
    dispatch(database, "PutItem", put).expect("the key is stored");
    key.expose().to_owned()
}
