//! The ledger of contract calls: a row for each, made by the transaction that changes its item, and the nonces of the
//! accounts that sign them.
//!
//! A transaction is sent only once its row holds it, signed; the same write takes its nonce. So after a crash the same
//! bytes are sent again, and never others.

use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem, Update};

use super::attribute::{Item, Reader, b, damaged, json_text, n, s};
use super::batches::{STATE, Written, pair};
use super::call::{Fault, built, refused};
use super::transaction::token;
use super::{Store, TenantKey, keys::signer_pk};
use crate::batch::{BatchId, Head, Intent, State, Status};
use crate::gateway::stacks::{Progress, Signed};
use crate::limits::CALL_LEASE_MS;
use crate::plan::RowKey;
use crate::runtime::Timestamp;

/// What the sort keys of rows begin with.
pub(super) const LEDGER: &str = "A#X#";

/// Of a call that is to be made, and that nobody has signed.
const UNSIGNED: &str = "#seed = :seed AND attribute_not_exists(#txid) AND attribute_not_exists(#refused)";

/// A contract call, or a payment in the place of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose place it takes: an item's in the request, or that of a nonce which nothing else used.
    pub place: Place,
    /// What the contract is to be told; `None` for a payment.
    pub intent: Option<Intent>,
    /// The transaction, once there is one.
    pub sent: Option<Sent>,
    /// Why it will never be in a block: the word of a refusal that gave its nonce back.
    pub refused: Option<String>,
    /// Where it was last seen, in the node's word.
    pub progress: Option<String>,
}

/// What a row of the ledger stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The item at this position in the request.
    Item(usize),
    /// A nonce that nothing else used.
    Nonce(u64),
}

impl Place {
    fn sort_key(self) -> String {
        match self {
            Self::Item(index) => format!("{LEDGER}{index:03}"),
            Self::Nonce(nonce) => format!("{LEDGER}P{nonce}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(LEDGER)?;
        match rest.strip_prefix('P') {
            Some(nonce) => nonce.parse().ok().map(Self::Nonce),
            None => rest.parse().ok().map(Self::Item),
        }
    }
}

/// A signed transaction, as it is or was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Whose account pays.
    pub signer: String,
    /// When it was signed.
    pub at: Timestamp,
    /// The nonce it takes.
    pub nonce: u64,
    /// Its bytes and its id.
    pub signed: Signed,
}

impl Sent {
    /// When whoever signed it has come to an end, so that another process may send it.
    pub fn left_alone_until(&self) -> Timestamp {
        self.at.plus_ms(CALL_LEASE_MS)
    }
}

/// The nonces of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nonces {
    /// Grows with each write; 0 where nothing was written yet.
    pub rev: u64,
    /// The first that was never taken.
    pub next: u64,
    /// Below it, those that were given back, in order.
    pub free: Vec<u64>,
}

impl Nonces {
    /// Brings them to where the chain is: what is below `account` is used.
    pub fn catch_up(&mut self, account: u64) {
        self.next = self.next.max(account);
        self.free.retain(|nonce| *nonce >= account);
    }

    /// The one that is taken next.
    pub fn lowest(&self) -> u64 {
        self.free.first().copied().unwrap_or(self.next)
    }

    /// Takes the lowest.
    pub fn take(&mut self) -> u64 {
        if !self.free.is_empty() {
            return self.free.remove(0);
        }
        self.next += 1;
        self.next - 1
    }

    /// Gives one back. Those at the end were never taken, then.
    pub fn give_back(&mut self, nonce: u64) {
        if nonce < self.next && !self.free.contains(&nonce) {
            self.free.push(nonce);
            self.free.sort_unstable();
        }
        while self.next > 0 && self.free.last() == Some(&(self.next - 1)) {
            self.free.pop();
            self.next -= 1;
        }
    }
}

