//! What Orby answers: two forms of errors, operation sets, what it took, and how far it is.

use serde_json::Value;

use super::client::Failed;
use crate::gateway::Answer;
use crate::intent::{Reason, Unsigned};

/// Operations in one set; a route has a few.
const MOST_OPERATIONS: usize = 32;

/// What there is to be signed, so that an intent comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// In the order they are signed.
    pub operations: Vec<Unsigned>,
    /// How long it takes, about.
    pub estimated_ms: Option<u64>,
    /// What it costs about, with the currency.
    pub fiat: Option<(String, String)>,
}

/// Operations that Orby took, in the order they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Orby's own names.
    pub ids: Vec<String>,
    /// Hashes of the transactions it has sent so far.
    pub hashes: Vec<String>,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It waits for another one.
    Waiting,
    /// It waits for its chain.
    Pending,
    /// It is on its chain, and did what it should.
    Successful,
    /// It will not come about, for this reason.
    Failed(Reason),
    /// Orby does not know it.
    NotFound,
}

/// What a look-up told of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Its name, as it was asked for.
    pub id: String,
    /// How far it is.
    pub progress: Progress,
    /// The hash of its transaction, once there is one.
    pub hash: Option<String>,
}

/// The result in an answer. Errors come beside `result`, or in its place as `{code, message}`.
pub(super) fn result(answer: &Answer, id: u64) -> Result<Value, Failed> {
    if matches!(answer.status, 401 | 403) {
        // The key is wrong: that says nothing about the operation.
        return Err(Failed::Nonsense(answer.status));
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Err(Failed::Refused(reason_of(error)));
    }
    if answer.status != 200 || body["id"] != id {
        // No answer of JSON-RPC: of something before Orby, so nobody knows what Orby made of it.
        return Err(Failed::Nonsense(answer.status));
    }
    match body.get("result") {
        Some(result) if result.get("code").is_some() && result["message"].is_string() => {
            Err(Failed::Refused(reason_of(result)))
        }
        Some(result) => Ok(result.clone()),
        None => Err(Failed::Nonsense(answer.status)),
    }
}

fn reason_of(error: &Value) -> Reason {
    let code = error["code"].as_str().map(Reason::of_text).filter(|reason| *reason != Reason::Unknown);
    code.unwrap_or_else(|| Reason::of_text(error["message"].as_str().unwrap_or_default()))
}

/// An operation set: the operations of its intents, and then its primary one.
pub(super) fn built(result: &Value) -> Result<Built, Failed> {
    match result["status"].as_str() {
        Some("SUCCESS") => {}
        Some("INSUFFICIENT_FUNDS") => return Err(Failed::Refused(Reason::InsufficientBalance)),
        Some("INSUFFICIENT_FUNDS_FOR_GAS") => return Err(Failed::Refused(Reason::InsufficientGas)),
        Some("NO_EXECUTION_PATH") => return Err(Failed::Refused(Reason::NoRoute)),
        Some("INVALID_ARGUMENT" | "INTERNAL") => return Err(Failed::Refused(Reason::Unknown)),
        _ => return Err(Failed::Nonsense(200)),
    }
    let of_intents = result["intents"].as_array().into_iter().flatten();
    let of_intents = of_intents.flat_map(|intent| intent["intentOperations"].as_array().into_iter().flatten());
    let primary = result.get("primaryOperation").filter(|primary| !primary.is_null());
    let operations: Vec<&Value> = of_intents.chain(primary).collect();
    if operations.is_empty() || operations.len() > MOST_OPERATIONS {
        return Err(Failed::Nonsense(200));
    }
    let operations: Result<Vec<Unsigned>, _> = operations.into_iter().map(Unsigned::read).collect();
    let operations = operations.map_err(|error| match error.0 {
        "gasLimit" | "maxFeePerGas" | "maxPriorityFeePerGas" => Failed::Refused(Reason::GasEstimationFailed),
        _ => Failed::Nonsense(200),
    })?;
    Ok(Built { operations, estimated_ms: result["aggregateEstimatedTimeInMs"].as_u64(), fiat: fiat(result) })
}

/// The fees of a set: those of its chains and Orby's own, where both are in one currency.
fn fiat(result: &Value) -> Option<(String, String)> {
    let sum = |name: &str| {
        let sum = &result[name];
        let units: u64 = sum["amount"].as_str()?.parse().ok()?;
        let currency = &sum["currency"];
        let decimals = currency["decimals"].as_u64().and_then(|decimals| u8::try_from(decimals).ok())?;
        let code = currency["asset"]["symbol"].as_str().filter(|code| (1..=8).contains(&code.len()))?;
        Some((units, decimals, code))
    };
    let (network, decimals, code) = sum("aggregateNetworkFeeInFiatCurrency")?;
    let own = sum("aggregateOperationFeeInFiatCurrency").filter(|own| (own.1, own.2) == (decimals, code));
    let units = network.checked_add(own.map_or(0, |own| own.0))?;
    let text = crate::intent::amount::format(alloy_primitives::U256::from(units), decimals.min(36));
    Some((text, code.to_owned()))
}

/// What Orby took of `count` operations.
pub(super) fn sent(result: &Value, count: usize) -> Result<Sent, Failed> {
    let responses = result["operationResponses"].as_array().ok_or(Failed::Nonsense(200))?;
    let text = |value: &Value| value.as_str().filter(|text| (1..=256).contains(&text.len())).map(str::to_owned);
    // One of several that failed is told by the look-ups; a set of which nothing was taken is refused.
    if let Some(first) = responses.first().filter(|_| responses.iter().all(|one| one["status"] == "FAILED")) {
        return Err(Failed::Refused(reason_of(first)));
    }
    let ids: Option<Vec<String>> = responses.iter().map(|response| text(&response["id"])).collect();
    let ids = ids.filter(|ids| ids.len() == count).ok_or(Failed::Nonsense(200))?;
    Ok(Sent { ids, hashes: responses.iter().filter_map(|response| text(&response["hash"])).collect() })
}

/// What a look-up for `ids` told; what it is silent about is not found.
pub(super) fn looked(result: &Value, ids: &[String]) -> Result<Vec<Looked>, Failed> {
    let told = result["operationStatuses"].as_array().ok_or(Failed::Nonsense(200))?;
    let of = |id: &String| {
        let about = told.iter().find(|told| told["id"].as_str() == Some(id) || told["hash"].as_str() == Some(id));
        let progress = match about.and_then(|told| told["status"].as_str()) {
            None | Some("NOT_FOUND") => Progress::NotFound,
            Some("SUCCESSFUL") => Progress::Successful,
            Some("FAILED") => Progress::Failed(about.map_or(Reason::Unknown, reason_of)),
            Some("WAITING_PRECONDITION") => Progress::Waiting,
            // A state that is not known here is not the end.
            Some(_) => Progress::Pending,
        };
        let hash = about.and_then(|told| told["hash"].as_str()).filter(|hash| (1..=256).contains(&hash.len()));
        Looked { id: id.clone(), progress, hash: hash.map(str::to_owned) }
    };
    Ok(ids.iter().map(of).collect())
}
