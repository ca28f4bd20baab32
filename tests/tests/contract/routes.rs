//! Routes: the code's table, the contract, the gateway's permissions and the watch router.

use std::collections::BTreeSet;
use std::process::Command;

use batch_core::config::Function;
use batch_core::http::ROUTES;
use batch_tests::World;
use serde_json::{Value, json};

use super::files::{FUNCTIONS, SPEC, TEMPLATE, name_of};

type Routes = BTreeSet<(String, String, &'static str)>;

fn declared_in_code() -> Routes {
    ROUTES
        .iter()
        .map(|(method, path, function)| ((*method).to_owned(), (*path).to_owned(), name_of(*function)))
        .collect()
}

/// Every operation of the contract: method, path and itself.
pub fn operations() -> Vec<(String, String, &'static Value)> {
    let mut operations = Vec::new();
    for (path, item) in SPEC["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    operations
}

#[test]
fn the_contract_has_the_routes_of_the_code_and_hands_each_to_its_function() {
    let mut found = Routes::new();
    for (method, path, operation) in operations() {
        let integration = &operation["x-amazon-apigateway-integration"];
        // A proxy integration of a Lambda function is always called by POST.
        assert_eq!((&integration["type"], &integration["httpMethod"]), (&json!("aws_proxy"), &json!("POST")), "{path}");
        let uri = integration["uri"]["Fn::Sub"].as_str().unwrap();
        let (_, function) =
            FUNCTIONS.iter().find(|(_, name)| uri.contains(&format!("${{{name}Function.Arn}}"))).unwrap();
        assert!(uri.ends_with("/invocations"), "{uri}");
        found.insert((method, path, function));
    }
    assert_eq!(found, declared_in_code());
    assert_eq!(found.len(), ROUTES.len(), "no route is declared twice");
}

#[test]
fn the_gateway_may_call_each_function_for_its_methods_and_nothing_else() {
    let mut allowed = BTreeSet::new();
    for resource in TEMPLATE["Resources"].as_object().unwrap().values() {
        if resource["Type"] != "AWS::Lambda::Permission" {
            continue;
        }
        let properties = &resource["Properties"];
        assert_eq!(properties["Principal"], "apigateway.amazonaws.com");
        let source = properties["SourceArn"]["Sub"].as_str().unwrap();
        let method = source.split_once("${Api}/${StageName}/").and_then(|(_, rest)| rest.strip_suffix("/*")).unwrap();
        let function = properties["FunctionName"]["Ref"].as_str().unwrap().strip_suffix("Function").unwrap();
        allowed.insert((method.to_owned(), function.to_owned()));
    }
    let needed = ROUTES.iter().map(|(method, _, function)| ((*method).to_owned(), name_of(*function).to_owned()));
    assert_eq!(allowed, needed.collect());
}

#[test]
fn the_watch_router_has_the_same_routes() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let router = metadata["metadata"]["lambda"]["watch"]["router"].as_object().expect("a router in Cargo.toml");
    let mut found = Routes::new();
    for (path, methods) in router {
        for route in methods.as_array().unwrap() {
            let function = route["function"].as_str().unwrap();
            let known = FUNCTIONS.iter().find(|(_, name)| name.to_lowercase() == function).unwrap();
            found.insert((route["method"].as_str().unwrap().to_owned(), path.clone(), known.1));
        }
    }
    assert_eq!(found, declared_in_code());
}

#[test]
fn path_parameters_are_declared_and_names_are_unique() {
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations() {
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for (name, place) in [("BatchId", "{batchId}"), ("MemoryId", "{memoryId}")] {
            let declared = parameters.contains(&json!({ "$ref": format!("#/components/parameters/{name}") }));
            assert_eq!(declared, path.contains(place), "{method} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_route_but_health_wants_a_credential_and_none_wants_the_gateways_own() {
    let world = World::new().await;
    let declared = SPEC["components"]["securitySchemes"].as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(declared, ["bearer", "apiKey"]);
    assert_eq!(SPEC["security"], json!([{ "bearer": [] }]));
    for (method, path, operation) in operations() {
        let open = match operation.get("security") {
            None => false,
            // A required scheme of type apiKey makes the gateway take X-API-Key for a key of its own usage plans.
            Some(security) => {
                assert_eq!(*security, json!([]), "{method} {path}");
                true
            }
        };
        let target = path.replace("{batchId}", "batch_00000000000000000000000000000000").replace("{memoryId}", "mem_0");
        let answer = world.send(&method, &target, &[], b"").await;
        assert_eq!(answer.status == 401, !open, "{method} {path}: {:#}", answer.body);
    }
}

#[test]
fn the_functions_are_built_from_the_binaries_of_their_names() {
    for (function, name) in FUNCTIONS {
        let resource = super::files::resource(&format!("{name}Function"));
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda");
        assert_eq!(resource["Metadata"]["BuildProperties"]["Binary"], name.to_lowercase(), "{function:?}");
        let http = ROUTES.iter().any(|(_, _, of)| *of == function);
        assert_eq!(http, function != Function::Executor);
        assert_eq!(resource["Properties"].get("Events").is_some(), function == Function::Executor, "{name}");
    }
}
