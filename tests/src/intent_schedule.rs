//! Whole schedules of a batch of intents, by a seed: an Orby in every mood, processes that die, calls and messages that come
//! twice and side by side. Whatever happens, nothing that was signed is sent twice, the batch comes to an end, and what is
//! told to have come about did.

use std::time::Duration;

use batch_local::orby::{Rule, Treatment, Wallet};
use serde_json::{Value, json};

use crate::World;

/// Steps after which a schedule must be at rest.
const STEPS: usize = 300;
const TO: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const SEND: &str = "orby_sendSignedOperations";
const LOOK: &str = "orby_getOperationStatuses";

/// `SplitMix64` (Steele, Lea and Flood 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn small(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).expect("small")
    }

    fn operations(&mut self) -> Vec<Value> {
        let transfer = |token: &str, chain: u64| {
            let from = json!({ "token": token, "chainId": chain, "amount": "1" });
            json!({ "type": "transfer", "from": from, "to": { "address": TO } })
        };
        let swap = json!({ "type": "swap", "from": { "token": "dai", "chainId": 1, "amount": "1" }, "to": { "token": "usdc" } });
        let all = [transfer("eth", 1), transfer("usdc", 1), transfer("pol", 137), transfer("eth", 10), swap];
        (0..=self.below(4)).map(|_| all[self.small(5)].clone()).collect()
    }

    fn rule(&mut self) -> Rule {
        let (method, treatment) = match self.below(10) {
            0 => (SEND, Treatment::Error("insufficient funds")),
            1 => (SEND, Treatment::Error("internal error")),
            2 => (SEND, Treatment::Ignore),
            3 | 4 => (SEND, Treatment::DoInSilence),
            5 => (SEND, Treatment::FailLater("execution reverted")),
            6 => (SEND, Treatment::Forget),
            7 => (SEND, Treatment::Http(503)),
            8 => (LOOK, Treatment::Http(502)),
            _ => (LOOK, Treatment::Ignore),
        };
        Rule { method, chain: None, times: 1 + self.small(2), treatment }
    }
}

/// What a schedule came to, for whoever counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was sent.
    pub sent: usize,
    /// Operations that came about.
    pub completed: usize,
    /// Operations that did not.
    pub failed: usize,
    /// Batches that were made of those.
    pub retries: usize,
    /// Processes that died.
    pub deaths: usize,
}

struct Run {
    world: World,
    wallet: Wallet,
    chance: Chance,
    /// The last minute that the rule has told.
    minute: i64,
    /// Messages that may come again.
    messages: Vec<String>,
    seen: Seen,
}

/// Runs the schedule of `seed`.
///
/// # Errors
/// What does not hold.
pub async fn run(seed: u64) -> Result<Seen, String> {
    let wallet = Wallet::new([7; 32]).ok_or("no key")?;
    let mut run = Run {
        world: World::new().await,
        wallet,
        chance: Chance(seed),
        minute: 0,
        messages: Vec::new(),
        seen: Seen::default(),
    };
    let profile = json!({ "profile_id": "home", "address": run.wallet.address() });
    let made = json!({ "operations": [{ "entity": "profile", "action": "create", "store_params": profile }] });
    run.world.batch(&made).await;
    let body = json!({ "operations": run.chance.operations(), "atomicExecution": run.chance.below(3) == 0 });
    let created = run.world.post_with("/api/v1/profiles/home/batch-intent", &[], &body).await;
    if created.status != 200 {
        return Err(format!("seed {seed}: not built: {:#}", created.body));
    }
    for _ in 0..run.chance.below(5) {
        let rule = run.chance.rule();
        run.world.orby.rule(rule);
    }
    let mut batch = (created.batch_id(), created.body.clone());
    loop {
        let told = run.live(&batch).await.map_err(|wrong| format!("seed {seed}: {wrong}"))?;
        let summary = |name: &str| usize::try_from(told["summary"][name].as_u64().unwrap_or(99)).unwrap_or(99);
        run.seen.completed += summary("successful");
        run.seen.failed += summary("failed");
        let retry = run.world.post_with(&format!("/api/v1/batch/{}/retry", batch.0), &[], &json!({})).await;
        if retry.status != 200 {
            let expected = ["NOTHING_TO_RETRY", "RETRY_LIMIT"].iter().any(|word| retry.body["error"] == *word);
            return if expected { Ok(run.seen) } else { Err(format!("seed {seed}: retry: {:#}", retry.body)) };
        }
        run.seen.retries += 1;
        let id = retry.body["newBatchId"].as_str().unwrap_or_default().to_owned();
        batch = (id.clone(), json!({ "batchId": id, "operations": retry.body["operations"] }));
    }
}

