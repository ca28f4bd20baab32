//! What a run tells the log of its commits: what each of them ended, and what it gave up and why.

use std::collections::BTreeMap;

use super::evaluate::Step;
use super::run::Session;
use crate::batch::{State, Status};
use crate::operation::Outcome;

/// Why a commit had no effect. The word is what the log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The state is not the one it goes on from: another run, a client, or the deadline was first.
    Guard,
    /// A row, a unique value or a parent is not as it was taken to be.
    Changed,
    /// A wide commit of another batch holds a row.
    Locked,
    /// Others wrote the same rows at the same time.
    Busy,
    /// There was no time left to send it.
    Late,
    /// The store will never take it.
    Invalid,
}

impl Refused {
    fn as_str(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Changed => "changed",
            Self::Locked => "locked",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Invalid => "invalid",
        }
    }
}

impl Session<'_> {
    /// Of a commit that ended `steps`, and wrote `items` beside the state.
    pub(super) fn tell_committed(&self, state: &State, steps: &[Step], items: usize) {
        if steps.is_empty() {
            return;
        }
        let (mut completed, mut skipped) = (0_usize, 0_usize);
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        for step in steps {
            match &step.outcome {
                Outcome::Completed { .. } => completed += 1,
                Outcome::Failed { failure } => *codes.entry(failure.code.as_str()).or_default() += 1,
                Outcome::Skipped { .. } => skipped += 1,
            }
            self.tell_operation(step);
        }
        let wide = state.status == Status::Committed;
        let failed: usize = codes.values().sum();
        let told = codes.iter().map(|(code, count)| format!("{code}:{count}")).collect::<Vec<_>>().join(",");
        tracing::info!(
            commit.from = state.cursor.saturating_sub(steps.len()),
            commit.to = state.cursor,
            commit.rev = state.rev,
            commit.attempt = self.refused + 1,
            commit.wide = wide,
            // A wide one writes them after its commit point.
            commit.items = (!wide).then_some(items),
            commit.completed = completed,
            commit.failed = failed,
            commit.skipped = skipped,
            commit.codes = told,
            "operations committed"
        );
        if self.atomic() && failed > 0 {
            let cause = steps.iter().find(|step| step.outcome.is_failed()).map(|step| step.operation);
            tracing::info!(rollback.operations = steps.len(), rollback.cause = cause, "batch rolled back");
        }
    }

    /// One line for each operation, for those who look closely: a batch may have a hundred of them.
    fn tell_operation(&self, step: &Step) {
        let index = step.operation;
        let action = self.plan.operations().get(index).map_or("-", |operation| operation.action.as_str());
        match &step.outcome {
            Outcome::Completed { .. } => {
                tracing::debug!(operation.index = index, operation.action = action, "operation completed");
            }
            Outcome::Failed { failure } => tracing::debug!(
                operation.index = index,
                operation.action = action,
                operation.code = failure.code.as_str(),
                "operation failed"
            ),
            Outcome::Skipped { reason } => tracing::debug!(
                operation.index = index,
                operation.action = action,
                operation.reason = reason.as_str(),
                "operation skipped"
            ),
        }
    }

    /// Of a commit that had no effect.
    pub(super) fn tell_refused(&mut self, steps: &[Step], why: Refused) {
        self.refused += 1;
        let from = self.state.as_ref().map_or(0, |state| state.cursor);
        tracing::info!(
            commit.from = from,
            commit.to = from + steps.len(),
            commit.attempt = self.refused,
            commit.refused = why.as_str(),
            "commit given up"
        );
    }
}
