//! Taking a batch in: checked as a whole, accepted by one write, run now or handed to the queue.

use crate::app::App;
use crate::auth::Caller;
use crate::batch::{BatchId, Content, Dialect, Entry, Head, Lineage, Options, State, Status, Work, pack};
use crate::dialect::Request;
use crate::engine::{Ran, too_large_message};
use crate::json::{canonical, clip, sha256_hex};
use crate::limits::{INLINE_BUDGET_MS, MAX_SHOWN, REMAINS_MS, REPLAY_RESEND_MS, RETENTION_MS};
use crate::operation::{Code, Draft, Failure, Operation, Problem};
use crate::plan::{Footprint, Plan, Verdict, check, check_parameters, check_shape, verdict};
use crate::queue::Message;
use crate::rate::{Exceeded, Standing};
use crate::store::{Accepted, Contents, Fault, TenantKey};
use crate::{execute, trace};

/// How long after a batch's time is over a call still writes that it is, milliseconds.
const END_MS: i64 = 1_000;
/// How long a call whose run has failed looks for where the batch stands, milliseconds.
const STANDING_MS: i64 = 2_000;

/// How the client wants to be answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preference {
    /// At once, while the batch runs in the background.
    pub background: bool,
    /// After at most so many seconds.
    pub wait_s: Option<u64>,
    /// Without the rows.
    pub minimal: bool,
}

/// A batch to be taken in.
#[derive(Debug)]
pub struct Submission<'a> {
    /// Who sends it.
    pub caller: &'a Caller,
    /// The contract.
    pub dialect: Dialect,
    /// The contract whose quotas it is charged to.
    pub quota: Dialect,
    /// The concrete path it was sent to: part of what an idempotency key stands for.
    pub path: &'a str,
    /// The key that makes a repeated sending the same batch.
    pub idempotency_key: Option<&'a str>,
    /// How to answer.
    pub preference: &'a Preference,
    /// The request as read.
    pub request: Request,
}

/// What became of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The batch has ended.
    Ended(Told),
    /// It is accepted, and goes on in the background.
    Accepted(Told),
}

impl Submitted {
    fn standing(self, standing: Option<Standing>) -> Self {
        match self {
            Self::Ended(told) => Self::Ended(Told { standing, ..told }),
            Self::Accepted(told) => Self::Accepted(Told { standing, ..told }),
        }
    }
}

/// A batch as it stands, for the answer.
#[derive(Debug)]
pub struct Told {
    /// The batch.
    pub head: Head,
    /// How far it is, and its results.
    pub ran: Ran,
    /// Whether it had been accepted before, under the same key.
    pub replayed: bool,
    /// Where the caller stands under its quotas; `None` where that is not known.
    pub standing: Option<Standing>,
}

/// Why a submission was not taken in. Nothing ran.
#[derive(Debug)]
pub enum Refusal {
    /// The client's mistake.
    Rejected(Rejection),
    /// The client's quota is used up.
    Limited(Exceeded),
    /// Ours, before the batch was accepted.
    NotStarted(Fault),
    /// Ours, when it may have been accepted.
    Unknown(Fault),
}

/// A client's mistake, found before anything ran.
#[derive(Debug)]
pub struct Rejection {
    /// What kind of mistake.
    pub code: Code,
    /// What is wrong with the request as a whole.
    pub message: String,
    /// All that is wrong with its parts.
    pub problems: Vec<Problem>,
}

