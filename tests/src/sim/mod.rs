//! The simulator: the production code of submit, executor and status on one thread, under a schedule out of a seed.
//!
//! Several processes, each with its own clock and chance, share an embedded database and a queue. Every call they make
//! is parked at the SDK's HTTP client; which one runs next, and what happens to it, is decided by the seed, as is when a
//! process takes a call or a message, crashes, freezes, or is ended. Then faults stop, everything that was accepted must
//! end, and what happened is held against the invariants of `docs/ARCHITECTURE.md`. One seed is one schedule.
//!
//! Read `schedule` first, then `events` and `calls`; `oracle` says what must hold, `mutant` how to see that it would
//! notice.

mod acts;
mod calls;
mod checks;
mod client;
mod content;
mod counter;
mod events;
mod fault;
mod intents;
mod kind;
mod mischief;
mod mutant;
mod oracle;
mod outside;
mod process;
mod queue;
mod rng;
mod scenario;
mod schedule;
mod script;
mod seam;
mod setup;
mod tables;
mod wire;
mod workload;

pub use fault::{Counters, Fault};
pub use kind::Kind;
pub use mutant::Mutant;
pub(crate) use rng::Rng;

use std::collections::BTreeSet;

use schedule::Schedule;
use setup::Setup;

/// What became of a schedule.
#[derive(Debug)]
pub struct Report {
    /// Faults that happened.
    pub faults: Counters,
    /// Calls of AWS that changed something.
    pub writes: usize,
    /// Calls of AWS that processes waited for, once the first rows were there.
    pub calls: usize,
    /// Batches that were sent.
    pub batches: usize,
    /// Statuses that batches came by.
    pub statuses: BTreeSet<String>,
    /// Invariants that do not hold, in words.
    pub wrong: Vec<String>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs the schedule of a kind that `seed` is.
///
/// # Panics
/// When the simulator itself is broken.
pub fn run(kind: Kind, seed: u64, mutant: Option<Mutant>, traced: bool) -> Report {
    let mut rng = Rng::new(seed);
    let setup = Setup::random(&mut rng, kind);
    simulate(rng, setup, mutant, traced)
}

/// Where the only crash of a scenario is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before the call of this number, which is not carried out.
    Before(usize),
    /// After it: its answer is lost with the process.
    After(usize),
}

/// The scenarios' names.
pub fn scenarios() -> Vec<&'static str> {
    scenario::ALL.iter().map(|scenario| scenario.name).collect()
}

/// Seeds tried for a schedule of a scenario that shows what it is about.
const SCENARIO_SEEDS: u64 = 50;

/// The first seed that has a scenario show what it is about when nothing goes wrong; `None` when none does.
///
/// # Panics
/// When there is no such scenario.
pub fn scenario_seed(place: usize) -> Option<u64> {
    let shows = scenario::ALL[place].shows;
    (0..SCENARIO_SEEDS).find(|seed| run_scenario(place, *seed, None, false).statuses.contains(shows))
}

/// Runs the scenario of that place in the list under the schedule of a seed, with a crash or without any fault.
///
/// # Panics
/// When there is no such scenario.
pub fn run_scenario(place: usize, seed: u64, crash: Option<Crash>, traced: bool) -> Report {
    let setup = Setup { crash, ..(scenario::ALL[place].setup)() };
    simulate(Rng::new(seed), setup, None, traced)
}

fn simulate(rng: Rng, setup: Setup, mutant: Option<Mutant>, traced: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut schedule = Schedule::new(rng, setup, mutant, traced);
        schedule.run().await;
        let told = schedule.told();
        let mut wrong = schedule.wrong;
        wrong.extend(oracle::check(&schedule.tables, &told, &schedule.setup, &schedule.outside));
        Report {
            faults: schedule.faults.counters,
            writes: schedule.tables.steps.len(),
            calls: schedule.calls,
            batches: schedule.setup.work.len(),
            statuses: schedule.tables.statuses(),
            wrong,
            trace: schedule.trace.unwrap_or_default(),
        }
    })
}
