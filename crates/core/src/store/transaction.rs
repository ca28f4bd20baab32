//! The one commit: state guard, effects and results in a single `TransactWriteItems`.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, TransactWriteItem};

use super::batches::state_of;
use super::call::{Fault, refused};
use super::lock::{Lock, Locked};
use super::records::{Refusal, refusal};
use super::{Store, TenantKey};
use crate::batch::{Head, Intent, State};
use crate::engine::{Action, Key};
use crate::json::sha256_hex;

/// What is to be committed.
#[derive(Debug)]
pub struct Committing<'a> {
    /// The batch.
    pub head: &'a Head,
    /// `rev` of the state as read; `None` when there was none.
    pub guard: Option<u64>,
    /// The state to write, with the results.
    pub state: &'a State,
    /// The effects.
    pub actions: &'a [Action],
    /// Contract calls to be made then, by position in the request.
    pub intents: &'a [(usize, Intent)],
}

/// What became of a commit.
#[derive(Debug)]
pub enum Commit {
    /// It is installed, by this call or by an earlier sending of the same one.
    Done,
    /// The state is not the one read: here it is.
    Guard(Box<Option<State>>),
    /// Nothing happened: some items are not as assumed, or a wide commit is at them.
    Refused(Vec<Refusal>, Vec<Locked>),
    /// Nothing happened: others were writing the same items, or the store asks to slow down.
    Busy(Vec<Key>),
    /// The time is over: it was not sent, or not sent again, and what stands in the state decides.
    Late,
    /// Nothing happened: the store will never take this, because of these items or, when none is named, as a whole.
    Invalid(Vec<Key>),
}

impl Store {
    /// Sends the commit until its answer is known.
    ///
    /// The client token makes a repeated sending of this very request harmless while the store remembers it; that it is
    /// harmless after that too rests on the guard.
    pub async fn commit(&self, keys: &TenantKey, commit: &Committing<'_>) -> Result<Commit, Fault> {
        let writer = format!("{}#{}", commit.head.id, commit.state.nonce);
        let now = commit.state.updated;
        let mut items = vec![self.guard_item(keys, commit.head, commit.guard, commit.state)?];
        for action in commit.actions {
            items.push(self.write_item(keys, action, &writer, now)?);
        }
        for action in commit.actions {
            items.extend(self.posting_item(keys, action)?);
        }
        for (index, intent) in commit.intents {
            items.push(self.intent_item(keys, commit.head, *index, intent)?);
        }
        let token = token(&format!("{writer}#{}", commit.state.rev));
        self.transact(keys, commit.head, (token, items), commit.actions.iter()).await
    }

    /// Sends a transaction whose first item is about the state, and the others each about the item of an action; search
    /// rows come last, in the order of their rows.
    pub(super) async fn transact<'a>(
        &self,
        keys: &TenantKey,
        head: &Head,
        (token, items): (String, Vec<TransactWriteItem>),
        actions: impl Iterator<Item = &'a Action>,
    ) -> Result<Commit, Fault> {
        let request = self.client.transact_write_items().client_request_token(token).set_transact_items(Some(items));
        let Some(answer) = self.call_in_time("commit", || request.clone().send()).await? else {
            return Ok(Commit::Late);
        };
        match answer {
            Ok(_) => Ok(Commit::Done),
            Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                classify(actions, cancelled.cancellation_reasons())
            }
            // The same token with another body cannot come from this process; what stands in the state decides.
            Err(TransactWriteItemsError::IdempotentParameterMismatchException(_)) => {
                let state = self.state(keys, head).await?;
                Ok(Commit::Guard(Box::new(state)))
            }
            Err(error) if error.code() == Some("ValidationException") => Ok(Commit::Invalid(Vec::new())),
            Err(error) => Err(Fault::new("commit", refused(&error))),
        }
    }

    fn guard_item(
        &self,
        keys: &TenantKey,
        head: &Head,
        guard: Option<u64>,
        state: &State,
    ) -> Result<TransactWriteItem, Fault> {
        let put = self.state_put(keys, head, guard, state)?;
        let put = put.build().map_err(|error| Fault::new("commit", error.to_string()))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// A token of at most 36 characters, as the store asks. `of` holds a nonce that is new for each commit that is built, so
/// it names batch, attempt and content.
pub(super) fn token(of: &str) -> String {
    sha256_hex(of.as_bytes())[..32].to_owned()
}

/// Reasons come in the order of the request's items: the state, then the actions, then their search rows, of which each
/// counts as its row.
fn classify<'a>(actions: impl Iterator<Item = &'a Action>, reasons: &[CancellationReason]) -> Result<Commit, Fault> {
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    let Some((guard, rest)) = reasons.split_first() else {
        return Err(Fault::new("commit", "cancelled without reasons"));
    };
    if code(guard) == "ConditionalCheckFailed" {
        let state = guard.item().filter(|item| !item.is_empty()).map(state_of).transpose()?;
        return Ok(Commit::Guard(Box::new(state)));
    }
    let (mut known, mut locked, mut busy, mut invalid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let actions: Vec<&Action> = actions.collect();
    let posted = actions.iter().filter(|action| action.items() > 1);
    for (key, reason) in actions.iter().chain(posted).map(|action| action.key()).zip(rest) {
        let item = reason.item().filter(|item| !item.is_empty());
        match (code(reason).as_str(), item.and_then(Lock::of)) {
            ("None", _) => {}
            ("ConditionalCheckFailed", Some(lock)) => locked.push(Locked { key, lock }),
            ("ConditionalCheckFailed", None) => known.push(refusal(&key, item)?),
            ("ValidationError" | "ItemCollectionSizeLimitExceeded", _) => invalid.push(key),
            _ => busy.push(key),
        }
    }
    Ok(if !known.is_empty() || !locked.is_empty() {
        Commit::Refused(known, locked)
    } else if !invalid.is_empty() {
        Commit::Invalid(invalid)
    } else {
        Commit::Busy(busy)
    })
}
