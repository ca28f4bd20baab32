//! Error codes: the catalogue, and what the contract says of each.

use std::collections::BTreeSet;

use batch_core::operation::Code;
use serde_json::Value;

use super::files::{SPEC, walk};

fn catalogue() -> BTreeSet<&'static str> {
    Code::ALL.iter().map(|code| code.as_str()).collect()
}

/// The codes between backticks in `text`.
pub fn words(text: &str) -> BTreeSet<&str> {
    let is_code = |word: &&str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    text.split('`').skip(1).step_by(2).filter(is_code).collect()
}

fn listed(schema: &Value) -> BTreeSet<&str> {
    schema["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// Codes of requests, of their problems, of operations, and of operations on memories.
fn lists() -> [BTreeSet<&'static str>; 4] {
    let schemas = &SPEC["components"]["schemas"];
    let result = &schemas["Result"]["properties"]["code"];
    [&schemas["ErrorCode"], &schemas["ProblemCode"], result, &schemas["MemoryErrorCode"]].map(listed)
}

#[test]
fn the_contract_lists_the_codes_of_the_catalogue() {
    let all: BTreeSet<&str> = lists().into_iter().flatten().collect();
    assert_eq!(all, catalogue());
}

#[test]
fn every_code_the_contract_speaks_of_is_in_the_catalogue() {
    let (catalogue, mut spoken) = (catalogue(), BTreeSet::new());
    walk(&SPEC, &mut Vec::new(), &mut |place, value| {
        let Value::String(text) = value else { return };
        spoken.extend(words(text).into_iter().map(str::to_owned));
        let name = place.last().map_or("", String::as_str);
        if matches!(name, "error" | "code") && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            spoken.insert(text.clone());
        }
    });
    let unknown: Vec<_> = spoken.iter().filter(|word| !catalogue.contains(word.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(spoken.len() > 15, "{spoken:?}");
}

#[test]
fn an_answer_speaks_of_codes_of_its_own_status() {
    let mut seen = 0;
    for (_, item) in SPEC["paths"].as_object().unwrap() {
        for (_, operation) in item.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = super::schema::resolve(response)["description"].as_str().unwrap();
                for word in words(description) {
                    let code = Code::ALL.iter().find(|code| code.as_str() == word);
                    let expected = code.map(|code| code.http_status().to_string());
                    assert_eq!(Some(status), expected.as_ref(), "{word}: {description}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_gateways_own_errors_have_the_shape_and_the_codes_of_the_service() {
    for (name, response) in SPEC["x-amazon-apigateway-gateway-responses"].as_object().unwrap() {
        let text = response["responseTemplates"]["application/json"].as_str().unwrap();
        let body: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        let misfits = super::schema::misfits(&SPEC["components"]["schemas"]["Problem"], &body);
        assert!(misfits.is_empty(), "{name}: {misfits:?}");
        assert_eq!(body["requestId"], "$context.requestId", "{name}");
        let word = body["error"].as_str().unwrap();
        assert!(catalogue().contains(word), "{name}: {word}");
        let status = match (response["statusCode"].as_u64(), name.as_str()) {
            (Some(status), _) => status,
            (None, "DEFAULT_4XX") => 400,
            (None, "DEFAULT_5XX") => 500,
            (None, other) => panic!("{other} has no status"),
        };
        let code = Code::ALL.iter().find(|code| code.as_str() == word);
        assert_eq!(code.map(|code| u64::from(code.http_status())), Some(status), "{name}");
    }
}
