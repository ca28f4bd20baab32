//! Which calls the contract is still to be told of.
//!
//! Two jobs may give one item two prices. A call is signed only while its row is of the version read here, with the price
//! of the call, and one account's transactions take effect in the order of their nonces: so what the contract is told last
//! is what the item has.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{CONTENT_ENTITY, ContentJob, JobKind};
use crate::engine::Row;
use crate::plan::RowKey;
use crate::store::{Fault, Store, TenantKey};

/// The items of some calls, by position.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Those that are as their call says, with the versions of their rows.
    pub rows: BTreeMap<usize, (RowKey, u64)>,
    /// Those that another job has changed since.
    pub superseded: BTreeSet<usize>,
}

/// Looks at the items, by position and id.
pub(super) async fn of(
    store: &Store,
    keys: &TenantKey,
    job: &ContentJob,
    items: Vec<(usize, &str)>,
) -> Result<Standing, Fault> {
    let mut standing = Standing::default();
    // What is removed stays so.
    if job.kind != JobKind::UpdatePrice {
        return Ok(standing);
    }
    let key = |id: &str| RowKey { entity: CONTENT_ENTITY.to_owned(), id: id.to_owned() };
    let wanted: Vec<RowKey> = items.iter().map(|(_, id)| key(id)).collect();
    let rows = store.rows(keys, &wanted).await?;
    for (index, id) in items {
        let key = key(id);
        match rows.get(&key) {
            Some(Row::Live { version, fields }) if job.stands(fields) => {
                standing.rows.insert(index, (key, *version));
            }
            _ => {
                standing.superseded.insert(index);
            }
        }
    }
    Ok(standing)
}
