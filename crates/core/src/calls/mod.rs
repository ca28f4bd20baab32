//! Contract calls: made after their items are changed, as well as can be, each at most once.
//!
//! A call is signed and stored together with the nonce it takes, and sent then. What the node makes of it settles the
//! item; settled items are written to the state every few. A crash at any point leaves either nothing or a signed
//! transaction, which whoever goes on sends again as it is.

mod follow;
mod gap;
mod outcome;
mod sender;
mod standing;

pub use follow::{follow, is_open};

use crate::app::App;
use crate::batch::{Head, State};
use crate::limits::SLOW_CONTENT_MS;
use crate::runtime::Timestamp;
use crate::store::{Fault, TenantKey};

/// Warns of a content job that took long, or failed for more than half of its items. The words are those that the
/// deployment counts.
pub fn warn_of(head: &Head, state: &State) {
    if head.job.is_none() {
        return;
    }
    let (duration_ms, failed) = (state.updated.since_ms(head.created), state.summary.failed + state.summary.skipped);
    if duration_ms > SLOW_CONTENT_MS {
        tracing::warn!(batch.id = %head.id, duration_ms, items = head.total(), "content job was slow");
    }
    if failed * 2 > head.total() {
        tracing::warn!(batch.id = %head.id, failed, items = head.total(), "content job failed for most items");
    }
}

/// Makes the calls of a batch whose items, with these ids, are all changed; the state as it stands then. Without an end there are calls
/// left to make.
pub async fn make(app: &App, head: &Head, ids: &[String], until: Timestamp) -> Result<Option<State>, Fault> {
    let keys = TenantKey::new(head.tenant());
    let store = app.store().until(until);
    let Some((_, state, entries)) = store.batch_and_ledger(&keys, &head.id).await? else { return Ok(None) };
    let Some(state) = state else { return Ok(None) };
    let mut sender = sender::Sender::new(app, (head, ids), (keys, store, until), (state, entries));
    sender.run().await?;
    Ok(Some(sender.into_state()))
}
