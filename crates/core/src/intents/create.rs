//! Making a batch of intents, from a request or from what failed of another.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::build::{self, For};
use super::{CALL_MS, batch, settle};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Dialect, Entry, Head, Intents, Lineage, Options, Profile, Work, pack};
use crate::engine::{Row, RowKey};
use crate::intent::{Address, read};
use crate::json::{Object, canonical, sha256_hex};
use crate::limits::{MAX_RETRY_ATTEMPTS, REMAINS_MS, RETENTION_MS};
use crate::operation::{Code, Problem};
use crate::rate::Standing;
use crate::store::{Accepted, Fault, IntentBatch, TenantKey};
use crate::submit::{Refusal, Rejection};
use crate::{execute, trace};

/// A request to make a batch.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The concrete path it was sent to.
    pub path: &'a str,
    /// The key that makes a repeated sending the same batch.
    pub idempotency_key: Option<&'a str>,
    /// Its body.
    pub body: &'a Value,
}

/// A batch that was made.
#[derive(Debug)]
pub struct Created {
    /// It.
    pub batch: super::Batch,
    /// Whether it had been made before, under the same key.
    pub replayed: bool,
    /// Where the caller stands under its quotas.
    pub standing: Option<Standing>,
}

/// Why a call does nothing.
#[derive(Debug)]
pub enum Stopped {
    /// As any contract would refuse it.
    Refused(Refusal),
    /// There is no such batch or profile that the caller may see.
    Missing,
    /// It can be seen, but not by this caller executed or retried.
    NotOwner,
    /// All that is wrong with it.
    Wrong(Vec<Problem>),
    /// Nothing could be built of it.
    Failed {
        /// Which of the contract's errors.
        code: Code,
        /// For people.
        message: String,
        /// As the contract shapes them.
        details: Value,
    },
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Rejection> for Stopped {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection.into())
    }
}

/// Makes a batch for the profile, which the caller must own.
pub async fn create(app: &App, caller: &Caller, profile: &str, asked: Asked<'_>) -> Result<Created, Stopped> {
    make(app, caller, (profile, asked, asked.body), None).await
}

/// A profile as its row tells: whom it belongs to, its account, its chain.
async fn profile_of(app: &App, caller: &Caller, id: &str) -> Result<(String, u64), Stopped> {
    let key = RowKey { entity: "profile".to_owned(), id: id.to_owned() };
    let store = app.store().until(app.clock().now().plus_ms(5_000));
    let rows = store.rows(&TenantKey::new(caller.tenant()), std::slice::from_ref(&key)).await;
    let rows = rows.map_err(Refusal::NotStarted)?;
    let Some(Row::Live { fields, .. }) = rows.get(&key) else { return Err(Stopped::Missing) };
    if fields.get("owner").and_then(Value::as_str) != Some(caller.subject()) {
        return Err(Stopped::Missing);
    }
    let address = fields.get("address").and_then(Value::as_str).unwrap_or_default();
    if Address::parse(address).is_err() {
        let message = "the profile has no valid address: set its address before you use it";
        return Err(Stopped::Wrong(vec![Problem::new("", Code::InvalidValue, message)]));
    }
    Ok((address.to_owned(), fields.get("default_chain_id").and_then(Value::as_u64).unwrap_or(1)))
}

/// What a retry is of.
struct Of<'a> {
    head: &'a Head,
    attempt: usize,
}

