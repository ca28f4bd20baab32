//! Reads with wrong parameters, forged cursors, other people's ids, and paths that lead nowhere.

use batch_core::config::Function;
use batch_core::http::{Request, handle};
use batch_tests::Answer;
use serde_json::json;

use super::client::{Client, refused};

const BODY: &str =
    r#"{"operations":[{"id":"a","entity":"customer","action":"create","store_params":{"first_name":"J"}}]}"#;

async fn batch(client: &Client) -> String {
    let answer = client.post("/batch", &[], BODY.as_bytes()).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    answer.batch_id()
}

#[tokio::test(start_paused = true)]
async fn page_parameters_are_checked() {
    let client = Client::new().await;
    let id = batch(&client).await;
    client.writes();
    let results = format!("/batches/{id}/results");
    for list in ["/batches", results.as_str()] {
        for (parameter, wrong, words) in [
            (
                "limit",
                vec!["", "0", "101", "-1", "1.5", "ten", "1e1", "99999999999999999999", " 5", "\u{665}"],
                "from 1 to 100",
            ),
            ("status", vec!["", "running", "COMPLETED", "done", "completed,failed"], "must be"),
            ("cursor", vec!["", "x", "AAAA", "%00", "../..", "eyJ2IjoxfQ.kT3mW0xq"], "nextCursor"),
        ] {
            for value in wrong {
                let target = format!("{list}?{parameter}={value}");
                let answer = client.get(&target).await;
                refused(&target, &answer, 400, "INVALID_PARAMETER");
                assert_eq!(answer.body["details"], json!({ "parameter": parameter }), "{target}");
                let message = answer.body["message"].as_str().unwrap();
                assert!(message.contains(parameter) && message.contains(words), "{target}: {message}");
            }
        }
    }
    refused("dialect", &client.get("/batches?dialect=letters").await, 400, "INVALID_PARAMETER");
    refused("two parties", &client.get("/batches?creator=c&profileId=p").await, 400, "INVALID_PARAMETER");
    // Longer than a key can be, so that nothing has it.
    let long = "x".repeat(3_000);
    for parameter in ["reference", "creator", "profileId"] {
        let answer = client.get(&format!("/batches?{parameter}={long}")).await;
        refused(parameter, &answer, 400, "INVALID_PARAMETER");
        assert_eq!(answer.body["details"], json!({ "parameter": parameter }));
    }
    assert_eq!(client.get("/batches?unknown=1&limit=5&limit=6").await.status, 200);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_good_for_its_own_listing_only() {
    let client = Client::new().await;
    let (first, second) = (batch(&client).await, batch(&client).await);
    let page = client.get("/batches?limit=1").await;
    let cursor = page.body["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(
        client.get(&format!("/batches?limit=1&cursor={cursor}")).await.body["data"].as_array().unwrap().len(),
        1
    );

    let mut changed = cursor.clone();
    changed.replace_range(30..31, if &cursor[30..31] == "A" { "B" } else { "A" });
    let other = client.world.key("t1", "bob", &[]).await;
    for target in [
        format!("/batches?cursor={changed}"),
        format!("/batches?cursor={}", &cursor[..cursor.len() - 1]),
        format!("/batches?cursor={cursor}A"),
        format!("/batches?status=completed&cursor={cursor}"),
        format!("/batches?reference=r&cursor={cursor}"),
        format!("/batches?dialect=records&cursor={cursor}"),
        format!("/batches/{first}/results?cursor={cursor}"),
        format!("/batches/{second}/results?cursor={cursor}"),
    ] {
        refused(&target, &client.get(&target).await, 400, "INVALID_PARAMETER");
    }
    let answer = client.raw("GET", &format!("/batches?cursor={cursor}"), &[("x-api-key", other.as_bytes())], b"").await;
    refused("another caller", &answer, 400, "INVALID_PARAMETER");
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_may_not_see_is_not_there() {
    let client = Client::new().await;
    let id = batch(&client).await;
    let (tenant, colleague) =
        (client.world.key("t2", "mallory", &["admin"]).await, client.world.key("t1", "bob", &[]).await);
    client.writes();
    let missing = "/batches/batch_00000000000000000000000000000000".to_owned();
    let expected = client.get(&missing).await;
    refused("missing", &expected, 404, "NOT_FOUND");
    for key in [&tenant, &colleague] {
        for tail in ["", "/results", "/results?status=failed", "/failure-analysis"] {
            let answer =
                client.raw("GET", &format!("/batches/{id}{tail}"), &[("x-api-key", key.as_bytes())], b"").await;
            refused(tail, &answer, 404, "NOT_FOUND");
            assert_eq!(answer.body, expected.body, "the same as a missing one");
        }
        let answer = client.raw("GET", "/batches", &[("x-api-key", key.as_bytes())], b"").await;
        assert_eq!(answer.body["data"], json!([]));
    }
    let digits = &id["batch_".len()..];
    for id in [
        "batch_",
        digits,
        "batch_xyz",
        &id[..id.len() - 1],
        &format!("{id}0"),
        &id.to_uppercase(),
        &format!("{id}#A#HEAD"),
        &format!("{id}%23"),
        "..%2f..%2fbatch",
        "..",
        ".",
        "%00",
        "*",
        "T#t1#B#x",
        &"x".repeat(100_000),
        &format!(" {id}"),
        "\u{e9}",
    ] {
        for tail in ["", "/results"] {
            let target = format!("/batches/{id}{tail}");
            refused(&format!("{target:.80}"), &client.get(&target).await, 404, "NOT_FOUND");
        }
    }
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_route_is_told_so() {
    let client = Client::new().await;
    let key = client.key.as_bytes();
    for (method, target) in [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/batch"),
        ("PUT", "/batch"),
        ("PATCH", "/batch"),
        ("DELETE", "/batch"),
        ("OPTIONS", "/batch"),
        ("post", "/batch"),
        ("BREW", "/batch"),
        ("", "/batch"),
        ("POST", "/"),
        ("POST", "/BATCH"),
        ("POST", "/batch/plans"),
        ("POST", "/batch/plan/x"),
        ("POST", "/batch/..%2fbatch"),
        ("POST", "/x/../batch"),
        ("POST", "/prod/batch"),
        ("POST", "/batches"),
        ("POST", "/health"),
        ("DELETE", "/batches/batch_00000000000000000000000000000000"),
        ("GET", "/batches/batch_00000000000000000000000000000000/cancel"),
        ("POST", "/batches/batch_00000000000000000000000000000000/cancel/x"),
        ("POST", "/batches/batch_00000000000000000000000000000000/stop"),
        ("POST", "/batches/batch_00000000000000000000000000000000/failure-analysis"),
        ("GET", "/batches/x/results/y"),
        ("GET", "/batches/x/../../health"),
        ("GET", "/health/x"),
        ("GET", "/.env"),
        ("GET", "/api/v2/health"),
        ("PATCH", "/api/v1/memory/mem_1"),
        ("GET", "/api/v1/memory/mem_1/history"),
    ] {
        let answer = client
            .raw(method, target, &[("x-api-key", key), ("content-type", b"application/json")], BODY.as_bytes())
            .await;
        refused(&format!("{method} {target}"), &answer, 404, "ROUTE_NOT_FOUND");
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains(method) && message.contains(target), "{message}");
    }
    let long = format!("/{}", "x".repeat(1_000_000));
    let answer = client.raw("GET", &long, &[], b"").await;
    refused("long", &answer, 404, "ROUTE_NOT_FOUND");
    assert!(answer.body["message"].as_str().unwrap().len() < 500);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_function_answers_its_own_routes_only() {
    let client = Client::new().await;
    for (function, method, path) in [
        (Function::Status, "POST", "/batch"),
        (Function::Status, "POST", "/batch/plan"),
        (Function::Submit, "GET", "/batches"),
        (Function::Submit, "GET", "/health"),
        (Function::Executor, "POST", "/batch"),
        (Function::Executor, "GET", "/health"),
    ] {
        let mut request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            base_path: String::new(),
            query: Vec::new(),
            headers: http::HeaderMap::new(),
            body: BODY.as_bytes().to_vec(),
            request_id: "request-7".to_owned(),
        };
        request.headers.insert("x-api-key", client.key.parse().unwrap());
        let answer = Answer::from(handle(&client.world.app, function, &request).await);
        refused(&format!("{function:?} {path}"), &answer, 404, "ROUTE_NOT_FOUND");
    }
    assert_eq!(client.writes(), [""; 0]);
}
