//! A content job: what becomes of its items, and what the contract is told.

use std::time::Duration;

use batch_local::stacks::{Rule, StacksNode, Treatment};
use batch_local::{Error, SANDBOX_CREATOR};
use serde_json::{Value, json};

use super::Scene;
use super::check::Checks;
use crate::cli::client::Client;
use crate::cli::output::say;

/// A creator whose content is in the way.
pub(super) const SOMEBODY_ELSE: &str = "somebody-else";
/// Items that are there.
const OWN: usize = 80;
/// Items of somebody else.
const FOREIGN: usize = 10;
/// Items that are not there.
const MISSING: usize = 10;
/// Items whose calls the node refuses.
const REFUSED: usize = 8;
const PRICE: u64 = 1_000_000;

/// A hundred prices: done, done without the contract, and failed.
pub(super) async fn prices(client: &Client, node: &StacksNode) -> Result<Scene, Error> {
    let title = "Prices of 100 items, and a contract";
    say(format!(
        "{title}: {MISSING} are missing, {FOREIGN} are somebody else's, and the node refuses {REFUSED} calls. It lets 20 \
         transactions of an account wait for a block."
    ))?;
    let mut checks = Checks::default();
    make(client, &mut checks).await?;
    node.set_delay(Duration::from_millis(30));
    for content in (0..OWN).step_by(OWN / REFUSED) {
        let treatment = Treatment::Refuse("NotEnoughFunds");
        node.rule(Rule { content: Some(content as u128), times: 1, treatment });
    }
    let own = (0..OWN).map(|n| format!("song-{n}"));
    let foreign = (0..FOREIGN).map(|n| format!("foreign-{n}"));
    let missing = (0..MISSING).map(|n| format!("missing-{n}"));
    let ids: Vec<String> = own.chain(foreign).chain(missing).collect();
    let body = json!({ "creator": SANDBOX_CREATOR, "contentIds": ids, "newPrice": PRICE });
    let reply = client.post("/api/batches/batch-update-price", &body, &[]).await?;
    checks.equal("the answer's status", &reply.status.into(), 201);
    checks.equal("message", &reply.body["message"], "Batch price update initiated");
    let id = reply.body["batchId"].as_str().ok_or_else(|| reply.complaint())?;
    let ended = client.watch_job(id).await?;
    checks.equal("status", &ended["status"], "completed");
    checks.equal("successCount", &ended["successCount"], OWN);
    checks.equal("failureCount", &ended["failureCount"], FOREIGN + MISSING);
    let items = ended["results"].as_array().cloned().unwrap_or_default();
    let count = |of: &dyn Fn(&Value) -> bool| items.iter().filter(|item| of(item)).count();
    let (done, off_chain, failed) = (
        count(&|item| item["txId"].is_string()),
        count(&|item| item["success"] == true && item["txId"].is_null()),
        count(&|item| item["success"] == false),
    );
    say(format!("  {done} done, {off_chain} done off-chain only, {failed} failed; for each kind one item:"))?;
    for kind in [
        items.iter().find(|item| item["txId"].is_string()),
        items.iter().find(|item| item["success"] == true && item["txId"].is_null()),
        items.iter().find(|item| item["success"] == false),
    ] {
        say(format!("  {}", kind.unwrap_or(&Value::Null)))?;
    }
    checks.equal("items done", &done.into(), OWN - REFUSED);
    checks.equal("items done off-chain", &off_chain.into(), REFUSED);
    checks.equal("items failed", &failed.into(), FOREIGN + MISSING);
    let (taken, waiting) = node.pool(|pool| {
        pool.mine();
        (pool.taken().len(), pool.waiting())
    });
    // A nonce that was refused last is filled by a payment, so that nothing waits behind it.
    checks.equal("transactions at least", &(OWN - REFUSED..=OWN).contains(&taken).into(), true);
    checks.equal("transactions that wait for ever", &waiting.into(), 0);
    let status = ended["status"].as_str().unwrap_or("?").to_owned();
    Ok(Scene { title, how: "async", operations: ids.len(), status, took_ms: 0, checks })
}

/// The content of both creators.
async fn make(client: &Client, checks: &mut Checks) -> Result<(), Error> {
    let row = |id: String, creator: &str, number: usize| {
        let row = json!({ "content_id": id, "creator": creator, "title": "A song", "price": 5, "onChainId": number });
        json!({ "entity": "content", "action": "create", "store_params": row })
    };
    let own = (0..OWN).map(|n| row(format!("song-{n}"), SANDBOX_CREATOR, n));
    let foreign = (0..FOREIGN).map(|n| row(format!("foreign-{n}"), SOMEBODY_ELSE, 1_000 + n));
    let operations: Vec<Value> = own.chain(foreign).collect();
    let made = client.submit(&json!({ "operations": operations }), None).await?;
    checks.equal("content made", &made.body["status"], "completed");
    Ok(())
}
