//! What clients do, one thing after another.

use super::rng::Rng;

/// One thing a client does. Batches go by their number; once one was retried, the retry goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// Lets so many milliseconds go by.
    Wait(u64),
    /// Sends the batch until it is known to be accepted; without a key only once.
    Submit(usize),
    /// Sends another request under the same key.
    Misuse(usize),
    /// Looks at it.
    Poll(usize),
    /// Looks until it has ended, or for a minute and a half.
    Await(usize),
    /// Asks why it failed.
    Analyse(usize),
    /// Reads its results by pages.
    Results(usize),
    Cancel(usize),
    Pause(usize),
    Resume(usize),
    /// Sends again what failed, under a key or not.
    Retry(usize, bool),
    /// Looks at it as its own contract tells it.
    Look(usize),
    /// Has the refused contract calls of a content job made again, under a key or not.
    Recall(usize, bool),
    /// Signs a batch of intents, and has it executed.
    Execute(usize),
    /// The same with signatures of somebody else.
    Forge(usize),
}

/// The scripts of several clients who share out what is sent, and perhaps of one who meddles with all of it. The first
/// batches are there before.
pub(super) fn scripts(
    rng: &mut Rng,
    count: usize,
    of: impl Fn(&mut Rng, std::ops::Range<usize>, bool) -> Vec<Deed>,
) -> Vec<Vec<Deed>> {
    let (mut scripts, mut from) = (Vec::new(), super::workload::TENANTS.len());
    let all = from..count;
    while from < count {
        let until = (from + 1 + rng.below(3)).min(count);
        scripts.push(of(rng, from..until, true));
        from = until;
    }
    if rng.sometimes(500) {
        scripts.push(of(rng, all, false));
    }
    scripts
}

/// A client with batches of its own.
pub(super) fn own(rng: &mut Rng, numbers: std::ops::Range<usize>) -> Vec<Deed> {
    let mut script = Vec::new();
    for number in numbers {
        script.extend([Deed::Wait(rng.below_ms(40)), Deed::Submit(number)]);
        script.extend(std::iter::repeat_n(Deed::Poll(number), rng.below(3)));
        if rng.sometimes(120) {
            script.push(Deed::Submit(number));
        }
        if rng.sometimes(80) {
            script.push(Deed::Misuse(number));
        }
        if rng.sometimes(120) {
            hold(rng, number, &mut script);
        }
        if rng.sometimes(60) {
            script.push(Deed::Cancel(number));
        }
        if rng.sometimes(160) {
            look_back(rng, number, &mut script);
        }
    }
    script
}

/// A client that meddles with the batches of others, known by their keys.
pub(super) fn other(rng: &mut Rng, numbers: std::ops::Range<usize>) -> Vec<Deed> {
    let mut script = Vec::new();
    for number in numbers {
        if !rng.sometimes(400) {
            continue;
        }
        let most = *rng.of(&[30, 300, 3_000]);
        script.push(Deed::Wait(rng.below_ms(most)));
        match rng.below(8) {
            0 | 1 => script.push(Deed::Cancel(number)),
            2..5 => hold(rng, number, &mut script),
            5 => script.push(Deed::Analyse(number)),
            _ => script.push(Deed::Retry(number, rng.sometimes(700))),
        }
    }
    script
}

/// Pauses it, and most often resumes it; what is left paused is resumed when faults stop.
pub(super) fn hold(rng: &mut Rng, number: usize, script: &mut Vec<Deed>) {
    let most = *rng.of(&[20, 300, 90_000]);
    script.extend([Deed::Pause(number), Deed::Wait(rng.below_ms(most))]);
    if rng.sometimes(300) {
        script.push(Deed::Poll(number));
    }
    if rng.sometimes(800) {
        script.push(Deed::Resume(number));
    }
}

/// Waits for the end, asks what became of it, and retries, to the end of the line at times.
fn look_back(rng: &mut Rng, number: usize, script: &mut Vec<Deed>) {
    script.push(Deed::Await(number));
    if rng.sometimes(400) {
        script.push(Deed::Analyse(number));
    }
    if rng.sometimes(400) {
        script.push(Deed::Results(number));
    }
    let line = if rng.sometimes(250) { 4 } else { 1 };
    for _ in 0..line {
        script.extend([Deed::Retry(number, rng.sometimes(700)), Deed::Await(number)]);
    }
}
