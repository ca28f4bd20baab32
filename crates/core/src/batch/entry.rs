//! The log of a batch: who did what to it, and when.

use serde_json::Value;

use super::{Head, State};
use crate::auth::Caller;
use crate::json::Object;
use crate::runtime::Timestamp;

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What, as a past participle. The words are open: each contract has its own beside the common ones.
    pub act: String,
    /// The subject who did it; `None` for the service.
    pub by: Option<String>,
    /// What else is known of it, by name.
    pub more: Object,
}

impl Entry {
    /// What `caller` did.
    pub fn of_caller(at: Timestamp, act: &str, caller: &Caller) -> Self {
        Self { at, act: act.to_owned(), by: Some(caller.subject().to_owned()), more: Object::new() }
    }

    /// With something more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The making of a batch, of which its head tells.
    pub fn created(head: &Head) -> Self {
        let entry = Self::of_caller(head.created, "created", &head.caller)
            .with("totalItems", head.total())
            .with("background", head.background);
        match &head.lineage {
            Some(lineage) => entry.with("retryOf", lineage.retry_of.as_str()),
            None => entry,
        }
    }

    /// The end of a batch, of which its state tells. `status` is the word for it.
    pub fn ended(state: &State, status: &str) -> Option<Self> {
        let at = state.completed()?;
        Some(Self { at, act: "ended".to_owned(), by: None, more: Object::new() }.with("status", status))
    }
}
