//! The batch queue: at least once, in any order, with visibility, receive counts and a dead-letter queue.

use std::collections::BTreeSet;

use serde_json::Value;

use super::rng::Rng;

/// As the template has it.
const VISIBILITY_MS: i64 = 360_000;
const MAX_RECEIVES: u32 = 5;

/// A message of a version that nobody knows.
pub(super) const POISON: &str = r#"{"v":99}"#;

/// A message in the queue.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub id: u64,
    pub body: String,
    /// When it can be received, in virtual time.
    pub visible_at: i64,
    pub receives: u32,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    messages: Vec<Held>,
    dead: Vec<Held>,
    made: u64,
    /// How many messages have died.
    pub deaths: u64,
}

impl Queue {
    pub fn send(&mut self, body: &str, visible_at: i64) {
        self.made += 1;
        self.messages.push(Held { id: self.made, body: body.to_owned(), visible_at, receives: 0 });
    }

    /// When the next message can be received.
    pub fn next_at(&self) -> Option<i64> {
        self.messages.iter().map(|held| held.visible_at).min()
    }

    /// When the next dead message can be received; one that nobody can work on is left alone.
    pub fn next_dead_at(&self) -> Option<i64> {
        self.dead.iter().filter(|held| held.receives < MAX_RECEIVES).map(|held| held.visible_at).min()
    }

    /// Receives up to `most` visible messages, the oldest first unless they are `shuffled`. Those received too often are
    /// dead.
    pub fn receive(&mut self, now: i64, most: usize, shuffled: Option<&mut Rng>) -> Vec<Held> {
        let is_dead = |held: &Held| held.visible_at <= now && held.receives >= MAX_RECEIVES;
        let (dead, alive) = std::mem::take(&mut self.messages).into_iter().partition::<Vec<Held>, _>(is_dead);
        self.messages = alive;
        dead.into_iter().for_each(|held| self.bury(held, now));
        take(&mut self.messages, now, most, shuffled)
    }

    /// Receives up to `most` dead messages.
    pub fn receive_dead(&mut self, now: i64, most: usize) -> Vec<Held> {
        take(&mut self.dead, now, most, None)
    }

    fn bury(&mut self, held: Held, now: i64) {
        self.deaths += 1;
        self.dead.push(Held { visible_at: now, receives: 0, ..held });
    }

    pub fn delete(&mut self, id: u64) {
        self.messages.retain(|held| held.id != id);
        self.dead.retain(|held| held.id != id);
    }

    /// Changes when a message can be received.
    pub fn change(&mut self, id: u64, visible_at: i64) {
        for held in self.messages.iter_mut().filter(|held| held.id == id) {
            held.visible_at = visible_at;
        }
    }

    /// A message is visible again although somebody works on it.
    pub fn duplicate(&mut self, now: i64, rng: &mut Rng) -> bool {
        let away: Vec<u64> = self.messages.iter().filter(|held| held.visible_at > now).map(|held| held.id).collect();
        if away.is_empty() {
            return false;
        }
        self.change(*rng.of(&away), now);
        true
    }

    /// A message dies, as if it had been received too often.
    pub fn kill(&mut self, now: i64, rng: &mut Rng) -> bool {
        let place = rng.below(self.messages.len());
        let dies = place < self.messages.len();
        if dies {
            let held = self.messages.remove(place);
            self.bury(held, now);
        }
        dies
    }

    /// Dead messages that can be read are received again, however often they were.
    pub fn revive(&mut self, now: i64) {
        for held in self.dead.iter_mut().filter(|held| is_readable(&held.body)) {
            (held.receives, held.visible_at) = (0, now);
        }
    }

    /// Sends dead messages again, as an operator does; how many were sent. What cannot be read is thrown away, and what
    /// is about `unknown` batches.
    pub fn redrive(&mut self, now: i64, unknown: &BTreeSet<String>) -> usize {
        let dead = std::mem::take(&mut self.dead);
        let helps = |body: &String| is_readable(body) && !unknown.iter().any(|id| body.contains(id));
        let sent: Vec<String> = dead.into_iter().map(|held| held.body).filter(helps).collect();
        for body in &sent {
            self.send(body, now);
        }
        sent.len()
    }
}

fn take(from: &mut [Held], now: i64, most: usize, mut shuffled: Option<&mut Rng>) -> Vec<Held> {
    let visible = |held: &Held| held.visible_at <= now && held.receives < MAX_RECEIVES;
    let mut places: Vec<usize> = (0..from.len()).filter(|place| visible(&from[*place])).collect();
    let mut received = Vec::new();
    while received.len() < most && !places.is_empty() {
        let place = shuffled.as_mut().map_or(0, |rng| rng.below(places.len()));
        let held = &mut from[places.remove(place)];
        held.visible_at = now + VISIBILITY_MS;
        held.receives += 1;
        received.push(held.clone());
    }
    received
}

/// Whether a message is one of this version, or of the minute rule.
fn is_readable(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|body| body["v"] == 1 || body["source"] == "aws.events")
}
