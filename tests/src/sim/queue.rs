//! The batch queue: at least once, in any order, with visibility, receive counts and a dead-letter queue.

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

    /// Receives up to `most` visible messages, the oldest first unless they are `shuffled`. Those received too often are
    /// dead.
    pub fn receive(&mut self, now: i64, most: usize, shuffled: Option<&mut Rng>) -> Vec<Held> {
        let is_dead = |held: &Held| held.visible_at <= now && held.receives >= MAX_RECEIVES;
        let (dead, alive) = std::mem::take(&mut self.messages).into_iter().partition(is_dead);
        self.messages = alive;
        self.dead.extend::<Vec<Held>>(dead);
        let mut places: Vec<usize> =
            (0..self.messages.len()).filter(|place| self.messages[*place].visible_at <= now).collect();
        let mut shuffled = shuffled;
        let mut received = Vec::new();
        while received.len() < most && !places.is_empty() {
            let place = shuffled.as_mut().map_or(0, |rng| rng.below(places.len()));
            let held = &mut self.messages[places.remove(place)];
            held.visible_at = now + VISIBILITY_MS;
            held.receives += 1;
            received.push(held.clone());
        }
        received
    }

    pub fn delete(&mut self, id: u64) {
        self.messages.retain(|held| held.id != id);
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

    /// Sends dead messages again, as an operator does; how many were dead, and how many were sent. What cannot be read
    /// is thrown away.
    pub fn redrive(&mut self, now: i64) -> (usize, usize) {
        let dead = std::mem::take(&mut self.dead);
        let count = dead.len();
        let readable = dead.into_iter().filter(|held| held.body != POISON);
        let sent: Vec<String> = readable.map(|held| held.body).collect();
        for body in &sent {
            self.send(body, now);
        }
        (count, sent.len())
    }
}
