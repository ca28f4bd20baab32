//! A batch of memories: the example of their contract, as it stands there.

use batch_local::Error;
use serde_json::json;

use super::Scene;
use super::check::Checks;
use super::scenes::{parse, scene};
use crate::cli::client::Client;
use crate::cli::output::say;

const PATH: &str = "/api/v1/batch";

const MIGRATION: &str = r#"{
  "operations": [
    {
      "type": "create",
      "data": {
        "content": "User profile data",
        "metadata": {"type": "profile", "user_id": "123"},
        "tags": ["user", "profile"]
      }
    },
    {
      "type": "create",
      "data": {
        "content": "Product catalog entry",
        "metadata": {"type": "product", "category": "electronics"},
        "tags": ["product", "catalog"]
      }
    },
    {
      "type": "search",
      "query": "user authentication",
      "options": {"limit": 5}
    }
  ],
  "options": {
    "continue_on_error": true,
    "max_retries": 3,
    "timeout": 30000
  }
}"#;

/// Two memories are made, and a search in the same batch finds one of them.
pub(super) async fn migration(client: &Client) -> Result<Scene, Error> {
    let title = "Memories, made and searched";
    say(format!(
        "{title}: two are made, and a search in the same batch finds one. The request to {PATH}:\n\n{MIGRATION}\n"
    ))?;
    let mut checks = Checks::default();
    let reply = client.post(PATH, &parse(MIGRATION)?, &[("X-Batch-Id", "migration-2024-01-15")]).await?;
    say(format!("The answer:\n\n{:#}\n", reply.body))?;
    let data = &reply.body["data"];
    checks.equal("the answer's status", &reply.status.into(), 200);
    checks.equal("X-Batch-Id", &reply.header("x-batch-id").into(), "migration-2024-01-15");
    for (name, count) in [("processed", 3), ("failed", 0), ("total", 3)] {
        checks.equal(name, &data[name], count);
    }
    let summary = json!({"creates": 2, "reads": 0, "updates": 0, "deletes": 0, "searches": 1});
    checks.equal("summary", &data["summary"], summary);
    let found = &data["operations"][2]["result"];
    checks.equal("found", &found["total"], 1);
    checks.equal("what was found", &found["results"][0]["content"], "User profile data");
    let id = data["operations"][0]["result"]["id"].as_str().unwrap_or_default();
    checks.equal("its id", &found["results"][0]["id"], id);
    let memory = client.get(&format!("/api/v1/memory/{id}")).await?;
    checks.equal("its tags, read back", &memory.body["tags"], json!(["user", "profile"]));
    let word = if reply.status == 200 { "completed" } else { "partial" };
    Ok(scene(title, "sync", 3, &json!({"status": word}), checks))
}
