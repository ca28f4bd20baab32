//! Batches: the head, its operations, the state and its results.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::builders::PutBuilder;
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure as ReturnOld};

use super::attribute::{Item, Reader, b, damaged, json_text, n, s};
use super::call::{Fault, refused};
use super::watch::watch_bucket;
use super::{Store, TenantKey};
use crate::auth;
use crate::batch::{
    BatchId, Cut, Dialect, Head, Lineage, Operations, Results, State, Status, Summary, Work, pack, unpack,
};
use crate::json::sha256_hex;
use crate::limits::{INLINE_OPERATIONS_BYTES, PART_BYTES};
use crate::operation::Outcome;
use crate::runtime::Timestamp;
use crate::trace::Trace;

const HEAD: &str = "A#HEAD";
pub(super) const STATE: &str = "A#STATE";
/// Version of the stored form; a reader refuses one it does not know.
const FORMAT: u32 = 1;

/// What the attempt to accept a batch came to.
#[derive(Debug)]
pub enum Accepted {
    /// It is accepted now.
    New,
    /// One of this id was accepted before.
    Before(Box<Head>),
}

/// What became of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done,
    /// Something is not as it was read: nothing happened.
    Guard,
    /// The time is over: it was not sent, or not sent again.
    Late,
}

/// What a batch holds beside its head and state.
#[derive(Debug)]
pub struct Contents {
    /// What it works on.
    pub work: Work,
    /// In execution order, up to the cursor.
    pub outcomes: Vec<Outcome>,
}

impl Store {
    /// Stores packed operations that the head cannot hold, and says where they are. Orphans die by TTL.
    pub async fn put_operations(
        &self,
        keys: &TenantKey,
        id: &BatchId,
        packed: Vec<u8>,
        expires: Timestamp,
    ) -> Result<Operations, Fault> {
        if packed.len() <= INLINE_OPERATIONS_BYTES {
            return Ok(Operations::Inline(packed));
        }
        let hash = sha256_hex(&packed);
        let count = self.put_parts(keys, id, &format!("OPS#{hash}"), &packed, expires).await?;
        Ok(Operations::Parts { hash, count })
    }

    /// Stores packed results that the state cannot hold, under `name`; returns the number of parts.
    pub async fn put_results(
        &self,
        keys: &TenantKey,
        head: &Head,
        (from, nonce): (usize, &str),
        packed: &[u8],
    ) -> Result<usize, Fault> {
        self.put_parts(keys, &head.id, &results_name(from, nonce), packed, head.remains_expire()).await
    }

