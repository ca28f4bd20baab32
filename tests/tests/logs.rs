//! What the page on operations says of log lines: their names, levels and fields are those of the code.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use batch_core::auth::ApiKey;
use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_tests::seam::Fault;
use batch_tests::{Lines, World};
use serde_json::{Value, json};
use tracing::Level;

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");
/// What a line may have whatever it tells.
const AROUND: [&str; 8] =
    ["timestamp", "level", "message", "target", "request.id", "trace.id", "message.id", "batch.id"];

/// A world whose lines are kept, and what keeps them.
async fn world(level: Level) -> (World, Lines, tracing::subscriber::DefaultGuard) {
    let (lines, guard) = Lines::listen(level);
    (World::new().await, lines, guard)
}

fn create(id: &str) -> Value {
    json!({ "id": id, "entity": "artist", "action": "create", "store_params": { "name": id } })
}

fn missing(id: &str) -> Value {
    json!({ "id": id, "entity": "artist", "action": "update", "query_params": { "artist_id": 77 }, "store_params": { "name": id } })
}

/// A section of the page: the rows of its table, split into cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PAGE.split_once(heading).expect("the section");
    let rows = section.lines().skip_while(|line| !line.starts_with("| ")).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn named(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Fields by name of an event, as the page has them: those that are always there, and those that may be.
fn listed() -> BTreeMap<String, (String, BTreeSet<String>, BTreeSet<String>)> {
    let row = |cells: Vec<&str>| {
        let [message, level, fields, ..] = cells.as_slice() else { panic!("{cells:?}") };
        let (may, always): (BTreeSet<String>, BTreeSet<String>) =
            named(fields).into_iter().partition(|field| field.ends_with('?'));
        let may = may.iter().map(|field| field.trim_end_matches('?').to_owned()).collect();
        (message.trim_matches('`').to_owned(), ((*level).to_owned(), always, may))
    };
    rows("### Events").into_iter().map(row).collect()
}

/// Everything that an event can be seen at.
async fn live(world: &World) {
    let mut after = create("c");
    after["depends_on"] = json!(["b"]);
    world.run(vec![create("a"), missing("b"), after], json!({ "atomic": false, "continueOnError": true })).await;
    world.run(vec![create("a"), missing("b")], json!({ "atomic": true, "timeout": 20_000 })).await;
    world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
    world.run(vec![create("d")], json!({})).await;
    let body = json!({ "operations": [create("a"), missing("b")] });
    let headers = [("prefer", "respond-async")];
    let id = world.post_with("/batch", &headers, &body).await.batch_id();
    world.post_with(&format!("/batches/{id}/cancel"), &[], &json!({})).await;
    world.post_with(&format!("/batches/{id}/retry"), &[], &json!({})).await;
    world.drain().await;
    // One that a single transaction cannot hold.
    world.run((0..100).map(|n| create(&format!("w{n}"))).collect(), json!({ "atomic": true })).await;
    let unknown = ApiKey::generate(&[7; 40]);
    world.send("GET", "/batches", &[("x-api-key", unknown.expose())], b"").await;
}

#[tokio::test(start_paused = true)]
async fn each_event_has_the_level_and_the_fields_that_the_page_lists() {
    let (world, lines, _logging) = world(Level::TRACE).await;
    live(&world).await;
    let listed = listed();
    let mut seen: BTreeMap<String, Vec<BTreeSet<String>>> = BTreeMap::new();
    for line in lines.text().lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let line = line.as_object().expect("an object");
        let (message, level) = (line["message"].as_str().expect("a text"), line["level"].as_str().expect("a text"));
        let Some((wanted, always, may)) = listed.get(message) else {
            assert!(matches!(level, "WARN" | "ERROR"), "{message} is not on the page");
            continue;
        };
        assert_eq!(level.to_lowercase(), *wanted, "{message}");
        let own: BTreeSet<String> = line.keys().filter(|name| !AROUND.contains(&name.as_str())).cloned().collect();
        let beyond: Vec<_> = own.iter().filter(|name| !always.contains(*name) && !may.contains(*name)).collect();
        assert!(always.is_subset(&own) && beyond.is_empty(), "{message}: {own:?}");
        seen.entry(message.to_owned()).or_default().push(own);
    }
    // What only content jobs have is seen by their own tests.
    for (message, (_, _, may)) in
        listed.iter().filter(|(message, _)| !message.contains("call") && !message.contains("transaction"))
    {
        let seen = seen.get(message).unwrap_or_else(|| panic!("{message} was not seen"));
        for field in may {
            let with = seen.iter().filter(|own| own.contains(field)).count();
            assert!(with > 0 && with < seen.len(), "{message} has {field} in {with} of {} lines", seen.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_told_from_its_start_to_its_end() {
    let (world, lines, _logging) = world(Level::DEBUG).await;
    let mut last = create("a");
    last["depends_on"] = json!(["c"]);
    let operations = vec![last, missing("b"), create("c")];
    world.run(operations, json!({ "atomic": false, "continueOnError": true, "max_retries": 2 })).await;
    let text = lines.text();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |message: &str| -> Vec<&Value> { told.iter().filter(|line| line["message"] == message).collect() };
    let [started] = of("batch started")[..] else { panic!("{text}") };
    assert_eq!((&started["batch.operations"], &started["batch.max_retries"]), (&json!(3), &json!(2)));
    assert_eq!((&started["batch.atomic"], &started["batch.continue_on_error"]), (&json!(false), &json!(true)));
    // b and c before a, which waits for c.
    assert_eq!(started["batch.order"], "1-2,0");
    let [committed] = of("operations committed")[..] else { panic!("{text}") };
    assert_eq!((&committed["commit.from"], &committed["commit.to"]), (&json!(0), &json!(3)));
    assert_eq!((&committed["commit.completed"], &committed["commit.codes"]), (&json!(2), &json!("NOT_FOUND:1")));
    let indexes = |message: &str| -> Vec<&Value> { of(message).iter().map(|line| &line["operation.index"]).collect() };
    assert_eq!(
        (indexes("operation completed"), indexes("operation failed")),
        (vec![&json!(2), &json!(0)], vec![&json!(1)])
    );
    let [ended] = of("batch ended")[..] else { panic!("{text}") };
    assert_eq!(
        (&ended["batch.status"], &ended["batch.successful"], &ended["batch.failed"]),
        (&json!("partial"), &json!(2), &json!(1))
    );
    let id = ended["batch.id"].as_str().expect("an id");
    for message in ["batch accepted", "batch started", "operations committed", "operation failed", "batch executed"] {
        assert!(of(message).iter().all(|line| line["batch.id"] == id), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_atomic_failure_is_told_as_rolled_back_and_a_lost_commit_as_given_up() {
    let (world, lines, _logging) = world(Level::INFO).await;
    world.run(vec![create("a"), missing("b")], json!({ "atomic": true })).await;
    let text = lines.text();
    let rolled = text.lines().find(|line| line.contains("batch rolled back")).expect("a line");
    let rolled: Value = serde_json::from_str(rolled).expect("JSON");
    assert_eq!((&rolled["rollback.operations"], &rolled["rollback.cause"]), (&json!(2), &json!(1)));
    assert!(!text.contains("operation failed"), "one line for each operation is for debug: {text}");
    for _ in 0..2 {
        world.seam.plan("TransactWriteItems", Fault::Conflict(vec![1]));
    }
    world.run(vec![create("d")], json!({})).await;
    let text = lines.text();
    let given_up: Vec<Value> = text
        .lines()
        .filter(|line| line.contains("commit given up"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let told: Vec<(&Value, &Value)> =
        given_up.iter().map(|line| (&line["commit.attempt"], &line["commit.refused"])).collect();
    assert_eq!(told, [(&json!(1), &json!("busy")), (&json!(2), &json!("busy"))]);
    let last = text.lines().rfind(|line| line.contains("operations committed")).expect("a line");
    assert!(last.contains("\"commit.attempt\":3"), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_wide_commit_is_told_once_and_as_such() {
    let (lines, _logging) = Lines::listen(Level::INFO);
    let limits = Limits { actions: 4, ..Limits::default() };
    let world = World::with(Model::shipped().expect("a model"), limits).await;
    world.run((0..8).map(|n| create(&format!("a{n}"))).collect(), json!({})).await;
    let text = lines.text();
    let committed: Vec<&str> = text.lines().filter(|line| line.contains("operations committed")).collect();
    assert!(committed.len() == 1 && committed[0].contains("\"commit.wide\":true"), "{text}");
}

/// The last literal of each call of a macro of `tracing` in `text`, which is its message.
fn messages(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["error", "warn", "info", "debug", "trace"] {
        for rest in text.split(&format!("tracing::{kind}!(")).skip(1) {
            let (mut depth, mut quoted, mut escaped, mut literal, mut last) =
                (1, false, false, String::new(), String::new());
            for c in rest.chars() {
                match (quoted, escaped, c) {
                    (true, true, _) => escaped = false,
                    (true, false, '\\') => escaped = true,
                    (true, false, '"') => (quoted, last) = (false, std::mem::take(&mut literal)),
                    (true, false, c) => literal.push(c),
                    (false, _, '"') => quoted = true,
                    (false, _, '(') => depth += 1,
                    (false, _, ')') => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            found.push(last);
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).expect("a file"));
        }
    }
}

#[test]
fn each_line_of_the_code_is_on_the_page_and_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    for folder in ["crates/core/src", "crates/gateway/src", "functions"] {
        sources(&root.join(folder), &mut texts);
    }
    let written: BTreeSet<String> = texts.iter().flat_map(|text| messages(text)).collect();
    assert!(written.len() > 40, "{written:?}");
    let events = listed().into_keys();
    let others = rows("### Warnings and errors").into_iter().flat_map(|cells| named(cells[0]));
    assert_eq!(written, events.chain(others).collect());
}
