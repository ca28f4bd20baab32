//! What a client sends: headers, bodies, parameters, credentials.

use std::io::Write;

use batch_core::auth::ApiKey;
use batch_local::keys::Identity;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use super::scene::{Marks, Scene, base64url};

pub const NO_BATCH: &str = "batch_00000000000000000000000000000000";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("it is compressed");
    encoder.finish().expect("it is compressed")
}

/// A good batch that holds a secret wherever a good one can.
pub fn good(marks: &mut Marks) -> Value {
    let email = format!("{}@example.com", marks.mark("value of a field"));
    let id = marks.mark("operation id");
    json!({
        "operations": [
            { "id": id, "entity": "customer", "action": "create",
              "store_params": { "first_name": marks.mark("value of another field"), "email": email } },
            { "id": marks.mark("another operation id"), "entity": "memory", "action": "create",
              "store_params": {
                  "content": format!("{} $ref:{id}.first_name", marks.mark("text around a reference")),
                  "metadata": { marks.mark("name of a field within"): marks.mark("value of a field within") },
              } },
            { "entity": "customer", "action": "read", "query_params": { "email": format!("ne::{}", marks.mark("condition")) },
              "metadata_params": { "limit": 5, "sort": "first_name", "properties": "first*" } },
            { "entity": "account", "action": "update", "query_params": { "account_id": 4_711_471_147_u64 },
              "store_params": { "name": marks.mark("value of a row that is not there") } },
        ],
        "options": { "reference": marks.mark("reference"), "atomic": false, "continueOnError": true },
        marks.mark("unknown name"): marks.mark("unknown value"),
    })
}

/// Good and bad requests about memories, with a secret wherever one can be.
fn memories(marks: &mut Marks) -> Vec<Value> {
    let mut text = |place: &str| Value::from(marks.mark(place));
    let memory = json!({ "content": text("content"), "title": text("title"), "tags": [text("tag")], "metadata": { "a": text("metadata") } });
    let create = json!({ "type": "create", "data": memory });
    let search = json!({ "type": "search", "query": text("query"), "options": { "filters": { "a": text("filter") } } });
    vec![
        json!({ "operations": [create, search, { "type": "read", "id": text("id of a memory") }, { "type": "update", "id": "$ref:op_0.id", "data": { "title": [text("bad title")] } }] }),
        json!({ "operations": [{ "type": text("type") }, { "type": "create", "data": { "content": format!("$ref:{}.id", text("operation").as_str().unwrap_or_default()) } }] }),
        memory,
        json!({ "content": [text("bad content")] }),
        json!({ "query": text("single query"), "tags": [text("single tag")], "memory_types": [text("single type")] }),
        json!({ "memory_ids": [text("id to delete")] }),
    ]
}

