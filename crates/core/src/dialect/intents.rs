//! The contract of blockchain intents: what its answers look like.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::batch::{BatchId, Head, Intents, Phase, Set, State, Status};
use crate::intent::{Cost, Tokens, Unsigned, amount, cost_of, sum_of};
use crate::json::Object;
use crate::limits::MAX_RETRY_ATTEMPTS;
use crate::operation::{Code, Problem};

/// An operation as it stands.
#[derive(Debug, Clone)]
pub struct Told<'a> {
    /// Its operation set.
    pub set: &'a Set,
    /// Where it stands; `None` before it is signed.
    pub phase: Option<Phase>,
    /// The hash of its transaction.
    pub tx_hash: Option<String>,
}

/// What became of the batch's operations, and what the batch is called for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    successful: usize,
    failed: usize,
    pending: usize,
}

fn counts(told: &[Told<'_>]) -> Counts {
    let count = |is: &dyn Fn(&Phase) -> bool| told.iter().filter(|told| told.phase.as_ref().is_some_and(is)).count();
    let successful = count(&|phase| *phase == Phase::Done);
    let failed = count(&|phase| matches!(phase, Phase::Failed(..) | Phase::Skipped));
    Counts { successful, failed, pending: told.len() - successful - failed }
}

/// The answer to a create call: everything that is to be signed, sorted by chain and then as requested.
pub fn created(head: &Head, intents: &Intents, tokens: &Tokens) -> Value {
    let mut places: Vec<(u64, usize)> =
        intents.sets.iter().enumerate().map(|(index, set)| (set.chain, index)).collect();
    places.sort_unstable();
    let operations = places.iter().filter_map(|(_, index)| Some(set(*index, intents.sets.get(*index)?)));
    let order: Vec<String> = intents.order.iter().map(|index| format!("op_{index}")).collect();
    let chains: BTreeSet<u64> = intents.sets.iter().flat_map(Set::chains).collect();
    let atomicity = if head.options.atomic { "stop-on-failure" } else { "none" };
    let unsigned = intents.sets.iter().flat_map(|set| &set.unsigned);
    let unsigned: Vec<Unsigned> = unsigned.filter_map(|value| Unsigned::read(value).ok()).collect();
    let costs: Vec<(u64, Cost)> =
        chains.iter().filter_map(|id| Some((*id, cost_of(tokens.chain(*id)?, unsigned.iter())))).collect();
    let sums: Vec<Value> = sum_of(costs.iter().map(|(_, cost)| cost.clone())).iter().map(cost_told).collect();
    let mut total = json!({ "coins": sums });
    if let (Value::Object(total), Some(fiat)) = (&mut total, fiat(intents.sets.iter())) {
        total.insert("fiat".into(), fiat);
    }
    json!({
        "batchId": head.id.as_str(),
        "operations": operations.collect::<Vec<Value>>(),
        "executionOrder": order,
        "gas": costs.iter().map(|(chain, cost)| gas(*chain, cost, intents)).collect::<Vec<Value>>(),
        "estimatedFeeTotal": total,
        "atomicity": atomicity,
    })
}

fn cost_told(cost: &Cost) -> Value {
    json!({ "token": cost.coin, "amount": amount::format(cost.units, cost.decimals) })
}

fn set(index: usize, set: &Set) -> Value {
    let mut told = json!({
        "operationId": format!("op_{index}"),
        "operationSetId": set.id,
        "index": index,
        "type": set.kind,
        "chainId": set.chain,
    });
    let Value::Object(fields) = &mut told else { return told };
    fields.extend(set.retry_of.map(|place| ("retryOf".to_owned(), format!("op_{place}").into())));
    match (&set.merged_into, &set.defeat) {
        (Some(other), _) => {
            fields.insert("mergedInto".into(), format!("op_{other}").into());
            fields.insert("status".into(), "merged".into());
        }
        (None, Some(defeat)) => {
            fields.insert("unsignedOps".into(), json!([]));
            fields.insert("status".into(), "failed".into());
            fields.insert("error".into(), error_of(defeat.reason, defeat.suggestion()));
        }
        (None, None) => {
            let unsigned = set.unsigned.iter().enumerate().map(|(place, operation)| {
                let mut operation = operation.clone();
                if let Value::Object(fields) = &mut operation {
                    fields.insert("index".into(), place.into());
                }
                operation
            });
            fields.insert("unsignedOps".into(), unsigned.collect());
            fields.insert("status".into(), "created".into());
        }
    }
    told
}

fn error_of(reason: crate::intent::Reason, suggestion: &str) -> Value {
    json!({ "code": reason.as_str(), "message": reason.message(), "suggestion": suggestion })
}

/// What a chain costs. Orby's estimate is for whole operations, so it is told of the chain that they were asked for on.
fn gas(chain: u64, cost: &Cost, intents: &Intents) -> Value {
    let on = || intents.sets.iter().enumerate().filter(move |(_, set)| set.chains().contains(&chain));
    let operations: Vec<String> = on().map(|(index, _)| format!("op_{index}")).collect();
    let notes = intents.notes.iter().find(|(id, _)| *id == chain).map(|(_, notes)| notes.clone()).unwrap_or_default();
    let mut fee = cost_told(cost);
    let own = on().map(|(_, set)| set).filter(|set| set.chain == chain);
    if let (Value::Object(fee), Some(fiat)) = (&mut fee, fiat(own)) {
        fee.insert("fiat".into(), fiat);
    }
    json!({ "chainId": chain, "operations": operations, "estimatedFee": fee, "optimizations": notes })
}

/// The sum of Orby's estimates; `None` where one is missing, or in another currency.
fn fiat<'a>(sets: impl Iterator<Item = &'a Set>) -> Option<Value> {
    let mut sum: Option<(alloy_primitives::U256, &str)> = None;
    for set in sets.filter(|set| !set.unsigned.is_empty()) {
        let (text, currency) = set.fiat.as_ref()?;
        // A fee of nothing is no amount.
        let units = amount::parse(text, 18).unwrap_or_default();
        sum = match sum {
            None => Some((units, currency.as_str())),
            Some((before, known)) if known == currency => Some((before.saturating_add(units), known)),
            Some(_) => return None,
        };
    }
    let (units, currency) = sum?;
    Some(json!({ "amount": amount::format(units, 18), "currency": currency }))
}

