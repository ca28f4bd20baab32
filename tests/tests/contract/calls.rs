//! A whole life of batches, with every call of AWS that each function made in it and every answer it gave.

mod memories;

use std::sync::{Arc, LazyLock};

use batch_core::config::Function;
use batch_core::limits::{Limits, MAX_PAUSES};
use batch_core::model::Model;
use batch_local::stacks::{Rule, Treatment};
use batch_tests::seam::{Call, Fault};
use batch_tests::{Answer, CREATOR, World};
use serde_json::{Value, json};

/// As many indexes as an entity can have, a unique field, a version, a parent and its children.
const MODEL: &str = "
components:
  schemas:
    shelf:
      type: object
      x-af-database: main
      x-af-concurrency-control: version
      properties:
        shelf_id: {type: integer, x-af-primary-key: auto}
        name: {type: string, x-unique: true, x-index: true}
        room: {type: string, x-index: true}
        house: {type: string, x-index: true}
        town: {type: string, x-index: true}
        version: {type: integer}
    book:
      type: object
      x-af-database: main
      properties:
        book_id: {type: string, x-af-primary-key: uuid}
        shelf_id: {type: integer, x-references: shelf.shelf_id}
        text: {type: object}
    memory:
      type: object
      x-af-database: main
      x-search: true
      required: [content]
      properties:
        id: {type: string, x-af-primary-key: auto, x-key-prefix: mem_}
        content: {type: string, minLength: 1}
        title: {type: string}
        metadata: {type: object}
        tags: {type: array, items: {type: string}}
        memory_type: {type: string}
        created_at: {type: string, format: date-time, x-inject: timestamp}
        updated_at: {type: string, format: date-time, x-inject: timestamp, x-inject-on: write}
";

pub(super) const KEY: (&str, &str) = ("content-type", "application/json");

/// An answer, and the route of the contract that gave it.
pub struct Told {
    pub method: String,
    pub path: &'static str,
    pub answer: Arc<Answer>,
}

/// What the functions called, in order.
pub fn life() -> &'static [(Function, Call)] {
    &LIFE.calls
}

/// What they answered.
pub fn answers() -> &'static [Told] {
    &LIFE.answers
}

static LIFE: LazyLock<Life> = LazyLock::new(|| {
    // A thread of its own: the caller may be inside of a runtime.
    let live = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(live())
    };
    std::thread::spawn(live).join().unwrap()
});

struct Life {
    calls: Vec<(Function, Call)>,
    answers: Vec<Told>,
}

pub(super) struct Observer {
    pub world: World,
    pub key: String,
    life: Life,
}

impl Observer {
    fn note(&mut self, function: Function) {
        let calls = self.world.seam.take_calls();
        self.life.calls.extend(calls.into_iter().map(|call| (function, call)));
    }

    /// A key whose record no function has read yet.
    pub async fn fresh_key(&mut self, subject: &str, roles: &[&str]) {
        self.key = self.world.key("t1", subject, roles).await;
        self.world.seam.take_calls();
    }

    pub async fn send(
        &mut self,
        method: &str,
        path: &'static str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Arc<Answer> {
        let mut all = vec![("x-api-key", self.key.as_str())];
        all.extend(headers);
        all.retain(|(_, value)| *value != "-");
        let answer = Arc::new(self.world.send(method, target, &all, body).await);
        self.note(if method == "GET" { Function::Status } else { Function::Submit });
        self.life.answers.push(Told { method: method.to_owned(), path, answer: answer.clone() });
        answer
    }

    pub async fn get(&mut self, path: &'static str, target: &str) -> Arc<Answer> {
        self.send("GET", path, target, &[], b"").await
    }

    pub async fn post(&mut self, headers: &[(&str, &str)], body: &Value) -> Arc<Answer> {
        let mut all = vec![KEY];
        all.extend(headers);
        self.send("POST", "/batch", "/batch", &all, body.to_string().as_bytes()).await
    }

    /// Does `word` to the batch `id`.
    async fn act(&mut self, id: &str, word: &str, headers: &[(&str, &str)]) -> Arc<Answer> {
        let (path, _) = *ACTS.iter().find(|(path, _)| path.ends_with(word)).unwrap();
        self.send("POST", path, &format!("/batches/{id}/{word}"), headers, b"{}").await
    }

    pub async fn deliver(&mut self, bodies: &[String]) {
        assert_eq!(self.world.deliver(bodies).await, Vec::<String>::new());
        self.note(Function::Executor);
    }

    async fn drain(&mut self) {
        for _ in 0..1_000 {
            // Between two deliveries there is time for a block.
            self.world.node.mine();
            let messages = self.world.seam.take_messages();
            if messages.is_empty() {
                return;
            }
            self.deliver(&messages).await;
        }
        panic!("messages make messages for ever");
    }

