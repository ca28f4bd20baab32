//! What becomes of a parked call.

use serde_json::Value;

use super::Crash;
use super::fault::Fault;
use super::mischief::TOKEN_MS;
use super::mutant::Mutant;
use super::oracle::batch_key;
use super::schedule::{Phase, Schedule};
use super::seam::Parked;
use super::wire::{ORBY, Reply, Request, STACKS, text};

/// How far behind an index is, at most, in milliseconds.
const STALE_MS: i64 = 30_000;

impl Schedule {
    /// Runs a call, or lets something happen to it.
    pub(super) fn call(&mut self, mut parked: Parked) {
        self.check_tenant(&parked);
        self.check_deadline(&parked);
        if parked.reply.is_some() {
            self.outside.note(&parked.request, self.tables.steps.len());
        }
        if !parked.is_awaited() {
            // Whoever made it is gone or has given up; the call may still be on its way.
            if self.phase == Phase::Drain || self.rng.sometimes(500) {
                self.faults.count(Fault::Ghost);
                self.perform(&parked, None);
            }
            return;
        }
        let node = parked.node;
        if self.crashes(&parked) {
            self.crash(node);
            return;
        }
        let fault = self.faults.of_call(&parked.request, &mut self.rng);
        match fault {
            None
            | Some(
                Fault::StaleIndex
                | Fault::Unprocessed
                | Fault::NodeRefuses
                | Fault::NodeFull
                | Fault::NodeLoses
                | Fault::OrbyUnbuilt
                | Fault::OrbyRefuses
                | Fault::OrbyUnclear
                | Fault::OrbyForgets
                | Fault::OrbyFails,
            ) => {
                let reply = self.perform(&parked, fault);
                parked.answer(reply);
            }
            Some(Fault::CrashBefore) => {
                if self.rng.sometimes(300) {
                    self.later(&parked);
                }
                self.crash(node);
            }
            Some(Fault::CrashAfter) => {
                self.perform(&parked, fault);
                self.crash(node);
            }
            Some(Fault::ReplyLost) => {
                self.perform(&parked, fault);
                parked.answer(Reply::Lost);
            }
            // Dropped, the answer never comes.
            Some(Fault::ReplyHangs) => {
                self.perform(&parked, fault);
            }
            Some(Fault::RequestLost) => {
                if self.rng.sometimes(700) {
                    parked.answer(Reply::Lost);
                }
            }
            Some(Fault::Ghost) => {
                self.later(&parked);
                parked.answer(Reply::Lost);
            }
            Some(Fault::Duplicate) => {
                self.later(&parked);
                let reply = self.perform(&parked, fault);
                parked.answer(reply);
            }
            Some(Fault::ServerErrorDone) => {
                self.perform(&parked, fault);
                parked.answer(Reply::error(500, "InternalServerError"));
            }
            Some(refused) => {
                let reply = self.refuse(refused, &parked.request);
                self.log(|| format!("{node} {} {refused:?}", brief(&parked.request)));
                parked.answer(reply);
            }
        }
    }

    /// Counts a call; whether its process crashes at it, as a scenario wants.
    fn crashes(&mut self, parked: &Parked) -> bool {
        if self.phase == Phase::Begin {
            return false;
        }
        self.calls += 1;
        match self.setup.crash {
            Some(Crash::Before(call)) => call == self.calls,
            Some(Crash::After(call)) if call == self.calls => {
                self.perform(parked, None);
                true
            }
            _ => false,
        }
    }

    /// The store says no, and nothing happens.
    fn refuse(&mut self, fault: Fault, request: &Request) -> Reply {
        let count = request.actions().len().max(1);
        let mut some = || -> Vec<usize> {
            let one = self.rng.below(count);
            (0..count).filter(|place| *place == one || self.rng.sometimes(200)).collect()
        };
        match fault {
            Fault::Conflict if request.operation == "PutItem" => Reply::error(400, "TransactionConflictException"),
            Fault::Conflict => Reply::cancelled(count, &some(), "TransactionConflict"),
            Fault::ThrottledItems => Reply::cancelled(count, &some(), "ThrottlingError"),
            Fault::InProgress => Reply::error(400, "TransactionInProgressException"),
            Fault::Throttled if self.rng.sometimes(500) => Reply::error(400, "ThrottlingException"),
            Fault::Throttled => Reply::error(400, "ProvisionedThroughputExceededException"),
            Fault::Unreachable => Reply::Unreachable,
            _ if request.outer().is_some() => Reply::error(*self.rng.of(&[500, 502, 503]), "OutOfOrder"),
            _ => Reply::error(500, "InternalServerError"),
        }
    }

    /// The call is carried out once more, some time.
    fn later(&mut self, parked: &Parked) {
        if self.faults.happens(Fault::Late, 400, &mut self.rng) {
            self.repeat_after(0, parked);
        } else {
            self.lot.calls().push(parked.ghost());
        }
    }

