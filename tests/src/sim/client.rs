//! Clients: each follows its script, asks again when it has no answer, and remembers what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batch_core::batch::BatchId;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::intents::CREATE;
use super::kind::Kind;
use super::process::since;
use super::rng::Rng;
use super::script::Deed;
use super::setup::Work;
use super::workload::{Batch, Prefer, TENANTS};
use crate::Answer;

/// The gateway cuts a call here.
const GATEWAY: Duration = Duration::from_secs(29);
/// Who the clients are, to the service.
pub(super) const SUBJECT: &str = "client";

/// A call of the service that waits for a process to take it.
#[derive(Debug)]
pub(super) struct Call {
    pub tenant: usize,
    pub method: &'static str,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub reply: oneshot::Sender<Answer>,
}

/// Between clients and processes.
#[derive(Debug, Clone)]
pub(super) struct Net {
    calls: Arc<Mutex<Vec<Call>>>,
    stir: Arc<Notify>,
}

impl Net {
    /// `stir` is told of every call.
    pub fn new(stir: Arc<Notify>) -> Self {
        Self { calls: Arc::default(), stir }
    }

    pub fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request, before it is known whose it is.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub method: &'static str,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub key: Option<String>,
    pub prefer: Option<String>,
    pub body: Option<Value>,
}

impl Sent {
    pub fn new(method: &'static str, path: String) -> Self {
        Self { method, path, query: Vec::new(), key: None, prefer: None, body: None }
    }
}

/// What clients were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Numbers of batches by id, as far as an answer told the id.
    pub batches: BTreeMap<String, usize>,
    pub said: Vec<Said>,
    /// What no client may see.
    pub wrong: Vec<String>,
    /// Batches whose message was delivered as a dead one.
    pub buried: BTreeSet<String>,
    /// When faults stopped.
    pub calm_at: i64,
}

/// Something a client was told of a batch, and when.
#[derive(Debug)]
pub(super) struct Said {
    pub id: String,
    /// In virtual time.
    pub at: i64,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// It is accepted.
    Accepted,
    /// It has ended like this: status, counts, perhaps results.
    End(Value),
    /// It has ended, so that nothing can be done to it.
    Ended,
    Paused,
    NothingToRetry,
    RetryLimit,
    /// Its retry: id, operations, place in the line.
    Retried(String, u64, u64),
    /// Why it failed, when it had ended.
    Analysis(Value),
    /// All results of this status, when it had ended.
    Results(Option<&'static str>, Vec<Value>),
    /// A content job has ended like this.
    Job(Value),
    /// Another content job was made of what failed of it: id and items.
    Again(String, u64),
    /// A batch of intents stands like this.
    Status(Value),
    /// A batch of intents is executed, and stands like this.
    Executed(Value),
}

/// What a client knows of a batch.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub tenant: usize,
    pub id: String,
    /// Whether the client was told that it is accepted.
    pub accepted: bool,
    /// How far it was when the client last looked.
    pub seen: Seen,
}

/// How far a batch is: not begun, at work, or ended; and how many operations have ended.
pub(super) type Seen = (u8, u64);
pub(super) const ENDED: u8 = 2;

impl Known {
    /// Whether the client was told that it has ended.
    pub fn has_ended(&self) -> bool {
        self.seen.0 == ENDED
    }
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub net: Net,
    pub rng: Rng,
    pub told: Arc<Mutex<Told>>,
    pub work: Work,
    pub begin: Instant,
    pub known: BTreeMap<usize, Known>,
    /// What is to be signed of batches of intents.
    pub built: BTreeMap<usize, Value>,
}

