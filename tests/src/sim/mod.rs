//! The simulator: the production code of submit, executor and status on one thread, under a schedule out of a seed.
//!
//! Several processes, each with its own clock and chance, share an embedded database and a queue. Every call they make
//! is parked at the SDK's HTTP client; which one runs next, and what happens to it, is decided by the seed, as is when a
//! process takes a call or a message, crashes, freezes, or is ended. Then faults stop, everything that was accepted must
//! end, and what happened is held against the invariants of `docs/ARCHITECTURE.md`. One seed is one schedule.
//!
//! Read `schedule` first, then `events` and `calls`; `oracle` says what must hold, `mutant` how to see that it would
//! notice.

mod calls;
mod client;
mod events;
mod fault;
mod mutant;
mod oracle;
mod process;
mod queue;
mod rng;
mod schedule;
mod seam;
mod tables;
mod wire;
mod workload;

pub use fault::{Counters, Fault};
pub use mutant::Mutant;
pub(crate) use rng::Rng;

use schedule::Schedule;

/// What became of a schedule.
#[derive(Debug)]
pub struct Report {
    /// Faults that happened.
    pub faults: Counters,
    /// Calls of AWS that changed something.
    pub writes: usize,
    /// Batches that were sent.
    pub batches: usize,
    /// Invariants that do not hold, in words.
    pub wrong: Vec<String>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs the schedule of `seed`.
///
/// # Panics
/// When the simulator itself is broken.
pub fn run(seed: u64, mutant: Option<Mutant>, traced: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut schedule = Schedule::new(seed, mutant, traced);
        schedule.run().await;
        let told = schedule.told();
        let mut wrong = schedule.wrong;
        wrong.extend(oracle::check(&schedule.tables, &told, &schedule.batches, schedule.limits.actions));
        Report {
            faults: schedule.faults.counters,
            writes: schedule.tables.steps.len(),
            batches: schedule.batches.len(),
            wrong,
            trace: schedule.trace.unwrap_or_default(),
        }
    })
}
