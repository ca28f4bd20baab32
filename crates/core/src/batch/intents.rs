//! What a batch of intents holds: what was asked, and what was built so that it comes about.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intent::Reason;
use crate::json::Object;
use crate::operation::{Action, Operation, OperationId};

/// The profile that a batch acts for, as it was then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its id.
    pub id: String,
    /// The account that signs.
    pub address: String,
}

/// Shows no address.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an operation does not come about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defeat {
    /// The kind of the failure.
    #[serde(rename = "r")]
    pub reason: Reason,
    /// What helps, where more is known than the reason tells.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Defeat {
    /// Without more than its reason.
    pub fn new(reason: Reason) -> Self {
        Self { reason, help: None }
    }

    /// What helps.
    pub fn suggestion(&self) -> &str {
        self.help.as_deref().unwrap_or(self.reason.suggestion())
    }
}

/// One operation of a batch: an operation set in Orby's words.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Set {
    /// Its name.
    #[serde(rename = "i")]
    pub id: String,
    /// `transfer`, `swap`, `approve` or `addLiquidity`.
    #[serde(rename = "k")]
    pub kind: String,
    /// The chain it is on.
    #[serde(rename = "c")]
    pub chain: u64,
    /// As the client asked for it, with its chain.
    #[serde(rename = "a")]
    pub asked: Value,
    /// What is to be signed; empty where nothing was built.
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub unsigned: Vec<Value>,
    /// The operation that does its work too.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<usize>,
    /// Why nothing was built.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub defeat: Option<Defeat>,
    /// What it costs about and in which currency, in Orby's opinion.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub fiat: Option<(String, String)>,
}

/// Shows its name alone.
impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The operations of a batch of intents, and how they were laid out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Intents {
    /// In request order.
    #[serde(rename = "s")]
    pub sets: Vec<Set>,
    /// What was done to save gas, by chain.
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(u64, Vec<String>)>,
    /// Positions in the order they are submitted, without those that are merged or were not built.
    #[serde(rename = "o")]
    pub order: Vec<usize>,
}

impl Intents {
    /// The operations as every contract knows them: a name, and what it is.
    pub fn operations(&self) -> Vec<Operation> {
        let operation = |(index, set): (usize, &Set)| Operation {
            id: OperationId::automatic(index),
            entity: set.kind.clone(),
            action: Action::Create,
            store: Object::new(),
            query: Object::new(),
            metadata: Object::new(),
            depends_on: Vec::new(),
            claims: Object::new(),
            single: None,
            refused: None,
        };
        self.sets.iter().enumerate().map(operation).collect()
    }
}

/// Where the submission of an operation stands. It is written before and after each step, so that a crash in between
/// never leads to a second submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It is signed and was not sent.
    #[serde(rename = "r")]
    Ready,
    /// Somebody sends it, or died while doing so: it may be with Orby.
    #[serde(rename = "s")]
    Sending,
    /// Orby took it.
    #[serde(rename = "t")]
    Taken,
    /// It came about.
    #[serde(rename = "d")]
    Done,
    /// It did not and will not; the flag tells whether Orby had taken it.
    #[serde(rename = "f")]
    Failed(Defeat, bool),
    /// It was not sent and will not be.
    #[serde(rename = "k")]
    Skipped,
}

impl Phase {
    /// Whether nothing more becomes of it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::Failed(..) | Self::Skipped)
    }

    /// Whether Orby may know what becomes of it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Sending | Self::Taken)
    }
}
