//! Clients: each sends its batches one after another, asks again when it has no answer, and looks at what became of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::rng::Rng;
use super::workload::Batch;
use crate::Answer;

/// The gateway cuts a call here.
const GATEWAY: Duration = Duration::from_secs(29);

/// A call of the service that waits for a process to take it.
#[derive(Debug)]
pub(super) struct Call {
    pub tenant: usize,
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub reply: oneshot::Sender<Answer>,
}

/// Between clients and processes.
#[derive(Debug, Clone, Default)]
pub(super) struct Net(Arc<Mutex<Vec<Call>>>);

impl Net {
    pub fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, tenant: usize, (method, target): (&'static str, String), more: Sent<'_>) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(more.key.map(|key| ("idempotency-key", key.to_owned())));
        if more.background {
            headers.push(("prefer", "respond-async".to_owned()));
        }
        let body = more.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.calls().push(Call { tenant, method, target, headers, body, reply });
        tokio::time::timeout(GATEWAY, answer).await.ok()?.ok()
    }
}

#[derive(Debug, Default)]
struct Sent<'a> {
    key: Option<&'a str>,
    background: bool,
    body: Option<&'a Value>,
}

/// What clients were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Numbers of batches by id, as far as an answer told the id.
    pub batches: BTreeMap<String, usize>,
    /// Ids of batches that were said to be accepted or to have ended.
    pub acknowledged: Vec<String>,
    /// What was told as the end of a batch: id, status, counts, results.
    pub ends: Vec<(String, Value)>,
    /// What no client may see.
    pub wrong: Vec<String>,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub net: Net,
    pub rng: Rng,
    pub told: Arc<Mutex<Told>>,
}

impl Client {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn run(mut self, batches: Vec<(usize, Batch)>) {
        for (number, batch) in batches {
            let pause = self.rng.below_ms(40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let Some(id) = self.submit(number, &batch).await else { continue };
            for _ in 0..self.rng.below(3) {
                self.poll(batch.tenant, &id).await;
            }
            if batch.key.is_some() && self.rng.sometimes(150) {
                self.submit(number, &batch).await;
            }
            if batch.key.is_some() && self.rng.sometimes(80) {
                self.misuse(number, &batch).await;
            }
        }
    }

    /// Sends a batch until it is known to be accepted; without a key only once.
    async fn submit(&mut self, number: usize, batch: &Batch) -> Option<String> {
        let body = batch.body(number);
        for _ in 0..6 {
            let sent = Sent { key: batch.key.as_deref(), background: batch.background, body: Some(&body) };
            let answer = self.net.send(batch.tenant, ("POST", "/batch".into()), sent).await;
            match answer {
                Some(answer) if matches!(answer.status, 200 | 202) => {
                    let id = answer.batch_id();
                    self.acknowledged(number, batch, &answer);
                    return Some(id);
                }
                // Clocks that are minutes apart see a quota used up that is not.
                Some(answer) if answer.status == 429 => {
                    let pause = answer.header("retry-after").parse().unwrap_or(1);
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                }
                Some(answer) if answer.status < 500 => {
                    if answer.body["error"] != "ATOMIC_TOO_LARGE" {
                        let told = format!("batch {number} was refused: {} {}", answer.status, answer.body);
                        self.told().wrong.push(told);
                    }
                    return None;
                }
                _ if batch.key.is_none() => return None,
                _ => {
                    let pause = self.rng.below_ms(3_000);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        }
        None
    }

    fn acknowledged(&self, number: usize, batch: &Batch, answer: &Answer) {
        let id = answer.batch_id();
        let mut told = self.told();
        let known = told.batches.iter().find(|(_, known)| **known == number).map(|(id, _)| id.clone());
        if known.is_some_and(|known| known != id && batch.key.is_some()) {
            told.wrong.push(format!("I10: batch {number} was told as {id} and as another one"));
        }
        told.batches.insert(id.clone(), number);
        if answer.status == 200 {
            told.ends.push((id.clone(), answer.body.clone()));
        }
        told.acknowledged.push(id);
    }

    /// Another request under the same key.
    async fn misuse(&mut self, number: usize, batch: &Batch) {
        let mut other = batch.body(number);
        other["operations"][0]["id"] = json!("other");
        other["operations"] = json!([other["operations"][0]]);
        let sent = Sent { key: batch.key.as_deref(), background: batch.background, body: Some(&other) };
        let answer = self.net.send(batch.tenant, ("POST", "/batch".into()), sent).await;
        // A single operation with a reference is refused for that before its key is looked at.
        if let Some(answer) = answer.filter(|answer| answer.status < 400) {
            self.told()
                .wrong
                .push(format!("I10: another request under the key of {:?} was taken: {:?}", batch.key, answer));
        }
    }

    /// Looks at a batch twice; what it sees may not go back.
    async fn poll(&mut self, tenant: usize, id: &str) {
        let mut last = (0, 0);
        for _ in 0..2 {
            let Some(answer) = self.net.send(tenant, ("GET", format!("/batches/{id}")), Sent::default()).await else {
                continue;
            };
            match answer.status {
                200 => {
                    let now = progress(&answer.body);
                    if now < last {
                        self.told().wrong.push(format!("I2: {id} went back from {last:?} to {now:?}"));
                    }
                    last = now;
                    if now.0 == 2 {
                        self.told().ends.push((id.to_owned(), answer.body));
                    }
                }
                500.. => {}
                status => self.told().wrong.push(format!("{id} was acknowledged and is answered with {status}")),
            }
        }
    }
}

/// How far a batch is, as its status tells.
fn progress(body: &Value) -> (u8, u64) {
    let rank = match body["status"].as_str().unwrap_or_default() {
        "pending" => 0,
        "processing" | "paused" => 1,
        _ => 2,
    };
    let summary = &body["summary"];
    (rank, summary["total"].as_u64().unwrap_or(0) - summary["pending"].as_u64().unwrap_or(0))
}
