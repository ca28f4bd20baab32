//! The steps of the tour. Each sends batches, checks what is answered, and reads back what is there.

use batch_local::Error;
use serde_json::{Map, Value, json};

use super::Scene;
use super::check::Checks;
use super::orders::{self, CONDITIONAL, RELATED};
use crate::cli::client::{Client, Reply};
use crate::cli::output::say;

const LARGE: usize = 100;
const ATOMIC: usize = 60;

/// The first example of the API's description.
pub(super) async fn related(client: &Client) -> Result<Scene, Error> {
    let title = "A customer and an invoice";
    say(format!("{title}: the second operation takes the customer's id from the first."))?;
    let mut checks = Checks::default();
    let reply = client.submit(&parse(RELATED)?, None).await?;
    expect_end(&mut checks, &reply, "completed", [2, 2, 0, 0]);
    let (customer, invoice) = (row(&reply, "create_customer"), row(&reply, "create_invoice"));
    checks.equal("email", &customer["email"], "john@example.com");
    checks.equal("the invoice's customer_id", &invoice["customer_id"], customer["customer_id"].clone());
    checks.equal("invoice_date", &invoice["invoice_date"], "2024-11-11T10:00:00");
    checks.equal("total", &invoice["total"], 100);
    let found = look(client, "invoice", json!({"invoice_id": invoice["invoice_id"]}), json!({})).await?;
    checks.equal("the invoice read back", &found, json!([invoice]));
    Ok(scene(title, "sync", 2, &reply.body, checks))
}

/// The second example, and the account it needs.
pub(super) async fn conditional(client: &Client) -> Result<Scene, Error> {
    let title = "A payment of what an account holds";
    say(format!("{title}: a read decides the amount."))?;
    let mut checks = Checks::default();
    let reply = client.submit(&orders::account(), None).await?;
    expect_end(&mut checks, &reply, "completed", [1, 1, 0, 0]);
    let reply = client.submit(&parse(CONDITIONAL)?, None).await?;
    expect_end(&mut checks, &reply, "completed", [2, 2, 0, 0]);
    let (account, payment) = (row(&reply, "check_balance"), row(&reply, "create_payment"));
    let balance = json!(250.75);
    checks.equal("available_balance", &account["available_balance"], balance.clone());
    checks.equal("amount", &payment["amount"], balance);
    checks.equal("the payment's account_id", &payment["account_id"], 42);
    let found = look(client, "payment", json!({"payment_id": payment["payment_id"]}), json!({})).await?;
    checks.equal("the payment read back", &found, json!([payment]));
    Ok(scene(title, "sync", 2, &reply.body, checks))
}

/// In the background, each operation for itself.
pub(super) async fn large_order(client: &Client) -> Result<Scene, Error> {
    let title = "An order of 100, each for itself";
    say(format!("{title}: accepted at once, run from the queue, watched on the way."))?;
    let mut checks = Checks::default();
    let batch = orders::order(LARGE, "ada@example.com", false);
    let reply = client.submit(&batch, Some("respond-async")).await?;
    checks.equal("the answer's status", &reply.status.into(), 202);
    checks.equal("totalItems", &reply.body["totalItems"], LARGE);
    checks.equal("Preference-Applied", &reply.header("preference-applied").into(), "respond-async");
    let id = reply.body["batchId"].as_str().ok_or_else(|| reply.complaint())?;
    checks.equal("Location", &reply.header("location").into(), format!("/batches/{id}"));
    let ended = client.watch(id).await?;
    checks.equal("status", &ended["status"], "completed");
    checks.equal("summary", &ended["summary"], summary([LARGE, LARGE, 0, 0]));
    checks.equal("reference", &ended["reference"], "ada@example.com");
    let results = client.results(id).await?;
    expect_order(&mut checks, client, LARGE, &results).await?;
    Ok(scene(title, "async", LARGE, &ended, checks))
}

/// All or nothing: all.
pub(super) async fn atomic_order(client: &Client) -> Result<Scene, Error> {
    let title = "An order of 60, all or nothing";
    say(format!("{title}: one transaction."))?;
    let mut checks = Checks::default();
    let reply = client.submit(&orders::order(ATOMIC, "grace@example.com", true), None).await?;
    expect_end(&mut checks, &reply, "completed", [ATOMIC, ATOMIC, 0, 0]);
    let results: Vec<Value> =
        reply.body["results"].as_object().into_iter().flatten().map(|(_, it)| it.clone()).collect();
    expect_order(&mut checks, client, ATOMIC, &results).await?;
    Ok(scene(title, "sync", ATOMIC, &reply.body, checks))
}

