//! Faults at random: every so many calls one goes wrong, in one of the ways that calls of its kind can.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Fault;
use crate::sim::Rng;

/// How often something happened.
pub type Counts = BTreeMap<String, u64>;

/// A network and a store that fail now and then, and take their time.
#[derive(Debug)]
pub struct Trouble {
    rng: Rng,
    per_mille: usize,
    /// By operation.
    pub calls: Counts,
    /// By kind.
    pub faults: Counts,
}

/// What happens to one call, and how long it is on its way.
#[derive(Debug)]
pub(super) struct Hit {
    pub fault: Option<Fault>,
    pub before: Duration,
    pub after: Duration,
}

/// Longest way there or back of an ordinary call, milliseconds.
const WAY_MS: u64 = 8;

impl Trouble {
    /// So many of a thousand calls fail; equal seeds give the same to equal calls.
    pub fn new(seed: u64, per_mille: usize) -> Self {
        Self { rng: Rng::new(seed), per_mille, calls: Counts::new(), faults: Counts::new() }
    }

    pub(super) fn hit(&mut self, operation: &str, body: &Value) -> Hit {
        *self.calls.entry(operation.to_owned()).or_default() += 1;
        let way = |rng: &mut Rng| Duration::from_millis(1 + rng.below_ms(WAY_MS));
        let (before, mut after) = (way(&mut self.rng), way(&mut self.rng));
        if !self.rng.sometimes(self.per_mille) {
            return Hit { fault: None, before, after };
        }
        let (name, fault) = self.fault(operation, body);
        *self.faults.entry(name.to_owned()).or_default() += 1;
        if let Fault::SlowReply(late) = fault {
            after += late;
        }
        Hit { fault: Some(fault), before, after }
    }

    fn fault(&mut self, operation: &str, body: &Value) -> (&'static str, Fault) {
        let mut kinds = vec![
            ("request lost", Fault::RequestLost),
            ("reply lost", Fault::ReplyLost),
            ("server error", Fault::Error(500, "InternalServerError")),
            ("throttled", Fault::Error(400, "ThrottlingException")),
            ("slow", Fault::SlowReply(Duration::from_millis(self.rng.below_ms(2_000)))),
            ("no answer", Fault::Hang),
        ];
        match operation {
            "TransactWriteItems" | "TransactGetItems" => {
                let items = body["TransactItems"].as_array().map_or(0, Vec::len);
                let places = (0..=self.rng.below(2)).map(|_| self.rng.below(items)).collect();
                kinds.push(("transaction conflict", Fault::Conflict(places)));
                kinds.push(("transaction in progress", Fault::Error(400, "TransactionInProgressException")));
            }
            "PutItem" | "UpdateItem" => {
                kinds.push(("write conflict", Fault::Error(400, "TransactionConflictException")));
            }
            "BatchGetItem" => {
                let tables = body["RequestItems"].as_object().into_iter().flatten();
                let keys: usize = tables.map(|(_, wanted)| wanted["Keys"].as_array().map_or(0, Vec::len)).sum();
                if keys > 1 {
                    kinds.push(("unprocessed keys", Fault::Unprocessed(1 + self.rng.below(keys - 1))));
                }
            }
            _ => {}
        }
        let choice = self.rng.below(kinds.len());
        kinds.swap_remove(choice)
    }
}
