//! Whole schedules of a content job, by a seed: a node in every mood, processes that die, messages that come twice, blocks
//! that come when they will. Whatever happens, each item is told to the contract by at most one transaction, and at rest no
//! transaction waits behind a nonce that nothing took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use batch_core::limits::Limits;
use batch_local::stacks::{Does, Rule, Treatment};
use serde_json::{Value, json};

use crate::{CREATOR, World};

/// Items of a job.
const ITEMS: u64 = 6;
/// Rounds of deliveries after which a schedule must be at rest.
const ROUNDS: usize = 400;

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

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("small")]
    }

    fn treatment(&mut self) -> Treatment {
        match self.below(8) {
            0 => Treatment::Refuse(self.pick(&["NotEnoughFunds", "FeeTooLow", "NoSuchContract"])),
            1 => Treatment::Refuse("ServerFailureDatabase"),
            2 => Treatment::Refuse("TooMuchChaining"),
            3 => Treatment::Ignore,
            4 => Treatment::TakeInSilence,
            5 => Treatment::Break,
            6 => Treatment::Lose,
            _ => Treatment::Delay(Duration::from_millis(self.below(7_000))),
        }
    }
}

/// What a schedule came to, for whoever counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Transactions that the node took.
    pub taken: usize,
    /// Payments among them.
    pub payments: usize,
    /// Processes that died.
    pub deaths: usize,
}

/// Runs the schedule of `seed`.
///
/// # Errors
/// What does not hold.
pub async fn run(seed: u64) -> Result<Seen, String> {
    let mut chance = Chance(seed);
    let limits = Limits {
        in_chain: chance.pick(&[2, 3, 5, 20]),
        chunk_operations: chance.pick(&[1, 2, 50]),
        ..Limits::default()
    };
    let world = World::chained(limits).await;
    let key = world.key_with("carol", &[], &json!({ "creators": [CREATOR] })).await;
    let create = |n: u64| {
        let row = json!({ "content_id": format!("c{n}"), "creator": CREATOR, "price": 1, "onChainId": n });
        json!({ "entity": "content", "action": "create", "store_params": row })
    };
    let rows: Vec<Value> = (0..ITEMS).map(create).collect();
    world.post_as(&key, "/batch", &json!({ "operations": rows })).await;
    for _ in 0..chance.below(7) {
        let content = (chance.below(3) > 0).then(|| u128::from(chance.below(ITEMS)));
        let times = usize::try_from(1 + chance.below(3)).expect("small");
        world.node.rule(Rule { content, times, treatment: chance.treatment() });
    }
    world.node.set_delay(Duration::from_millis(chance.pick(&[0, 1, 50])));
    let mut ids: Vec<String> = (0..ITEMS).map(|n| format!("c{n}")).collect();
    ids.push("missing".to_owned());
    let body = json!({ "creator": CREATOR, "contentIds": ids, "newPrice": 9 });
    let job = world.post_as(&key, "/api/batches/batch-update-price", &body).await.batch_id();
    let cancel_at = (chance.below(6) == 0).then(|| usize::try_from(chance.below(6)).expect("small"));
    let mut tally = Seen::default();
    let target = format!("/api/batches/{job}");
    let mut idle = 0;
    for round in 0..ROUNDS {
        if cancel_at == Some(round) {
            world.post_as(&key, &format!("/batches/{job}/cancel"), &json!({})).await;
        }
        // Messages wait as long as they ask, or longer; of the same there is one at least.
        let mut messages = world.seam.take_messages();
        messages.sort();
        messages.dedup();
        tokio::time::advance(Duration::from_secs(chance.below(6))).await;
        if messages.is_empty() {
            // Nothing is on its way: the sweep looks, and what is open then is sent again.
            tokio::time::advance(Duration::from_mins(2)).await;
            messages.push(json!({ "v": 1, "kind": "execute", "tenant": "t1", "batch_id": job }).to_string());
            idle += 1;
        }
        tally.deaths += usize::from(deliver(&world, &mut chance, &messages, round).await);
        if chance.below(3) > 0 || round > 40 {
            world.node.mine();
        }
        let batch = world.send("GET", &target, &[("x-api-key", key.as_str())], b"").await.body;
        if is_at_rest(&world, &batch) && idle > 2 {
            check(&world, &batch, cancel_at.is_some()).map_err(|wrong| format!("seed {seed}: {wrong}\n{batch:#}"))?;
            let (taken, payments) = world.node.pool(|pool| {
                let payments = pool.taken().iter().filter(|taken| matches!(taken.does, Does::Pay { .. })).count();
                (pool.taken().len(), payments)
            });
            return Ok(Seen { taken, payments, ..tally });
        }
    }
    let batch = world.send("GET", &target, &[("x-api-key", key.as_str())], b"").await.body;
    let (taken, waiting) = world.node.pool(|pool| (pool.taken().to_vec(), pool.waiting()));
    Err(format!("seed {seed}: no rest; {waiting} wait of {taken:#?}\n{batch:#}"))
}