    /// A part that is there already is kept, unless its end comes before the batch's.
    pub(super) async fn put_parts(
        &self,
        keys: &TenantKey,
        id: &BatchId,
        name: &str,
        packed: &[u8],
        expires: Timestamp,
    ) -> Result<usize, Fault> {
        let parts = packed.chunks(PART_BYTES);
        let count = parts.len();
        for (index, part) in parts.enumerate() {
            let request = self
                .client
                .put_item()
                .table_name(&self.tables.batches)
                .item("pk", s(keys.batch(id)))
                .item("sk", s(part_name(name, index)))
                .item("bytes", b(part))
                .item("ttl", n(expires.seconds()))
                // The name holds a hash or a nonce, so what is there has these bytes; only its end may be too near.
                .condition_expression("attribute_not_exists(pk) OR #ttl < :ttl")
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":ttl", n(expires.seconds()));
            match self.call("store part", || request.clone().send()).await? {
                Ok(_) | Err(PutItemError::ConditionalCheckFailedException(_)) => {}
                Err(error) => return Err(Fault::new("store part", refused(&error))),
            }
        }
        Ok(count)
    }

    /// Accepts the batch: one conditional write, repeated until its answer is known.
    pub async fn accept(&self, keys: &TenantKey, head: &Head) -> Result<Accepted, Fault> {
        let put = self.head_put(keys, head)?.build();
        let request = self.alone(put.map_err(|error| Fault::new("accept batch", error.to_string()))?);
        let request = request.return_values_on_condition_check_failure(ReturnOld::AllOld);
        match self.call("accept batch", || request.clone().send()).await? {
            Ok(_) => Ok(Accepted::New),
            Err(PutItemError::ConditionalCheckFailedException(failed)) => accepted_before(keys, head, failed.item()),
            Err(error) => Err(Fault::new("accept batch", refused(&error))),
        }
    }

    /// The write that accepts a batch.
    pub(super) fn head_put(&self, keys: &TenantKey, head: &Head) -> Result<PutBuilder, Fault> {
        Ok(Put::builder()
            .table_name(&self.tables.batches)
            .set_item(Some(head_item(keys, head)?))
            .condition_expression("attribute_not_exists(pk) OR #ttl < :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", n(head.created.seconds()))
            .return_values_on_condition_check_failure(ReturnOld::AllOld))
    }

    /// A write that is part of transactions too, by itself.
    fn alone(&self, put: Put) -> PutItemFluentBuilder {
        self.client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values)
    }

    /// Head and state of a batch in one consistent read; `None` when there is none, or it is past its time.
    pub async fn batch(&self, keys: &TenantKey, id: &BatchId) -> Result<Option<(Head, Option<State>)>, Fault> {
        pair(keys, &self.batch_items(keys, id).await?, self.now())
    }

    /// What a poll reads of a batch: one page of 1 MB, unless its ledger holds more, as large contract calls may.
    pub(super) async fn batch_items(&self, keys: &TenantKey, id: &BatchId) -> Result<Vec<Item>, Fault> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.tables.batches)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :a)")
                .expression_attribute_names("#pk", "pk")
                .expression_attribute_names("#sk", "sk")
                .expression_attribute_values(":pk", s(keys.batch(id)))
                .expression_attribute_values(":a", s("A#"))
                .set_exclusive_start_key(after);
            let answer = self.call("read batch", || request.clone().send()).await?;
            let answer = answer.map_err(|error| Fault::new("read batch", refused(&error)))?;
            items.extend(answer.items.unwrap_or_default());
            after = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// Reads nothing, in order to have a connection; a Query, because every function may do that.
    pub async fn touch(&self) -> Result<(), Fault> {
        let request = self
            .client
            .query()
            .table_name(&self.tables.batches)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_values(":pk", s("-"))
            .limit(1);
        let answer = self.call("open connection", || request.clone().send()).await?;
        answer.map(|_| ()).map_err(|error| Fault::new("open connection", refused(&error)))
    }

    /// The state of `head` alone.
    pub(super) async fn state(&self, keys: &TenantKey, head: &Head) -> Result<Option<State>, Fault> {
        let read = self.batch(keys, &head.id).await?;
        Ok(read.and_then(|(_, state)| state).filter(|state| state.belongs_to(head)))
    }

    /// Operations and results; one call when some are outside head and state, none when not.
    pub async fn contents(&self, keys: &TenantKey, head: &Head, state: Option<&State>) -> Result<Contents, Fault> {
        let names = |name: &str, parts: usize| (0..parts).map(|part| part_name(name, part)).collect::<Vec<_>>();
        let operation_parts = match &head.operations {
            Operations::Inline(_) => Vec::new(),
            Operations::Parts { hash, count } => names(&format!("OPS#{hash}"), *count),
        };
        let results = state.map(|state| &state.results);
        let segments = results.map_or(&[][..], |results| &results.segments);
        let segment_parts: Vec<Vec<String>> =
            segments.iter().map(|segment| names(&results_name(segment.from, &segment.nonce), segment.parts)).collect();
        let wanted: Vec<Item> = operation_parts
            .iter()
            .chain(segment_parts.iter().flatten())
            .map(|name| Item::from([("pk".to_owned(), s(keys.batch(&head.id))), ("sk".to_owned(), s(name.as_str()))]))
            .collect();
        let items = self.batch_get(&self.tables.batches, wanted).await?;
        let joined = |names: &[String]| -> Result<Vec<u8>, Fault> {
            let mut bytes = Vec::new();
            for name in names {
                let item = items.iter().find(|item| Reader(item).maybe_text("sk") == Some(name.as_str()));
                bytes.extend_from_slice(Reader(item.ok_or_else(|| damaged("part"))?).bytes("bytes")?);
            }
            Ok(bytes)
        };
        let work: Work = match &head.operations {
            Operations::Inline(packed) => unpack(packed)?,
            Operations::Parts { .. } => unpack(&joined(&operation_parts)?)?,
        };
        let mut outcomes: Vec<Outcome> = Vec::new();
        for names in &segment_parts {
            outcomes.extend(unpack::<Vec<Outcome>>(&joined(names)?)?);
        }
        if let Some(inline) = results.map(|results| &results.inline).filter(|inline| !inline.is_empty()) {
            outcomes.extend(unpack::<Vec<Outcome>>(inline)?);
        }
        Ok(Contents { work, outcomes })
    }

    /// Writes the state on its own, under the guard.
    pub async fn put_state(
        &self,
        keys: &TenantKey,
        head: &Head,
        guard: Option<u64>,
        state: &State,
    ) -> Result<Written, Fault> {
        let put = self.state_put(keys, head, guard, state)?;
        let put = put.build().map_err(|error| Fault::new("write state", error.to_string()))?;
        let request = self.alone(put);
        let Some(answer) = self.call_in_time("write state", || request.clone().send()).await? else {
            return Ok(Written::Late);
        };
        match answer {
            Ok(_) => Ok(Written::Done),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(Written::Guard),
            Err(error) => Err(Fault::new("write state", refused(&error))),
        }
    }

    /// The guarded write of a state: its `rev` is as read, or there is none, or it is that of an older batch.
    pub(super) fn state_put(
        &self,
        keys: &TenantKey,
        head: &Head,
        guard: Option<u64>,
        state: &State,
    ) -> Result<PutBuilder, Fault> {
        let put = Put::builder()
            .table_name(&self.tables.batches)
            .set_item(Some(state_item(keys, head, state)?))
            .return_values_on_condition_check_failure(ReturnOld::AllOld)
            .expression_attribute_names("#seed", "seed")
            .expression_attribute_values(":seed", s(head.seed.as_str()));
        Ok(match guard {
            None => put.condition_expression("attribute_not_exists(pk) OR #seed <> :seed"),
            Some(rev) => put
                .condition_expression("#rev = :rev AND #seed = :seed")
                .expression_attribute_names("#rev", "rev")
                .expression_attribute_values(":rev", n(rev)),
        })
    }

    /// Reads items by key, consistently, 100 a call, until all are processed.
    pub(super) async fn batch_get(&self, table: &str, mut wanted: Vec<Item>) -> Result<Vec<Item>, Fault> {
        let mut items = Vec::new();
        let mut round = 0;
        while !wanted.is_empty() {
            let rest = wanted.split_off(wanted.len().min(100));
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(wanted)).build();
            let keys = keys.map_err(|error| Fault::new("read items", error.to_string()))?;
            let request = self.client.batch_get_item().request_items(table, keys);
            let answer = self.call("read items", || request.clone().send()).await?;
            let answer = answer.map_err(|error| Fault::new("read items", refused(&error)))?;
            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
            let left = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|keys| keys.keys);
            wanted = left.collect();
            if !wanted.is_empty() {
                if !self.pause(round).await {
                    return Err(Fault::new("read items", "keys stayed unprocessed"));
                }
                round += 1;
            }
            wanted.extend(rest);
        }
        Ok(items)
    }
}

