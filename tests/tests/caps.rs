//! Every input has a bound, and what is beyond it is refused for little work.

use std::io::Write;
use std::time::Duration;

use batch_core::auth::ApiKey;
use batch_core::limits::{
    MAX_BODY_BYTES, MAX_DEPENDENCIES, MAX_DEPTH, MAX_EXPANDED_BYTES, MAX_HEADER_BYTES, MAX_OPERATIONS, MAX_PAGE,
    MAX_PAGE_SCANNED, MAX_QUERY_BYTES, MAX_REFERENCE, MAX_REFERENCES_PER_OPERATION, MAX_SUBSTITUTED_PER_BATCH,
    MAX_SUBSTITUTED_PER_OPERATION,
};
use batch_core::runtime::{Clock, Timestamp};
use batch_tests::{Answer, World};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

fn memory(id: &str, content: impl Into<Value>) -> Value {
    json!({ "id": id, "entity": "memory", "action": "create", "store_params": { "content": content.into() } })
}

fn batch(operations: impl Into<Value>) -> Value {
    let operations = operations.into();
    json!({ "operations": operations, "options": { "atomic": false, "continueOnError": true } })
}

async fn raw(world: &World, content_type: &str, body: &[u8]) -> Answer {
    let key = world.key("t1", "raw", &[]).await;
    world.send("POST", "/batch", &[("x-api-key", key.as_str()), ("content-type", content_type)], body).await
}

/// That it is at most so many milliseconds of real time since `begun`.
#[track_caller]
fn took(begun: Timestamp, most_ms: i64) {
    let ms = Clock::system().now().since_ms(begun);
    assert!(ms < most_ms, "{ms} ms");
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.body["error"]), (status, &json!(code)), "{:#}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn operations_and_what_they_wait_for_are_bounded() {
    let world = World::new().await;
    let many: Vec<Value> = (0..=MAX_OPERATIONS).map(|n| memory(&format!("m{n}"), "c")).collect();
    assert_eq!(world.batch(&batch(many[1..].to_vec())).await.status, 200);
    let answer = world.batch(&batch(many)).await;
    refused(&answer, 400, "BATCH_VALIDATION_ERROR");
    assert_eq!(answer.body["errors"][0]["code"], "TOO_MANY_OPERATIONS");

    let mut waiting = memory("a", "c");
    waiting["depends_on"] = (0..=MAX_DEPENDENCIES).map(|n| json!(format!("x{n}"))).collect();
    let answer = world.batch(&batch(vec![waiting])).await;
    refused(&answer, 400, "BATCH_VALIDATION_ERROR");
    let problem = &answer.body["errors"][0];
    assert_eq!((&problem["pointer"], &problem["code"]), (&json!("/operations/0/depends_on"), &json!("INVALID_VALUE")));
    assert_eq!(answer.body["errors"].as_array().map(Vec::len), Some(1), "the list is not read any further");
}

#[tokio::test(start_paused = true)]
async fn bodies_are_bounded_as_sent_and_as_expanded() {
    let world = World::new().await;
    let good = batch(vec![memory("a", "c")]).to_string();
    let padded = |bytes: usize| [good.as_bytes(), &vec![b' '; bytes - good.len()]].concat();
    assert_eq!(raw(&world, "application/json", &padded(MAX_BODY_BYTES)).await.status, 200);
    refused(&raw(&world, "application/json", &padded(MAX_BODY_BYTES + 1)).await, 413, "PAYLOAD_TOO_LARGE");
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("it is compressed");
        encoder.finish().expect("it is compressed")
    };
    assert_eq!(raw(&world, "application/gzip", &gzip(&padded(MAX_EXPANDED_BYTES))).await.status, 200);
    refused(&raw(&world, "application/gzip", &gzip(&padded(MAX_EXPANDED_BYTES + 1))).await, 413, "PAYLOAD_TOO_LARGE");
    // A gigabyte of nothing in a megabyte, in one member and in many: expanded no further than the bound.
    let begun = Clock::system().now();
    let bomb = gzip(&vec![b' '; 250_000_000]);
    refused(&raw(&world, "application/gzip", &bomb).await, 413, "PAYLOAD_TOO_LARGE");
    refused(
        &raw(&world, "application/gzip", &gzip(&vec![b' '; 1_000_000]).repeat(1_000)).await,
        413,
        "PAYLOAD_TOO_LARGE",
    );
    took(begun, 30_000);
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let holding = |value: &str| good.replace("\"c\"", value);
    // The content itself is on the fifth level.
    let answer = raw(&world, "application/json", holding(&nested(MAX_DEPTH - 4)).as_bytes()).await;
    refused(&answer, 400, "BATCH_VALIDATION_ERROR");
    refused(&raw(&world, "application/json", holding(&nested(MAX_DEPTH - 3)).as_bytes()).await, 400, "INVALID_JSON");
}