async fn make(
    app: &App,
    caller: &Caller,
    (profile, asked, body): (&str, Asked<'_>, &Value),
    of: Option<Of<'_>>,
) -> Result<Created, Stopped> {
    let Some(orby) = app.orby() else {
        return Err(Refusal::NotStarted(Fault::new("build intents", "Orby is not set")).into());
    };
    let (address, default_chain) = profile_of(app, caller, profile).await?;
    let request = read(body, build::tokens(app), default_chain);
    if !request.problems.is_empty() {
        return Err(Stopped::Wrong(request.problems));
    }
    let account = Address::parse(&address).map_err(|_| Stopped::Missing)?;
    let now = app.clock().now();
    let keys = TenantKey::new(caller.tenant());
    let id = match asked.idempotency_key {
        Some(key) => BatchId::idempotent(caller.tenant().as_str(), caller.subject(), asked.path, key),
        None => BatchId::from_bits(app.entropy().bytes()),
    };
    let body_hash = sha256_hex(canonical(&json!([asked.body, body])).as_bytes());
    if asked.idempotency_key.is_some()
        && let Some(before) =
            app.store().until(now.plus_ms(5_000)).intent_batch(&keys, &id).await.map_err(Refusal::NotStarted)?
    {
        return replay(app, &keys, before, &body_hash).await;
    }
    let standing = app.limiter().charge(app, caller, Dialect::Intents, request.intents.len()).await?;
    let seed = app.entropy().hex32();
    let owner = For { profile, account, seed: &seed };
    let operations = named(body, &request.intents);
    let building = build::build(app, orby, &owner, (&request.intents, operations), request.atomic);
    let limit = Duration::from_millis(CALL_MS.unsigned_abs());
    let intents = match tokio::time::timeout(limit, building).await {
        Ok(Ok(intents)) => intents,
        Ok(Err(failed)) => return Err(Refusal::NotStarted(Fault::new("build intents", failed.to_string())).into()),
        Err(_) => return Err(Refusal::NotStarted(Fault::new("build intents", "Orby took too long")).into()),
    };
    refuse_failures(&intents, request.atomic)?;
    let work = Work { operations: intents.operations(), intents: Some(intents), ..Work::default() };
    let packed = pack(&work).map_err(|error| Refusal::NotStarted(error.into()))?;
    let store = app.store().until(app.clock().now().plus_ms(CALL_MS / 4));
    let expires = now.plus_ms(RETENTION_MS + REMAINS_MS);
    let stored = store.put_operations(&keys, &id, packed, expires).await.map_err(Refusal::NotStarted)?;
    let total = work.operations.len();
    let head = Head {
        id,
        dialect: Dialect::Intents,
        caller: caller.clone(),
        body_hash: body_hash.clone(),
        reference: None,
        options: Options { atomic: request.atomic, continue_on_error: !request.atomic, ..Options::default() },
        order: (0..total).collect(),
        seed,
        background: false,
        created: now,
        job: None,
        profile: Some(Profile { id: profile.to_owned(), address }),
        lineage: of.as_ref().map(|of| Lineage { retry_of: of.head.id.clone(), attempt: of.attempt }),
        trace: trace::current(),
        operations: stored,
    };
    let accepted = match &of {
        None => store.accept(&keys, &head).await,
        Some(of) => {
            let at = now.max(of.head.created);
            let entry = Entry::of_caller(at, "retried", caller).with("newBatchId", head.id.as_str());
            store.accept_retry(&keys, &head, (of.head, &entry)).await
        }
    };
    match accepted.map_err(Refusal::Unknown)? {
        Accepted::New => {
            execute::accepted(app, &head);
            let intents = work.intents.unwrap_or_default();
            let stored = IntentBatch { head, state: None, rows: Vec::new() };
            Ok(Created { batch: super::Batch { stored, intents }, replayed: false, standing })
        }
        Accepted::Before(before) => {
            let stored = store.intent_batch(&keys, &before.id).await.map_err(Refusal::Unknown)?;
            replay(app, &keys, stored.ok_or(Stopped::Missing)?, &body_hash).await
        }
    }
}

async fn replay(app: &App, keys: &TenantKey, before: IntentBatch, body_hash: &str) -> Result<Created, Stopped> {
    if before.head.body_hash != body_hash {
        let message = "this Idempotency-Key was used for another request; send a new key with a new request";
        return Err(Rejection::new(Code::IdempotencyKeyReused, message).into());
    }
    let store = app.store().until(app.clock().now().plus_ms(5_000));
    let batch = super::whole(&store, keys, before).await.map_err(Refusal::Unknown)?;
    Ok(Created { batch, replayed: true, standing: None })
}

/// The operations as asked for, each with the chain it is on, so that a retry of some of them stays there.
fn named(body: &Value, intents: &[crate::intent::Intent]) -> Vec<Value> {
    let operations = body["operations"].as_array().cloned().unwrap_or_default();
    let mut named = Vec::new();
    for (mut operation, intent) in operations.into_iter().zip(intents) {
        let holder = if operation["from"].is_object() { operation.get_mut("from") } else { Some(&mut operation) };
        if let Some(Value::Object(holder)) = holder {
            holder.insert("chainId".to_owned(), intent.chain().into());
        }
        named.push(operation);
    }
    named
}

fn refuse_failures(intents: &Intents, atomic: bool) -> Result<(), Stopped> {
    let failed: Vec<(usize, &crate::batch::Defeat)> =
        intents.sets.iter().enumerate().filter_map(|(index, set)| Some((index, set.defeat.as_ref()?))).collect();
    let Some((first, defeat)) = failed.first() else { return Ok(()) };
    if atomic {
        return Err(Stopped::Failed {
            code: Code::AtomicExecutionFailed,
            message: format!("Atomic batch failed on operation {first}"),
            details: json!({
                "failedOperation": format!("op_{first}"), "reason": defeat.reason.message(), "rollback": true,
                "code": defeat.reason.as_str(), "suggestion": defeat.suggestion(),
            }),
        });
    }
    if failed.len() < intents.sets.iter().filter(|set| set.merged_into.is_none()).count() {
        return Ok(());
    }
    Err(Stopped::Failed {
        code: Code::BatchExecutionFailed,
        message: "Batch execution failed".to_owned(),
        details: json!({
            "successful": 0, "failed": intents.sets.len(),
            "failureReason": format!("Operation {first} failed: {}", defeat.reason.message()),
            "code": defeat.reason.as_str(), "suggestion": defeat.suggestion(),
        }),
    })
}

/// A batch made of what failed of the batch at `id`, how many operations that is, and how manieth in the line.
pub async fn retry(
    app: &App,
    caller: &Caller,
    id: &BatchId,
    asked: Asked<'_>,
) -> Result<(Created, usize, usize), Stopped> {
    let before = batch(app, caller, id).await.map_err(Refusal::NotStarted)?.ok_or(Stopped::Missing)?;
    let head = &before.stored.head;
    let profile = head.profile.as_ref().ok_or(Stopped::Missing)?;
    if head.caller.subject() != caller.subject() {
        return Err(Stopped::NotOwner);
    }
    if !settle::has_ended(&before.stored) {
        let message = "the batch has not ended; only then it is known what failed";
        return Err(Rejection::new(Code::BatchNotEnded, message).into());
    }
    let attempt = head.lineage.as_ref().map_or(0, |lineage| lineage.attempt) + 1;
    if attempt > MAX_RETRY_ATTEMPTS {
        let message = format!("the batch is retry {MAX_RETRY_ATTEMPTS} of its line, which is the last");
        return Err(Rejection::new(Code::RetryLimit, message).into());
    }
    let operations = again(&before, asked.body)?;
    if operations.is_empty() {
        return Err(Rejection::new(Code::NothingToRetry, "no operation of those named failed or was skipped").into());
    }
    let count = operations.len();
    let body = json!({ "operations": operations, "atomicExecution": head.options.atomic });
    let created = make(app, caller, (&profile.id, asked, &body), Some(Of { head, attempt })).await?;
    Ok((created, count, attempt))
}

/// The operations that are asked for again, with their updates.
fn again(before: &super::Batch, body: &Value) -> Result<Vec<Value>, Stopped> {
    let wrong =
        |pointer: &str, message: String| Stopped::Wrong(vec![Problem::new(pointer, Code::InvalidValue, message)]);
    let sets = &before.intents.sets;
    let place = |name: &str| {
        let by_place = name.strip_prefix("op_").and_then(|place| place.parse::<usize>().ok());
        by_place.filter(|place| *place < sets.len()).or_else(|| sets.iter().position(|set| set.id == name))
    };
    let failed = settle::failed(before);
    let wanted: Vec<usize> = match body.get("operationIds") {
        None | Some(Value::Null) => failed.clone(),
        Some(Value::Array(ids)) => {
            let mut wanted = Vec::new();
            for (at, id) in ids.iter().enumerate() {
                let found = id.as_str().and_then(place);
                let found = found.ok_or_else(|| {
                    wrong(
                        &format!("/operationIds/{at}"),
                        "is no operation of the batch: name it as op_0 or by its operationSetId".into(),
                    )
                })?;
                wanted.push(found);
            }
            failed.iter().copied().filter(|index| wanted.contains(index)).collect()
        }
        Some(_) => return Err(wrong("/operationIds", "operationIds must be a list of operation ids".into())),
    };
    let none = Map::new();
    let updates = match body.get("updateParams") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(updates)) => updates,
        Some(_) => return Err(wrong("/updateParams", "updateParams must be an object".into())),
    };
    let keyed = !updates.is_empty() && updates.keys().all(|key| place(key).is_some());
    let operations = wanted.into_iter().filter_map(|index| {
        let mut operation = sets.get(index)?.asked.clone();
        for (key, update) in updates {
            match (keyed, place(key) == Some(index), update) {
                (true, true, Value::Object(update)) => merge(&mut operation, update),
                (true, ..) => {}
                (false, ..) => merge(&mut operation, &Map::from_iter([(key.clone(), update.clone())])),
            }
        }
        Some(operation)
    });
    Ok(operations.collect())
}

/// Lays `update` over `value`, object by object.
fn merge(value: &mut Value, update: &Object) {
    let Value::Object(fields) = value else { return };
    for (name, new) in update {
        match (fields.get_mut(name), new) {
            (Some(old @ Value::Object(_)), Value::Object(new)) => merge(old, new),
            _ => {
                fields.insert(name.clone(), new.clone());
            }
        }
    }
}
