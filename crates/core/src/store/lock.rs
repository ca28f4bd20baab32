//! Locks of wide commits: who holds one, and taking it off.
//!
//! A lock is the attribute `_lk` of an item: the batch and the attempt that put it there. What it means is told by that
//! batch's state alone: while it is preparing this attempt the item must not change; once it is committed the item is
//! what the attempt's redo log says; in any other case the lock is a remnant.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};

use super::attribute::{Item, Reader, s};
use super::call::{Fault, refused};
use super::wide::Redo;
use super::{Store, TenantKey};
use crate::batch::{Attempt, BatchId, Head, State, Status};
use crate::engine::Key;
use crate::runtime::Timestamp;

/// Items in one transaction that writes or unlocks.
const PER_TRANSACTION: usize = 100;

/// Who holds an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lock {
    /// The batch, of the item's own tenant.
    pub batch: BatchId,
    /// The attempt.
    pub nonce: String,
}

impl Lock {
    /// The lock of an attempt at a wide commit of `batch`.
    pub fn new(batch: &BatchId, attempt: &Attempt) -> Self {
        Self { batch: batch.clone(), nonce: attempt.nonce.clone() }
    }

    /// The lock on an item, if there is one.
    pub(super) fn of(item: &Item) -> Option<Self> {
        let (batch, nonce) = Reader(item).maybe_text("_lk")?.split_once('#')?;
        Some(Self { batch: BatchId::parse(batch)?, nonce: nonce.to_owned() })
    }
}

/// As it stands in the item.
impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.batch, self.nonce)
    }
}

/// An item that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The item.
    pub key: Key,
    /// Who holds it.
    pub lock: Lock,
}

/// What a lock's holder is at.
#[derive(Debug)]
pub enum Holder {
    /// Not decided: the item is as it is, and must stay so until the lease is over and the holder fenced.
    Preparing(Box<(Head, State)>),
    /// Decided: the item is as the redo log has it.
    Committed(Box<Head>, Attempt),
    /// The attempt is over: the lock is a remnant.
    Gone,
}

impl Store {
    /// What the holder of `lock` is at: one read of its batch.
    pub async fn holder(&self, keys: &TenantKey, lock: &Lock) -> Result<Holder, Fault> {
        let Some((head, Some(state))) = self.batch(keys, &lock.batch).await? else { return Ok(Holder::Gone) };
        let Some(attempt) = state.attempt.clone().filter(|attempt| attempt.nonce == lock.nonce) else {
            return Ok(Holder::Gone);
        };
        Ok(match state.status {
            Status::Preparing => Holder::Preparing(Box::new((head, state))),
            Status::Committed => Holder::Committed(Box::new(head), attempt),
            _ => Holder::Gone,
        })
    }

    /// Writes what `lock`'s attempt has decided about the items that `wanted` picks. What is written already stays.
    pub async fn apply(
        &self,
        keys: &TenantKey,
        lock: &Lock,
        redo: &Redo,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<(), Fault> {
        let (mut batch, mut items, mut bytes) = (Vec::new(), 0, 0);
        for planned in redo.planned.iter().filter(|planned| wanted(&planned.action.key())) {
            let more = planned.action.items();
            let full =
                items + more > self.limits.actions.min(PER_TRANSACTION) || bytes + planned.bytes > self.limits.bytes;
            if full && !batch.is_empty() {
                self.settle("apply", std::mem::take(&mut batch)).await?;
                (items, bytes) = (0, 0);
            }
            // A row and its search row stay together: the row's lock is what says that they are still to be written.
            let mut group = vec![self.apply_item(keys, &planned.action, lock, redo.at)?];
            group.extend(self.posting_item(keys, &planned.action)?);
            batch.push(group);
            items += more;
            bytes += planned.bytes;
        }
        self.settle("apply", batch).await
    }

    /// Takes `lock`, which must hold no longer, off the items of `held` that still have it.
    pub async fn unlock(&self, keys: &TenantKey, lock: &Lock, held: &[Key], now: Timestamp) -> Result<(), Fault> {
        let wanted = held.iter().map(|key| Item::from([("pk".to_owned(), s(keys.item(key)))])).collect();
        let items = self.batch_get(&self.tables.records, wanted).await?;
        let mut left: BTreeMap<String, TransactWriteItem> = BTreeMap::new();
        for item in items.iter().filter(|item| Lock::of(item).as_ref() == Some(lock)) {
            left.insert(Reader(item).text("pk")?.to_owned(), self.unlock_item(item, lock, now)?);
        }
        let mut left: Vec<TransactWriteItem> = left.into_values().collect();
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(self.limits.actions.min(PER_TRANSACTION)));
            self.settle("unlock", left.into_iter().map(|item| vec![item]).collect()).await?;
            left = rest;
        }
        Ok(())
    }

    /// Sends groups of writes whose first each needs a lock, until none is left: one that finds its lock gone has been
    /// done before, with all of its group.
    async fn settle(&self, what: &'static str, mut left: Vec<Vec<TransactWriteItem>>) -> Result<(), Fault> {
        let mut round = 0;
        while !left.is_empty() {
            let request = self
                .client
                .transact_write_items()
                .client_request_token(self.entropy.hex32())
                .set_transact_items(Some(left.concat()));
            let codes: Vec<String> = match self.call(what, || request.clone().send()).await? {
                Ok(_) => return Ok(()),
                Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
                    cancelled.cancellation_reasons().iter().map(code).collect()
                }
                Err(error) if error.code() == Some("ValidationException") => vec!["ValidationError".to_owned()],
                Err(error) => return Err(Fault::new(what, refused(&error))),
            };
            let is = |wanted: &str| codes.iter().any(|code| code == wanted);
            let done = is("ConditionalCheckFailed");
            if !done && is("ValidationError") {
                if left.len() == 1 {
                    return Err(Fault::new(what, "the store refuses an item"));
                }
                // Together they are more than one transaction takes, though each was measured.
                let rest = left.split_off(left.len() / 2);
                Box::pin(self.settle(what, left)).await?;
                left = rest;
                continue;
            }
            let mut codes = codes.iter();
            left.retain(|group| {
                let mut of_group = codes.by_ref().take(group.len());
                let first = of_group.next();
                of_group.for_each(drop);
                first.is_none_or(|code| code != "ConditionalCheckFailed")
            });
            if !done && !self.pause(round).await {
                return Err(Fault::new(what, "others kept writing the same items"));
            }
            round += 1;
        }
        Ok(())
    }
}