impl Store {
    /// The row of a call that is to be made, in the transaction that changes its item.
    pub(super) fn intent_item(
        &self,
        keys: &TenantKey,
        head: &Head,
        index: usize,
        intent: &Intent,
    ) -> Result<TransactWriteItem, Fault> {
        let entry = Entry {
            place: Place::Item(index),
            intent: Some(intent.clone()),
            sent: None,
            refused: None,
            progress: None,
        };
        // A row of an older batch under the same idempotency key may still be there.
        let put = Put::builder()
            .table_name(&self.tables.batches)
            .set_item(Some(entry_item(keys, head, &entry)?))
            .condition_expression("attribute_not_exists(pk) OR #seed <> :seed")
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_values(":seed", s(head.seed.as_str()));
        built(put.build()).map(|put| TransactWriteItem::builder().put(put).build())
    }

    /// Head, state and ledger of a batch in one consistent read.
    pub async fn batch_and_ledger(
        &self,
        keys: &TenantKey,
        id: &BatchId,
    ) -> Result<Option<(Head, Option<State>, Vec<Entry>)>, Fault> {
        let items = self.batch_items(keys, id).await?;
        let Some((head, state)) = pair(keys, &items, self.now())? else { return Ok(None) };
        let rows = items.iter().filter(|item| Reader(item).maybe_text("sk").is_some_and(|sk| sk.starts_with(LEDGER)));
        let own = rows.filter(|item| Reader(item).maybe_text("seed") == Some(head.seed.as_str()));
        let entries = own.map(entry_of).collect::<Result<Vec<Entry>, Fault>>()?;
        Ok(Some((head, state, entries)))
    }

    /// The nonces of an account.
    pub async fn nonces(&self, network: &str, address: &str) -> Result<Nonces, Fault> {
        let request = self
            .client
            .get_item()
            .table_name(&self.tables.control)
            .consistent_read(true)
            .key("pk", s(signer_pk(network, address)));
        let answer = self.call("read nonces", || request.clone().send()).await?;
        let answer = answer.map_err(|error| Fault::new("read nonces", refused(&error)))?;
        let Some(item) = answer.item else { return Ok(Nonces::default()) };
        let item = Reader(&item);
        Ok(Nonces { rev: item.int("rev")?, next: item.int("next")?, free: item.json("free")? })
    }

