//! Planning and resolving 100 operations: independent, in a chain, in diamonds, densely linked.
//!
//! `planned_and_resolved` is the graph, the order, and every reference replaced by its value. `read` is what a request costs
//! before it is accepted: shape, sense, order. `evaluated` is what the executor computes between its reads and its commit:
//! references resolved, rows made and checked, results kept.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use std::collections::BTreeMap;

use batch_core::auth::{Caller, Snapshot as CallerSnapshot};
use batch_core::batch::Options;
use batch_core::dialect::records;
use batch_core::engine::{Job, Progress, Snapshot, Step, evaluate};
use batch_core::json;
use batch_core::limits::{MAX_SUBSTITUTED_PER_BATCH, MAX_SUBSTITUTED_PER_OPERATION};
use batch_core::model::Model;
use batch_core::operation::Draft;
use batch_core::plan::reference::{Budget, Lookup, Outcome, resolve};
use batch_core::plan::{Plan, check};
use batch_core::runtime::Timestamp;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

const SHAPES: [&str; 4] = ["independent", "chain", "diamond", "dense"];
const COUNT: usize = 100;

/// What the operation at `n` refers to.
fn sources(shape: &str, n: usize) -> Vec<usize> {
    match shape {
        "chain" => n.checked_sub(1).into_iter().collect(),
        // Groups of four: one, two that need it, one that needs both.
        "diamond" => match n % 4 {
            0 => Vec::new(),
            3 => vec![n - 2, n - 1],
            place => vec![n - place],
        },
        "dense" => (n.saturating_sub(10)..n).collect(),
        _ => Vec::new(),
    }
}

fn request(shape: &str) -> Value {
    let operation = |n: usize| {
        let mut store = json!({ "profile_id": format!("p{n}"), "address": "0x0" });
        for (place, source) in sources(shape, n).into_iter().enumerate() {
            let text = format!("{}${{ref:o{source}.profile_id}}", store["address"].as_str().unwrap_or_default());
            store["address"] = if place == 0 { json!(format!("$ref:o{source}.profile_id")) } else { json!(text) };
        }
        json!({ "id": format!("o{n}"), "entity": "profile", "action": "create", "store_params": store })
    };
    json!({ "operations": (0..COUNT).map(operation).collect::<Vec<_>>() })
}

fn plan(body: Value, model: &Model) -> Plan {
    let read = records::parse(body);
    assert!(read.problems.is_empty() && check(&read.drafts, model).is_empty());
    let operations = read.drafts.into_iter().filter_map(Draft::accept).collect();
    Plan::new(operations).expect("no cycle")
}

/// The results of all operations.
struct Results<'a> {
    plan: &'a Plan,
    data: Vec<Value>,
}

impl Lookup for Results<'_> {
    fn outcome(&self, operation: &str) -> Outcome<'_> {
        self.plan.index_of(operation).and_then(|index| self.data.get(index)).map_or(Outcome::Unknown, Outcome::Data)
    }

    fn operations(&self) -> Vec<&str> {
        self.plan.operations().iter().map(|operation| operation.id.as_str()).collect()
    }
}

#[divan::bench(args = SHAPES)]
fn planned_and_resolved(bencher: divan::Bencher<'_, '_>, shape: &str) {
    let model = Model::shipped().expect("the shipped model");
    let operations = plan(request(shape), &model).operations().to_vec();
    let data: Vec<Value> = (0..COUNT).map(|n| json!([{ "profile_id": format!("p{n}"), "address": "0x0" }])).collect();
    bencher.with_inputs(|| (operations.clone(), data.clone())).bench_values(|(operations, data)| {
        let plan = Plan::new(operations).expect("no cycle");
        let results = Results { plan: &plan, data };
        let mut budget = Budget::new(MAX_SUBSTITUTED_PER_OPERATION, MAX_SUBSTITUTED_PER_BATCH);
        let mut resolved = Vec::with_capacity(COUNT);
        for operation in plan.order().iter().filter_map(|index| plan.operations().get(*index)) {
            budget.start_operation();
            for value in operation.store.values() {
                resolved.push(resolve(value, &results, &mut budget).expect("a value"));
            }
        }
        resolved
    });
}

/// A megabyte in 100 operations: of texts, of memories with some metadata each, and of nothing but small values.
#[divan::bench(args = ["long texts", "texts and metadata", "small values"])]
fn a_megabyte_read(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let model = Model::shipped().expect("the shipped model");
    let store = |n: usize| {
        // Words of a text, and members of its metadata.
        let (words, members) = match kind {
            "long texts" => (2_080, 0),
            "texts and metadata" => (1_400, 240),
            _ => (0, 720),
        };
        let metadata: serde_json::Map<String, Value> =
            (0..members).map(|m| (format!("name{m}"), json!(m + n))).collect();
        json!({ "content": "c".to_owned() + &" word".repeat(words), "metadata": metadata })
    };
    let operation =
        |n: usize| json!({ "id": format!("o{n}"), "entity": "memory", "action": "create", "store_params": store(n) });
    let text = json!({ "operations": (0..COUNT).map(operation).collect::<Vec<_>>() }).to_string();
    assert!((1_000_000..1_100_000).contains(&text.len()), "{} bytes", text.len());
    bencher.bench(|| plan(json::parse(text.as_bytes()).expect("JSON"), &model));
}

#[divan::bench(args = SHAPES)]
fn order(bencher: divan::Bencher<'_, '_>, shape: &str) {
    let model = Model::shipped().expect("the shipped model");
    let operations = plan(request(shape), &model).operations().to_vec();
    bencher.with_inputs(|| operations.clone()).bench_values(|operations| Plan::new(operations).expect("no cycle"));
}

#[divan::bench(args = SHAPES)]
fn read(bencher: divan::Bencher<'_, '_>, shape: &str) {
    let model = Model::shipped().expect("the shipped model");
    let text = request(shape).to_string();
    bencher.bench(|| plan(json::parse(text.as_bytes()).expect("JSON"), &model));
}

#[divan::bench(args = SHAPES)]
fn evaluated(bencher: divan::Bencher<'_, '_>, shape: &str) {
    let model = Model::shipped().expect("the shipped model");
    let plan = plan(request(shape), &model);
    let caller: CallerSnapshot =
        serde_json::from_value(json!({ "tenant": "t", "subject": "s", "roles": [], "claims": {} })).expect("a caller");
    let caller: Caller = caller.into_caller();
    let (options, decided, snapshot) = (Options::default(), BTreeMap::new(), Snapshot::default());
    let steps = || -> Vec<Step> {
        let job = Job {
            model: &model,
            plan: &plan,
            caller: &caller,
            options: &options,
            seed: "seed",
            now: Timestamp(0),
            decided: &decided,
        };
        match evaluate(&job, &snapshot, &[]) {
            Progress::Ready(steps) => steps,
            other => unreachable!("creates read nothing: {other:?}"),
        }
    };
    assert!(steps().iter().all(|step| step.outcome.is_completed()));
    bencher.bench(steps);
}
