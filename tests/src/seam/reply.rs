//! Answers of AWS as the wire has them.

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

pub(super) fn response(status: u16, body: &Value) -> HttpResponse {
    raw(status, body.to_string())
}

pub(super) fn raw(status: u16, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(
        status.try_into().unwrap_or_else(|_| 500.try_into().expect("500 is a status")),
        SdkBody::from(body),
    );
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

/// Takes all but the first `most` keys out of a `BatchGetItem`; what is taken out, as the answer tells it.
pub(super) fn split(body: &mut Value, most: usize) -> Value {
    let mut left = body["RequestItems"].clone();
    for (table, wanted) in body["RequestItems"].as_object_mut().into_iter().flatten() {
        let keys = wanted["Keys"].as_array().cloned().unwrap_or_default();
        wanted["Keys"] = keys.iter().take(most).cloned().collect();
        left[table.as_str()]["Keys"] = keys.into_iter().skip(most).collect();
    }
    left
}

pub(super) fn error(status: u16, kind: &str, message: &str) -> HttpResponse {
    response(status, &json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message }))
}

/// All that was sent, headers with credentials and signature included.
pub(super) fn echo(request: &HttpRequest) -> String {
    let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
    let headers: Vec<String> = request.headers().iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{} {}", headers.join("; "), body)
}

/// The items at `places` are what a transaction was cancelled for.
pub(super) fn cancelled(body: &Value, reason: &str, places: &[usize]) -> HttpResponse {
    let count = body["TransactItems"].as_array().map_or(0, Vec::len);
    let reasons: Vec<Value> =
        (0..count).map(|place| json!({ "Code": if places.contains(&place) { reason } else { "None" } })).collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    response(400, &json!({ "__type": kind, "Message": "Transaction cancelled", "CancellationReasons": reasons }))
}
