//! Credentials, idempotency keys and preferences that are wrong, and errors in the shape that the client asks for.

use serde_json::json;

use super::client::{Client, refused};

type Headers<'a> = &'a [(&'a str, &'a [u8])];

const BODY: &str =
    r#"{"operations":[{"id":"a","entity":"customer","action":"create","store_params":{"first_name":"J"}}]}"#;

#[tokio::test(start_paused = true)]
async fn without_a_credential_that_holds_nothing_is_told() {
    let client = Client::new().await;
    let key = client.key.clone();
    let typo = format!("{}{}", &key[..key.len() - 1], if key.ends_with('x') { "y" } else { "x" });
    let unknown = {
        let other = Client::new().await;
        // The same chance makes the same key in every world, so it is the second one that only the other world knows.
        other.world.key("t1", "nobody", &[]).await
    };
    let of = |header: &str, value: &str| vec![(header.to_owned(), value.as_bytes().to_vec())];
    let mut refusals = vec![Vec::new(), of("authorization", &key), of("authorization", &format!("Basic {key}"))];
    for garbage in ["", " ", "garbage", "a.b.c", "\u{e9}", "null", "' OR 1=1 --", &typo, &unknown, &"x".repeat(9_000)] {
        refusals.push(of("authorization", &format!("Bearer {garbage}")));
        refusals.push(of("x-api-key", garbage));
    }
    client.world.seam.take_calls();
    for headers in refusals {
        let mut headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        headers.push(("content-type", b"application/json"));
        let name = format!("{:.80}", format!("{headers:?}"));
        for (method, target) in [
            ("POST", "/batch"),
            ("POST", "/batch/plan"),
            ("GET", "/batches"),
            ("GET", "/batches/batch_0123456789abcdef0123456789abcdef"),
            ("GET", "/batches/batch_0123456789abcdef0123456789abcdef/results"),
            ("GET", "/batches/batch_0123456789abcdef0123456789abcdef/failure-analysis"),
            ("POST", "/batches/batch_0123456789abcdef0123456789abcdef/cancel"),
            ("POST", "/batches/batch_0123456789abcdef0123456789abcdef/pause"),
            ("POST", "/batches/batch_0123456789abcdef0123456789abcdef/resume"),
            ("POST", "/batches/batch_0123456789abcdef0123456789abcdef/retry"),
            ("GET", "/capabilities"),
        ] {
            let answer = client.raw(method, target, &headers, BODY.as_bytes()).await;
            refused(&format!("{method} {target} {name}"), &answer, 401, "UNAUTHENTICATED");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        assert_eq!(client.raw("GET", "/health", &headers, b"").await.status, 200, "{name}");
    }
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn two_credentials_that_differ_are_refused() {
    let client = Client::new().await;
    let other = client.world.key("t1", "bob", &[]).await;
    client.world.seam.take_calls();
    let (bearer, other_bearer) = (format!("Bearer {}", client.key), format!("Bearer {other}"));
    for (authorization, x_api_key) in [
        (bearer.as_bytes(), other.as_bytes()),
        (&b"Bearer a.b.c"[..], client.key.as_bytes()),
        (b"Basic eDp5", client.key.as_bytes()),
        (b"", client.key.as_bytes()),
        (bearer.as_bytes(), b""),
        (b"Bearer \xe9", client.key.as_bytes()),
    ] {
        let headers =
            [("authorization", authorization), ("x-api-key", x_api_key), ("content-type", b"application/json")];
        let name = String::from_utf8_lossy(authorization).into_owned();
        for (method, target) in [("POST", "/batch"), ("GET", "/batches")] {
            let answer = client.raw(method, target, &headers, BODY.as_bytes()).await;
            refused(&name, &answer, 400, "CONFLICTING_CREDENTIALS");
        }
    }
    let twice = [("authorization", bearer.as_bytes()), ("authorization", other_bearer.as_bytes())];
    refused("twice", &client.raw("GET", "/batches", &twice, b"").await, 400, "CONFLICTING_CREDENTIALS");
    let same = [("authorization", bearer.as_bytes()), ("x-api-key", client.key.as_bytes())];
    assert_eq!(client.raw("GET", "/batches", &same, b"").await.status, 200);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_has_1_to_255_visible_characters() {
    let client = Client::new().await;
    let long = "k".repeat(256);
    for wrong in [&b""[..], b" ", b"\t", long.as_bytes(), "schl\u{fc}ssel".as_bytes(), b"\xff"] {
        let answer = client.post("/batch", &[("idempotency-key", wrong)], BODY.as_bytes()).await;
        refused(&format!("{wrong:?}"), &answer, 400, "INVALID_PARAMETER");
        assert_eq!(answer.body["details"], json!({ "header": "Idempotency-Key" }));
        assert!(answer.body["message"].as_str().unwrap().contains("1 to 255"));
    }
    assert_eq!(client.writes(), [""; 0]);
    let answer = client.post("/batch", &[("idempotency-key", &long.as_bytes()[..255])], BODY.as_bytes()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn another_body_under_a_used_key_is_refused() {
    let client = Client::new().await;
    let key: &[(&str, &[u8])] = &[("idempotency-key", b"k1")];
    assert_eq!(client.post("/batch", key, BODY.as_bytes()).await.status, 200);
    let before = client.stored();
    for other in [
        BODY.replace("\"J\"", "\"K\""),
        BODY.replace("]}", "],\"options\":{\"atomic\":false}}"),
        BODY.replace("]}", "],\"options\":{\"reference\":\"r\"}}"),
    ] {
        let answer = client.post("/batch", key, other.as_bytes()).await;
        refused(&other, &answer, 422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(client.stored(), before);
}

#[tokio::test(start_paused = true)]
async fn a_preference_that_cannot_be_read_is_no_preference() {
    let client = Client::new().await;
    for wrong in [
        &b""[..],
        b",",
        b";",
        b"=",
        b"wait",
        b"wait=",
        b"wait=soon",
        b"wait=-1",
        b"wait=1.5",
        b"return=everything",
        b"wait=99999999999999999999999999",
        b"respond-sync",
        b"\xff\xfe",
        b"handling=strict",
    ] {
        let answer = client.post("/batch", &[("prefer", wrong)], BODY.as_bytes()).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (200, ""), "{wrong:?}");
    }
    // Longer than the service waits for anyone: what is applied is what it waits.
    let answer = client.post("/batch", &[("prefer", b"wait=18446744073709551615")], BODY.as_bytes()).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_can_be_had_as_problem_json() {
    let client = Client::new().await;
    let key = client.key.as_bytes();
    let accept = ("accept", &b"text/html, application/problem+json;q=0.9"[..]);
    let json_type = ("content-type", &b"application/json"[..]);
    let long = "k".repeat(256);
    let requests: [(&str, &str, Headers<'_>, &[u8], u16, &str); 9] = [
        ("POST", "/batch", &[accept], b"", 401, "UNAUTHENTICATED"),
        ("POST", "/batch", &[accept, ("x-api-key", key)], b"{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/batch", &[accept, ("x-api-key", key), json_type], b"{", 400, "INVALID_JSON"),
        ("POST", "/batch", &[accept, ("x-api-key", key), json_type], b"{}", 400, "BATCH_VALIDATION_ERROR"),
        ("POST", "/batch/plan", &[accept, ("x-api-key", key), json_type], b"{}", 400, "BATCH_VALIDATION_ERROR"),
        (
            "POST",
            "/batch",
            &[accept, ("x-api-key", key), json_type, ("idempotency-key", long.as_bytes())],
            BODY.as_bytes(),
            400,
            "INVALID_PARAMETER",
        ),
        ("GET", "/batches?limit=0", &[accept, ("x-api-key", key)], b"", 400, "INVALID_PARAMETER"),
        ("GET", "/batches/none", &[accept, ("x-api-key", key)], b"", 404, "NOT_FOUND"),
        ("GET", "/nothing", &[accept], b"", 404, "ROUTE_NOT_FOUND"),
    ];
    for (method, target, headers, body, status, code) in requests {
        let answer = client.raw(method, target, headers, body).await;
        let problem = &answer.body;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{target}");
        assert_eq!(problem["type"], format!("urn:batch:error:{code}"), "{problem:#}");
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem:#}");
        assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["details"].is_object());
        assert_eq!(
            (&problem["instance"], &problem["requestId"]),
            (&json!("urn:request:request-7"), &json!("request-7"))
        );
        let told = problem["errors"].as_array().unwrap().len();
        assert_eq!(told > 0, code == "BATCH_VALIDATION_ERROR", "{problem:#}");
    }
    assert_eq!(client.writes(), [""; 0]);
}
