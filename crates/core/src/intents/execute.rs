//! Taking signatures in, and sending what was signed.

use serde_json::Value;

use super::create::Stopped;
use super::{Batch, CALL_MS, batch, settle};
use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Entry, Phase, State, Status};
use crate::intent::{Address, Unsigned};
use crate::json::{clip, type_name};
use crate::limits::{MAX_PAUSE_MS, MAX_SHOWN};
use crate::operation::{Code, OperationId, Problem};
use crate::queue::Message;
use crate::runtime::Timestamp;
use crate::store::{Fault, SignedSet, TenantKey, Written};
use crate::submit::{Refusal, Rejection};

/// A batch after its execution has begun.
#[derive(Debug)]
pub struct Executed {
    /// It.
    pub batch: Batch,
    /// Whether it had been executed before, with these signatures.
    pub replayed: bool,
}

/// Executes the batch at `id` with the signatures in `body`, and sends for up to `wait_ms` before it answers; the executor
/// does the rest. Nothing is sent unless every signature is right.
pub async fn execute(
    app: &App,
    caller: &Caller,
    id: &BatchId,
    (body, wait_ms): (&Value, i64),
) -> Result<Executed, Stopped> {
    let keys = TenantKey::new(caller.tenant());
    let mut found = batch(app, caller, id).await.map_err(Refusal::NotStarted)?.ok_or(Stopped::Missing)?;
    if found.stored.head.caller.subject() != caller.subject() {
        return Err(Stopped::NotOwner);
    }
    let rows = signed(app, &found, body).map_err(Stopped::Wrong)?;
    if found.stored.state.is_some() {
        let before = before(found, &rows)?;
        // What the first call did not get done may have no message.
        if before.batch.is_waiting() {
            call_again(app, &before.batch, 0).await;
        }
        return Ok(before);
    }
    let Some(mut sender) = settle::sender(app, &keys, app.clock().now().plus_ms(CALL_MS)) else {
        return Err(Refusal::NotStarted(Fault::new("execute intents", "Orby is not set")).into());
    };
    let head = &found.stored.head;
    let now = app.clock().now().max(head.created);
    if head.created.plus_ms(MAX_PAUSE_MS) <= now {
        return Err(Rejection::new(Code::BatchEnded, "the batch was not signed in a day; build it again").into());
    }
    let mut state = State::begun(head, now).next(app.entropy().hex32(), now);
    state.status = Status::Running;
    let signer = head.profile.as_ref().map(|profile| profile.address.as_str());
    let entry = Entry::of_caller(now, "executed", caller)
        .with("signedOperations", signature_count(&rows))
        .with("signedBy", signer);
    let written = sender.store.begin_intents(&keys, head, (&state, &entry), &rows).await.map_err(Refusal::Unknown)?;
    match written {
        Written::Late => {
            return Err(Refusal::Unknown(Fault::new("execute intents", "the time of the call is over")).into());
        }
        Written::Guard => {
            let again = batch(app, caller, id).await.map_err(Refusal::Unknown)?.ok_or(Stopped::Missing)?;
            return before(again, &rows);
        }
        Written::Done => {}
    }
    (found.stored.state, found.stored.rows) = (Some(state), rows);
    // It is executed from here on, whatever happens: what this call does not get done, the executor does.
    sender.until = app.clock().now().plus_ms(wait_ms.min(CALL_MS));
    if let Err(fault) = sender.send_ready(&mut found).await {
        tracing::error!(batch.id = %id, error = %fault, "sets not sent; the queue goes on");
    }
    let ended = settle::end(app, &keys, &found).await.unwrap_or_else(|fault| {
        tracing::error!(batch.id = %id, error = %fault, "end not written; the queue goes on");
        false
    });
    if !ended {
        let ready = found.stored.rows.iter().any(|row| row.phase == Phase::Ready);
        let delay_s = if ready { 0 } else { settle::look_s(app) };
        call_again(app, &found, delay_s).await;
    }
    Ok(Executed { batch: found, replayed: false })
}

async fn call_again(app: &App, batch: &Batch, delay_s: i64) {
    let head = &batch.stored.head;
    let Some(queue) = app.queue() else { return };
    let until = app.clock().now().plus_ms(2_000);
    if let Err(fault) = queue.send(&Message::execute(head.tenant(), &head.id), delay_s, until).await {
        tracing::error!(batch.id = %head.id, error = %fault, "message not sent; the sweep will send it");
    }
}

fn signature_count(rows: &[SignedSet]) -> usize {
    rows.iter().map(|row| row.signatures.len()).sum()
}

/// What a second execution comes to.
fn before(batch: Batch, rows: &[SignedSet]) -> Result<Executed, Stopped> {
    if batch.stored.rows.is_empty() {
        return Err(Rejection::new(Code::BatchEnded, "the batch has ended without having been executed").into());
    }
    let same = |row: &SignedSet| {
        batch.stored.rows.iter().any(|old| old.index == row.index && old.signatures == row.signatures)
    };
    if rows.len() == batch.stored.rows.len() && rows.iter().all(same) {
        return Ok(Executed { batch, replayed: true });
    }
    let message = "the batch was executed before, with other signatures; nothing was sent now";
    Err(Rejection::new(Code::AlreadyExecuted, message).into())
}

