//! The SDK's HTTP client, replaced: every request is recorded, may be spoiled, and is answered by the database.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use dynoxide::errors::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// One call of AWS.
#[derive(Debug, Clone)]
pub struct Call {
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
    /// A transaction is cancelled: these items, by place in the request, are in another one.
    Conflict(Vec<usize>),
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
    queue: Vec<String>,
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

    /// The bodies of the messages sent since this was last asked.
    pub fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().queue)
    }

    /// The next call of `operation` that no earlier plan took suffers `fault`.
    pub fn plan(&self, operation: &str, fault: Fault) {
        self.inner().planned.push_back((operation.to_owned(), fault));
    }

    /// Forgets the faults that have not happened.
    pub fn clear(&self) {
        self.inner().planned.clear();
    }

    /// Whether every planned fault has happened.
    pub fn all_happened(&self) -> bool {
        self.inner().planned.is_empty()
    }

    /// How long the next call of `operation` takes, if that is planned.
    fn slow(&self, operation: &str) -> Option<u64> {
        let mut inner = self.inner();
        let place = inner.planned.iter().position(|(wanted, _)| wanted == operation)?;
        let (_, Fault::Slow(wait)) = inner.planned.get(place)? else { return None };
        let wait = *wait;
        inner.planned.remove(place);
        Some(wait)
    }

    fn planned(&self, operation: &str) -> Option<Fault> {
        let mut inner = self.inner();
        let place = inner.planned.iter().position(|(wanted, _)| wanted == operation)?;
        inner.planned.remove(place).map(|(_, fault)| fault)
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let operation = target.split('.').next_back().unwrap_or_default().to_owned();
        let mut body: Value =
            request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let call = Call { operation: operation.clone(), body: body.clone(), write_units: 0.0, read_units: 0.0 };
        let place = {
            let mut inner = self.inner();
            inner.calls.push(call);
            inner.calls.len() - 1
        };
        let lost = || ConnectorError::io("the connection was reset".into());
        let (mut reply_lost, mut left) = (false, Value::Null);
        match self.planned(&operation) {
            None => {}
            Some(Fault::RequestLost) => return Err(lost()),
            Some(Fault::ReplyLost) => reply_lost = true,
            Some(Fault::Error(status, kind)) => return Ok(error(status, kind)),
            Some(Fault::Conflict(places)) => return Ok(conflict(&body, &places)),
            Some(Fault::Unprocessed(most)) => left = split(&mut body, most),
            Some(Fault::Before(Hook(hook))) => hook(&self.database),
            Some(Fault::Slow(_)) => {}
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
        let answer = match dispatch(&self.database, &operation, body) {
            Ok(mut answer) => {
                if !left.is_null() {
                    answer["UnprocessedKeys"] = left;
                }
                let units = units(&answer["ConsumedCapacity"]);
                let mut inner = self.inner();
                if let Some(call) = inner.calls.get_mut(place) {
                    let writes = matches!(operation.as_str(), "PutItem" | "UpdateItem" | "TransactWriteItems");
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

impl HttpConnector for Seam {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let Some(wait) = self.slow(target.split('.').next_back().unwrap_or_default()) else {
            return HttpConnectorFuture::ready(self.answer(&request));
        };
        let seam = self.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
            seam.answer(&request)
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

fn response(status: u16, body: &Value) -> HttpResponse {
    raw(status, body.to_string())
}

fn raw(status: u16, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(
        status.try_into().unwrap_or_else(|_| 500.try_into().expect("500 is a status")),
        SdkBody::from(body),
    );
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

/// Takes all but the first `most` keys out of a `BatchGetItem`; what is taken out, as the answer tells it.
fn split(body: &mut Value, most: usize) -> Value {
    let mut left = body["RequestItems"].clone();
    for (table, wanted) in body["RequestItems"].as_object_mut().into_iter().flatten() {
        let keys = wanted["Keys"].as_array().cloned().unwrap_or_default();
        wanted["Keys"] = keys.iter().take(most).cloned().collect();
        left[table.as_str()]["Keys"] = keys.into_iter().skip(most).collect();
    }
    left
}

fn error(status: u16, kind: &str) -> HttpResponse {
    response(status, &json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "injected" }))
}

fn conflict(body: &Value, places: &[usize]) -> HttpResponse {
    let count = body["TransactItems"].as_array().map_or(0, Vec::len);
    let reasons: Vec<Value> = (0..count)
        .map(|place| json!({ "Code": if places.contains(&place) { "TransactionConflict" } else { "None" } }))
        .collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    response(400, &json!({ "__type": kind, "Message": "Transaction cancelled", "CancellationReasons": reasons }))
}

/// Hands a request of the wire to the database.
pub fn dispatch(database: &Database, operation: &str, body: impl Borrow<Value>) -> Result<Value, DynoxideError> {
    let body = body.borrow();
    fn read<T: DeserializeOwned>(body: &Value) -> Result<T, DynoxideError> {
        T::deserialize(body).map_err(|error| DynoxideError::ValidationException(error.to_string()))
    }
    fn told<T: Serialize>(answer: T) -> Result<Value, DynoxideError> {
        serde_json::to_value(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
    }
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
