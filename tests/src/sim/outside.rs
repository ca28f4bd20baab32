//! What is outside of AWS: the node of a chain and Orby, sandboxes in the process. Their calls are parked like all others;
//! when one runs, it is carried out here.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use batch_local::orby::{self, OrbySandbox};
use batch_local::stacks::{self, Does, StacksNode, decode};
use serde_json::{Value, json};

use super::fault::Fault;
use super::kind::Kind;
use super::rng::Rng;
use super::schedule::Schedule;
use super::wire::{ORBY, Outer, Reply, Request, SEND};
use crate::{CONTRACT, ORBY_KEY, ORBY_URL};

/// Why the node takes a transaction never.
const REFUSALS: [&str; 3] = ["NotEnoughFunds", "FeeTooLow", "NoSuchContract"];
/// Why it does not take it now.
const DELAYS: [&str; 3] = ["TooMuchChaining", "ServerFailureDatabase", "TemporarilyBlacklisted"];
/// Why Orby takes an operation set never.
const DEFEATS: [&str; 3] = ["insufficient funds", "nonce too low", "INSUFFICIENT_OUTPUT_AMOUNT"];

/// The node and Orby, with what the oracle is to know of them.
#[derive(Debug)]
pub(super) struct Outside {
    pub node: StacksNode,
    pub orby: OrbySandbox,
    /// Ids of transactions that the node took, each with how many calls had changed the tables before.
    pub taken: Vec<(String, usize)>,
    /// Sendings of signed operations by a process, whether they arrived or not; each with how many calls had changed the
    /// tables before.
    pub sent: Vec<(Vec<String>, usize)>,
    /// What is refused for good, by its id or signatures: whoever sends it is told the same.
    refused: BTreeMap<String, &'static str>,
    /// Signatures of what Orby took.
    accepted: BTreeSet<String>,
}

impl Outside {
    pub fn new() -> Self {
        let outside = Self {
            node: StacksNode::new(CONTRACT),
            orby: OrbySandbox::new(ORBY_KEY, ORBY_URL),
            taken: Vec::new(),
            sent: Vec::new(),
            refused: BTreeMap::new(),
            accepted: BTreeSet::new(),
        };
        // Operations move on when the seed says, and not when somebody looks.
        outside.orby.books(|books| books.hold(true));
        outside
    }

    /// Notes that a process sends signed operations.
    pub fn note(&mut self, request: &Request, steps: usize) {
        if request.outer() == Some(Outer::Sending) {
            self.sent.push((signatures(request), steps));
        }
    }

    fn reach(&mut self, request: &Request, fault: Option<Fault>, (steps, rng): (usize, &mut Rng)) -> Reply {
        let (status, body) = if request.operation == ORBY {
            self.orby(request, fault, rng)
        } else {
            self.stacks(request, fault, (steps, rng))
        };
        Reply::Answer(status, body.to_string())
    }

    fn stacks(&mut self, request: &Request, fault: Option<Fault>, (steps, rng): (usize, &mut Rng)) -> (u16, Value) {
        let bytes = request.body["bytes"].as_str().and_then(unhex);
        let (method, bytes) = if let Some(bytes) = bytes { ("POST", bytes) } else { ("GET", Vec::new()) };
        let sent = decode(&bytes).ok().filter(|_| request.outer() == Some(Outer::Transaction));
        if let Some(sent) = &sent {
            let known = self.node.pool(|pool| pool.fate(&sent.txid)).is_some();
            // A payment closes a gap: one that is never taken would stand for an account without money.
            let is_call = matches!(sent.does, Does::Call { .. });
            if fault == Some(Fault::NodeRefuses) && is_call && !known {
                self.refused.entry(sent.txid.clone()).or_insert(*rng.of(&REFUSALS));
            }
            let treatment = match (self.refused.get(&sent.txid), fault) {
                (Some(reason), _) => Some(stacks::Treatment::Refuse(reason)),
                (None, Some(Fault::NodeFull)) => {
                    let delay = *rng.of(&DELAYS);
                    Some(stacks::Treatment::Refuse(delay))
                }
                (None, Some(Fault::NodeLoses)) => Some(stacks::Treatment::Lose),
                _ => None,
            };
            if let Some(treatment) = treatment {
                self.node.rule(stacks::Rule { content: None, times: 1, treatment });
            }
        }
        let path = request.body["path"].as_str().unwrap_or_default();
        let answer = at_once(self.node.answer(method, path, &bytes));
        if let Some(sent) = sent.filter(|_| answer.0 == 200) {
            self.taken.push((sent.txid, steps));
        }
        answer
    }