impl Rejection {
    /// A rejection without parts.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), problems: Vec::new() }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// Every problem of a request, of shape and of sense, in the order of the request.
pub fn problems(app: &App, request: &Request) -> Vec<Problem> {
    let mut problems = request.problems.clone();
    // What could not be read is told already; its consequences are not.
    let told: Vec<String> = problems.iter().map(|problem| problem.pointer.clone()).collect();
    let found = if request.each { check_shape(&request.drafts) } else { check(&request.drafts, app.model()) };
    problems.extend(found.into_iter().filter(|problem| !told.contains(&problem.pointer)));
    problems.sort_by_key(|problem| problem.operation.as_ref().map(|(index, _)| *index));
    if problems.is_empty() && request.options.atomic {
        let plan = order(request.drafts.clone());
        let beyond = plan.and_then(|plan| Footprint::of(&plan, app.model()).beyond(app.limits()));
        problems.extend(beyond.map(|actions| {
            let message = too_large_message(actions, app.limits());
            Problem::new("/operations", Code::AtomicTooLarge, message)
        }));
    }
    problems
}

/// Notes in each operation of `request` what is wrong with its parameters, in a contract where that fails the operation
/// and not the batch.
pub fn refuse_each(app: &App, request: &mut Request) {
    if !request.each {
        return;
    }
    for (index, draft) in request.drafts.iter_mut().enumerate().filter(|(_, draft)| draft.refused.is_none()) {
        let problems = check_parameters(index, draft, app.model());
        let Some(first) = problems.first() else { continue };
        let at = first.pointer.strip_prefix(&format!("/operations/{index}")).unwrap_or_default();
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        draft.refused = Some(Failure::new(first.code, messages.join("; ")).at(at));
    }
}

/// What is certain of each operation's permission, and those that are denied as problems of the request. Only a look
/// treats them so: in a batch that runs, each fails by itself.
pub fn permissions(app: &App, caller: &Caller, request: &Request) -> (Vec<Option<Verdict>>, Vec<Problem>) {
    let verdicts: Vec<Option<Verdict>> =
        request.drafts.iter().map(|draft| verdict(app.model(), caller, draft)).collect();
    let denied =
        request.drafts.iter().zip(&verdicts).enumerate().filter_map(|(index, (draft, verdict))| match verdict {
            Some(Verdict::Denied(failure)) => {
                let pointer = failure.pointer.as_deref().unwrap_or_default();
                Some(draft.problem(index, pointer, failure.code, failure.message.clone()))
            }
            _ => None,
        });
    let denied = denied.collect();
    (verdicts, denied)
}

fn order(drafts: Vec<Draft>) -> Option<Plan> {
    let operations: Option<Vec<Operation>> = drafts.into_iter().map(Draft::accept).collect();
    Plan::new(operations?).ok()
}

/// Checks the request and orders it.
fn plan(app: &App, request: Request) -> Result<Plan, Rejection> {
    let problems = problems(app, &request);
    if let [Problem { code: Code::AtomicTooLarge, message, .. }] = problems.as_slice() {
        return Err(Rejection::new(Code::AtomicTooLarge, message.clone()));
    }
    if !problems.is_empty() {
        let plural = if problems.len() == 1 { "" } else { "s" };
        let message = format!("the batch has {} problem{plural}; nothing was run", problems.len());
        return Err(Rejection { code: Code::BatchValidation, message, problems });
    }
    order(request.drafts).ok_or_else(|| Rejection::new(Code::BatchValidation, "the batch cannot be ordered"))
}

/// Takes a batch in and runs it, as far as the preference and the time of a call allow.
pub async fn submit(app: &App, mut submission: Submission<'_>) -> Result<Submitted, Refusal> {
    refuse_each(app, &mut submission.request);
    let (options, reference) = (submission.request.options.clone(), submission.request.reference.clone());
    let plan = plan(app, submission.request)?;
    let body = (submission.dialect, plan.operations(), &options, reference.as_deref());
    let body_hash = sha256_hex(canonical(&serde_json::json!(body)).as_bytes());
    let order = plan.order().to_vec();
    let accept = Acceptance {
        caller: submission.caller,
        dialect: submission.dialect,
        quota: submission.quota,
        path: submission.path,
        idempotency_key: submission.idempotency_key,
        preference: submission.preference,
        work: Work { operations: plan.into_operations(), ..Work::default() },
        order,
        options,
        reference,
        body_hash,
        retries: None,
    };
    accept.accept(app).await
}

/// Takes a content job in, to be run in the background.
pub async fn submit_content(
    app: &App,
    caller: &Caller,
    (path, idempotency_key): (&str, Option<&str>),
    content: Content,
) -> Result<Submitted, Refusal> {
    if !caller.acts_for(&content.job.creator) {
        return Err(stranger_to(&content.job.creator).into());
    }
    let body_hash = sha256_hex(canonical(&serde_json::json!(content)).as_bytes());
    let operations = content.operations();
    let options = Options { atomic: false, continue_on_error: true, ..Options::default() };
    let preference = Preference { background: true, ..Preference::default() };
    let accept = Acceptance {
        caller,
        dialect: Dialect::Content,
        quota: Dialect::Content,
        path,
        idempotency_key,
        preference: &preference,
        order: (0..operations.len()).collect(),
        work: Work { operations, content: Some(content), ..Work::default() },
        options,
        reference: None,
        body_hash,
        retries: None,
    };
    Box::pin(accept.accept(app)).await
}

/// Why a caller may not do anything in the name of `creator`.
pub(crate) fn stranger_to(creator: &str) -> Rejection {
    let message = format!(
        "you do not act for the creator {:?}: the claim creators of your credential does not list it",
        clip(creator, MAX_SHOWN)
    );
    let problems = vec![Problem::new("/creator", Code::Forbidden, message.clone())];
    Rejection { code: Code::Forbidden, message, problems }
}

/// A batch that is right and ordered, to be accepted.
pub(crate) struct Acceptance<'a> {
    pub caller: &'a Caller,
    pub dialect: Dialect,
    pub quota: Dialect,
    pub path: &'a str,
    pub idempotency_key: Option<&'a str>,
    pub preference: &'a Preference,
    pub work: Work,
    pub order: Vec<usize>,
    pub options: Options,
    pub reference: Option<String>,
    /// What the idempotency key stands for.
    pub body_hash: String,
    /// The batch that it retries, and how manieth in the line it is.
    pub retries: Option<(&'a Head, usize)>,
}

impl Acceptance<'_> {
    /// Charges the caller, accepts the batch by one conditional write, and runs it or answers for the one that was
    /// accepted before. That one is charged again: what it costs is nearly as much, and free calls know no limit.
    pub(crate) async fn accept(self, app: &App) -> Result<Submitted, Refusal> {
        let caller = self.caller;
        let charged = app.limiter().charge(app, caller, self.quota, self.work.operations.len());
        let standing = charged.await?;
        let now = app.clock().now();
        let id = match self.idempotency_key {
            Some(key) => BatchId::idempotent(caller.tenant().as_str(), caller.subject(), self.path, key),
            None => BatchId::from_bits(app.entropy().bytes()),
        };
        let packed = pack(&self.work).map_err(|error| Refusal::NotStarted(error.into()))?;
        let store = app.store().until(now.plus_ms(INLINE_BUDGET_MS));
        let keys = TenantKey::new(caller.tenant());
        let expires = now.plus_ms(RETENTION_MS + REMAINS_MS);
        let stored = store.put_operations(&keys, &id, packed, expires).await.map_err(Refusal::NotStarted)?;
        let head = Head {
            id,
            dialect: self.dialect,
            caller: caller.clone(),
            body_hash: self.body_hash,
            reference: self.reference,
            options: self.options,
            order: self.order,
            seed: app.entropy().hex32(),
            background: self.preference.background,
            created: now,
            job: self.work.content.as_ref().map(|content| content.job.in_brief()),
            profile: None,
            lineage: self.retries.map(|(of, attempt)| Lineage { retry_of: of.id.clone(), attempt }),
            trace: trace::current(),
            operations: stored,
        };
        let accepted = match self.retries {
            None => store.accept(&keys, &head).await,
            Some((of, _)) => {
                let entry =
                    Entry::of_caller(now.max(of.created), "retried", caller).with("newBatchId", head.id.as_str());
                store.accept_retry(&keys, &head, (of, &entry)).await
            }
        };
        let submitted = match accepted.map_err(Refusal::Unknown)? {
            Accepted::New => {
                execute::accepted(app, &head);
                let contents = Contents { work: self.work, outcomes: Vec::new() };
                carry_on(app, head, None, contents, self.preference, false).await
            }
            Accepted::Before(before) => replay(app, &head, *before, self.preference).await,
        };
        submitted.map(|submitted| submitted.standing(standing))
    }
}

