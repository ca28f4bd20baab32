//! How far a batch has come.

use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use super::{Head, Settled};
use crate::operation::{Code, Outcome, SkipReason};
use crate::runtime::Timestamp;

/// Where a batch stands. Absent state means [`Status::Pending`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted, nothing committed yet.
    Pending,
    /// Built, and not signed yet. Told where there is no state; never stored.
    #[serde(rename = "awaiting_signatures")]
    AwaitingSignatures,
    /// Some operations have ended, or none yet.
    Running,
    /// A wide commit locks what it touches; until its commit point it can be stopped like any other work.
    Preparing,
    /// A wide commit has passed its commit point: it is decided, and its effects are being written.
    Committed,
    /// All succeeded.
    Completed,
    /// Some succeeded.
    Partial,
    /// None succeeded, or an atomic batch was not applied.
    Failed,
    /// Stopped by a client between two chunks, until it is resumed. Time stands still.
    Paused,
    /// Ended by a client.
    Cancelled,
    /// Ended by its deadline.
    #[serde(rename = "timed_out")]
    TimedOut,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::AwaitingSignatures,
        Self::Running,
        Self::Preparing,
        Self::Committed,
        Self::Completed,
        Self::Partial,
        Self::Failed,
        Self::Paused,
        Self::Cancelled,
        Self::TimedOut,
    ];

    /// Whether nothing will change any more.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Partial | Self::Failed | Self::Cancelled | Self::TimedOut => true,
            Self::Pending
            | Self::AwaitingSignatures
            | Self::Running
            | Self::Preparing
            | Self::Committed
            | Self::Paused => false,
        }
    }

    /// How clients are told of it: what a wide commit is at is work like any other.
    #[must_use]
    pub fn told(self) -> Self {
        match self {
            Self::Preparing | Self::Committed => Self::Running,
            other => other,
        }
    }

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::AwaitingSignatures => "awaiting_signatures",
            Self::Running => "running",
            Self::Preparing => "preparing",
            Self::Committed => "committed",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    /// `None` for a word that is no status.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The end of a batch whose operations have all ended like this.
    pub fn at_end(summary: &Summary) -> Self {
        if summary.successful == summary.total {
            Self::Completed
        } else if summary.successful == 0 {
            Self::Failed
        } else {
            Self::Partial
        }
    }
}

/// Counts of operations; `total` is always the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Operations in the batch.
    pub total: usize,
    /// Whose effect is installed.
    pub successful: usize,
    /// That failed by themselves.
    pub failed: usize,
    /// That did not take effect because of something else.
    pub skipped: usize,
    /// That have not ended.
    pub pending: usize,
}

impl Summary {
    /// Nothing has ended.
    pub fn pending(total: usize) -> Self {
        Self { total, pending: total, ..Self::default() }
    }

    /// Counts `outcome` as ended.
    pub fn add(&mut self, outcome: &Outcome) {
        self.pending = self.pending.saturating_sub(1);
        match outcome {
            Outcome::Completed { .. } => self.successful += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Skipped { .. } => self.skipped += 1,
        }
    }
}

/// Results moved out of the state item; immutable once written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Position in execution order of its first result; also names its items.
    #[serde(rename = "f")]
    pub from: usize,
    /// How many results it holds.
    #[serde(rename = "n")]
    pub count: usize,
    /// The nonce of the attempt that wrote it; also names its items.
    #[serde(rename = "x")]
    pub nonce: String,
    /// How many parts it is stored in.
    #[serde(rename = "p")]
    pub parts: usize,
}

/// Where the results of the operations before the cursor are: segments first, then what is inline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// In execution order.
    pub segments: Vec<Segment>,
    /// Packed results after the last segment; empty when there are none.
    pub inline: Vec<u8>,
}

impl Results {
    /// Position in execution order of the first inline result.
    pub fn inline_from(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.from + segment.count)
    }
}

/// One attempt at a wide commit: what it is going to do is kept in parts of its own before it locks anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its own for good: it names the parts and the locks, and no other attempt of any batch has it.
    pub nonce: String,
    /// How many parts its redo log is stored in.
    pub parts: usize,
    /// SHA-256 of the redo log, in hex.
    pub hash: String,
    /// Until when others leave its locks alone. Nothing but work depends on it: who breaks a lock fences first.
    pub lease: Timestamp,
}

/// How far a batch has come. Every write of it is conditioned on `rev` as read: the one guard.
#[derive(Debug, Clone)]
pub struct State {
    /// Grows by one with each write.
    pub rev: u64,
    /// The head's seed: a state of another seed belongs to an older batch and counts as absent.
    pub seed: String,
    /// Where the batch stands.
    pub status: Status,
    /// The attempt that wrote it.
    pub nonce: String,
    /// Operations before this position in execution order have ended.
    pub cursor: usize,
    /// Counts.
    pub summary: Summary,
    /// When the first attempt began.
    pub started: Timestamp,
    /// When it was written.
    pub updated: Timestamp,
    /// Results of the operations before the cursor.
    pub results: Results,
    /// What ended the batch before all its operations had; the others are told by it.
    pub cut: Option<Cut>,
    /// Milliseconds it was paused; its deadline is so much later.
    pub paused_ms: i64,
    /// How often it was paused.
    pub pauses: usize,
    /// The wide commit that is at work: while [`Status::Preparing`] and [`Status::Committed`].
    pub attempt: Option<Attempt>,
    /// Contract calls of committed items that are not settled. Those items are not counted yet.
    pub open: usize,
    /// What became of the others, by position in the request.
    pub calls: BTreeMap<usize, Settled>,
    /// Wide commits that were stopped before their commit point, whose locks may still be there.
    pub stale: Vec<Attempt>,
}

