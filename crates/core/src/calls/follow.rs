//! What becomes of transactions after their batch has ended: looked up until it is known, and sent again, as they are,
//! where the node has lost them.

use super::gap;
use crate::app::App;
use crate::batch::Head;
use crate::gateway::stacks::{Broadcast, Chain, Progress, Reason};
use crate::runtime::Timestamp;
use crate::store::{Entry, Fault, LedgerPlace, Sent, TenantKey};

/// Whether it is not known yet what became of the entry's transaction.
pub fn is_open(entry: &Entry) -> bool {
    let last = entry.progress.as_deref().and_then(Progress::parse);
    entry.sent.is_some() && entry.refused.is_none() && !last.is_some_and(Progress::is_final)
}

/// Looks every open transaction of the batch up; how many are open then. `None` where there is nothing to ask.
pub async fn follow(app: &App, head: &Head, entries: Vec<Entry>, until: Timestamp) -> Result<Option<usize>, Fault> {
    let (keys, store) = (TenantKey::new(head.tenant()), app.store().until(until));
    let Some(chain) = app.chain() else { return Ok(None) };
    let signer = head.job.as_ref().and_then(|job| chain.signer(&job.creator));
    let (mut open, mut given_back) = (0, false);
    for entry in entries.into_iter().filter(is_open) {
        let Some(sent) = &entry.sent else { continue };
        if app.clock().now().plus_ms(6_000) >= until {
            open += 1;
            continue;
        }
        let progress = match chain.node.progress(&sent.signed.txid).await {
            // The nonces behind it would wait for ever.
            Ok(lost @ (Progress::Missing | Progress::Dropped)) if app.clock().now() >= sent.left_alone_until() => {
                match (again(chain, sent, lost).await, signer, entry.place) {
                    (Ok(progress), ..) => progress,
                    // Taken by another call, or filled by a payment, it holds nobody up.
                    (Err(reason), Some(signer), LedgerPlace::Item(_)) => {
                        let refused = Entry { refused: Some(reason.as_str().to_owned()), ..entry };
                        gap::give_back((&store, &keys, head), chain, signer, &refused).await?;
                        given_back = true;
                        continue;
                    }
                    // A payment waits until its account has the money.
                    (Err(_), ..) => lost,
                }
            }
            Ok(progress) => progress,
            Err(error) => {
                tracing::warn!(batch.id = %head.id, %error, "a transaction cannot be looked up");
                open += 1;
                continue;
            }
        };
        open += usize::from(!progress.is_final());
        if entry.progress.as_deref() != Some(progress.as_str()) {
            let seen = Entry { progress: Some(progress.as_str().to_owned()), ..entry };
            store.note_progress(&keys, head, &seen).await?;
        }
    }
    if let Some(signer) = signer.filter(|_| open > 0 || given_back) {
        // They may wait behind a nonce that nothing took, of a batch that was ended from outside.
        gap::close((&store, &keys, head), chain, signer, app.clock().now()).await?;
    }
    Ok(Some(open))
}

/// Sends a transaction that the node has lost once more, as it is; an error when the node never will take it, so that its
/// nonce is free.
async fn again(chain: &Chain, sent: &Sent, lost: Progress) -> Result<Progress, Reason> {
    match (chain.node.broadcast(&sent.signed).await, lost) {
        (Broadcast::Taken, _) => Ok(Progress::Pending),
        // Another one of its nonce is in a block. Of one that the node never knew, its look-ups may lag.
        (Broadcast::Refused(Reason::BadNonce), Progress::Dropped) => Ok(Progress::Replaced),
        (Broadcast::Refused(Reason::BadNonce | Reason::ConflictingNonceInMempool), lost) => Ok(lost),
        (Broadcast::Refused(reason), _) => Err(reason),
        (Broadcast::Later(_) | Broadcast::Unknown(_), lost) => Ok(lost),
    }
}
