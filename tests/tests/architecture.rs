//! What the architecture page says is absent, is absent.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below `folder` whose name ends with `.rs`, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path.strip_prefix(root()).expect("below the root").display().to_string(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

fn check_absent(folder: &str, words: &[&str]) {
    for (path, text) in sources(folder) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in words {
                assert!(!line.contains(word), "{path}:{}: {word} does not belong here: {line}", number + 1);
            }
        }
    }
}

#[test]
fn pure_modules_know_no_sdk_no_runtime_and_no_http() {
    let modules = ["batch", "operation", "plan", "model", "dialect", "intent", "search"];
    let folders = modules.map(|module| format!("crates/core/src/{module}"));
    for folder in folders.into_iter().chain(["crates/json/src".to_owned()]) {
        check_absent(
            &folder,
            &[
                "aws_",
                "tokio",
                "http::",
                "lambda",
                "reqwest",
                "async fn",
                "crate::store",
                "crate::app",
                "crate::engine",
            ],
        );
    }
}

#[test]
fn evaluation_is_pure() {
    for file in ["action", "change", "chunk", "create", "evaluate", "read", "resolve", "turn", "view"] {
        let text =
            fs::read_to_string(root().join(format!("crates/core/src/engine/{file}.rs"))).expect("a file of the engine");
        for word in ["async", "Store", "Clock", "Entropy", "tokio"] {
            assert!(!text.contains(word), "engine/{file}.rs: {word} does not belong here");
        }
    }
}

#[test]
fn only_the_store_the_queue_and_the_wiring_know_the_sdk() {
    for (path, text) in sources("crates/core/src") {
        let may = path.contains("/store/") || path.ends_with("/queue.rs") || path.ends_with("/app.rs");
        assert!(may || !text.contains("aws_sdk"), "{path} names the SDK");
    }
}

#[test]
fn only_mains_read_the_environment_and_they_only_wire() {
    for function in ["submit", "executor", "status"] {
        let main = fs::read_to_string(root().join(format!("functions/{function}/src/main.rs"))).expect("a main");
        assert!(main.lines().count() <= 25, "{function}: {} lines", main.lines().count());
    }
    for folder in ["crates/core/src", "crates/gateway/src"] {
        check_absent(folder, &["env::var"]);
    }
}

#[test]
fn no_function_links_the_local_service() {
    for manifest in ["crates/core", "crates/gateway", "functions/submit", "functions/executor", "functions/status"] {
        let text = fs::read_to_string(root().join(manifest).join("Cargo.toml")).expect("a manifest");
        for word in ["batch-local", "dynoxide", "axum"] {
            assert!(!text.contains(word), "{manifest} depends on {word}");
        }
    }
}
