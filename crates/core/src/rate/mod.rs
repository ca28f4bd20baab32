//! How much a caller may send: the generic cell rate algorithm (GCRA, ITU-T I.371 annex A), in integers.
//!
//! A policy lets through a quota in a window, at once if need be (the burst is the quota). What is kept of a caller is
//! one time for each policy: when all that it has sent would have arrived, had it come evenly (the theoretical arrival
//! time). A call moves it on by its cost, and is refused if that takes it further ahead of the clock than the whole
//! quota does. Nothing has to be counted down, and a caller who has sent nothing for a window is as new.

mod limiter;

pub use limiter::Limiter;

use crate::batch::Dialect;

/// The window of every quota: a minute.
pub const WINDOW_MS: i64 = 60_000;
/// Batches in a window that a setting may allow: one a millisecond.
pub const MOST_BATCHES: u32 = 60_000;
/// Operations in a window that a setting may allow: one a microsecond, the resolution of the arithmetic.
pub const MOST_OPERATIONS: u32 = 60_000_000;
/// Operations that a quota of batches must leave room for, in each.
pub const OPERATIONS_PER_BATCH: u32 = 100;

const WINDOW_US: i64 = WINDOW_MS * 1_000;

/// What one caller may send in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Batches.
    pub batches: u32,
    /// Operations in them.
    pub operations: u32,
}

/// The quotas of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of each contract: a caller has so much of every one.
    pub records: Quotas,
    /// Of batches of memories.
    pub memories: Quotas,
}

impl Rates {
    /// The quotas of a contract.
    pub fn of(self, dialect: Dialect) -> Quotas {
        match dialect {
            Dialect::Memories => self.memories,
            // The contract's own number.
            Dialect::Intents => Quotas { batches: 5, operations: 500 },
            Dialect::Records | Dialect::Content => self.records,
        }
    }
}

/// Of records ten batches a second: more than a program that waits for its answers sends. Of memories what their
/// contract says.
impl Default for Rates {
    fn default() -> Self {
        let memories = Quotas { batches: 10, operations: 10 * OPERATIONS_PER_BATCH };
        Self { records: Quotas { batches: 600, operations: 60_000 }, memories }
    }
}

/// One of the two limits that a call is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `batches` or `operations`.
    pub name: &'static str,
    /// How much of it a window lets through.
    pub quota: u32,
}

impl Policy {
    /// Of batches.
    pub fn batches(quotas: Quotas) -> Self {
        Self { name: "batches", quota: quotas.batches }
    }

    /// Of operations.
    pub fn operations(quotas: Quotas) -> Self {
        Self { name: "operations", quota: quotas.operations }
    }

    /// Microseconds that one of it takes.
    fn interval(self) -> i64 {
        (WINDOW_US / i64::from(self.quota.max(1))).max(1)
    }

    /// Microseconds that the whole quota takes; how far ahead of the clock an arrival may be.
    fn span(self) -> i64 {
        self.interval() * i64::from(self.quota.max(1))
    }

    fn cost(self, count: usize) -> i64 {
        self.interval().saturating_mul(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Where the caller stands whose theoretical arrival time is `arrival`, at `now`, in microseconds.
    fn level(self, arrival: i64, now: i64) -> Level {
        let ahead = arrival - now;
        let whole_seconds = |us: i64| u64::try_from(us.max(0)).unwrap_or(0).div_ceil(1_000_000);
        Level {
            policy: self,
            left: u64::try_from((self.span() - ahead).max(0) / self.interval()).unwrap_or(0),
            whole_in_s: whole_seconds(ahead),
        }
    }
}

/// Where a caller stands under one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Which.
    pub policy: Policy,
    /// How much of it is left.
    pub left: u64,
    /// Seconds until all of it is there again.
    pub whole_in_s: u64,
}

/// Where a caller stands after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Batches.
    pub batches: Level,
    /// Operations.
    pub operations: Level,
}

impl Standing {
    /// `RateLimit-Policy`, a list of structured fields: draft-ietf-httpapi-ratelimit-headers-10, section 3. `q` is the
    /// quota, `w` the window in seconds.
    pub fn policies(&self) -> String {
        self.list(|level| format!("\"{}\";q={};w={}", level.policy.name, level.policy.quota, WINDOW_MS / 1_000))
    }

