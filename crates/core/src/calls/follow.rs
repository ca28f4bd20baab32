//! What becomes of transactions after their batch has ended: looked up until it is known, and sent again, as they are,
//! where the node has lost them.

use crate::app::App;
use crate::batch::Head;
use crate::gateway::stacks::{Broadcast, Progress};
use crate::runtime::Timestamp;
use crate::store::{Entry, Fault, TenantKey};

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
            // What the pool has lost would keep the nonces behind it waiting.
            Ok(Progress::Missing | Progress::Dropped)
                if chain.node.broadcast(&sent.signed).await == Broadcast::Taken =>
            {
                Progress::Pending
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
    Ok(Some(open))
}
