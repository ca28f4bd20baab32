//! A batch from a file.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use batch_core::runtime::Clock;
use batch_local::Error;
use batch_local::keys::{Identity, Keys};
use serde_json::{Map, Value};

use super::Outcome;
use super::args::Submit;
use super::client::Client;
use super::credentials::HOME;
use super::output::{say, table};

pub(super) async fn run(args: Submit, api_key: Option<String>) -> Result<Outcome, Error> {
    let batch = read(&args.file)?;
    let credential = match args.key.or(api_key) {
        Some(key) => key,
        None => development_token()?,
    };
    let client = Client::new(&args.url, credential)?;
    let reply = client.submit(&batch, args.watch.then_some("respond-async")).await?;
    let (ended, results) = match reply.status {
        // Too much for one answer: it can be had in pages.
        200 if reply.body["hasMore"] == true => {
            let id = reply.body["batchId"].as_str().unwrap_or_default();
            (reply.body.clone(), client.results(id).await?)
        }
        200 => (reply.body.clone(), by_id(&reply.body["results"])),
        202 => {
            let id = reply.body["batchId"].as_str().unwrap_or_default().to_owned();
            say(format!("batch {id}"))?;
            (client.watch(&id).await?, client.results(&id).await?)
        }
        _ => return Err(reply.complaint()),
    };
    if results.is_empty() {
        // Only checked, not run: the answer itself is the result.
        say(format!("{ended:#}"))?;
    } else {
        say(result_table(&batch, &results))?;
        say(summary(&ended))?;
    }
    let good = matches!(ended["status"].as_str(), Some("completed" | "valid"));
    Ok(if good { Outcome::Success } else { Outcome::Failure })
}

fn read(file: &Path) -> Result<Value, Error> {
    let name = file.display();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|error| Error::caused(&name, &error))?;
    serde_json::from_str(&text).map_err(|error| Error::caused(format!("{name} is not JSON"), &error))
}

/// What the service of this machine takes from whoever can read its keys.
fn development_token() -> Result<String, Error> {
    let identity = Identity::new("demo", "developer", ["admin"], Map::new())?;
    Keys::open(Path::new(HOME))?.token(&identity, Clock::system().now())
}

/// The results of a sync answer as those of a page: each with its id, in the order of the request.
fn by_id(results: &Value) -> Vec<Value> {
    let results = results.as_object().into_iter().flatten().map(|(id, result)| {
        let mut result = result.as_object().cloned().unwrap_or_default();
        result.insert("id".to_owned(), id.clone().into());
        Value::Object(result)
    });
    results.collect()
}

/// What became of each operation, a line each.
pub(super) fn result_table(batch: &Value, results: &[Value]) -> String {
    let rows: Vec<[String; 4]> = results.iter().enumerate().map(|(index, result)| row(batch, index, result)).collect();
    table(["operation", "does", "status", "result"], &rows)
}

fn row(batch: &Value, index: usize, result: &Value) -> [String; 4] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let operation = &batch["operations"][index];
    let outcome = match result["status"].as_str() {
        Some("completed") => match result["data"].as_array().map(Vec::as_slice) {
            None => String::new(),
            Some([]) => "nothing".to_owned(),
            Some([row]) => row.to_string(),
            Some(rows) => format!("{} rows", rows.len()),
        },
        Some("failed") => format!("{} {}: {}", result["statusCode"], text(&result["code"]), text(&result["error"])),
        _ => text(&result["reason"]),
    };
    let does = format!("{} {}", text(&operation["action"]), text(&operation["entity"]));
    [text(&result["id"]), does, text(&result["status"]), outcome]
}

fn summary(ended: &Value) -> String {
    let count = |name: &str| ended["summary"][name].as_u64().unwrap_or(0);
    let status = ended["status"].as_str().unwrap_or_default();
    let id = ended["batchId"].as_str().or(ended["id"].as_str()).unwrap_or_default();
    format!(
        "\n{status}: {} succeeded, {} failed, {} skipped ({id})",
        count("successful"),
        count("failed"),
        count("skipped")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_outcome_has_its_line() {
        let batch = json!({"operations": [
            {"entity": "customer", "action": "create"}, {"entity": "invoice", "action": "read"},
            {"entity": "invoice", "action": "create"}, {"entity": "payment", "action": "delete"},
        ]});
        let results = by_id(&json!({
            "a": {"status": "completed", "data": [{"customer_id": 1}]}, "b": {"status": "completed", "data": []},
            "c": {"status": "failed", "error": "taken", "code": "UNIQUE_VIOLATION", "statusCode": 409},
            "d": {"status": "skipped", "reason": "Batch stopped"},
        }));
        let lines = result_table(&batch, &results);
        let lines: Vec<Vec<&str>> = lines
            .lines()
            .skip(2)
            .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect())
            .collect();
        assert_eq!(lines[0], ["a", "create customer", "completed", r#"{"customer_id":1}"#]);
        assert_eq!(lines[1], ["b", "read invoice", "completed", "nothing"]);
        assert_eq!(lines[2], ["c", "create invoice", "failed", "409 UNIQUE_VIOLATION: taken"]);
        assert_eq!(lines[3], ["d", "delete payment", "skipped", "Batch stopped"]);
    }
}
