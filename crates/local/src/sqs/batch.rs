use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json, json};

use super::{Error, actions::Target};

const MAX_ENTRIES: usize = 10;

/// Reads a batch request and checks its entries' ids.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<(Target, Vec<(String, T)>), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entries {
        #[serde(default)]
        entries: Vec<Json>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Id {
        #[serde(default)]
        id: String,
    }
    let target = serde_json::from_slice(body)?;
    let Entries { entries } = serde_json::from_slice(body)?;
    if entries.is_empty() {
        return Err(Error::EmptyBatchRequest);
    }
    if entries.len() > MAX_ENTRIES {
        return Err(Error::TooManyEntriesInBatchRequest(entries.len()));
    }
    let mut ids = BTreeSet::new();
    let mut read = Vec::with_capacity(entries.len());
    for entry in entries {
        let Id { id } = Id::deserialize(&entry)?;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if id.is_empty() || id.len() > 80 || !id.chars().all(is_allowed) {
            return Err(Error::InvalidBatchEntryId);
        }
        if !ids.insert(id.clone()) {
            return Err(Error::BatchEntryIdsNotDistinct(id));
        }
        read.push((id, T::deserialize(entry)?));
    }
    Ok((target, read))
}

/// Runs the entries one by one; each succeeds or fails for itself.
pub(super) fn run<T>(entries: Vec<(String, T)>, each: impl Fn(T) -> Result<Map<String, Json>, Error>) -> Json {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in entries {
        match each(entry) {
            Ok(mut answer) => {
                answer.insert("Id".to_owned(), id.into());
                successful.push(answer);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "Code": error.names().1,
                "Message": error.to_string(),
                "SenderFault": error.is_senders_fault(),
            })),
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}