/// What it means that the write of `head` met another one.
pub(super) fn accepted_before(keys: &TenantKey, head: &Head, item: Option<&Item>) -> Result<Accepted, Fault> {
    let before = head_of(keys, item.ok_or_else(|| damaged("old head"))?)?;
    // Our own sending that was answered late: the seed is ours alone.
    Ok(if before.seed == head.seed { Accepted::New } else { Accepted::Before(Box::new(before)) })
}

/// Head and state among the items of a batch.
pub(super) fn pair(keys: &TenantKey, items: &[Item], now: Timestamp) -> Result<Option<(Head, Option<State>)>, Fault> {
    let find = |sk: &str| items.iter().find(|item| Reader(item).maybe_text("sk") == Some(sk));
    let Some(head) = find(HEAD).map(|item| head_of(keys, item)).transpose()? else { return Ok(None) };
    // To the second, as the condition of a replacement has it.
    if head.expires().seconds() < now.seconds() {
        return Ok(None);
    }
    let state = find(STATE).map(state_of).transpose()?.filter(|state| state.belongs_to(&head));
    Ok(Some((head, state)))
}

/// The keys of head and state, for a listing's read.
pub(super) fn pair_keys(keys: &TenantKey, id: &BatchId) -> [Item; 2] {
    [HEAD, STATE].map(|sk| Item::from([("pk".to_owned(), s(keys.batch(id))), ("sk".to_owned(), s(sk))]))
}

