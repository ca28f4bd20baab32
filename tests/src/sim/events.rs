//! The events of a schedule: a call runs, a process takes work, crashes, freezes, or a message goes astray.

use std::sync::PoisonError;

use batch_core::http;
use serde_json::{Value, json};

use super::checks::{batch_of, tenant_of};
use super::fault::Fault;
use super::process::{Call, Done, On};
use super::queue::Held;
use super::schedule::{Phase, Schedule, Waiting};
use super::wire::{Reply, Request};
use super::workload::TENANTS;

/// Time limit of a call of a client, in milliseconds.
const ANSWER_MS: i64 = 29_000;
/// The two queues, as deliveries name them.
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:BatchQueue";
const DEAD_QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:BatchDeadLetterQueue";

#[derive(Debug, Clone, Copy)]
enum Choice {
    Call(usize),
    Take(usize),
    Deliver,
    Bury,
}

impl Schedule {
    /// One event; false when there is nothing to do.
    pub(super) fn event(&mut self) -> bool {
        self.mischief();
        let now = self.now();
        self.replay(now);
        let mut choices = Vec::new();
        for (place, parked) in self.lot.calls().iter().enumerate() {
            let weight = if parked.is_awaited() || self.phase == Phase::Drain { 6 } else { 1 };
            choices.extend(std::iter::repeat_n(Choice::Call(place), weight));
        }
        if self.nodes.iter().any(|node| node.busy.is_none()) {
            for place in 0..self.net.calls().len() {
                choices.extend(std::iter::repeat_n(Choice::Take(place), 4));
            }
            if self.queue.next_at().is_some_and(|at| at <= now) {
                choices.extend(std::iter::repeat_n(Choice::Deliver, 4));
            }
            if self.setup.buries && self.queue.next_dead_at().is_some_and(|at| at <= now) {
                choices.extend(std::iter::repeat_n(Choice::Bury, 4));
            }
        }
        if choices.is_empty() {
            return false;
        }
        match *self.rng.of(&choices) {
            Choice::Call(place) => {
                let parked = self.lot.calls().remove(place);
                self.call(parked);
            }
            Choice::Take(place) => self.take(place),
            Choice::Deliver => self.deliver(),
            Choice::Bury => {
                let held = self.queue.receive_dead(now, 2);
                self.bury(&held);
            }
        }
        true
    }

    /// A process takes a client's call.
    fn take(&mut self, place: usize) {
        let call = self.net.calls().remove(place);
        if call.reply.is_closed() {
            return;
        }
        let mut headers = ::http::HeaderMap::new();
        let key = ("x-api-key", self.keys[call.tenant].clone());
        for (name, value) in call.headers.into_iter().chain([key]) {
            headers.append(name, value.parse().expect("a header value"));
        }
        let request = http::Request {
            method: call.method.to_owned(),
            path: call.path.clone(),
            base_path: String::new(),
            query: call.query.clone(),
            headers,
            body: call.body,
            request_id: "request".into(),
        };
        let mut on = On::behalf_of([TENANTS[call.tenant].to_owned()]);
        on.batches.extend(call.path.split('/').filter(|part| part.starts_with("batch_")).map(str::to_owned));
        let (node, of) = self.free(ANSWER_MS, on);
        self.log(|| {
            let body = String::from_utf8_lossy(&request.body);
            format!("process {node} takes {} {} {:?} {body}", call.method, call.path, call.query)
        });
        self.waiting.insert((node, of.run), Waiting::Client(call.reply));
        self.nodes[node].answer(&mut self.tasks, &self.finished, of, request);
    }

    /// A process that has nothing to do, and its next call.
    fn free(&mut self, limit: i64, on: On) -> (usize, Call) {
        let free: Vec<usize> = (0..self.nodes.len()).filter(|place| self.nodes[*place].busy.is_none()).collect();
        self.runs += 1;
        (*self.rng.of(&free), Call { run: self.runs, now: self.now(), limit, on })
    }

    fn deliver(&mut self) {
        let (now, most) = (self.now(), 1 + self.rng.below(3));
        let shuffled = self.faults.happens(Fault::MessageReordered, 300, &mut self.rng);
        let held = self.queue.receive(now, most, shuffled.then_some(&mut self.rng));
        if held.is_empty() {
            return;
        }
        let bodies: Vec<String> = held.iter().map(|held| held.body.clone()).collect();
        if self.faults.happens(Fault::DeliveryLost, 60, &mut self.rng) {
            self.log(|| format!("a delivery is lost: {bodies:?}"));
            return;
        }
        self.log(|| format!("a delivery of {bodies:?}"));
        self.hand_over(&held, QUEUE);
    }

