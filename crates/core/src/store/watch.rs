//! What the minute sweep looks at: an index of the minute in which a batch was made, or is to be looked at again.
//!
//! It is the one index that has no tenant in its key: the sweep serves all of them, and no client reads it.

use std::collections::BTreeMap;

use super::attribute::{Item, Reader, n, s};
use super::batches::{pair, pair_keys};
use super::call::{Fault, refused};
use super::{Store, TenantKey};
use crate::auth::Tenant;
use crate::batch::{BatchId, Head, State, Status};
use crate::limits::{MAX_PAUSE_MS, REMAINS_MS, RETENTION_MS};
use crate::runtime::Timestamp;
use crate::trace::Trace;

/// Sort key of the item by which a batch is watched for longer.
const WATCH: &str = "WATCH";
/// Partitions that a minute's batches are spread over.
const SHARDS: u8 = 4;

/// A batch that the sweep came across.
#[derive(Debug)]
pub struct Watched {
    /// Whose it is.
    pub tenant: Tenant,
    /// Which it is.
    pub id: BatchId,
    /// Whether there is anything left to do.
    pub standing: Standing,
    /// How long it was left alone before this look, milliseconds; `None` when it is looked at because of its age.
    pub every_ms: Option<i64>,
    /// Of the request that made it.
    pub trace: Option<Trace>,
}

/// Whether there is anything left to do for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has ended, or is gone.
    Ended,
    /// It has ended, and transactions of it may be open.
    Followed,
    /// It has not ended, or left locks behind.
    Open {
        /// When there is, if not now: a paused batch ends then.
        paused_until: Option<Timestamp>,
    },
}

impl Store {
    /// The batches of every tenant that were made in `minute` (minutes since the epoch), or are watched and due then.
    pub async fn watched(&self, minute: i64) -> Result<Vec<Watched>, Fault> {
        let mut found: BTreeMap<(Tenant, BatchId), bool> = BTreeMap::new();
        for shard in 0..SHARDS {
            let mut after = None;
            loop {
                let request = self
                    .client
                    .query()
                    .table_name(&self.tables.batches)
                    .index_name("watch")
                    .key_condition_expression("#g = :g")
                    .expression_attribute_names("#g", "g_watch")
                    .expression_attribute_values(":g", s(bucket(minute, shard)))
                    .set_exclusive_start_key(after);
                let answer = self.call("watch batches", || request.clone().send()).await?;
                let answer = answer.map_err(|error| Fault::new("watch batches", refused(&error)))?;
                for item in answer.items() {
                    let item = Reader(item);
                    if let Some(owner) = TenantKey::owner(item.text("pk")?) {
                        *found.entry(owner).or_default() |= item.maybe_text("sk") == Some(WATCH);
                    }
                }
                after = answer.last_evaluated_key.filter(|key| !key.is_empty());
                if after.is_none() {
                    break;
                }
            }
        }
        let wanted = found.iter().flat_map(|((tenant, id), watched)| {
            let keys = TenantKey::new(tenant);
            let watch = watched.then(|| watch_key(&keys, id));
            pair_keys(&keys, id).into_iter().chain(watch)
        });
        let items = self.batch_get(&self.tables.batches, wanted.collect()).await?;
        let mut by_batch: BTreeMap<String, Vec<Item>> = BTreeMap::new();
        for item in items {
            by_batch.entry(Reader(&item).text("pk")?.to_owned()).or_default().push(item);
        }
        let look = |(tenant, id): (Tenant, BatchId)| {
            let keys = TenantKey::new(&tenant);
            let own = by_batch.remove(&keys.batch(&id)).unwrap_or_default();
            let watch = own.iter().find(|item| Reader(item).maybe_text("sk") == Some(WATCH));
            let every_ms = watch.and_then(|item| Reader(item).maybe_int("every_ms"));
            let (standing, trace) = match pair(&keys, &own, self.now()) {
                Ok(Some((head, state))) => (standing(&head, state.as_ref()), head.trace),
                Ok(None) => (Standing::Ended, None),
                // One batch of another version must not keep the sweep from the others; who knows it takes its message.
                Err(fault) => {
                    tracing::error!(batch.id = %id, error = %fault, "batch cannot be read");
                    (Standing::Open { paused_until: None }, None)
                }
            };
            Watched { tenant, id, standing, every_ms, trace }
        };
        Ok(found.into_keys().map(look).collect())
    }

    /// Has a batch looked at again at `due`, and told then that it was left alone for `every_ms`.
    pub async fn watch(&self, keys: &TenantKey, id: &BatchId, (due, every_ms): (Timestamp, i64)) -> Result<(), Fault> {
        let mut item = watch_key(keys, id);
        item.extend([
            ("g_watch".to_owned(), s(watch_bucket(id, due))),
            ("at".to_owned(), s(due.to_string())),
            ("every_ms".to_owned(), n(every_ms)),
            ("ttl".to_owned(), n(self.now().plus_ms(RETENTION_MS + REMAINS_MS).seconds())),
        ]);
        let request = self.client.put_item().table_name(&self.tables.batches).set_item(Some(item));
        let answer = self.call("watch batch", || request.clone().send()).await?;
        answer.map(|_| ()).map_err(|error| Fault::new("watch batch", refused(&error)))
    }

    /// Stops watching a batch: its item leaves the index, and TTL removes it. No function may delete what is a batch's,
    /// so that none can delete its log.
    pub async fn unwatch(&self, keys: &TenantKey, id: &BatchId) -> Result<(), Fault> {
        let mut item = watch_key(keys, id);
        item.insert("ttl".to_owned(), n(self.now().seconds()));
        let request = self.client.put_item().table_name(&self.tables.batches).set_item(Some(item));
        let answer = self.call("unwatch batch", || request.clone().send()).await?;
        answer.map(|_| ()).map_err(|error| Fault::new("unwatch batch", refused(&error)))
    }
}

fn standing(head: &Head, state: Option<&State>) -> Standing {
    match state {
        Some(state) if state.status.is_terminal() && state.stale.is_empty() && head.job.is_some() => Standing::Followed,
        Some(state) if state.status.is_terminal() && state.stale.is_empty() => Standing::Ended,
        Some(state) if state.status == Status::Paused && state.stale.is_empty() => {
            Standing::Open { paused_until: Some(state.updated.plus_ms(MAX_PAUSE_MS)) }
        }
        // Signatures are waited for as long as a pause lasts.
        None if head.profile.is_some() => Standing::Open { paused_until: Some(head.created.plus_ms(MAX_PAUSE_MS)) },
        _ => Standing::Open { paused_until: None },
    }
}

fn watch_key(keys: &TenantKey, id: &BatchId) -> Item {
    Item::from([("pk".to_owned(), s(keys.batch(id))), ("sk".to_owned(), s(WATCH))])
}

/// The index partition in which a batch is looked at because of `at`: its minute, one of several.
pub(super) fn watch_bucket(id: &BatchId, at: Timestamp) -> String {
    bucket(at.minutes(), id.as_str().bytes().last().unwrap_or(0) % SHARDS)
}

fn bucket(minute: i64, shard: u8) -> String {
    format!("W#{minute}#{shard}")
}