    /// Runs a batch in `function`; the results by operation id.
    async fn run(&mut self, function: Function, operations: Value, options: Value) -> Value {
        let body = json!({ "operations": operations, "options": options });
        let headers: &[(&str, &str)] =
            if function == Function::Executor { &[("prefer", "respond-async")] } else { &[] };
        let answer = self.post(headers, &body).await;
        self.drain().await;
        let target = format!("/batches/{}/results?limit=100", answer.batch_id());
        let results = self.get("/batches/{batchId}/results", &target).await;
        let results = results.body["data"].as_array().unwrap_or_else(|| panic!("{:#}", answer.body)).clone();
        results
            .into_iter()
            .map(|result| (result["id"].as_str().unwrap().to_owned(), result))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn operation(id: &str, action: &str, entity: &str, store: Value, query: Value) -> Value {
    let mut operation = json!({ "id": id, "action": action, "entity": entity });
    for (name, value) in [("store_params", store), ("query_params", query)] {
        if !value.is_null() {
            operation[name] = value;
        }
    }
    operation
}

fn create(id: &str, entity: &str, store: Value) -> Value {
    operation(id, "create", entity, store, Value::Null)
}

/// Text that does not compress to nothing.
fn noise(kilobytes: usize) -> Value {
    let lines = (0..16 * kilobytes).map(|line| batch_core::json::sha256_hex(format!("{line}").as_bytes()));
    json!({ "noise": lines.collect::<String>() })
}

async fn live() -> Life {
    let world = World::with(Model::from_yaml(MODEL).unwrap(), Limits::default()).await;
    let mut observer = Observer { world, key: String::new(), life: Life { calls: Vec::new(), answers: Vec::new() } };
    for function in [Function::Submit, Function::Executor, Function::Status] {
        observer.world.app.warm_up().await;
        observer.note(function);
    }
    observer.fresh_key("alice", &[]).await;
    observer.get("/batches", "/batches").await;
    observer.fresh_key("alice", &[]).await;
    for function in [Function::Submit, Function::Executor] {
        Box::pin(records(&mut observer, function)).await;
    }
    replays(&mut observer).await;
    sweep(&mut observer).await;
    reads(&mut observer).await;
    Box::pin(lifecycle(&mut observer)).await;
    Box::pin(refusals(&mut observer)).await;
    faults(&mut observer).await;
    Box::pin(memories::memories(&mut observer)).await;
    Box::pin(limits(&mut observer)).await;
    Box::pin(memories::limits(&mut observer)).await;
    Box::pin(content(&mut observer)).await;
    Box::pin(super::intents::intents(&mut observer)).await;
    observer.life
}

/// Rows made, read in every way, changed and removed again, all of it in `function`.
async fn records(observer: &mut Observer, function: Function) {
    let name = format!("shelf of {function:?}");
    let atomic = json!({ "atomic": true });
    let shelf = json!({ "name": name, "room": "r", "house": "h", "town": "t" });
    let book = json!({ "shelf_id": "$ref:shelf.shelf_id", "text": {} });
    let made = observer
        .run(function, json!([create("shelf", "shelf", shelf.clone()), create("book", "book", book)]), atomic.clone())
        .await;
    let shelf_id = &made["shelf"]["data"][0]["shelf_id"];
    let book_id = &made["book"]["data"][0]["book_id"];
    assert!(shelf_id.is_number() && book_id.is_string(), "{made:#}");

    let by_key = json!({ "shelf_id": shelf_id });
    let read = |id: &str, query: Value| operation(id, "read", "shelf", Value::Null, query);
    observer.run(function, json!([read("a", by_key.clone())]), atomic.clone()).await;
    let renamed = json!({ "name": format!("{name}, renamed"), "room": "r2" });
    observer.run(function, json!([operation("a", "update", "shelf", renamed, by_key.clone())]), atomic.clone()).await;
    observer.run(function, json!([read("a", by_key.clone()), create("b", "shelf", json!({}))]), atomic.clone()).await;

    let mut listing = read("listing", json!({}));
    listing["metadata_params"] = json!({ "limit": 10, "count": true });
    let searches = json!([
        listing,
        read("name", json!({ "name": name })),
        read("room", json!({ "room": "r" })),
        read("house", json!({ "house": "h" })),
        read("town", json!({ "town": "t" })),
    ]);
    observer.run(function, searches, json!({ "atomic": false })).await;

    let taken = create("a", "shelf", json!({ "name": format!("{name}, renamed") }));
    let failed = observer.run(function, json!([taken.clone(), create("b", "shelf", json!({}))]), atomic.clone()).await;
    assert_eq!(failed["a"]["code"], "UNIQUE_VIOLATION", "{failed:#}");
    let orphan = create("b", "book", json!({ "shelf_id": 999_999, "text": {} }));
    let mixed = json!([taken, orphan, create("c", "shelf", json!({}))]);
    observer.run(function, mixed, json!({ "atomic": false, "continueOnError": true })).await;

    let large: Vec<Value> = (0..3)
        .map(|_| json!({ "entity": "book", "action": "create", "store_params": { "text": noise(60) } }))
        .collect();
    let large = observer.run(function, json!(large), json!({ "atomic": false })).await;
    assert_eq!(large["op_2"]["status"], "completed", "{large:#}");

    // More than one transaction holds.
    let many = (0..60).map(|n| create(&format!("s{n}"), "shelf", json!({ "name": format!("{name} {n}") }))).collect();
    let many = observer.run(function, many, atomic.clone()).await;
    assert_eq!(many["s59"]["status"], "completed", "{many:#}");

    let delete = |id: &str, entity: &str, query: Value| operation(id, "delete", entity, Value::Null, query);
    let child = observer.run(function, json!([delete("a", "shelf", by_key.clone())]), atomic.clone()).await;
    assert_eq!(child["a"]["code"], "FOREIGN_KEY_VIOLATION", "{child:#}");
    observer.run(function, json!([delete("a", "book", json!({ "book_id": book_id }))]), atomic.clone()).await;
    let gone = observer.run(function, json!([delete("a", "shelf", by_key)]), atomic).await;
    assert_eq!(gone["a"]["status"], "completed", "{gone:#}");
}

/// The same request again: while it runs and after, in the foreground and not, with its own body and with another.
async fn replays(observer: &mut Observer) {
    let body = json!({ "operations": [create("a", "book", json!({ "text": noise(30) }))] });
    for prefer in ["return=minimal", "respond-async"] {
        let headers = [("idempotency-key", prefer), ("prefer", prefer)];
        observer.post(&headers, &body).await;
        tokio::time::advance(std::time::Duration::from_secs(6)).await;
        let again = observer.post(&headers, &body).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        let other = json!({ "operations": [create("a", "book", json!({}))] });
        assert_eq!(observer.post(&headers, &other).await.status, 422);
        observer.drain().await;
        observer.post(&headers, &body).await;
    }
    // No time to run it at all: it is left to the queue.
    let answer = observer.post(&[("prefer", "wait=0")], &body).await;
    assert_eq!(answer.status, 202, "{:#}", answer.body);
    observer.get("/batches/{batchId}", &format!("/batches/{}", answer.batch_id())).await;
    observer.get("/batches/{batchId}/results", &format!("/batches/{}/results", answer.batch_id())).await;
    observer.drain().await;
}

/// A batch whose message was lost, found by the minute rule.
async fn sweep(observer: &mut Observer) {
    let body = json!({ "operations": [create("a", "book", json!({}))] });
    let answer = observer.post(&[("prefer", "respond-async")], &body).await;
    observer.world.seam.take_messages();
    tokio::time::advance(std::time::Duration::from_mins(2)).await;
    let time = observer.world.app.clock().now().to_string();
    let event = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
    observer.deliver(&[event]).await;
    observer.drain().await;
    let found = observer.get("/batches/{batchId}", &format!("/batches/{}", answer.batch_id())).await;
    assert_eq!(found.body["status"], "completed", "the sweep sent it again");
    // One that stays open is watched, until it has ended.
    observer.post(&[("prefer", "respond-async")], &body).await;
    for minutes in [15, 17] {
        tokio::time::advance(std::time::Duration::from_mins(minutes)).await;
        let time = observer.world.app.clock().now().to_string();
        let event = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
        if minutes == 15 {
            observer.world.seam.take_messages();
        }
        observer.deliver(&[event]).await;
        observer.drain().await;
    }
    // A message that cannot be worked on comes again soon.
    assert_eq!(observer.world.deliver(&["no message".to_owned()]).await, ["m0"]);
    observer.note(Function::Executor);
}

async fn reads(observer: &mut Observer) {
    let body = json!({
        "operations": [create("a", "book", json!({})), create("b", "book", json!({}))],
        "options": { "reference": "import", "atomic": false },
    });
    let id = observer.post(&[], &body).await.batch_id();
    let page = observer.get("/batches", "/batches?limit=2").await;
    let next = page.body["nextCursor"].as_str().unwrap().to_owned();
    for target in [
        &format!("/batches?limit=2&cursor={next}"),
        "/batches?reference=import",
        "/batches?status=completed&dialect=records",
    ] {
        let page = observer.get("/batches", target).await;
        assert!(!page.body["data"].as_array().unwrap().is_empty(), "{target}");
    }
    for target in ["/batches?creator=c", "/batches?profileId=p"] {
        observer.get("/batches", target).await;
    }
    let page = observer.get("/batches/{batchId}/results", &format!("/batches/{id}/results?limit=1")).await;
    let next = page.body["nextCursor"].as_str().unwrap();
    observer.get("/batches/{batchId}/results", &format!("/batches/{id}/results?limit=1&cursor={next}")).await;
    observer.get("/capabilities", "/capabilities").await;
    observer.get("/health", "/health").await;
    observer.fresh_key("root", &["admin"]).await;
    observer.get("/batches", "/batches").await;
    observer.fresh_key("alice", &[]).await;
}

/// Batches that are paused, resumed, cancelled, timed out, given up, analysed and retried, and refusals of it.
async fn lifecycle(observer: &mut Observer) {
    let background = [("prefer", "respond-async")];
    let books = |options: Value| json!({ "operations": [create("a", "book", json!({})), create("b", "book", json!({}))], "options": options });
    let id = observer.post(&background, &books(json!({}))).await.batch_id();
    for (word, status) in [("resume", 409), ("retry", 409), ("pause", 200), ("pause", 200), ("resume", 200)] {
        assert_eq!(observer.act(&id, word, &[]).await.status, status, "{word}");
    }
    observer.drain().await;
    for word in ["pause", "resume", "cancel", "retry"] {
        assert_eq!(observer.act(&id, word, &[]).await.status, 409, "{word}");
    }

    let cancelled = observer.post(&background, &books(json!({}))).await.batch_id();
    assert_eq!(observer.act(&cancelled, "cancel", &[]).await.body["status"], "cancelled");
    observer.drain().await;

    let held = observer.post(&background, &books(json!({}))).await.batch_id();
    for _ in 0..MAX_PAUSES {
        assert_eq!(observer.act(&held, "pause", &[]).await.status, 200);
        assert_eq!(observer.act(&held, "resume", &[]).await.status, 200);
    }
    assert_eq!(observer.act(&held, "pause", &[]).await.body["error"], "PAUSE_LIMIT");
    observer.drain().await;

    let late = observer.post(&background, &books(json!({}))).await.batch_id();
    tokio::time::advance(std::time::Duration::from_mins(61)).await;
    observer.drain().await;

    // Its operations and its results are in parts.
    let large = json!({ "operations": [create("a", "book", json!({ "text": noise(60) })), create("b", "book", json!({ "shelf_id": 999_999, "text": noise(60) }))], "options": { "atomic": false } });
    let partial = observer.post(&[], &large).await.batch_id();

    let dead = observer.post(&background, &books(json!({}))).await.batch_id();
    let messages = observer.world.seam.take_messages();
    assert_eq!(observer.world.deliver_dead(&messages).await, Vec::<String>::new());
    observer.note(Function::Executor);

    // Who may not change a batch's log: nobody, so there is no call for it.
    let audit = observer.get(AUDIT, &format!("/batches/{cancelled}/audit?limit=2")).await;
    let next = audit.body["nextCursor"].as_str().unwrap().to_owned();
    observer.get(AUDIT, &format!("/batches/{cancelled}/audit?limit=2&cursor={next}")).await;
    for (id, status) in
        [(&id, "completed"), (&cancelled, "cancelled"), (&late, "timed_out"), (&partial, "partial"), (&dead, "failed")]
    {
        let found = observer.get("/batches/{batchId}", &format!("/batches/{id}")).await;
        assert_eq!(found.body["status"], status);
        observer.get("/batches/{batchId}/results", &format!("/batches/{id}/results")).await;
        observer.get("/batches/{batchId}/failure-analysis", &format!("/batches/{id}/failure-analysis")).await;
    }
    for (id, count) in [(&cancelled, 2), (&partial, 1), (&dead, 2)] {
        for replayed in ["", "true"] {
            let retried = observer.act(id, "retry", &[("idempotency-key", "again")]).await;
            assert_eq!((retried.status, &retried.body["retryCount"]), (202, &json!(count)), "{:#}", retried.body);
            assert_eq!(retried.header("idempotent-replayed"), replayed);
        }
    }
    observer.drain().await;
    let mut last = partial;
    for _ in 0..3 {
        let retried = observer.act(&last, "retry", &[]).await;
        observer.drain().await;
        last = retried.body["newBatchId"].as_str().unwrap().to_owned();
        let told = observer.get("/batches/{batchId}", &format!("/batches/{last}")).await;
        assert!(told.body["retryOf"].is_string(), "{:#}", told.body);
        observer.get(AUDIT, &format!("/batches/{last}/audit")).await;
    }
    assert_eq!(observer.act(&last, "retry", &[]).await.body["error"], "RETRY_LIMIT");
}

/// Every refusal, in both shapes, and answers that refuse nothing but tell of mistakes.
async fn refusals(observer: &mut Observer) {
    let good = json!({ "operations": [create("a", "book", json!({}))] });
    let wrong = json!({ "operations": [{ "entity": "ghost" }], "options": { "timeout": 0 } });
    let many = vec![json!({ "entity": "shelf", "action": "create" }); 60];
    let too_many = json!({ "operations": many });
    let (good_text, wrong_text, many_text) = (good.to_string(), wrong.to_string(), too_many.to_string());
    let large = vec![b' '; 4_500_001];
    let long = "k".repeat(256);
    for accept in ["application/json", "application/problem+json"] {
        let accept = ("accept", accept);
        for path in ["/batch", "/batch/plan"] {
            for (headers, body) in [
                (&[accept, KEY][..], good_text.as_bytes()),
                (&[accept, KEY], wrong_text.as_bytes()),
                (&[accept, KEY], many_text.as_bytes()),
                (&[accept, KEY], b"{"),
                (&[accept, KEY], b"{}"),
                (&[accept, KEY], br#"{"a":1e400}"#),
                (&[accept, KEY], &large),
                (&[accept], b"{}"),
                (&[accept, KEY, ("idempotency-key", long.as_str())], good_text.as_bytes()),
                (&[accept, KEY, ("authorization", "Bearer a.b.c")], good_text.as_bytes()),
            ] {
                observer.send("POST", path, path, headers, body).await;
            }
        }
        let key = std::mem::replace(&mut observer.key, "-".to_owned());
        for path in ["/batch", "/batch/plan"] {
            observer.send("POST", path, path, &[accept, KEY], good_text.as_bytes()).await;
        }
        for (path, target) in GETS {
            observer.send("GET", path, target, &[accept], b"").await;
        }
        for (path, target) in ACTS {
            observer.send("POST", path, target, &[accept], b"").await;
        }
        observer.key = key;
        for (path, target) in ACTS {
            observer.send("POST", path, target, &[accept, ("authorization", "Bearer a.b.c")], b"").await;
            observer.send("POST", path, target, &[accept], b"").await;
            let ended = observer.post(&[], &good).await.batch_id();
            observer.send("POST", path, &target.replace(NO_BATCH, &ended), &[accept], b"").await;
        }
        let retry = ACTS[3];
        observer.send("POST", retry.0, retry.1, &[accept, ("idempotency-key", long.as_str())], b"").await;
        for (path, target) in GETS {
            observer.send("GET", path, target, &[accept, ("authorization", "Bearer a.b.c")], b"").await;
            observer.send("GET", path, target, &[accept], b"").await;
            observer.send("GET", path, &format!("{target}?limit=0"), &[accept], b"").await;
        }
    }
    for options in [json!({ "validate_only": true }), json!({ "validate_only": true, "timeout": 0 })] {
        for operations in [&good["operations"], &wrong["operations"]] {
            observer.post(&[], &json!({ "operations": operations, "options": options })).await;
        }
    }
    // Parameters of a batch there is.
    let id = observer.post(&[], &good).await.batch_id();
    for accept in ["application/json", "application/problem+json"] {
        observer.send("GET", AUDIT, &format!("/batches/{id}/audit?limit=0"), &[("accept", accept)], b"").await;
    }
    let target = format!("/batches/{id}/results?status=odd");
    observer.get("/batches/{batchId}/results", &target).await;
    observer.send("GET", "/batches/{batchId}/results", &target, &[("accept", "application/problem+json")], b"").await;
}

const NO_BATCH: &str = "batch_00000000000000000000000000000000";

const AUDIT: &str = "/batches/{batchId}/audit";

const GETS: [(&str, &str); 6] = [
    ("/batches", "/batches"),
    ("/batches/{batchId}", "/batches/batch_00000000000000000000000000000000"),
    ("/batches/{batchId}/results", "/batches/batch_00000000000000000000000000000000/results"),
    ("/batches/{batchId}/failure-analysis", "/batches/batch_00000000000000000000000000000000/failure-analysis"),
    (AUDIT, "/batches/batch_00000000000000000000000000000000/audit"),
    ("/capabilities", "/capabilities"),
];

const ACTS: [(&str, &str); 4] = [
    ("/batches/{batchId}/cancel", "/batches/batch_00000000000000000000000000000000/cancel"),
    ("/batches/{batchId}/pause", "/batches/batch_00000000000000000000000000000000/pause"),
    ("/batches/{batchId}/resume", "/batches/batch_00000000000000000000000000000000/resume"),
    ("/batches/{batchId}/retry", "/batches/batch_00000000000000000000000000000000/retry"),
];

/// A deployment that allows one batch a minute.
async fn limits(observer: &mut Observer) {
    observer.world = World::limited(1).await;
    observer.fresh_key("alice", &[]).await;
    let wrong = json!({ "operations": [create("a", "album", json!({ "title": "T", "artist_id": 99 }))], "options": { "atomic": false } });
    let id = observer.post(&[], &wrong).await.batch_id();
    for accept in ["application/json", "application/problem+json"] {
        let refused = observer.post(&[("accept", accept)], &wrong).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "60"), "{:#}", refused.body);
        let refused = observer.act(&id, "retry", &[("accept", accept)]).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, "60"), "{:#}", refused.body);
    }
}

