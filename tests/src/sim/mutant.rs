//! Bugs on purpose: something that makes the protocol safe is taken off the wire.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kind::Kind;
use super::wire::{Request, text};

/// The condition of what is written under a lock, and the part of a condition that nobody may have one.
const HELD: &str = "#lk = :lk";
const UNLOCKED: &str = " AND attribute_not_exists(#lk)";
/// What the sort keys of a ledger begin with.
const LEDGER: &str = "A#X#";
/// A condition that holds of anything.
const ALWAYS: &str = "attribute_exists(pk) OR attribute_not_exists(pk)";

/// One deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// The state is written whatever it is.
    NoStateGuard,
    /// The state is written whatever its revision is, once there is one.
    NoCursorGuard,
    /// A row is overwritten whatever its version is.
    NoVersion,
    /// A new row is written whether or not there is one.
    NoAbsence,
    /// A unique value is taken and released whoever has it.
    NoSentinel,
    /// A child is counted whether or not its parent is there.
    NoParent,
    /// A row goes whether or not it has children.
    NoZero,
    /// A deleted row leaves nothing behind.
    NoTombstone,
    /// What the failure of an atomic batch rests on is not checked.
    NoFailureChecks,
    /// What an atomic batch has only read is not checked.
    NoReadChecks,
    /// The state, with its results, is written after the effects.
    ResultsApart,
    /// Nothing but the client's token keeps a commit from happening twice.
    TokenOnly,
    /// The second half of the effects is written after the first.
    Halves,
    /// The number of children is not kept.
    NoCount,
    /// A unique value is not kept.
    NoClaim,
    /// A batch is accepted whether or not there is one of its id.
    BlindAccept,
    /// Head and state may be read as they were.
    EventualReads,
    /// What a wide commit did is written, and its locks are taken off, whoever holds them.
    BlindUnlock,
    /// Rows are read as if nobody had locked them.
    DirtyRead,
    /// A row is written whether or not somebody has locked it.
    LockIgnored,
    /// What a wide commit only reads is not locked.
    NoReadLocks,
    /// Locks are put whatever the batch is at.
    NoLockFence,
    /// A lock past its lease is broken without stopping its holder first.
    NoFencingWrite,
    /// The effects of a wide commit are written before its commit point.
    LateCommitPoint,
    /// Attempts at a wide commit are counted, where each needs a name of its own.
    CounterNonce,
    /// Locks are left alone for days.
    LongLease,
    /// A contract call is signed whether or not it was before.
    NoCallClaim,
    /// A contract call is signed whatever its batch is at.
    NoCallFence,
    /// A contract call is sent before it is stored.
    CallSentFirst,
    /// What is sent again is signed anew.
    SignedAnew,
    /// An operation set is claimed whoever has claimed it.
    NoSetClaim,
    /// An operation set is sent before its claim is stored.
    SetSentFirst,
    /// Where an operation set stands is written wherever it stands.
    NoSetGuard,
    /// A batch is executed whether or not it was before.
    ExecutedAgain,
}

impl Mutant {
    /// Every one, with its name on the command line.
    pub const ALL: [(Self, &'static str); 34] = [
        (Self::NoStateGuard, "no-state-guard"),
        (Self::NoCursorGuard, "no-cursor-guard"),
        (Self::NoVersion, "no-version"),
        (Self::NoAbsence, "no-absence"),
        (Self::NoSentinel, "no-sentinel"),
        (Self::NoParent, "no-parent"),
        (Self::NoZero, "no-zero"),
        (Self::NoTombstone, "no-tombstone"),
        (Self::NoFailureChecks, "no-failure-checks"),
        (Self::NoReadChecks, "no-read-checks"),
        (Self::ResultsApart, "results-apart"),
        (Self::TokenOnly, "token-only"),
        (Self::Halves, "halves"),
        (Self::NoCount, "no-count"),
        (Self::NoClaim, "no-claim"),
        (Self::BlindAccept, "blind-accept"),
        (Self::EventualReads, "eventual-reads"),
        (Self::BlindUnlock, "blind-unlock"),
        (Self::DirtyRead, "dirty-read"),
        (Self::LockIgnored, "lock-ignored"),
        (Self::NoReadLocks, "no-read-locks"),
        (Self::NoLockFence, "no-lock-fence"),
        (Self::NoFencingWrite, "no-fencing-write"),
        (Self::LateCommitPoint, "late-commit-point"),
        (Self::CounterNonce, "counter-nonce"),
        (Self::LongLease, "long-lease"),
        (Self::NoCallClaim, "no-call-claim"),
        (Self::NoCallFence, "no-call-fence"),
        (Self::CallSentFirst, "call-sent-first"),
        (Self::SignedAnew, "signed-anew"),
        (Self::NoSetClaim, "no-set-claim"),
        (Self::SetSentFirst, "set-sent-first"),
        (Self::NoSetGuard, "no-set-guard"),
        (Self::ExecutedAgain, "executed-again"),
    ];

    /// `None` when there is none of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(mutant, _)| mutant)
    }

