//! Named scenarios: a few batches each, chosen so that together they take every path there is. Each is run without any
//! fault, and then once more for each of its calls, with a crash before it and with one after it.

use std::sync::Arc;

use batch_core::limits::Limits;
use serde_json::{Value, json};

use super::fault::{Counters, Faults};
use super::script::Deed::{self, Analyse, Await, Cancel, Misuse, Pause, Poll, Results, Resume, Retry, Submit, Wait};
use super::setup::{DELIVERY_MS, Setup, Work};
use super::workload::{self, Action, Arg, Batch, Op, Prefer, TENANTS};

/// The number of a scenario's first batch; those before it make the first rows: nodes `a` (labelled `x`) and `b` (`y`),
/// and item 1 of `a`.
const FIRST: usize = TENANTS.len();
const SECOND: usize = FIRST + 1;

/// A scenario.
pub(super) struct Scenario {
    pub name: &'static str,
    /// A status that some batch must come by when nothing goes wrong.
    pub shows: &'static str,
    pub setup: fn() -> Setup,
}

fn of(batches: Vec<Batch>, scripts: &[&[Deed]]) -> Setup {
    let first = (0..TENANTS.len()).map(workload::beginning);
    Setup {
        limits: Limits::default(),
        skews: vec![0; 3],
        work: Work::Records(Arc::new(first.chain(batches).collect())),
        scripts: scripts.iter().map(|script| script.to_vec()).collect(),
        faults: Faults::none(Counters::new()),
        pace: 1,
        work_ms: i64::MAX / 2,
        delivery_ms: DELIVERY_MS,
        resumes: true,
        buries: true,
        crash: None,
        lost: 0,
        dead: 0,
        blocks: 0,
    }
}

impl Setup {
    fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Transactions of six items, so that most atomic batches take several.
    fn narrow(self) -> Self {
        self.limited(|limits| limits.actions = 6)
    }
}

fn batch(atomic: bool, ops: Vec<Op>) -> Batch {
    Batch { tenant: 0, ops, atomic, going_on: false, prefer: None, timeout: None, key: Some("1".to_owned()) }
}

fn atomic(ops: Vec<Op>) -> Batch {
    batch(true, ops)
}

fn each(ops: Vec<Op>) -> Batch {
    Batch { going_on: true, ..batch(false, ops) }
}

impl Batch {
    fn in_background(self) -> Self {
        Self { prefer: Some(Prefer::Async), ..self }
    }

    fn under(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}

fn op(entity: &'static str, action: Action, id: Option<Value>, set: &[(&'static str, Value)]) -> Op {
    let set = set.iter().map(|(name, value)| (*name, Arg::Known(value.clone()))).collect();
    Op { entity, action, id: id.map(Arg::Known), set, version: None, below: None, after: Vec::new() }
}