/// A database that refuses: before anything ran, when it may have run, and while reading.
async fn faults(observer: &mut Observer) {
    let refused = Fault::Error(400, "AccessDeniedException");
    let body = json!({ "operations": [create("a", "book", json!({}))] }).to_string();
    for (method, path, target) in GETS
        .iter()
        .map(|(path, target)| ("GET", *path, *target))
        .chain([("POST", "/batch", "/batch"), ("POST", "/batch/plan", "/batch/plan")])
    {
        for accept in ["application/json", "application/problem+json"] {
            let headers = [KEY, ("accept", accept)];
            observer.fresh_key("alice", &[]).await;
            observer.world.seam.plan("GetItem", refused.clone());
            let answer = observer.send(method, path, target, &headers, body.as_bytes()).await;
            assert_eq!(answer.status, 503, "{path}: {:#}", answer.body);
            let ran = match path {
                "/batch" => "PutItem",
                "/capabilities" | "/batch/plan" => continue,
                _ => "Query",
            };
            observer.world.seam.plan(ran, refused.clone());
            let answer = observer.send(method, path, target, &headers, body.as_bytes()).await;
            assert_eq!(answer.status, 500, "{path}: {:#}", answer.body);
        }
    }
    for (path, target) in ACTS {
        // A batch that can be paused, resumed or cancelled, and one that can be retried.
        let background = observer
            .post(&[("prefer", "respond-async")], &json!({ "operations": [create("a", "book", json!({}))] }))
            .await;
        let id = background.batch_id();
        match path {
            "/batches/{batchId}/resume" => drop(observer.act(&id, "pause", &[]).await),
            "/batches/{batchId}/retry" => drop(observer.act(&id, "cancel", &[]).await),
            _ => {}
        }
        let target = target.replace(NO_BATCH, &id);
        for accept in ["application/json", "application/problem+json"] {
            for (operation, status) in [("Query", 503), ("TransactWriteItems", 500)] {
                observer.world.seam.plan(operation, refused.clone());
                let answer = observer.send("POST", path, &target, &[("accept", accept)], b"").await;
                assert_eq!(answer.status, status, "{path}: {:#}", answer.body);
            }
        }
    }
    assert!(observer.world.seam.all_happened());
}

