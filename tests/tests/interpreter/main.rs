//! The engine against an interpreter of the contract: random batches, one after another, in every way to send them.

#![expect(clippy::expect_used, reason = "a helper that fails fails its test")]

mod batch;
mod choose;
mod compare;
mod generate;
mod interpret;
mod race;
mod schema;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use batch::Batch;
use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use batch_tests::seam::Fault;
use compare::Told;
use interpret::{Data, Outcome, Tables};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Map, Value, json};

/// How the batches of a case are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    /// With tiny limits, so that most batches take several commits; non-atomic only.
    tiny: bool,
    /// Through the queue.
    queued: bool,
    /// To a store that is busy and loses calls.
    troubled: bool,
}

const TINY: Limits = Limits {
    actions: 5,
    bytes: 1_500,
    chunk_operations: 3,
    inline_results: 64,
    wide_actions: 1_000,
    lease_ms: 90_000,
    in_chain: 20,
    look_ms: 30_000,
};

/// One batch as random bytes: its options, faults, and its operations.
type Tapes = (u8, Vec<u8>, Vec<Vec<u8>>);

/// What was seen of what there is to see.
static SEEN: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn seen(what: impl Into<String>) {
    *SEEN.lock().expect("no test panics with it").entry(what.into()).or_default() += 1;
}

fn is_seen(what: &str) -> bool {
    SEEN.lock().expect("no test panics with it").contains_key(what)
}

