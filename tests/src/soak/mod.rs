//! The soak: thousands of batches of every kind by several clients and executors over one store that keeps failing.
//!
//! Clients repeat what was not answered, executors take messages that come twice, late or not at all, the minute tells
//! what was forgotten. Then faults stop, and everything that was accepted must have ended, and the tables must be what
//! the results told say: each effect once, no effect without its result, every counter and unique value in its place.
//!
//! `work` says what is sent, `client` and `executor` who does it, `check` what must hold.

mod check;
mod client;
mod executor;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batch_core::limits::Limits;
use batch_core::model::Model;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::World;
use crate::seam::{Counts, Trouble};

const CLIENTS: usize = 8;
const EXECUTORS: usize = 3;
/// One call in twenty fails.
const FAULTS_PER_MILLE: usize = 50;
/// The sweep looks at a batch for the last time when it is 15 minutes old.
const UNTIL_SWEPT: Duration = Duration::from_mins(20);

/// What a soak came to.
#[derive(Debug)]
pub struct Report {
    /// Batches by kind and status.
    pub batches: BTreeMap<(&'static str, String), usize>,
    /// Operations by status, with the code or the reason.
    pub operations: Counts,
    /// Calls of AWS.
    pub calls: Counts,
    /// What went wrong with them, and with messages.
    pub faults: Counts,
    /// Virtual time from the first batch to the last.
    pub took: Duration,
    /// Where effects, results and counters are not the same, in words.
    pub differences: Vec<String>,
}

/// A batch that was accepted.
#[derive(Debug)]
struct Sent {
    kind: &'static str,
    id: String,
    atomic: bool,
    /// Its operations; of a retry those of the batch it retries, which are more.
    operations: Arc<Vec<Value>>,
    /// What a client was answered that saw its end.
    answer: Option<Value>,
}

/// What clients and executors share.
#[derive(Debug)]
struct Soak {
    world: World,
    seed: u64,
    batches: usize,
    begun: AtomicUsize,
    over: AtomicBool,
    sent: Mutex<Vec<Sent>>,
    /// Ids of rows that were made, by entity.
    rows: Mutex<BTreeMap<String, Vec<Value>>>,
    queue: Mutex<executor::Queue>,
    /// Requests that were refused, by kind; and what was answered that should not have been.
    refused: Mutex<Counts>,
    wrong: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends `batches` batches, waits for their ends, and compares. One seed is one soak.
pub fn run(batches: usize, seed: u64) -> Report {
    run_and(batches, seed, |_| {})
}

/// The same, and does something to the world before it is compared with what was told.
pub fn run_and(batches: usize, seed: u64, then: impl Fn(&World)) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(soak(batches, seed, then))
}

async fn soak(batches: usize, seed: u64, then: impl Fn(&World)) -> Report {
    let model = Model::shipped().expect("the shipped model is right");
    let world = World::seeded(model, Limits::default(), seed).await;
    let soak = Arc::new(Soak {
        world,
        seed,
        batches,
        begun: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        sent: Mutex::default(),
        rows: Mutex::default(),
        queue: Mutex::new(executor::Queue::new(seed)),
        refused: Mutex::default(),
        wrong: Mutex::default(),
    });
    let begun = tokio::time::Instant::now();
    soak.world.seam.trouble(Trouble::new(seed, FAULTS_PER_MILLE));
    let (mut clients, mut executors) = (JoinSet::new(), JoinSet::new());
    for _ in 0..CLIENTS {
        clients.spawn(client::run(soak.clone()));
    }
    for _ in 0..EXECUTORS {
        executors.spawn(executor::run(soak.clone()));
    }
    executors.spawn(executor::tick(soak.clone()));
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client does not panic");
    }
    let took = begun.elapsed();
    tokio::time::sleep(UNTIL_SWEPT).await;
    soak.over.store(true, Ordering::Relaxed);
    while let Some(ended) = executors.join_next().await {
        ended.expect("an executor does not panic");
    }
    let trouble = soak.world.seam.calm().expect("there was trouble");
    let mut faults = trouble.faults;
    faults.extend(lock(&soak.queue).faults.clone());
    then(&soak.world);
    let (batches, operations, differences) = check::check(&soak).await;
    Report { batches, operations, calls: trouble.calls, faults, took, differences }
}
