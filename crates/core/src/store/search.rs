//! Search rows, in their own table: one partition for each shard of a tenant, one row for each memory.
//!
//! A search reads them all, so the shards are read side by side and bound how many pages a partition has: 10,000 memories
//! of 200 words are about one page of 1 MB for each of the eight. More shards would make the search of a small tenant
//! dearer, by one read each; fewer would hold back who writes much, because a partition takes 1,000 write units a second.

use std::sync::Arc;

use futures::future::try_join_all;
use sha2::{Digest, Sha256};

use super::attribute::{Item, Reader, b, n, s};
use super::call::{Fault, refused};
use super::{Store, TenantKey};
use crate::engine::{Posting, RowKey};
use crate::runtime::Timestamp;

/// Shards of a tenant. Ids are spread over them, so the number is for good.
const SHARDS: u8 = 8;

pub(super) fn posting_key(keys: &TenantKey, id: &str) -> Item {
    let shard = Sha256::digest(id).first().copied().unwrap_or_default() % SHARDS;
    Item::from([("pk".to_owned(), s(keys.shard(shard))), ("sk".to_owned(), s(id))])
}

pub(super) fn posting_of(keys: &TenantKey, key: &RowKey, posting: &Posting) -> Item {
    let mut item = posting_key(keys, &key.id);
    item.insert("created".to_owned(), n(posting.created.0));
    item.insert("updated".to_owned(), n(posting.updated.0));
    item.insert("row".to_owned(), b(posting.bytes.as_slice()));
    item
}

impl Store {
    /// Every search row of the tenant with the id of its row, consistently each, all shards side by side.
    pub async fn postings(&self, keys: &TenantKey) -> Result<Vec<(String, Posting)>, Fault> {
        let shards = try_join_all((0..SHARDS).map(|shard| self.shard(keys, shard))).await?;
        Ok(shards.concat())
    }

    async fn shard(&self, keys: &TenantKey, shard: u8) -> Result<Vec<(String, Posting)>, Fault> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.tables.search)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk")
                .expression_attribute_names("#pk", "pk")
                .expression_attribute_values(":pk", s(keys.shard(shard)))
                .set_exclusive_start_key(after);
            let page = self.call("read search rows", || request.clone().send()).await?;
            let page = page.map_err(|error| Fault::new("read search rows", refused(&error)))?;
            for item in page.items.unwrap_or_default() {
                let item = Reader(&item);
                let posting = Posting {
                    created: Timestamp(item.int("created")?),
                    updated: Timestamp(item.int("updated")?),
                    bytes: Arc::new(item.bytes("row")?.to_vec()),
                };
                found.push((item.text("sk")?.to_owned(), posting));
            }
            after = page.last_evaluated_key.filter(|key| !key.is_empty());
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}
