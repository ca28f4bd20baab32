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

/// Whether `head` is of a content job that took too long.
pub fn was_slow(head: &Head, state: &State) -> bool {
    head.job.is_some() && state.updated.since_ms(head.created) > SLOW_CONTENT_MS
}

/// Whether `head` is of a content job that failed for more than half of its items.
pub fn failed_for_most(head: &Head, state: &State) -> bool {
    head.job.is_some() && unsuccessful(state) * 2 > head.total()
}

fn unsuccessful(state: &State) -> usize {
    state.summary.failed + state.summary.skipped
}

/// Warns of a content job that has ended, if either is so.
pub fn warn_of(head: &Head, state: &State) {
    if was_slow(head, state) {
        let duration_ms = state.updated.since_ms(head.created);
        tracing::warn!(batch.id = %head.id, duration_ms, items = head.total(), "content job was slow");
    }
    if failed_for_most(head, state) {
        let failed = unsuccessful(state);
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