impl Run {
    /// A batch from its signatures to its end; as its status tells it then.
    async fn live(&mut self, (id, built): &(String, Value)) -> Result<Value, String> {
        let signed = self.wallet.sign_all(built);
        let path = format!("/api/v1/batch/{id}");
        let mut trouble = self.chance.below(12);
        for step in 0..STEPS {
            let dies = trouble > 0 && self.chance.below(3) == 0;
            trouble = trouble.saturating_sub(1);
            if dies {
                self.world.seam.die_at(self.chance.small(9), self.chance.below(2) == 0);
                self.seen.deaths += 1;
            }
            // Until the batch is executed somebody keeps trying.
            let deed = if step == 0 { 0 } else { self.chance.below(6) };
            let acts = self.act(deed, (&path, &signed));
            let _ = tokio::time::timeout(Duration::from_secs(70), acts).await;
            self.world.seam.revive();
            self.minutes().await;
            self.collect();
            tokio::time::advance(Duration::from_secs(self.chance.below(45))).await;
            self.check()?;
            if trouble == 0 && step > 3 {
                let native = self.world.get(&format!("/batches/{id}")).await.body;
                if native["completedAt"].is_string() {
                    return self.ended(&path).await;
                }
            }
        }
        let told = self.world.get(&format!("{path}/status")).await.body;
        Err(format!("the batch does not end: {told:#}"))
    }

    async fn act(&mut self, deed: u64, (path, signed): (&str, &Value)) {
        let execute = format!("{path}/execute");
        match deed {
            0 => drop(self.world.post_with(&execute, &[], signed).await),
            1 => {
                let world = self.world.clone();
                let (one, other) = (world.post_with(&execute, &[], signed), world.post_with(&execute, &[], signed));
                tokio::join!(one, other);
            }
            2 => drop(self.world.get(&format!("{path}/status")).await),
            3 => self.minutes().await,
            4 => {
                let (world, messages) = (self.world.clone(), self.messages.clone());
                tokio::join!(world.deliver(&messages), world.post_with(&execute, &[], signed));
            }
            _ => {
                let messages = std::mem::take(&mut self.messages);
                // What failed comes again; so do the others, which must do no harm.
                if !self.world.deliver(&messages).await.is_empty() {
                    self.messages.extend(messages);
                }
            }
        }
    }

    /// The minute rule speaks for every minute that has passed.
    async fn minutes(&mut self) {
        let now = self.world.app.clock().now().minutes();
        if self.minute == 0 {
            self.minute = now;
        }
        while self.minute < now {
            self.minute += 1;
            let time = batch_core::runtime::Timestamp(self.minute * 60_000).to_string();
            let minute = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "time": time });
            self.world.deliver(&[minute.to_string()]).await;
        }
    }

    /// Keeps a few messages that were sent; more of the same make no difference.
    fn collect(&mut self) {
        self.messages.extend(self.world.seam.take_messages());
        self.messages.dedup();
        self.messages.truncate(4);
    }

    fn check(&mut self) -> Result<(), String> {
        let times = self.world.orby.books(|books| books.times_sent());
        self.seen.sent = times.len();
        if times.iter().any(|times| *times != 1) {
            return Err(format!("something was sent more than once: {times:?}"));
        }
        Ok(())
    }

    async fn ended(&self, path: &str) -> Result<Value, String> {
        let told = self.world.get(&format!("{path}/status")).await.body;
        let count = |name: &str| told["summary"][name].as_u64().unwrap_or(99);
        if count("pending") != 0 || count("successful") + count("failed") != count("total") {
            return Err(format!("counts do not add up: {told:#}"));
        }
        let later = self.world.get(&format!("{path}/status")).await.body;
        if later != told {
            return Err(format!("an end changes: {told:#} {later:#}"));
        }
        Ok(told)
    }
}
