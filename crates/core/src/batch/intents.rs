//! What a batch of intents holds: what was asked, and what was built so that it comes about.

use std::collections::BTreeSet;

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
    /// What Orby calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
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
    /// Position of the operation that it is built of again, in the batch that is retried.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<usize>,
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

impl Set {
    /// Chains it touches: what Orby built may reach further than what was asked.
    pub fn chains(&self) -> BTreeSet<u64> {
        let built = self.unsigned.iter().filter_map(|operation| operation["chainId"].as_u64());
        built.chain([self.chain]).collect()
    }

    /// Chains on which it takes nonces of the account.
    pub fn numbered_chains(&self) -> BTreeSet<u64> {
        let numbered = self.unsigned.iter().filter(|operation| operation["nonce"].is_number());
        numbered.filter_map(|operation| operation["chainId"].as_u64()).collect()
    }

    /// Whether the last of its operations is a transaction, whose hash is known once it is signed.
    pub fn ends_in_transaction(&self) -> bool {
        self.unsigned.last().is_some_and(|operation| operation["format"] == "TRANSACTION")
    }
}

impl Intents {
    /// What is sent side by side, each part in its order. Sets that share a chain share a part, since their nonces follow
    /// one another; of an atomic batch all do.
    pub fn lanes(&self, atomic: bool) -> Vec<Vec<usize>> {
        let mut lanes: Vec<(BTreeSet<u64>, Vec<usize>)> = Vec::new();
        for index in &self.order {
            let mut chains = self.sets.get(*index).map(Set::chains).unwrap_or_default();
            let mut lane = vec![*index];
            lanes.retain_mut(|(others, members)| {
                let apart = !atomic && others.is_disjoint(&chains);
                if !apart {
                    chains.append(others);
                    lane.append(members);
                }
                apart
            });
            lane.sort_by_key(|index| self.order.iter().position(|other| other == index));
            lanes.push((chains, lane));
        }
        lanes.into_iter().map(|(_, lane)| lane).collect()
    }

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(chain: u64, built: &[u64]) -> Set {
        Set {
            id: String::new(),
            kind: String::new(),
            chain,
            asked: Value::Null,
            unsigned: built.iter().map(|chain| json!({ "chainId": chain, "nonce": 0 })).collect(),
            merged_into: None,
            defeat: None,
            retry_of: None,
            fiat: None,
        }
    }

    #[test]
    fn sets_that_share_a_chain_are_sent_one_after_another() {
        let sets = vec![set(1, &[1]), set(10, &[10]), set(137, &[137]), set(1, &[1, 137])];
        let intents = Intents { sets, notes: Vec::new(), order: vec![0, 3, 1, 2] };
        assert_eq!(intents.lanes(false), [vec![1], vec![0, 3, 2]]);
        assert_eq!(intents.lanes(true), [[0, 3, 1, 2]]);
        assert_eq!(intents.sets[3].numbered_chains(), BTreeSet::from([1, 137]));
    }
}