const JOBS: [&str; 4] = [
    "/api/batches/batch-update-price",
    "/api/batches/batch-remove-content",
    "/api/batches/batch-remove",
    "/api/batches/batch-update-metadata",
];
const JOB_LISTS: [(&str, &str); 2] =
    [("/api/batches", "/api/batches"), ("/api/batches/creator/{creator}", "/api/batches/creator/nobody")];
const JOB: (&str, &str) = ("/api/batches/{batchId}", "/api/batches/batch_00000000000000000000000000000000");
const JOB_RETRY: &str = "/api/batches/{batchId}/retry";

/// A body that is right for every job.
fn job(ids: &[&str]) -> Value {
    json!({
        "creator": CREATOR, "contentIds": ids, "newPrice": 5, "removalReason": "old", "updates": { "title": "T" },
    })
}

impl Observer {
    async fn creator_key(&mut self) {
        let claims = json!({ "creators": [CREATOR] });
        self.key = self.world.key_with("carol", &["admin"], &claims).await;
        self.world.seam.take_calls();
    }

    async fn job(&mut self, path: &'static str, headers: &[(&str, &str)], body: &Value) -> Arc<Answer> {
        let mut all = vec![KEY];
        all.extend(headers);
        self.send("POST", path, path, &all, body.to_string().as_bytes()).await
    }

