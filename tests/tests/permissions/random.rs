//! Random rules against the naive reading of them; and that narrowing only ever takes away.
//!
//! `PROPTEST_CASES=100000 cargo test -p batch-tests --test permissions random` runs so many cases.

use std::collections::{BTreeMap, BTreeSet};

use batch_core::auth::Caller;
use batch_core::batch::Options;
use batch_core::dialect::records;
use batch_core::engine::{Job, Need, Progress, Row as Stored, RowKey, Snapshot, evaluate};
use batch_core::model::Model;
use batch_core::model::permission::{Access, Right};
use batch_core::operation::{Code, Outcome};
use batch_core::plan::{Plan, Verdict, verdict};
use batch_core::runtime::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};

use super::case::{Case, Tape, caller, narrowed};
use super::naive::{FIELDS, Row, Who};

/// How an operation ended: its rows, or the code of its failure.
type End = Result<Vec<Row>, Code>;

/// Runs `check` on random tapes: at least `least` of them, more by the environment.
fn check(least: u32, check: impl Fn(&mut Tape<'_>) -> Result<(), TestCaseError>) {
    let cases = Config::default().cases.max(least);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&vec(any::<u8>(), 0..400), |numbers| check(&mut Tape::new(&numbers))).unwrap();
}

fn names(access: &Access<'_>, mask: &batch_core::model::permission::Mask) -> BTreeSet<&'static str> {
    FIELDS.into_iter().filter(|field| mask.has(access.entity(), field)).collect()
}

#[test]
fn rules_grant_what_the_naive_reading_of_them_grants() {
    check(1_500, |tape| {
        let case = Case::of(tape);
        let given = tape.narrowing(&case.who);
        let less = narrowed(&case.who, &given);
        let model = case.model();
        let entity = model.entity("thing").unwrap();
        let (full, narrow) = (caller(&case.who), caller(&less));
        prop_assert_eq!(&full.narrowed(&given).unwrap(), &narrow, "{:?}", given);
        for (callers, all) in [
            (vec![&full], vec![&case.who]),
            (vec![&narrow], vec![&less]),
            (vec![&full, &narrow], vec![&case.who, &less]),
        ] {
            let access = Access::new(entity, &callers);
            let ever = access.ever(Right::Read);
            prop_assert_eq!(names(&access, &ever), case.rules.ever_readable(&all), "{}", case.yaml());
            for row in case.rows.values() {
                let readable = names(&access, &access.readable(row));
                prop_assert_eq!(readable, case.rules.readable(row, &all), "{:?} {}", row, case.yaml());
                prop_assert_eq!(access.show(row), case.rules.seen(row, &all));
                prop_assert_eq!(access.deletable(row), case.rules.deletable(row, &all), "{:?} {}", row, case.yaml());
                for after in case.rows.values() {
                    let writable = names(&access, &access.writable(Some(row), after));
                    prop_assert_eq!(writable, case.rules.writable(Some(row), after, &all), "{}", case.yaml());
                }
                let creatable = names(&access, &access.writable(None, row));
                prop_assert_eq!(creatable, case.rules.writable(None, row, &all), "{}", case.yaml());
            }
        }
        Ok(())
    });
}

#[test]
fn a_model_loads_or_is_told_wrong_whatever_its_conditions_and_patterns_say() {
    let words = [
        "owner",
        "level",
        "in",
        "and",
        "or",
        "not",
        "(",
        ")",
        ",",
        "=",
        "!=",
        "<=",
        "'it''s'",
        "'",
        "${claims.sub}",
        "${",
        "}",
        "5",
        "-",
        ".",
        "null",
        "true",
        "\u{e9}",
        "\\",
        "[",
        "*",
        "(?i)",
        "{9}",
        "|",
        "\n",
        "#",
    ];
    check(1_000, |tape| {
        let text =
            |tape: &mut Tape<'_>| (0..tape.below(30)).map(|_| words[tape.below(words.len())]).collect::<Vec<_>>();
        let (condition, pattern) = (text(tape).join(" "), text(tape).concat());
        let case = Case::of(tape);
        let mut schema: Value = serde_json::from_str(&case.yaml()).unwrap();
        let rule = json!({ "properties": pattern, "where": condition });
        schema["components"]["schemas"]["thing"]["x-af-permissions"]["default"]["read"]["*"] = rule;
        if let Ok(model) = Model::from_yaml(&schema.to_string()) {
            let caller = caller(&case.who);
            let _ = Access::new(model.entity("thing").unwrap(), &[&caller]).readable(&case.rows["k0"]);
        }
        Ok(())
    });
}

#[test]
fn narrowing_twice_is_narrowing_by_both_and_by_nothing_changes_nothing() {
    check(1_500, |tape| {
        let case = Case::of(tape);
        let full = caller(&case.who);
        prop_assert_eq!(&full.narrowed(&Map::new()).unwrap(), &full);
        prop_assert_eq!(&full.narrowed(full.claims()).unwrap(), &full);
        let first = tape.narrowing(&case.who);
        let once = narrowed(&case.who, &first);
        let second = tape.narrowing(&once);
        let twice = full.narrowed(&first).unwrap().narrowed(&second).unwrap();
        let mut both = first.clone();
        both.extend(second.clone());
        prop_assert_eq!(&full.narrowed(&both).unwrap(), &twice);
        for (name, value) in twice.claims() {
            let own = &full.claims()[name];
            let within = |item: &Value| own.as_array().is_some_and(|items| items.contains(item));
            let items = value.as_array().is_some_and(|items| items.iter().all(within));
            prop_assert!(own == value || items, "{name}: {value} of {own}");
        }
        prop_assert!(twice.roles().is_subset(full.roles()));
        Ok(())
    });
}

/// Runs one operation as `caller` over `rows`.
fn run(model: &Model, caller: &Caller, rows: &BTreeMap<String, Row>, operation: &Value) -> (End, Option<Verdict>) {
    let request = records::parse(json!({ "operations": [operation] }));
    assert!(request.problems.is_empty(), "{:?}", request.problems);
    let verdict = verdict(model, caller, &request.drafts[0]);
    let operations = request.drafts.into_iter().map(|draft| draft.accept().unwrap()).collect();
    let plan = Plan::new(operations).unwrap();
    let (options, decided) = (Options::default(), BTreeMap::new());
    let job = Job { model, plan: &plan, caller, options: &options, seed: "s", now: Timestamp(0), decided: &decided };
    let key = |id: &str| RowKey { entity: "thing".to_owned(), id: id.to_owned() };
    let mut snapshot = Snapshot::default();
    loop {
        match evaluate(&job, &snapshot, &[]) {
            Progress::Ready(steps) => {
                let end = match &steps[0].outcome {
                    Outcome::Completed { data } => {
                        Ok(data.as_array().unwrap().iter().map(|row| row.as_object().cloned().unwrap()).collect())
                    }
                    Outcome::Failed { failure } => Err(failure.code),
                    Outcome::Skipped { .. } => panic!("an operation alone is not skipped"),
                };
                return (end, verdict);
            }
            Progress::Unreadable(unreadable) => panic!("nothing is searched: {unreadable}"),
            Progress::Needs(needs) => {
                for need in needs {
                    if let Need::Search(search) = need {
                        snapshot.found.insert(search, rows.keys().map(|id| key(id)).collect());
                    }
                }
                let stored = |row: &Row| Stored::Live { version: 1, fields: row.clone() };
                snapshot.rows = ["k0", "k1", "k2", "k9"]
                    .map(|id| (key(id), rows.get(id).map_or(Stored::Absent, stored)))
                    .into_iter()
                    .collect();
            }
        }
    }
}

/// What must become of a read with a condition on `field`, if any, and whether it counts.
fn expected_read(case: &Case, all: &[&Who], condition: Option<(&str, &Value)>, count: bool) -> End {
    let ever = case.rules.ever_readable(all);
    if ever.is_empty() || condition.is_some_and(|(field, _)| !ever.contains(field)) {
        return Err(Code::Forbidden);
    }
    let holds = |row: &Row| condition.is_none_or(|(field, value)| row.get(field).unwrap_or(&Value::Null) == value);
    let seen: Vec<Row> = case.rows.values().filter_map(|row| case.rules.seen(row, all)).filter(holds).collect();
    Ok(if count { vec![json!({ "count": seen.len() }).as_object().cloned().unwrap()] } else { seen })
}

fn expected_update(case: &Case, all: &[&Who], id: &str, given: &Row) -> End {
    let before = case.rows.get(id).ok_or(Code::NotFound)?;
    case.rules.seen(before, all).ok_or(Code::NotFound)?;
    let mut after = before.clone();
    after.extend(given.clone());
    let writable = case.rules.writable(Some(before), &after, all);
    if writable.is_empty() || !given.keys().all(|field| writable.contains(field.as_str())) {
        return Err(Code::Forbidden);
    }
    Ok(case.rules.seen(&after, all).into_iter().collect())
}

fn expected_create(case: &Case, all: &[&Who], given: &Row) -> End {
    let mut row = given.clone();
    row.insert("thing_id".to_owned(), json!("k9"));
    let writable = case.rules.writable(None, &row, all);
    if writable.is_empty() || !given.keys().all(|field| writable.contains(field.as_str())) {
        return Err(Code::Forbidden);
    }
    Ok(case.rules.seen(&row, all).into_iter().collect())
}

fn expected_delete(case: &Case, all: &[&Who], id: &str) -> End {
    let row = case.rows.get(id).ok_or(Code::NotFound)?;
    let seen = case.rules.seen(row, all).ok_or(Code::NotFound)?;
    if case.rules.deletable(row, all) { Ok(vec![seen]) } else { Err(Code::Forbidden) }
}

/// Each row that fewer claims see is one of those that all of them see, with the fields that they see of it.
fn is_within(less: &[Row], full: &[Row]) -> bool {
    less.iter().all(|row| full.iter().any(|other| row.iter().all(|(name, value)| other.get(name) == Some(value))))
}

#[test]
fn operations_do_what_the_naive_reading_of_the_rules_allows_and_narrowed_ones_no_more() {
    check(1_500, |tape| {
        let case = Case::of(tape);
        let (claims, given) = (tape.narrowing(&case.who), tape.given());
        let (less, full) = (narrowed(&case.who, &claims), caller(&case.who));
        let (model, id) = (case.model(), ["k0", "k1", "k2", "k9"][tape.below(4)]);
        let (field, value) = (FIELDS[tape.below(6)], case.rows["k0"].clone());
        let value = value.get(field).cloned().unwrap_or(Value::Null);
        let (one, both) = ([&case.who], [&case.who, &less]);
        let mut created = given.clone();
        created.insert("thing_id".to_owned(), json!("k9"));
        let operation = |action: &str, query: Value, store: &Row, metadata: Value| json!({ "entity": "thing", "action": action, "query_params": query, "store_params": store, "metadata_params": metadata });
        let limit = json!({ "limit": 50 });
        let none = Row::new();
        let (count, key) = (tape.sometimes(30), json!({ "thing_id": id }));
        let read = json!({ "limit": 50, "count": count });
        let condition = Some((field, &value));
        let operations: Vec<(Value, [End; 2])> = vec![
            (
                operation("read", json!({}), &none, limit),
                [&one[..], &both].map(|all| expected_read(&case, all, None, false)),
            ),
            (
                operation("read", json!({ field: value }), &none, read),
                [&one[..], &both].map(|all| expected_read(&case, all, condition, count)),
            ),
            (
                operation("update", key.clone(), &given, json!({})),
                [&one[..], &both].map(|all| expected_update(&case, all, id, &given)),
            ),
            (
                operation("create", json!({}), &created, json!({})),
                [&one[..], &both].map(|all| expected_create(&case, all, &given)),
            ),
            (operation("delete", key, &none, json!({})), [&one[..], &both].map(|all| expected_delete(&case, all, id))),
        ];
        for (mut operation, [all, some]) in operations {
            let counts = operation["metadata_params"]["count"] == true;
            let (end, verdict) = run(&model, &full, &case.rows, &operation);
            prop_assert_eq!(&end, &all, "{} by {:?} of {}", operation, case.who, case.yaml());
            check_verdict(verdict.as_ref(), &end)?;
            operation["claims"] = Value::Object(claims.clone());
            let (end, verdict) = run(&model, &full, &case.rows, &operation);
            prop_assert_eq!(&end, &some, "{} by {:?} of {}", operation, case.who, case.yaml());
            check_verdict(verdict.as_ref(), &end)?;
            // A condition may hold of what is hidden, as null, and not of what is there: but what is told then could be
            // asked for without it.
            let told = if operation["action"] == "read" { expected_read(&case, &one, None, false) } else { all };
            if let (Ok(less), false) = (&end, counts) {
                prop_assert!(told.as_ref().is_ok_and(|told| is_within(less, told)), "{less:?} of {told:?}");
            }
        }
        Ok(())
    });
}

/// What was certain beforehand is so.
fn check_verdict(verdict: Option<&Verdict>, end: &End) -> Result<(), TestCaseError> {
    match verdict {
        Some(Verdict::Allowed) => {
            prop_assert!(*end != Err(Code::Forbidden), "{verdict:?} {end:?}");
        }
        // Whoever may never read a row is told that it is not there.
        Some(Verdict::Denied(_)) => {
            prop_assert!(matches!(end, Err(Code::Forbidden | Code::NotFound)), "{verdict:?} {end:?}");
        }
        Some(Verdict::ByRow) => {}
        None => prop_assert!(false, "no verdict"),
    }
    Ok(())
}