/// All or nothing: nothing, because one address is taken.
pub(super) async fn failing_order(client: &Client) -> Result<Scene, Error> {
    let title = "An order that fails, all or nothing";
    say(format!("{title}: its third operation breaks a rule, so the first two leave no trace."))?;
    let mut checks = Checks::default();
    let reply = client.submit(&orders::failing("new@example.com", "john@example.com"), None).await?;
    expect_end(&mut checks, &reply, "failed", [4, 0, 1, 3]);
    checks.equal("failedOperations", &reply.body["failedOperations"], json!(["twin"]));
    let twin = &reply.body["results"]["twin"];
    checks.equal("code of twin", &twin["code"], "UNIQUE_VIOLATION");
    checks.equal("statusCode of twin", &twin["statusCode"], 409);
    for (id, reason) in [("customer", "Rolled back"), ("invoice", "Rolled back"), ("late", "Batch stopped")] {
        let result = &reply.body["results"][id];
        checks.equal(format!("status of {id}"), &result["status"], "skipped");
        checks.equal(format!("reason of {id}"), &result["reason"], reason);
    }
    for email in ["new@example.com", "late@example.com"] {
        let found = look(client, "customer", json!({"email": email}), json!({})).await?;
        checks.equal(format!("customers called {email}"), &found, json!([]));
    }
    let found = look(client, "customer", json!({"email": "john@example.com"}), json!({"count": true})).await?;
    checks.equal("customers called john@example.com", &found, json!([{"count": 1}]));
    Ok(scene(title, "sync", 4, &reply.body, checks))
}

/// Every line belongs to the invoice, the invoice to the customer, and all of it can be read.
async fn expect_order(checks: &mut Checks, client: &Client, operations: usize, results: &[Value]) -> Result<(), Error> {
    checks.equal("results", &results.len().into(), operations);
    let row = |index: usize| results.get(index).map_or(&Value::Null, |result| &result["data"][0]);
    let (customer, invoice) = (row(0), row(1));
    checks.equal("the invoice's customer_id", &invoice["customer_id"], customer["customer_id"].clone());
    for (index, result) in results.iter().enumerate() {
        checks.equal(format!("status of operation {index}"), &result["status"], "completed");
        if index >= 2 {
            checks.equal(
                format!("invoice_id of operation {index}"),
                &row(index)["invoice_id"],
                invoice["invoice_id"].clone(),
            );
            checks.equal(format!("quantity of operation {index}"), &row(index)["quantity"], index - 1);
        }
    }
    let of_invoice = json!({"invoice_id": invoice["invoice_id"]});
    let counted = look(client, "invoice_line", of_invoice, json!({"count": true})).await?;
    checks.equal("lines read back", &counted, json!([{"count": operations - 2}]));
    let found = look(client, "customer", json!({"customer_id": customer["customer_id"]}), json!({})).await?;
    checks.equal("the customer read back", &found, json!([customer]));
    Ok(())
}

/// A sync answer: status, and the counts total, successful, failed, skipped.
fn expect_end(checks: &mut Checks, reply: &Reply, status: &str, counts: [usize; 4]) {
    checks.equal("the answer's status", &reply.status.into(), 200);
    checks.equal("status", &reply.body["status"], status);
    checks.equal("success", &reply.body["success"], status == "completed");
    checks.equal("summary", &reply.body["summary"], summary(counts));
    let [_, successful, failed, skipped] = counts;
    let header = format!("{status};succeeded={successful};failed={failed};skipped={skipped}");
    checks.equal("Batch-Status", &reply.header("batch-status").into(), header);
}

fn summary([total, successful, failed, skipped]: [usize; 4]) -> Value {
    let pending = total - successful - failed - skipped;
    json!({"total": total, "successful": successful, "failed": failed, "skipped": skipped, "pending": pending})
}

/// The rows that a read finds; an index may take a moment to know of a row.
async fn look(client: &Client, entity: &str, query: Value, metadata: Value) -> Result<Value, Error> {
    let reply = client.submit(&orders::read(entity, &query, &metadata), None).await?;
    if reply.status != 200 {
        return Err(reply.complaint());
    }
    Ok(reply.body["results"]["look"]["data"].clone())
}

/// The first row of an operation's result.
fn row(reply: &Reply, operation: &str) -> Value {
    reply.body["results"][operation]["data"][0].clone()
}

pub(super) fn scene(title: &'static str, how: &'static str, operations: usize, ended: &Value, checks: Checks) -> Scene {
    let status = ended["status"].as_str().or(ended["error"].as_str()).unwrap_or("?").to_owned();
    Scene { title, how, operations, status, took_ms: 0, checks }
}

pub(super) fn parse(batch: &str) -> Result<Value, Error> {
    let batch: Map<String, Value> =
        serde_json::from_str(batch).map_err(|error| Error::caused("an example is not JSON", &error))?;
    Ok(Value::Object(batch))
}
