//! What happened to one operation: a stored value, never an `Err`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Code;
use crate::json::clip;
use crate::limits::MAX_POINTER;

/// The end of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Its effect is installed; the rows it answers with.
    Completed {
        /// A list of records, as the client sees them.
        #[serde(rename = "d")]
        data: Value,
    },
    /// It has no effect, and this is why.
    Failed {
        /// The cause.
        #[serde(rename = "f")]
        failure: Failure,
    },
    /// It has no effect because something else happened.
    Skipped {
        /// What that was.
        #[serde(rename = "s")]
        reason: SkipReason,
    },
}

impl Outcome {
    /// A failure with `code` and a message for the client.
    pub fn failed(code: Code, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message) }
    }

    /// Whether the effect is installed.
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed { .. })
    }

    /// Whether it failed by itself.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// The word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
        }
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The catalogued code.
    #[serde(rename = "c")]
    pub code: Code,
    /// For the client: what is wrong and how to mend it.
    #[serde(rename = "m")]
    pub message: String,
    /// JSON pointer into the operation, where one field is to blame.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Failure {
    /// A failure of the operation as a whole.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), pointer: None }
    }

    /// The same, blaming one place of the operation.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(clip(&pointer.into(), MAX_POINTER));
        self
    }
}

/// Why an operation did not take effect though it did not fail. Where several hold, the first listed is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipReason {
    /// The batch was cancelled before it.
    #[serde(rename = "c")]
    Cancelled,
    /// The batch's time was over before it.
    #[serde(rename = "t")]
    DeadlineExceeded,
    /// It depends on an operation that failed, directly or through others.
    #[serde(rename = "d")]
    DependencyFailed,
    /// It had run, and the batch was undone.
    #[serde(rename = "r")]
    RolledBack,
    /// The batch stopped before it.
    #[serde(rename = "s")]
    BatchStopped,
}

impl SkipReason {
    /// The words on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "Cancelled",
            Self::DeadlineExceeded => "Deadline exceeded",
            Self::DependencyFailed => "Dependency failed",
            Self::RolledBack => "Rolled back",
            Self::BatchStopped => "Batch stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_its_stored_form() {
        let outcomes = vec![
            Outcome::Completed { data: serde_json::json!([{"id": 1}]) },
            Outcome::Failed { failure: Failure::new(Code::NotFound, "gone").at("/query_params/id") },
            Outcome::Skipped { reason: SkipReason::RolledBack },
        ];
        let text = serde_json::to_string(&outcomes).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Outcome>>(&text).unwrap(), outcomes);
    }
}
