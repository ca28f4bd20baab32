//! I1, I2, I10: what clients were told is what is stored, and was so when they were told.

use std::collections::BTreeSet;

use batch_core::batch::Cut;
use batch_core::limits::MAX_RETRY_ATTEMPTS;
use batch_core::operation::Outcome;
use serde_json::Value;

use super::accepted::Accepted;
use super::{cut, is_terminal};
use crate::sim::client::{Said, Told, What};
use crate::sim::tables::Tables;
use crate::sim::wire::text;

pub(super) fn check(tables: &Tables, batches: &[Accepted<'_>], told: &Told, wrong: &mut Vec<String>) {
    for said in &told.said {
        let Some(batch) = batches.iter().find(|batch| batch.id() == said.id) else {
            wrong.push(format!("I1: {} was told of and is not there: {said:?}", said.id));
            continue;
        };
        if !is_right(tables, batches, batch, said) {
            let (states, outcomes) = (&batch.states, &batch.outcomes);
            wrong.push(format!("I1: {} was told as {said:?} and went as {states:?} with {outcomes:?}", batch.pk));
        }
    }
    for batch in batches {
        let given_up = batch.last().and_then(cut) == Some(Cut::Poison);
        if given_up && !told.buried.contains(batch.id()) {
            wrong.push(format!("I1: {} was given up, and its message never died", batch.pk));
        }
    }
}

fn is_right(tables: &Tables, batches: &[Accepted<'_>], batch: &Accepted<'_>, said: &Said) -> bool {
    let then = |step: usize| tables.steps.get(step).is_some_and(|step| step.at <= said.at);
    let was = |is: &dyn Fn(&Value) -> bool| batch.states.iter().any(|(step, state)| then(*step) && is(state));
    let all = |is: &dyn Fn(&Outcome) -> bool| batch.outcomes.iter().all(is);
    match &said.what {
        What::Accepted => then(batch.step),
        What::End(body) => was(&is_terminal) && end(batch, body),
        // What is committed can't be stopped any more, though it has not ended.
        What::Ended => was(&|state| is_terminal(state) || text(state, "status", "S") == "committed"),
        What::Paused => was(&|state| text(state, "status", "S") == "paused"),
        What::NothingToRetry => was(&is_terminal) && all(&|outcome| outcome.word() == "completed"),
        What::RetryLimit => was(&is_terminal) && batch.attempt == MAX_RETRY_ATTEMPTS,
        What::Retried(id, count, attempt) => batches.iter().any(|retry| {
            let (count, attempt) = (usize::try_from(*count).ok(), usize::try_from(*attempt).ok());
            let is = retry.id() == id && retry.parent.as_deref() == Some(said.id.as_str());
            is && count == Some(retry.ops.len()) && attempt == Some(retry.attempt)
        }),
        What::Analysis(body) => was(&is_terminal) && analysis(batch, body),
        What::Results(status, results) => was(&is_terminal) && pages(batch, *status, results),
        // Told of other contracts' batches.
        What::Job(_) | What::Again(..) | What::Status(_) | What::Executed(_) => false,
    }
}

/// What a client was told as the end is the end.
fn end(batch: &Accepted<'_>, told: &Value) -> bool {
    let Some(state) = batch.last() else { return false };
    let summary: Value = serde_json::from_str(text(state, "summary", "S")).unwrap_or_default();
    let results = told["results"].as_object().into_iter().flatten();
    let results = results.collect::<Vec<_>>();
    told["status"] == text(state, "status", "S")
        && told["summary"] == summary
        && (results.is_empty() || results.len() == batch.ops.len())
        && results.into_iter().all(|(id, told)| number(id).is_some_and(|op| result(batch, op, told)))
}

fn number(id: &str) -> Option<usize> {
    id.strip_prefix('o')?.parse().ok()
}

fn result(batch: &Accepted<'_>, op: usize, told: &Value) -> bool {
    batch.outcome(op).is_some_and(|outcome| match outcome {
        Outcome::Completed { data } => told["status"] == "completed" && told["data"] == *data,
        Outcome::Failed { failure } => told["status"] == "failed" && told["code"] == failure.code.as_str(),
        Outcome::Skipped { reason } => told["status"] == "skipped" && told["reason"] == reason.as_str(),
    })
}

/// The operations of these outcomes, in request order.
fn of(batch: &Accepted<'_>, is: impl Fn(&Outcome) -> bool) -> Vec<usize> {
    batch.ops.iter().copied().filter(|op| batch.outcome(*op).is_some_and(&is)).collect()
}

fn numbers(list: &Value, name: &str) -> Vec<usize> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|told| number(told[name].as_str()?)).collect()
}

/// What failed is told with its code, what was skipped with its reason and what caused it.
fn analysis(batch: &Accepted<'_>, told: &Value) -> bool {
    let failed = of(batch, Outcome::is_failed);
    let skipped = of(batch, |outcome| matches!(outcome, Outcome::Skipped { .. }));
    let (failures, impacted) = (&told["failedOperations"], &told["impactedOperations"]);
    let causes = |told: &Value| -> BTreeSet<usize> {
        let causes = told["causedBy"].as_array().into_iter().flatten();
        causes.filter_map(|id| number(id.as_str()?)).collect()
    };
    let is_caused = |told: &Value| {
        let causes = causes(told);
        let alone = matches!(told["reason"].as_str(), Some("Cancelled" | "Deadline exceeded"));
        causes.is_empty() == alone && causes.iter().all(|cause| failed.contains(cause))
    };
    let reasons = failures.as_array().into_iter().flatten().chain(impacted.as_array().into_iter().flatten());
    let reasons = reasons.filter_map(|told| Some((number(told["operationId"].as_str()?)?, told["reason"].as_str()?)));
    let retry = batch.attempt < MAX_RETRY_ATTEMPTS && !(failed.is_empty() && skipped.is_empty());
    numbers(failures, "operationId") == failed
        && numbers(impacted, "operationId") == skipped
        && impacted.as_array().into_iter().flatten().all(is_caused)
        && told["retry"].is_object() == retry
        && reasons.into_iter().all(|(op, reason)| match batch.outcome(op) {
            Some(Outcome::Failed { failure }) => failure.code.as_str() == reason,
            Some(Outcome::Skipped { reason: right }) => right.as_str() == reason,
            _ => false,
        })
}

/// The pages of one status hold its results, in request order.
fn pages(batch: &Accepted<'_>, status: Option<&str>, told: &[Value]) -> bool {
    let right = of(batch, |outcome| status.is_none_or(|status| status == outcome.word()));
    let ids = told.iter().map(|told| told["id"].as_str().and_then(number));
    ids.eq(right.iter().copied().map(Some)) && right.iter().zip(told).all(|(op, told)| result(batch, *op, told))
}
