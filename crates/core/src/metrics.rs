//! Metrics: what happens, in numbers, as `CloudWatch`'s embedded metric format has it, one JSON object a line on standard
//! output, where Lambda collects it beside the logs
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Each is told twice, by contract and for all contracts together, because an alarm sees only the dimensions it names. The
//! contract has a handful of values: no tenant, no id, nothing of a client is a dimension. Deployments are told apart by
//! the namespace, which is a setting.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::batch::{Dialect, Head, State, Status};
use crate::calls;
use crate::operation::{Code, Problem};
use crate::runtime::Timestamp;

/// The namespace of every metric where the setting names no other.
pub const NAMESPACE: &str = "BatchOperations";

/// Every metric, with its unit.
pub const METRICS: &[(&str, &str)] = &[
    ("Batches", "Count"),
    ("BatchSize", "Count"),
    ("BatchesEnded", "Count"),
    ("BatchesFailed", "Count"),
    ("BatchDuration", "Milliseconds"),
    ("OperationsSucceeded", "Count"),
    ("OperationsFailed", "Count"),
    ("OperationsSkipped", "Count"),
    ("Conflicts", "Count"),
    ("Retries", "Count"),
    ("WideCommits", "Count"),
    ("QueueDelay", "Milliseconds"),
    ("RateLimited", "Count"),
    ("Refused", "Count"),
    ("CycleErrors", "Count"),
    ("ReferenceErrors", "Count"),
    ("ServerErrors", "Count"),
    ("SlowContentJobs", "Count"),
    ("FailingContentJobs", "Count"),
];

/// What a run went through beside its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Rounds lost to others at the same rows.
    pub conflicts: u32,
    /// Operations that were planned again after they had failed.
    pub retries: u64,
    /// Commits that one transaction could not hold.
    pub wide: u32,
}

/// Where metrics go.
#[derive(Clone)]
pub struct Metrics {
    namespace: Arc<str>,
    write: Arc<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// To standard output, in `namespace`.
    pub fn system(namespace: &str) -> Self {
        let metrics = Self::to(|line| {
            // A metric that cannot be written is not worth failing for.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        });
        Self { namespace: namespace.into(), ..metrics }
    }

    /// To nobody.
    pub fn none() -> Self {
        Self::to(|_| {})
    }

    /// To `write`, a line at a time, in [`NAMESPACE`].
    pub fn to(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { namespace: NAMESPACE.into(), write: Arc::new(write) }
    }

    /// A batch was accepted.
    pub fn accepted(&self, head: &Head) {
        self.write(head.created, Some(head.dialect), &[("Batches", 1), ("BatchSize", count(head.total()))]);
    }

    /// A run of a batch is over.
    pub fn ran(&self, head: &Head, now: Timestamp, effort: Effort) {
        let mut told = vec![
            ("Conflicts", i64::from(effort.conflicts)),
            ("Retries", i64::try_from(effort.retries).unwrap_or(i64::MAX)),
            ("WideCommits", i64::from(effort.wide)),
        ];
        told.retain(|(_, value)| *value > 0);
        self.write(now, Some(head.dialect), &told);
    }

    /// A batch ended: told once, by whoever wrote its end.
    pub fn ended(&self, head: &Head, state: &State) {
        let failed = matches!(state.status, Status::Failed | Status::TimedOut);
        let mut told = vec![
            ("BatchesEnded", 1),
            ("BatchesFailed", i64::from(failed)),
            ("BatchDuration", head.worked_ms(state)),
            ("OperationsSucceeded", count(state.summary.successful)),
            ("OperationsFailed", count(state.summary.failed)),
            ("OperationsSkipped", count(state.summary.skipped)),
        ];
        let (slow, failing) = (calls::was_slow(head, state), calls::failed_for_most(head, state));
        let trouble = [("SlowContentJobs", slow), ("FailingContentJobs", failing)];
        told.extend(trouble.into_iter().filter(|(_, had)| *had).map(|(name, _)| (name, 1)));
        self.write(state.updated, Some(head.dialect), &told);
    }

    /// A call was answered with `status`, and with these codes where it was refused.
    pub fn answered(&self, now: Timestamp, contract: Dialect, status: u16, code: Option<Code>, problems: &[Problem]) {
        let of = |codes: &[Code]| {
            let found = problems.iter().map(|problem| problem.code).chain(code);
            count(found.filter(|code| codes.contains(code)).count())
        };
        let mut told = vec![
            ("RateLimited", i64::from(status == 429)),
            ("Refused", i64::from((400..500).contains(&status))),
            ("CycleErrors", of(&[Code::CircularDependency, Code::SelfDependency])),
            ("ReferenceErrors", of(&[Code::UnknownReference, Code::MalformedReference, Code::UnknownDependency])),
            ("ServerErrors", i64::from(status >= 500)),
        ];
        told.retain(|(_, value)| *value > 0);
        self.write(now, Some(contract), &told);
    }

    /// A message was delivered so long after it was sent.
    pub fn delivered(&self, now: Timestamp, sent: Timestamp) {
        self.write(now, None, &[("QueueDelay", now.since_ms(sent).max(0))]);
    }

    fn write(&self, now: Timestamp, contract: Option<Dialect>, values: &[(&'static str, i64)]) {
        if values.is_empty() {
            return;
        }
        let unit = |name: &str| METRICS.iter().find(|(known, _)| *known == name).map_or("Count", |(_, unit)| *unit);
        let metrics: Vec<Value> = values.iter().map(|(name, _)| json!({ "Name": name, "Unit": unit(name) })).collect();
        // The empty set is the sum over contracts, which is what alarms look at.
        let dimensions = if contract.is_some() { json!([[], ["Contract"]]) } else { json!([[]]) };
        let directive = json!({ "Namespace": *self.namespace, "Dimensions": dimensions, "Metrics": metrics });
        let mut line = Map::new();
        line.insert("_aws".to_owned(), json!({ "Timestamp": now.0, "CloudWatchMetrics": [directive] }));
        if let Some(contract) = contract {
            line.insert("Contract".to_owned(), contract.as_str().into());
        }
        line.extend(values.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        (self.write)(&Value::Object(line).to_string());
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