impl Client {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, id: &str, what: What) {
        self.told().said.push(Said { id: id.to_owned(), at: since(self.begin), what });
    }

    pub(super) fn wrong(&self, what: String) {
        self.told().wrong.push(what);
    }

    pub async fn run(mut self, script: Vec<Deed>) {
        let kind = self.work.kind();
        for deed in script {
            match deed {
                Deed::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Deed::Submit(number) => match kind {
                    Kind::Records => self.submit(number).await,
                    Kind::Content => self.submit_job(number).await,
                    Kind::Intents => self.submit_wish(number).await,
                },
                Deed::Misuse(number) => self.misuse(number).await,
                Deed::Poll(number) => self.poll(number).await,
                Deed::Await(number) => self.await_end(number).await,
                Deed::Analyse(number) if kind == Kind::Intents => self.analyse_wish(number).await,
                Deed::Analyse(number) => self.analyse(number).await,
                Deed::Results(number) => self.results(number).await,
                Deed::Cancel(number) => self.act("cancel", number).await,
                Deed::Pause(number) => self.act("pause", number).await,
                Deed::Resume(number) => self.act("resume", number).await,
                Deed::Retry(number, keyed) => match kind {
                    Kind::Records => self.retry(number, keyed).await,
                    Kind::Content => self.retry_job(number, keyed, false).await,
                    Kind::Intents => self.retry_wish(number, keyed).await,
                },
                Deed::Recall(number, keyed) => self.retry_job(number, keyed, true).await,
                Deed::Look(number) if kind == Kind::Intents => self.look_wish(number).await,
                Deed::Look(number) => self.look_job(number).await,
                Deed::Execute(number) => self.execute(number, true).await,
                Deed::Forge(number) => self.execute(number, false).await,
            }
        }
    }

    /// One call; `None` when there is no answer in time.
    pub(super) async fn send(&self, tenant: usize, sent: Sent) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(sent.key.map(|key| ("idempotency-key", key)));
        headers.extend(sent.prefer.map(|prefer| ("prefer", prefer)));
        let body = sent.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let Sent { method, path, query, .. } = sent;
        self.net.calls().push(Call { tenant, method, path, query, headers, body, reply });
        self.net.stir.notify_one();
        tokio::time::timeout(GATEWAY, answer).await.ok()?.ok()
    }

    /// Calls until there is an answer that is not the service's fault.
    pub(super) async fn insist(&mut self, tenant: usize, sent: Sent) -> Option<Answer> {
        for _ in 0..6 {
            match self.send(tenant, sent.clone()).await {
                // Clocks that are minutes apart see a quota used up that is not.
                Some(answer) if answer.status == 429 => {
                    let pause = answer.header("retry-after").parse().unwrap_or(1);
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                }
                Some(answer) if answer.status < 500 => return Some(answer),
                _ => {
                    let pause = self.rng.below_ms(3_000);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
        }
        None
    }

    /// What is known of a batch; its id follows from its key, if it has one.
    pub(super) fn known(&self, number: usize) -> Option<Known> {
        if let Some(known) = self.known.get(&number) {
            return Some(known.clone());
        }
        let (tenant, path, key) = match &self.work {
            Work::Records(batches) => batches.get(number).map(|batch| (batch.tenant, "/batch", &batch.key)),
            Work::Content(jobs) => jobs.get(number).map(|job| (job.tenant, job.path(), &job.key)),
            Work::Intents(wishes) => wishes.get(number).map(|wish| (wish.tenant, CREATE, &wish.key)),
        }?;
        let id = BatchId::idempotent(TENANTS[tenant], SUBJECT, path, key.as_deref()?);
        Some(Known { tenant, id: id.to_string(), accepted: false, seen: (0, 0) })
    }

    /// Batches of records.
    fn batches(&self) -> Arc<Vec<Batch>> {
        match &self.work {
            Work::Records(batches) => batches.clone(),
            Work::Content(_) | Work::Intents(_) => Arc::default(),
        }
    }

    fn request(batch: &Batch, body: Value) -> Sent {
        Sent {
            key: batch.key.clone(),
            prefer: batch.prefer.map(Prefer::header),
            body: Some(body),
            ..Sent::new("POST", "/batch".to_owned())
        }
    }

    async fn submit(&mut self, number: usize) {
        let batches = self.batches();
        let batch = &batches[number];
        let sent = Self::request(batch, batch.body(number));
        let answer = match batch.key {
            Some(_) => self.insist(batch.tenant, sent).await,
            None => self.send(batch.tenant, sent).await,
        };
        match answer {
            Some(answer) if matches!(answer.status, 200 | 202) => self.accepted(number, &answer),
            Some(answer) if answer.status == 429 => {}
            Some(answer) if answer.status < 500 && answer.body["error"] != "ATOMIC_TOO_LARGE" => {
                self.wrong(format!("batch {number} was refused: {} {}", answer.status, answer.body));
            }
            _ => {}
        }
    }

    fn accepted(&mut self, number: usize, answer: &Answer) {
        let (batches, id) = (self.batches(), answer.batch_id());
        let batch = &batches[number];
        let mut told = self.told();
        let before = told.batches.iter().find(|(_, known)| **known == number).map(|(id, _)| id.clone());
        if before.is_some_and(|before| before != id && batch.key.is_some()) {
            told.wrong.push(format!("I10: batch {number} was told as {id} and as another one"));
        }
        told.batches.insert(id.clone(), number);
        drop(told);
        self.say(&id, What::Accepted);
        if answer.status == 200 {
            self.say(&id, What::End(answer.body.clone()));
        }
        let seen = if answer.status == 200 { (ENDED, 0) } else { (0, 0) };
        // Sent once more, it is still the retry that goes by the number.
        let known = Known { tenant: batch.tenant, id, accepted: true, seen };
        self.known.entry(number).or_insert(known);
    }

    async fn misuse(&mut self, number: usize) {
        let batches = self.batches();
        let batch = &batches[number];
        if batch.key.is_none() || !self.known.contains_key(&number) {
            return;
        }
        let mut other = batch.body(number);
        other["operations"] = json!([other["operations"][0]]);
        other["operations"][0]["id"] = json!("other");
        let answer = self.send(batch.tenant, Self::request(batch, other)).await;
        // A single operation with a reference is refused for that before its key is looked at.
        if let Some(answer) = answer.filter(|answer| answer.status < 400) {
            self.wrong(format!("I10: another request under the key of {:?} was taken: {answer:?}", batch.key));
        }
    }
}
