//! How content jobs are told.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::batch::{
    Call, ContentJob, Cut, Head, JobKind, NO_NODE, NO_SIGNER, NOT_SENT, ON_CHAIN_ID, SUPERSEDED, Settled, State,
    Status, Summary,
};
use crate::gateway::stacks::Reason;
use crate::json::Object;
use crate::operation::{Code, Outcome, Problem};
use crate::runtime::Timestamp;

/// The word for where a job stands. Only `completed` and `failed` end it: items that failed leave it `completed`.
pub fn word(state: Option<&State>) -> &'static str {
    let Some(state) = state else { return "pending" };
    match (state.status, state.cut) {
        (Status::Pending | Status::AwaitingSignatures, _) => "pending",
        (Status::Running | Status::Preparing | Status::Committed | Status::Paused, _) => "processing",
        (_, Some(Cut::Cancelled | Cut::Deadline | Cut::Poison)) => "failed",
        (Status::Completed | Status::Partial | Status::Failed, None) => "completed",
        (Status::Cancelled | Status::TimedOut, None) => "failed",
    }
}

/// The words there are; `None` for another.
pub fn status(text: &str) -> Option<&'static str> {
    ["pending", "processing", "completed", "failed"].into_iter().find(|word| *word == text)
}

/// Bytes of an answer that results may take, and where the rest is.
pub struct Room<'a> {
    /// Bytes left.
    pub bytes: usize,
    /// Where the rest is.
    pub results_url: &'a str,
}

/// A job with its items. `outcomes` in request order; `calls` by position in it.
pub fn batch(
    (head, job, state): (&Head, &ContentJob, Option<&State>),
    ids: &[String],
    outcomes: &[Option<Outcome>],
    calls: &BTreeMap<usize, Call>,
    room: &Room<'_>,
) -> Value {
    let (mut results, mut left, mut cut) = (Vec::new(), room.bytes, false);
    let ended = ids.iter().zip(outcomes).enumerate();
    for (index, (id, outcome)) in ended.filter_map(|(index, (id, outcome))| Some((index, (id, outcome.as_ref()?)))) {
        let Some(item) = item(job, id, outcome, calls.get(&index)) else { continue };
        // Quotes are escaped once more on the way out, which at most doubles a text.
        let bytes = 2 * item.to_string().len();
        if cut || bytes > left {
            cut = true;
            continue;
        }
        left -= bytes;
        results.push(item);
    }
    let mut told = listed((head, job, state));
    if let Value::Object(told) = &mut told {
        told.insert("contentIds".into(), json!(ids));
        told.insert("updatePayload".into(), Value::Object(job.payload.clone()));
        told.insert("results".into(), results.into());
        if cut {
            told.insert("hasMore".into(), true.into());
            told.insert("resultsUrl".into(), room.results_url.into());
        }
    }
    told
}

/// A job as a listing tells it: without its items.
pub fn listed((head, job, state): (&Head, &ContentJob, Option<&State>)) -> Value {
    let time = |at: Option<Timestamp>| at.map_or(Value::Null, |at| Value::String(at.to_string()));
    let summary = state.map_or_else(|| Summary::pending(head.total()), |state| state.summary);
    let failures = summary.failed + summary.skipped;
    let ended = state.and_then(State::completed);
    let duration = ended.map(|ended| ended.since_ms(head.created));
    let total = i64::try_from(head.total()).unwrap_or(i64::MAX).max(1);
    let mut told = json!({
        "batchId": head.id.as_str(),
        "creator": job.creator,
        "operationType": job.kind.as_str(),
        "status": word(state),
        "totalItems": head.total(),
        "successCount": summary.successful,
        "failureCount": failures,
        "createdAt": head.created.to_string(),
        "updatedAt": state.map_or(head.created, |state| state.updated).to_string(),
        "startedAt": time(state.map(|state| state.started)),
        "completedAt": time(ended),
        "metrics": {
            "batchId": head.id.as_str(),
            "startTime": head.created.to_string(),
            "endTime": time(ended),
            "totalDuration": duration,
            "itemCount": head.total(),
            "avgTimePerItem": duration.map(|duration| duration / total),
            "successRate": rate(summary.successful, head.total()),
            "failureRate": rate(failures, head.total()),
        },
    });
    if let Value::Object(told) = &mut told {
        if job.contract_only {
            told.insert("only".into(), "contract".into());
        }
        if let Some(error) = state.and_then(|state| state.cut).map(ended_by) {
            told.insert("error".into(), error.into());
        }
        if let Some(lineage) = &head.lineage {
            told.insert("retryOf".into(), lineage.retry_of.as_str().into());
        }
    }
    told
}

fn ended_by(cut: Cut) -> &'static str {
    match cut {
        Cut::Cancelled => "The batch was cancelled",
        Cut::Deadline => "The batch did not end in its time",
        Cut::Poison => "The batch could not be worked on, and was given up",
    }
}

