//! Bodies that are no JSON, or more of it than anyone should send.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::client::{Client, refused};

const JSON: &[(&str, &[u8])] = &[("content-type", b"application/json")];
const GZIP: &[(&str, &[u8])] = &[("content-type", b"application/gzip")];
const ENCODED: &[(&str, &[u8])] = &[("content-type", b"application/json"), ("content-encoding", b"gzip")];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn send(client: &Client, headers: &[(&str, &[u8])], body: &[u8]) -> batch_tests::Answer {
    let mut all = vec![("x-api-key", client.key.as_bytes())];
    all.extend(headers);
    client.raw("POST", "/batch", &all, body).await
}

/// A batch that would run.
fn good() -> Vec<u8> {
    let operation =
        json!({ "id": "a", "entity": "customer", "action": "create", "store_params": { "first_name": "J" } });
    json!({ "operations": [operation] }).to_string().into_bytes()
}

/// A good batch with `value` as free data inside.
fn holding(value: &str) -> Vec<u8> {
    format!(r#"{{"operations":[{{"id":"a","entity":"memory","action":"create","store_params":{{"content":"c","metadata":{{"x":{value}}}}}}}]}}"#)
        .into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_json_is_refused() {
    let client = Client::new().await;
    let before = client.stored();
    let nan = holding("NaN");
    let twice = [good(), good()].concat();
    let marked = [b"\xef\xbb\xbf".to_vec(), good()].concat();
    let comma = holding("[1,]");
    let invalid = [b"{\"operations\":\"".to_vec(), vec![0xff, 0xfe], b"\"}".to_vec()].concat();
    let surrogate = holding(r#""\ud800""#);
    let utf16: Vec<u8> = String::from_utf8(good()).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies: [&[u8]; 16] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"{\"operations\":[}",
        b"{'operations':[]}",
        b"operations: []",
        b"\0\0\0\0",
        b"\xff",
        &nan,
        &twice,
        &marked,
        &comma,
        &invalid,
        &surrogate,
        &utf16,
    ];
    for body in bodies {
        let name = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        for path in ["/batch", "/batch/plan"] {
            let answer = client.post(path, &[], body).await;
            refused(&name, &answer, 400, "INVALID_JSON");
            assert!(answer.body["message"].as_str().unwrap().contains("column"), "{name}: {:#}", answer.body);
        }
    }
    assert_eq!((client.writes(), client.stored()), (vec![], before));
}

#[tokio::test(start_paused = true)]
async fn nesting_and_numbers_are_bounded_and_the_place_is_told() {
    let client = Client::new().await;
    let before = client.stored();
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let objects = |levels: usize| r#"{"a":"#.repeat(levels) + "1" + &"}".repeat(levels);
    // The value itself stands on the sixth level.
    let place = "/operations/0/store_params/metadata/x";
    let deepest = format!("{place}{}", "/0".repeat(27));
    let deepest_object = format!("{place}{}", "/a".repeat(27));
    for (name, value, pointer) in [
        ("33 levels", nested(28), Some(deepest.as_str())),
        ("33 levels of objects", objects(28), Some(deepest_object.as_str())),
        ("1,000 levels", nested(1_000), None),
        ("100,000 levels", nested(100_000), None),
        ("100,000 levels of objects", objects(100_000), None),
        ("39 digits", "123456789012345678901234567890123456789".to_owned(), Some(place)),
        ("39 digits behind the point", "0.123456789012345678901234567890123456789".to_owned(), Some(place)),
        ("1e400", "1e400".to_owned(), Some(place)),
        ("-1e-400", "-1e-400".to_owned(), Some(place)),
        ("1e99999999999999999999", "1e99999999999999999999".to_owned(), Some(place)),
        ("a million digits", "9".repeat(1_000_000), Some(place)),
    ] {
        for path in ["/batch", "/batch/plan"] {
            let answer = client.post(path, &[], &holding(&value)).await;
            refused(name, &answer, 400, "INVALID_JSON");
            let told = answer.body["errors"][0]["pointer"].as_str();
            assert_eq!(told, pointer, "{name}: {:#}", answer.body);
            assert!(answer.body["message"].as_str().unwrap().len() < 500, "{name}");
        }
    }
    assert_eq!((client.writes(), client.stored()), (vec![], before));
}

#[tokio::test(start_paused = true)]
async fn what_is_just_inside_the_bounds_is_taken() {
    let client = Client::new().await;
    let nested = "[".repeat(26) + &"]".repeat(26);
    for value in [nested.as_str(), "12345678901234567890123456789012345678", "9.9e125", "1e-130", "-0", "1.50"] {
        let answer = client.post("/batch", &[], &holding(value)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{value}: {:#}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_name_given_twice_the_last_counts() {
    let client = Client::new().await;
    let body = br#"{"operations":[{"entity":"customer","action":"create","store_params":{"first_name":"J"}}],"operations":[]}"#;
    let answer = client.post("/batch", &[], body).await;
    refused("twice", &answer, 400, "BATCH_VALIDATION_ERROR");
    assert_eq!(answer.body["errors"][0]["code"], "EMPTY_BATCH");
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn only_json_and_gzip_are_taken() {
    let client = Client::new().await;
    let wrong: [&[(&str, &[u8])]; 9] = [
        &[],
        &[("content-type", b"")],
        &[("content-type", b"text/plain")],
        &[("content-type", b"text/json")],
        &[("content-type", b"application/x-www-form-urlencoded")],
        &[("content-type", b"multipart/form-data; boundary=x")],
        &[("content-type", b"application/jsonx")],
        &[("content-type", b"\xff\xfe")],
        &[("content-type", b"application/json"), ("content-encoding", b"br")],
    ];
    for headers in wrong {
        let answer = send(&client, headers, &good()).await;
        refused(&format!("{headers:?}"), &answer, 415, "UNSUPPORTED_MEDIA_TYPE");
        let words = if headers.len() == 2 { "gzip" } else { "application/json" };
        assert!(answer.body["message"].as_str().unwrap().contains(words), "{:#}", answer.body);
    }
    assert_eq!(client.writes(), [""; 0]);
    for headers in [&[("content-type", &b"Application/JSON; charset=utf-8"[..])][..], JSON] {
        assert_eq!(send(&client, headers, &good()).await.status, 200);
    }
    for headers in [GZIP, ENCODED] {
        assert_eq!(send(&client, headers, &gzip(&good())).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn broken_gzip_is_refused() {
    let client = Client::new().await;
    let whole = gzip(&good());
    let cut = &whole[..whole.len() / 2];
    let mut flipped = whole.clone();
    let last = flipped.len() - 5;
    flipped[last] ^= 0xff;
    let trailing = [whole.clone(), b"garbage".to_vec()].concat();
    for body in [&good()[..], cut, &whole[..10], &flipped, b"\x1f\x8b", b"", &trailing] {
        for headers in [GZIP, ENCODED] {
            let answer = send(&client, headers, body).await;
            refused(&format!("{} bytes", body.len()), &answer, 400, "INVALID_JSON");
        }
    }
    let answer = send(&client, GZIP, &whole[..10]).await;
    assert!(answer.body["message"].as_str().unwrap().contains("gzip"), "{:#}", answer.body);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_refused_by_its_size() {
    let client = Client::new().await;
    let spaces = |bytes: usize| [good(), vec![b' '; bytes - good().len()]].concat();
    let limit = 4_500_000;
    assert_eq!(send(&client, JSON, &spaces(limit)).await.status, 200);
    assert_eq!(send(&client, ENCODED, &gzip(&spaces(limit))).await.status, 200);
    assert_eq!(send(&client, GZIP, &gzip(&spaces(10_000_000))).await.status, 200);
    client.writes();
    for (name, headers, body, most) in [
        ("JSON", JSON, spaces(limit + 1), limit),
        ("encoded", ENCODED, gzip(&spaces(limit + 1)), limit),
        ("gzip", GZIP, gzip(&spaces(10_000_001)), 10_000_000),
        ("gzip as sent", GZIP, vec![0; limit + 1], limit),
    ] {
        let answer = send(&client, headers, &body).await;
        refused(name, &answer, 413, "PAYLOAD_TOO_LARGE");
        assert_eq!(answer.body["details"], json!({ "maxBytes": most }), "{name}");
        assert!(answer.body["message"].as_str().unwrap().contains(&most.to_string()), "{name}");
    }
    assert_eq!(client.writes(), [""; 0]);
}

/// The most memory this process has had, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[tokio::test(start_paused = true)]
async fn a_gzip_bomb_takes_no_more_than_the_limit() {
    let client = Client::new().await;
    // A gzip file may be followed by others: 100 times 10 MB, in about a megabyte.
    let bomb = gzip(&vec![b' '; 10_000_000]).repeat(100);
    assert!(bomb.len() < 4_500_000, "{}", bomb.len());
    let before = peak_memory();
    for headers in [GZIP, ENCODED] {
        let answer = send(&client, headers, &bomb).await;
        refused("bomb", &answer, 413, "PAYLOAD_TOO_LARGE");
    }
    assert!(peak_memory() - before < 300_000_000, "{} bytes more", peak_memory() - before);
    assert_eq!(client.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_body_full_of_mistakes_stays_within_bounds() {
    let client = Client::new().await;
    let fields: Vec<String> = (0..40_000).map(|n| format!(r#""f{n}":0"#)).collect();
    let unknown = format!(
        r#"{{"operations":[{{"id":"a","entity":"customer","action":"create","store_params":{{{}}}}}]}}"#,
        fields.join(",")
    );
    let quotes = r#"\""#.repeat(1_400_000);
    let name = format!(
        r#"{{"operations":[{{"id":"a","entity":"customer","action":"create","store_params":{{"{quotes}":0}}}}]}}"#
    );
    let sort = format!(
        r#"{{"operations":[{{"id":"a","entity":"customer","action":"read","metadata_params":{{"limit":1,"sort":"{quotes}"}}}}]}}"#
    );
    let properties = sort.replace("sort", "properties");
    let condition = format!(
        r#"{{"operations":[{{"id":"a","entity":"customer","action":"read","query_params":{{"{quotes}":0}}}}]}}"#
    );
    let option = r#"{"operations":[{"entity":"customer","action":"create","store_params":{"first_name":"J"}}],"options":{"timeout":"#.to_owned()
        + &"9".repeat(38) + "}}";
    for body in [unknown, name, sort, properties, condition, option] {
        for path in ["/batch", "/batch/plan"] {
            let answer = client.post(path, &[], body.as_bytes()).await;
            assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
            assert!(answer.body != Value::Null);
        }
    }
    assert_eq!(client.writes(), [""; 0]);
}