pub(super) fn part_name(name: &str, index: usize) -> String {
    format!("{name}#{index:03}")
}

fn results_name(from: usize, nonce: &str) -> String {
    format!("RES#{from:03}#{nonce}")
}

fn head_item(keys: &TenantKey, head: &Head) -> Result<Item, Fault> {
    let order: Vec<u8> = head.order.iter().map(|index| u8::try_from(*index).unwrap_or(u8::MAX)).collect();
    let mut item = Item::from([
        ("pk".to_owned(), s(keys.batch(&head.id))),
        ("sk".to_owned(), s(HEAD)),
        ("format".to_owned(), n(FORMAT)),
        ("dialect".to_owned(), s(head.dialect.as_str())),
        ("caller".to_owned(), json_text(&head.caller.snapshot())?),
        ("options".to_owned(), json_text(&head.options)?),
        ("order".to_owned(), b(order)),
        ("hash".to_owned(), s(head.body_hash.as_str())),
        ("seed".to_owned(), s(head.seed.as_str())),
        ("background".to_owned(), aws_sdk_dynamodb::types::AttributeValue::Bool(head.background)),
        ("created".to_owned(), n(head.created.0)),
        ("ttl".to_owned(), n(head.expires().seconds())),
        ("at".to_owned(), s(head.created.to_string())),
        ("g_tenant".to_owned(), s(keys.batches())),
        ("g_subject".to_owned(), s(keys.batches_of(head.caller.subject()))),
        ("g_watch".to_owned(), s(watch_bucket(&head.id, head.created))),
    ]);
    if let Some(reference) = &head.reference {
        item.insert("reference".to_owned(), s(reference.as_str()));
        item.insert("g_reference".to_owned(), s(keys.batches_referenced(reference)));
    }
    if let Some(job) = &head.job {
        item.insert("job".to_owned(), json_text(job)?);
        item.insert("g_party".to_owned(), s(keys.batches_for("C", &job.creator)));
    }
    if let Some(profile) = &head.profile {
        item.insert("profile".to_owned(), json_text(profile)?);
        item.insert("g_party".to_owned(), s(keys.batches_for("F", &profile.id)));
    }
    if let Some(lineage) = &head.lineage {
        item.insert("retry_of".to_owned(), s(lineage.retry_of.as_str()));
        item.insert("attempt".to_owned(), n(lineage.attempt));
    }
    if let Some(trace) = &head.trace {
        item.insert("trace".to_owned(), s(trace.to_string()));
    }
    match &head.operations {
        Operations::Inline(packed) => item.insert("operations".to_owned(), b(packed.as_slice())),
        Operations::Parts { hash, count } => {
            item.insert("parts_hash".to_owned(), s(hash.as_str()));
            item.insert("parts".to_owned(), n(count))
        }
    };
    Ok(item)
}

fn head_of(keys: &TenantKey, item: &Item) -> Result<Head, Fault> {
    let item = Reader(item);
    if item.int::<u32>("format")? != FORMAT {
        return Err(Fault::new("read head", "stored by a version this one does not know"));
    }
    let operations = match item.maybe_bytes("operations") {
        Some(packed) => Operations::Inline(packed.to_vec()),
        None => Operations::Parts { hash: item.text("parts_hash")?.to_owned(), count: item.int("parts")? },
    };
    Ok(Head {
        id: keys.batch_id(item.text("pk")?).ok_or_else(|| damaged("pk"))?,
        dialect: Dialect::parse(item.text("dialect")?).ok_or_else(|| damaged("dialect"))?,
        caller: item.json::<auth::Snapshot>("caller")?.into_caller(),
        reference: item.maybe_text("reference").map(str::to_owned),
        options: item.json("options")?,
        order: item.bytes("order")?.iter().map(|index| usize::from(*index)).collect(),
        body_hash: item.text("hash")?.to_owned(),
        seed: item.text("seed")?.to_owned(),
        background: item.flag("background"),
        created: Timestamp(item.int("created")?),
        lineage: lineage_of(&item)?,
        job: item.maybe_text("job").map(|_| item.json("job")).transpose()?,
        profile: item.maybe_text("profile").map(|_| item.json("profile")).transpose()?,
        trace: item.maybe_text("trace").and_then(Trace::parse),
        operations,
    })
}

