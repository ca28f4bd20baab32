//! What a schedule begins with, by chance.

use std::sync::Arc;

use batch_core::limits::Limits;

use super::Crash;
use super::content::{self, Job};
use super::fault::{Fault, Faults};
use super::intents::{self, Wish};
use super::kind::Kind;
use super::rng::Rng;
use super::script::{self, Deed};
use super::workload::{self, Batch, TENANTS};

/// What clients send, by number.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Records(Arc<Vec<Batch>>),
    Content(Arc<Vec<Job>>),
    Intents(Arc<Vec<Wish>>),
}

impl Work {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Records(_) => Kind::Records,
            Self::Content(_) => Kind::Content,
            Self::Intents(_) => Kind::Intents,
        }
    }

    /// How many batches there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Records(batches) => batches.len(),
            Self::Content(jobs) => jobs.len(),
            Self::Intents(wishes) => wishes.len(),
        }
    }
}

/// Everything that is decided before the first event.
#[derive(Debug)]
pub(super) struct Setup {
    pub limits: Limits,
    /// How wrong the clock of each process is, in milliseconds.
    pub skews: Vec<i64>,
    /// The first of them, one for each tenant, are there before anything else happens.
    pub work: Work,
    /// What each client does.
    pub scripts: Vec<Vec<Deed>>,
    pub faults: Faults,
    /// Virtual time between two events, at most, in milliseconds.
    pub pace: u64,
    /// How long there are faults, at most, in milliseconds.
    pub work_ms: i64,
    /// How long a process may work on a delivery, in milliseconds.
    pub delivery_ms: i64,
    /// Whether somebody resumes what is paused when faults stop; if not, its day passes.
    pub resumes: bool,
    /// Whether dead messages are delivered as such; if not, they are sent again by an operator.
    pub buries: bool,
    /// The only fault of a scenario.
    pub crash: Option<Crash>,
    /// Messages of the beginning that are lost, or die.
    pub lost: usize,
    pub dead: usize,
    /// After so many events of a thousand a block is made, or Orby goes on with what it took.
    pub blocks: usize,
}

/// Time limit of a delivery, in milliseconds: that of the function.
pub(super) const DELIVERY_MS: i64 = 60_000;

const MINUTE_MS: i64 = 60_000;

impl Setup {
    pub fn random(rng: &mut Rng, kind: Kind) -> Self {
        match kind {
            Kind::Records => Self::records(rng),
            Kind::Content => Self::outside(rng, kind, |rng| {
                let jobs = content::random(rng);
                let scripts = script::scripts(rng, jobs.len(), content::script);
                (Work::Content(Arc::new(jobs)), scripts)
            }),
            Kind::Intents => Self::outside(rng, kind, |rng| {
                let wishes = intents::random(rng);
                let scripts = script::scripts(rng, wishes.len(), intents::script);
                (Work::Intents(Arc::new(wishes)), scripts)
            }),
        }
    }

    /// A schedule about what is outside of AWS.
    fn outside(rng: &mut Rng, kind: Kind, work: impl Fn(&mut Rng) -> (Work, Vec<Vec<Deed>>)) -> Self {
        let mut faults = Faults::new(rng, kind);
        let mut limits = limits(rng, &mut faults);
        limits.in_chain = *rng.of(&[1, 2, 3, 5, 20]);
        let skews = skews(rng, &mut faults);
        let (work, scripts) = work(rng);
        let (delivery_ms, pace) = (delivery_ms(rng), *rng.of(&[1, 4, 30, 250]));
        let work_ms = *rng.of(&[MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * 24 * 60 * MINUTE_MS]);
        let (buries, resumes) = (rng.sometimes(600), rng.sometimes(850));
        let blocks = *rng.of(&[10, 60, 300]);
        Self {
            limits,
            skews,
            work,
            scripts,
            faults,
            pace,
            work_ms,
            delivery_ms,
            resumes,
            buries,
            crash: None,
            lost: 0,
            dead: 0,
            blocks,
        }
    }

    fn records(rng: &mut Rng) -> Self {
        let mut faults = Faults::new(rng, Kind::Records);
        let mut limits = limits(rng, &mut faults);
        // Some schedules are all about wide commits that meet each other.
        let wide = rng.sometimes(180);
        if wide {
            (limits.actions, limits.wide_actions) = (*rng.of(&[2, 3, 4, 6]), Limits::default().wide_actions);
        }
        let relying = wide && rng.sometimes(400);
        let skews = skews(rng, &mut faults);
        let mut batches: Vec<Batch> = (0..TENANTS.len()).map(workload::beginning).collect();
        let mut scripts = Vec::new();
        let clients = 2 + rng.below(3);
        for _ in 0..clients {
            let from = batches.len();
            let until = from + 1 + rng.below(3);
            for number in from..until {
                let wide = wide && rng.sometimes(800);
                let batch = workload::batch(rng, number, wide);
                batches.push(if relying { workload::relying(rng, number, batch) } else { batch });
            }
            scripts.push(script::own(rng, from..until));
        }
        if rng.sometimes(350) {
            scripts.push(script::other(rng, TENANTS.len()..batches.len()));
        }
        let delivery_ms = delivery_ms(rng);
        let pace = *rng.of(&[1, 1, 4, 30, 250]);
        let work_ms = *rng.of(&[MINUTE_MS, 5 * MINUTE_MS, 2 * 24 * 60 * MINUTE_MS]);
        let (buries, resumes) = (rng.sometimes(600), rng.sometimes(850));
        Self {
            limits,
            skews,
            work: Work::Records(Arc::new(batches)),
            scripts,
            faults,
            pace,
            work_ms,
            delivery_ms,
            resumes,
            buries,
            crash: None,
            lost: 0,
            dead: 0,
            blocks: 0,
        }
    }
}

fn skews(rng: &mut Rng, faults: &mut Faults) -> Vec<i64> {
    let count = 2 + rng.below(4);
    let mut skews = Vec::new();
    for _ in 0..count {
        let skewed = faults.happens(Fault::Skewed, 500, rng);
        skews.push(if skewed { i64::try_from(rng.below(600_001)).unwrap_or(0) - 300_000 } else { 0 });
    }
    skews
}

/// A process with little time hands on what it does not get done.
fn delivery_ms(rng: &mut Rng) -> i64 {
    if rng.sometimes(120) { *rng.of(&[5_100, 5_600, 7_000]) } else { DELIVERY_MS }
}

fn limits(rng: &mut Rng, faults: &mut Faults) -> Limits {
    if rng.sometimes(200) {
        return Limits::default();
    }
    faults.count(Fault::TinyLimits);
    Limits {
        actions: *rng.of(&[4, 6, 9, 14, 100]),
        bytes: *rng.of(&[300, 3_500_000]),
        chunk_operations: 1 + rng.below(3),
        inline_results: *rng.of(&[24, 200, 8_192]),
        wide_actions: *rng.of(&[0, 20, 1_000, 1_000]),
        ..Limits::default()
    }
}
