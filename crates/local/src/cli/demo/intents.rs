//! Blockchain intents: built, signed with a throwaway key, sent, followed; and what is done about a failure.

use std::time::Duration;

use batch_local::Error;
use batch_local::orby::{OrbySandbox, Rule, Treatment, Wallet};
use serde_json::{Value, json};

use super::Scene;
use super::check::Checks;
use crate::cli::client::Client;
use crate::cli::output::say;

/// Whom everything is paid to.
const PAYEE: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// The profile that pays.
const PROFILE: &str = "visitor";
/// The key that signs, made up, of an account that nobody has.
const SECRET: [u8; 32] = *b"a key that is thrown away at end";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Looks until it is given up.
const LOOKS: usize = 150;

fn wallet() -> Result<Wallet, Error> {
    Wallet::new(SECRET).ok_or_else(|| Error::new("the demonstration has no key"))
}

/// A payment and a swap on one chain, a payment on another.
pub(super) async fn two_chains(client: &Client, orby: &OrbySandbox) -> Result<Scene, Error> {
    let title = "Intents on two chains";
    say(format!("{title}: a payment and a swap on Ethereum, a payment on Polygon, signed with a throwaway key."))?;
    let (mut checks, wallet) = (Checks::default(), wallet()?);
    let profile = json!({ "profile_id": PROFILE, "address": wallet.address() });
    let made = json!({ "operations": [{ "entity": "profile", "action": "create", "store_params": profile }] });
    checks.equal("profile made", &client.submit(&made, None).await?.body["status"], "completed");
    let operations = json!([
        transfer("pol", 137, "10"),
        transfer("eth", 1, "0.1"),
        { "type": "swap", "from": { "token": "usdc", "chainId": 1, "amount": "100" }, "to": { "token": "dai" } },
    ]);
    let created = create(client, &json!({ "operations": operations })).await?;
    let count = |body: &Value| body["operations"].as_array().map_or(0, Vec::len);
    checks.equal("operations built", &count(&created).into(), 3);
    for gas in created["gas"].as_array().into_iter().flatten() {
        let fee = &gas["estimatedFee"];
        say(format!("  chain {}: at most {} {}", gas["chainId"], text(&fee["amount"]), text(&fee["token"])))?;
    }
    let total = &created["estimatedFeeTotal"]["fiat"];
    say(format!("  together about {} {}, in Orby's opinion", text(&total["amount"]), text(&total["currency"])))?;
    let executed = execute(client, &wallet, &created).await?;
    checks.equal("sent", &executed["status"], "submitted");
    let ended = watch(client, &created["batchId"]).await?;
    checks.equal("status", &ended["status"], "completed");
    checks.equal("successful", &ended["summary"]["successful"], 3);
    let times = orby.books(|books| books.times_sent());
    checks.equal("sent once each", &times.iter().all(|times| *times == 1).into(), true);
    Ok(scene(title, 3, &ended, checks))
}

/// A swap that its chain reverts, what is said about it, and a retry that works.
pub(super) async fn failure(client: &Client, orby: &OrbySandbox) -> Result<Scene, Error> {
    let title = "An intent that fails, and its retry";
    say(format!("{title}: the price moves, so the swap reverts; it is built again and signed again."))?;
    let (mut checks, wallet) = (Checks::default(), wallet()?);
    let swap =
        json!({ "type": "swap", "from": { "token": "eth", "chainId": 10, "amount": "1" }, "to": { "token": "usdc" } });
    let created = create(client, &json!({ "operations": [swap] })).await?;
    let treatment = Treatment::FailLater("execution reverted: INSUFFICIENT_OUTPUT_AMOUNT");
    orby.rule(Rule { method: "orby_sendSignedOperations", chain: Some(10), times: 1, treatment });
    execute(client, &wallet, &created).await?;
    let failed = watch(client, &created["batchId"]).await?;
    checks.equal("status", &failed["status"], "failed");
    let path = format!("/api/v1/batch/{}/failure-analysis", text(&created["batchId"]));
    let analysis = client.get(&path).await?.body;
    let told = &analysis["failedOperations"][0];
    say(format!("  {}: {}", text(&told["reason"]), text(&told["suggestion"])))?;
    checks.equal("reason", &told["reason"], "SLIPPAGE_EXCEEDED");
    let retry = &analysis["retry"];
    let retried = client.post(text(&retry["path"]), &retry["body"], &[]).await?;
    checks.equal("retried", &retried.body["retryCount"], 1);
    let again = json!({ "batchId": retried.body["newBatchId"], "operations": retried.body["operations"] });
    execute(client, &wallet, &again).await?;
    let ended = watch(client, &again["batchId"]).await?;
    checks.equal("status of the retry", &ended["status"], "completed");
    Ok(scene(title, 1, &ended, checks))
}

fn transfer(token: &str, chain: u64, amount: &str) -> Value {
    json!({
        "type": "transfer",
        "from": { "token": token, "chainId": chain, "amount": amount },
        "to": { "address": PAYEE },
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

async fn create(client: &Client, body: &Value) -> Result<Value, Error> {
    let reply = client.post(&format!("/api/v1/profiles/{PROFILE}/batch-intent"), body, &[]).await?;
    if reply.status == 200 { Ok(reply.body) } else { Err(reply.complaint()) }
}

async fn execute(client: &Client, wallet: &Wallet, created: &Value) -> Result<Value, Error> {
    let path = format!("/api/v1/batch/{}/execute", text(&created["batchId"]));
    let reply = client.post(&path, &wallet.sign_all(created), &[]).await?;
    if reply.status == 200 { Ok(reply.body) } else { Err(reply.complaint()) }
}

/// Looks until the batch has ended.
async fn watch(client: &Client, id: &Value) -> Result<Value, Error> {
    let path = format!("/api/v1/batch/{}/status", text(id));
    let mut last = String::new();
    for _ in 0..LOOKS {
        let told = client.get(&path).await?.body;
        let words: Vec<&str> =
            told["operations"].as_array().into_iter().flatten().map(|one| text(&one["status"])).collect();
        let line = format!("  {}: {}", text(&told["status"]), words.join(", "));
        if line != last {
            say(&line)?;
            last = line;
        }
        // A retry wants the batch to be over in the executor's opinion too, which follows at once.
        if told["status"] != "pending" {
            return Ok(told);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::new("a batch of intents does not end"))
}

fn scene(title: &'static str, operations: usize, ended: &Value, checks: Checks) -> Scene {
    Scene { title, how: "signed", operations, status: text(&ended["status"]).to_owned(), took_ms: 0, checks }
}
