//! The log of a batch: rows that are written with what they tell of, in one transaction, and never again.
//!
//! A row's name holds its time, its act and a random part, and its condition is that it is not there; no code names one
//! that is. The functions may not delete anything of a batch.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem};

use super::attribute::{Item, Reader, json_text, n, s};
use super::batches::{Accepted, Written, accepted_before};
use super::call::{Fault, refused};
use super::transaction::token;
use super::{Store, TenantKey};
use crate::batch::{Entry, Head, State};
use crate::runtime::Timestamp;

/// What the sort keys of rows begin with; by itself it is before all of them.
const LOG: &str = "LOG#";

/// Where an entry stands in its log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(String);

impl Place {
    /// Before every row.
    pub fn first() -> Self {
        Self(LOG.to_owned())
    }

    /// Where an entry is that has no row.
    pub fn of(entry: &Entry) -> Self {
        Self(format!("{LOG}{}#{}#", entry.at, entry.act))
    }

    /// For a cursor.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` for a text that is no place.
    pub fn parse(text: &str) -> Option<Self> {
        text.starts_with(LOG).then(|| Self(text.to_owned()))
    }
}

/// What a transaction of ours came to whose items are a few.
pub(super) enum Transacted {
    Done,
    /// A condition does not hold; the reasons in the order of the items.
    Refused(Vec<CancellationReason>),
    Late,
}

impl From<Transacted> for Written {
    fn from(transacted: Transacted) -> Self {
        match transacted {
            Transacted::Done => Self::Done,
            Transacted::Refused(_) => Self::Guard,
            Transacted::Late => Self::Late,
        }
    }
}

impl Store {
    /// Writes the state under the guard, and with it who did that.
    pub async fn put_state_by(
        &self,
        keys: &TenantKey,
        head: &Head,
        guard: Option<u64>,
        (state, entry): (&State, &Entry),
    ) -> Result<Written, Fault> {
        let put = self.state_put(keys, head, guard, state)?;
        let items = vec![item("write state", put.build())?, self.log_put(keys, head, entry, &state.nonce)?];
        let token = token(&format!("{}#{}#log", head.id, state.nonce));
        Ok(self.transact_few("write state", (token, items)).await?.into())
    }

    /// Accepts a batch that retries `of`, whose log tells so from the same moment on.
    pub async fn accept_retry(
        &self,
        keys: &TenantKey,
        head: &Head,
        (of, entry): (&Head, &Entry),
    ) -> Result<Accepted, Fault> {
        let put = self.head_put(keys, head)?;
        let items = vec![item("accept batch", put.build())?, self.log_put(keys, of, entry, &head.seed)?];
        let token = token(&format!("{}#{}#log", head.id, head.seed));
        match self.transact_few("accept batch", (token, items)).await? {
            Transacted::Done => Ok(Accepted::New),
            Transacted::Refused(reasons) => {
                let before = reasons.into_iter().next().and_then(|reason| reason.item);
                accepted_before(keys, head, before.as_ref())
            }
            Transacted::Late => Err(Fault::new("accept batch", "the time of the call is over")),
        }
    }

    /// Up to `most` entries of the log after `after`, oldest first.
    pub async fn log(
        &self,
        keys: &TenantKey,
        head: &Head,
        after: &Place,
        most: usize,
    ) -> Result<Vec<(Place, Entry)>, Fault> {
        let mut found = Vec::new();
        let mut start =
            Some(HashMap::from([("pk".to_owned(), s(keys.batch(&head.id))), ("sk".to_owned(), s(after.as_str()))]));
        while found.len() < most && start.is_some() {
            let request = self
                .client
                .query()
                .table_name(&self.tables.batches)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :log)")
                // Rows of an older batch under the same idempotency key are not this one's.
                .filter_expression("#seed = :seed")
                .expression_attribute_names("#pk", "pk")
                .expression_attribute_names("#sk", "sk")
                .expression_attribute_names("#seed", "seed")
                .expression_attribute_values(":pk", s(keys.batch(&head.id)))
                .expression_attribute_values(":log", s(LOG))
                .expression_attribute_values(":seed", s(head.seed.as_str()))
                .limit(i32::try_from(most).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let answer = self.call("read log", || request.clone().send()).await?;
            let answer = answer.map_err(|error| Fault::new("read log", refused(&error)))?;
            for item in answer.items() {
                found.push(entry_of(item)?);
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
        }
        found.truncate(most);
        Ok(found)
    }

    pub(super) fn log_put(
        &self,
        keys: &TenantKey,
        head: &Head,
        entry: &Entry,
        unique: &str,
    ) -> Result<TransactWriteItem, Fault> {
        let mut row = Item::from([
            ("pk".to_owned(), s(keys.batch(&head.id))),
            ("sk".to_owned(), s(format!("{}{unique}", Place::of(entry).as_str()))),
            ("seed".to_owned(), s(head.seed.as_str())),
            ("logged".to_owned(), n(entry.at.0)),
            ("act".to_owned(), s(entry.act.as_str())),
            ("more".to_owned(), json_text(&entry.more)?),
            ("ttl".to_owned(), n(head.remains_expire().seconds())),
        ]);
        row.extend(entry.by.as_ref().map(|by| ("by".to_owned(), s(by.as_str()))));
        let put = Put::builder()
            .table_name(&self.tables.batches)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(pk)");
        item("write log", put.build())
    }

    pub(super) async fn transact_few(
        &self,
        what: &'static str,
        (token, items): (String, Vec<TransactWriteItem>),
    ) -> Result<Transacted, Fault> {
        let request = self.client.transact_write_items().client_request_token(token).set_transact_items(Some(items));
        let mut round = 0;
        loop {
            let Some(answer) = self.call_in_time(what, || request.clone().send()).await? else {
                return Ok(Transacted::Late);
            };
            let reasons = match answer {
                Ok(_) => return Ok(Transacted::Done),
                Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons.unwrap_or_default()
                }
                // The same token with another body: a time of ours differs. What stands there decides.
                Err(TransactWriteItemsError::IdempotentParameterMismatchException(_)) => Vec::new(),
                Err(error) => return Err(Fault::new(what, refused(&error))),
            };
            if reasons.iter().all(|reason| matches!(reason.code(), None | Some("None" | "ConditionalCheckFailed"))) {
                return Ok(Transacted::Refused(reasons));
            }
            let passes = |code: &str| {
                matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
            };
            let codes: Vec<&str> = reasons.iter().filter_map(CancellationReason::code).collect();
            if !codes.iter().any(|code| passes(code)) {
                return Err(Fault::new(what, codes.join(", ")));
            }
            if !self.pause(round).await {
                return Err(Fault::new(what, "others kept writing the same items"));
            }
            round += 1;
        }
    }
}

fn item(what: &'static str, put: Result<Put, aws_sdk_dynamodb::error::BuildError>) -> Result<TransactWriteItem, Fault> {
    let put = put.map_err(|error| Fault::new(what, error.to_string()))?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn entry_of(item: &Item) -> Result<(Place, Entry), Fault> {
    let item = Reader(item);
    let entry = Entry {
        at: Timestamp(item.int("logged")?),
        act: item.text("act")?.to_owned(),
        by: item.maybe_text("by").map(str::to_owned),
        more: item.json("more")?,
    };
    Ok((Place(item.text("sk")?.to_owned()), entry))
}