    /// `RateLimit`, of the same draft, section 4. `r` is what is left, `t` the seconds until all of the quota is there.
    pub fn levels(&self) -> String {
        self.list(|level| format!("\"{}\";r={};t={}", level.policy.name, level.left, level.whole_in_s))
    }

    fn list(&self, one: impl Fn(&Level) -> String) -> String {
        format!("{}, {}", one(&self.batches), one(&self.operations))
    }
}

/// A call that is refused, and consumes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// The policy that lets it through last.
    pub policy: Policy,
    /// Seconds until it does, at least one.
    pub retry_after_s: u64,
    /// Where the caller stands.
    pub standing: Standing,
}

/// Theoretical arrival times, in microseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrivals {
    /// Of batches.
    pub batches: i64,
    /// Of operations.
    pub operations: i64,
}

/// How one policy's arrival time is moved on. A write can add or set, and cannot choose: which of the two is right
/// depends on what is there, so the write is made on condition of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Whether the arrival is ahead of the clock, and the cost is added to it; else it is set to now and the cost.
    pub ahead: bool,
    /// Microseconds.
    pub cost: i64,
    /// The latest arrival that the cost may be added to.
    pub latest: i64,
}

/// One call, as the limits see it.
#[derive(Debug, Clone, Copy)]
pub struct Charge {
    quotas: Quotas,
    operations: usize,
    now: i64,
}

impl Charge {
    /// Of a batch of so many operations at `now_ms`, milliseconds since the epoch.
    pub fn new(quotas: Quotas, operations: usize, now_ms: i64) -> Self {
        Self { quotas, operations, now: now_ms.max(0).saturating_mul(1_000) }
    }

    /// Now, in microseconds.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// An arrival later than this was written by a clock that was wrong, and counts as none: every right one is at most
    /// a window ahead. Twice that, so that clocks a little apart do not forgive what was sent.
    pub fn absurd(&self) -> i64 {
        self.now + 2 * WINDOW_US
    }

    fn policies(&self) -> [(Policy, i64); 2] {
        let (batches, operations) = (Policy::batches(self.quotas), Policy::operations(self.quotas));
        [(batches, batches.cost(1)), (operations, operations.cost(self.operations))]
    }

    /// The arrival that a stored one counts as.
    fn effective(&self, stored: i64) -> i64 {
        if (self.now..=self.absurd()).contains(&stored) { stored } else { self.now }
    }

    /// The moves that are right if `stored` is what is there; nothing is there at first.
    pub fn moves(&self, stored: Option<Arrivals>) -> [Move; 2] {
        let stored = stored.map_or([0, 0], |stored| [stored.batches, stored.operations]);
        let [batches, operations] = self.policies();
        let one = |(policy, cost): (Policy, i64), stored: i64| Move {
            ahead: self.effective(stored) > self.now,
            cost,
            latest: self.now + policy.span() - cost,
        };
        [one(batches, stored[0]), one(operations, stored[1])]
    }

    /// Where the caller stands with `stored`.
    pub fn standing(&self, stored: Arrivals) -> Standing {
        let (batches, operations) = (Policy::batches(self.quotas), Policy::operations(self.quotas));
        Standing {
            batches: batches.level(self.effective(stored.batches), self.now),
            operations: operations.level(self.effective(stored.operations), self.now),
        }
    }

