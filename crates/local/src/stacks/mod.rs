//! A sandbox of a Stacks node, for development and tests: the four paths of its HTTP interface that contract calls need.
//!
//! It is written apart from the client: it has its own reading of the wire format and its own check of signatures. It
//! can be told to be slow, to refuse, to take and not to say so, and to lose what it took.

mod decode;
mod pool;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use batch_core::gateway::stacks::{Answer, Call, Lost, Transport};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use decode::{Bad, Decoded, Does, c32_address, decode};
pub use pool::{Fate, MOST_CHAINED, Pool};

use crate::stop::Stop;

/// Largest request that is read.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// How the node treats a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It is refused for this reason.
    Refuse(&'static str),
    /// It is taken so much later.
    Delay(Duration),
    /// It is taken, and no answer is given.
    TakeInSilence,
    /// It does not arrive, and no answer is given.
    Ignore,
    /// It is taken and said to be, and then lost.
    Lose,
    /// The node has an error of its own.
    Break,
}

/// What a node is told to do to the next transactions that a rule fits.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Of this content; any where `None`.
    pub content: Option<u128>,
    /// So often; then the rule is gone.
    pub times: usize,
    /// What is done.
    pub treatment: Treatment,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    rules: VecDeque<Rule>,
    delay: Duration,
    in_flight: usize,
    most_in_flight: usize,
    calls: Vec<String>,
}

/// The node. Clones are the same one.
#[derive(Debug, Clone)]
pub struct StacksNode(Arc<Mutex<Inner>>);

/// How long a silent node keeps a connection: longer than any client waits.
const SILENCE: Duration = Duration::from_secs(30);

impl StacksNode {
    /// With this contract, `address.name`, whose address tells the network.
    pub fn new(contract: &str) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            pool: Pool::new(contract.to_owned()),
            rules: VecDeque::new(),
            delay: Duration::ZERO,
            in_flight: 0,
            most_in_flight: 0,
            calls: Vec::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at its memory, or changes it.
    pub fn pool<T>(&self, look: impl FnOnce(&mut Pool) -> T) -> T {
        look(&mut self.inner().pool)
    }

    /// Makes a block.
    pub fn mine(&self) {
        self.inner().pool.mine();
    }

    /// Adds a rule; the first that fits is followed.
    pub fn rule(&self, rule: Rule) {
        self.inner().rules.push_back(rule);
    }

    /// How long it takes over every transaction.
    pub fn set_delay(&self, delay: Duration) {
        self.inner().delay = delay;
    }

    /// The most transactions it was ever sent at the same time.
    pub fn most_in_flight(&self) -> usize {
        self.inner().most_in_flight
    }