/// Answers for a batch that was accepted before, and helps it on when it has not ended.
async fn replay(app: &App, now: &Head, before: Head, preference: &Preference) -> Result<Submitted, Refusal> {
    if now.body_hash != before.body_hash {
        let message = "this Idempotency-Key was used for another request; send a new key with a new request";
        return Err(Rejection::new(Code::IdempotencyKeyReused, message).into());
    }
    let store = app.store().until(now.created.plus_ms(INLINE_BUDGET_MS));
    let keys = TenantKey::new(before.tenant());
    let read = store.batch(&keys, &before.id).await.map_err(Refusal::Unknown)?;
    let state = read.and_then(|(_, state)| state);
    let contents = store.contents(&keys, &before, state.as_ref()).await.map_err(Refusal::Unknown)?;
    carry_on(app, before, state, contents, preference, true).await
}

/// Runs the batch inline, or sees to it that the queue does.
async fn carry_on(
    app: &App,
    head: Head,
    state: Option<State>,
    contents: Contents,
    preference: &Preference,
    replayed: bool,
) -> Result<Submitted, Refusal> {
    let now = app.clock().now();
    let stands = state.as_ref().is_some_and(|state| state.status.is_terminal() || state.status == Status::Paused);
    let ran = if head.background && !stands {
        let ran = Ran::new(&head, state, Plan::ordered(contents.work, head.order.clone()), contents.outcomes);
        if !replayed || now.since_ms(head.created) > REPLAY_RESEND_MS {
            enqueue(app, &head).await;
        }
        ran
    } else {
        let budget = inline_budget_ms(&head, preference);
        let ran = match execute::execute(app, &head, state, contents, now.plus_ms(budget)).await {
            Ok(ran) => ran,
            Err(fault) => {
                // The batch is accepted, so it will be run: by the queue, which also finds out what this attempt did.
                tracing::error!(batch.id = %head.id, error = %fault, "inline execution failed; the queue goes on");
                standing(app, &head).await
            }
        };
        if !ran.ended() && !ran.paused() {
            enqueue(app, &head).await;
        }
        ran
    };
    let told = Told { head, ran, replayed, standing: None };
    Ok(if told.ran.ended() { Submitted::Ended(told) } else { Submitted::Accepted(told) })
}

