//! Blockchain intents: what clients send, what each does next, and how it goes about it.

use std::sync::Arc;

use batch_local::orby::Wallet;
use serde_json::{Value, json};

use super::client::{Client, ENDED, Known, Sent, What};
use super::rng::Rng;
use super::script::Deed;
use super::setup::Work;
use super::workload::TENANTS;

const TO: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// A batch of intents; the first of a tenant makes its profile.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    pub tenant: usize,
    pub operations: Vec<Value>,
    pub atomic: bool,
    pub key: Option<String>,
}

/// The account of a tenant's profile.
pub(super) fn wallet(tenant: usize) -> Option<Wallet> {
    Wallet::new([u8::try_from(tenant).unwrap_or(0) + 1; 32])
}

impl Wish {
    fn body(&self) -> Value {
        json!({ "operations": self.operations, "atomicExecution": self.atomic })
    }
}

/// Where batches of intents are made.
pub(super) const CREATE: &str = "/api/v1/profiles/home/batch-intent";

pub(super) fn beginning(tenant: usize) -> Wish {
    Wish { tenant, operations: Vec::new(), atomic: true, key: Some("first".into()) }
}

/// Some batches, after those that make the profiles.
pub(super) fn random(rng: &mut Rng) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = (0..TENANTS.len()).map(beginning).collect();
    for _ in 0..=rng.below(4) {
        let number = wishes.len();
        let most = *rng.of(&[1, 2, 4]);
        wishes.push(Wish {
            tenant: usize::from(rng.sometimes(250)),
            operations: (0..=rng.below(most)).map(|_| operation(rng, number)).collect(),
            atomic: rng.sometimes(350),
            key: rng.sometimes(850).then(|| format!("k{number}")),
        });
    }
    wishes
}

/// What two batches ask for differs, so that what is signed tells whose it is.
fn operation(rng: &mut Rng, number: usize) -> Value {
    let amount = (1 + number).to_string();
    let transfer = |token: &str, chain: u64| {
        let from = json!({ "token": token, "chainId": chain, "amount": amount });
        json!({ "type": "transfer", "from": from, "to": { "address": TO } })
    };
    let swap = |token: &str| {
        let from = json!({ "token": token, "chainId": 1, "amount": amount });
        json!({ "type": "swap", "from": from, "to": { "token": "eth" } })
    };
    match rng.below(8) {
        0 | 1 => transfer("eth", 1),
        2 => transfer("usdc", 1),
        3 => transfer("pol", 137),
        4 => transfer("eth", 10),
        5 => swap("dai"),
        6 => swap("usdc"),
        _ => json!({ "type": "approve", "token": "usdc", "chainId": 1, "spender": TO, "amount": amount }),
    }
}

/// What a client does: with batches of its own, or meddling with those of others, which it knows by their keys.
pub(super) fn script(rng: &mut Rng, numbers: std::ops::Range<usize>, own: bool) -> Vec<Deed> {
    let mut script = Vec::new();
    for number in numbers {
        if !own && rng.sometimes(500) {
            continue;
        }
        let most = *rng.of(&[30, 3_000, 30_000]);
        script.extend([Deed::Wait(rng.below_ms(most)), Deed::Submit(number)]);
        if rng.sometimes(100) {
            script.push(Deed::Forge(number));
        }
        if rng.sometimes(if own { 60 } else { 150 }) {
            script.push(Deed::Cancel(number));
        }
        if rng.sometimes(900) {
            script.push(Deed::Execute(number));
        }
        if rng.sometimes(300) {
            script.extend([Deed::Wait(rng.below_ms(most)), Deed::Execute(number)]);
        }
        script.extend(std::iter::repeat_n(Deed::Look(number), rng.below(3)));
        if rng.sometimes(100) {
            script.push(Deed::Poll(number));
        }
        if rng.sometimes(500) {
            let line = if rng.sometimes(250) { 4 } else { 1 };
            for _ in 0..line {
                script.extend([Deed::Await(number), Deed::Look(number), Deed::Analyse(number)]);
                script.extend([Deed::Retry(number, rng.sometimes(700)), Deed::Execute(number)]);
            }
            script.extend([Deed::Await(number), Deed::Look(number)]);
        }
    }
    script
}

impl Client {
    fn wishes(&self) -> Arc<Vec<Wish>> {
        match &self.work {
            Work::Intents(wishes) => wishes.clone(),
            _ => Arc::default(),
        }
    }

