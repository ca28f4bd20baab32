//! The keys of every item, built from a tenant by one type.

use crate::auth::Tenant;
use crate::batch::BatchId;
use crate::engine::{Key, RowKey};
use crate::json::sha256_hex;

/// Longest index value kept readable in a key; a longer one is hashed.
const READABLE_VALUE: usize = 128;

/// The nonces of an account. It belongs to no tenant: two that have the same key share its nonces.
pub(super) fn signer_pk(network: &str, address: &str) -> String {
    format!("SIGNER#{network}#{address}")
}

/// Builds the keys of one tenant. It is made from a verified credential, or from the key in our own queue message.
///
/// A tenant and an entity hold no `#`, so no key of one tenant can be read as another's.
#[derive(Debug, Clone)]
pub struct TenantKey(String);

impl TenantKey {
    /// The keys of `tenant`.
    pub fn new(tenant: &Tenant) -> Self {
        Self(format!("T#{}", tenant.as_str()))
    }

    /// The partition of everything that belongs to one batch.
    pub(super) fn batch(&self, id: &BatchId) -> String {
        format!("{}#B#{id}", self.0)
    }

    /// The id in a batch's partition key; `None` when the key is not this tenant's.
    pub(super) fn batch_id(&self, pk: &str) -> Option<BatchId> {
        BatchId::parse(pk.strip_prefix(&self.0)?.strip_prefix("#B#")?)
    }

    /// The tenant and the batch of a batch's partition key. Only the sweep, which serves every tenant, reads keys
    /// without knowing whose they are.
    pub(super) fn owner(pk: &str) -> Option<(Tenant, BatchId)> {
        let (tenant, id) = pk.strip_prefix("T#")?.split_once("#B#")?;
        Some((Tenant::try_from(tenant).ok()?, BatchId::parse(id)?))
    }

    /// The partition key of an item that a batch touches.
    pub(super) fn item(&self, key: &Key) -> String {
        match key {
            Key::Row(row) => self.row(row),
            Key::Unique(unique) => format!("{}#U#{}#{}#{}", self.0, unique.entity, unique.field, unique.hash),
            Key::Children(row) => format!("{}#N#{}#{}", self.0, row.entity, row.id),
        }
    }

    /// The partition key of a row. Entities are lower case, so none is `B`, `N` or `U`.
    pub(super) fn row(&self, row: &RowKey) -> String {
        format!("{}#{}#{}", self.0, row.entity, row.id)
    }

    /// The partition of a part of the tenant's search rows.
    pub(super) fn shard(&self, shard: u8) -> String {
        format!("{}#S#{shard}", self.0)
    }

    /// The row of a partition key; `None` when it is no row of `entity` of this tenant.
    pub(super) fn row_key(&self, entity: &str, pk: &str) -> Option<RowKey> {
        let id = pk.strip_prefix(&self.0)?.strip_prefix('#')?.strip_prefix(entity)?.strip_prefix('#')?;
        Some(RowKey { entity: entity.to_owned(), id: id.to_owned() })
    }

    /// The index partition that lists an entity (slot 0).
    pub(super) fn listing(&self, entity: &str) -> String {
        format!("{}#{entity}", self.0)
    }

    /// The index partition of the rows of `entity` whose field in `slot` has the canonical text `value`.
    pub(super) fn indexed(&self, entity: &str, slot: u8, value: &str) -> String {
        if value.len() <= READABLE_VALUE {
            format!("{}#{entity}#{slot}#={value}", self.0)
        } else {
            format!("{}#{entity}#{slot}#~{}", self.0, sha256_hex(value.as_bytes()))
        }
    }

    /// The index partition of a tenant's batches.
    pub(super) fn batches(&self) -> String {
        self.0.clone()
    }

    /// The index partition of a subject's batches.
    pub(super) fn batches_of(&self, subject: &str) -> String {
        format!("{}#S#{subject}", self.0)
    }

    /// The index partition of the batches with a client's reference.
    pub(super) fn batches_referenced(&self, reference: &str) -> String {
        format!("{}#R#{reference}", self.0)
    }

    /// The index partition of the batches of a party; `kind` tells creators from profiles.
    pub(super) fn batches_for(&self, kind: &str, party: &str) -> String {
        format!("{}#P#{kind}#{party}", self.0)
    }

    /// The arrival times of a subject under a contract's quotas.
    pub(super) fn rate(&self, dialect: &str, subject: &str) -> String {
        format!("{}#L#{dialect}#{subject}", self.0)
    }

    /// Orby's name for the account of a profile.
    pub(super) fn cluster(&self, profile: &str) -> String {
        format!("{}#O#{profile}", self.0)
    }

    /// The counter that integer keys of an entity are drawn from.
    pub(super) fn integers(&self, entity: &str) -> String {
        format!("{}#I#{entity}", self.0)
    }
}