/// Delivers messages: once, twice at the same time, or to a process that dies; whether it did.
async fn deliver(world: &World, chance: &mut Chance, messages: &[String], round: usize) -> bool {
    match chance.below(if round > 40 { 1 } else { 4 }) {
        0 => {
            world.deliver(messages).await;
            false
        }
        1 => {
            let later = async {
                tokio::time::sleep(Duration::from_millis(chance.below(100))).await;
                world.deliver(messages).await
            };
            tokio::join!(world.deliver(messages), later);
            false
        }
        _ => {
            let patience = Duration::from_millis(chance.below(8_000));
            world.seam.die_at(usize::try_from(chance.below(25)).expect("small"), chance.below(2) == 0);
            let died = tokio::time::timeout(patience, world.deliver(messages)).await.is_err();
            world.seam.revive();
            if died {
                // What nobody acknowledged is delivered again.
                world.deliver(messages).await;
            }
            died
        }
    }
}

fn is_at_rest(world: &World, batch: &Value) -> bool {
    let ended = matches!(batch["status"].as_str(), Some("completed" | "failed"));
    let open = batch["results"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|item| matches!(item["chain"]["state"].as_str(), Some("pending" | "missing" | "dropped")));
    ended && !open && world.node.pool(|pool| pool.waiting()) == 0
}

fn check(world: &World, batch: &Value, cancelled: bool) -> Result<(), String> {
    let count = |name: &str| batch[name].as_u64().unwrap_or_default();
    if count("successCount") + count("failureCount") != ITEMS + 1 {
        return Err("the counts are not those of the items".into());
    }
    if !cancelled && (batch["status"] != "completed" || count("successCount") != ITEMS) {
        return Err("an item is lost".into());
    }
    let mut by_content: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for taken in world.node.pool(|pool| pool.taken().to_vec()) {
        if let Does::Call { arguments, .. } = taken.does {
            by_content.entry(format!("c{}", arguments[0])).or_default().insert(format!("0x{}", taken.txid));
        }
    }
    for item in batch["results"].as_array().into_iter().flatten().filter(|item| item["success"] == true) {
        let id = item["contentId"].as_str().unwrap_or_default();
        let sent = by_content.remove(id).unwrap_or_default();
        let fits = match (item["txId"].as_str(), item["message"].as_str()) {
            (Some(txid), _) => sent.len() == 1 && sent.contains(txid),
            (None, Some("Price updated (off-chain)")) => sent.is_empty(),
            (None, _) => sent.len() <= 1,
        };
        if !fits {
            return Err(format!("{item} was told as {sent:?}"));
        }
    }
    if by_content.is_empty() { Ok(()) } else { Err(format!("calls for items that are not changed: {by_content:?}")) }
}
