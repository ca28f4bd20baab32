//! What clients send: few keys and few values for some, so that batches meet, and all kinds of batches.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use batch_core::limits::MAX_OPERATIONS;
use serde_json::{Value, json};

use super::lock;
use crate::sim::Rng;

/// A batch to be sent.
#[derive(Debug)]
pub(super) struct Wanted {
    pub kind: &'static str,
    pub body: Value,
    pub background: bool,
    pub then: Then,
}

/// What the client does once the batch is accepted.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    /// Sends it again.
    Again,
    /// Cancels it after a while.
    Cancel(Duration),
    /// Pauses it after a while, for a while.
    Pause(Duration, Duration),
    /// Has what failed done again.
    Retry,
}

/// Accounts, artists and e-mail addresses are few, so that batches fight for them.
const ACCOUNTS: usize = 60;
const ARTISTS: usize = 30;
const EMAILS: usize = 150;

/// The batch of a number.
pub(super) fn batch(rng: &mut Rng, number: usize, rows: &Mutex<BTreeMap<String, Vec<Value>>>) -> Wanted {
    let known = |rng: &mut Rng, name: &str| {
        let rows = lock(rows);
        let ids = rows.get(name).map_or(&[][..], Vec::as_slice);
        // Few of some, so that batches that lock their keys meet there.
        let ids = if name == "artist_id" { &ids[..ids.len().min(ARTISTS)] } else { ids };
        if ids.is_empty() { json!(1) } else { rng.of(ids).clone() }
    };
    let mut work = Work { rng, number, known: &known, operations: Vec::new() };
    let kind = work.fill();
    let Work { operations, rng, .. } = work;
    let one_by_one = matches!(kind, "hundred" | "large" | "cancelled" | "paused" | "late");
    let atomic = kind == "wide" || !one_by_one && rng.sometimes(500);
    let mut options = json!({ "atomic": atomic, "continueOnError": rng.sometimes(750), "max_retries": rng.below(3) });
    if kind == "late" {
        options["timeout"] = json!(1 + rng.below(150));
    }
    let wait = |rng: &mut Rng, most: u64| Duration::from_millis(rng.below_ms(most));
    let then = match kind {
        "cancelled" => Then::Cancel(wait(rng, 250)),
        "paused" => Then::Pause(wait(rng, 250), wait(rng, 5_000)),
        "retried" => Then::Retry,
        _ if rng.sometimes(50) => Then::Again,
        _ => Then::Nothing,
    };
    let background = matches!(kind, "cancelled" | "paused") || rng.sometimes(300);
    Wanted { kind, body: json!({ "operations": operations, "options": options }), background, then }
}

struct Work<'a> {
    rng: &'a mut Rng,
    number: usize,
    known: &'a dyn Fn(&mut Rng, &str) -> Value,
    operations: Vec<Value>,
}