    /// Takes nonces for `entries`, each with its transaction; for calls while the batch is running and `rows` are of
    /// these versions.
    pub async fn claim(
        &self,
        keys: &TenantKey,
        head: &Head,
        (network, address, nonces): (&str, &str, &Nonces),
        (entries, rows): (&[Entry], &[(RowKey, u64)]),
    ) -> Result<Written, Fault> {
        let running = ConditionCheck::builder()
            .table_name(&self.tables.batches)
            .key("pk", s(keys.batch(&head.id)))
            .key("sk", s(STATE))
            .condition_expression("#seed = :seed AND #status = :running")
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":seed", s(head.seed.as_str()))
            .expression_attribute_values(":running", s(Status::Running.as_str()));
        let mut items = vec![self.nonces_item(network, address, nonces)?];
        // A payment is no item's call: it may be made after the end of its batch.
        if entries.iter().any(|entry| matches!(entry.place, Place::Item(_))) {
            items.push(TransactWriteItem::builder().condition_check(built(running.build())?).build());
        }
        for (row, version) in rows {
            let unchanged = ConditionCheck::builder()
                .table_name(&self.tables.records)
                .key("pk", s(keys.row(row)))
                .condition_expression("#v = :v")
                .expression_attribute_names("#v", "_v")
                .expression_attribute_values(":v", n(version));
            items.push(TransactWriteItem::builder().condition_check(built(unchanged.build())?).build());
        }
        for entry in entries {
            // Who has the row unsigned signs it; a payment has none yet.
            let unsigned = match entry.place {
                Place::Item(_) => UNSIGNED,
                Place::Nonce(_) => "attribute_not_exists(pk) OR #seed <> :seed OR #txid = :txid",
            };
            let mut put = self.entry_put(keys, head, entry, unsigned)?;
            if let (Place::Nonce(_), Some(sent)) = (entry.place, &entry.sent) {
                put = put.expression_attribute_values(":txid", s(sent.signed.txid.as_str()));
            }
            items.push(TransactWriteItem::builder().put(built(put.build())?).build());
        }
        self.write_few(head, "claim nonces", items).await
    }

    /// Keeps that calls are not made, whatever comes, while nobody has signed any of them: all or none.
    pub async fn leave_unsigned(&self, keys: &TenantKey, head: &Head, entries: &[Entry]) -> Result<Written, Fault> {
        let put = |entry| {
            let put = built(self.entry_put(keys, head, entry, UNSIGNED)?.build())?;
            Ok(TransactWriteItem::builder().put(put).build())
        };
        let items = entries.iter().map(put).collect::<Result<Vec<_>, Fault>>()?;
        self.write_few(head, "leave calls", items).await
    }

    /// Gives the nonce of a refused transaction back, for another to take; its bytes are not sent any more.
    pub async fn release(
        &self,
        keys: &TenantKey,
        head: &Head,
        (network, address, nonces): (&str, &str, &Nonces),
        entry: &Entry,
    ) -> Result<Written, Fault> {
        let put = self.entry_put(keys, head, entry, "#seed = :seed AND attribute_not_exists(#refused)")?;
        let items = vec![
            self.nonces_item(network, address, nonces)?,
            TransactWriteItem::builder().put(built(put.build())?).build(),
        ];
        self.write_few(head, "release nonce", items).await
    }

    /// Keeps where a transaction was seen, unless its end is kept: a writing that is carried out late must not open it again.
    pub async fn note_progress(&self, keys: &TenantKey, head: &Head, entry: &Entry) -> Result<(), Fault> {
        let open = "#seed = :seed AND attribute_not_exists(#refused) \
                    AND (attribute_not_exists(#progress) OR #progress IN (:missing, :pending, :dropped))";
        let words = Progress::OPEN.map(Progress::as_str).map(|word| (format!(":{word}"), s(word)));
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.batches)
            .set_item(Some(entry_item(keys, head, entry)?))
            .condition_expression(open)
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_names("#refused", "refused")
            .expression_attribute_names("#progress", "progress")
            .set_expression_attribute_values(Some(words.into()))
            .expression_attribute_values(":seed", s(head.seed.as_str()));
        match self.call("note progress", || request.clone().send()).await? {
            Ok(_) => Ok(()),
            Err(error) if error.is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(Fault::new("note progress", refused(&error))),
        }
    }

    fn entry_put(
        &self,
        keys: &TenantKey,
        head: &Head,
        entry: &Entry,
        condition: &str,
    ) -> Result<aws_sdk_dynamodb::types::builders::PutBuilder, Fault> {
        let put = Put::builder()
            .table_name(&self.tables.batches)
            .set_item(Some(entry_item(keys, head, entry)?))
            .condition_expression(condition)
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_values(":seed", s(head.seed.as_str()));
        let named =
            [("#txid", "txid"), ("#refused", "refused")].into_iter().filter(|(name, _)| condition.contains(name));
        Ok(named.fold(put, |put, (name, field)| put.expression_attribute_names(name, field)))
    }

    /// Writes the nonces if they are as read: `rev` is that of the writing before.
    fn nonces_item(&self, network: &str, address: &str, nonces: &Nonces) -> Result<TransactWriteItem, Fault> {
        let condition = if nonces.rev == 0 { "attribute_not_exists(pk)" } else { "#rev = :rev" };
        let update = Update::builder()
            .table_name(&self.tables.control)
            .key("pk", s(signer_pk(network, address)))
            .update_expression("SET #rev = :next_rev, #next = :next, #free = :free")
            .condition_expression(condition)
            .expression_attribute_names("#rev", "rev")
            .expression_attribute_names("#next", "next")
            .expression_attribute_names("#free", "free")
            .expression_attribute_values(":next_rev", n(nonces.rev + 1))
            .expression_attribute_values(":next", n(nonces.next))
            .expression_attribute_values(":free", json_text(&nonces.free)?);
        let update = if nonces.rev == 0 { update } else { update.expression_attribute_values(":rev", n(nonces.rev)) };
        built(update.build()).map(|update| TransactWriteItem::builder().update(update).build())
    }

    async fn write_few(
        &self,
        head: &Head,
        what: &'static str,
        items: Vec<TransactWriteItem>,
    ) -> Result<Written, Fault> {
        let token = token(&format!("{}#{}#ledger", head.id, self.entropy.hex32()));
        Ok(self.transact_few(what, (token, items)).await?.into())
    }
}