fn create(id: &str, set: &[(&'static str, Value)]) -> Op {
    op("node", Action::Create, Some(id.into()), set)
}

fn update(id: &str, set: &[(&'static str, Value)]) -> Op {
    op("node", Action::Update, Some(id.into()), set)
}

fn delete(id: &str) -> Op {
    op("node", Action::Delete, Some(id.into()), &[])
}

fn read(id: &str) -> Op {
    op("node", Action::Read, Some(id.into()), &[])
}

fn item(parent: &str) -> Op {
    op("item", Action::Create, None, &[("node_id", parent.into()), ("mark", "new".into())])
}

fn mark(text: &str) -> (&'static str, Value) {
    ("mark", text.into())
}

fn label(text: &str) -> (&'static str, Value) {
    ("label", text.into())
}

fn under(parent: &str) -> (&'static str, Value) {
    ("parent_id", parent.into())
}

fn taking(mut op: Op, field: &'static str, from: usize, of: &'static str) -> Op {
    op.set.push((field, Arg::Of(from, of)));
    op
}

/// Five operations, of which the fourth fails.
fn mixed() -> Vec<Op> {
    let last = taking(create("c", &[mark("five")]), "parent_id", 1, "node_id");
    vec![update("a", &[mark("one")]), update("b", &[mark("two")]), item("b"), update("d", &[mark("four")]), last]
}

/// More than one transaction of six items holds: rows, values, parents.
fn many() -> Vec<Op> {
    vec![
        create("c", &[label("z"), under("a")]),
        create("d", &[under("b"), mark("new")]),
        update("a", &[mark("changed")]),
        item("b"),
        read("b"),
    ]
}

fn same_rows() -> Vec<Op> {
    vec![
        update("a", &[mark("other"), label("w")]),
        update("b", &[mark("other")]),
        create("c", &[under("b")]),
        item("a"),
    ]
}

macro_rules! scenarios {
    ($($name:literal shows $shows:literal: $setup:expr;)*) => {
        /// Every scenario.
        pub(super) const ALL: &[Scenario] = &[$(Scenario { name: $name, shows: $shows, setup: || $setup },)*];
    };
}

scenarios! {
    "atomic" shows "completed": of(vec![atomic(vec![update("a", &[mark("new")]), create("c", &[under("a")])])], &[&[Submit(FIRST), Poll(FIRST)]]);
    "atomic in the background" shows "completed": of(vec![atomic(mixed()[..3].to_vec()).in_background()], &[&[Submit(FIRST), Await(FIRST)]]);
    "atomic and failing" shows "failed": of(vec![atomic(mixed())], &[&[Submit(FIRST), Results(FIRST)]]);
    "chunks" shows "partial": of(vec![each(mixed())], &[&[Submit(FIRST), Results(FIRST)]]).limited(|limits| limits.chunk_operations = 2);
    "chunks in the background" shows "running": of(vec![each(mixed()).in_background()], &[&[Submit(FIRST), Await(FIRST)]]).limited(|limits| limits.chunk_operations = 1);
    "stopped at the first failure" shows "partial": of(vec![batch(false, mixed())], &[&[Submit(FIRST), Analyse(FIRST)]]).limited(|limits| limits.chunk_operations = 2);
    "references" shows "completed": of(vec![each(vec![create("c", &[mark("told")]), taking(update("a", &[]), "mark", 0, "mark"), taking(op("item", Action::Create, None, &[]), "node_id", 0, "node_id")])], &[&[Submit(FIRST)]]).limited(|limits| limits.chunk_operations = 1);
    "one value for two" shows "failed": of(vec![atomic(vec![create("c", &[label("z")])]), atomic(vec![create("d", &[label("z")])]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "one value for two, in chunks" shows "failed": of(vec![each(vec![update("a", &[label("z")])]), each(vec![update("b", &[label("z")])]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "one key for two" shows "failed": of(vec![atomic(vec![create("c", &[mark("1")])]), atomic(vec![create("c", &[mark("2")])]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "one row for two" shows "completed": of(vec![atomic(vec![update("a", &[mark("1")]), update("b", &[mark("1")])]), atomic(vec![update("b", &[mark("2")]), update("a", &[mark("2")])]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "an expected version" shows "failed": of(vec![atomic(vec![Op { version: Some(1), ..update("a", &[mark("1")]) }]), atomic(vec![Op { version: Some(1), ..update("a", &[mark("2")]) }]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "a child while its parent goes" shows "failed": of(vec![atomic(vec![item("b"), create("c", &[under("b")])]), atomic(vec![delete("b")]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "a child changes its parent" shows "completed": of(vec![atomic(vec![op("item", Action::Update, Some(1.into()), &[("node_id", "b".into())])]), each(vec![delete("a"), delete("b")]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "deleted and made again" shows "completed": of(vec![atomic(vec![delete("b")]), atomic(vec![create("b", &[label("y"), mark("again")])]).under("2")], &[&[Submit(FIRST), Submit(SECOND)]]);
    "read as of one moment" shows "completed": of(vec![atomic(vec![read("a"), read("b")]), atomic(vec![update("a", &[mark("1")]), update("b", &[mark("1")])]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "read and relied on" shows "completed": of(vec![atomic(vec![read("a"), taking(update("b", &[]), "mark", 0, "mark")]), atomic(vec![read("b"), taking(update("a", &[]), "mark", 0, "mark")]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "searches" shows "completed": of(vec![each(vec![Op { below: Some(Arg::Known(json!("a"))), ..op("item", Action::Read, None, &[]) }, item("a")]), each(vec![item("a")]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "integer keys" shows "completed": of(vec![each(vec![item("a"), item("b")]), atomic(vec![item("a"), item("a")]).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "results in parts" shows "partial": of(vec![each(mixed())], &[&[Submit(FIRST), Results(FIRST)]]).limited(|limits| (limits.inline_results, limits.chunk_operations) = (24, 2));
    "handed to the queue" shows "completed": of(vec![Batch { prefer: Some(Prefer::Wait(0)), ..each(mixed()[..3].to_vec()) }], &[&[Submit(FIRST), Await(FIRST)]]);
    "sent twice under a key" shows "completed": of(vec![atomic(mixed()[..3].to_vec())], &[&[Submit(FIRST), Misuse(FIRST)], &[Submit(FIRST)]]);
    "sent again later" shows "completed": of(vec![each(mixed()[..3].to_vec()).in_background()], &[&[Submit(FIRST), Wait(6_000), Submit(FIRST)]]);
    "out of time" shows "timed_out": of(vec![Batch { timeout: Some(4), ..each(mixed()).in_background() }], &[&[Submit(FIRST), Await(FIRST), Analyse(FIRST)]]).limited(|limits| limits.chunk_operations = 1);
    "cancelled" shows "cancelled": of(vec![each(mixed()).in_background()], &[&[Submit(FIRST), Cancel(FIRST), Poll(FIRST)]]).limited(|limits| limits.chunk_operations = 1);
    "cancelled by another" shows "completed": of(vec![atomic(mixed()[..3].to_vec())], &[&[Submit(FIRST)], &[Wait(4), Cancel(FIRST)]]);
    "paused and resumed" shows "paused": of(vec![each(mixed()).in_background()], &[&[Submit(FIRST), Pause(FIRST), Wait(100), Resume(FIRST), Await(FIRST)]]).limited(|limits| limits.chunk_operations = 1);
    "paused for a day" shows "timed_out": Setup { resumes: false, ..of(vec![each(mixed()).in_background()], &[&[Submit(FIRST), Pause(FIRST)]]).limited(|limits| limits.chunk_operations = 1) };
    "retried" shows "partial": of(vec![each(mixed()), each(vec![create("d", &[])]).under("2")], &[&[Submit(FIRST), Submit(SECOND), Analyse(FIRST), Retry(FIRST, true), Await(FIRST), Results(FIRST)]]);
    "retried to the end of the line" shows "failed": of(vec![atomic(mixed())], &[&[Submit(FIRST), Retry(FIRST, true), Await(FIRST), Retry(FIRST, false), Await(FIRST), Retry(FIRST, true), Await(FIRST), Retry(FIRST, true)]]);
    "a call too short for it" shows "running": Setup { delivery_ms: 5_012, ..of(vec![each(mixed()).in_background()], &[&[Submit(FIRST), Await(FIRST)]]).limited(|limits| limits.chunk_operations = 1) };
    "a lost message" shows "completed": Setup { lost: 1, ..of(vec![each(mixed()[..2].to_vec()).in_background()], &[&[Submit(FIRST)]]) };
    "a dead message" shows "failed": Setup { dead: 1, ..of(vec![each(mixed()[..2].to_vec()).in_background()], &[&[Submit(FIRST), Await(FIRST), Analyse(FIRST)]]) };
    "a dead message, sent again" shows "completed": Setup { dead: 1, buries: false, ..of(vec![each(mixed()[..2].to_vec()).in_background()], &[&[Submit(FIRST)]]) };
    "two tenants" shows "completed": of(vec![atomic(mixed()[..3].to_vec()), Batch { tenant: 1, ..atomic(mixed()[..3].to_vec()) }], &[&[Submit(FIRST)], &[Submit(SECOND)]]);
    "wide" shows "committed": of(vec![atomic(many())], &[&[Submit(FIRST), Results(FIRST)]]).narrow();
    "wide in the background" shows "committed": of(vec![atomic(many()).in_background()], &[&[Submit(FIRST), Await(FIRST)]]).narrow();
    "wide, results in parts" shows "committed": of(vec![atomic(many())], &[&[Submit(FIRST)]]).narrow().limited(|limits| limits.inline_results = 24);
    "wide and failing" shows "failed": of(vec![atomic([many(), vec![create("e", &[label("x")])]].concat())], &[&[Submit(FIRST), Analyse(FIRST)]]).narrow();
    "wide, deleting" shows "committed": of(vec![atomic(vec![delete("b"), op("item", Action::Delete, Some(1.into()), &[]), delete("a"), create("c", &[label("x")]), create("d", &[label("y")])]), atomic(vec![create("a", &[label("w")]), create("b", &[]), item("c"), item("d"), update("c", &[mark("2")])]).under("2")], &[&[Submit(FIRST), Submit(SECOND)]]).narrow();
    "two wide ones on the same rows" shows "committed": of(vec![atomic(many()), atomic(same_rows()).under("2")], &[&[Submit(FIRST)], &[Submit(SECOND)]]).narrow();
    "a wide one meets fast ones" shows "committed": of(vec![atomic(many()), atomic(vec![update("b", &[mark("fast")])]).under("2"), each(vec![item("a"), update("a", &[mark("fast")])]).under("3")], &[&[Submit(FIRST)], &[Wait(8), Submit(SECOND)], &[Wait(12), Submit(SECOND + 1)]]).narrow();
    "a wide one is refused a lock" shows "committed": of(vec![atomic(many()), atomic(vec![update("b", &[label("z")]), delete("d")]).under("2")], &[&[Submit(FIRST)], &[Wait(4), Submit(SECOND)]]).narrow();
    "a wide one is read" shows "committed": of(vec![atomic(many()), atomic(vec![read("a"), read("c")]).under("2"), each(vec![read("a"), read("d")]).under("3")], &[&[Submit(FIRST)], &[Wait(12), Submit(SECOND)], &[Wait(14), Submit(SECOND + 1)]]).narrow();
    "a wide one is cancelled" shows "cancelled": of(vec![atomic(many()).in_background()], &[&[Submit(FIRST), Wait(6), Cancel(FIRST)]]).narrow();
    "a wide one is paused and resumed" shows "paused": of(vec![atomic(many()).in_background()], &[&[Submit(FIRST), Wait(5), Pause(FIRST), Wait(50), Resume(FIRST), Await(FIRST)]]).narrow();
    "a wide one out of time" shows "timed_out": of(vec![Batch { timeout: Some(5), ..atomic(many()).in_background() }], &[&[Submit(FIRST), Await(FIRST)]]).narrow();
    "a wide one whose message is dead" shows "failed": Setup { dead: 1, ..of(vec![atomic(many()).in_background()], &[&[Submit(FIRST), Await(FIRST)]]).narrow() };
    "a wide one is retried" shows "committed": of(vec![atomic([many(), vec![update("e", &[mark("at last")])]].concat()), atomic(vec![create("e", &[])]).under("2")], &[&[Submit(FIRST), Submit(SECOND), Retry(FIRST, true), Await(FIRST)]]).narrow();
}
