//! The ledger of signed operation sets: a row for each, made when a batch is executed. Every write of a row is on
//! condition that it is as it was read, so that who sends a set is decided once.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    ConditionCheck, Put, ReturnValuesOnConditionCheckFailure as ReturnOld, TransactWriteItem,
};

use super::attribute::{Item, Reader, json_text, n, s};
use super::batches::{STATE, Written, pair};
use super::call::{Fault, built, refused};
use super::ledger::LEDGER;
use super::transaction::token;
use super::{Store, TenantKey};
use crate::batch::{BatchId, Entry, Head, Phase, State, Status};
use crate::runtime::Timestamp;

/// A signed operation set.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedSet {
    /// Its position in the request.
    pub index: usize,
    /// Grows with each write.
    pub rev: u64,
    /// Signatures of its operations, in their order.
    pub signatures: Vec<String>,
    /// Hashes of its operations, known before they are sent; those that Orby named are named so.
    pub ids: Vec<String>,
    /// The hash of its last transaction.
    pub tx_hash: Option<String>,
    /// Where it stands.
    pub phase: Phase,
    /// When it came to be in this phase.
    pub since: Timestamp,
    /// When Orby was last asked about it.
    pub looked: Timestamp,
}

/// Shows no signature.
impl std::fmt::Debug for SignedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedSet").field("index", &self.index).field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// What Orby calls the account of a profile.
#[derive(Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The account; a profile that has another one by now has another cluster.
    pub account: String,
    /// Which Orby calls it so.
    pub place: String,
    /// The name.
    pub id: String,
}

/// Shows no account.
impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A batch of intents as it stands.
#[derive(Debug)]
pub struct IntentBatch {
    /// The batch.
    pub head: Head,
    /// Absent until it is executed, or ended without that.
    pub state: Option<State>,
    /// Its ledger.
    pub rows: Vec<SignedSet>,
}

impl Store {
    /// What the account of a profile was last called.
    pub async fn cluster(&self, keys: &TenantKey, profile: &str) -> Result<Option<Cluster>, Fault> {
        let request = self
            .client
            .get_item()
            .table_name(&self.tables.control)
            .consistent_read(true)
            .key("pk", s(keys.cluster(profile)));
        let answer = self.call("read cluster", || request.clone().send()).await?;
        let answer = answer.map_err(|error| Fault::new("read cluster", refused(&error)))?;
        answer.item.as_ref().map(cluster_of).transpose()
    }

    /// Keeps a name, unless another process has just kept one for the same account at the same place: the one that is
    /// kept.
    pub async fn keep_cluster(&self, keys: &TenantKey, profile: &str, cluster: Cluster) -> Result<Cluster, Fault> {
        let request = self
            .client
            .update_item()
            .table_name(&self.tables.control)
            .key("pk", s(keys.cluster(profile)))
            .update_expression("SET #account = :account, #place = :place, #cluster = :cluster")
            .condition_expression("attribute_not_exists(pk) OR #account <> :account OR #place <> :place")
            .expression_attribute_names("#account", "account")
            .expression_attribute_names("#place", "place")
            .expression_attribute_names("#cluster", "cluster")
            .expression_attribute_values(":account", s(cluster.account.as_str()))
            .expression_attribute_values(":place", s(cluster.place.as_str()))
            .expression_attribute_values(":cluster", s(cluster.id.as_str()))
            .return_values_on_condition_check_failure(ReturnOld::AllOld);
        match self.call("keep cluster", || request.clone().send()).await? {
            Ok(_) => Ok(cluster),
            Err(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                failed.item().map_or(Ok(cluster), cluster_of)
            }
            Err(error) => Err(Fault::new("keep cluster", refused(&error))),
        }
    }

    /// A batch of intents in one consistent read.
    pub async fn intent_batch(&self, keys: &TenantKey, id: &BatchId) -> Result<Option<IntentBatch>, Fault> {
        let items = self.batch_items(keys, id).await?;
        let Some((head, state)) = pair(keys, &items, self.now())? else { return Ok(None) };
        if head.profile.is_none() {
            return Ok(None);
        }
        let rows = items.iter().filter(|item| Reader(item).maybe_text("sk").is_some_and(|sk| sk.starts_with(LEDGER)));
        let own = rows.filter(|item| Reader(item).maybe_text("seed") == Some(head.seed.as_str()));
        let rows = own.map(row_of).collect::<Result<Vec<SignedSet>, Fault>>()?;
        Ok(Some(IntentBatch { head, state, rows }))
    }

