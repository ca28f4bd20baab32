//! Faults that do not wait for a call: processes freeze, messages go astray, and what was sent long ago arrives.

use std::time::Duration;

use serde_json::json;

use super::fault::Fault;
use super::process::BEGIN_MS;
use super::queue::POISON;
use super::schedule::{Phase, Schedule};
use super::seam::Parked;
use super::workload::TENANTS;
use crate::seam::dispatch;

/// How long the store remembers a commit's token, in milliseconds.
pub(super) const TOKEN_MS: i64 = 600_000;
/// How late what is late arrives at most, in milliseconds.
const LATER_MS: u64 = 400_000;

impl Schedule {
    /// Faults that do not wait for a call.
    pub(super) fn mischief(&mut self) {
        if self.phase == Phase::Drain {
            return;
        }
        self.mischief_outside();
        let now = self.now();
        if self.faults.happens(Fault::Frozen, 6, &mut self.rng) {
            let busy: Vec<usize> = (0..self.nodes.len()).filter(|place| self.nodes[*place].busy.is_some()).collect();
            if !busy.is_empty() {
                let node = *self.rng.of(&busy);
                if let Some(busy) = &self.nodes[node].busy {
                    busy.gate.close();
                }
                self.log(|| format!("process {node} freezes"));
            }
        }
        if self.rng.sometimes(10) {
            self.thaw();
        }
        if self.faults.happens(Fault::MessageDuplicated, 8, &mut self.rng) {
            let done = self.queue.duplicate(now, &mut self.rng);
            self.log(|| format!("a message is visible again: {done}"));
        }
        if self.faults.happens(Fault::MessageDead, 2, &mut self.rng) {
            let done = self.queue.kill(now, &mut self.rng);
            self.log(|| format!("a message dies: {done}"));
        }
        if self.faults.happens(Fault::Poison, 1, &mut self.rng) {
            let known = self.some_batch().map(|(tenant, id)| json!({ "v": 2, "tenant": tenant, "batch_id": id }));
            let next = known.unwrap_or_default().to_string();
            let body = *self.rng.of(&[POISON, "no JSON", next.as_str()]);
            self.queue.send(body, now);
        }
        if self.faults.happens(Fault::MessageForeign, 2, &mut self.rng) {
            self.foreign_message(now);
        }
        if self.faults.happens(Fault::HeadUnknown, 1, &mut self.rng) {
            self.unknown_head(now);
        }
    }

    fn thaw(&mut self) {
        let frozen: Vec<usize> = (0..self.nodes.len()).filter(|place| self.nodes[*place].is_frozen()).collect();
        if frozen.is_empty() {
            return;
        }
        let node = *self.rng.of(&frozen);
        if let Some(busy) = &self.nodes[node].busy {
            busy.gate.open();
        }
        self.log(|| format!("process {node} goes on"));
    }

    /// Lets minutes go by when nothing moves because a process is frozen.
    pub(super) async fn pass(&mut self) {
        if !self.nodes.iter().any(super::process::Node::is_frozen) {
            return;
        }
        if self.rng.sometimes(300) {
            let wait = self.rng.below_ms(400_000);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        if self.rng.sometimes(300) {
            self.thaw();
        }
    }

    /// A batch that was accepted: its tenant and id.
    fn some_batch(&mut self) -> Option<(String, String)> {
        let place = self.rng.below(self.tables.heads.len());
        let (tenant, id) = self.tables.heads.iter().nth(place)?.strip_prefix("T#")?.split_once("#B#")?;
        Some((tenant.to_owned(), id.to_owned()))
    }

    /// A message of one tenant that names a batch of another one.
    fn foreign_message(&mut self, now: i64) {
        let Some((tenant, id)) = self.some_batch() else { return };
        let other = TENANTS.iter().find(|other| **other != tenant);
        let body = json!({ "v": 1, "kind": "execute", "tenant": other, "batch_id": id });
        self.queue.send(&body.to_string(), now);
    }

    /// A batch that a later version accepted, and its message. Nobody here can read it, which must hurt no other.
    fn unknown_head(&mut self, now: i64) {
        let (tenant, id) = (*self.rng.of(&TENANTS), format!("batch_{:032x}", self.rng.next()));
        let bucket = format!("W#{}#{}", (BEGIN_MS + now) / 60_000, id.bytes().last().unwrap_or(0) % 4);
        let item = json!({
            "pk": { "S": format!("T#{tenant}#B#{id}") },
            "sk": { "S": "A#HEAD" },
            "format": { "N": "99" },
            "at": { "S": now.to_string() },
            "g_watch": { "S": bucket },
        });
        let put = json!({ "TableName": "BatchesTable", "Item": item });
        dispatch(self.tables.database(), "PutItem", put).expect("the head is stored");
        let body = json!({ "v": 1, "kind": "execute", "tenant": tenant, "batch_id": id });
        self.queue.send(&body.to_string(), now);
        self.unknown.insert(id);
    }

    /// A call is to be carried out once more, so much later at least.
    pub(super) fn repeat_after(&mut self, wait: i64, parked: &Parked) {
        let due = self.now() + wait + i64::try_from(self.rng.below_ms(LATER_MS)).unwrap_or(0);
        self.replays.push((due, parked.ghost()));
    }

    /// Sends the repetitions that are due.
    pub(super) fn replay(&mut self, now: i64) {
        let (due, left) = std::mem::take(&mut self.replays).into_iter().partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.replays = left;
        self.lot.calls().extend(due.into_iter().map(|(_, parked)| parked));
    }

    /// Lets the time of all repetitions come.
    pub(super) async fn replay_all(&mut self) {
        let Some(due) = self.replays.iter().map(|(due, _)| *due).max() else { return };
        let wait = u64::try_from(due - self.now()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        self.replay(due);
    }
}
