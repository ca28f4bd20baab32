//! The wide commit: an all-or-nothing batch that one transaction cannot hold.
//!
//! Its effects are written down first (the redo log), then everything it touches is locked in the order of the keys,
//! one transaction after another, each on condition that the batch is still preparing this very attempt. One guarded
//! write of the state is the commit point. Then the effects are written, and the locks taken off.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::attribute::{Item, Reader, damaged, s};
use super::batches::{STATE, Written, part_name};
use super::call::Fault;
use super::lock::Lock;
use super::transaction::{Commit, token};
use super::{Store, TenantKey};
use crate::batch::{Attempt, BatchId, Head, State, Status, pack, unpack};
use crate::engine::{Action, Row, RowKey};
use crate::json::sha256_hex;
use crate::runtime::Timestamp;

/// What a wide commit is going to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Redo {
    /// When it was planned: the time that is written into what expires.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// In the order of their keys, which is the order in which everybody locks.
    #[serde(rename = "p")]
    pub planned: Vec<Planned>,
}

/// One action of a wide commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// What is done to the item.
    #[serde(rename = "a")]
    pub action: Action,
    /// Bytes of the item before or after, whichever are more: what it counts for in a transaction.
    #[serde(rename = "b")]
    pub bytes: usize,
}

impl Redo {
    /// Of `actions`, one for each item.
    pub fn new(keys: &TenantKey, at: Timestamp, mut planned: Vec<Planned>) -> Self {
        planned.sort_by_cached_key(|planned| keys.item(&planned.action.key()));
        Self { at, planned }
    }

    /// The row as it leaves it; `None` when it leaves it as it is.
    pub fn row(&self, wanted: &RowKey) -> Option<Row> {
        self.planned.iter().find_map(|planned| match &planned.action {
            Action::WriteRow { key, base, fields, .. } if key == wanted => {
                let version = base.unwrap_or(0) + 1;
                Some(fields.clone().map_or(Row::Gone { version }, |fields| Row::Live { version, fields }))
            }
            _ => None,
        })
    }
}

impl Store {
    /// Writes the redo log of the attempt `nonce`, create-only, and says where it is.
    pub async fn put_redo(
        &self,
        keys: &TenantKey,
        head: &Head,
        (nonce, lease): (String, Timestamp),
        redo: &Redo,
    ) -> Result<Attempt, Fault> {
        let packed = pack(redo)?;
        let parts = self.put_parts(keys, &head.id, &redo_name(&nonce), &packed, head.remains_expire()).await?;
        Ok(Attempt { nonce, parts, hash: sha256_hex(&packed), lease })
    }

    /// The redo log of an attempt.
    pub async fn redo(&self, keys: &TenantKey, id: &BatchId, attempt: &Attempt) -> Result<Redo, Fault> {
        let names: Vec<String> = (0..attempt.parts).map(|part| part_name(&redo_name(&attempt.nonce), part)).collect();
        let key =
            |name: &String| Item::from([("pk".to_owned(), s(keys.batch(id))), ("sk".to_owned(), s(name.as_str()))]);
        let items = self.batch_get(&self.tables.batches, names.iter().map(key).collect()).await?;
        let mut packed = Vec::new();
        for name in &names {
            let item = items.iter().find(|item| Reader(item).maybe_text("sk") == Some(name.as_str()));
            packed.extend_from_slice(Reader(item.ok_or_else(|| damaged("redo log"))?).bytes("bytes")?);
        }
        if sha256_hex(&packed) != attempt.hash {
            return Err(damaged("redo log"));
        }
        Ok(unpack(&packed)?)
    }

    /// Locks what `planned` touches, in one transaction, on condition that the batch is preparing `attempt` and that
    /// everything is as read. What has this lock already must not be among it.
    pub async fn lock(
        &self,
        keys: &TenantKey,
        head: &Head,
        attempt: &Attempt,
        planned: &[Planned],
    ) -> Result<Commit, Fault> {
        let lock = Lock::new(&head.id, attempt);
        let mut items = vec![self.preparing(keys, head, attempt)?];
        for planned in planned {
            items.push(self.lock_item(keys, &planned.action, &lock)?);
        }
        let first = planned.first().map(|planned| keys.item(&planned.action.key())).unwrap_or_default();
        let token = token(&format!("{lock}#{first}#{}", planned.len()));
        self.transact(keys, head, (token, items), planned.iter().map(|planned| &planned.action)).await
    }

    /// That the batch is still preparing `attempt`: the fence that a lock of a stopped attempt cannot pass.
    fn preparing(&self, keys: &TenantKey, head: &Head, attempt: &Attempt) -> Result<TransactWriteItem, Fault> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.batches)
            .key("pk", s(keys.batch(&head.id)))
            .key("sk", s(STATE))
            .condition_expression("#status = :preparing AND #attempt = :attempt")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_values(":preparing", s(Status::Preparing.as_str()))
            .expression_attribute_values(":attempt", s(attempt.nonce.as_str()))
            .return_values_on_condition_check_failure(
                aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld,
            );
        let check = check.build().map_err(|error| Fault::new("lock", error.to_string()))?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Takes off what a stopped attempt of the batch has locked.
    pub async fn clean(&self, keys: &TenantKey, id: &BatchId, attempt: &Attempt) -> Result<(), Fault> {
        let redo = self.redo(keys, id, attempt).await?;
        let held: Vec<_> = redo.planned.iter().map(|planned| planned.action.key()).collect();
        self.unlock(keys, &Lock::new(id, attempt), &held, self.now()).await
    }

    /// Stops the preparation of another batch, whose lease is over; false when somebody moved it on.
    pub async fn fence(&self, keys: &TenantKey, head: &Head, state: &State) -> Result<bool, Fault> {
        let next = state.next(self.entropy.hex32(), self.now());
        Ok(self.put_state(keys, head, Some(state.rev), &next).await? == Written::Done)
    }
}

fn redo_name(nonce: &str) -> String {
    format!("REDO#{nonce}")
}