    pub(super) async fn submit_wish(&mut self, number: usize) {
        let wishes = self.wishes();
        let wish = &wishes[number];
        let sent = if number < TENANTS.len() {
            let address = wallet(wish.tenant).map(|wallet| wallet.address());
            let row = json!({ "profile_id": "home", "address": address });
            let create = json!({ "entity": "profile", "action": "create", "store_params": row });
            let body = json!({ "operations": [create], "options": { "atomic": false } });
            Sent { body: Some(body), ..Sent::new("POST", "/batch".to_owned()) }
        } else {
            Sent { body: Some(wish.body()), ..Sent::new("POST", CREATE.to_owned()) }
        };
        let sent = Sent { key: wish.key.clone(), ..sent };
        let answer = match wish.key {
            Some(_) => self.insist(wish.tenant, sent).await,
            None => self.send(wish.tenant, sent).await,
        };
        match answer {
            Some(answer) if answer.status == 200 => {
                self.accepted_as(number, wish.tenant, &answer);
                self.built(number, answer.body);
            }
            // Nothing was built, so nothing is there.
            Some(answer)
                if ["ATOMIC_EXECUTION_FAILED", "BATCH_EXECUTION_FAILED"].iter().any(|w| answer.body["error"] == *w) => {
            }
            Some(answer) if answer.status != 429 && answer.status < 500 => {
                self.wrong(format!("wish {number} was refused: {} {}", answer.status, answer.body));
            }
            _ => {}
        }
    }

    /// Keeps what is to be signed, unless a retry of it goes by the number by now.
    fn built(&mut self, number: usize, body: Value) {
        if self.known.get(&number).is_some_and(|known| known.id == body["batchId"].as_str().unwrap_or_default()) {
            self.built.insert(number, body);
        }
    }

    /// Signs everything, and has it executed: until there is an answer, or once.
    pub(super) async fn execute(&mut self, number: usize, own: bool) {
        let Some(known) = self.known.get(&number).cloned() else { return };
        let Some(built) = self.built.get(&number) else { return };
        let signer = wallet(if own { known.tenant } else { TENANTS.len() });
        let body = signer.map(|wallet| wallet.sign_all(built));
        let sent = Sent { body, ..Sent::new("POST", format!("/api/v1/batch/{}/execute", known.id)) };
        let answer = if self.rng.sometimes(700) {
            self.insist(known.tenant, sent).await
        } else {
            self.send(known.tenant, sent).await
        };
        let Some(answer) = answer else { return };
        match (answer.status, answer.body["error"].as_str().unwrap_or_default()) {
            (200 | 202, _) if own => self.say(&known.id, What::Executed(answer.body)),
            (400, "BATCH_VALIDATION_ERROR") if !own => {}
            // It was cancelled, or its day is over.
            (409, "BATCH_ENDED") => {}
            (429 | 500.., _) => {}
            _ => self.wrong(format!("an execution of {known:?} is answered with {} {}", answer.status, answer.body)),
        }
    }

    /// Looks at a batch as its contract tells it.
    pub(super) async fn look_wish(&mut self, number: usize) {
        let Some(known) = self.known(number) else { return };
        let sent = Sent::new("GET", format!("/api/v1/batch/{}/status", known.id));
        let Some(answer) = self.send(known.tenant, sent).await else { return };
        if self.is_told(&known, &answer) {
            self.say(&known.id, What::Status(answer.body));
        }
    }

    /// Asks why it failed.
    pub(super) async fn analyse_wish(&mut self, number: usize) {
        let Some(known) = self.known(number) else { return };
        let sent = Sent::new("GET", format!("/api/v1/batch/{}/failure-analysis", known.id));
        let Some(answer) = self.send(known.tenant, sent).await else { return };
        if self.is_told(&known, &answer) && known.seen.0 == ENDED {
            self.say(&known.id, What::Analysis(answer.body));
        }
    }

    /// Has what failed built again; from then on the new batch goes by the number.
    pub(super) async fn retry_wish(&mut self, number: usize, keyed: bool) {
        let Some(known) = self.known(number) else { return };
        let key = keyed.then(|| format!("again {number}"));
        let body = Some(json!({}));
        let sent = Sent { key, body, ..Sent::new("POST", format!("/api/v1/batch/{}/retry", known.id)) };
        let answer = if keyed { self.insist(known.tenant, sent).await } else { self.send(known.tenant, sent).await };
        let Some(answer) = answer else { return };
        match (answer.status, answer.body["error"].as_str().unwrap_or_default()) {
            (200, _) => {
                let mut body = answer.body;
                let id = body["newBatchId"].as_str().unwrap_or_default().to_owned();
                let count = |name: &str| body[name].as_u64().unwrap_or(0);
                self.say(&known.id, What::Retried(id.clone(), count("retryCount"), count("attempt")));
                self.say(&id, What::Accepted);
                body["batchId"] = id.clone().into();
                self.known.insert(number, Known { tenant: known.tenant, id, accepted: true, seen: (0, 0) });
                self.built(number, body);
            }
            (400, "ATOMIC_EXECUTION_FAILED" | "BATCH_EXECUTION_FAILED") => {}
            (409, "BATCH_NOT_ENDED") if !known.has_ended() => {}
            (409, "NOTHING_TO_RETRY" | "RETRY_LIMIT") => {}
            (404, _) if !known.accepted => {}
            (429 | 500.., _) => {}
            _ => self.wrong(format!("a retry of {known:?} is answered with {} {}", answer.status, answer.body)),
        }
    }
}