/// Where the batch stands after a run that failed, as far as the store tells.
async fn standing(app: &App, head: &Head) -> Ran {
    let store = app.store().until(app.clock().now().plus_ms(STANDING_MS));
    let keys = TenantKey::new(head.tenant());
    let state = store.batch(&keys, &head.id).await.ok().flatten().and_then(|(_, state)| state);
    match store.contents(&keys, head, state.as_ref()).await {
        Ok(Contents { work, outcomes }) => Ran::new(head, state, Plan::ordered(work, head.order.clone()), outcomes),
        Err(_) => Ran::new(head, None, Plan::ordered(Work::default(), Vec::new()), Vec::new()),
    }
}

fn inline_budget_ms(head: &Head, preference: &Preference) -> i64 {
    let timeout = i64::try_from(head.options.inline_timeout_ms()).unwrap_or(INLINE_BUDGET_MS);
    let timeout = match head.dialect {
        Dialect::Records | Dialect::Content | Dialect::Intents => timeout,
        // Its answer tells what has not ended in time. No commit is sent after that; only the end is written.
        Dialect::Memories => timeout.saturating_add(END_MS),
    };
    let wait = preference
        .wait_s
        .and_then(|wait| i64::try_from(wait).ok())
        .map_or(INLINE_BUDGET_MS, |wait| wait.saturating_mul(1_000));
    INLINE_BUDGET_MS.min(timeout).min(wait)
}

/// Hands the batch to the queue. The batch is accepted whether or not the message can be sent: what the queue did not
/// get, the minute sweep finds.
pub(crate) async fn enqueue(app: &App, head: &Head) {
    let until = app.clock().now().plus_ms(2_000);
    let Some(queue) = app.queue() else { return };
    if let Err(fault) = queue.send(&Message::execute(head.tenant(), &head.id), 0, until).await {
        tracing::error!(batch.id = %head.id, error = %fault, "message not sent; the sweep will send it");
    }
}