/// To four places, halves to the even one, so that the two rates of a job add up to 1.
fn rate(part: usize, whole: usize) -> Value {
    let whole = whole.max(1);
    let (parts, rest) = (part * 10_000 / whole, part * 10_000 % whole);
    let parts = match (2 * rest).cmp(&whole) {
        Ordering::Less => parts,
        Ordering::Equal => parts + parts % 2,
        Ordering::Greater => parts + 1,
    };
    let text = crate::decimal::canonical(&format!("{}.{:04}", parts / 10_000, parts % 10_000));
    text.map_or(Value::Null, |text| crate::json::number(&text))
}

/// One item; `None` while its contract call is under way.
fn item(job: &ContentJob, id: &str, outcome: &Outcome, call: Option<&Call>) -> Option<Value> {
    let mut told = Object::new();
    told.insert("contentId".into(), id.into());
    told.insert("success".into(), outcome.is_completed().into());
    match outcome {
        Outcome::Completed { data } => completed(&mut told, job, data, call)?,
        Outcome::Failed { failure } => {
            told.insert("error".into(), failure.message.clone().into());
            told.insert("code".into(), failure.code.as_str().into());
        }
        Outcome::Skipped { reason } => {
            told.insert("error".into(), reason.as_str().into());
        }
    }
    Some(Value::Object(told))
}

fn completed(told: &mut Object, job: &ContentJob, data: &Value, call: Option<&Call>) -> Option<()> {
    let what = match job.kind {
        JobKind::UpdatePrice => "Price updated",
        JobKind::RemoveContent => "Content removed",
        JobKind::UpdateMetadata => "Metadata updated",
    };
    let in_full = match job.kind {
        JobKind::UpdatePrice => format!("{what} to {} STX", job.payload.get("newPrice").unwrap_or(&Value::Null)),
        JobKind::RemoveContent | JobKind::UpdateMetadata => what.to_owned(),
    };
    let numbered = data.get(0).and_then(|row| row.get(ON_CHAIN_ID)).is_some_and(|id| !id.is_null());
    let (message, txid, error) = match call {
        None if job.kind == JobKind::UpdateMetadata => (in_full, None, None),
        None if !numbered => {
            let error = "The content has no onChainId, so there is no contract call";
            (format!("{what} (off-chain)"), None, Some(error.to_owned()))
        }
        // Its call is neither settled nor known: it is under way.
        None => return None,
        Some(Call { settled, .. }) => match settled.as_ref()? {
            Settled::Taken { txid } => (in_full, Some(format!("0x{txid}")), None),
            Settled::Refused { cause } => (format!("{what} (off-chain)"), None, Some(refusal(cause))),
            Settled::Unknown => {
                (format!("{what} (on-chain pending)"), None, Some("Contract call timed out".to_owned()))
            }
        },
    };
    told.insert("message".into(), message.into());
    told.insert("txId".into(), txid.map_or(Value::Null, Value::String));
    if let Some(error) = error {
        told.insert("error".into(), error.into());
    }
    if let Some((txid, progress)) = call.and_then(|call| call.chain.as_ref()) {
        told.insert("chain".into(), json!({ "state": progress, "txId": format!("0x{txid}") }));
    }
    Some(())
}

/// The cause of a call that was not made, and what it means.
fn refusal(cause: &str) -> String {
    let meaning = match cause {
        NOT_SENT => "the batch ended before the contract call could be sent",
        SUPERSEDED => "another job has changed the item since, and the contract is told of that one",
        NO_SIGNER => "no signer is configured for this creator",
        NO_NODE => "no Stacks node is configured",
        cause => Reason::parse(cause).meaning(),
    };
    format!("{cause}: {meaning}")
}

/// The error body of these routes.
pub fn error(code: Code, message: &str, details: Option<Value>, problems: &[Problem], request_id: &str) -> Value {
    let mut details = match details {
        Some(Value::Object(details)) => details,
        _ => Object::new(),
    };
    if !problems.is_empty() {
        details.insert("errors".into(), problems.iter().map(crate::dialect::native::problem).collect());
    }
    json!({ "message": message, "error": code.as_str(), "details": details, "requestId": request_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_rounded_and_add_up() {
        for whole in 1..=100 {
            for part in 0..=whole {
                let text = |part: usize| rate(part, whole).to_string().parse::<f64>().unwrap_or(f64::NAN);
                let (one, other) = (text(part), text(whole - part));
                assert!((one + other - 1.0).abs() < 1e-9, "{part} of {whole}: {one} and {other}");
            }
        }
        assert_eq!(
            (rate(2, 3).to_string(), rate(1, 1).to_string(), rate(0, 0).to_string()),
            ("0.6667".into(), "1".into(), "0".into())
        );
    }
}