#[test]
fn the_engine_does_what_one_operation_after_another_would() {
    let operation = prop::collection::vec(any::<u8>(), 0..40);
    let batch = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..4), prop::collection::vec(operation, 1..=25));
    let way = any::<[bool; 3]>().prop_map(|[tiny, queued, troubled]| Way { tiny, queued, troubled });
    let cases = (way, prop::collection::vec(batch, 1..=5));
    let config = Config { cases: CASES, max_shrink_iters: 4_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[SEED; 32]));
    let run = runner.run(&cases, |(way, batches)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(case(way, &batches))
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    let missing: Vec<&&str> = EXPECTED.iter().filter(|what| !is_seen(what)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?} of {SEEN:#?}");
}

const CASES: u32 = 250;
const SEED: u8 = 7;

/// Every action with every status, every code an operation can fail with here, every reason to be skipped, every end.
const EXPECTED: &[&str] = &[
    "Create completed",
    "Create failed",
    "Create skipped",
    "Read completed",
    "Read failed",
    "Read skipped",
    "Update completed",
    "Update failed",
    "Update skipped",
    "Delete completed",
    "Delete failed",
    "Delete skipped",
    "ALREADY_EXISTS",
    "CONDITION_FAILED",
    "FOREIGN_KEY_VIOLATION",
    "INVALID_VALUE",
    "LIMIT_REQUIRED",
    "NOT_FOUND",
    "PRIMARY_KEY_REQUIRED",
    "REFERENCE_UNRESOLVED",
    "UNIQUE_VIOLATION",
    "VERSION_CONFLICT",
    "Dependency failed",
    "Rolled back",
    "Batch stopped",
    "completed",
    "partial",
    "failed",
    "refused",
    "atomic",
    "atomic, going on",
    "not atomic",
    "not atomic, going on",
    "a row that was gone came back",
    "every entity filled",
];

async fn case(way: Way, batches: &[Tapes]) -> Result<(), TestCaseError> {
    let model = Model::from_yaml(schema::YAML).expect("the test's model is right");
    let limits = if way.tiny { TINY } else { Limits::default() };
    let world = World::with(model, limits).await;
    let (mut tables, mut used) = (Tables::default(), BTreeSet::new());
    let mut sent = Vec::new();
    if batches.first().is_some_and(|(options, ..)| options & 4 != 0) {
        let begin = step(&world, way, &generate::beginning(), &mut tables, &mut used).await;
        begin.map_err(|error| TestCaseError::fail(format!("the beginning: {error}")))?;
    }
    for (options, faults, tapes) in batches {
        let mut batch = generate::batch(&tables, *options, tapes);
        batch.atomic &= !way.tiny;
        if way.troubled && world.seam.all_happened() {
            trouble(&world, faults);
        }
        sent.push(batch.body());
        step(&world, way, &batch, &mut tables, &mut used).await.map_err(|error| {
            let bodies: Vec<String> = sent.iter().map(Value::to_string).collect();
            TestCaseError::fail(format!("{way:?}: {error}\nafter\n{}", bodies.join("\n")))
        })?;
    }
    if compare::is_filled(&tables) {
        seen("every entity filled");
    }
    Ok(())
}

/// Sends the batch, interprets it, and compares.
async fn step(
    world: &World,
    way: Way,
    batch: &Batch,
    tables: &mut Tables,
    used: &mut BTreeSet<String>,
) -> Result<(), String> {
    let refused: Vec<usize> = (0..batch.ops.len()).filter(|index| batch.ops[*index].bad.is_some()).collect();
    let told = send(world, way, batch, !refused.is_empty()).await?;
    let Some(told) = told else {
        seen("refused");
        return compare::tables(world, tables);
    };
    let gone = tables.gone.len();
    let outcomes = interpret::run(tables, batch, &|index| told.first(&batch.id(index)));
    compare::made(batch, &told, used)?;
    compare::answer(batch, &told, &outcomes)?;
    compare::tables(world, tables)?;
    compare::wire(&world.seam.take_calls())?;
    if tables.gone.len() < gone {
        seen("a row that was gone came back");
    }
    tell_seen(batch, &told, &outcomes);
    Ok(())
}

fn tell_seen(batch: &Batch, told: &Told, outcomes: &[Outcome]) {
    let going_on = if batch.continue_on_error { ", going on" } else { "" };
    seen(format!("{}{going_on}", if batch.atomic { "atomic" } else { "not atomic" }));
    seen(told.status.as_str().unwrap_or_default());
    for (index, outcome) in outcomes.iter().enumerate() {
        let word = match outcome {
            Outcome::Completed(Data::Exactly(_) | Data::Any(..)) => "completed",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped(reason) => {
                seen(*reason);
                "skipped"
            }
        };
        seen(format!("{:?} {word}", batch.ops[index].action));
        if let Some(code) = told.results[&batch.id(index)]["code"].as_str() {
            seen(code);
        }
    }
}

/// What the service tells of the batch; nothing when it has to refuse it, and does.
async fn send(world: &World, way: Way, batch: &Batch, refused: bool) -> Result<Option<Told>, String> {
    let headers: &[(&str, &str)] = if way.queued { &[("prefer", "respond-async")] } else { &[] };
    let answer = world.post_with("/batch", headers, &batch.body()).await;
    if refused {
        let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
        let is_told = |(index, op): (usize, &batch::Op)| {
            op.bad.is_none_or(|code| errors.iter().any(|error| error["code"] == code && error["operation"] == index))
        };
        let right = answer.status == 400 && batch.ops.iter().enumerate().all(is_told);
        return if right { Ok(None) } else { Err(format!("refused with {}: {}", answer.status, answer.body)) };
    }
    let expected = if way.queued { 202 } else { 200 };
    if answer.status != expected {
        return Err(format!("answered with {}: {}", answer.status, answer.body));
    }
    if !way.queued {
        let order: Vec<String> = batch.order().into_iter().map(|index| batch.id(index)).collect();
        let failed: Vec<&String> = ids(&answer.body, "failed");
        if answer.body["executionOrder"] != json!(order)
            || answer.body["success"] != json!(answer.body["status"] == "completed")
            || answer.body.get("failedOperations").cloned().unwrap_or_else(|| json!([])) != json!(failed)
        {
            return Err(format!("told {}", answer.body));
        }
        let results = answer.body["results"].as_object().cloned().unwrap_or_default();
        return Ok(Some(Told {
            status: answer.body["status"].clone(),
            summary: answer.body["summary"].clone(),
            results,
        }));
    }
    world.drain().await;
    let id = answer.batch_id();
    let now = world.get(&format!("/batches/{id}")).await;
    Ok(Some(Told {
        status: now.body["status"].clone(),
        summary: now.body["summary"].clone(),
        results: pages(world, &id).await?,
    }))
}

fn ids<'a>(body: &'a Value, status: &str) -> Vec<&'a String> {
    let results = body["results"].as_object().into_iter().flatten();
    results.filter(|(_, result)| result["status"] == status).map(|(id, _)| id).collect()
}

/// All results of a batch, page by page.
async fn pages(world: &World, id: &str) -> Result<Map<String, Value>, String> {
    let mut results = Map::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/batches/{id}/results?limit=7{cursor}")).await;
        for result in page.body["data"].as_array().ok_or_else(|| format!("{:?}", page.body))? {
            results.insert(result["id"].as_str().unwrap_or_default().to_owned(), result.clone());
        }
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(results),
        }
    }
}

/// Faults of which no commit can meet enough to give up.
fn trouble(world: &World, faults: &[u8]) {
    for fault in faults {
        let (operation, fault) = match fault % 10 {
            0 => ("TransactWriteItems", Fault::Conflict(vec![1])),
            1 => ("TransactWriteItems", Fault::Conflict(vec![0])),
            2 => ("TransactWriteItems", Fault::ReplyLost),
            3 => ("TransactWriteItems", Fault::RequestLost),
            4 => ("TransactWriteItems", Fault::Error(400, "ThrottlingException")),
            5 => ("TransactWriteItems", Fault::Error(500, "InternalServerError")),
            6 => ("PutItem", Fault::ReplyLost),
            7 => ("BatchGetItem", Fault::RequestLost),
            8 => ("Query", Fault::Error(400, "ProvisionedThroughputExceededException")),
            _ => ("UpdateItem", Fault::ReplyLost),
        };
        world.seam.plan(operation, fault);
    }
}