/// The ledger of a batch with these signatures, or all that is wrong with them.
fn signed(app: &App, batch: &Batch, body: &Value) -> Result<Vec<SignedSet>, Vec<Problem>> {
    if !body.is_object() {
        let message = format!("the body must be an object, not {}", type_name(body));
        return Err(vec![Problem::new("", Code::WrongType, message)]);
    }
    let mut reader = Reader { batch, now: app.clock().now(), problems: Vec::new(), seen: Vec::new() };
    let Some(given) = body["signatures"].as_array() else {
        return Err(vec![Problem::new(
            "/signatures",
            Code::Required,
            "signatures must be a list with an entry for each operation set",
        )]);
    };
    let account = batch.stored.head.profile.as_ref().and_then(|profile| Address::parse(&profile.address).ok());
    let Some(account) = account else {
        return Err(vec![Problem::new("", Code::InvalidValue, "the profile has no account")]);
    };
    let mut rows: Vec<SignedSet> =
        given.iter().enumerate().filter_map(|(at, given)| reader.set((at, given), account)).collect();
    for (index, set) in batch.intents.sets.iter().enumerate() {
        if !set.unsigned.is_empty() && !reader.seen.contains(&index) {
            let message = format!("operation set {} of op_{index} is not signed", set.id);
            reader.tell("/signatures".to_owned(), index, Code::Required, message);
        }
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    rows.sort_by_key(|row| row.index);
    Ok(rows)
}

struct Reader<'a> {
    batch: &'a Batch,
    now: Timestamp,
    problems: Vec<Problem>,
    seen: Vec<usize>,
}

impl Reader<'_> {
    fn tell(&mut self, pointer: String, index: usize, code: Code, message: impl Into<String>) {
        let problem = Problem::new(pointer, code, message);
        self.problems.push(Problem { operation: Some((index, OperationId::automatic(index))), ..problem });
    }

    fn set(&mut self, (at, given): (usize, &Value), account: Address) -> Option<SignedSet> {
        let name = given["operationSetId"].as_str().unwrap_or_default();
        let pointer = format!("/signatures/{at}");
        let sets = &self.batch.intents.sets;
        let found = sets.iter().position(|set| set.id == name && !set.unsigned.is_empty());
        let Some((index, set)) = found.and_then(|index| Some((index, sets.get(index)?))) else {
            let name = clip(name, MAX_SHOWN);
            let message =
                format!("operationSetId {name:?} is none of the operation sets of this batch that are to be signed");
            self.problems.push(Problem::new(format!("{pointer}/operationSetId"), Code::InvalidValue, message));
            return None;
        };
        if self.seen.contains(&index) {
            self.tell(pointer, index, Code::DuplicateId, "the operation set is signed twice");
            return None;
        }
        self.seen.push(index);
        let (mut signatures, mut ids) = (Vec::new(), Vec::new());
        let entries = given["signatures"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (place, unsigned) in set.unsigned.iter().enumerate() {
            let mine: Vec<(usize, &Value)> =
                entries.iter().enumerate().filter(|(_, entry)| entry["index"].as_u64() == Some(place as u64)).collect();
            let [(entry_at, entry)] = mine.as_slice() else {
                let problem = if mine.is_empty() { "no signature" } else { "more than one signature" };
                let message = format!("op_{index} has {problem} with index {place}");
                self.tell(format!("{pointer}/signatures"), index, Code::Required, message);
                continue;
            };
            let at = format!("{pointer}/signatures/{entry_at}/signature");
            match (entry["signature"].as_str(), Unsigned::read(unsigned)) {
                (Some(signature), Ok(operation)) => match operation.check(signature, account) {
                    Ok(signed) => {
                        signatures.push(signed.signature);
                        ids.push(signed.hash);
                    }
                    Err(bad) => self.tell(at, index, Code::InvalidValue, format!("op_{index}, index {place}: {bad}")),
                },
                (None, _) => self.tell(at, index, Code::Required, "signature must be a string"),
                (_, Err(_)) => self.tell(at, index, Code::InvalidValue, "the operation cannot be read back"),
            }
        }
        if entries.len() > set.unsigned.len() {
            let (wanted, given) = (set.unsigned.len(), entries.len());
            let message =
                format!("op_{index} takes {wanted} signatures, one for each of its unsignedOps, and has {given}");
            self.tell(format!("{pointer}/signatures"), index, Code::InvalidValue, message);
        }
        let (now, tx_hash) = (self.now, None);
        Some(SignedSet { index, rev: 1, signatures, ids, tx_hash, phase: Phase::Ready, since: now, looked: now })
    }
}
