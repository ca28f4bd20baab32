//! An atomic batch while another one is run between what it reads and what it commits: as if it had run after that one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::World;
use batch_tests::seam::{Fault, Hook};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::batch::{Action, Batch, Cond, Val};
use crate::compare::{self, Told};
use crate::interpret::{self, Tables};
use crate::schema::{self, KeyKind, Kind};
use crate::{generate, is_seen, seen};

/// An atomic batch, the other one, and before which commit of the first the second is run, all as random bytes.
type Tapes = ((u8, Vec<Vec<u8>>), (u8, Vec<Vec<u8>>), u8);

#[test]
fn an_atomic_batch_is_as_if_it_ran_after_the_one_that_came_between() {
    let operations = || prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..=8);
    let pair = ((any::<u8>(), operations()), (any::<u8>(), operations()), any::<u8>());
    let config = Config { cases: 100, max_shrink_iters: 4_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]));
    let run = runner.run(&prop::collection::vec(pair, 1..=5), |pairs| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(case(&pairs))
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    assert!(is_seen("raced"), "some batch came between");
}

async fn case(pairs: &[Tapes]) -> Result<(), TestCaseError> {
    let model = Model::from_yaml(schema::YAML).expect("the test's model is right");
    let world = World::with(model, Limits::default()).await;
    let (mut tables, mut used, mut sent) = (Tables::default(), BTreeSet::new(), Vec::new());
    let beginning = generate::beginning();
    let begun = told(&world.batch(&beginning.body()).await.body);
    interpret::run(&mut tables, &beginning, &|index| begun.first(&beginning.id(index)));
    for ((options, tapes), (others, other), at) in pairs {
        let mut first = generate::batch(&tables, options & !1, tapes);
        let mut second = generate::batch(&tables, *others, other);
        for op in first.ops.iter_mut().chain(&mut second.ops) {
            op.bad = None;
        }
        by_key_alone(&mut first);
        sent.push(format!("{}\nwith, before its commit {},\n{}", first.body(), at % 3, second.body()));
        let between = Arc::new(Mutex::new(None));
        for _ in 0..at % 3 {
            world.seam.plan("TransactWriteItems", Fault::Before(Hook(Arc::new(|_| {}))));
        }
        world.seam.plan("TransactWriteItems", elsewhere(&world, second.body(), between.clone()));
        let answer = world.batch(&first.body()).await.body;
        world.seam.clear();
        let mut check = |batch: &Batch, told: Told| {
            let outcomes = interpret::run(&mut tables, batch, &|index| told.first(&batch.id(index)));
            compare::made(batch, &told, &mut used)?;
            compare::answer(batch, &told, &outcomes)
        };
        let other = between.lock().expect("nobody panics with it").take();
        if other.is_some() {
            seen("raced");
        }
        let checked = other.map_or(Ok(()), |other| check(&second, told(&other)));
        let checked = checked.and_then(|()| check(&first, told(&answer)));
        let checked = checked.and_then(|()| compare::tables(&world, &mut tables));
        let checked = checked.and_then(|()| compare::wire(&world.seam.take_calls()));
        checked.map_err(|error| TestCaseError::fail(format!("{error}\nafter\n{}", sent.join("\n"))))?;
    }
    Ok(())
}

/// What a search finds is not part of what an atomic batch rests on, so here it reads by key.
fn by_key_alone(batch: &mut Batch) {
    for op in batch.ops.iter_mut().filter(|op| op.action == Action::Read) {
        let key = op.entity.field(op.entity.key);
        if op.query.first().is_none_or(|cond| cond.field != key.name) {
            let id = match (key.kind, op.entity.key_kind) {
                (Kind::Integer, _) => json!(1),
                (_, KeyKind::Uuid) => json!("p1"),
                _ => json!("n1"),
            };
            op.query = vec![Cond { field: key.name, op: "", operands: vec![Val::Known(id)] }];
        }
        op.meta.properties = op.meta.properties.take().filter(|all| !all.iter().any(|one| one.starts_with("below")));
    }
}

/// Another process has the batch run, and leaves the answer in `answer`.
fn elsewhere(world: &World, body: Value, answer: Arc<Mutex<Option<Value>>>) -> Fault {
    let world = world.clone();
    Fault::Before(Hook(Arc::new(move |_| {
        let (world, body, answer) = (world.clone(), body.clone(), answer.clone());
        let process = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let told = runtime.expect("a runtime").block_on(world.batch(&body)).body;
            *answer.lock().expect("nobody panics with it") = Some(told);
        });
        process.join().expect("the other process answers");
    })))
}

fn told(answer: &Value) -> Told {
    let results = answer["results"].as_object().cloned().unwrap_or_default();
    Told { status: answer["status"].clone(), summary: answer["summary"].clone(), results }
}
