//! The wide commit: an all-or-nothing batch that one transaction cannot hold, and other batches' locks.
//!
//! Redo log, state preparing, locks in the order of the keys, state committed (the commit point), effects, end. Until the
//! commit point any guarded write of the state stops it; after it, whoever comes by can finish it from the redo log.

use std::collections::BTreeMap;

use super::action::Action as Write;
use super::commit::written_bytes;
use super::evaluate::Step;
use super::run::{Next, Session};
use super::tell::Refused;
use crate::batch::{Attempt, State};
use crate::limits::MAX_ROUNDS;
use crate::plan::{Key, item_bytes};
use crate::store::{Commit, Fault, Holder, Lock, Locked, Planned, Redo, Refusal};

/// What became of the locks.
enum Locking {
    /// All are held.
    Held,
    /// The state is another one.
    Moved(Box<Option<State>>),
    /// They cannot all be had as planned: so many keys have been tried.
    Lost(usize),
}

impl Session<'_> {
    /// Commits all of the batch, as far as others and the time let it; what it comes to is in the state.
    pub(super) async fn commit_wide(&mut self, steps: &[Step], actions: Vec<Write>) -> Result<(), Fault> {
        let redo = self.redo_of(actions);
        let lease = self.run.clock.now().plus_ms(self.run.limits.lease_ms);
        let nonce = self.run.entropy.hex32();
        let attempt = self.store.put_redo(&self.keys, self.run.head, (nonce, lease), &redo).await?;
        let mut state = self.next_state();
        state.prepare(attempt.clone());
        if let Next::Replan = self.write_state(state, &[]).await? {
            return Ok(());
        }
        match self.lock_all(steps, &attempt, &redo).await? {
            Locking::Held => {}
            Locking::Moved(stands) => {
                let ours = self.next_state();
                return self.adopt(*stands, ours, (&[], Vec::new())).await.map(|_| ());
            }
            Locking::Lost(tried) => {
                self.give_back(&attempt, redo.planned.get(..tried).unwrap_or_default()).await?;
                return self.look_at(&redo).await;
            }
        }
        let mut state = self.state_after(steps, true).await?;
        state.commit(attempt);
        match self.write_state(state, steps).await? {
            Next::Continue => {
                self.effort.wide += 1;
                self.finish(Some(redo)).await
            }
            Next::Replan => Ok(()),
        }
    }

    fn redo_of(&self, actions: Vec<Write>) -> Redo {
        let planned = actions.into_iter().map(|action| {
            let before = match action.key() {
                Key::Row(key) => self.snapshot.rows.get(&key).and_then(|row| row.fields()).map_or(0, item_bytes),
                Key::Unique(_) | Key::Children(_) => 0,
            };
            Planned { bytes: before.max(written_bytes(&action)), action }
        });
        Redo::new(&self.keys, self.run.clock.now(), planned.collect())
    }

    /// Locks everything, one transaction after another. Who waits for another's lock holds only keys before it, so two
    /// that wait for each other cannot be.
    async fn lock_all(&mut self, steps: &[Step], attempt: &Attempt, redo: &Redo) -> Result<Locking, Fault> {
        let (mut from, mut rounds) = (0, 0);
        while from < redo.planned.len() {
            let until = from + self.fitting(redo.planned.get(from..).unwrap_or_default());
            let mut wanted: Vec<Planned> = redo.planned.get(from..until).unwrap_or_default().to_vec();
            while !wanted.is_empty() {
                if self.run.clock.now() >= self.run.until.min(self.deadline()) {
                    self.tell_refused(steps, Refused::Late);
                    return Ok(Locking::Lost(until));
                }
                let mine = Lock::new(&self.run.head.id, attempt);
                let busy = match self.store.lock(&self.keys, self.run.head, attempt, &wanted).await? {
                    Commit::Done => break,
                    Commit::Guard(stands) => return Ok(Locking::Moved(stands)),
                    Commit::Refused(known, locked) if known.is_empty() => {
                        // What an earlier sending of the same transaction has locked is locked.
                        let (own, others): (Vec<_>, Vec<_>) = locked.into_iter().partition(|held| held.lock == mine);
                        wanted.retain(|planned| !own.iter().any(|held| held.key == planned.action.key()));
                        let keys = others.iter().map(|held| held.key.clone()).collect();
                        if self.free(others).await? { None } else { Some(keys) }
                    }
                    Commit::Refused(known, _) => {
                        self.tell_refused(steps, Refused::Changed);
                        let keys: Vec<Key> = known.iter().map(Refusal::key).collect();
                        if self.learn(known) {
                            self.contended(steps, &keys).await;
                        }
                        return Ok(Locking::Lost(until));
                    }
                    Commit::Busy(keys) => Some(keys),
                    Commit::Late => {
                        self.tell_refused(steps, Refused::Late);
                        return Ok(Locking::Lost(until));
                    }
                    Commit::Invalid(keys) => {
                        self.tell_refused(steps, Refused::Invalid);
                        self.invalid(steps, &keys);
                        return Ok(Locking::Lost(until));
                    }
                };
                if let Some(keys) = busy {
                    rounds += 1;
                    if rounds > MAX_ROUNDS {
                        self.tell_refused(steps, Refused::Busy);
                        self.contended(steps, &keys).await;
                        return Ok(Locking::Lost(until));
                    }
                    if !self.store.pause(rounds).await {
                        self.tell_refused(steps, Refused::Late);
                        return Ok(Locking::Lost(until));
                    }
                }
            }
            from = until;
        }
        Ok(Locking::Held)
    }

    /// How many of `planned`, from the first, one transaction locks beside its check of the state.
    fn fitting(&self, planned: &[Planned]) -> usize {
        let (most, mut bytes) = (self.run.limits.actions.saturating_sub(1).max(1), 0);
        let fits = |planned: &&Planned| {
            bytes += planned.bytes;
            bytes <= self.run.limits.bytes
        };
        planned.iter().take(most).take_while(fits).count().max(1)
    }

    /// Stops an attempt of our own: first the fence, then the locks, so that none can come after it.
    async fn give_back(&mut self, attempt: &Attempt, tried: &[Planned]) -> Result<(), Fault> {
        self.store = self.run.store.until(self.run.clock.now().plus_ms(GIVE_BACK_MS));
        let state = self.next_state();
        if let Next::Replan = self.write_state(state, &[]).await? {
            return Ok(());
        }
        let held: Vec<Key> = tried.iter().map(|planned| planned.action.key()).collect();
        let lock = Lock::new(&self.run.head.id, attempt);
        self.store.unlock(&self.keys, &lock, &held, self.run.clock.now()).await?;
        if let Some(state) = &mut self.state {
            state.stale.retain(|stale| stale.nonce != attempt.nonce);
        }
        Ok(())
    }

    /// Learns everything that is not as an attempt took it to be: one that fails on the first of many taken values need
    /// not begin anew for each of the others.
    async fn look_at(&mut self, redo: &Redo) -> Result<(), Fault> {
        let actions = redo.planned.iter().map(|planned| &planned.action);
        let found = self.store.deviations(&self.keys, actions).await?;
        self.learn(found);
        Ok(())
    }

    /// Takes off what stopped attempts of this batch have left; the next state forgets them.
    pub(super) async fn tidy(&mut self) -> Result<(), Fault> {
        let store = self.run.store.until(self.run.until);
        let stale = self.state.as_mut().map(|state| std::mem::take(&mut state.stale)).unwrap_or_default();
        for (place, attempt) in stale.iter().enumerate() {
            if let Err(fault) = store.clean(&self.keys, &self.run.head.id, attempt).await {
                if let Some(state) = &mut self.state {
                    state.stale = stale.get(place..).unwrap_or_default().to_vec();
                }
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Writes the effects of a committed batch, and ends it. The deadline is past: it was kept at the commit point.
    pub(super) async fn finish(&mut self, redo: Option<Redo>) -> Result<(), Fault> {
        self.store = self.run.store.until(self.run.until);
        let Some(attempt) = self.state.as_ref().and_then(|state| state.attempt.clone()) else {
            return Err(Fault::new("finish", "a committed batch without its attempt"));
        };
        let redo = match redo {
            Some(redo) => redo,
            None => self.store.redo(&self.keys, &self.run.head.id, &attempt).await?,
        };
        self.store.apply(&self.keys, &Lock::new(&self.run.head.id, &attempt), &redo, |_| true).await?;
        let mut state = self.next_state();
        state.apply();
        self.write_state(state, &[]).await.map(|_| ())
    }

    /// Frees items that wide commits hold, as far as nobody is at work on them: what is decided is written, what was
    /// stopped is taken off, and what is past its lease is stopped. False when one is still at work.
    pub(super) async fn free(&mut self, locked: Vec<Locked>) -> Result<bool, Fault> {
        let mut locks: BTreeMap<Lock, Vec<Key>> = BTreeMap::new();
        for locked in locked {
            locks.entry(locked.lock).or_default().push(locked.key);
        }
        let mut free = true;
        for (lock, keys) in locks {
            match self.store.holder(&self.keys, &lock).await? {
                Holder::Committed(head, attempt) => {
                    let redo = self.store.redo(&self.keys, &head.id, &attempt).await?;
                    self.store.apply(&self.keys, &lock, &redo, |key| keys.contains(key)).await?;
                }
                Holder::Preparing(holder) => {
                    let (head, state) = *holder;
                    let lease = state.attempt.as_ref().map(|attempt| attempt.lease);
                    if lease.is_some_and(|lease| self.run.clock.now() < lease) {
                        free = false;
                        continue;
                    }
                    tracing::warn!(batch.id = %head.id, "a wide commit is past its lease and is stopped");
                    // Whoever moved it on instead has changed what the lock means: it is met again, and looked at again.
                    if self.store.fence(&self.keys, &head, &state).await? {
                        self.store.unlock(&self.keys, &lock, &keys, self.run.clock.now()).await?;
                    }
                }
                Holder::Gone => self.store.unlock(&self.keys, &lock, &keys, self.run.clock.now()).await?,
            }
            // What was read of them may be from before.
            for key in keys {
                self.snapshot.forget(&key);
            }
        }
        Ok(free)
    }
}

/// Time for giving locks back after the time for new ones is over, milliseconds: functions keep more in reserve.
const GIVE_BACK_MS: i64 = 2_000;
