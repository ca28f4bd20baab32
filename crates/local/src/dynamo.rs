//! The embedded `DynamoDB`: the deployment's tables in a file or in memory, served on loopback.

use std::path::Path;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::update_time_to_live::UpdateTimeToLiveRequest;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Error;
use crate::stop::Stop;
use crate::template::Table;

/// How often expired items are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Opens the database in the file at `path`, or a new one in memory, and makes the tables that are not there yet.
pub(crate) fn open(path: Option<&Path>, tables: &[Table]) -> Result<Database, Error> {
    let database = match path {
        None => Database::memory(),
        Some(path) => Database::new(&path.to_string_lossy()),
    };
    let place = path.map_or_else(|| "in memory".to_owned(), |path| path.display().to_string());
    let failed = |error: dynoxide::DynoxideError| Error::new(format!("database {place}: {error}"));
    let database = database.map_err(failed)?;
    for table in tables {
        let wanted = indexes(&table.create);
        let describe = DescribeTableRequest { table_name: table.name.clone() };
        match database.describe_table(describe) {
            Ok(found) => {
                let found = serde_json::to_value(found.table).map_err(|error| Error::caused("table", &error))?;
                if indexes(&found) != wanted {
                    let name = &table.name;
                    return Err(Error::new(format!(
                        "database {place}: the table {name} is of another version of the service; \
                         start with a new --data-dir, or delete this one"
                    )));
                }
            }
            Err(_) => make(&database, table).map_err(|error| Error::new(format!("database {place}: {error}")))?,
        }
    }
    Ok(database)
}

fn make(database: &Database, table: &Table) -> Result<(), String> {
    let create: CreateTableRequest =
        serde_json::from_value(table.create.clone()).map_err(|error| format!("table {}: {error}", table.name))?;
    database.create_table(create).map_err(|error| format!("table {}: {error}", table.name))?;
    if let Some(attribute) = &table.ttl {
        let ttl = json!({
            "TableName": table.name,
            "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": true},
        });
        let ttl: UpdateTimeToLiveRequest =
            serde_json::from_value(ttl).map_err(|error| format!("table {}: {error}", table.name))?;
        database.update_time_to_live(ttl).map_err(|error| format!("table {}: {error}", table.name))?;
    }
    Ok(())
}

/// The key of a table and of each of its indexes, by name.
fn indexes(table: &Value) -> Vec<String> {
    let key = |of: &Value| -> Vec<String> {
        let parts = of["KeySchema"].as_array().into_iter().flatten();
        parts.filter_map(|part| part["AttributeName"].as_str().map(str::to_owned)).collect()
    };
    let mut indexes: Vec<String> = table["GlobalSecondaryIndexes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|index| format!("{} {:?}", index["IndexName"], key(index)))
        .collect();
    indexes.sort();
    indexes.push(format!("{:?}", key(table)));
    indexes
}

/// Answers the protocol of `DynamoDB` until told to stop.
pub(crate) async fn serve(database: Database, listener: TcpListener, mut stop: Stop) {
    let shutdown = async move { stop.requested().await };
    if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, shutdown).await {
        tracing::error!(error, "the database server failed");
    }
}

/// Deletes expired items now and then, as the TTL of `DynamoDB` does.
pub(crate) async fn sweep(database: Database, mut stop: Stop) {
    while !stop.requested_within(SWEEP_EVERY).await {
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "expired items could not be deleted"),
            Err(error) => tracing::warn!(%error, "the deletion of expired items panicked"),
        }
    }
}

/// A number in the item `pk` of a table; `None` where there is none.
pub(crate) fn number(database: &Database, table: &str, pk: &str, name: &str) -> Option<u64> {
    let request = serde_json::json!({ "TableName": table, "Key": { "pk": { "S": pk } } });
    let answer = database.get_item(serde_json::from_value(request).ok()?).ok()?;
    let answer = serde_json::to_value(answer).ok()?;
    answer["Item"][name]["N"].as_str()?.parse().ok()
}