    /// Carries a call out.
    fn perform(&mut self, parked: &Parked, fault: Option<Fault>) -> Reply {
        let (node, request) = (parked.node, &parked.request);
        if let Some(busy) = self.nodes[node].busy.as_mut().filter(|_| parked.is_awaited()) {
            busy.on.batches.extend(accepts(request));
        }
        let reply = match self.mutant {
            Some(Mutant::CounterNonce) => {
                let counted = self.counted.outgoing(node, request, &self.tables);
                let reply = self.carry_out(node, &counted, fault);
                self.counted.incoming(node, reply)
            }
            Some(mutant) if mutant.defers(request) && parked.reply.is_some() => {
                self.later(parked);
                Reply::ok(&serde_json::json!({}))
            }
            Some(Mutant::NoFencingWrite) if self.is_foreign_fence(parked) => Reply::ok(&serde_json::json!({})),
            _ => self.carry_out(node, request, fault),
        };
        let commits = parked.reply.is_some() && request.operation == "TransactWriteItems" && reply.is_ok();
        if commits && self.faults.happens(Fault::TokenForgotten, 30, &mut self.rng) {
            self.repeat_after(TOKEN_MS, parked);
        }
        self.log(|| {
            let how = fault.map(|fault| format!(" ({})", fault.name())).unwrap_or_default();
            format!("{node} {}{how}: {}", brief(request), reply.brief())
        });
        reply
    }

    fn carry_out(&mut self, node: usize, request: &Request, fault: Option<Fault>) -> Reply {
        if let Some(reply) = self.outer(request, fault) {
            return reply;
        }
        match (self.queued(request), fault) {
            (Some(reply), _) => reply,
            (None, Some(Fault::StaleIndex)) => {
                // An index is behind by seconds, not by hours.
                let since = self.now() - STALE_MS;
                let first = self.tables.steps.partition_point(|step| step.at < since);
                let step = first + self.rng.below(self.tables.steps.len() + 1 - first);
                self.tables.search(request, step).unwrap_or_else(|| self.tables.run(request, 0).0)
            }
            (None, Some(Fault::Unprocessed)) => self.unprocessed(request),
            (None, _) => {
                let now = self.now();
                let (reply, left) = self.tables.run(request, now);
                if let Some(request) = left {
                    self.lot.calls().push(Parked { node, request, at: now, reply: None });
                }
                reply
            }
        }
    }

    /// Whether a process stops the wide commit of a batch that it was not called for.
    fn is_foreign_fence(&self, parked: &Parked) -> bool {
        let state = &parked.request.body["Item"];
        let (pk, stops) = (text(state, "pk", "S"), text(state, "status", "S") == "running");
        let preparing = self.tables.item(&batch_key(pk, "A#STATE"));
        let Some(busy) = &self.nodes[parked.node].busy else { return false };
        stops
            && text(state, "sk", "S") == "A#STATE"
            && preparing.is_some_and(|state| text(state, "status", "S") == "preparing")
            && !busy.on.batches.iter().any(|id| pk.ends_with(id))
    }

    /// Answers for some of the keys, and hands back the others.
    fn unprocessed(&mut self, request: &Request) -> Reply {
        let mut some = Value::clone(&request.body);
        let mut left = request.body["RequestItems"].clone();
        for (table, wanted) in some["RequestItems"].as_object_mut().into_iter().flatten() {
            let keys = wanted["Keys"].as_array().cloned().unwrap_or_default();
            let most = self.rng.below(keys.len());
            wanted["Keys"] = keys.iter().take(most).cloned().collect();
            left[table.as_str()]["Keys"] = keys.into_iter().skip(most).collect();
        }
        let none = some["RequestItems"]
            .as_object()
            .is_some_and(|tables| tables.values().all(|wanted| wanted["Keys"].as_array().is_none_or(Vec::is_empty)));
        let reply = if none {
            Reply::ok(&serde_json::json!({ "Responses": {} }))
        } else {
            self.tables.run(&Request { operation: request.operation.clone(), body: some.into() }, 0).0
        };
        match reply {
            Reply::Answer(200, body) => {
                let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
                body["UnprocessedKeys"] = left;
                Reply::ok(&body)
            }
            other => other,
        }
    }
}

/// The batch that a call accepts.
fn accepts(request: &Request) -> Option<String> {
    let head = &request.body["Item"];
    let (_, id) = text(head, "pk", "S").split_once("#B#")?;
    (request.operation == "PutItem" && text(head, "sk", "S") == "A#HEAD").then(|| id.to_owned())
}

/// For the trace: what is called with which items.
fn brief(request: &Request) -> String {
    let of = |kind: &str, action: &Value| {
        let item = &action[if kind == "Put" { "Item" } else { "Key" }];
        let sk = text(item, "sk", "S");
        let (pk, more) = (text(item, "pk", "S"), action["ConditionExpression"].as_str().unwrap_or_default());
        let values = &action["ExpressionAttributeValues"];
        let version = &item["_v"]["N"];
        let told = if sk == "A#STATE" {
            format!("{} rev {} cursor {}", item["status"]["S"], item["rev"]["N"], item["cursor"]["N"])
        } else {
            format!("{version} {}", item["f"])
        };
        format!("\n           {kind} {pk} {sk} {told} if {more} {values}")
    };
    let actions: String = match request.operation.as_str() {
        "PutItem" => of("Put", &request.body),
        "TransactWriteItems" => request.actions().into_iter().map(|(kind, action)| of(kind, action)).collect(),
        "SendMessage" => request.body["MessageBody"].to_string(),
        "BatchGetItem" => request.body["RequestItems"].to_string(),
        "TransactGetItems" => request.body["TransactItems"].to_string(),
        STACKS | ORBY => request.body.to_string(),
        _ => request.body["ExpressionAttributeValues"].to_string(),
    };
    format!("{} {actions}", request.operation)
}