    /// Why the call is refused if `stored` is what is there.
    pub fn exceeds(&self, stored: Arrivals) -> Option<Exceeded> {
        let waits = self.policies().into_iter().zip([stored.batches, stored.operations]);
        let waits = waits.map(|((policy, cost), stored)| {
            (self.effective(stored).saturating_add(cost) - self.now - policy.span(), policy)
        });
        let (wait, policy) = waits.max_by_key(|(wait, _)| *wait).filter(|(wait, _)| *wait > 0)?;
        let retry_after_s = u64::try_from(wait).unwrap_or(0).div_ceil(1_000_000).max(1);
        Some(Exceeded { policy, retry_after_s, standing: self.standing(stored) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_767_225_600_000;

    fn quotas(batches: u32) -> Quotas {
        Quotas { batches, operations: batches * OPERATIONS_PER_BATCH }
    }

    /// Sends `count` batches of `operations` at `at_ms`; how many pass.
    fn send(stored: &mut Option<Arrivals>, quotas: Quotas, (count, operations): (u32, usize), at_ms: i64) -> u32 {
        let mut passed = 0;
        for _ in 0..count {
            let charge = Charge::new(quotas, operations, at_ms);
            let before = stored.unwrap_or(Arrivals { batches: 0, operations: 0 });
            if charge.exceeds(before).is_some() {
                continue;
            }
            let [batches, operations] = charge.moves(*stored);
            let after =
                |step: Move, before: i64| if step.ahead { before + step.cost } else { charge.now() + step.cost };
            *stored = Some(Arrivals {
                batches: after(batches, before.batches),
                operations: after(operations, before.operations),
            });
            passed += 1;
        }
        passed
    }

    #[test]
    fn a_quota_passes_at_once_and_no_more_and_comes_back_evenly() {
        for quota in [1, 5, 7, 10, 599, 600, 7_001, MOST_BATCHES] {
            let quotas = quotas(quota);
            let mut stored = None;
            assert_eq!(send(&mut stored, quotas, (quota + 3, 1), NOW_MS), quota, "{quota}");
            let interval_ms = WINDOW_MS / i64::from(quota);
            assert_eq!(send(&mut stored, quotas, (3, 1), NOW_MS + interval_ms - 1), 0, "{quota}");
            assert!(send(&mut stored, quotas, (1, 1), NOW_MS + interval_ms + 1) == 1, "{quota}");
            assert_eq!(send(&mut stored, quotas, (quota + 3, 1), NOW_MS + 10 * WINDOW_MS), quota, "{quota}");
        }
    }

    #[test]
    fn in_any_window_no_more_than_two_quotas_pass() {
        let quotas = quotas(10);
        let mut stored = None;
        let passed: Vec<i64> = (0..60_000)
            .step_by(37)
            .flat_map(|ms| vec![NOW_MS + ms; usize::try_from(send(&mut stored, quotas, (4, 1), NOW_MS + ms)).unwrap()])
            .collect();
        assert!((19..=20).contains(&passed.len()), "{}", passed.len());
    }

    #[test]
    fn operations_count_and_never_hold_up_full_batches() {
        let wide = Quotas { batches: 10, operations: 250 };
        let mut stored = None;
        assert_eq!(send(&mut stored, wide, (10, 100), NOW_MS), 2);
        assert_eq!(send(&mut stored, wide, (10, 50), NOW_MS), 1);
        let charge = Charge::new(wide, 1, NOW_MS);
        let exceeded = charge.exceeds(stored.unwrap()).unwrap();
        assert_eq!(
            (exceeded.policy.name, exceeded.retry_after_s, exceeded.standing.batches.left),
            ("operations", 1, 7)
        );
        for quota in [1, 7, 600, 59_999] {
            assert_eq!(send(&mut None, quotas(quota), (quota + 1, 100), NOW_MS), quota);
        }
    }

    #[test]
    fn what_a_wrong_clock_wrote_is_forgotten() {
        let quotas = quotas(5);
        for hours in [-1, 1, 1_000] {
            let mut stored = None;
            send(&mut stored, quotas, (5, 1), NOW_MS + hours * 3_600_000);
            assert_eq!(send(&mut stored, quotas, (6, 1), NOW_MS), 5);
        }
        let mut stored = None;
        send(&mut stored, quotas, (5, 1), NOW_MS + 2_000);
        assert_eq!(send(&mut stored, quotas, (5, 1), NOW_MS), 0, "two seconds are no reason to forgive");
    }

    #[test]
    fn headers_are_lists_of_structured_fields() {
        let charge = Charge::new(quotas(10), 3, NOW_MS);
        let at = |ms: i64| (NOW_MS + ms) * 1_000;
        let standing = charge.standing(Arrivals { batches: at(6_001), operations: at(180) });
        assert_eq!(standing.policies(), r#""batches";q=10;w=60, "operations";q=1000;w=60"#);
        assert_eq!(standing.levels(), r#""batches";r=8;t=7, "operations";r=997;t=1"#);
    }
}
