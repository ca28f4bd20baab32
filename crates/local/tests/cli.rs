//! The command lines, each as a process of its own.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use batch_local::orby::OrbySandbox;
use batch_local::sqs::{Counts, QueueSettings, Sqs};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// The source's first example, with a marker to find its rows by.
const RELATED: &str = r#"{"operations": [
    {"id": "create_customer", "entity": "customer", "action": "create",
     "store_params": {"first_name": "John", "last_name": "Doe", "email": "john@example.com"}},
    {"id": "create_invoice", "entity": "invoice", "action": "create",
     "store_params": {"customer_id": "$ref:create_customer.customer_id", "total": 100.00},
     "depends_on": ["create_customer"]}
]}"#;

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batch-local"));
    command.current_dir(home).args(arguments).env_remove("BATCH_API_KEY").env("LOG_LEVEL", "warn");
    for name in ["ORBY_URL", "ORBY_API_KEY", "ORBY_STATUS_METHOD", "STACKS_NODE_URL"] {
        command.env_remove(name);
    }
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The one line on standard output.
fn only_line(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].to_owned()
}

/// A running service.
struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    url: String,
    key: String,
    /// What it said until it listened.
    said: String,
}

impl Serving {
    /// Starts it, and waits for its line.
    fn start(home: &Path, arguments: &[&str]) -> Self {
        Self::started(command(home, arguments))
    }

    fn started(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (mut url, mut key, mut line, mut said) = (String::new(), String::new(), String::new(), String::new());
        while url.is_empty() {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended before it listened");
            said.push_str(&line);
            if let Some(found) = line.trim().strip_prefix("KEY=") {
                found.clone_into(&mut key);
            }
            if let Some(found) = line.trim().strip_prefix("listening on ") {
                found.clone_into(&mut url);
            }
        }
        Self { child, stdout, url, key, said }
    }