    /// Dead messages are delivered as such.
    fn bury(&mut self, held: &[Held]) {
        let ids = held.iter().filter_map(|held| batch_of(&held.body));
        self.told.lock().unwrap_or_else(PoisonError::into_inner).buried.extend(ids);
        let count = held.len();
        self.log(|| format!("a delivery of {count} dead messages"));
        self.hand_over(held, DEAD_QUEUE);
    }

    fn hand_over(&mut self, held: &[Held], from: &str) {
        let record = |held: &Held| {
            json!({
                "messageId": held.id.to_string(),
                "receiptHandle": held.id.to_string(),
                "body": held.body,
                "eventSourceARN": from,
                "attributes": { "ApproximateReceiveCount": held.receives.to_string() },
                "messageAttributes": {},
            })
        };
        let records: Vec<Value> = held.iter().map(record).collect();
        let mut on = On::default();
        for held in held {
            on.batches.extend(batch_of(&held.body));
            match tenant_of(&held.body) {
                Some(tenant) => drop(on.tenants.insert(tenant)),
                None => on.sweeps = true,
            }
        }
        let (node, of) = self.free(self.setup.delivery_ms, on);
        self.log(|| format!("process {node} is delivered {records:?}"));
        let ids = held.iter().map(|held| held.id).collect();
        self.waiting.insert((node, of.run), Waiting::Queue(ids));
        self.nodes[node].deliver(&mut self.tasks, &self.finished, of, &json!({ "Records": records }));
    }

    /// Hands out what processes have finished.
    pub(super) fn collect(&mut self) {
        for (node, run, done) in self.finished.take() {
            if self.nodes[node].busy.as_ref().is_some_and(|busy| busy.run == run) {
                self.nodes[node].busy = None;
            }
            match (self.waiting.remove(&(node, run)), done) {
                (Some(Waiting::Client(reply)), Done::Answered(response)) => {
                    self.log(|| format!("process {node} answers {} {}", response.status, response.body));
                    if !self.faults.happens(Fault::AnswerLost, 80, &mut self.rng) {
                        drop(reply.send(response.into()));
                    }
                }
                (Some(Waiting::Queue(ids)), Done::Delivered(again)) => {
                    self.log(|| format!("process {node} is done but for {again:?}"));
                    for id in ids.into_iter().filter(|id| !again.contains(&id.to_string())) {
                        self.queue.delete(id);
                    }
                }
                _ => {}
            }
        }
    }

    /// Ends processes at their time limits.
    pub(super) fn limit(&mut self) {
        let now = self.now();
        for node in 0..self.nodes.len() {
            let Some(busy) = self.nodes[node].busy.as_mut().filter(|busy| now > busy.until && !busy.zombie) else {
                continue;
            };
            let run = busy.run;
            self.waiting.remove(&(node, run));
            if self.faults.happens(Fault::Zombie, 500, &mut self.rng) {
                if let Some(busy) = &mut self.nodes[node].busy {
                    busy.zombie = true;
                }
            } else {
                self.faults.count(Fault::Killed);
                self.log(|| format!("process {node} is ended"));
                self.nodes[node].crash();
            }
        }
    }

    /// A process is gone.
    pub(super) fn crash(&mut self, node: usize) {
        if let Some(busy) = &self.nodes[node].busy {
            self.waiting.remove(&(node, busy.run));
        }
        self.log(|| format!("process {node} crashes"));
        self.nodes[node].crash();
    }

    /// The queue's side of a call; none when it is not the queue's.
    pub(super) fn queued(&mut self, request: &Request) -> Option<Reply> {
        let now = self.now();
        match request.operation.as_str() {
            "SendMessage" => {
                let late = self.faults.happens(Fault::MessageDelayed, 150, &mut self.rng);
                let late = if late { i64::try_from(self.rng.below_ms(600_000)).unwrap_or(0) } else { 0 };
                let delay = request.body["DelaySeconds"].as_i64().unwrap_or(0) * 1_000 + late;
                let body = request.body["MessageBody"].as_str().unwrap_or_default();
                let lost = self.setup.lost > 0 && self.phase == Phase::Work;
                self.setup.lost -= usize::from(lost);
                if lost || self.faults.happens(Fault::MessageLost, 40, &mut self.rng) {
                    self.log(|| "the message is lost".into());
                } else {
                    self.queue.send(body, now + delay);
                }
                if self.setup.dead > 0 && self.phase == Phase::Work {
                    self.setup.dead -= 1;
                    self.queue.kill(now, &mut self.rng);
                }
                Some(Reply::ok(&json!({ "MessageId": "m" })))
            }
            "ChangeMessageVisibility" => {
                let id = request.body["ReceiptHandle"].as_str().and_then(|id| id.parse().ok()).unwrap_or(0);
                let seconds = request.body["VisibilityTimeout"].as_i64().unwrap_or(0);
                self.queue.change(id, now + seconds * 1_000);
                Some(Reply::ok(&json!({})))
            }
            _ => None,
        }
    }
}