    async fn retry_job(&mut self, id: &str, headers: &[(&str, &str)], body: &[u8]) -> Arc<Answer> {
        let mut all = vec![KEY];
        all.extend(headers);
        self.send("POST", JOB_RETRY, &format!("/api/batches/{id}/retry"), &all, body).await
    }

    async fn read_job(&mut self, id: &str) -> Arc<Answer> {
        self.get(JOB.0, &format!("/api/batches/{id}")).await
    }
}

/// Content jobs with a contract: done, refused, silent, failed, retried, followed; and every refusal of their routes.
async fn content(observer: &mut Observer) {
    observer.world = World::chained(Limits::default()).await;
    observer.creator_key().await;
    let rows: Vec<Value> = (0..4)
        .map(|n| {
            create(
                &format!("c{n}"),
                "content",
                json!({ "content_id": format!("c{n}"), "creator": CREATOR, "onChainId": n }),
            )
        })
        .collect();
    observer.post(&[], &json!({ "operations": rows })).await;
    let refuse = Rule { content: Some(1), times: 1, treatment: Treatment::Refuse("NotEnoughFunds") };
    observer.world.node.rule(refuse);
    observer.world.node.rule(Rule { content: Some(2), times: 1, treatment: Treatment::TakeInSilence });
    let keyed = [("idempotency-key", "prices")];
    let id = observer.job(JOBS[0], &keyed, &job(&["c0", "c1", "c2", "missing"])).await.batch_id();
    observer.read_job(&id).await;
    let again = observer.job(JOBS[0], &keyed, &job(&["c0", "c1", "c2", "missing"])).await;
    assert_eq!((again.header("idempotent-replayed"), again.batch_id()), ("true", id.clone()));
    for accept in ["application/json", "application/problem+json"] {
        let other = observer.job(JOBS[0], &[keyed[0], ("accept", accept)], &job(&["c0"])).await;
        assert_eq!(other.status, 422);
        let open = observer.retry_job(&id, &[("accept", accept)], b"{}").await;
        assert_eq!(open.status, 409, "{:#}", open.body);
    }
    let messages = observer.world.seam.take_messages();
    observer.deliver(&messages).await;
    let done = observer.read_job(&id).await;
    assert_eq!((&done.body["status"], &done.body["successCount"]), (&json!("completed"), &json!(3)), "{:#}", done.body);
    observer.world.node.mine();
    observer.drain().await;
    for target in ["?limit=1", "?status=completed&operationType=update-price&from=2020-01-01T00:00:00Z"] {
        for (path, list) in JOB_LISTS {
            let list = list.replace("nobody", CREATOR);
            let page = observer.get(path, &format!("{list}{target}")).await;
            assert_eq!(page.body["data"].as_array().map(Vec::len), Some(1), "{:#}", page.body);
        }
    }
    let key = [("idempotency-key", "again")];
    for body in [&b"{}"[..], br#"{"only":"contract"}"#] {
        let key = [("idempotency-key", if body.len() > 2 { "contract" } else { key[0].1 })];
        for replayed in ["", "true"] {
            let retried = observer.retry_job(&id, &key, body).await;
            assert_eq!((retried.status, retried.header("idempotent-replayed")), (201, replayed), "{:#}", retried.body);
        }
        for accept in ["application/json", "application/problem+json"] {
            let other = if body.len() > 2 { &b"{}"[..] } else { br#"{"only":"contract"}"# };
            let used = observer.retry_job(&id, &[key[0], ("accept", accept)], other).await;
            assert_eq!(used.status, 422, "{:#}", used.body);
        }
    }
    observer.world.node.mine();
    observer.drain().await;
    for path in [JOBS[3], JOBS[1], JOBS[2]] {
        let keyed = [("idempotency-key", path)];
        for replayed in ["", "true"] {
            let answer = observer.job(path, &keyed, &job(&["c3"])).await;
            assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, replayed), "{:#}", answer.body);
        }
        for accept in ["application/json", "application/problem+json"] {
            observer.job(path, &[keyed[0], ("accept", accept)], &job(&["c2"])).await;
        }
        observer.world.node.mine();
        observer.drain().await;
        observer.world.node.mine();
        observer.drain().await;
    }
    sweep_content(observer, &id).await;
    Box::pin(content_refusals(observer, &id)).await;
    Box::pin(content_faults(observer, &id)).await;
    observer.world = World::limited(1).await;
    observer.creator_key().await;
    for path in JOBS {
        observer.job(path, &[], &job(&["c0"])).await;
        for accept in ["application/json", "application/problem+json"] {
            let refused = observer.job(path, &[("accept", accept)], &job(&["c0"])).await;
            assert_eq!(refused.status, 429, "{:#}", refused.body);
        }
    }
    let id = observer.get(JOB_LISTS[0].0, "/api/batches").await.body["data"][0]["batchId"].as_str().unwrap().to_owned();
    observer.drain().await;
    for accept in ["application/json", "application/problem+json"] {
        let refused = observer.retry_job(&id, &[("accept", accept)], b"{}").await;
        assert_eq!(refused.status, 429, "{:#}", refused.body);
    }
}