fn entry_item(keys: &TenantKey, head: &Head, entry: &Entry) -> Result<Item, Fault> {
    let mut item = Item::from([
        ("pk".to_owned(), s(keys.batch(&head.id))),
        ("sk".to_owned(), s(entry.place.sort_key())),
        ("seed".to_owned(), s(head.seed.as_str())),
        ("ttl".to_owned(), n(head.remains_expire().seconds())),
    ]);
    if let Some(intent) = &entry.intent {
        item.insert("intent".to_owned(), json_text(intent)?);
    }
    if let Some(Sent { signer, at, nonce, signed }) = &entry.sent {
        item.insert("signed_at".to_owned(), n(at.0));
        item.insert("signer".to_owned(), s(signer.as_str()));
        item.insert("nonce".to_owned(), n(nonce));
        item.insert("bytes".to_owned(), b(signed.bytes.as_slice()));
        item.insert("txid".to_owned(), s(signed.txid.as_str()));
    }
    item.extend(entry.refused.as_ref().map(|word| ("refused".to_owned(), s(word.as_str()))));
    item.extend(entry.progress.as_ref().map(|word| ("progress".to_owned(), s(word.as_str()))));
    Ok(item)
}

fn entry_of(item: &Item) -> Result<Entry, Fault> {
    let item = Reader(item);
    let sent = match item.maybe_text("txid") {
        None => None,
        Some(txid) => Some(Sent {
            signer: item.text("signer")?.to_owned(),
            at: Timestamp(item.int("signed_at")?),
            nonce: item.int("nonce")?,
            signed: Signed { bytes: item.bytes("bytes")?.to_vec(), txid: txid.to_owned() },
        }),
    };
    Ok(Entry {
        place: Place::parse(item.text("sk")?).ok_or_else(|| damaged("sk"))?,
        intent: item.maybe_text("intent").map(|_| item.json("intent")).transpose()?,
        sent,
        refused: item.maybe_text("refused").map(str::to_owned),
        progress: item.maybe_text("progress").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_that_is_given_back_is_taken_next() {
        let mut nonces = Nonces { rev: 1, next: 5, free: Vec::new() };
        assert_eq!([nonces.take(), nonces.take(), nonces.take()], [5, 6, 7]);
        nonces.give_back(5);
        nonces.give_back(6);
        nonces.give_back(6);
        assert_eq!((nonces.next, nonces.free.as_slice()), (8, [5, 6].as_slice()));
        assert_eq!([nonces.take(), nonces.take(), nonces.take()], [5, 6, 8]);
        nonces.give_back(7);
        nonces.give_back(8);
        assert_eq!((nonces.next, nonces.free.len()), (7, 0), "those at the end were never taken");
        nonces.give_back(9);
        assert_eq!((nonces.next, nonces.free.len()), (7, 0), "nor was one beyond");
        nonces.give_back(3);
        nonces.catch_up(4);
        assert_eq!((nonces.next, nonces.free.len()), (7, 0), "the chain has used it");
        nonces.catch_up(11);
        assert_eq!(nonces.take(), 11);
    }
}
