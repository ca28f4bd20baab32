//! What the pages say is so.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use std::fs;
use std::path::Path;

use batch_core::operation::Code;
use batch_tests::World;
use serde_json::{Value, json};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).expect("a page")
}

/// Request bodies of a page, each with the status and the word that its mark promises.
fn examples(text: &str) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for part in text.split("<!-- example: ").skip(1) {
        let (mark, rest) = part.split_once(" -->").expect("a whole mark");
        let (status, word) = mark.split_once(' ').expect("status and word");
        let block = rest.trim_start().strip_prefix("```json").expect("a JSON block after the mark");
        let (body, _) = block.split_once("```").expect("the end of the block");
        let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{mark}: {error}: {body}"));
        found.push((status.to_owned(), word.to_owned(), body));
    }
    found
}

/// An answer about memories, without ids and times.
fn without_what_varies(body: &Value) -> Value {
    match body {
        Value::Array(items) => items.iter().map(without_what_varies).collect(),
        Value::Object(fields) => {
            let varies = |name: &str| {
                ["batch_id", "id", "execution_time", "created_at", "updated_at", "search_time_ms"].contains(&name)
            };
            let kept = fields.iter().filter(|(name, _)| !varies(name));
            kept.map(|(name, field)| (name.clone(), without_what_varies(field))).collect()
        }
        other => other.clone(),
    }
}

