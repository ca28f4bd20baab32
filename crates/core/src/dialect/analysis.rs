//! Why a batch failed: root causes, what they took with them, and what to do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::native::word;
use crate::batch::{Head, State, Status};
use crate::limits::MAX_RETRY_ATTEMPTS;
use crate::operation::{Outcome, SkipReason};
use crate::plan::Plan;

/// The analysis of a batch as it stands. `outcomes` in request order.
pub fn analysis(head: &Head, state: Option<&State>, plan: &Plan, outcomes: &[Option<Outcome>]) -> Value {
    let status = state.map_or(Status::Pending, |state| state.status);
    let failed: BTreeSet<usize> = indexes(outcomes, Outcome::is_failed);
    let skipped: BTreeSet<usize> = indexes(outcomes, |outcome| matches!(outcome, Outcome::Skipped { .. }));
    let id = |index: usize| plan.operations().get(index).map_or("", |operation| operation.id.as_str());
    let failures: Vec<Value> = failed
        .iter()
        .filter_map(|&index| {
            let Some(Some(Outcome::Failed { failure })) = outcomes.get(index) else { return None };
            let impact = plan.graph().descendants(index).into_iter().filter(|other| skipped.contains(other)).count();
            Some(json!({
                "operationId": id(index),
                "index": index,
                "reason": failure.code.as_str(),
                "message": failure.message,
                "pointer": failure.pointer,
                "retryable": failure.code.retryable(),
                "suggestion": failure.code.suggestion(),
                "impact": impact,
            }))
        })
        .collect();
    let impacted: Vec<Value> = skipped
        .iter()
        .filter_map(|&index| {
            let Some(Some(Outcome::Skipped { reason })) = outcomes.get(index) else { return None };
            Some(json!({
                "operationId": id(index),
                "index": index,
                "reason": reason.as_str(),
                "causedBy": causes(plan, &failed, index, *reason).into_iter().map(id).collect::<Vec<_>>(),
            }))
        })
        .collect();
    let attempt = head.lineage.as_ref().map_or(0, |lineage| lineage.attempt);
    let open = status.is_terminal() && attempt < MAX_RETRY_ATTEMPTS && !(failed.is_empty() && skipped.is_empty());
    let retry = open.then(|| json!({ "method": "POST", "path": format!("/batches/{}/retry", head.id), "body": {} }));
    json!({
        "batchId": head.id.as_str(),
        "status": word(status),
        "retryable": outcomes.iter().flatten().any(|outcome| match outcome {
            Outcome::Failed { failure } => failure.code.retryable(),
            Outcome::Skipped { reason } => matches!(reason, SkipReason::Cancelled | SkipReason::DeadlineExceeded),
            Outcome::Completed { .. } => false,
        }),
        "failedOperations": failures,
        "impactedOperations": impacted,
        "retry": retry,
    })
}

fn indexes(outcomes: &[Option<Outcome>], is: impl Fn(&Outcome) -> bool) -> BTreeSet<usize> {
    let ended = outcomes.iter().enumerate().filter_map(|(index, outcome)| Some((index, outcome.as_ref()?)));
    ended.filter(|(_, outcome)| is(outcome)).map(|(index, _)| index).collect()
}

/// The failures that an operation was skipped for: those it depends on; for one that was stopped or undone, all.
fn causes(plan: &Plan, failed: &BTreeSet<usize>, index: usize, reason: SkipReason) -> Vec<usize> {
    match reason {
        SkipReason::Cancelled | SkipReason::DeadlineExceeded => Vec::new(),
        SkipReason::RolledBack | SkipReason::BatchStopped => failed.iter().copied().collect(),
        SkipReason::DependencyFailed => {
            failed.iter().copied().filter(|cause| plan.graph().descendants(*cause).contains(&index)).collect()
        }
    }
}