    /// Paths of the calls since this was last asked.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().calls)
    }

    /// Reaches it without a socket.
    pub fn transport(&self) -> Transport {
        let node = self.clone();
        Box::new(move |call: Call| {
            let node = node.clone();
            Box::pin(async move {
                let method = if call.body.is_some() { "POST" } else { "GET" };
                let body = call.body.map(|(_, body)| body).unwrap_or_default();
                let answer = tokio::time::timeout(Duration::from_secs(5), node.answer(method, &call.path, &body)).await;
                let (status, body) = answer.map_err(|_| Lost::TimedOut)?;
                Ok(Answer { status, body: body.to_string().into_bytes() })
            })
        })
    }

    /// Answers a call. The query of a path makes no difference.
    pub async fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let path = path.split('?').next().unwrap_or_default();
        self.inner().calls.push(path.to_owned());
        match (method, path) {
            ("POST", "/v2/transactions") => self.transaction(body).await,
            ("POST", "/v2/fees/transaction") => fees(body),
            ("GET", path) if path.starts_with("/v2/accounts/") => {
                let address = path.trim_start_matches("/v2/accounts/");
                let inner = self.inner();
                let balance = format!("0x{:032x}", inner.pool.balance(address));
                (
                    200,
                    json!({ "balance": balance, "locked": "0x00", "unlock_height": 0, "nonce": inner.pool.nonce(address) }),
                )
            }
            ("GET", path) if path.starts_with("/extended/v1/tx/0x") => {
                let txid = path.trim_start_matches("/extended/v1/tx/0x");
                match self.inner().pool.fate(txid) {
                    Some(fate) => (200, json!({ "tx_id": format!("0x{txid}"), "tx_status": fate.as_str() })),
                    None => (404, json!({ "error": "could not find transaction by ID" })),
                }
            }
            _ => (404, json!({ "error": "no such path" })),
        }
    }

    async fn transaction(&self, body: &[u8]) -> (u16, Value) {
        let delay = {
            let mut inner = self.inner();
            inner.in_flight += 1;
            inner.most_in_flight = inner.most_in_flight.max(inner.in_flight);
            inner.delay
        };
        let flight = Flight(self.clone());
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let treatment = self.treatment(body);
        if let Some(Treatment::Delay(delay)) = treatment {
            tokio::time::sleep(delay).await;
        }
        let answer = match treatment {
            Some(Treatment::Ignore) => None,
            Some(Treatment::Break) => Some((500, json!({ "error": "out of order" }))),
            Some(Treatment::Refuse(reason)) => Some(refused(None, (reason, "as it was told to"))),
            Some(Treatment::TakeInSilence) => {
                self.receive(body);
                None
            }
            Some(Treatment::Lose) => {
                let answer = self.receive(body);
                self.inner().pool.drop_waiting(answer.1.as_str().unwrap_or_default());
                Some(answer)
            }
            Some(Treatment::Delay(_)) | None => Some(self.receive(body)),
        };
        drop(flight);
        if let Some(answer) = answer {
            return answer;
        }
        tokio::time::sleep(SILENCE).await;
        (504, json!({ "error": "silence" }))
    }

    fn receive(&self, body: &[u8]) -> (u16, Value) {
        match self.inner().pool.receive(body) {
            Ok(txid) => (200, json!(txid)),
            Err((decoded, refusal)) => refused(decoded.map(|decoded| decoded.txid), refusal),
        }
    }

    fn treatment(&self, body: &[u8]) -> Option<Treatment> {
        let mut inner = self.inner();
        let content = match decode(body).ok()?.does {
            Does::Call { arguments, .. } => arguments.first().copied(),
            Does::Pay { .. } => None,
        };
        let fits = |rule: &Rule| rule.content.is_none() || rule.content == content;
        let place = inner.rules.iter().position(fits)?;
        let rule = inner.rules.get_mut(place)?;
        rule.times = rule.times.saturating_sub(1);
        let Rule { treatment, times, .. } = *rule;
        if times == 0 {
            inner.rules.remove(place);
        }
        Some(treatment)
    }

    /// Serves on `listener` until it is told to stop. What it is silent to is not waited for.
    pub(crate) async fn serve(self, listener: TcpListener, mut stop: Stop) {
        let router = axum::Router::new().fallback(serve_one).with_state(self);
        let serving = async { axum::serve(listener, router).await };
        tokio::select! {
            biased;
            served = serving => {
                if let Err(error) = served {
                    tracing::error!(%error, "the sandbox of a Stacks node failed");
                }
            }
            () = stop.requested() => {}
        }
    }

    /// Makes a block every `block`, until it is told to stop.
    pub(crate) async fn mine_every(self, block: Duration, mut stop: Stop) {
        while !stop.requested_within(block).await {
            self.mine();
        }
    }
}

/// Counts a call as ended, however it ends.
struct Flight(StacksNode);

impl Drop for Flight {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.in_flight = inner.in_flight.saturating_sub(1);
    }
}

async fn serve_one(State(node): State<StacksNode>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let (status, answer) = node.answer(parts.method.as_str(), parts.uri.path(), &body).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn refused(txid: Option<String>, (reason, error): (&str, &str)) -> (u16, Value) {
    let body = json!({
        "error": format!("transaction rejected: {error}"), "reason": reason, "reason_data": {},
        "txid": txid.unwrap_or_default(),
    });
    (400, body)
}

/// Three estimates around two millionths a byte.
fn fees(body: &[u8]) -> (u16, Value) {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    match (asked["estimated_len"].as_u64(), asked["transaction_payload"].as_str()) {
        (Some(length), Some(_)) => {
            let estimate = |fee: u64| json!({ "fee_rate": 1.0, "fee": fee });
            (200, json!({ "estimations": [estimate(length), estimate(2 * length), estimate(4 * length)] }))
        }
        _ => (400, json!({ "error": "estimation could not be performed", "reason": "NoEstimateAvailable" })),
    }
}