#[tokio::test(start_paused = true)]
async fn references_are_bounded_in_number_and_in_what_they_put_in() {
    let world = World::new().await;
    let text = "$ref:a.title ".repeat(MAX_REFERENCES_PER_OPERATION + 1);
    let answer = world.batch(&batch(vec![memory("a", "c"), memory("b", text)])).await;
    refused(&answer, 400, "BATCH_VALIDATION_ERROR");
    // Each twice the one before: a hundred of them would be 2^100 characters.
    let mut chain = vec![
        json!({ "id": "m0", "entity": "memory", "action": "create", "store_params": { "content": "ab", "metadata": { "t": "ab" } } }),
    ];
    for n in 1..MAX_OPERATIONS {
        let before = format!("$ref:m{}.metadata.t", n - 1);
        let text = format!("{before} {before}");
        chain.push(json!({ "id": format!("m{n}"), "entity": "memory", "action": "create", "store_params": { "content": "c", "metadata": { "t": text } } }));
    }
    let begun = Clock::system().now();
    let answer = world.batch(&batch(chain)).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    took(begun, 20_000);
    let results = answer.body["results"].as_object().expect("results");
    let first = results.values().position(|result| result["status"] == "failed").expect("one is too large");
    let (_, failed) = results.iter().nth(first).expect("the first that failed");
    assert_eq!(failed["code"], "REFERENCE_TOO_LARGE", "{failed:#}");
    let sizes = results.values().filter_map(|result| result["data"][0]["metadata"]["t"].as_str()).map(str::len);
    let sizes: Vec<usize> = sizes.collect();
    assert!(sizes.iter().all(|size| *size <= MAX_SUBSTITUTED_PER_OPERATION + 1), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() <= 2 * MAX_SUBSTITUTED_PER_BATCH, "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn headers_and_queries_are_bounded_before_any_of_them_is_read() {
    let world = World::new().await;
    let key = world.key("t1", "bob", &[]).await;
    world.seam.take_calls();
    let fits = "x".repeat(MAX_HEADER_BYTES - key.len() - "x-api-key".len() - "x-more".len());
    let answer = world.send("GET", "/capabilities", &[("x-api-key", &key), ("x-more", &fits)], b"").await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let other = world.key("t1", "carl", &[]).await;
    world.seam.take_calls();
    for headers in [
        vec![("x-api-key", other.clone()), ("x-more", "x".repeat(MAX_HEADER_BYTES))],
        vec![("x-api-key", other.clone()), ("authorization", format!("Bearer {}", "x".repeat(MAX_HEADER_BYTES)))],
        (0..600).map(|_| ("x-many", "y".repeat(30))).collect(),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (method, path) in [("GET", "/batches"), ("POST", "/batch"), ("GET", "/capabilities")] {
            let answer = world.send(method, path, &headers, b"{}").await;
            refused(&answer, 400, "INVALID_PARAMETER");
            assert_eq!(answer.body["details"], json!({ "maxBytes": MAX_HEADER_BYTES }));
        }
    }
    for query in [format!("cursor={}", "x".repeat(MAX_QUERY_BYTES)), "a=1&".repeat(MAX_QUERY_BYTES)] {
        let answer = world.get(&format!("/batches?{query}")).await;
        refused(&answer, 400, "INVALID_PARAMETER");
        assert_eq!(answer.body["details"], json!({ "maxBytes": MAX_QUERY_BYTES }));
    }
    assert_eq!(world.seam.take_calls().len(), 0, "no call of AWS for any of it");
}

#[tokio::test(start_paused = true)]
async fn a_bad_key_costs_one_look_up_in_half_a_minute_however_often_it_is_sent() {
    let world = World::new().await;
    let known = world.key("t1", "bob", &[]).await;
    let unknown = ApiKey::generate(&[9; 40]).expose().to_owned();
    // The same id with another secret.
    let mut random = [5; 40];
    for (place, pair) in known.as_bytes()["bk_live_".len()..].chunks(2).take(8).enumerate() {
        random[place] = u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    }
    let forged = ApiKey::generate(&random).expose().to_owned();
    assert_eq!(forged[..24], known[..24]);
    world.seam.take_calls();
    for key in [&unknown, &forged] {
        for minute in 0..2 {
            for _ in 0..50 {
                let answer = world.send("GET", "/batches", &[("x-api-key", key.as_str())], b"").await;
                refused(&answer, 401, "UNAUTHENTICATED");
            }
            let calls: Vec<String> = world.seam.take_calls().into_iter().map(|call| call.operation).collect();
            assert_eq!(calls, ["GetItem"], "{minute}");
            tokio::time::advance(Duration::from_secs(30)).await;
        }
    }
    // A forged key keeps nobody out, and a thousand made-up ones push no record out.
    assert_eq!(world.send("GET", "/batches", &[("x-api-key", known.as_str())], b"").await.status, 200);
    for n in 0..1_500_u64 {
        let mut random = [3; 40];
        random[..8].copy_from_slice(&n.to_be_bytes());
        let key = ApiKey::generate(&random).expose().to_owned();
        assert_eq!(world.send("GET", "/batches", &[("x-api-key", key.as_str())], b"").await.status, 401);
    }
    world.seam.take_calls();
    assert_eq!(world.send("GET", "/capabilities", &[("x-api-key", known.as_str())], b"").await.status, 200);
    assert_eq!(world.seam.take_calls().len(), 0, "its record is still here");
}

#[tokio::test(start_paused = true)]
async fn pages_and_filters_are_bounded() {
    let world = World::new().await;
    for limit in [0, MAX_PAGE + 1, 1_000_000] {
        refused(&world.get(&format!("/batches?limit={limit}")).await, 400, "INVALID_PARAMETER");
    }
    for parameter in ["reference", "creator", "profileId"] {
        let long = "r".repeat(MAX_REFERENCE + 1);
        refused(&world.get(&format!("/batches?{parameter}={long}")).await, 400, "INVALID_PARAMETER");
    }
    // A filter that nothing passes looks at a bounded number of batches, and says where to go on.
    for _ in 0..MAX_PAGE_SCANNED + MAX_PAGE {
        world.post_with("/batch", &[("prefer", "respond-async")], &batch(vec![memory("a", "c")])).await;
    }
    world.seam.take_messages();
    world.seam.take_calls();
    let page = world.get("/batches?status=failed&limit=1").await;
    assert_eq!((&page.body["data"], &page.body["hasMore"]), (&json!([]), &json!(true)));
    let calls = world.seam.take_calls().len();
    assert!(calls <= MAX_PAGE_SCANNED / MAX_PAGE * 3, "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_nothing_but_mistakes_is_told_of_some_and_soon() {
    let world = World::new().await;
    let fields: serde_json::Map<String, Value> = (0..250_000).map(|n| (format!("f{n}"), json!(n))).collect();
    let wrong = [
        json!({ "operations": [{ "entity": "memory", "action": "create", "depends_on": vec![0; 2_000_000] }] }),
        json!({ "operations": [{ "entity": "memory", "action": "create", "depends_on": (0..400_000).map(|n| n.to_string()).collect::<Vec<_>>() }] }),
        json!({ "operations": [{ "entity": "memory", "action": "create", "store_params": fields.clone() }] }),
        json!({ "operations": [{ "entity": "memory", "action": "read", "query_params": fields.clone() }] }),
        json!({ "operations": [{ "entity": "memory", "action": "read", "metadata_params": fields.clone() }] }),
        json!({ "operations": vec![json!(1); 2_000_000] }),
        json!({ "operations": [memory("a", "c")], "options": fields }),
    ];
    for body in wrong {
        let text = body.to_string();
        assert!(text.len() <= MAX_BODY_BYTES, "{} bytes", text.len());
        let begun = Clock::system().now();
        let answer = raw(&world, "application/json", text.as_bytes()).await;
        // Two cores, shared, without optimisation; a Lambda has 29 s.
        took(begun, 10_000);
        let told = answer.body.to_string().len();
        assert!(matches!(answer.status, 200 | 400) && told < 100_000, "{} {told} bytes", answer.status);
    }
}