/// The contract's word for where a batch stands: while it lasts `pending`; what execute calls `submitted` until the end.
fn word(told: &[Told<'_>], state: Option<&State>, open: &'static str) -> &'static str {
    let counts = counts(told);
    match state.map(|state| state.status) {
        None => "created",
        Some(Status::Cancelled | Status::TimedOut) => "failed",
        Some(_) if counts.pending > 0 => open,
        Some(_) if counts.failed == 0 => "completed",
        Some(_) if counts.successful == 0 => "failed",
        Some(_) => "partial",
    }
}

/// The answer to a status call.
pub fn status(head: &Head, state: Option<&State>, told: &[Told<'_>]) -> Value {
    let Counts { successful, failed, pending } = counts(told);
    let word = match word(told, state, "pending") {
        "created" => "pending",
        word => word,
    };
    let operations: Vec<Value> = told.iter().enumerate().map(|(index, one)| operation(index, one)).collect();
    json!({
        "batchId": head.id.as_str(),
        "status": word,
        "summary": { "total": told.len(), "successful": successful, "failed": failed, "pending": pending },
        "operations": operations,
    })
}

fn operation(index: usize, told: &Told<'_>) -> Value {
    let mut out = Object::new();
    out.insert("operationId".into(), format!("op_{index}").into());
    out.insert("operationSetId".into(), told.set.id.clone().into());
    out.insert("index".into(), index.into());
    out.insert("type".into(), told.set.kind.clone().into());
    out.insert("chainId".into(), told.set.chain.into());
    out.insert("status".into(), phase_word(told.phase.as_ref()).into());
    out.extend(told.tx_hash.as_ref().map(|hash| ("txHash".to_owned(), hash.clone().into())));
    if let Some(Phase::Failed(defeat, _)) = &told.phase {
        out.insert("error".into(), error_of(defeat.reason, defeat.suggestion()));
    }
    out.into()
}

fn phase_word(phase: Option<&Phase>) -> &'static str {
    match phase {
        None | Some(Phase::Ready) => "pending",
        Some(Phase::Sending) => "unknown",
        Some(Phase::Taken) => "submitted",
        Some(Phase::Done) => "completed",
        Some(Phase::Failed(..)) => "failed",
        Some(Phase::Skipped) => "skipped",
    }
}