/// What ends a batch before all its operations have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// A client cancelled it.
    Cancelled,
    /// Its deadline passed.
    Deadline,
    /// Its message failed as often as a queue delivers it.
    Poison,
}

impl Cut {
    /// Every cut.
    pub const ALL: [Self; 3] = [Self::Cancelled, Self::Deadline, Self::Poison];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::Poison => "poison",
        }
    }

    /// `None` for a word that is no cut.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cut| cut.as_str() == text)
    }

    /// How an operation is told that had not ended.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Cancelled => Outcome::Skipped { reason: SkipReason::Cancelled },
            Self::Deadline => Outcome::Skipped { reason: SkipReason::DeadlineExceeded },
            Self::Poison => Outcome::failed(Code::Poison, "the batch could not be worked on, and was given up"),
        }
    }
}

impl State {
    /// The state of `head` before the first commit of anything.
    pub fn begun(head: &Head, now: Timestamp) -> Self {
        Self {
            rev: 0,
            seed: head.seed.clone(),
            status: Status::Pending,
            nonce: String::new(),
            cursor: 0,
            summary: Summary::pending(head.total()),
            started: now,
            updated: now,
            results: Results::default(),
            cut: None,
            paused_ms: 0,
            pauses: 0,
            attempt: None,
            open: 0,
            calls: BTreeMap::new(),
            stale: Vec::new(),
        }
    }

    /// The next state: one more revision, written under `nonce`, at `now`, or just after the last where that one's clock
    /// was ahead, so that the order of a batch's times is the order of what happened to it. A wide commit that has not
    /// reached its commit point is fenced by any such write: its locks hold no longer.
    #[must_use]
    pub fn next(&self, nonce: String, now: Timestamp) -> Self {
        let updated = if self.rev == 0 { now } else { now.max(self.updated.plus_ms(1)) };
        let mut next = Self { rev: self.rev + 1, nonce, updated, ..self.clone() };
        if next.status == Status::Preparing {
            next.status = Status::Running;
            next.stale.extend(next.attempt.take());
        }
        next
    }

    /// Begins a wide commit.
    pub fn prepare(&mut self, attempt: Attempt) {
        self.status = Status::Preparing;
        self.attempt = Some(attempt);
    }

    /// Passes the commit point of `attempt`.
    pub fn commit(&mut self, attempt: Attempt) {
        self.status = Status::Committed;
        self.stale.retain(|stale| stale.nonce != attempt.nonce);
        self.attempt = Some(attempt);
    }

    /// Ends a wide commit whose effects are all written.
    pub fn apply(&mut self) {
        self.status = Status::at_end(&self.summary);
        self.attempt = None;
    }

    /// Ends the batch where it stands: what has not ended is told by `cut`.
    ///
    /// Items whose contract calls are open have been changed: they have succeeded, and what is known of their calls is
    /// told by the ledger.
    pub fn cut_off(&mut self, cut: Cut) {
        self.summary.successful += self.open;
        self.summary.pending = self.summary.pending.saturating_sub(self.open);
        self.open = 0;
        let left = self.summary.pending;
        self.summary.pending = 0;
        self.cut = Some(cut);
        match cut {
            Cut::Cancelled | Cut::Deadline => self.summary.skipped += left,
            Cut::Poison => self.summary.failed += left,
        }
        self.status = match cut {
            Cut::Cancelled => Status::Cancelled,
            Cut::Deadline => Status::TimedOut,
            Cut::Poison if self.summary.successful == 0 => Status::Failed,
            Cut::Poison => Status::Partial,
        };
    }

    /// Counts a committed item whose contract call has become `settled`; the last of them ends the batch.
    pub fn settle(&mut self, index: usize, settled: Settled) {
        if self.open == 0 || self.calls.contains_key(&index) {
            return;
        }
        self.calls.insert(index, settled);
        self.open -= 1;
        self.summary.pending = self.summary.pending.saturating_sub(1);
        self.summary.successful += 1;
        if self.open == 0 && self.cursor == self.summary.total {
            self.status = Status::at_end(&self.summary);
        }
    }

    /// Whether only contract calls are left to do.
    pub fn waits_for_calls(&self) -> bool {
        self.status == Status::Running && self.open > 0 && self.cursor == self.summary.total
    }

    /// Whether transactions were sent, of which it is not known what became of them.
    pub fn has_calls_to_follow(&self) -> bool {
        self.calls.values().any(|settled| !matches!(settled, Settled::Refused { .. }))
    }

    /// When the batch ended, once it has.
    pub fn completed(&self) -> Option<Timestamp> {
        self.status.is_terminal().then_some(self.updated)
    }

    /// Whether it is the state of `head` and not of an older batch with the same id.
    pub fn belongs_to(&self, head: &Head) -> bool {
        self.seed == head.seed
    }
}
