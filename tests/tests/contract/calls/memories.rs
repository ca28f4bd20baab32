//! Memories: batches of them, and the routes of one, with every answer each declares.

use batch_tests::World;
use batch_tests::seam::Fault;
use serde_json::{Value, json};

use super::{KEY, Observer};

const BATCH: &str = "/api/v1/batch";

/// Method, path, a target of something that is not there, a good body.
type Route = (&'static str, &'static str, &'static str, &'static str);

const ROUTES: [Route; 14] = [
    ("POST", "/api/v1/memory", "/api/v1/memory", r#"{"content":"c"}"#),
    ("GET", "/api/v1/memory", "/api/v1/memory", ""),
    ("GET", "/api/v1/memory/{memoryId}", "/api/v1/memory/mem_0", ""),
    ("PUT", "/api/v1/memory/{memoryId}", "/api/v1/memory/mem_0", r#"{"title":"t"}"#),
    ("DELETE", "/api/v1/memory/{memoryId}", "/api/v1/memory/mem_0", ""),
    ("POST", "/api/v1/memory/search", "/api/v1/memory/search", r#"{"query":"c"}"#),
    ("POST", "/api/v1/memory/bulk/delete", "/api/v1/memory/bulk/delete", r#"{"memory_ids":["mem_0"]}"#),
    ("POST", "/api/v1/memories", "/api/v1/memories", r#"{"content":"d"}"#),
    ("GET", "/api/v1/memories", "/api/v1/memories", ""),
    ("GET", "/api/v1/memories/{memoryId}", "/api/v1/memories/mem_0", ""),
    ("PUT", "/api/v1/memories/{memoryId}", "/api/v1/memories/mem_0", r#"{"title":"t"}"#),
    ("DELETE", "/api/v1/memories/{memoryId}", "/api/v1/memories/mem_0", ""),
    ("POST", "/api/v1/memories/search", "/api/v1/memories/search", r#"{"query":"c"}"#),
    ("POST", "/api/v1/memories/bulk/delete", "/api/v1/memories/bulk/delete", r#"{"memory_ids":["mem_0"]}"#),
];

const SHAPES: [(&str, &str); 2] = [("accept", "application/json"), ("accept", "application/problem+json")];

/// Whether a route writes.
fn writes((method, path, ..): &Route) -> bool {
    *method != "GET" && !path.ends_with("/search")
}

pub(super) async fn memories(observer: &mut Observer) {
    observer.fresh_key("alice", &[]).await;
    for background in [false, true] {
        batches(observer, background).await;
    }
    observer.send("GET", "/api/v1/health", "/api/v1/health", &[], b"").await;
    for noun in [0, 7] {
        Box::pin(one(observer, noun)).await;
        Box::pin(slow(observer, noun)).await;
    }
    for shape in SHAPES {
        refused_batches(observer, shape).await;
        Box::pin(refused(observer, shape)).await;
        Box::pin(faults(observer, shape)).await;
    }
    observer.fresh_key("alice", &[]).await;
}

async fn batch(observer: &mut Observer, headers: &[(&str, &str)], body: &Value) -> std::sync::Arc<batch_tests::Answer> {
    let mut all = vec![KEY];
    all.extend(headers);
    observer.send("POST", BATCH, BATCH, &all, body.to_string().as_bytes()).await
}

/// Each type of operation, in the function that a client waits for or in the executor.
async fn batches(observer: &mut Observer, background: bool) {
    let prefer = if background { "respond-async" } else { "return=minimal" };
    let create = json!({ "type": "create", "data": { "content": format!("heron {background}"), "tags": ["a"] } });
    let id = "$ref:op_0.id";
    let all = json!({ "operations": [
        create, { "type": "read", "id": id }, { "type": "update", "id": id, "data": { "title": "T" } },
        { "type": "search", "query": "heron" }, { "type": "delete", "id": id }
    ] });
    let headers = [("prefer", prefer), ("x-batch-id", "import"), ("idempotency-key", prefer)];
    for _ in 0..2 {
        let answer = batch(observer, &headers, &all).await;
        assert_eq!(answer.status, if background { 202 } else { 200 }, "{:#}", answer.body);
    }
    observer.drain().await;
    // It is a batch like any other.
    let answer = batch(observer, &headers, &all).await;
    let (id, location) = (&answer.body["data"]["batch_id"], answer.header("location"));
    let told = observer.get("/batches/{batchId}", location).await;
    assert_eq!(
        (&told.body["id"], &told.body["dialect"], &told.body["status"]),
        (id, &json!("memories"), &json!("completed"))
    );
    for part in ["results", "failure-analysis", "audit"] {
        let path = ["/batches/{batchId}/results", "/batches/{batchId}/failure-analysis", super::AUDIT];
        let path = path.into_iter().find(|path| path.ends_with(part)).unwrap();
        assert_eq!(observer.get(path, &format!("{location}/{part}")).await.status, 200);
    }
    let answer = batch(observer, &[], &json!({ "operations": [create, create] })).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    // What is there already is deleted in the background too.
    let id = &answer.body["data"]["operations"][1]["result"]["id"];
    let gone = json!({ "operations": [{ "type": "delete", "id": id }, { "type": "read", "id": id }] });
    let headers = if background { &[("prefer", "respond-async")][..] } else { &[] };
    batch(observer, headers, &gone).await;
    observer.drain().await;
    for operations in [json!([create, { "type": "create", "data": {} }, { "type": "merge" }]), json!([create])] {
        let checked = json!({ "operations": operations, "options": { "validate_only": true } });
        assert_eq!(batch(observer, &[], &checked).await.status, 200);
    }
}

async fn refused_batches(observer: &mut Observer, shape: (&str, &str)) {
    let good = json!({ "operations": [{ "type": "search", "query": "x" }] });
    let good_text = good.to_string();
    for body in
        [json!({}), json!({ "operations": vec![&good["operations"][0]; 101] }), json!({ "operations": [5, {}] })]
    {
        batch(observer, &[shape], &body).await;
    }
    let large = vec![b' '; 4_500_001];
    for (headers, body) in [
        (&[shape, KEY][..], b"{".as_slice()),
        (&[shape, KEY], &large),
        (&[shape], b"{}"),
        (&[shape, KEY, ("authorization", "Bearer a.b.c")], good_text.as_bytes()),
    ] {
        observer.send("POST", BATCH, BATCH, headers, body).await;
    }
    let other = json!({ "operations": [{ "type": "search", "query": "y" }] });
    for body in [&good, &other] {
        batch(observer, &[shape, ("idempotency-key", "one")], body).await;
    }
    let key = std::mem::replace(&mut observer.key, "-".to_owned());
    batch(observer, &[shape], &good).await;
    observer.key = key;
}

/// A memory made, read, listed, found, changed and deleted, each write once more under its key.
async fn one(observer: &mut Observer, noun: usize) {
    let [create, list, read, update, delete, search, bulk] = [0, 1, 2, 3, 4, 5, 6].map(|place| ROUTES[noun + place]);
    let mut id = String::new();
    for (route, status) in
        [(create, 201), (read, 200), (list, 200), (search, 200), (update, 200), (delete, 204), (bulk, 200)]
    {
        let name = format!("{noun} {}", route.1.replace("{memoryId}", route.0));
        if route == delete {
            // A key belongs to the path, whatever the method.
            let used = name.replace(delete.0, update.0);
            for shape in SHAPES {
                let headers = [KEY, shape, ("idempotency-key", used.as_str())];
                let target = route.2.replace("mem_0", &id);
                assert_eq!(observer.send(route.0, route.1, &target, &headers, b"").await.status, 422);
            }
        }
        let headers = if writes(&route) { &[KEY, ("idempotency-key", name.as_str())][..] } else { &[KEY] };
        for _ in 0..2 {
            let target = route.2.replace("mem_0", &id);
            let answer = observer.send(route.0, route.1, &target, headers, route.3.as_bytes()).await;
            assert_eq!(answer.status, status, "{route:?}: {:#}", answer.body);
            if status == 201 {
                answer.body["id"].as_str().unwrap().clone_into(&mut id);
            }
        }
        if writes(&route) && !route.3.is_empty() {
            let other = if route == bulk { json!({ "memory_ids": ["a"] }) } else { json!({ "content": "other" }) };
            for shape in SHAPES {
                let target = route.2.replace("mem_0", &id);
                let headers = [KEY, shape, ("idempotency-key", name.as_str())];
                let answer = observer.send(route.0, route.1, &target, &headers, other.to_string().as_bytes()).await;
                assert_eq!(answer.status, 422, "{route:?}: {:#}", answer.body);
            }
        }
    }
}

/// Writes while the records do not answer, which the queue ends.
async fn slow(observer: &mut Observer, noun: usize) {
    for route in ROUTES[noun..noun + 7].iter().filter(|route| writes(route)) {
        observer.world.seam.plan_wherever("RecordsTable", Fault::Error(500, "InternalServerError"));
        let body = route.3.replace("\"c\"", "\"slow\"").replace("\"d\"", "\"slow\"");
        let answer = observer.send(route.0, route.1, route.2, &[KEY], body.as_bytes()).await;
        assert_eq!(answer.status, 202, "{route:?}: {:#}", answer.body);
        observer.world.seam.clear();
        observer.drain().await;
    }
}

async fn refused(observer: &mut Observer, shape: (&str, &str)) {
    let large = vec![b' '; 4_500_001];
    for route in ROUTES {
        let (method, path, target, body) = route;
        let key = std::mem::replace(&mut observer.key, "-".to_owned());
        observer.send(method, path, target, &[shape, KEY], body.as_bytes()).await;
        observer.key = key;
        let two = [shape, KEY, ("authorization", "Bearer a.b.c")];
        observer.send(method, path, target, &two, body.as_bytes()).await;
        if target.ends_with("mem_0") {
            let missing = observer.send(method, path, target, &[shape, KEY], body.as_bytes()).await;
            assert_eq!(missing.status, 404, "{route:?}: {:#}", missing.body);
        }
        if body.is_empty() {
            observer.send(method, path, &format!("{target}?page=0"), &[shape], b"").await;
            continue;
        }
        for (headers, body) in [
            (&[shape, KEY][..], b"{}".as_slice()),
            (&[shape, KEY], b"[]"),
            (&[shape, KEY], b"{"),
            (&[shape, KEY], &large),
            (&[shape], b"{}"),
        ] {
            observer.send(method, path, target, headers, body).await;
        }
    }
}

async fn faults(observer: &mut Observer, shape: (&str, &str)) {
    let refused = Fault::Error(400, "AccessDeniedException");
    let batch = ("POST", BATCH, BATCH, r#"{"operations":[{"type":"search","query":"x"}]}"#);
    for route in ROUTES.into_iter().chain([batch]) {
        let (method, path, target, body) = route;
        observer.fresh_key("alice", &[]).await;
        let read = if path.ends_with("{memoryId}") { "BatchGetItem" } else { "Query" };
        let ran = if writes(&route) { "PutItem" } else { read };
        for (operation, status) in [("GetItem", 503), (ran, 500)] {
            observer.world.seam.plan(operation, refused.clone());
            let answer = observer.send(method, path, target, &[KEY, shape], body.as_bytes()).await;
            assert_eq!(answer.status, status, "{route:?}: {:#}", answer.body);
        }
    }
}

/// A deployment that allows one batch a minute, and of memories ten.
pub(super) async fn limits(observer: &mut Observer) {
    observer.world = World::limited(1).await;
    observer.fresh_key("alice", &[]).await;
    let good = json!({ "operations": [{ "type": "search", "query": "x" }] });
    for _ in 0..10 {
        assert_eq!(batch(observer, &[], &good).await.status, 200);
    }
    let first = ROUTES[0];
    observer.send(first.0, first.1, first.2, &[KEY], first.3.as_bytes()).await;
    for shape in SHAPES {
        assert_eq!(batch(observer, &[shape], &good).await.status, 429);
        for route in ROUTES.iter().filter(|(method, ..)| *method != "GET") {
            let answer = observer.send(route.0, route.1, route.2, &[KEY, shape], route.3.as_bytes()).await;
            assert_eq!(answer.status, 429, "{route:?}: {:#}", answer.body);
        }
    }
}