/// The answer to an execute call. Where something failed the contract's error stands in it too.
pub fn executed(head: &Head, state: Option<&State>, told: &[Told<'_>], order: &[usize]) -> Value {
    let rest = (0..told.len()).filter(|index| !order.contains(index));
    let results: Vec<Value> = order
        .iter()
        .copied()
        .chain(rest)
        .filter_map(|index| {
            let one = told.get(index)?;
            let mut result = json!({
                "operationId": format!("op_{index}"),
                "operationSetId": one.set.id,
                "success": matches!(one.phase, Some(Phase::Taken | Phase::Done)),
                "status": phase_word(one.phase.as_ref()),
            });
            let Value::Object(fields) = &mut result else { return None };
            fields.extend(one.tx_hash.as_ref().map(|hash| ("txHash".to_owned(), hash.clone().into())));
            if let Some(Phase::Failed(defeat, _)) = &one.phase {
                fields.insert("error".into(), error_of(defeat.reason, defeat.suggestion()));
            }
            Some(result)
        })
        .collect();
    let mut body = json!({ "batchId": head.id.as_str(), "status": word(told, state, "submitted"), "results": results });
    if let (Value::Object(body), Some((code, message, details))) = (&mut body, failure(head, told, order)) {
        body.insert("error".into(), code.as_str().into());
        body.insert("message".into(), message.into());
        body.insert("details".into(), details);
    }
    body
}

fn failure(head: &Head, told: &[Told<'_>], order: &[usize]) -> Option<(Code, String, Value)> {
    let defeat = |index: &usize| match &told.get(*index)?.phase {
        Some(Phase::Failed(defeat, _)) => Some((*index, defeat)),
        _ => None,
    };
    let all: Vec<usize> = (0..told.len()).collect();
    let (index, defeat) = order.iter().chain(&all).find_map(defeat)?;
    let sent = |told: &Told<'_>| {
        matches!(told.phase, Some(Phase::Sending | Phase::Taken | Phase::Done | Phase::Failed(_, true)))
    };
    if head.options.atomic {
        let details = json!({
            "failedOperation": format!("op_{index}"), "reason": defeat.reason.message(),
            "rollback": !told.iter().any(sent),
        });
        return Some((Code::AtomicExecutionFailed, format!("Atomic batch failed on operation {index}"), details));
    }
    let successful = told.iter().filter(|told| matches!(told.phase, Some(Phase::Taken | Phase::Done))).count();
    let details = json!({
        "successful": successful, "failed": counts(told).failed,
        "failureReason": format!("Operation {index} failed: {}", defeat.reason.message()),
    });
    Some((Code::BatchExecutionFailed, "Batch execution failed".to_owned(), details))
}

/// Why a batch failed, and a body that retries what can be.
pub fn analysis(head: &Head, state: Option<&State>, told: &[Told<'_>], ended: bool) -> Value {
    let skipped = |one: &&Told<'_>| one.phase == Some(Phase::Skipped);
    let failed: Vec<Value> = told
        .iter()
        .enumerate()
        .filter_map(|(index, one)| {
            let Some(Phase::Failed(defeat, _)) = &one.phase else { return None };
            Some(json!({
                "operationId": format!("op_{index}"),
                "operationSetId": one.set.id,
                "index": index,
                "reason": defeat.reason.as_str(),
                "message": defeat.reason.message(),
                "suggestion": defeat.suggestion(),
                "pointer": null,
                "retryable": defeat.reason.retryable(),
                "impact": told.iter().filter(skipped).count(),
            }))
        })
        .collect();
    let impacted: Vec<Value> = told
        .iter()
        .enumerate()
        .filter(|(_, one)| skipped(one))
        .map(|(index, one)| {
            let by: Vec<&Value> = failed.iter().map(|failed| &failed["operationId"]).collect();
            json!({ "operationId": format!("op_{index}"), "operationSetId": one.set.id, "index": index, "reason": "Batch stopped", "causedBy": by })
        })
        .collect();
    let attempt = head.lineage.as_ref().map_or(0, |lineage| lineage.attempt);
    // An atomic batch is built as a whole or not at all, so a part of it is no use.
    let useful = |failed: &&Value| head.options.atomic || failed["retryable"] == true;
    let again: Vec<&Value> = failed.iter().filter(useful).chain(&impacted).map(|one| &one["operationId"]).collect();
    let retry = (ended && !again.is_empty() && attempt < MAX_RETRY_ATTEMPTS).then(|| {
        json!({ "method": "POST", "path": format!("/api/v1/batch/{}/retry", head.id), "body": { "operationIds": again } })
    });
    json!({
        "batchId": head.id.as_str(),
        "status": match word(told, state, "pending") { "created" => "pending", word => word },
        "retryable": failed.iter().any(|failed| failed["retryable"] == true) || (ended && !impacted.is_empty()),
        "failedOperations": failed,
        "impactedOperations": impacted,
        "retry": retry,
    })
}

/// The answer to a retry: the new batch, with everything that is to be signed.
pub fn retried(created: Value, new: &BatchId, (count, attempt): (usize, usize)) -> Value {
    let mut out = Object::new();
    out.insert("newBatchId".into(), new.as_str().into());
    out.insert("retryCount".into(), count.into());
    out.insert("attempt".into(), attempt.into());
    if let Value::Object(created) = created {
        out.extend(created.into_iter().filter(|(name, _)| name != "batchId"));
    }
    out.into()
}

/// The contract's error: its details name the first operation that is wrong and what is wrong with it.
pub fn wrong(problems: &[Problem]) -> (String, Value) {
    let first = problems.first();
    let mut details = Object::new();
    if let Some((index, id)) = first.and_then(|first| first.operation.as_ref()) {
        details.insert("operation".into(), (*index).into());
        details.insert("operationId".into(), id.as_str().into());
    }
    details.extend(first.map(|first| ("issue".to_owned(), first.message.clone().into())));
    ("Invalid batch operations".to_owned(), details.into())
}
