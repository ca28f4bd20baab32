//! How a batch is to be run.

use serde::{Deserialize, Serialize};

use crate::limits::DEFAULT_TIMEOUT_MS;

/// The options that act. Stored with the batch and part of what an idempotency key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// All or nothing.
    #[serde(rename = "a")]
    pub atomic: bool,
    /// Go on after a failure.
    #[serde(rename = "c")]
    pub continue_on_error: bool,
    /// How often an operation that ended with a retryable code is planned again.
    #[serde(rename = "r")]
    pub max_retries: u64,
    /// Bound on execution in milliseconds; `None` when the client named none.
    #[serde(rename = "t")]
    pub timeout_ms: Option<u64>,
    /// Whether operations on different rows may be evaluated side by side. The result is the same either way.
    #[serde(rename = "p")]
    pub parallel: bool,
}

impl Options {
    /// The bound on inline execution in milliseconds.
    pub fn inline_timeout_ms(&self) -> u64 {
        self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { atomic: true, continue_on_error: false, max_retries: 0, timeout_ms: None, parallel: true }
    }
}
