//! What can go wrong, and how often it did.

use std::collections::BTreeMap;

use super::kind::Kind;
use super::rng::Rng;
use super::wire::{Outer, Request};

macro_rules! faults {
    ($($name:ident = $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $text] $name,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    CrashBefore = "crash before a call",
    CrashAfter = "crash after a call",
    ReplyLost = "reply lost",
    ReplyHangs = "reply never comes",
    RequestLost = "request lost",
    Ghost = "request carried out after it was given up",
    Late = "request carried out minutes later",
    Duplicate = "request carried out twice",
    Conflict = "transaction conflict on some items",
    InProgress = "transaction in progress",
    Throttled = "throttled",
    ThrottledItems = "some items of a transaction throttled",
    Unprocessed = "unprocessed keys",
    ServerError = "server error, nothing done",
    ServerErrorDone = "server error, all done",
    StaleIndex = "stale index read",
    Frozen = "process frozen",
    Killed = "process ended at its time limit",
    Zombie = "process went on after its time limit",
    AnswerLost = "answer to the client lost",
    Skewed = "clock wrong by up to five minutes",
    MessageDuplicated = "message delivered twice",
    MessageReordered = "messages out of order",
    MessageDelayed = "message delayed",
    DeliveryLost = "delivery lost",
    MessageLost = "message lost",
    MessageForeign = "message with another tenant's batch",
    MessageDead = "message in the dead-letter queue",
    Poison = "message that cannot be read",
    HeadUnknown = "batch of a version that nobody knows",
    TokenForgotten = "commit repeated when its token is forgotten",
    TinyLimits = "tiny limits",
    Unreachable = "no connection to what is outside",
    NodeRefuses = "transaction refused by the node",
    NodeFull = "transaction not taken for now",
    NodeLoses = "transaction taken and lost",
    NodeDrops = "transaction dropped from the pool",
    CallAborted = "call that the contract refuses",
    OrbyUnbuilt = "intent that cannot be built",
    OrbyRefuses = "operation set refused by Orby",
    OrbyUnclear = "error of Orby that says nothing",
    OrbyForgets = "operation set taken and forgotten",
    OrbyFails = "operation set that fails on its chain",
}

impl Fault {
    /// Whether schedules of this kind can have it.
    pub fn is_of(self, kind: Kind) -> bool {
        match self {
            Self::Unreachable => kind != Kind::Records,
            Self::NodeRefuses | Self::NodeFull | Self::NodeLoses | Self::NodeDrops | Self::CallAborted => {
                kind == Kind::Content
            }
            Self::OrbyUnbuilt | Self::OrbyRefuses | Self::OrbyUnclear | Self::OrbyForgets | Self::OrbyFails => {
                kind == Kind::Intents
            }
            _ => true,
        }
    }
}

/// How often each fault happened.
pub type Counters = BTreeMap<Fault, u64>;

/// Which faults a schedule has, and how often.
#[derive(Debug)]
pub(super) struct Faults {
    /// So many calls of a thousand.
    rate: usize,
    kinds: Vec<Fault>,
    pub counters: Counters,
}

const OF_CALLS: &[Fault] = &[
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::ReplyLost,
    Fault::ReplyHangs,
    Fault::RequestLost,
    Fault::Ghost,
    Fault::Duplicate,
    Fault::Conflict,
    Fault::InProgress,
    Fault::Throttled,
    Fault::ThrottledItems,
    Fault::Unprocessed,
    Fault::ServerError,
    Fault::ServerErrorDone,
    Fault::StaleIndex,
];

/// What happens to calls of the node and of Orby.
const OF_OUTER: &[Fault] = &[
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::ReplyLost,
    Fault::ReplyHangs,
    Fault::RequestLost,
    Fault::Ghost,
    Fault::Duplicate,
    Fault::ServerError,
    Fault::ServerErrorDone,
    Fault::Unreachable,
];

impl Faults {
    pub fn new(rng: &mut Rng, kind: Kind) -> Self {
        let rate = *rng.of(&[0, 30, 100, 200, 350]);
        // Some schedules have every kind, some a few, so that rare meetings of two kinds happen too.
        let most = if rng.sometimes(400) { 1_000 } else { 300 };
        let kinds = Fault::ALL.iter().copied().filter(|fault| fault.is_of(kind) && rng.sometimes(most)).collect();
        Self { rate, kinds, counters: Counters::new() }
    }

    pub fn none(counters: Counters) -> Self {
        Self { rate: 0, kinds: Vec::new(), counters }
    }

    /// The same faults, with these counts.
    pub fn with(self, counters: Counters) -> Self {
        Self { counters, ..self }
    }

    pub fn count(&mut self, fault: Fault) {
        *self.counters.entry(fault).or_default() += 1;
    }

    /// Whether `fault` happens now, so many times in a thousand of a schedule that has it.
    pub fn happens(&mut self, fault: Fault, per_mille: usize, rng: &mut Rng) -> bool {
        let happens = self.rate > 0 && self.kinds.contains(&fault) && rng.sometimes(per_mille);
        if happens {
            self.count(fault);
        }
        happens
    }

    /// What a call suffers, if anything.
    pub fn of_call(&mut self, request: &Request, rng: &mut Rng) -> Option<Fault> {
        // What is only read is read again; there are more of these calls than of all others.
        let reads = matches!(request.operation.as_str(), "Query" | "GetItem") || request.outer() == Some(Outer::Look);
        let rate = match request.outer() {
            _ if reads => self.rate / 2,
            Some(_) => self.rate * 2,
            None => self.rate,
        };
        if !rng.sometimes(rate) {
            return None;
        }
        if let Some(outer) = request.outer() {
            return self.of_outer(outer, rng);
        }
        let commit = request.operation == "TransactWriteItems";
        let possible = |fault: &&Fault| match fault {
            Fault::Conflict => commit || request.operation == "TransactGetItems",
            Fault::InProgress | Fault::ThrottledItems => commit,
            Fault::Unprocessed => request.operation == "BatchGetItem",
            Fault::StaleIndex => request.is_search(),
            Fault::Throttled => !matches!(request.operation.as_str(), "SendMessage" | "ChangeMessageVisibility"),
            _ => true,
        };
        self.one_of(OF_CALLS.iter().filter(possible), rng)
    }

    /// What a call of the node or of Orby suffers.
    fn of_outer(&mut self, outer: Outer, rng: &mut Rng) -> Option<Fault> {
        // Half of what happens to a sending or a building is its own.
        let own: &[Fault] = match outer {
            Outer::Transaction => &[Fault::NodeRefuses, Fault::NodeFull, Fault::NodeLoses],
            Outer::Sending => &[Fault::OrbyRefuses, Fault::OrbyUnclear, Fault::OrbyForgets, Fault::OrbyFails],
            Outer::Building => &[Fault::OrbyUnbuilt],
            Outer::Look => &[],
        };
        if rng.sometimes(500)
            && let Some(fault) = self.one_of(own.iter(), rng)
        {
            return Some(fault);
        }
        self.one_of(OF_OUTER.iter(), rng)
    }

    fn one_of<'a>(&mut self, possible: impl Iterator<Item = &'a Fault>, rng: &mut Rng) -> Option<Fault> {
        let kinds: Vec<Fault> = possible.filter(|fault| self.kinds.contains(fault)).copied().collect();
        if kinds.is_empty() {
            return None;
        }
        let fault = *rng.of(&kinds);
        self.count(fault);
        Some(fault)
    }
}
