//! Thousands of requests that nobody thought of; `PROPTEST_CASES=100000` makes so many of each kind.

use batch_tests::Answer;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Number, Value, json};
use std::io::Write;

use super::client::Client;

/// Words that the contract gives a meaning to, so that chance finds the interesting places.
const WORDS: [&str; 40] = [
    "",
    "a",
    "b",
    "op_0",
    "op_1",
    "operations",
    "options",
    "id",
    "entity",
    "action",
    "store_params",
    "query_params",
    "metadata_params",
    "depends_on",
    "create",
    "read",
    "update",
    "delete",
    "customer",
    "invoice",
    "memory",
    "account",
    "profile",
    "first_name",
    "email",
    "customer_id",
    "limit",
    "sort",
    "properties",
    "count",
    "offset",
    "$ref:a.customer_id",
    "$ref:",
    "$ref:b.0.x",
    "${ref:a.customer_id}",
    "$$ref:a",
    "in::1,2",
    "not-like::*",
    "claims",
    "invoices:*",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(WORDS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn number() -> impl Strategy<Value = Value> {
    let odd =
        ["-0", "1.0", "1e2", "0.1", "99999999999999999999999999999999999999", "1e125", "1e-130", "9223372036854775808"];
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        (-3_i64..300).prop_map(Value::from),
        select(odd.to_vec()).prop_map(|text| Value::Number(Number::from_string_unchecked(text.to_owned()))),
    ]
}

pub fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from),];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((text(), inner), 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A batch in which everything that can stand in one does stand.
fn good() -> Value {
    json!({
        "operations": [
            { "id": "a", "entity": "customer", "action": "create", "store_params": { "first_name": "J" } },
            { "id": "b", "entity": "invoice", "action": "create", "depends_on": ["a"],
              "store_params": { "customer_id": "$ref:a.customer_id", "total": 10.5 } },
            { "entity": "customer", "action": "read", "query_params": { "customer_id": "$ref:a.customer_id" },
              "metadata_params": { "properties": ["first_name", "invoices:*"], "sort": "first_name:desc" } },
            { "id": "d", "entity": "customer", "action": "update", "query_params": { "customer_id": "$ref:a.customer_id" },
              "store_params": { "last_name": "n ${ref:b.total}", "city": null } },
            { "id": "e", "entity": "memory", "action": "create",
              "store_params": { "content": "c", "tags": ["x"], "metadata": { "k": [1, { "l": true }] } } },
            { "id": "f", "entity": "memory", "action": "delete", "query_params": { "id": "$ref:e.id" } },
            { "id": "g", "entity": "account", "action": "read", "query_params": {}, "metadata_params": { "limit": 3, "count": true } },
        ],
        "options": { "atomic": false, "continueOnError": true, "timeout": 20000, "reference": "r" },
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Replace(Value),
    Remove,
    Repeat,
    Rename(String),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => value().prop_map(Mutation::Replace),
        2 => Just(Mutation::Remove),
        1 => Just(Mutation::Repeat),
        1 => text().prop_map(Mutation::Rename),
    ]
}

/// Changes the value that `path` leads to, one step for each index, as deep as there is something.
fn mutate(value: &mut Value, path: &[Index], mutation: &Mutation) {
    let Some((step, rest)) = path.split_first() else {
        if let Mutation::Replace(new) = mutation {
            *value = new.clone();
        }
        return;
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            let place = step.index(items.len());
            match mutation {
                Mutation::Remove if rest.is_empty() => drop(items.remove(place)),
                Mutation::Repeat if rest.is_empty() => items.push(items[place].clone()),
                _ => mutate(&mut items[place], rest, mutation),
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            let name = fields.keys().nth(step.index(fields.len())).unwrap().clone();
            match mutation {
                Mutation::Remove if rest.is_empty() => drop(fields.remove(&name)),
                Mutation::Rename(other) if rest.is_empty() => {
                    let field = fields.remove(&name).unwrap();
                    fields.insert(other.clone(), field);
                }
                _ => mutate(fields.get_mut(&name).unwrap(), rest, mutation),
            }
        }
        scalar => mutate(scalar, &[], mutation),
    }
}

fn mutated() -> impl Strategy<Value = Value> {
    vec((vec(any::<Index>(), 1..7), mutation()), 1..4).prop_map(|mutations| {
        let mut batch = good();
        for (path, mutation) in mutations {
            mutate(&mut batch, &path, &mutation);
        }
        batch
    })
}

/// What holds of every answer of `POST /batch` and `POST /batch/plan`, whatever was sent.
fn check(client: &Client, path: &str, answer: &Answer) -> Result<(), TestCaseError> {
    let (body, writes) = (&answer.body, client.writes());
    prop_assert!(body.is_object(), "{path} {}: {body}", answer.status);
    prop_assert!(matches!(answer.status, 200 | 202 | 400..=499), "{path} {}: {body:#}", answer.status);
    if answer.status >= 400 || path == "/batch/plan" || body["batchId"].is_null() {
        prop_assert!(writes.is_empty(), "{path} {}: {writes:?}", answer.status);
    }
    if answer.status >= 400 {
        prop_assert!(body["error"].is_string() && body["message"].is_string(), "{body:#}");
        return Ok(());
    }
    if path == "/batch/plan" {
        let valid = body["problems"].as_array().is_some_and(Vec::is_empty);
        prop_assert_eq!(body["valid"].as_bool(), Some(valid), "{:#}", body);
        return Ok(());
    }
    if body["batchId"].is_null() || answer.status == 202 {
        return Ok(());
    }
    let count = |name: &str| usize::try_from(body["summary"][name].as_u64().unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let results = body["results"].as_object().cloned().unwrap_or_default();
    let ended = |word: &str| results.values().filter(|result| result["status"] == word).count();
    prop_assert_eq!((count("successful"), count("failed")), (ended("completed"), ended("failed")), "{:#}", body);
    prop_assert_eq!((count("skipped"), count("total")), (ended("skipped"), results.len()), "{:#}", body);
    prop_assert_eq!(count("pending"), 0, "{:#}", body);
    prop_assert_eq!(body["executionOrder"].as_array().map(Vec::len), Some(results.len()), "{:#}", body);
    prop_assert_eq!(body["success"].as_bool(), Some(ended("completed") == results.len()), "{:#}", body);
    for result in results.values().filter(|result| result["status"] == "failed") {
        // Nothing else is at work here, so no operation fails for a reason of ours.
        prop_assert!(matches!(result["statusCode"].as_u64(), Some(400..=499)), "{:#}", result);
    }
    Ok(())
}

/// At least so many cases, and as many as `PROPTEST_CASES` wants.
pub fn config(cases: u32) -> Config {
    let wanted = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { 0 };
    Config { cases: cases.max(wanted), failure_persistence: None, ..Config::default() }
}

fn run(cases: u32, strategy: impl Strategy<Value = (&'static str, Vec<u8>)>, headers: &[(&str, &[u8])]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let client = runtime.block_on(Client::new());
    client.writes();
    let result = TestRunner::new(config(cases)).run(&strategy, |(path, body)| {
        let answer = runtime.block_on(client.post(path, headers, &body));
        check(&client, path, &answer)
            .map_err(|error| TestCaseError::fail(format!("{error}\nof {}", String::from_utf8_lossy(&body))))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn path() -> impl Strategy<Value = &'static str> {
    select(vec!["/batch", "/batch", "/batch/plan"])
}

#[test]
fn any_json_gets_an_answer() {
    run(2_000, (path(), value().prop_map(|value| value.to_string().into_bytes())), &[]);
}

#[test]
fn any_operations_get_an_answer() {
    let operations =
        vec(value(), 0..4).prop_map(|operations| json!({ "operations": operations }).to_string().into_bytes());
    run(1_000, (path(), operations), &[]);
}

#[test]
fn any_mistakes_in_a_batch_get_an_answer() {
    run(1_500, (path(), mutated().prop_map(|value| value.to_string().into_bytes())), &[]);
}

#[test]
fn any_bytes_get_an_answer() {
    run(1_000, (path(), vec(any::<u8>(), 0..200)), &[]);
}

#[test]
fn any_cut_or_flipped_text_gets_an_answer() {
    let broken = (any::<Index>(), any::<u8>(), any::<bool>()).prop_map(|(place, byte, cut)| {
        let mut text = good().to_string().into_bytes();
        let place = place.index(text.len());
        text[place] = byte;
        if cut {
            text.truncate(place);
        }
        text
    });
    run(1_000, (path(), broken), &[]);
}

#[test]
fn any_gzip_gets_an_answer() {
    let zipped = (value(), any::<Index>(), any::<u8>(), any::<bool>()).prop_map(|(value, place, byte, flip)| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(value.to_string().as_bytes()).unwrap();
        let mut bytes = encoder.finish().unwrap();
        if flip {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    });
    run(500, (path(), zipped), &[("content-encoding", b"gzip")]);
}

#[test]
fn any_target_gets_an_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let client = runtime.block_on(Client::new());
    client.writes();
    let part = || {
        prop_oneof![
            select(vec![
                "batch",
                "plan",
                "batches",
                "results",
                "health",
                "capabilities",
                "..",
                "",
                "batch_0123456789abcdef0123456789abcdef"
            ])
            .prop_map(str::to_owned),
            any::<String>(),
        ]
    };
    let query = vec((select(vec!["limit", "cursor", "status", "dialect", "reference", "x"]), any::<String>()), 0..3);
    let result = TestRunner::new(config(1_000)).run(
        &(select(vec!["GET", "POST", "DELETE"]), vec(part(), 0..4), query),
        |(method, parts, query)| {
            let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            let target = format!("/{}?{}", parts.join("/"), query.join("&"));
            let answer = runtime.block_on(client.raw(method, &target, &[("x-api-key", client.key.as_bytes())], b""));
            prop_assert!(answer.body.is_object(), "{}", target);
            prop_assert!(matches!(answer.status, 200 | 400..=499), "{} {}: {:#}", target, answer.status, answer.body);
            prop_assert!(client.writes().is_empty(), "{}", target);
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
}
