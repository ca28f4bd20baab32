//! The SDK's HTTP client, replaced: every request is recorded, may be spoiled, and is answered by the database.

mod reply;
mod trouble;

pub use trouble::{Counts, Trouble};

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use reply::{cancelled, echo, error, raw, response, split};
use trouble::Hit;

/// One call of AWS.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it was sent.
    pub at: tokio::time::Instant,
    /// `PutItem`, `SendMessage`, ...
    pub operation: String,
    /// What was sent.
    pub body: Value,
    /// Capacity units of a write.
    pub write_units: f64,
    /// Capacity units of a read.
    pub read_units: f64,
}

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It never arrives.
    RequestLost,
    /// It is done, and its answer is lost.
    ReplyLost,
    /// It is refused with this status and error type.
    Error(u16, &'static str),
    /// It is done, and answered so much later.
    SlowReply(Duration),
    /// It never arrives, and the connection stays open.
    Hang,
    /// The same, in words that repeat the request, as some of the real ones do.
    Echo(u16, &'static str),
    /// The connection breaks, in such words.
    Broken,
    /// An answer that cannot be read, and repeats the request.
    Garbled,
    /// A transaction is cancelled: these items, by place in the request, are in another one.
    Conflict(Vec<usize>),
    /// A transaction is cancelled for this reason at these places.
    Cancelled(&'static str, Vec<usize>),
    /// The store has forgotten the token it came with, as it does after ten minutes.
    TokenForgotten,
    /// A `BatchGetItem` answers for so many keys, and hands back the others unprocessed.
    Unprocessed(usize),
    /// Something else happens first.
    Before(Hook),
    /// It takes so many milliseconds to arrive, in which others may be faster.
    Slow(u64),
}

/// Something that happens to the database between two calls.
#[derive(Clone)]
pub struct Hook(pub Arc<dyn Fn(&Database) + Send + Sync>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<Call>,
    planned: VecDeque<(String, Fault)>,
    /// By a text in the body.
    standing: Vec<(String, Fault)>,
    trouble: Option<Trouble>,
    /// Calls until the process dies, and whether the last of them is done.
    death: Option<(usize, bool)>,
    queue: Vec<String>,
    forgets: bool,
}

/// Between the SDK and the database.
#[derive(Clone)]
pub struct Seam {
    database: Database,
    inner: Arc<Mutex<Inner>>,
}

impl std::fmt::Debug for Seam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seam")
    }
}

impl Seam {
    /// In front of `database`.
    pub fn new(database: Database) -> Self {
        Self { database, inner: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the SDK's configuration.
    pub fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.clone())
    }

