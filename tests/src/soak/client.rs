//! Clients: each sends one batch after another, and repeats what is not answered, under the same key.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::work::{Then, Wanted, batch};
use super::{Sent, Soak, lock};
use crate::Answer;
use crate::sim::Rng;

/// How many rows of an entity are remembered.
const REMEMBERED: usize = 400;

/// Sends batches until enough are sent.
pub(super) async fn run(soak: Arc<Soak>) {
    loop {
        let number = soak.begun.fetch_add(1, Ordering::Relaxed);
        if number >= soak.batches {
            return;
        }
        let seed = soak.seed.wrapping_mul(1 << 32).wrapping_add(number as u64);
        let mut rng = Rng::new(seed);
        let wanted = batch(&mut rng, number, &soak.rows);
        send(&soak, &mut rng, &format!("k{number}"), wanted).await;
    }
}

async fn send(soak: &Soak, rng: &mut Rng, key: &str, wanted: Wanted) {
    let mut headers = vec![("idempotency-key", key)];
    if wanted.background {
        headers.push(("prefer", "respond-async"));
    }
    let answer = repeat(soak, "/batch", &headers, &wanted.body).await;
    if answer.status == 400 {
        // More than one transaction holds: nothing of it may ever show.
        if answer.body["error"] != "ATOMIC_TOO_LARGE" {
            lock(&soak.wrong).push(format!("{} was refused: {}", wanted.kind, answer.body));
        }
        *lock(&soak.refused).entry(wanted.kind.to_owned()).or_default() += 1;
        return;
    }
    let id = answer.batch_id();
    remember(soak, rng, &answer);
    let operations: Vec<Value> = wanted.body["operations"].as_array().cloned().unwrap_or_default();
    let operations = Arc::new(operations);
    let atomic = wanted.body["options"]["atomic"] == true;
    let ended = (answer.status == 200).then_some(answer.body);
    keep(soak, Sent { kind: wanted.kind, id: id.clone(), atomic, operations: operations.clone(), answer: ended });
    match wanted.then {
        Then::Nothing => {}
        Then::Again => {
            let again = repeat(soak, "/batch", &headers, &wanted.body).await;
            if again.batch_id() != id {
                lock(&soak.wrong).push(format!("{id} was sent again and became {}", again.batch_id()));
            }
        }
        Then::Cancel(after) => {
            tokio::time::sleep(after).await;
            repeat(soak, &format!("/batches/{id}/cancel"), &[], &json!({})).await;
        }
        Then::Pause(after, pause) => {
            tokio::time::sleep(after).await;
            repeat(soak, &format!("/batches/{id}/pause"), &[], &json!({})).await;
            tokio::time::sleep(pause).await;
            repeat(soak, &format!("/batches/{id}/resume"), &[], &json!({})).await;
        }
        Then::Retry => {
            ended_at(soak, &id).await;
            let key = format!("{key}r");
            let path = format!("/batches/{id}/retry");
            let retried = repeat(soak, &path, &[("idempotency-key", &key)], &json!({})).await;
            if let Some(id) = retried.body["newBatchId"].as_str() {
                keep(soak, Sent { kind: "a retry", id: id.to_owned(), atomic, operations, answer: None });
            }
        }
    }
}

fn keep(soak: &Soak, sent: Sent) {
    lock(&soak.sent).push(sent);
}

/// POSTs until there is an answer: what failed on the way or over there is sent again.
async fn repeat(soak: &Soak, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    loop {
        let answer = soak.world.post_with(path, headers, body).await;
        if answer.status < 500 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Polls until the batch has ended.
async fn ended_at(soak: &Soak, id: &str) {
    loop {
        let told = soak.world.get(&format!("/batches/{id}")).await;
        if !matches!(told.body["status"].as_str(), None | Some("pending" | "processing" | "paused")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Remembers rows that were made, for later batches to refer to.
fn remember(soak: &Soak, rng: &mut Rng, answer: &Answer) {
    let mut rows = lock(&soak.rows);
    for result in answer.body["results"].as_object().into_iter().flat_map(|results| results.values()) {
        let Some(row) = result["data"].get(0).and_then(Value::as_object) else { continue };
        // The primary key is the first field.
        let Some((name, id)) = row.iter().next().filter(|(name, _)| name.ends_with("_id")) else { continue };
        let ids = rows.entry(name.clone()).or_default();
        if ids.len() < REMEMBERED {
            ids.push(id.clone());
        } else {
            let place = rng.below(REMEMBERED);
            ids[place] = id.clone();
        }
    }
}
