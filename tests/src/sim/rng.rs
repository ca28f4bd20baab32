//! Chance out of a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use batch_core::runtime::Entropy;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A generator; equal seeds give equal sequences on every machine.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// In `0..bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.next().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }

    /// In `0..bound`, as milliseconds.
    pub fn below_ms(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// True so many times in a thousand.
    pub fn sometimes(&mut self, per_mille: usize) -> bool {
        self.below(1_000) < per_mille
    }

    pub fn of<'a, T>(&mut self, choice: &'a [T]) -> &'a T {
        &choice[self.below(choice.len())]
    }
}

/// Chance for a process.
pub(super) fn entropy(seed: u64) -> Entropy {
    let state = Arc::new(AtomicU64::new(mix(seed)));
    Entropy::from_fn(move |bytes| {
        for chunk in bytes.chunks_mut(8) {
            let z = mix(state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP));
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    })
}
