//! Requests and answers of the wire.

use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use batch_core::gateway::{orby, stacks};
use serde_json::{Value, json};

/// Operations of the two that are not of AWS.
pub(super) const STACKS: &str = "Stacks";
pub(super) const ORBY: &str = "Orby";
/// Where transactions of the chain are sent to.
pub(super) const TRANSACTIONS: &str = "/v2/transactions";
/// By which signed operations are sent to Orby.
pub(super) const SEND: &str = "orby_sendSignedOperations";

/// What a call outside of AWS is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outer {
    /// It sends a transaction to the node.
    Transaction,
    /// It sends signed operations to Orby.
    Sending,
    /// It has Orby build operations.
    Building,
    /// It changes nothing.
    Look,
}

/// A call of AWS, of the node, or of Orby.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// `PutItem`, `SendMessage`, ..., [`STACKS`] or [`ORBY`].
    pub operation: String,
    /// Its fields in name order: the SDK writes them in any.
    pub body: Arc<Value>,
}

impl Request {
    pub fn read(request: &HttpRequest) -> Self {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.split('.').next_back().unwrap_or_default().to_owned();
        let body = request.body().bytes().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
        let mut body = body.unwrap_or_default();
        body.sort_all_objects();
        Self { operation, body: Arc::new(body) }
    }

    /// Of a call of the node: its path and, in hex, what it posts.
    pub fn of_stacks(call: &stacks::Call) -> Self {
        let bytes = call.body.as_ref().map(|(_, bytes)| batch_core::runtime::hex(bytes));
        Self { operation: STACKS.into(), body: Arc::new(json!({ "path": call.path, "bytes": bytes })) }
    }

    /// Of a call of Orby: its URL and what it posts.
    pub fn of_orby(call: &orby::Call) -> Self {
        let posted: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        Self { operation: ORBY.into(), body: Arc::new(json!({ "url": call.url, "call": posted })) }
    }

    /// What it is for; `None` for a call of AWS.
    pub fn outer(&self) -> Option<Outer> {
        let method = self.body["call"]["method"].as_str().unwrap_or_default();
        match self.operation.as_str() {
            STACKS if self.body["path"] == TRANSACTIONS => Some(Outer::Transaction),
            ORBY if method == SEND => Some(Outer::Sending),
            ORBY if method.starts_with("orby_getOperationsTo") => Some(Outer::Building),
            STACKS | ORBY => Some(Outer::Look),
            _ => None,
        }
    }

    /// The actions of a transaction, each with its kind.
    pub fn actions(&self) -> Vec<(&str, &Value)> {
        actions(&self.body)
    }

    /// Whether it is a query of an index.
    pub fn is_search(&self) -> bool {
        self.operation == "Query" && self.body.get("IndexName").is_some()
    }
}

/// The actions of a transaction's body, each with its kind.
pub(super) fn actions(body: &Value) -> Vec<(&str, &Value)> {
    let items = body["TransactItems"].as_array().into_iter().flatten();
    items.filter_map(|item| item.as_object()?.iter().next()).map(|(kind, action)| (kind.as_str(), action)).collect()
}

/// What comes back.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer(u16, String),
    /// The connection breaks.
    Lost,
    /// There was none.
    Unreachable,
}

impl Reply {
    pub fn ok(body: &Value) -> Self {
        Self::Answer(200, body.to_string())
    }

    pub fn error(status: u16, kind: &str) -> Self {
        let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "injected" });
        Self::Answer(status, body.to_string())
    }

    /// A transaction that is cancelled because of the actions at `places`.
    pub fn cancelled(count: usize, places: &[usize], code: &str) -> Self {
        let reason = |place| json!({ "Code": if places.contains(&place) { code } else { "None" } });
        let reasons: Vec<Value> = (0..count).map(reason).collect();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        let body = json!({ "__type": kind, "Message": "Transaction cancelled", "CancellationReasons": reasons });
        Self::Answer(400, body.to_string())
    }

    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Answer(200, _))
    }

    /// For the SDK.
    pub fn into_response(self) -> Result<HttpResponse, ConnectorError> {
        match self {
            Self::Lost | Self::Unreachable => Err(ConnectorError::io("the connection was reset".into())),
            Self::Answer(status, body) => {
                let status = status.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
                let mut response = HttpResponse::new(status, SdkBody::from(body));
                response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
                Ok(response)
            }
        }
    }

    /// For the trace.
    pub fn brief(&self) -> String {
        match self {
            Self::Lost => "lost".to_owned(),
            Self::Unreachable => "unreachable".to_owned(),
            Self::Answer(200, _) => "ok".to_owned(),
            Self::Answer(status, body) => {
                let body: Value = serde_json::from_str(body).unwrap_or_default();
                let kind = body["__type"].as_str().and_then(|kind| kind.split('#').next_back()).unwrap_or("error");
                let reasons = body["CancellationReasons"].as_array().into_iter().flatten();
                let codes: Vec<&str> = reasons.filter_map(|reason| reason["Code"].as_str()).collect();
                format!("{status} {kind} {}", codes.join(","))
            }
        }
    }
}

/// The text of an attribute of this kind; empty when there is none.
pub(super) fn text<'v>(item: &'v Value, name: &str, kind: &str) -> &'v str {
    item[name][kind].as_str().unwrap_or_default()
}

/// A whole number in an attribute.
pub(super) fn int(item: &Value, name: &str) -> Option<i64> {
    item[name]["N"].as_str()?.parse().ok()
}

/// An attribute as plain JSON.
pub(super) fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else { return Value::Null };
    match (kind.as_str(), value) {
        ("NULL", _) => Value::Null,
        ("N", Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        ("L", Value::Array(items)) => items.iter().map(plain).collect(),
        ("M", Value::Object(fields)) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        _ => value.clone(),
    }
}

/// Bytes in an attribute.
pub(super) fn bytes(item: &Value, name: &str) -> Vec<u8> {
    item[name]["B"].as_str().and_then(|text| aws_smithy_types::base64::decode(text).ok()).unwrap_or_default()
}
