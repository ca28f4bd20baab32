//! A process: the production code with its own clock and chance, one call at a time, that can crash and freeze.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use batch_core::app::{App, Parts};
use batch_core::auth::{Fetch, FetchFailed};
use batch_core::config::{Config, Function};
use batch_core::http::{self, Response};
use batch_core::limits::Limits;
use batch_core::metrics::Metrics;
use batch_core::model::Model;
use batch_core::runtime::{Clock, Timestamp};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::kind::Kind;
use super::rng;
use super::seam::Lot;
use super::workload::MODEL;
use crate::world::{config, stacks_settings};

/// When time begins: 2026-01-01T00:00:00Z.
pub(super) const BEGIN_MS: i64 = 1_767_225_600_000;

/// Nobody here has a token, and a client that could fetch keys would read all the machine's certificates at each start.
fn no_keys() -> Fetch {
    Box::new(|| Box::pin(async { Err(FetchFailed("there are none".to_owned())) }))
}

/// Virtual time since the beginning, in milliseconds.
pub(super) fn since(begin: Instant) -> i64 {
    i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// The end of a call.
#[derive(Debug)]
pub(super) enum Done {
    Answered(Response),
    /// The messages that are to be delivered again.
    Delivered(Vec<String>),
}

/// The end of a call, with the process and the number of its call.
type End = (usize, u64, Done);

/// Ends of calls.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    ends: Arc<Mutex<Vec<End>>>,
    stir: Arc<Notify>,
}

impl Finished {
    /// `stir` is told of every end.
    pub fn new(stir: Arc<Notify>) -> Self {
        Self { ends: Arc::default(), stir }
    }

    fn push(&self, end: End) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).push(end);
        self.stir.notify_one();
    }

    /// Those since this was last asked.
    pub fn take(&self) -> Vec<End> {
        std::mem::take(&mut self.ends.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stops a call without ending it.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }

    pub fn open(&self) {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gate.0 = false;
        if let Some(waker) = gate.1.take() {
            waker.wake();
        }
    }

    pub fn is_closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A call that stands still while its gate is closed.
struct Gated<F> {
    gate: Gate,
    call: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Gated<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        {
            let mut gate = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
            if gate.0 {
                gate.1 = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        self.call.as_mut().poll(context)
    }
}

/// The call a process is at.
#[derive(Debug)]
pub(super) struct Busy {
    pub run: u64,
    pub gate: Gate,
    /// When it is ended, unless it ends by itself.
    pub until: i64,
    /// Whether it goes on after that all the same.
    pub zombie: bool,
    pub on: On,
    abort: AbortHandle,
}

/// On whose behalf a process works.
#[derive(Debug, Default)]
pub(super) struct On {
    pub tenants: BTreeSet<String>,
    /// Batches of its messages.
    pub batches: BTreeSet<String>,
    /// Whether it serves a message that is no tenant's.
    pub sweeps: bool,
}

impl On {
    pub fn behalf_of<const N: usize>(tenants: [String; N]) -> Self {
        Self { tenants: BTreeSet::from(tenants), ..Self::default() }
    }
}

/// What all processes have in common.
pub(super) struct Of<'a> {
    pub kind: Kind,
    pub limits: Limits,
    pub lot: &'a Lot,
    pub begin: Instant,
}

/// The entities that schedules of this kind are about; each model is read once.
fn model(kind: Kind) -> Arc<Model> {
    static OWN: OnceLock<Arc<Model>> = OnceLock::new();
    static SHIPPED: OnceLock<Arc<Model>> = OnceLock::new();
    let model = if kind == Kind::Records {
        OWN.get_or_init(|| Model::from_yaml(MODEL).expect("the simulator's model is right").into())
    } else {
        SHIPPED.get_or_init(|| Model::shipped().expect("the shipped model is right").into())
    };
    model.clone()
}

fn settings(kind: Kind) -> Config {
    match kind {
        Kind::Records => Config { orby: None, ..config() },
        Kind::Content => Config { orby: None, stacks: Some(stacks_settings()), ..config() },
        Kind::Intents => config(),
    }
}

/// A process.
#[derive(Debug)]
pub(super) struct Node {
    pub number: usize,
    /// How wrong its clock is, in milliseconds.
    pub skew: i64,
    pub app: App,
    pub busy: Option<Busy>,
}

impl Node {
    pub fn new(number: usize, (seed, skew): (u64, i64), of: &Of<'_>) -> Self {
        let Of { kind, limits, lot, begin } = *of;
        let clock = Clock::from_fn(move || Timestamp(BEGIN_MS).plus_ms(since(begin) + skew));
        let parts = Parts {
            http: Some(lot.client(number)),
            stacks: (kind == Kind::Content).then(|| lot.stacks(number)),
            orby: (kind == Kind::Intents).then(|| lot.orby(number)),
            jwks: Some(no_keys()),
            clock,
            entropy: rng::entropy(seed),
            limits,
            metrics: Metrics::none(),
        };
        let app = App::assemble(settings(kind), model(kind), parts).expect("the app starts");
        Self { number, skew, app, busy: None }
    }

    fn start<F>(&mut self, tasks: &mut JoinSet<()>, of: Call, call: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let gate = Gate::default();
        let abort = tasks.spawn(Gated { gate: gate.clone(), call: Box::pin(call) });
        let Call { run, now, limit, on } = of;
        self.busy = Some(Busy { run, gate, until: now + limit, zombie: false, on, abort });
    }

    /// Takes an HTTP call.
    pub fn answer(&mut self, tasks: &mut JoinSet<()>, finished: &Finished, of: Call, request: http::Request) {
        let (app, finished, node, run) = (self.app.clone(), finished.clone(), self.number, of.run);
        let function = if request.method == "GET" { Function::Status } else { Function::Submit };
        self.start(tasks, of, async move {
            let response = http::handle(&app, function, &request).await;
            finished.push((node, run, Done::Answered(response)));
        });
    }

    /// Takes a delivery of messages.
    pub fn deliver(&mut self, tasks: &mut JoinSet<()>, finished: &Finished, of: Call, event: &serde_json::Value) {
        let (app, finished, node, run) = (self.app.clone(), finished.clone(), self.number, of.run);
        let event = serde_json::from_value(event.clone()).expect("an SQS event");
        let mut context = lambda_runtime::Context::default();
        context.deadline = u64::try_from(app.clock().now().plus_ms(of.limit).0).unwrap_or(0);
        self.start(tasks, of, async move {
            let response = executor::handle(&app, lambda_runtime::LambdaEvent::new(event, context)).await;
            let again = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
            finished.push((node, run, Done::Delivered(again)));
        });
    }

    /// The process is gone, whatever it was at.
    pub fn crash(&mut self) {
        if let Some(busy) = self.busy.take() {
            busy.abort.abort();
        }
    }

    pub fn is_frozen(&self) -> bool {
        self.busy.as_ref().is_some_and(|busy| busy.gate.is_closed())
    }
}

/// What a process is to do.
#[derive(Debug)]
pub(super) struct Call {
    pub run: u64,
    pub now: i64,
    pub limit: i64,
    pub on: On,
}
