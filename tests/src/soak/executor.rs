//! The queue and those who work on its messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Soak, lock};
use crate::seam::Counts;
use crate::sim::Rng;

/// As in the template.
const MAX_RECEIVES: u32 = 5;
const DELIVERED_AT_ONCE: usize = 5;
/// The first delay of a message that could not be worked on; it doubles up to a minute.
const DELAY_S: u64 = 5;
/// How long an executor that has nothing to do waits: while batches are sent, and when only the sweep is left.
const IDLE: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

#[derive(Debug)]
struct Held {
    body: String,
    visible: Instant,
    receives: u32,
}

/// At least once, in any order.
#[derive(Debug)]
pub(super) struct Queue {
    rng: Rng,
    held: Vec<Held>,
    pub faults: Counts,
}

impl Queue {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed ^ 1), held: Vec::new(), faults: Counts::new() }
    }

    fn told(&mut self, what: &str) {
        *self.faults.entry(what.to_owned()).or_default() += 1;
    }

    /// Takes a message in: some come twice, some are lost, some have failed too often already.
    fn put(&mut self, body: &str) {
        if self.rng.sometimes(5) {
            return self.told("message lost");
        }
        let copies = if self.rng.sometimes(30) { 2 } else { 1 };
        let receives = if self.rng.sometimes(5) { MAX_RECEIVES } else { 0 };
        if copies == 2 {
            self.told("message twice");
        }
        if receives > 0 {
            self.told("message dead");
        }
        for _ in 0..copies {
            let visible = Instant::now() + Duration::from_millis(self.rng.below_ms(100));
            self.held.push(Held { body: body.to_owned(), visible, receives });
        }
    }

    /// Visible messages of one kind: those to work on, or those that are dead.
    fn take(&mut self) -> (Vec<Held>, bool) {
        let now = Instant::now();
        let dead = self.held.iter().any(|held| held.visible <= now && held.receives >= MAX_RECEIVES);
        let mut taken = Vec::new();
        let mut place = 0;
        while place < self.held.len() && taken.len() < DELIVERED_AT_ONCE {
            let held = &self.held[place];
            if held.visible <= now && (held.receives >= MAX_RECEIVES) == dead {
                taken.push(self.held.swap_remove(place));
            } else {
                place += 1;
            }
        }
        (taken, dead)
    }

    fn again(&mut self, held: Held) {
        let delay = (DELAY_S << held.receives.min(4)).min(60);
        self.held.push(Held {
            visible: Instant::now() + Duration::from_secs(delay),
            receives: held.receives + 1,
            ..held
        });
    }
}

/// Works on messages until all is over.
pub(super) async fn run(soak: Arc<Soak>) {
    while !soak.over.load(Ordering::Relaxed) {
        let (taken, dead) = {
            let mut queue = lock(&soak.queue);
            soak.world.seam.take_messages().into_iter().for_each(|body| queue.put(&body));
            queue.take()
        };
        if taken.is_empty() {
            let all_sent = soak.begun.load(Ordering::Relaxed) >= soak.batches + super::CLIENTS;
            tokio::time::sleep(IDLE[usize::from(all_sent)]).await;
            continue;
        }
        let bodies: Vec<String> = taken.iter().map(|held| held.body.clone()).collect();
        let failed = if dead { soak.world.deliver_dead(&bodies).await } else { soak.world.deliver(&bodies).await };
        for (place, held) in taken.into_iter().enumerate() {
            if failed.contains(&format!("m{place}")) {
                lock(&soak.queue).again(held);
            }
        }
    }
}

/// Tells the minute, as the scheduler does, until all is over.
pub(super) async fn tick(soak: Arc<Soak>) {
    while !soak.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_mins(1)).await;
        let minute = serde_json::json!({
            "version": "0", "id": "e", "detail-type": "Scheduled Event", "source": "aws.events", "account": "1",
            "time": soak.world.app.clock().now().to_string(), "region": "us-east-1", "resources": [], "detail": {},
        });
        lock(&soak.queue).held.push(Held { body: minute.to_string(), visible: Instant::now(), receives: 0 });
    }
}
