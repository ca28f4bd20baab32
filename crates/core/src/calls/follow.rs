//! What becomes of transactions after their batch has ended: looked up until it is known, and sent again, as they are,
//! where the node has lost them.

use super::gap;
use crate::app::App;
use crate::batch::Head;
use crate::gateway::stacks::{Broadcast, Chain, Progress, Reason};
use crate::runtime::Timestamp;
use crate::store::{Entry, Fault, Sent, TenantKey};

/// Whether it is not known yet what became of the entry's transaction.
pub fn is_open(entry: &Entry) -> bool {
    let last = entry.progress.as_deref().and_then(Progress::parse);
    entry.sent.is_some() && entry.refused.is_none() && !last.is_some_and(Progress::is_final)
}

/// Looks every open transaction of the batch up; how many are open then. `None` where there is nothing to ask.
pub async fn follow(app: &App, head: &Head, entries: Vec<Entry>, until: Timestamp) -> Result<Option<usize>, Fault> {
    let (keys, store) = (TenantKey::new(head.tenant()), app.store().until(until));
    let Some(chain) = app.chain() else { return Ok(None) };
    let mut open = 0;
    for entry in entries.into_iter().filter(is_open) {
        let Some(sent) = &entry.sent else { continue };
        if app.clock().now().plus_ms(6_000) >= until {
            open += 1;
            continue;
        }
        let progress = match chain.node.progress(&sent.signed.txid).await {
            // The nonces behind it would wait for ever.
            Ok(lost @ (Progress::Missing | Progress::Dropped)) if app.clock().now() >= sent.left_alone_until() => {
                again(chain, sent, lost).await
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
    let signer = head.job.as_ref().and_then(|job| chain.signer(&job.creator));
    if let Some(signer) = signer.filter(|_| open > 0) {
        // They may wait behind a nonce that nothing took, of a batch that was ended from outside.
        gap::close((&store, &keys, head), chain, signer, app.clock().now()).await?;
    }
    Ok(Some(open))
}

/// Sends a transaction that the node has lost once more, as it is.
async fn again(chain: &Chain, sent: &Sent, lost: Progress) -> Progress {
    match (chain.node.broadcast(&sent.signed).await, lost) {
        (Broadcast::Taken, _) => Progress::Pending,
        // Another one of its nonce is in a block. Of one that the node never knew, its look-ups may lag.
        (Broadcast::Refused(Reason::BadNonce), Progress::Dropped) => Progress::Replaced,
        (_, lost) => lost,
    }
}
