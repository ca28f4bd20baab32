//! What a content job is, and what becomes of its contract calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Object;
use crate::operation::{Action, Operation, OperationId, Outcome};

/// What a content job does to each of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Gives it a price.
    UpdatePrice,
    /// Takes it away.
    RemoveContent,
    /// Changes its title and the like.
    UpdateMetadata,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::UpdatePrice, Self::RemoveContent, Self::UpdateMetadata];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpdatePrice => "update-price",
            Self::RemoveContent => "remove-content",
            Self::UpdateMetadata => "update-metadata",
        }
    }

    /// `None` for a word that is no kind.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a content job is about, the same for all of its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContentJob {
    /// What it does.
    #[serde(rename = "k")]
    pub kind: JobKind,
    /// Whose content it is.
    #[serde(rename = "c")]
    pub creator: String,
    /// `newPrice`, `removalReason`, or the fields to change; the last are not in a head.
    #[serde(rename = "p")]
    pub payload: Object,
    /// Whether only the contract is called: the change itself was made by the job that this one retries.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub contract_only: bool,
}

/// A content job with its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// What it is about.
    #[serde(rename = "j")]
    pub job: ContentJob,
    /// Primary keys of the items, in request order; each is the operation at its place. They are no parameters of the
    /// operations, because in those a text may be a reference.
    #[serde(rename = "i")]
    pub ids: Vec<String>,
}

impl Content {
    /// An operation for each item.
    pub fn operations(&self) -> Vec<Operation> {
        let action = match self.job.kind {
            _ if self.job.contract_only => Action::Read,
            JobKind::UpdatePrice | JobKind::UpdateMetadata => Action::Update,
            JobKind::RemoveContent => Action::Delete,
        };
        let operation = |index: usize| Operation {
            id: OperationId::automatic(index),
            entity: ENTITY.to_owned(),
            action,
            store: Object::new(),
            query: Object::new(),
            metadata: Object::new(),
            depends_on: Vec::new(),
            claims: Object::new(),
            single: None,
            refused: None,
        };
        (0..self.ids.len()).map(operation).collect()
    }
}

/// The entity whose rows content jobs change.
pub const ENTITY: &str = "content";

/// A contract call that is to be made once its item is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// A public function of the configured contract.
    #[serde(rename = "f")]
    pub function: String,
    /// Each a `uint`.
    #[serde(rename = "a")]
    pub arguments: Vec<u128>,
}

/// The field of an item's result that holds its number in the contract.
pub const ON_CHAIN_ID: &str = "onChainId";

impl ContentJob {
    /// As a head holds it: without the fields of a metadata job, which may be long and would be read by every poll and
    /// listing. The batch's operations have them.
    #[must_use]
    pub fn in_brief(&self) -> Self {
        let payload = match self.kind {
            JobKind::UpdatePrice | JobKind::RemoveContent => self.payload.clone(),
            JobKind::UpdateMetadata => Object::new(),
        };
        Self { payload, ..self.clone() }
    }

    /// Whether an item is still as this job has made it, in what its contract call says: another job may have given it
    /// another price since.
    pub fn stands(&self, row: &Object) -> bool {
        self.kind != JobKind::UpdatePrice || row.get("price") == self.payload.get("newPrice")
    }

    /// What the contract is to be told of an item that ended like this; `None` for nothing: it failed, the contract does
    /// not know it, or keeps no such thing.
    pub fn intent(&self, outcome: &Outcome) -> Option<Intent> {
        let Outcome::Completed { data } = outcome else { return None };
        let id = uint(data.get(0)?.get(ON_CHAIN_ID)?)?;
        let (function, arguments) = match self.kind {
            JobKind::UpdatePrice => ("update-content-price", vec![id, uint(self.payload.get("newPrice")?)?]),
            JobKind::RemoveContent => ("remove-content", vec![id]),
            JobKind::UpdateMetadata => return None,
        };
        Some(Intent { function: function.to_owned(), arguments })
    }
}

fn uint(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

/// What became of a contract call. It is settled once the node has taken or refused it, or has not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    /// The node took it.
    #[serde(rename = "t")]
    Taken {
        /// Lower-case hex, without `0x`.
        #[serde(rename = "x")]
        txid: String,
    },
    /// It was not made, and never will be.
    #[serde(rename = "r")]
    Refused {
        /// A word: the node's, or one of ours.
        #[serde(rename = "c")]
        cause: String,
    },
    /// It was sent, and nobody knows what the node made of it.
    #[serde(rename = "u")]
    Unknown,
}

/// The call could not be sent before its batch ended.
pub const NOT_SENT: &str = "NOT_SENT";
/// Another job has changed the item since: the contract is told of that one.
pub const SUPERSEDED: &str = "SUPERSEDED";
/// This deployment has no key of the creator's.
pub const NO_SIGNER: &str = "NO_SIGNER";
/// This deployment has no node.
pub const NO_NODE: &str = "NO_NODE";

impl Settled {
    /// A call that will not be made.
    pub fn refused(cause: &str) -> Self {
        Self::Refused { cause: cause.to_owned() }
    }
}

/// What is known of the contract call of one item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// What became of it; `None` while it is under way.
    pub settled: Option<Settled>,
    /// The transaction's id, and where it was last seen.
    pub chain: Option<(String, String)>,
}