/// The minute rule looks at what has ended, too, while its transactions are open.
async fn sweep_content(observer: &mut Observer, id: &str) {
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    let id = observer.retry_job(id, &[], b"{}").await.batch_id();
    observer.drain().await;
    observer.read_job(&id).await;
    tokio::time::advance(std::time::Duration::from_mins(2)).await;
    let time = observer.world.app.clock().now().to_string();
    let event = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time }).to_string();
    observer.deliver(&[event]).await;
    observer.drain().await;
}

async fn content_refusals(observer: &mut Observer, id: &str) {
    let (good, large, long) = (job(&["c0"]), vec![b' '; 4_500_001], "k".repeat(256));
    let wrong = json!({ "creator": CREATOR, "contentIds": [], "newPrice": "abc", "updates": { "price": 1 }, "removalReason": 1 });
    let foreign = json!({ "creator": "else", "contentIds": ["c0"], "newPrice": 5, "updates": { "title": "T" } });
    let other = observer.world.key("t1", "mallory", &["admin"]).await;
    observer.world.seam.take_calls();
    for accept in ["application/json", "application/problem+json"] {
        let accept = ("accept", accept);
        let mut posts: Vec<(&'static str, String)> = JOBS.iter().map(|path| (*path, (*path).to_owned())).collect();
        posts.push((JOB_RETRY, format!("/api/batches/{id}/retry")));
        for (path, target) in posts {
            let (good, wrong, foreign) = if path == JOB_RETRY {
                (b"{}".to_vec(), br#"{"only":7}"#.to_vec(), b"{}".to_vec())
            } else {
                (good.to_string().into_bytes(), wrong.to_string().into_bytes(), foreign.to_string().into_bytes())
            };
            for (headers, body) in [
                (&[accept, KEY][..], wrong.as_slice()),
                (&[accept, KEY], b"{"),
                (&[accept, KEY], &large),
                (&[accept], b"{}"),
                (&[accept, KEY, ("idempotency-key", long.as_str())], &good),
                (&[accept, KEY, ("authorization", "Bearer a.b.c")], &good),
            ] {
                observer.send("POST", path, &target, headers, body).await;
            }
            let own = std::mem::replace(&mut observer.key, "-".to_owned());
            observer.send("POST", path, &target, &[accept, KEY], &good).await;
            observer.key.clone_from(&other);
            let answer = observer.send("POST", path, &target, &[accept, KEY], &foreign).await;
            assert_eq!(answer.status, 403, "{path}: {:#}", answer.body);
            observer.key = own;
        }
        observer.retry_job("batch_00000000000000000000000000000000", &[accept], b"{}").await;
        for (path, target) in JOB_LISTS.into_iter().chain([JOB]) {
            observer.send("GET", path, target, &[accept, ("authorization", "Bearer a.b.c")], b"").await;
            observer.send("GET", path, target, &[accept], b"").await;
            observer.send("GET", path, &format!("{target}?limit=0"), &[accept], b"").await;
            let own = std::mem::replace(&mut observer.key, "-".to_owned());
            observer.send("GET", path, target, &[accept], b"").await;
            observer.key = own;
        }
    }
}

/// A database that refuses: before anything ran, when it may have run, and while reading.
async fn content_faults(observer: &mut Observer, id: &str) {
    let refused = Fault::Error(400, "AccessDeniedException");
    let body = job(&["c0"]).to_string();
    for accept in ["application/json", "application/problem+json"] {
        let headers = [KEY, ("accept", accept)];
        for path in JOBS {
            for (fault, status) in [("GetItem", 503), ("PutItem", 500)] {
                observer.creator_key().await;
                if fault == "PutItem" {
                    observer.get("/capabilities", "/capabilities").await;
                }
                observer.world.seam.plan(fault, refused.clone());
                let answer = observer.send("POST", path, path, &headers, body.as_bytes()).await;
                assert_eq!(answer.status, status, "{path}: {:#}", answer.body);
            }
        }
        for (fault, status) in [("GetItem", 503), ("TransactWriteItems", 500)] {
            observer.creator_key().await;
            if fault != "GetItem" {
                observer.get("/capabilities", "/capabilities").await;
            }
            observer.world.seam.plan(fault, refused.clone());
            let answer = observer.retry_job(id, &[("accept", accept)], b"{}").await;
            assert_eq!(answer.status, status, "{:#}", answer.body);
        }
        for (path, target) in JOB_LISTS.into_iter().chain([JOB]) {
            for (fault, status) in [("GetItem", 503), ("Query", 500)] {
                observer.creator_key().await;
                if fault != "GetItem" {
                    observer.get("/capabilities", "/capabilities").await;
                }
                observer.world.seam.plan(fault, refused.clone());
                let answer = observer.send("GET", path, target, &headers, b"").await;
                assert_eq!(answer.status, status, "{path}: {:#}", answer.body);
            }
        }
    }
}
