//! The `control` table: integer keys and API keys.

use aws_sdk_dynamodb::types::ReturnValue;

use super::attribute::{Item, Reader, n, s};
use super::call::{Fault, refused};
use super::{Store, TenantKey};
use crate::auth::ApiKeyRecord;

impl Store {
    /// Draws `count` integer keys of `entity` in one call; the first of them. Gaps are left by batches that fail.
    pub async fn draw_integers(&self, keys: &TenantKey, entity: &str, count: usize) -> Result<u64, Fault> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.control)
            .key("pk", s(keys.integers(entity)))
            .update_expression("ADD #n :n")
            .expression_attribute_names("#n", "n")
            .expression_attribute_values(":n", n(count))
            .return_values(ReturnValue::UpdatedNew);
        let answer = self.call("draw integer keys", || request.clone().send()).await?;
        let answer = answer.map_err(|error| Fault::new("draw integer keys", refused(&error)))?;
        let last: u64 = Reader(&answer.attributes.unwrap_or_default()).int("n")?;
        Ok(last.saturating_sub(count as u64) + 1)
    }

    /// The record of an API key by the id in it.
    pub async fn api_key(&self, id: &str) -> Result<Option<ApiKeyRecord>, Fault> {
        let request =
            self.client.get_item().table_name(&self.tables.control).consistent_read(true).key("pk", s(api_key_pk(id)));
        let answer = self.call("read API key", || request.clone().send()).await?;
        let answer = answer.map_err(|error| Fault::new("read API key", refused(&error)))?;
        answer.item.as_ref().map(|item| Reader(item).json("record")).transpose()
    }

    /// Stores the record of a new API key: its hash, never the key.
    pub async fn put_api_key(&self, record: &ApiKeyRecord) -> Result<(), Fault> {
        let item: Item = api_key_item(record)?.into_iter().map(|(name, text)| (name.to_owned(), s(text))).collect();
        let request = self.client.put_item().table_name(&self.tables.control).set_item(Some(item));
        let answer = self.call("store API key", || request.clone().send()).await?;
        answer.map(|_| ()).map_err(|error| Fault::new("store API key", refused(&error)))
    }
}

/// The attributes, all of them texts, of the item that an API key is known by.
///
/// # Errors
/// When the record cannot be written as JSON.
pub fn api_key_item(record: &ApiKeyRecord) -> Result<[(&'static str, String); 2], Fault> {
    let text = serde_json::to_string(record).map_err(|error| Fault::new("store API key", error.to_string()))?;
    Ok([("pk", api_key_pk(record.id.as_str())), ("record", text)])
}

fn api_key_pk(id: &str) -> String {
    format!("K#{id}")
}