    fn orby(&mut self, request: &Request, fault: Option<Fault>, rng: &mut Rng) -> (u16, Value) {
        let call = &request.body["call"];
        let building = ["orby_getOperationsToTransferToken", "orby_getOperationsToSwap"];
        let building = building.into_iter().chain(["orby_getOperationsToExecuteTransaction"]);
        let treatment = match request.outer() {
            Some(Outer::Sending) => {
                let signed = signatures(request).join(" ");
                if fault == Some(Fault::OrbyRefuses) && !self.accepted.contains(&signed) {
                    self.refused.entry(signed.clone()).or_insert(*rng.of(&DEFEATS));
                }
                match (self.refused.get(&signed), fault) {
                    (Some(reason), _) => Some(orby::Treatment::Error(reason)),
                    (None, Some(Fault::OrbyUnclear)) => Some(orby::Treatment::Error("internal error")),
                    (None, Some(Fault::OrbyForgets)) => Some(orby::Treatment::Forget),
                    (None, Some(Fault::OrbyFails)) => Some(orby::Treatment::FailLater("execution reverted")),
                    _ => None,
                }
            }
            Some(Outer::Building) if fault == Some(Fault::OrbyUnbuilt) => {
                let status = *rng.of(&["INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS_FOR_GAS", "NO_EXECUTION_PATH"]);
                Some(orby::Treatment::Unbuilt(status))
            }
            _ => None,
        };
        let method = building.chain([SEND]).find(|method| call["method"] == *method);
        if let (Some(method), Some(treatment)) = (method, treatment) {
            self.orby.rule(orby::Rule { method, chain: None, times: 1, treatment });
        }
        let path = request.body["url"].as_str().and_then(|url| url.strip_prefix(ORBY_URL)).unwrap_or_default();
        let answer = at_once(self.orby.answer(path, call.to_string().as_bytes()));
        if request.outer() == Some(Outer::Sending) && answer.1["result"].is_object() {
            self.accepted.insert(signatures(request).join(" "));
        }
        answer
    }

    /// Lets a block be made, and operations go on.
    pub fn advance(&self) {
        self.node.mine();
        self.orby.books(orby::Books::advance);
    }
}

/// What a sending of signed operations carries.
pub(super) fn signatures(request: &Request) -> Vec<String> {
    let signed = request.body["call"]["params"][0]["signedOperations"].as_array().into_iter().flatten();
    signed.filter_map(|operation| operation["signature"].as_str().map(str::to_owned)).collect()
}

/// The result of a future that waits for nothing.
fn at_once(answer: impl Future<Output = (u16, Value)>) -> (u16, Value) {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => (504, json!({ "error": "the sandbox waits" })),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |place: usize| u8::from_str_radix(text.get(place..place + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digit).collect()
}

impl Schedule {
    /// Carries out a call of the node or of Orby; none when it is of AWS.
    pub(super) fn outer(&mut self, request: &Request, fault: Option<Fault>) -> Option<Reply> {
        request.outer()?;
        Some(self.outside.reach(request, fault, (self.tables.steps.len(), &mut self.rng)))
    }

    /// The node and Orby go on with what they took, or lose it.
    pub(super) fn mischief_outside(&mut self) {
        match self.setup.work.kind() {
            Kind::Records => {}
            Kind::Content => {
                if self.faults.happens(Fault::NodeDrops, 6, &mut self.rng) {
                    let waiting = self.outside.node.pool(|pool| pool.waiting_ids());
                    if !waiting.is_empty() {
                        let lost = self.rng.of(&waiting).clone();
                        self.outside.node.pool(|pool| pool.drop_waiting(&lost));
                        self.log(|| format!("the pool loses {lost}"));
                    }
                }
                if self.faults.happens(Fault::CallAborted, 3, &mut self.rng) {
                    let content = super::content::number(&mut self.rng);
                    self.outside.node.pool(|pool| pool.make_unknown(content));
                }
                if self.rng.sometimes(self.setup.blocks) {
                    self.outside.node.mine();
                    self.log(|| "a block is made".into());
                }
            }
            Kind::Intents => {
                if self.rng.sometimes(self.setup.blocks) {
                    self.outside.orby.books(orby::Books::advance);
                    self.log(|| "operations go on".into());
                }
            }
        }
    }
}