impl Work<'_> {
    fn fill(&mut self) -> &'static str {
        let (kind, count) = match self.rng.below(100) {
            0..25 => ("small", 1 + self.rng.below(6)),
            25..45 => ("mixed", 3 + self.rng.below(18)),
            45..55 => ("linked", 1 + self.rng.below(4)),
            55..65 => ("unique", 1 + self.rng.below(10)),
            65..75 => ("read", 1 + self.rng.below(12)),
            75..82 => ("retried", 2 + self.rng.below(12)),
            82..86 => ("cancelled", 60 + self.rng.below(41)),
            86..90 => ("paused", 60 + self.rng.below(41)),
            90..94 => ("late", 60 + self.rng.below(41)),
            94..96 => ("hundred", 100),
            96..98 => ("large", 4 + self.rng.below(26)),
            _ => ("wide", 60 + self.rng.below(41)),
        };
        for _ in 0..count {
            match kind {
                "linked" => self.chain(),
                "unique" => self.customer(),
                "read" => self.read(),
                "large" => self.memory(),
                "wide" => self.wide(),
                "small" if self.rng.sometimes(700) => self.account(),
                _ => self.any(),
            }
        }
        // Some are several operations.
        self.operations.truncate(MAX_OPERATIONS);
        kind
    }

    fn any(&mut self) {
        match self.rng.below(12) {
            0..4 => self.account(),
            4..7 => self.payment(),
            7..9 => self.customer(),
            9 => self.read(),
            10 => self.artist(),
            _ => self.chain(),
        }
    }

    fn push(&mut self, entity: &str, action: &str, query: Value, store: Value) -> String {
        let id = format!("o{}", self.operations.len());
        let mut operation = json!({ "id": id, "entity": entity, "action": action });
        if action != "create" {
            operation["query_params"] = query;
        }
        if !store.is_null() {
            operation["store_params"] = store;
        }
        if !self.operations.is_empty() && self.rng.sometimes(100) {
            operation["depends_on"] = json!([format!("o{}", self.rng.below(self.operations.len()))]);
        }
        self.operations.push(operation);
        id
    }

    fn mark(&self) -> String {
        format!("b{}o{}", self.number, self.operations.len())
    }

    fn account(&mut self) {
        let key = json!({ "account_id": self.rng.below(ACCOUNTS) });
        let mark = self.mark();
        match self.rng.below(10) {
            0..2 => {
                let store = json!({ "account_id": key["account_id"], "name": mark, "available_balance": 10.5 });
                self.push("account", "create", Value::Null, store);
            }
            2..8 => {
                let mut store = json!({ "name": mark, "available_balance": self.rng.below(1_000) });
                if self.rng.sometimes(150) {
                    store["version"] = json!(1 + self.rng.below(30));
                }
                self.push("account", "update", key, store);
            }
            8 if self.rng.sometimes(400) => {
                self.push("account", "delete", key, Value::Null);
            }
            _ => {
                self.push("account", "read", key, Value::Null);
            }
        }
    }

    /// Children of accounts, which come, move and go.
    fn payment(&mut self) {
        let account = self.rng.below(ACCOUNTS);
        let known = (self.known)(self.rng, "payment_id");
        let mark = self.mark();
        match self.rng.below(10) {
            0..6 => {
                let store = json!({ "account_id": account, "amount": self.rng.below(99), "description": mark });
                self.push("payment", "create", Value::Null, store);
            }
            6..8 => {
                let store = json!({ "account_id": account, "description": mark });
                self.push("payment", "update", json!({ "payment_id": known }), store);
            }
            _ => {
                self.push("payment", "delete", json!({ "payment_id": known }), Value::Null);
            }
        }
    }

    /// Rows with a value that only one may have.
    fn customer(&mut self) {
        let email = json!(format!("p{}@example.com", self.rng.below(EMAILS)));
        let known = (self.known)(self.rng, "customer_id");
        let mark = self.mark();
        let last = format!("L{}", self.rng.below(40));
        match self.rng.below(10) {
            0..4 => {
                let store = json!({ "first_name": mark, "last_name": last, "email": email });
                self.push("customer", "create", Value::Null, store);
            }
            4..8 => {
                let email = if self.rng.sometimes(200) { Value::Null } else { email };
                let store = json!({ "first_name": mark, "email": email });
                self.push("customer", "update", json!({ "customer_id": known }), store);
            }
            _ => {
                self.push("customer", "delete", json!({ "customer_id": known }), Value::Null);
            }
        }
    }

    fn artist(&mut self) {
        let (known, mark) = ((self.known)(self.rng, "artist_id"), self.mark());
        if self.rng.sometimes(500) {
            self.push("artist", "create", Value::Null, json!({ "name": mark }));
        } else {
            self.push("album", "create", Value::Null, json!({ "title": mark, "artist_id": known }));
        }
    }

    /// A parent, its child and that one's child, by reference.
    fn chain(&mut self) {
        let mark = self.mark();
        let parent = self.push("customer", "create", Value::Null, json!({ "first_name": mark }));
        let store = json!({ "customer_id": format!("$ref:{parent}.customer_id"), "total": self.rng.below(500) });
        let invoice = self.push("invoice", "create", Value::Null, store);
        let store = json!({ "invoice_id": format!("$ref:{invoice}.invoice_id"), "quantity": 1 + self.rng.below(9) });
        self.push("invoice_line", "create", Value::Null, store);
        if self.rng.sometimes(300) {
            let query = json!({ "invoice_id": format!("$ref:{invoice}.invoice_id") });
            let total = self.rng.below(500);
            self.push("invoice", "update", query, json!({ "total": total }));
        }
    }

    fn read(&mut self) {
        let known = (self.known)(self.rng, "customer_id");
        let account = self.rng.below(ACCOUNTS);
        let (entity, query) = match self.rng.below(5) {
            0 => ("account", json!({ "account_id": account })),
            1 => ("account", json!({ "account_id": format!("in::{account},{},{}", account + 1, account + 2) })),
            2 => ("customer", json!({ "customer_id": known })),
            3 => ("customer", json!({ "last_name": format!("L{}", self.rng.below(40)) })),
            _ => ("payment", json!({ "account_id": account })),
        };
        self.push(entity, "read", query, Value::Null);
    }

    /// Some text that hardly compresses.
    fn memory(&mut self) {
        const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
        let length = 2_000 + self.rng.below(28_000);
        let text: String = (0..length).map(|_| char::from(*self.rng.of(LETTERS))).collect();
        self.push("memory", "create", Value::Null, json!({ "content": text }));
    }

    /// Of a batch that has too many keys for one transaction. Few touch what others delete, or most would fail as a whole.
    fn wide(&mut self) {
        let mark = self.mark();
        match self.rng.below(400) {
            0 => self.customer(),
            1 => self.account(),
            2..150 => {
                let artist = (self.known)(self.rng, "artist_id");
                self.push("album", "create", Value::Null, json!({ "title": mark, "artist_id": artist }));
            }
            _ => {
                let store = json!({ "first_name": mark, "email": format!("{mark}@example.com") });
                self.push("customer", "create", Value::Null, store);
            }
        }
    }
}
