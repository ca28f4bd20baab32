//! Making a batch of intents, from a request or from what failed of another.

use std::time::Duration;

use serde_json::{Value, json};

use super::build::{self, For};
use super::{CALL_MS, cluster};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Defeat, Dialect, Entry, Head, Intents, Lineage, Options, Profile, Set, Work, pack};
use crate::engine::{Row, RowKey};
use crate::intent::{Address, read, wrong_deadlines};
use crate::json::{canonical, sha256_hex};
use crate::limits::{REMAINS_MS, RETENTION_MS};
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
pub(super) struct Of<'a> {
    pub head: &'a Head,
    pub attempt: usize,
    /// Positions that its operations have there.
    pub places: &'a [usize],
}

/// Makes a batch of `body`, which is the request's own, or made of it.
pub(super) async fn make(
    app: &App,
    caller: &Caller,
    (profile, asked, body): (&str, Asked<'_>, &Value),
    of: Option<Of<'_>>,
) -> Result<Created, Stopped> {
    let Some(orby) = app.orby() else {
        return Err(Refusal::NotStarted(Fault::new("build intents", "Orby is not set")).into());
    };
    let (address, default_chain) = profile_of(app, caller, profile).await?;
    let mut request = read(body, app.tokens(), default_chain);
    if request.problems.is_empty() {
        request.problems = wrong_deadlines(&request.intents, u64::try_from(app.clock().now().seconds()).unwrap_or(0));
    }
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
    let operations = named(body, &request.intents);
    let building = async {
        let store = app.store().until(app.clock().now().plus_ms(5_000));
        let cluster = cluster::of_profile(app, orby, (&store, &keys), (profile, account)).await?;
        let owner = For { account, cluster: &cluster, seed: &seed };
        let built = build::build(app, orby, &owner, (&request.intents, operations), request.atomic).await;
        built.map(|built| (built, cluster)).map_err(|failed| Fault::new("build intents", failed.to_string()))
    };
    let limit = Duration::from_millis(CALL_MS.unsigned_abs());
    let late = |_| Fault::new("build intents", "Orby took too long");
    let built = tokio::time::timeout(limit, building).await.map_err(late).flatten();
    let (mut intents, cluster) = built.map_err(Refusal::NotStarted)?;
    let places = of.as_ref().map_or(&[][..], |of| of.places);
    for (set, place) in intents.sets.iter_mut().zip(places) {
        set.retry_of = Some(*place);
    }
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
        profile: Some(Profile { id: profile.to_owned(), address, cluster: Some(cluster) }),
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
    // Of a retry an operation is called as it was where it failed before: there is no other batch that has it.
    let named = |(index, set): (usize, &'_ Set)| Some((set.retry_of.unwrap_or(index), set.defeat.clone()?));
    let failed: Vec<(usize, Defeat)> = intents.sets.iter().enumerate().filter_map(named).collect();
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