    fn port(&self) -> &str {
        self.url.rsplit_once(':').unwrap().1
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops it as a supervisor would; it says nothing more, and ends well.
    fn stop(mut self, signal: &str) {
        self.signal(signal);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn post(&self, batch: &str, prefer: &str) -> (u16, Value) {
        let request = reqwest::Client::new().post(format!("{}/batch", self.url)).bearer_auth(&self.key);
        let request = request.header("content-type", "application/json").header("prefer", prefer);
        let response = request.body(batch.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str, credential: &str) -> (u16, Value) {
        let response = reqwest::Client::new().get(format!("{}{path}", self.url)).bearer_auth(credential).send();
        let response = response.await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The rows that a read finds.
    async fn read(&self, entity: &str, query: Value, metadata: Value) -> Value {
        let batch = json!({"operations": [{
            "id": "look", "entity": entity, "action": "read", "query_params": query, "metadata_params": metadata,
        }]});
        let (status, body) = self.post(&batch.to_string(), "wait=20").await;
        assert_eq!(status, 200, "{body}");
        body["results"]["look"]["data"].clone()
    }
}

/// A test that fails leaves no process behind.
impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_restart_keeps_batches_and_records() {
    let home = TempDir::new().unwrap();
    let first = Serving::start(home.path(), &["serve", "--port", "0"]);
    let (status, body) = first.post(RELATED, "wait=20").await;
    assert_eq!((status, &body["status"]), (200, &json!("completed")), "{body}");
    let key = first.key.clone();
    first.stop("TERM");

    let second = Serving::start(home.path(), &["serve", "--port", "0"]);
    let id = body["batchId"].as_str().unwrap();
    let (status, batch) = second.get(&format!("/batches/{id}"), &key).await;
    assert_eq!((status, &batch["status"]), (200, &json!("completed")), "{batch}");
    let customer = &body["results"]["create_customer"]["data"][0];
    let found = second.read("customer", json!({"email": "john@example.com"}), json!({})).await;
    assert_eq!(found, json!([customer]));
    second.stop("INT");
}

#[tokio::test]
async fn batches_that_were_queued_when_it_was_killed_all_end_and_take_effect_once() {
    const BATCHES: usize = 20;
    const OPERATIONS: usize = 100;
    let home = TempDir::new().unwrap();
    let first = Serving::start(home.path(), &["serve", "--port", "0"]);
    let first = Arc::new(first);
    let mut sending = JoinSet::new();
    for batch in 0..BATCHES {
        let operations: Vec<Value> = (0..OPERATIONS)
            .map(|operation| {
                let name = json!({"first_name": format!("n{operation}"), "last_name": format!("batch{batch}")});
                json!({"entity": "customer", "action": "create", "store_params": name})
            })
            .collect();
        let batch_request = json!({"operations": operations, "options": {"atomic": false}}).to_string();
        let service = first.clone();
        sending.spawn(async move { (batch, service.post(&batch_request, "respond-async").await) });
    }
    let mut accepted = sending.join_all().await;
    Arc::into_inner(first).unwrap().kill();
    accepted.sort_by_key(|(batch, _)| *batch);
    let ids: Vec<String> = accepted
        .iter()
        .map(|(_, (status, body))| {
            assert_eq!(*status, 202, "{body}");
            body["batchId"].as_str().unwrap().to_owned()
        })
        .collect();
    let queue = QueueSettings { name: "BatchQueue".to_owned(), visibility_s: 360, redrive: None };
    let queued = Sqs::open(Some(&home.path().join(".local/sqs.sqlite")), &[queue], || 0).unwrap();
    let left = queued.counts("BatchQueue").unwrap();
    assert_ne!(left, Counts::default(), "it was killed too late to leave anything to do");
    drop(queued);

    let second = Serving::start(home.path(), &["serve", "--port", "0"]);
    for (number, id) in ids.iter().enumerate() {
        let batch = loop {
            let (status, batch) = second.get(&format!("/batches/{id}"), &second.key).await;
            assert_eq!(status, 200, "{batch}");
            if !matches!(batch["status"].as_str(), Some("pending" | "processing")) {
                break batch;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!((&batch["status"], &batch["summary"]["successful"]), (&json!("completed"), &json!(OPERATIONS)));
        let of_batch = json!({"last_name": format!("batch{number}")});
        let count = second.read("customer", of_batch, json!({"count": true})).await;
        assert_eq!(count, json!([{"count": OPERATIONS}]), "batch {number}");
    }
    second.stop("TERM");
}

/// A line without what varies: its numbers, and the spaces that come with them.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let letters = word.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter });
        let mut letters: Vec<char> = letters.collect();
        letters.dedup_by(|one, other| *one == '0' && *other == '0');
        letters.into_iter().collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_demo_ends_well() {
    let home = TempDir::new().unwrap();
    let output = run(home.path(), &["demo"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(shown.contains("checks hold"), "{shown}");
    assert_eq!(shown.matches("yes (").count(), 9, "{shown}");
    assert!(text(&output.stderr).contains("100/100 completed"), "progress is a line each without a terminal");
    let printed: Vec<String> = (shown.lines().chain(text(&output.stderr).lines())).map(shape).collect();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let transcript = readme.split_once("```text\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    for line in transcript.lines() {
        assert!(printed.contains(&shape(line)), "the README shows what is not printed: {line}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "it leaves nothing behind");
}

#[tokio::test]
async fn a_token_stands_alone_and_is_good_for_any_service_of_the_directory() {
    let home = TempDir::new().unwrap();
    let arguments = ["token", "--tenant", "acme", "--subject", "ann", "--role", "admin", "--claim", "creators=a,b"];
    let token = only_line(&run(home.path(), &arguments));
    assert_eq!(token.split('.').count(), 3);
    for service in [&["serve", "--port", "0", "--memory"][..], &["--port", "0", "--data-dir", "elsewhere"]] {
        let serving = Serving::start(home.path(), service);
        assert_eq!(serving.get("/batches", &token).await.0, 200);
        assert_eq!(serving.get("/batches", "a.b.c").await.0, 401);
        serving.stop("TERM");
    }
    assert!(home.path().join("elsewhere").is_dir());
}

#[tokio::test]
async fn a_key_is_good_for_a_running_service_and_for_a_data_directory() {
    let home = TempDir::new().unwrap();
    let caller = ["key", "--tenant", "acme", "--subject", "ann"];
    let serving = Serving::start(home.path(), &["serve", "--port", "0", "--memory"]);
    let key = only_line(&run(home.path(), &[&caller[..], &["--port", serving.port()]].concat()));
    assert_eq!(serving.get("/batches", &key).await.0, 200);
    serving.stop("TERM");

    let before = only_line(&run(home.path(), &[&caller[..], &["--data-dir", "data"]].concat()));
    let serving = Serving::start(home.path(), &["serve", "--port", "0", "--data-dir", "data"]);
    let beside = only_line(&run(home.path(), &[&caller[..], &["--data-dir", "data"]].concat()));
    for key in [before, beside] {
        assert_eq!(serving.get("/batches", &key).await.0, 200);
    }
    assert_eq!(serving.get("/batches", &key).await.0, 401, "a key of another service");
    serving.stop("TERM");
}

#[test]
fn a_key_for_a_deployment_is_told_with_its_item_and_stored_nowhere() {
    let home = TempDir::new().unwrap();
    let told = run(home.path(), &["key", "--tenant", "acme", "--subject", "ann", "--days", "90", "--item"]);
    let told = String::from_utf8(told.stdout).unwrap();
    let (key, item) = told.trim_end().split_once('\n').unwrap();
    let item: Value = serde_json::from_str(item).unwrap();
    let id = key.split('_').nth(2).unwrap();
    assert_eq!(item["pk"]["S"], format!("K#{id}"));
    let record: Value = serde_json::from_str(item["record"]["S"].as_str().unwrap()).unwrap();
    assert_eq!((&record["tenant"], &record["subject"]), (&json!("acme"), &json!("ann")));
    let lives = record["expires_at"].as_i64().unwrap() - record["created_at"].as_i64().unwrap();
    assert_eq!(lives, 90 * 86_400_000);
    assert!(home.path().read_dir().unwrap().next().is_none(), "something was stored");
}

#[tokio::test]
async fn a_file_is_sent_watched_and_shown() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("batch.json"), RELATED).unwrap();
    let serving = Serving::start(home.path(), &["serve", "--port", "0", "--memory"]);
    let submit = ["submit", "batch.json", "--url", &serving.url];

    let watched = run(home.path(), &[&submit[..], &["--watch"]].concat());
    let (shown, progress) = (text(&watched.stdout), text(&watched.stderr));
    assert!(watched.status.success(), "{shown}{progress}");
    assert!(shown.contains("create_customer  create customer  completed"), "{shown}");
    assert!(shown.contains("completed: 2 succeeded, 0 failed, 0 skipped"), "{shown}");
    assert!(progress.contains("2/2 completed"), "{progress}");

    // The same again: the address is taken.
    let again = command(home.path(), &submit).env("BATCH_API_KEY", &serving.key).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stdout).contains("409 UNIQUE_VIOLATION"), "{}", text(&again.stdout));

    let wrong = run(home.path(), &[&submit[..], &["--key", "nonsense"]].concat());
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).starts_with("error: 401 "), "{}", text(&wrong.stderr));
    serving.stop("TERM");
}

#[test]
fn a_batch_can_come_from_standard_input_and_its_problems_are_told() {
    let home = TempDir::new().unwrap();
    let serving = Serving::start(home.path(), &["serve", "--port", "0", "--memory"]);
    let mut submit = command(home.path(), &["submit", "-", "--url", &serving.url]);
    let mut submit = submit.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    submit.stdin.take().unwrap().write_all(br#"{"operations": [{"entity": "dragon", "action": "create"}]}"#).unwrap();
    let output = submit.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("400 BATCH_VALIDATION_ERROR") && told.contains("/operations/0/entity UNKNOWN_ENTITY"),
        "{told}"
    );
    serving.stop("TERM");
}

#[test]
fn a_wrong_model_stops_the_start_with_line_and_reason() {
    let home = TempDir::new().unwrap();
    let model =
        "components:\n  schemas:\n    thing:\n      type: object\n      properties:\n        name: {type: strin}\n";
    fs::write(home.path().join("model.yaml"), model).unwrap();
    let output = run(home.path(), &["serve", "--port", "0", "--memory", "--model", "model.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("error: model.yaml:3: thing: no primary key"), "{told}");
    assert!(lines[1].starts_with("model.yaml:6: thing.name: unknown type \"strin\""), "{told}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn what_is_taken_is_named() {
    let home = TempDir::new().unwrap();
    let serving = Serving::start(home.path(), &["serve", "--port", "0"]);
    let taken = run(home.path(), &["serve", "--memory", "--port", serving.port()]);
    let told = format!("error: 127.0.0.1:{} cannot be listened on: Address already in use", serving.port());
    assert!(text(&taken.stderr).starts_with(&told), "{}", text(&taken.stderr));
    let taken = run(home.path(), &["serve", "--port", "0"]);
    assert_eq!(text(&taken.stderr), "error: another service uses the data directory .local\n");
    assert_eq!(taken.status.code(), Some(1));
    serving.stop("TERM");
}

#[test]
fn the_backend_prints_the_settings_of_the_functions_and_nothing_else() {
    let home = TempDir::new().unwrap();
    let mut backend = command(home.path(), &["backend", "--port", "0", "--memory"]);
    let mut child = backend.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let lines: Vec<(&str, &str)> = text(&output.stdout).lines().map(|line| line.split_once('=').unwrap()).collect();
    for name in ["BATCHES_TABLE", "RECORDS_TABLE", "CONTROL_TABLE", "QUEUE_URL", "JWKS_URL", "CURSOR_KEY", "AWS_REGION"]
    {
        assert!(lines.iter().any(|(found, value)| *found == name && !value.is_empty()), "{name}");
    }
}

/// The key of an Orby that is not the service's own.
const ORBY_KEY: &str = "the-key-of-an-orby-elsewhere";

#[tokio::test]
async fn intents_go_to_the_orby_that_is_set_and_its_key_is_never_told() {
    let home = TempDir::new().unwrap();
    let sandboxed = Serving::start(home.path(), &["serve", "--port", "0", "--memory"]);
    assert!(sandboxed.said.contains("Intents go to a sandbox of Orby"), "{}", sandboxed.said);
    sandboxed.stop("TERM");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let orby_url = format!("http://{}", listener.local_addr().unwrap());
    let orby = OrbySandbox::new(ORBY_KEY, &orby_url);
    let serving = async {
        let errors = home.path().join("errors");
        let mut command = command(home.path(), &["serve", "--port", "0", "--memory"]);
        command.env("ORBY_URL", &orby_url).env("ORBY_API_KEY", ORBY_KEY).env("LOG_LEVEL", "trace");
        command.stderr(fs::File::create(&errors).unwrap());
        let service = Serving::started(command);
        assert!(service.said.contains("Intents go to Orby at ORBY_URL"), "{}", service.said);
        let profile = r#"{"operations":[{"entity":"profile","action":"create","store_params":
            {"profile_id":"p","address":"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"}}]}"#;
        assert_eq!(service.post(profile, "wait=20").await.0, 200);
        let intents = r#"{"operations":[{"type":"transfer","from":{"token":"eth","chainId":1,"amount":"1"},
            "to":{"address":"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}}]}"#;
        let request = reqwest::Client::new().post(format!("{}/api/v1/profiles/p/batch-intent", service.url));
        let request = request.bearer_auth(&service.key).header("content-type", "application/json").body(intents);
        assert_eq!(request.send().await.unwrap().status(), 200);
        let said = service.said.clone();
        service.stop("TERM");
        (said, fs::read_to_string(&errors).unwrap())
    };
    let (said, errors) = tokio::select! {
        () = orby.clone().serve(listener, std::future::pending()) => panic!("the server ends"),
        told = serving => told,
    };
    assert!(orby.take_calls().contains(&"orby_getOperationsToTransferToken".to_owned()));
    assert!(!said.contains(ORBY_KEY) && !errors.contains(ORBY_KEY));
}

#[test]
fn an_orby_without_its_key_stops_the_start_and_a_key_is_no_setting_to_print() {
    let home = TempDir::new().unwrap();
    let mut command = command(home.path(), &["serve", "--port", "0", "--memory"]);
    let output = command.env("ORBY_URL", "https://orby.invalid").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("ORBY_API_KEY"), "{}", text(&output.stderr));

    let mut backend = self::command(home.path(), &["backend", "--port", "0", "--memory"]);
    backend.env("ORBY_URL", "https://orby.invalid").env("ORBY_API_KEY", ORBY_KEY);
    let mut child = backend.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("ORBY_API_KEY") {
        assert_ne!(notes.read_line(&mut told).unwrap(), 0, "{told}");
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("ORBY_URL=https://orby.invalid"));
    assert!(!text(&output.stdout).contains(ORBY_KEY) && !told.contains(ORBY_KEY));
}