    /// Which schedules can show it.
    pub fn kind(self) -> Kind {
        match self {
            Self::NoCallClaim | Self::NoCallFence | Self::CallSentFirst | Self::SignedAnew => Kind::Content,
            Self::NoSetClaim | Self::SetSentFirst | Self::NoSetGuard | Self::ExecutedAgain => Kind::Intents,
            _ => Kind::Records,
        }
    }

    /// Changes a transaction; what is left for later.
    pub(super) fn spoil_transaction(self, body: &mut Value) -> Option<Request> {
        let actions = body["TransactItems"].as_array_mut()?;
        if self.kind() != Kind::Records {
            for action in actions {
                self.spoil_ledger(action);
            }
            return None;
        }
        let state = &actions.first()?["Put"]["Item"];
        let commits = text(state, "sk", "S") == "A#STATE";
        let failed = text(state, "status", "S") == "failed";
        let mut later = Vec::new();
        match self {
            Self::ResultsApart if commits => {
                let guard = actions.first().cloned()?;
                let put = &guard["Put"];
                let mut check = json!({ "TableName": put["TableName"], "Key": key(&put["Item"]) });
                for name in ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"] {
                    check[name] = put[name].clone();
                }
                actions[0] = json!({ "ConditionCheck": check });
                later.push(guard);
            }
            Self::Halves if commits => {
                let at = 1 + actions.len() / 2;
                if at < actions.len() {
                    later = actions.split_off(at);
                }
            }
            Self::NoCount | Self::NoClaim if commits => {
                let mark = if self == Self::NoCount { "#N#" } else { "#U#" };
                for action in actions.iter_mut() {
                    drop_write(action, mark);
                }
            }
            _ => {
                for (place, action) in actions.iter_mut().enumerate() {
                    if commits {
                        self.spoil(place, action, failed);
                    } else {
                        self.spoil_lock(action);
                    }
                }
            }
        }
        (!later.is_empty()).then(|| Request {
            operation: "TransactWriteItems".into(),
            body: Arc::new(json!({ "TransactItems": later })),
        })
    }

    /// Changes a write of a ledger, or of the nonces that go with it.
    fn spoil_ledger(self, action: &mut Value) {
        let Some((kind, inner)) = action.as_object_mut().and_then(|action| action.iter_mut().next()) else { return };
        let condition = inner["ConditionExpression"].as_str().unwrap_or_default();
        let item = &inner[if kind == "Put" { "Item" } else { "Key" }];
        let row = text(item, "sk", "S").starts_with(LEDGER);
        let weak = match self {
            Self::NoCallClaim | Self::SignedAnew => row && condition.contains("#txid"),
            Self::NoCallFence => kind == "ConditionCheck",
            Self::NoSetClaim => row && condition.contains("#rev"),
            Self::ExecutedAgain => condition.starts_with("attribute_not_exists(pk)"),
            _ => false,
        };
        if weak {
            weaken(inner, ALWAYS);
        }
    }

    /// Changes what puts a lock, is written under one, or takes it off.
    fn spoil_lock(self, action: &mut Value) {
        let Some((kind, inner)) = action.as_object_mut().and_then(|action| action.iter_mut().next()) else { return };
        let condition = inner["ConditionExpression"].as_str().unwrap_or_default().to_owned();
        let pk = text(&inner["Key"], "pk", "S");
        match self {
            Self::BlindUnlock if condition == HELD => weaken(inner, ALWAYS),
            Self::NoLockFence if kind == "ConditionCheck" => weaken(inner, ALWAYS),
            // Of a row that is to be written the expiry is taken off with it.
            Self::NoReadLocks
                if inner["UpdateExpression"] == "SET #lk = :lk" && !pk.contains("#U#") && !pk.contains("#N#") =>
            {
                let mut check = inner.clone();
                check.as_object_mut().map(|check| check.shift_remove("UpdateExpression"));
                weaken(&mut check, &condition);
                *action = json!({ "ConditionCheck": check });
            }
            _ => {}
        }
    }

    fn spoil(self, place: usize, action: &mut Value, failed: bool) {
        let Some((kind, inner)) = action.as_object_mut().and_then(|action| action.iter_mut().next()) else { return };
        let kind = kind.clone();
        let pk = text(&inner[if kind == "Put" { "Item" } else { "Key" }], "pk", "S").to_owned();
        let condition = inner["ConditionExpression"].as_str().unwrap_or_default().to_owned();
        let row = inner["Item"].get("_v").is_some();
        let fresh = condition.starts_with("attribute_not_exists(pk)");
        let (sentinel, counter) = (pk.contains("#U#"), pk.contains("#N#"));
        let weak = match self {
            Self::NoStateGuard => place == 0,
            Self::NoCursorGuard => place == 0 && !fresh,
            Self::NoVersion => row && !fresh,
            Self::NoAbsence => row && fresh,
            Self::NoSentinel => sentinel,
            Self::NoParent => counter && kind == "Update",
            Self::NoZero => counter && kind != "Update",
            Self::NoFailureChecks => failed && kind == "ConditionCheck",
            Self::NoReadChecks => !failed && kind == "ConditionCheck",
            Self::TokenOnly => true,
            _ => false,
        };
        if weak {
            weaken(inner, ALWAYS);
        }
        if let Some(left) = condition.strip_suffix(UNLOCKED).filter(|_| self == Self::LockIgnored) {
            weaken(inner, left);
        }
        if self == Self::NoTombstone && inner["Item"].get("_del").is_some() {
            let mut delete = inner.clone();
            if let Some(delete) = delete.as_object_mut() {
                delete.shift_remove("Item");
                delete.insert("Key".into(), json!({ "pk": { "S": pk } }));
            }
            *action = json!({ "Delete": delete });
        }
    }

    /// Changes a call that is no commit.
    pub(super) fn spoil_call(self, operation: &str, body: &mut Value) {
        let sk = text(&body["Item"], "sk", "S");
        if operation != "PutItem" {
            return;
        }
        match self {
            Self::NoStateGuard | Self::TokenOnly if sk == "A#STATE" => weaken(body, ALWAYS),
            Self::NoCursorGuard
                if sk == "A#STATE" && body["ConditionExpression"] == "#rev = :rev AND #seed = :seed" =>
            {
                weaken(body, ALWAYS);
            }
            Self::BlindAccept if sk == "A#HEAD" => weaken(body, ALWAYS),
            Self::NoSetGuard if sk.starts_with(LEDGER) => weaken(body, ALWAYS),
            _ => {}
        }
    }

    /// Whether a call is answered at once and carried out later.
    pub(super) fn defers(self, request: &Request) -> bool {
        let item = &request.body["Item"];
        let actions = request.actions();
        let fences =
            |(kind, action): &(&str, &Value)| *kind == "ConditionCheck" && text(&action["Key"], "sk", "S") == "A#STATE";
        match self {
            Self::LateCommitPoint => text(item, "sk", "S") == "A#STATE" && text(item, "status", "S") == "committed",
            // A claim takes nonces first, and is fenced.
            Self::CallSentFirst => actions.get(1).is_some_and(fences),
            Self::SetSentFirst => actions.first().is_some_and(fences),
            _ => false,
        }
    }

    /// Changes an answer.
    pub(super) fn spoil_answer(self, operation: &str, answer: &mut Value) {
        if self == Self::SignedAnew {
            for item in answer["Items"].as_array_mut().into_iter().flatten() {
                forget_signature(item);
            }
        }
        if self != Self::DirtyRead {
            return;
        }
        let is_nothing = |item: &Value| item.as_object().is_some_and(|item| item.len() <= 1);
        match operation {
            "BatchGetItem" => {
                for items in answer["Responses"].as_object_mut().into_iter().flat_map(|tables| tables.values_mut()) {
                    let Some(items) = items.as_array_mut() else { continue };
                    items.iter_mut().for_each(drop_lock);
                    items.retain(|item| !is_nothing(item));
                }
            }
            "TransactGetItems" => {
                for told in answer["Responses"].as_array_mut().into_iter().flatten() {
                    drop_lock(&mut told["Item"]);
                    if is_nothing(&told["Item"]) {
                        *told = json!({});
                    }
                }
            }
            _ => {}
        }
    }
}