#[tokio::test(start_paused = true)]
async fn every_example_of_the_page_on_memories_answers_as_marked() {
    let world = World::new().await;
    let examples = examples(&page("docs/MEMORIES.md"));
    assert!(examples.len() >= 8, "{} examples", examples.len());
    for (status, path, body) in examples {
        let answer = world.post_with(&path, &[], &body).await;
        assert_eq!(answer.status.to_string(), status, "{body:#}\n{:#}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_the_page_on_memories_find_what_they_have_made() {
    let world = World::new().await;
    let text = page("docs/MEMORIES.md");
    let mut made = Value::Null;
    for (path, body) in curled(&text).into_iter().filter(|(path, _)| !path.ends_with("/batch")) {
        let answer = world.post_with(path, &[], &body.expect("a body")).await;
        if path.ends_with("/search") {
            assert_eq!(answer.body["results"][0]["id"], made, "{:#}", answer.body);
        } else {
            assert_eq!(answer.status, 201, "{:#}", answer.body);
            made = answer.body["id"].clone();
        }
    }
    let (_, listing) = text.split_once("curl -s 'http://127.0.0.1:9000").expect("a listing");
    let listed = world.get(listing.split('\'').next().expect("its end")).await;
    assert_eq!((&listed.body["data"][0]["id"], &listed.body["pagination"]["total"]), (&made, &json!(1)));
}

#[test]
fn the_numbers_of_the_page_on_memories_are_those_of_the_code() {
    use batch_core::limits;
    let text = page("docs/MEMORIES.md");
    for (what, number) in [
        ("operations in a batch", limits::MAX_OPERATIONS),
        ("characters of a query that are read", limits::MAX_QUERY_CHARS),
        ("different words of a query", limits::MAX_QUERY_WORDS),
        ("values in filters", limits::MAX_FILTER_VALUES),
        ("results of a search", limits::MAX_SEARCH_LIMIT),
    ] {
        assert!(text.contains(&format!("| {what} | {number} |")), "{what}: {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_example_of_the_users_page_answers_as_marked() {
    let world = World::new().await;
    let examples = examples(&page("docs/RECORDS.md"));
    assert!(examples.len() >= 12, "{} examples", examples.len());
    for (status, word, body) in examples {
        let answer = world.batch(&body).await;
        let told = answer.body["error"].as_str().or(answer.body["status"].as_str()).unwrap_or_default();
        assert_eq!((answer.status.to_string(), told.to_owned()), (status, word), "{body:#}\n{:#}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn the_analysis_and_the_retry_of_the_users_page_are_what_is_answered() {
    let world = World::new().await;
    let text = page("docs/RECORDS.md");
    let mut examples = examples(&text).into_iter().map(|(_, _, body)| body);
    world.batch(&examples.next().expect("the customer")).await;
    let failing = examples.find(|body| body["operations"][0]["id"] == "taken").expect("the batch that it is about");
    let id = world.batch(&failing).await.batch_id();
    let (_, section) = text.split_once("## Stopping and retrying\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let printed: Vec<&str> =
        section.split("```json").skip(1).map(|part| part.split_once("```").expect("the end of the block").0).collect();
    let [retry, analysis] = printed.as_slice() else { panic!("a retry and an analysis") };
    let told = world.get(&format!("/batches/{id}/failure-analysis")).await.body;
    let analysis = analysis.replace("batch_2c7d84e1f6a94b3085d9e7c1b0a36f42", &id);
    assert_eq!(told, serde_json::from_str::<Value>(&analysis).expect("JSON"));
    let told = world.post_with(told["retry"]["path"].as_str().expect("a path"), &[], &told["retry"]["body"]).await.body;
    let retry = retry.replace("batch_7b1d40c6e2f94a5885a3b9d0c4e61f27", told["newBatchId"].as_str().expect("an id"));
    assert_eq!(told, serde_json::from_str::<Value>(&retry).expect("JSON"));
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_the_readme_succeed_and_answer_as_printed() {
    let world = World::new().await;
    let text = page("README.md");
    let calls = curled(&text);
    assert_eq!(calls.len(), 7);
    let creator =
        world.key_with("me", &[], &json!({ "creators": ["ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5", "me"] })).await;
    let mut answers = Vec::new();
    for (path, body) in calls {
        let Some(body) = body else {
            let listed = world.send("GET", path, &[("x-api-key", &creator)], b"").await.body;
            assert_eq!(
                (&listed["data"][0]["status"], &listed["data"][0]["successCount"]),
                (&json!("completed"), &json!(2))
            );
            continue;
        };
        if path.starts_with("/api/batches/") {
            let answer = world.post_as(&creator, path, &body).await;
            assert_eq!((answer.status, &answer.body["status"]), (201, &json!("pending")), "{:#}", answer.body);
            world.drain().await;
            continue;
        }
        if body["operations"][0]["entity"] == "content" {
            assert_eq!(world.post_as(&creator, path, &body).await.body["status"], "completed");
            continue;
        }
        let answer = world.post_with(path, &[("x-batch-id", "migration-2024-01-15")], &body).await;
        let right = answer.body["success"] == true || answer.body["operations"][0]["unsignedOps"].is_array();
        assert!(answer.status == 200 && right, "{body:#}\n{:#}", answer.body);
        answers.push(answer.body);
    }
    let printed: Vec<Value> = text
        .split("```json")
        .skip(1)
        .map(|part| serde_json::from_str(part.split_once("```").expect("an end").0).expect("JSON"))
        .collect();
    let [records, memories] = <[Value; 2]>::try_from(printed).expect("the answers to a batch of each");
    let (mut answers, mut records) = (answers.into_iter(), records);
    let (mut batch, found) = (answers.next().expect("the first"), answers.next().expect("the second"));
    let result = |place: usize| &found["data"]["operations"][place]["result"];
    assert_eq!(result(2)["results"][0]["id"], result(0)["id"]);
    assert_eq!(without_what_varies(&memories), without_what_varies(&found));
    for varies in ["batchId", "executionTime"] {
        assert!(records[varies].take() != Value::Null && batch[varies].take() != Value::Null, "{varies}");
    }
    assert_eq!(records, batch);
}

/// The requests of a page, as curl is told to send them: path, and the body where there is one.
fn curled(text: &str) -> Vec<(&str, Option<Value>)> {
    let calls = text.split("curl -s http://127.0.0.1:9000").skip(1).map(|part| {
        let call = part.split("```").next().expect("an end");
        let (path, rest) = call.split_once(' ').expect("a path");
        let body = rest.split_once("-d '").map(|(_, body)| body.split_once('\'').expect("a body in quotes").0);
        (path, body.map(|body| serde_json::from_str(body).expect("JSON in a curl line")))
    });
    calls.collect()
}

#[tokio::test(start_paused = true)]
async fn the_requests_of_the_page_on_content_succeed_and_answer_as_printed() {
    const PRINTED: &str = "batch_4f0c2d9a71b84e6d9c35e8a1027bd6f3";
    let world = World::chained(batch_core::limits::Limits::default()).await;
    let text = page("docs/CONTENT.md");
    let token = text.lines().find(|line| line.starts_with("TOKEN=")).expect("a token");
    let (_, creators) = token.split_once("creators=").expect("its claim");
    let creators: Vec<&str> = creators.trim_end_matches(")\"").split(',').collect();
    let key = world.key_with("me", &[], &json!({ "creators": creators })).await;
    let mut blocks = text.split("```json").skip(1).map(|part| part.split_once("```").expect("an end").0);
    let mut told = String::new();
    let calls = curled(&text);
    assert_eq!(calls.iter().map(|(_, body)| body.is_some()).collect::<Vec<_>>(), [true, true, false, true, true]);
    for (path, body) in calls {
        let Some(body) = body else {
            let block = blocks.next().expect("the job").replace(PRINTED, &told);
            let answer = world.send("GET", &path.replace(PRINTED, &told), &[("x-api-key", &key)], b"").await;
            assert_eq!(
                without_what_varies_of_jobs(&serde_json::from_str(&block).expect("JSON")),
                without_what_varies_of_jobs(&answer.body)
            );
            continue;
        };
        let answer = world.post_as(&key, path, &body).await;
        if path == "/batch" {
            assert_eq!(answer.body["status"], "completed", "{:#}", answer.body);
            continue;
        }
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        if told.is_empty() {
            told = answer.batch_id();
            let block = blocks.next().expect("the answer").replace(PRINTED, &told);
            assert_eq!(answer.body, serde_json::from_str::<Value>(&block).expect("JSON"));
        }
        let id = answer.batch_id();
        world.drain().await;
        let ended = world.send("GET", &format!("/api/batches/{id}"), &[("x-api-key", &key)], b"").await;
        assert_eq!(ended.body["status"], "completed", "{:#}", ended.body);
        assert!(id == told || ended.body["failureCount"] == 0, "{:#}", ended.body);
    }
}

/// An answer about a job, without times and ids of transactions, and without what a block does to these.
fn without_what_varies_of_jobs(body: &Value) -> Value {
    match body {
        Value::Array(items) => items.iter().map(without_what_varies_of_jobs).collect(),
        Value::Object(fields) => {
            let varies = |name: &str, value: &Value| {
                let name = name.to_owned();
                name.ends_with("At")
                    || name.ends_with("Time")
                    || name.ends_with("PerItem")
                    || name == "totalDuration"
                    || name == "state"
                    || (name == "txId" && value.is_string())
            };
            let kept = fields.iter().map(|(name, field)| {
                let kept = if varies(name, field) { json!("varies") } else { without_what_varies_of_jobs(field) };
                (name.clone(), kept)
            });
            kept.collect()
        }
        other => other.clone(),
    }
}

#[test]
fn the_numbers_of_the_page_on_content_are_those_of_the_code() {
    use batch_core::limits;
    let text = page("docs/CONTENT.md");
    let thousands = |number: usize| {
        if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
    };
    for told in [
        format!("a list of 1 to {} texts of 1 to {} characters", limits::MAX_OPERATIONS, limits::MAX_CONTENT_ID),
        format!("a text of 1 to {} characters that the caller acts for", limits::MAX_CREATOR),
        format!("a text of at most {} characters", limits::MAX_REMOVAL_REASON),
        format!("object of at most {} bytes", thousands(limits::MAX_TOKEN_GATING_BYTES)),
        format!(
            "`limit` is at most {}, `skip` at most {}",
            limits::MAX_PAGE,
            limits::MAX_PAGE_SCANNED - limits::MAX_PAGE
        ),
        format!("A job ends within {} s", limits::CONTENT_TIMEOUT_MS / 1_000),
        format!("at most {} transactions of a signer", limits::MOST_IN_CHAIN),
    ] {
        assert!(text.contains(&told), "{told}");
    }
}

#[test]
fn the_table_of_codes_is_the_catalogue() {
    let text = page("docs/RECORDS.md");
    let rows: Vec<String> = text
        .lines()
        .filter(|line| {
            line.trim_start_matches("| ").chars().next().is_some_and(|c| c.is_ascii_uppercase())
                && (line.contains(" | yes | ") || line.contains(" | no | "))
        })
        .map(str::to_owned)
        .collect();
    let catalogue: Vec<String> = Code::ALL
        .iter()
        .map(|code| {
            let again = if code.retryable() { "yes" } else { "no" };
            format!("| {code} | {} | {again} | {} |", code.http_status(), code.suggestion())
        })
        .collect();
    assert_eq!(rows, catalogue);
}

#[test]
fn the_readme_names_the_two_commands() {
    let text = page("README.md");
    for command in ["cargo run -p batch-local -- demo", "cargo test --workspace"] {
        assert!(text.lines().any(|line| line.starts_with(command)), "{command}");
    }
}

#[test]
fn the_shipped_pages_speak_of_the_product_alone() {
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/RECORDS.md",
        "docs/MEMORIES.md",
        "docs/CONTENT.md",
        "docs/ARCHITECTURE.md",
        "docs/OPERATIONS.md",
        "openapi.yaml",
    ] {
        let text = page(name).to_lowercase();
        for word in ["../shared", "todo", "fixme", "lorem"] {
            assert!(!text.contains(word), "{name} says {word}");
        }
    }
}

/// Every Rust file of the repository's tests.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let mut code = String::new();
    for folder in ["tests/tests", "crates/local/tests", "crates/core/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut code);
    }
    let text = ["docs/GUARANTEES.md", "docs/SECURITY.md"].map(page).concat();
    // A name of three words or more is a test's.
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() >= 3).collect();
    assert!(named.len() >= 20, "{named:?}");
    for name in named {
        assert!(code.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}
