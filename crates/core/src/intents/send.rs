//! Sending signed sets: each at most once.
//!
//! A set is claimed by a write, then sent, then its answer is written. Whoever finds a claim that is not its own does not
//! send: it may be with Orby, and only a look-up tells.

use std::collections::BTreeSet;

use futures::future::join_all;

use super::{Batch, cluster};
use crate::app::App;
use crate::batch::{Defeat, Phase, Set};
use crate::gateway::orby::{Orby, Submission};
use crate::intent::{Address, Reason, Unsigned};
use crate::runtime::Timestamp;
use crate::store::{Fault, SignedSet, Store, TenantKey, Written};

/// Time kept at the end of a call for a sending under way, milliseconds: as long as one takes, and its write.
const RESERVE_MS: i64 = 7_000;
/// A claim older than that is not acted on any more, milliseconds: others may have looked and not found it.
const FRESH_MS: i64 = 5_000;

/// What is needed to send.
pub(super) struct Sender<'a> {
    pub app: &'a App,
    pub orby: &'a Orby,
    pub keys: TenantKey,
    pub store: Store,
    pub until: Timestamp,
}

impl Sender<'_> {
    /// Sends what is ready: an atomic batch in its order, up to the first failure; another one chain beside chain.
    pub async fn send_ready(&self, batch: &mut Batch) -> Result<(), Fault> {
        let lanes = batch.intents.lanes(batch.stored.head.options.atomic);
        let changed = join_all(lanes.iter().map(|lane| self.lane(batch, lane))).await;
        for changed in changed.into_iter().collect::<Result<Vec<_>, Fault>>()?.into_iter().flatten() {
            replace(&mut batch.stored.rows, changed);
        }
        Ok(())
    }

    /// Sends the sets of one lane in order; the rows that changed.
    async fn lane(&self, batch: &Batch, lane: &[usize]) -> Result<Vec<SignedSet>, Fault> {
        let (mut changed, mut stopped) = (Vec::new(), false);
        // Chains with a nonce that was never used, so that none after it can be.
        let mut gaps: BTreeSet<u64> = BTreeSet::new();
        for index in lane {
            let set = batch.intents.sets.get(*index);
            let row = batch.stored.rows.iter().find(|row| row.index == *index);
            let (Some(set), Some(row)) = (set, row) else { continue };
            let (mut row, mut numbered) = (row.clone(), set.numbered_chains());
            if row.phase == Phase::Ready {
                let barred = match () {
                    () if stopped => Some(Phase::Skipped),
                    () if !gaps.is_disjoint(&numbered) => Some(Phase::Failed(unreachable_nonce(), false)),
                    () => None,
                };
                let moved = match barred {
                    Some(phase) => self.put(batch, row, phase).await?,
                    None => self.send(batch, set, row).await?,
                };
                let Some(moved) = moved else { break };
                row = moved;
                changed.push(row.clone());
            }
            match &row.phase {
                Phase::Failed(_, taken) => {
                    stopped |= batch.stored.head.options.atomic;
                    if !taken {
                        gaps.append(&mut numbered);
                    }
                }
                Phase::Skipped => stopped |= batch.stored.head.options.atomic,
                // Whether it is with Orby is not known; what comes after it waits until it is.
                Phase::Sending | Phase::Ready => break,
                Phase::Taken | Phase::Done => {}
            }
        }
        Ok(changed)
    }

    /// Claims a set and sends it; `None` when that is not for this process, or not now.
    async fn send(&self, batch: &Batch, set: &Set, row: SignedSet) -> Result<Option<SignedSet>, Fault> {
        let head = &batch.stored.head;
        let Some((profile, account)) = head.profile.as_ref().and_then(|p| Some((p, Address::parse(&p.address).ok()?)))
        else {
            return Ok(None);
        };
        let operations: Vec<Unsigned> = set.unsigned.iter().filter_map(|value| Unsigned::read(value).ok()).collect();
        if operations.len() != row.signatures.len() || self.app.clock().now().plus_ms(RESERVE_MS) > self.until {
            return Ok(None);
        }
        // Before the claim: a node that does not answer changes nothing.
        let node = match cluster::node(self.orby, profile, account, set.chain).await {
            Ok(node) => node,
            Err(failed) => {
                tracing::warn!(batch.id = %head.id, error = %failed, "no virtual node; the set waits");
                return Ok(None);
            }
        };
        let claimed = self.next(row, Phase::Sending);
        if self.store.claim_set(&self.keys, head, &claimed).await? != Written::Done {
            return Ok(None);
        }
        if self.app.clock().now().since_ms(claimed.since) > FRESH_MS {
            return Ok(Some(claimed));
        }
        let submissions: Vec<Submission<'_>> = operations
            .iter()
            .zip(&claimed.signatures)
            .map(|(operation, signature)| Submission { operation, signature })
            .collect();
        match self.orby.send(&node, &submissions).await {
            Ok(answer) => {
                let mut taken = claimed;
                // What is signed of typed data is no transaction, so it has the hash of none.
                let known = taken.ids.last().filter(|_| set.ends_in_transaction()).cloned();
                taken.tx_hash = answer.hashes.last().cloned().or(known);
                taken.ids = answer.ids;
                self.put(batch, taken, Phase::Taken).await
            }
            Err(failed) if failed.is_certain() => {
                self.put(batch, claimed, Phase::Failed(Defeat::new(failed.reason()), false)).await
            }
            Err(failed) => {
                tracing::warn!(batch.id = %head.id, error = %failed, "not known whether a set was taken; it is looked up");
                Ok(Some(claimed))
            }
        }
    }

    fn next(&self, row: SignedSet, phase: Phase) -> SignedSet {
        let now = self.app.clock().now();
        SignedSet { rev: row.rev + 1, phase, since: now, looked: now, ..row }
    }

    /// Moves a row on; `None` when somebody else did.
    pub async fn put(&self, batch: &Batch, row: SignedSet, phase: Phase) -> Result<Option<SignedSet>, Fault> {
        let next = self.next(row, phase);
        let written = self.store.put_set(&self.keys, &batch.stored.head, &next).await?;
        Ok((written == Written::Done).then_some(next))
    }
}

/// Puts a row in the place of the one it comes from.
pub(super) fn replace(rows: &mut [SignedSet], changed: SignedSet) {
    if let Some(row) = rows.iter_mut().find(|row| row.index == changed.index) {
        *row = changed;
    }
}

/// Of a set whose nonce comes after one that was never used: its chain would wait for ever.
fn unreachable_nonce() -> Defeat {
    let help = "Retry: an operation before it on the same chain was not taken, so its nonce cannot be reached";
    Defeat { reason: Reason::NonceConflict, help: Some(help.to_owned()) }
}