/// A bad one: a secret in everything that can be wrong.
fn bad(marks: &mut Marks) -> Vec<Value> {
    let one = |operation: Value, options: Value| json!({ "operations": [operation], "options": options });
    let text = |marks: &mut Marks, place: &str| Value::from(marks.mark(place));
    vec![
        one(
            json!({ "entity": text(marks, "entity"), "action": text(marks, "action"), "id": format!("{}-", marks.mark("bad id")) }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "store_params": { marks.mark("unknown field"): 1, "email": text(marks, "bad value") } }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "store_params": text(marks, "parameters of another type") }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "store_params": { "first_name": format!("$ref:{}.x", marks.mark("reference to nobody")) } }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "store_params": { "first_name": format!("${{ref:{}", marks.mark("broken reference")) } }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "depends_on": [marks.mark("dependency"), [marks.mark("dependency of another type")]] }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "claims": { "role": marks.mark("claim of an operation") }, "permissions": marks.mark("permission") }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "read", "metadata_params": { "limit": text(marks, "limit"), "sort": text(marks, "sort"), "properties": text(marks, "properties"), marks.mark("parameter"): 1 } }),
            json!({}),
        ),
        one(
            json!({ "entity": "customer", "action": "create", "store_params": {} }),
            json!({ "timeout": text(marks, "timeout"), "atomic": text(marks, "option"), marks.mark("unknown option"): 1, "webhook": text(marks, "webhook") }),
        ),
        json!({ "operations": text(marks, "operations") }),
        json!([text(marks, "a list")]),
        text(marks, "a string"),
    ]
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_request_is_logged() {
    let mut scene = Scene::new(true).await;
    let key = scene.world.key("t1", "alice", &[]).await;
    scene.marks.also("API key", &key);
    let mut bodies: Vec<Vec<u8>> = bad(&mut scene.marks).iter().map(|body| body.to_string().into_bytes()).collect();
    bodies.push(good(&mut scene.marks).to_string().into_bytes());
    bodies.extend(memories(&mut scene.marks).iter().map(|body| body.to_string().into_bytes()));
    let broken = scene.marks.mark("broken JSON");
    for text in [
        format!("{{\"{broken}"),
        format!("{{\"a\":{broken}}}"),
        format!("[\"{broken}\",1e400]"),
        format!("{broken}\u{1}"),
    ] {
        bodies.push(text.into_bytes());
    }
    bodies.push([broken.as_bytes(), b"\xff\xfe"].concat());
    bodies.push(format!("{}\"{broken}\"{}", "[".repeat(40), "]".repeat(40)).into_bytes());
    let headers = [
        ("cookie", format!("session={}", scene.marks.mark("cookie"))),
        ("user-agent", scene.marks.mark("user agent")),
        ("x-forwarded-for", "203.0.113.77".to_owned()),
        ("prefer", format!("wait={}, {}", scene.marks.mark("wait"), scene.marks.mark("preference"))),
        ("idempotency-key", scene.marks.mark("idempotency key")),
        ("accept", format!("text/{}, application/problem+json", scene.marks.mark("accept"))),
        ("referer", format!("https://example.com/{}", scene.marks.mark("referer"))),
        ("x-custom", scene.marks.mark("header of its own")),
    ];
    scene.marks.also("address", "203.0.113.77");
    let mut sent: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    sent.push(("x-api-key", &key));
    let types = ["application/json", "application/gzip", "text/plain"];
    let odd = format!("application/{}", scene.marks.mark("content type"));
    let encoding = scene.marks.mark("content encoding");
    for body in &bodies {
        let retry = format!("/batches/{NO_BATCH}/retry");
        let memory = "/api/v1/memory";
        let (search, bulk) = (&format!("{memory}/search"), &format!("{memory}/bulk/delete"));
        for path in ["/batch", "/batch/plan", &retry, "/api/v1/batch", memory, search, bulk] {
            for content_type in types.into_iter().chain([odd.as_str()]) {
                let body = if content_type.ends_with("gzip") { gzip(body) } else { body.clone() };
                let mut sent = sent.clone();
                sent.push(("content-type", content_type));
                scene.look(&scene.world.send("POST", path, &sent, &body).await);
                sent.push(("content-encoding", &encoding));
                scene.look(&scene.world.send("POST", path, &sent, &body[..body.len() / 2]).await);
            }
        }
    }
    scene.world.drain().await;
    scene.check(&["request answered", "batch executed", "\"http.route\":\"/batch\"", "\"http.status\":400"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_path_a_parameter_or_a_method_is_logged() {
    let mut scene = Scene::new(true).await;
    let key = scene.world.key("t1", "alice", &[]).await;
    let id = scene.world.batch(&good(&mut scene.marks)).await.batch_id();
    let mut targets = vec![
        format!("/{}", scene.marks.mark("path")),
        format!("/batches/{}", scene.marks.mark("batch id")),
        format!("/batches/{}/audit", scene.marks.mark("batch id of an audit")),
        format!("/batches/{id}/{}", scene.marks.mark("end of a path")),
        format!("/api/v1/memory/{}", scene.marks.mark("memory id")),
    ];
    for parameter in ["status", "dialect", "reference", "creator", "profileId", "limit", "cursor", "unknown"] {
        let value = scene.marks.mark(&format!("parameter {parameter}"));
        for path in
            ["/batches", &format!("/batches/{id}/results"), &format!("/batches/{id}/audit"), "/capabilities", "/health"]
        {
            targets.push(format!("{path}?{parameter}={value}"));
        }
    }
    for parameter in ["page", "limit", "memory_type", "tags", "sort", "order"] {
        targets.push(format!("/api/v1/memory?{parameter}={}", scene.marks.mark(&format!("listing {parameter}"))));
    }
    targets.push(format!("/batches?{}=1", scene.marks.mark("name of a parameter")));
    let page = scene.world.get("/batches?limit=1").await;
    targets.push(format!("/batches?cursor={}", page.body["nextCursor"].as_str().unwrap_or("none")));
    let method = scene.marks.mark("method");
    for target in &targets {
        for method in ["GET", "POST", "DELETE", &method] {
            let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
            scene.look(&scene.world.send(method, target, &headers, b"{}").await);
        }
    }
    for word in ["pause", "resume", "cancel", "retry"] {
        scene.look(&scene.world.post_with(&format!("/batches/{id}/{word}"), &[], &json!({})).await);
    }
    scene.check(&["request answered", "\"http.route\":\"/batches/{batchId}/audit\"", "\"http.status\":404"]);
}

/// A token of the issuer's whose every part is a secret.
fn token(scene: &mut Scene) -> String {
    let mut claims = Map::new();
    claims.insert(scene.marks.mark("name of a claim"), scene.marks.mark("claim").into());
    claims.insert("email".into(), scene.marks.mark("claim email").into());
    claims.insert("creators".into(), json!([scene.marks.mark("claim creators")]));
    let (subject, role) = (scene.marks.mark("subject"), scene.marks.mark("role"));
    let tenant = scene.marks.mark("tenant");
    let identity = Identity::new(&tenant, &subject, [role], claims).expect("an identity");
    scene.keys.token(&identity, scene.world.app.clock().now()).expect("a token")
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_credential_is_logged_whether_it_is_good_or_not() {
    for reachable in [true, false] {
        let mut scene = Scene::new(reachable).await;
        let token = token(&mut scene);
        for part in token.split('.') {
            scene.marks.also("part of a token", part);
        }
        let unknown = ApiKey::generate(&[7; 40]);
        scene.marks.also("unknown API key", unknown.expose());
        scene.marks.also("hash of an unknown API key", &unknown.sha256_hex());
        let known = scene.world.key("t1", "bob", &[]).await;
        scene.marks.also("API key", &known);
        let (kid, part) = (scene.marks.mark("kid"), scene.marks.mark("claim of a forged token"));
        let forged = format!(
            "{}.{}.{}",
            base64url(&format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#)),
            base64url(&format!(r#"{{"sub":"{part}","tenant":"t1","exp":1}}"#)),
            base64url(&scene.marks.mark("signature"))
        );
        let half = token.rsplit_once('.').map_or("", |(head, _)| head).to_owned();
        let mut credentials = vec![
            ("authorization", format!("Bearer {token}")),
            ("authorization", format!("Bearer {half}.{}", base64url(&scene.marks.mark("another signature")))),
            ("authorization", format!("Bearer {forged}")),
            ("authorization", format!("Bearer {}", scene.marks.mark("bearer"))),
            ("authorization", format!("Basic {}", base64url(&scene.marks.mark("basic")))),
            ("authorization", scene.marks.mark("scheme")),
            ("authorization", format!("Bearer {}", "a".repeat(9_000))),
            ("x-api-key", unknown.expose().to_owned()),
            ("x-api-key", known.clone()),
            ("x-api-key", format!("{}x", &known[..known.len() - 1])),
            ("x-api-key", scene.marks.mark("API key of no shape")),
        ];
        credentials.push(("x-api-key", format!("bk_live_{}", scene.marks.mark("API key of half a shape"))));
        for (name, value) in &credentials {
            for (method, target) in
                [("POST", "/batch"), ("GET", "/batches"), ("POST", &format!("/batches/{NO_BATCH}/cancel"))]
            {
                let headers = [(*name, value.as_str()), ("content-type", "application/json")];
                let body = good(&mut scene.marks).to_string();
                scene.look(&scene.world.send(method, target, &headers, body.as_bytes()).await);
                let two =
                    [(*name, value.as_str()), ("x-api-key", known.as_str()), ("content-type", "application/json")];
                scene.look(&scene.world.send(method, target, &two, b"{}").await);
            }
        }
        scene.world.drain().await;
        assert!(scene.marks.count() >= 50, "{} secrets", scene.marks.count());
        let words = ["credential refused", if reachable { "batch executed" } else { "could not be fetched" }];
        scene.check(&words);
    }
}