fn lineage_of(item: &Reader<'_>) -> Result<Option<Lineage>, Fault> {
    let Some(retry_of) = item.maybe_text("retry_of") else { return Ok(None) };
    let retry_of = BatchId::parse(retry_of).ok_or_else(|| damaged("retry_of"))?;
    Ok(Some(Lineage { retry_of, attempt: item.int("attempt")? }))
}

fn state_item(keys: &TenantKey, head: &Head, state: &State) -> Result<Item, Fault> {
    let mut item = Item::from([
        ("pk".to_owned(), s(keys.batch(&head.id))),
        ("sk".to_owned(), s(STATE)),
        ("format".to_owned(), n(FORMAT)),
        ("rev".to_owned(), n(state.rev)),
        ("seed".to_owned(), s(state.seed.as_str())),
        ("status".to_owned(), s(state.status.as_str())),
        ("nonce".to_owned(), s(state.nonce.as_str())),
        ("cursor".to_owned(), n(state.cursor)),
        ("summary".to_owned(), json_text(&state.summary)?),
        ("started".to_owned(), n(state.started.0)),
        ("updated".to_owned(), n(state.updated.0)),
        ("segments".to_owned(), json_text(&state.results.segments)?),
        ("results".to_owned(), b(state.results.inline.as_slice())),
        ("paused_ms".to_owned(), n(state.paused_ms)),
        ("ttl".to_owned(), n(head.remains_expire().seconds())),
    ]);
    if state.pauses > 0 {
        item.insert("pauses".to_owned(), n(state.pauses));
    }
    if let Some(cut) = state.cut {
        item.insert("cut".to_owned(), s(cut.as_str()));
    }
    if let Some(attempt) = &state.attempt {
        // The nonce once more by itself: locks are conditioned on it.
        item.insert("attempt".to_owned(), s(attempt.nonce.as_str()));
        item.insert("wide".to_owned(), json_text(attempt)?);
    }
    if state.open > 0 {
        item.insert("open".to_owned(), n(state.open));
    }
    if !state.calls.is_empty() {
        item.insert("calls".to_owned(), b(pack(&state.calls)?));
    }
    if !state.stale.is_empty() {
        item.insert("stale".to_owned(), json_text(&state.stale)?);
    }
    Ok(item)
}

pub(super) fn state_of(item: &Item) -> Result<State, Fault> {
    let item = Reader(item);
    if item.int::<u32>("format")? != FORMAT {
        return Err(Fault::new("read state", "stored by a version this one does not know"));
    }
    Ok(State {
        rev: item.int("rev")?,
        seed: item.text("seed")?.to_owned(),
        status: Status::parse(item.text("status")?).ok_or_else(|| damaged("status"))?,
        nonce: item.text("nonce")?.to_owned(),
        cursor: item.int("cursor")?,
        summary: item.json::<Summary>("summary")?,
        started: Timestamp(item.int("started")?),
        updated: Timestamp(item.int("updated")?),
        results: Results {
            segments: item.json("segments")?,
            inline: item.maybe_bytes("results").unwrap_or_default().to_vec(),
        },
        cut: item.maybe_text("cut").map(|cut| Cut::parse(cut).ok_or_else(|| damaged("cut"))).transpose()?,
        paused_ms: item.maybe_int("paused_ms").unwrap_or(0),
        pauses: item.maybe_int("pauses").unwrap_or(0),
        attempt: item.maybe_text("wide").map(|_| item.json("wide")).transpose()?,
        open: item.maybe_int("open").unwrap_or(0),
        calls: item.maybe_bytes("calls").map_or(Ok(BTreeMap::new()), unpack)?,
        stale: item.maybe_text("stale").map_or(Ok(Vec::new()), |_| item.json("stale"))?,
    })
}
