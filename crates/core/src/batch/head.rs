//! The accepted request: written once, never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BatchId, Content, ContentJob, Intents, Options, Profile, State, Status};
use crate::auth::{Caller, Tenant};
use crate::limits::{BACKGROUND_TIMEOUT_MS, CONTENT_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, REMAINS_MS, RETENTION_MS};
use crate::operation::{Operation, OperationId};
use crate::runtime::Timestamp;
use crate::trace::Trace;

/// The contract a batch came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `POST /batch`.
    Records,
    /// `POST /api/v1/batch`, and the routes of one memory.
    Memories,
    /// `POST /api/batches/...`.
    Content,
    /// `POST /api/v1/profiles/...`.
    Intents,
}

impl Dialect {
    /// Every contract.
    pub const ALL: [Self; 4] = [Self::Records, Self::Memories, Self::Content, Self::Intents];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Memories => "memories",
            Self::Content => "content",
            Self::Intents => "intents",
        }
    }

    /// `None` when `text` is no contract.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text)
    }
}

/// Where a batch's operations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operations {
    /// In the head itself, packed.
    Inline(Vec<u8>),
    /// In parts of their own, named by the hash of the packed bytes.
    Parts {
        /// SHA-256 of the packed bytes, in hex.
        hash: String,
        /// How many parts there are.
        count: usize,
    },
}

/// What a batch works on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// In request order.
    #[serde(rename = "o")]
    pub operations: Vec<Operation>,
    /// Results of another batch's operations that these refer to, by their ids.
    #[serde(rename = "g", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<OperationId, Value>,
    /// The items of a content job, one for each operation.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The operations of a batch of intents, one for each operation.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub intents: Option<Intents>,
}

/// The batch that another one retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The batch whose failed and skipped operations these are.
    pub retry_of: BatchId,
    /// How manieth retry in the line: 1 for that of an original.
    pub attempt: usize,
}

/// A batch as accepted. Its existence is the acceptance.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its id in the tenant.
    pub id: BatchId,
    /// The contract it came in by.
    pub dialect: Dialect,
    /// Who made it, with the rights it had then: the executor runs later, without the credential.
    pub caller: Caller,
    /// The client's own name for it.
    pub reference: Option<String>,
    /// How to run it.
    pub options: Options,
    /// Positions of the operations in the request, in the order they run.
    pub order: Vec<usize>,
    /// SHA-256 of the canonical request with the options that act.
    pub body_hash: String,
    /// Random; tells this batch's remains from those of an older one with the same id. Record ids derive from it.
    pub seed: String,
    /// Whether it was to run in the background from the start.
    pub background: bool,
    /// When it was accepted.
    pub created: Timestamp,
    /// Set when it retries another batch.
    pub lineage: Option<Lineage>,
    /// What it does, for a content job.
    pub job: Option<ContentJob>,
    /// Whom it acts for, for a batch of intents.
    pub profile: Option<Profile>,
    /// The trace of the request that made it, so that whatever works on it later is found by the same id.
    pub trace: Option<Trace>,
    /// The operations.
    pub operations: Operations,
}

impl Head {
    /// The tenant it belongs to.
    pub fn tenant(&self) -> &Tenant {
        self.caller.tenant()
    }

    /// How many operations it has.
    pub fn total(&self) -> usize {
        self.order.len()
    }

    /// When it counts as gone.
    pub fn expires(&self) -> Timestamp {
        self.created.plus_ms(RETENTION_MS)
    }

    /// When what belongs to it may be deleted.
    pub fn remains_expire(&self) -> Timestamp {
        self.expires().plus_ms(REMAINS_MS)
    }

    /// When its time is over: no commit is sent after that. A client's `timeout` counts from the start; without one a
    /// call has 30 s, and a batch in the background an hour from its acceptance.
    pub fn deadline(&self, started: Timestamp, paused_ms: i64) -> Timestamp {
        let (from, ms) = match (self.options.timeout_ms, self.background) {
            _ if self.job.is_some() => (self.created, CONTENT_TIMEOUT_MS),
            // From its execution: until then it waits for signatures.
            _ if self.profile.is_some() => (started, BACKGROUND_TIMEOUT_MS),
            (Some(ms), _) => (started, i64::try_from(ms).unwrap_or(i64::MAX)),
            (None, false) => (started, DEFAULT_TIMEOUT_MS.cast_signed()),
            (None, true) => (self.created, BACKGROUND_TIMEOUT_MS),
        };
        from.plus_ms(ms).plus_ms(paused_ms)
    }

    /// How long it was worked on until `state`, milliseconds, the time it waited for its client left out: while it was
    /// paused, and until intents were signed.
    pub fn worked_ms(&self, state: &State) -> i64 {
        let from = if self.profile.is_some() { state.started } else { self.created };
        (state.updated.since_ms(from) - state.paused_ms).max(0)
    }

    /// The order its operations run in: positions in the request, those that follow one another as `first-last`.
    pub fn order_text(&self) -> String {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for index in &self.order {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *index => *last = *index,
                _ => runs.push((*index, *index)),
            }
        }
        let text = |(first, last): (usize, usize)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        runs.into_iter().map(text).collect::<Vec<_>>().join(",")
    }

    /// Where it stands, with `state` as the store has it.
    pub fn status(&self, state: Option<&State>) -> Status {
        match state {
            Some(state) => state.status,
            None if self.profile.is_some() => Status::AwaitingSignatures,
            None => Status::Pending,
        }
    }

    /// Whether `caller` may see it: its maker, an admin of the tenant, and who acts for its creator.
    pub fn visible_to(&self, caller: &Caller) -> bool {
        let acts = self.job.as_ref().is_some_and(|job| caller.acts_for(&job.creator));
        self.tenant() == caller.tenant() && (caller.is_admin() || acts || self.caller.subject() == caller.subject())
    }
}