    /// Takes signatures in: from then on the batch runs. Nothing happens when somebody did so before.
    pub async fn begin_intents(
        &self,
        keys: &TenantKey,
        head: &Head,
        (state, entry): (&State, &Entry),
        rows: &[SignedSet],
    ) -> Result<Written, Fault> {
        let put = built(self.state_put(keys, head, None, state)?.build())?;
        let mut items =
            vec![TransactWriteItem::builder().put(put).build(), self.log_put(keys, head, entry, &state.nonce)?];
        for row in rows {
            // A row of an older batch under the same idempotency key may still be there.
            let put = Put::builder()
                .table_name(&self.tables.batches)
                .set_item(Some(row_item(keys, head, row)?))
                .condition_expression("attribute_not_exists(pk) OR #seed <> :seed")
                .expression_attribute_names("#seed", "seed")
                .expression_attribute_values(":seed", s(head.seed.as_str()));
            items.push(TransactWriteItem::builder().put(built(put.build())?).build());
        }
        let token = token(&format!("{}#{}#begin", head.id, state.nonce));
        Ok(self.transact_few("execute intents", (token, items)).await?.into())
    }

    /// Claims the sending of a set, while the batch runs. Who has the claim sends it, once.
    pub async fn claim_set(&self, keys: &TenantKey, head: &Head, row: &SignedSet) -> Result<Written, Fault> {
        let running = ConditionCheck::builder()
            .table_name(&self.tables.batches)
            .key("pk", s(keys.batch(&head.id)))
            .key("sk", s(STATE))
            .condition_expression("#seed = :seed AND #status = :running")
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":seed", s(head.seed.as_str()))
            .expression_attribute_values(":running", s(Status::Running.as_str()));
        let put = Put::builder()
            .table_name(&self.tables.batches)
            .set_item(Some(row_item(keys, head, row)?))
            .condition_expression("#seed = :seed AND #rev = :rev")
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_names("#rev", "rev")
            .expression_attribute_values(":seed", s(head.seed.as_str()))
            .expression_attribute_values(":rev", n(row.rev - 1));
        let items = vec![
            TransactWriteItem::builder().condition_check(built(running.build())?).build(),
            TransactWriteItem::builder().put(built(put.build())?).build(),
        ];
        // The token is new for each claim: that of another process must not be taken for this one's.
        let token = token(&format!("{}#{}#claim", head.id, self.entropy.hex32()));
        Ok(self.transact_few("claim set", (token, items)).await?.into())
    }

    /// Writes a row whose revision is one more than that read.
    pub async fn put_set(&self, keys: &TenantKey, head: &Head, row: &SignedSet) -> Result<Written, Fault> {
        let request = self
            .client
            .put_item()
            .table_name(&self.tables.batches)
            .set_item(Some(row_item(keys, head, row)?))
            .condition_expression("#seed = :seed AND #rev = :rev")
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_names("#rev", "rev")
            .expression_attribute_values(":seed", s(head.seed.as_str()))
            .expression_attribute_values(":rev", n(row.rev - 1));
        match self.call("write set", || request.clone().send()).await? {
            Ok(_) => Ok(Written::Done),
            Err(error) if error.is_conditional_check_failed_exception() => Ok(Written::Guard),
            Err(error) => Err(Fault::new("write set", refused(&error))),
        }
    }
}

fn row_item(keys: &TenantKey, head: &Head, row: &SignedSet) -> Result<Item, Fault> {
    let mut item = Item::from([
        ("pk".to_owned(), s(keys.batch(&head.id))),
        ("sk".to_owned(), s(format!("{LEDGER}{:03}", row.index))),
        ("seed".to_owned(), s(head.seed.as_str())),
        ("ttl".to_owned(), n(head.remains_expire().seconds())),
        ("index".to_owned(), n(row.index)),
        ("rev".to_owned(), n(row.rev)),
        ("signatures".to_owned(), json_text(&row.signatures)?),
        ("ids".to_owned(), json_text(&row.ids)?),
        ("phase".to_owned(), json_text(&row.phase)?),
        ("since".to_owned(), n(row.since.0)),
        ("looked".to_owned(), n(row.looked.0)),
    ]);
    item.extend(row.tx_hash.as_ref().map(|hash| ("tx_hash".to_owned(), s(hash.as_str()))));
    Ok(item)
}

fn cluster_of(item: &Item) -> Result<Cluster, Fault> {
    let item = Reader(item);
    let text = |name: &str| item.text(name).map(str::to_owned);
    Ok(Cluster { account: text("account")?, place: text("place")?, id: text("cluster")? })
}

fn row_of(item: &Item) -> Result<SignedSet, Fault> {
    let item = Reader(item);
    Ok(SignedSet {
        index: item.int("index")?,
        rev: item.int("rev")?,
        signatures: item.json("signatures")?,
        ids: item.json("ids")?,
        tx_hash: item.maybe_text("tx_hash").map(str::to_owned),
        phase: item.json("phase")?,
        since: Timestamp(item.int("since")?),
        looked: Timestamp(item.int("looked")?),
    })
}