/// A row of the ledger as it was before it was signed.
fn forget_signature(item: &mut Value) {
    if !text(item, "sk", "S").starts_with(LEDGER) || item.get("refused").is_some() {
        return;
    }
    if let Some(fields) = item.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "txid" | "bytes" | "signer" | "nonce" | "signed_at"));
    }
}

fn drop_lock(item: &mut Value) {
    item.as_object_mut().map(|item| item.shift_remove("_lk"));
}

fn key(item: &Value) -> Value {
    json!({ "pk": item["pk"], "sk": item["sk"] })
}

/// Leaves of a write of such an item its condition.
fn drop_write(action: &mut Value, mark: &str) {
    let Some((kind, inner)) = action.as_object().and_then(|action| action.iter().next()) else { return };
    let item = &inner[if kind == "Put" { "Item" } else { "Key" }];
    if kind == "ConditionCheck" || !text(item, "pk", "S").contains(mark) {
        return;
    }
    let check = json!({
        "TableName": inner["TableName"],
        "Key": { "pk": item["pk"] },
        "ConditionExpression": ALWAYS,
    });
    *action = json!({ "ConditionCheck": check });
}

/// Puts another condition in the place of one, and forgets the names and values that nothing uses any more.
fn weaken(action: &mut Value, condition: &str) {
    action["ConditionExpression"] = condition.into();
    let used = format!("{condition} {}", action["UpdateExpression"].as_str().unwrap_or_default());
    for kind in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        let Some(known) = action.get_mut(kind).and_then(Value::as_object_mut) else { continue };
        known.retain(|name, _| {
            used.split(|c: char| !c.is_ascii_alphanumeric() && !"#:".contains(c)).any(|word| word == name)
        });
        if known.is_empty() {
            action.as_object_mut().map(|action| action.shift_remove(kind));
        }
    }
}