    /// The database behind it.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The calls since this was last asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.inner().calls)
    }

    /// From now on calls are not kept, which takes time of its own.
    pub fn forget_calls(&self) {
        self.inner().forgets = true;
    }

    /// The bodies of the messages sent since this was last asked.
    pub fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().queue)
    }

    /// The next call of `operation` that no earlier plan took suffers `fault`.
    pub fn plan(&self, operation: &str, fault: Fault) {
        self.inner().planned.push_back((operation.to_owned(), fault));
    }

    /// Every call whose body holds `text` suffers `fault`, until the faults are cleared.
    pub fn plan_wherever(&self, text: &str, fault: Fault) {
        self.inner().standing.push((text.to_owned(), fault));
    }

    /// From now on calls take time and suffer faults at random; they are counted, no longer kept.
    pub fn trouble(&self, trouble: Trouble) {
        self.inner().trouble = Some(trouble);
    }

    /// Ends the random faults; what there was of them.
    pub fn calm(&self) -> Option<Trouble> {
        self.inner().trouble.take()
    }

    /// The process dies at its call number `number`, from 0: before it is done, or just after. From then on no call is
    /// answered, until [`Seam::revive`].
    pub fn die_at(&self, number: usize, after: bool) {
        self.inner().death = Some((number, after));
    }

    /// Another process takes over.
    pub fn revive(&self) {
        self.inner().death = None;
    }

    /// Whether this call is the last one of a dying process, and whether it is done; `None` for any before.
    fn dying(&self) -> Option<bool> {
        let mut inner = self.inner();
        let (left, after) = inner.death.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        Some(std::mem::take(after))
    }

    /// Forgets the faults that have not happened.
    pub fn clear(&self) {
        let mut inner = self.inner();
        inner.planned.clear();
        inner.standing.clear();
    }

    /// Whether every planned fault has happened.
    pub fn all_happened(&self) -> bool {
        self.inner().planned.is_empty()
    }

    /// What happens to a call: what was planned for it, else what chance has for it.
    fn hit(&self, operation: &str, body: &Value) -> Hit {
        let mut inner = self.inner();
        if let Some(trouble) = &mut inner.trouble {
            return trouble.hit(operation, body);
        }
        let place = inner.planned.iter().position(|(wanted, _)| wanted == operation);
        let planned = place.and_then(|place| inner.planned.remove(place)).map(|(_, fault)| fault);
        let standing = || {
            let text = if inner.standing.is_empty() { String::new() } else { body.to_string() };
            inner.standing.iter().find(|(part, _)| text.contains(part.as_str())).map(|(_, fault)| fault.clone())
        };
        let fault = planned.or_else(standing);
        let (before, after) = match &fault {
            Some(Fault::Slow(ms)) => (Duration::from_millis(*ms), Duration::ZERO),
            Some(Fault::SlowReply(late)) => (Duration::ZERO, *late),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        Hit { fault, before, after }
    }

    /// Keeps the call, and says where.
    fn keep(&self, operation: &str, body: &Value) -> usize {
        let mut inner = self.inner();
        if inner.trouble.is_none() && !inner.forgets {
            let (operation, body, at) = (operation.to_owned(), body.clone(), tokio::time::Instant::now());
            inner.calls.push(Call { at, operation, body, write_units: 0.0, read_units: 0.0 });
        }
        inner.calls.len().saturating_sub(1)
    }

    fn answer(
        &self,
        request: &HttpRequest,
        (operation, mut body): (&str, Value),
        fault: Option<Fault>,
        place: usize,
    ) -> Answered {
        let lost = || ConnectorError::io("the connection was reset".into());
        let (mut reply_lost, mut left) = (false, Value::Null);
        match fault {
            None | Some(Fault::Slow(_) | Fault::SlowReply(_) | Fault::Hang) => {}
            Some(Fault::RequestLost) => return Err(lost()),
            Some(Fault::ReplyLost) => reply_lost = true,
            Some(Fault::Error(status, kind)) => return Ok(error(status, kind, "injected")),
            Some(Fault::Echo(status, kind)) => return Ok(error(status, kind, &echo(request))),
            Some(Fault::Broken) => return Err(ConnectorError::io(echo(request).into())),
            Some(Fault::Garbled) => return Ok(raw(200, format!("{{\"echo\":\"{}", echo(request)))),
            Some(Fault::Conflict(places)) => return Ok(cancelled(&body, "TransactionConflict", &places)),
            Some(Fault::Cancelled(reason, places)) => return Ok(cancelled(&body, reason, &places)),
            Some(Fault::TokenForgotten) => body["ClientRequestToken"] = "forgotten".into(),
            Some(Fault::Unprocessed(most)) => left = split(&mut body, most),
            Some(Fault::Before(Hook(hook))) => hook(&self.database),
        }
        if operation == "ChangeMessageVisibility" {
            return Ok(response(200, &json!({})));
        }
        if operation == "SendMessage" {
            self.inner().queue.push(body["MessageBody"].as_str().unwrap_or_default().to_owned());
            return if reply_lost { Err(lost()) } else { Ok(response(200, &json!({ "MessageId": "m" }))) };
        }
        if let Value::Object(body) = &mut body {
            body.insert("ReturnConsumedCapacity".into(), "TOTAL".into());
        }
        let answer = match dispatch(&self.database, operation, body) {
            Ok(mut answer) => {
                if !left.is_null() {
                    answer["UnprocessedKeys"] = left;
                }
                let units = units(&answer["ConsumedCapacity"]);
                let mut inner = self.inner();
                if let Some(call) = inner.calls.get_mut(place) {
                    let writes = matches!(operation, "PutItem" | "UpdateItem" | "TransactWriteItems");
                    if writes { call.write_units = units } else { call.read_units = units }
                }
                response(200, &answer)
            }
            Err(failed) => {
                let status = failed.status_code();
                raw(status, failed.to_json())
            }
        };
        if reply_lost { Err(lost()) } else { Ok(answer) }
    }
}

/// What the SDK is given.
type Answered = Result<HttpResponse, ConnectorError>;

impl HttpConnector for Seam {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.split('.').next_back().unwrap_or_default().to_owned();
        let body: Value =
            request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let place = self.keep(&operation, &body);
        if let Some(done) = self.dying() {
            if done {
                drop(self.answer(&request, (&operation, body), None, place));
            }
            return HttpConnectorFuture::new(std::future::pending());
        }
        let Hit { fault, before, after } = self.hit(&operation, &body);
        if before.is_zero() && after.is_zero() && !matches!(fault, Some(Fault::Hang)) {
            return HttpConnectorFuture::ready(self.answer(&request, (&operation, body), fault, place));
        }
        let seam = self.clone();
        HttpConnectorFuture::new(async move {
            if matches!(fault, Some(Fault::Hang)) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(before).await;
            let answer = seam.answer(&request, (&operation, body), fault, place);
            tokio::time::sleep(after).await;
            answer
        })
    }
}

impl HttpClient for Seam {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn units(consumed: &Value) -> f64 {
    match consumed {
        Value::Array(tables) => tables.iter().map(units).sum(),
        one => one["CapacityUnits"].as_f64().unwrap_or(0.0),
    }
}

/// Hands a request of the wire to the database.
pub fn dispatch(database: &Database, operation: &str, body: impl Borrow<Value>) -> Result<Value, DynoxideError> {
    fn read<T: DeserializeOwned>(body: &Value) -> Result<T, DynoxideError> {
        T::deserialize(body).map_err(|error| DynoxideError::ValidationException(error.to_string()))
    }
    fn told<T: Serialize>(answer: T) -> Result<Value, DynoxideError> {
        serde_json::to_value(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
    }
    let body = body.borrow();
    match operation {
        "PutItem" => told(database.put_item(read(body)?)?),
        "GetItem" => told(database.get_item(read(body)?)?),
        "UpdateItem" => told(database.update_item(read(body)?)?),
        "DeleteItem" => told(database.delete_item(read(body)?)?),
        "Query" => told(database.query(read(body)?)?),
        "Scan" => told(database.scan(read(body)?)?),
        "BatchGetItem" => told(database.batch_get_item(read(body)?)?),
        "TransactGetItems" => told(database.transact_get_items(read(body)?)?),
        "TransactWriteItems" => told(database.transact_write_items(read(body)?)?),
        "CreateTable" => told(database.create_table(read(body)?)?),
        other => Err(DynoxideError::ValidationException(format!("the seam does not know {other}"))),
    }
}
