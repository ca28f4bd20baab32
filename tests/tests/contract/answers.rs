//! Answers: each that the service gave is declared, with its headers and its schema, and each declared was given.

use std::collections::BTreeSet;

use serde_json::Value;

use super::calls::{Told, answers};
use super::codes::words;
use super::files::SPEC;
use super::routes::operations;
use super::schema::{misfits, resolve};

/// Of every answer; not worth declaring.
const EVERYWHERE: [&str; 2] = ["Content-Type", "Cache-Control"];

/// Answers of the gateway alone: it turns callers away, it limits, and it speaks for a function that ended without a word.
const OF_THE_GATEWAY: [&str; 3] = ["403", "429", "500"];

fn declared(told: &Told) -> &'static Value {
    let operation = &SPEC["paths"][told.path][told.method.to_lowercase()];
    let response = operation["responses"].get(told.answer.status.to_string());
    let response = response.unwrap_or_else(|| {
        panic!("{} {} answered {}: {:#}", told.method, told.path, told.answer.status, told.answer.body)
    });
    resolve(response)
}

#[test]
fn every_answer_fits_its_schema() {
    for told in answers() {
        let (answer, response) = (&told.answer, declared(told));
        let name = format!("{} {} {}", told.method, told.path, answer.status);
        if answer.status == 204 {
            assert_eq!((response.get("content"), &answer.body), (None, &Value::Null), "{name}");
            continue;
        }
        let content = response["content"].get(answer.header("content-type"));
        let schema = &content.unwrap_or_else(|| panic!("{name}: {}", answer.header("content-type")))["schema"];
        let misfits = misfits(schema, &answer.body);
        assert!(misfits.is_empty(), "{name}: {misfits:#?}\n{:#}", answer.body);
    }
}

#[test]
fn every_header_is_declared_and_every_declared_one_is_sent() {
    let (mut declared_headers, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for told in answers() {
        let place = |name: &str| (told.method.clone(), told.path, told.answer.status, name.to_owned());
        let response = declared(told);
        declared_headers.extend(response["headers"].as_object().into_iter().flatten().map(|(name, _)| place(name)));
        sent.extend(
            told.answer.headers.iter().filter(|(name, _)| !EVERYWHERE.contains(name)).map(|(name, _)| place(name)),
        );
    }
    let unsent: Vec<_> = declared_headers.difference(&sent).collect();
    let undeclared: Vec<_> = sent.difference(&declared_headers).collect();
    assert!(unsent.is_empty() && undeclared.is_empty(), "not sent: {unsent:#?}\nnot declared: {undeclared:#?}");
}

#[test]
fn every_declared_answer_is_given_by_the_service_or_by_the_gateway() {
    let given: BTreeSet<(String, &str, String)> =
        answers().iter().map(|told| (told.method.clone(), told.path, told.answer.status.to_string())).collect();
    for (method, path, operation) in operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let given = given.contains(&(method.clone(), path.as_str(), status.clone()));
            assert!(given || OF_THE_GATEWAY.contains(&status.as_str()), "{method} {path} never answers {status}");
        }
    }
}

#[test]
fn every_code_an_answer_has_is_told_of_that_answer() {
    for told in answers().iter().filter(|told| told.answer.status >= 400) {
        let body = &told.answer.body;
        let code = body["error"].as_str().or(body["code"].as_str()).or(body["error"]["code"].as_str()).unwrap();
        let description = declared(told)["description"].as_str().unwrap();
        assert!(words(description).contains(code), "{} {}: {code} is not in {description:?}", told.method, told.path);
    }
}

#[test]
fn errors_have_two_shapes_and_the_client_chooses() {
    for told in answers().iter().filter(|told| told.answer.status >= 400) {
        let content = declared(told)["content"].as_object().unwrap();
        assert_eq!(
            content.keys().collect::<Vec<_>>(),
            ["application/json", "application/problem+json"],
            "{}",
            told.path
        );
    }
    let told = answers().iter().filter(|told| told.answer.status != 204);
    let shapes: BTreeSet<&str> = told.map(|told| told.answer.header("content-type")).collect();
    assert_eq!(shapes.into_iter().collect::<Vec<_>>(), ["application/json", "application/problem+json"]);
}
