//! A sandbox of Orby, for development and tests: JSON-RPC calls that build operations, take signed ones, and tell how far
//! they are.
//!
//! It is written apart from the client: it has its own reading of transactions and its own check of signatures. It can be
//! told to refuse, to fail, to be silent before or after it took something, and to lose what it took.

mod books;
mod build;
mod crypto;
mod rlp;
mod wallet;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use batch_core::gateway::orby::{Answer, Call, Lost, Transport};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stop::Stop;

pub use books::{Books, Fate};
pub use wallet::Wallet;

/// Largest call that is read.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// How long it is silent: longer than any client waits.
const SILENCE: Duration = Duration::from_secs(30);
/// How long the client over [`OrbySandbox::transport`] waits, as over HTTP.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a call is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// An operation set with this status and nothing to sign.
    Unbuilt(&'static str),
    /// An error of JSON-RPC with this message.
    Error(&'static str),
    /// An error in the place of the result.
    ErrorInResult(&'static str),
    /// An HTTP status, and no JSON.
    Http(u16),
    /// It does not arrive, and no answer is given.
    Ignore,
    /// It is done, and no answer is given.
    DoInSilence,
    /// It is done, and what was sent fails later with this message.
    FailLater(&'static str),
    /// It is done and said to be, and then forgotten.
    Forget,
}

/// What the sandbox is told to do to the next calls that a rule fits.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// To calls of this method.
    pub method: &'static str,
    /// On this chain; on any where `None`.
    pub chain: Option<u64>,
    /// So often; then the rule is gone.
    pub times: usize,
    /// What is done.
    pub treatment: Treatment,
}

#[derive(Debug)]
struct Inner {
    key: String,
    base: String,
    books: Books,
    rules: VecDeque<Rule>,
    calls: Vec<String>,
}

/// The sandbox. Clones are the same one.
#[derive(Debug, Clone)]
pub struct OrbySandbox(Arc<Mutex<Inner>>);

/// Where a call went: to Orby itself, or to a virtual node.
struct To<'a> {
    cluster: Option<&'a str>,
    chain: Option<u64>,
}

impl OrbySandbox {
    /// With this key; `base` is the URL it is reached at, without the key.
    pub fn new(key: &str, base: &str) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            key: key.to_owned(),
            base: base.trim_end_matches('/').to_owned(),
            books: Books::default(),
            rules: VecDeque::new(),
            calls: Vec::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at its books, or changes them.
    pub fn books<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.inner().books)
    }

    /// Adds a rule; the first that fits is followed.
    pub fn rule(&self, rule: Rule) {
        self.inner().rules.push_back(rule);
    }

    /// Methods of the calls since this was last asked.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().calls)
    }

    /// Reaches it without a socket.
    pub fn transport(&self) -> Transport {
        let sandbox = self.clone();
        Box::new(move |call: Call| {
            let sandbox = sandbox.clone();
            Box::pin(async move {
                let base = sandbox.inner().base.clone();
                let path = call.url.strip_prefix(&base).ok_or(Lost::NotSent)?.to_owned();
                let answer = tokio::time::timeout(PATIENCE, sandbox.answer(&path, &call.body)).await;
                let (status, body) = answer.map_err(|_| Lost::TimedOut)?;
                Ok(Answer { status, body: body.to_string().into_bytes() })
            })
        })
    }

    /// Answers a call.
    pub async fn answer(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let call: Value = serde_json::from_slice(body).unwrap_or_default();
        let (method, params) = (call["method"].as_str().unwrap_or_default(), &call["params"][0]);
        let id = &call["id"];
        let Some(to) = self.to(path) else {
            return (401, json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32001, "message": "unknown key" } }));
        };
        self.inner().calls.push(method.to_owned());
        let treatment = self.treatment(method, to.chain);
        let error =
            |message: &str| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": message } });
        let told = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let silent = match treatment {
            Some(Treatment::Error(message)) => return (200, error(message)),
            Some(Treatment::ErrorInResult(message)) => {
                return (200, told(json!({ "code": "ERROR", "message": message })));
            }
            Some(Treatment::Unbuilt(status)) => return (200, told(json!({ "status": status, "intents": [] }))),
            Some(Treatment::Http(status)) => return (status, Value::Null),
            Some(Treatment::Ignore) => true,
            _ => {
                let done = self.done(&to, method, params, treatment);
                if treatment != Some(Treatment::DoInSilence) {
                    return (200, done.map_or_else(|message| error(&message), told));
                }
                true
            }
        };
        if silent {
            tokio::time::sleep(SILENCE).await;
        }
        (504, Value::Null)
    }

    /// Where `path` leads; `None` when its key is wrong.
    fn to<'a>(&self, path: &'a str) -> Option<To<'a>> {
        let mut parts = path.trim_start_matches('/').split('/');
        if parts.next() != Some(self.inner().key.as_str()) {
            return None;
        }
        match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => Some(To { cluster: None, chain: None }),
            (Some("node"), Some(cluster), Some(chain)) => {
                Some(To { cluster: Some(cluster), chain: Some(chain.parse().ok()?) })
            }
            _ => None,
        }
    }

    fn treatment(&self, method: &str, chain: Option<u64>) -> Option<Treatment> {
        let mut inner = self.inner();
        let fits = |rule: &Rule| rule.method == method && (rule.chain.is_none() || rule.chain == chain);
        let place = inner.rules.iter().position(fits)?;
        let rule = inner.rules.get_mut(place)?;
        rule.times = rule.times.saturating_sub(1);
        let Rule { treatment, times, .. } = *rule;
        if times == 0 {
            inner.rules.remove(place);
        }
        Some(treatment)
    }

    fn done(&self, to: &To<'_>, method: &str, params: &Value, treatment: Option<Treatment>) -> Result<Value, String> {
        let mut inner = self.inner();
        let (key, base) = (inner.key.clone(), inner.base.clone());
        let books = &mut inner.books;
        let text = |name: &str| params[name].as_str().ok_or(format!("{name} is missing"));
        match (method, to.cluster, to.chain) {
            ("orby_createAccountCluster", None, _) => {
                let address = params["accounts"][0]["address"].as_str().ok_or("an account is missing")?;
                Ok(json!({ "accountClusterId": books.cluster(address)? }))
            }
            ("orby_getVirtualNodeRpcUrl", None, _) => {
                let (cluster, chain) = (text("accountClusterId")?, text("chainId")?);
                books.owner(cluster, params["entrypointAccountAddress"].as_str())?;
                let chain = chain.strip_prefix("EIP155-").ok_or("chainId is of another form")?;
                Ok(json!({ "virtualNodeRpcUrl": format!("{base}/{key}/node/{cluster}/{chain}") }))
            }
            (_, Some(cluster), Some(chain)) => {
                if method != "orby_getStandardizedTokenIds" && text("accountClusterId")? != cluster {
                    return Err("another account's virtual node".into());
                }
                match method {
                    "orby_getStandardizedTokenIds" => build::token_ids(params),
                    "orby_getFungibleTokenPortfolio" => books.portfolio(cluster),
                    "orby_getOperationsToTransferToken" => build::transfer(books, (cluster, chain), params),
                    "orby_getOperationsToSwap" => build::swap(books, (cluster, chain), params),
                    "orby_getOperationsToExecuteTransaction" => build::contract_call(books, (cluster, chain), params),
                    "orby_sendSignedOperations" => books.take((cluster, chain), params, treatment),
                    "orby_getOperationStatuses" => books.statuses(params),
                    _ => Err("Method not found".into()),
                }
            }
            _ => Err("Method not found".into()),
        }
    }

    /// Moves every operation one state on every `block`, as chains do, until it is told to stop.
    pub(crate) async fn advance_every(self, block: Duration, mut stop: Stop) {
        while !stop.requested_within(block).await {
            self.books(Books::advance);
        }
    }

    /// Serves on `listener` until `stop` ends. What it is silent to is not waited for.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let router = axum::Router::new().fallback(serve_one).with_state(self);
        let serving = async { axum::serve(listener, router).await };
        tokio::select! {
            biased;
            served = serving => {
                if let Err(error) = served {
                    tracing::error!(%error, "the sandbox of Orby failed");
                }
            }
            () = stop => {}
        }
    }
}

async fn serve_one(State(sandbox): State<OrbySandbox>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let (status, answer) = sandbox.answer(parts.uri.path(), &body).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}
