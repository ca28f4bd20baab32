//! Content jobs: what clients send, what each does next, and how it goes about it.

use serde_json::{Value, json};

use super::client::{Client, ENDED, Known, Sent, What};
use super::rng::Rng;
use super::script::{Deed, hold};
use super::setup::Work;
use super::workload::TENANTS;
use crate::{Answer, CREATOR, OTHER_CREATOR};

/// Who made the content; of the last no key is set. All callers act for all of them.
pub(super) const CREATORS: [&str; 3] = [CREATOR, OTHER_CREATOR, "nobody"];
/// The items that there are at the beginning, each with its creator, and whether the contract knows it.
const ITEMS: [(&str, usize, bool); 8] = [
    ("a", 0, true),
    ("b", 0, true),
    ("c", 0, true),
    ("d", 0, true),
    ("e", 0, false),
    ("f", 1, true),
    ("g", 1, true),
    ("h", 2, true),
];
/// An item that there never is.
const MISSING: &str = "missing";

/// What a job does to its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deal {
    Price,
    Metadata,
    Remove,
    /// The same as metadata, of one item, by a batch of records.
    Edit,
    /// Makes the items.
    Begin,
}

/// A job, or a batch of records about the same items.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    pub tenant: usize,
    pub deal: Deal,
    pub creator: usize,
    pub ids: Vec<&'static str>,
    pub key: Option<String>,
}

impl Job {
    /// Where it is sent to.
    pub fn path(&self) -> &'static str {
        match self.deal {
            Deal::Price => "/api/batches/batch-update-price",
            Deal::Metadata => "/api/batches/batch-update-metadata",
            Deal::Remove => "/api/batches/batch-remove",
            Deal::Edit | Deal::Begin => "/batch",
        }
    }

    /// The request; what it sets is told by its number.
    pub fn body(&self, number: usize) -> Value {
        let creator = CREATORS[self.creator];
        match self.deal {
            Deal::Price => json!({ "creator": creator, "contentIds": self.ids, "newPrice": 1_000 + number }),
            Deal::Metadata => {
                json!({ "creator": creator, "contentIds": self.ids, "updates": { "title": format!("t{number}") } })
            }
            Deal::Remove => json!({ "creator": creator, "contentIds": self.ids }),
            Deal::Edit => {
                let set = json!({ "title": format!("t{number}") });
                let edit = |id| json!({ "entity": "content", "action": "update", "query_params": { "content_id": id }, "store_params": set });
                // All or nothing it could be a wide commit, which has schedules of its own.
                json!({ "operations": self.ids.iter().map(edit).collect::<Vec<Value>>(), "options": { "atomic": false } })
            }
            Deal::Begin => {
                let row = |(place, (id, creator, known)): (usize, &(&str, usize, bool))| {
                    // The contract is one for all tenants.
                    let number = known.then_some(100 * self.tenant + place);
                    let row =
                        json!({ "content_id": id, "creator": CREATORS[*creator], "price": 1, "onChainId": number });
                    json!({ "entity": "content", "action": "create", "store_params": row })
                };
                let rows: Vec<Value> = ITEMS.iter().enumerate().map(row).collect();
                json!({ "operations": rows, "options": { "atomic": false, "continueOnError": true } })
            }
        }
    }
}

/// The number of some item in the contract.
pub(super) fn number(rng: &mut Rng) -> u128 {
    u128::try_from(100 * rng.below(TENANTS.len()) + rng.below(ITEMS.len())).unwrap_or(0)
}

pub(super) fn beginning(tenant: usize) -> Job {
    Job { tenant, deal: Deal::Begin, creator: 0, ids: Vec::new(), key: Some("first".into()) }
}

/// Some jobs, after those that make the items.
pub(super) fn random(rng: &mut Rng) -> Vec<Job> {
    let mut jobs: Vec<Job> = (0..TENANTS.len()).map(beginning).collect();
    for _ in 0..2 + rng.below(5) {
        let number = jobs.len();
        let deal = *rng.of(&[Deal::Price, Deal::Price, Deal::Price, Deal::Metadata, Deal::Remove, Deal::Edit]);
        let creator = *rng.of(&[0, 0, 0, 0, 1, 2]);
        let all = ITEMS.iter().map(|(id, ..)| *id).chain([MISSING]);
        let most = *rng.of(&[300, 700, 1_000]);
        let mut ids: Vec<&str> = all.filter(|_| rng.sometimes(most)).collect();
        if ids.is_empty() || deal == Deal::Edit {
            ids = vec![rng.of(&ITEMS).0];
        }
        let key = rng.sometimes(850).then(|| format!("k{number}"));
        jobs.push(Job { tenant: usize::from(rng.sometimes(250)), deal, creator, ids, key });
    }
    jobs
}

/// What a client does: with jobs of its own, or meddling with those of others.
pub(super) fn script(rng: &mut Rng, numbers: std::ops::Range<usize>, own: bool) -> Vec<Deed> {
    let mut script = Vec::new();
    for number in numbers {
        if own {
            script.extend([Deed::Wait(rng.below_ms(40)), Deed::Submit(number)]);
        } else if rng.sometimes(600) {
            continue;
        }
        let most = *rng.of(&[30, 3_000, 30_000]);
        script.push(Deed::Wait(rng.below_ms(most)));
        script.extend(std::iter::repeat_n(Deed::Look(number), rng.below(3)));
        match rng.below(12) {
            0 => script.push(Deed::Cancel(number)),
            1 => hold(rng, number, &mut script),
            2 => script.push(Deed::Submit(number)),
            3 => script.push(Deed::Poll(number)),
            _ => {}
        }
        if rng.sometimes(500) {
            script.push(Deed::Await(number));
            for _ in 0..=rng.below(3) {
                let keyed = rng.sometimes(700);
                script.push(if rng.sometimes(500) { Deed::Recall(number, keyed) } else { Deed::Retry(number, keyed) });
                script.push(Deed::Await(number));
            }
            script.push(Deed::Look(number));
        }
    }
    script
}

impl Client {
    fn jobs(&self) -> std::sync::Arc<Vec<Job>> {
        match &self.work {
            Work::Content(jobs) => jobs.clone(),
            _ => std::sync::Arc::default(),
        }
    }

    pub(super) async fn submit_job(&mut self, number: usize) {
        let jobs = self.jobs();
        let job = &jobs[number];
        let sent =
            Sent { key: job.key.clone(), body: Some(job.body(number)), ..Sent::new("POST", job.path().to_owned()) };
        let answer = match job.key {
            Some(_) => self.insist(job.tenant, sent).await,
            None => self.send(job.tenant, sent).await,
        };
        match answer {
            Some(answer) if matches!(answer.status, 200..=202) => self.accepted_as(number, job.tenant, &answer),
            Some(answer) if answer.status != 429 && answer.status < 500 => {
                self.wrong(format!("job {number} was refused: {} {}", answer.status, answer.body));
            }
            _ => {}
        }
    }

    /// Looks at a job as its contract tells it; what a client sees may not go back.
    pub(super) async fn look_job(&mut self, number: usize) {
        let jobs = self.jobs();
        if matches!(jobs[number].deal, Deal::Edit | Deal::Begin) {
            return self.poll(number).await;
        }
        let Some(known) = self.known(number) else { return };
        let sent = Sent::new("GET", format!("/api/batches/{}", known.id));
        let Some(answer) = self.send(known.tenant, sent).await else { return };
        if !self.is_told(&known, &answer) {
            return;
        }
        let count = |name: &str| answer.body[name].as_u64().unwrap_or(u64::MAX / 4);
        let rank = match answer.body["status"].as_str().unwrap_or_default() {
            "pending" => 0,
            "processing" => 1,
            _ => ENDED,
        };
        let (seen, total) = ((rank, count("successCount") + count("failureCount")), count("totalItems"));
        let results = answer.body["results"].as_array().map_or(0, Vec::len);
        let adds_up =
            if rank == ENDED { seen.1 == total && Some(results) == total.try_into().ok() } else { seen.1 <= total };
        if seen < known.seen || !adds_up {
            self.wrong(format!("I3: {} was {:?} and is {}", known.id, known.seen, answer.body));
        }
        self.known.insert(number, Known { accepted: true, seen, ..known.clone() });
        if rank == ENDED {
            self.say(&known.id, What::Job(answer.body));
        }
    }

    /// Sends failed items again, or refused calls alone; from then on the new job goes by the number.
    pub(super) async fn retry_job(&mut self, number: usize, keyed: bool, calls: bool) {
        let Some(known) = self.known(number) else { return };
        if matches!(self.jobs()[number].deal, Deal::Edit | Deal::Begin) {
            return;
        }
        let key = keyed.then(|| format!("again {number} {calls}"));
        let body = calls.then(|| json!({ "only": "contract" }));
        let sent = Sent { key, body, ..Sent::new("POST", format!("/api/batches/{}/retry", known.id)) };
        let answer = if keyed { self.insist(known.tenant, sent).await } else { self.send(known.tenant, sent).await };
        let Some(answer) = answer else { return };
        match (answer.status, answer.body["error"].as_str().unwrap_or_default()) {
            (201, _) => {
                let id = answer.batch_id();
                self.say(&known.id, What::Again(id.clone(), answer.body["totalItems"].as_u64().unwrap_or(0)));
                self.say(&id, What::Accepted);
                self.known.insert(number, Known { tenant: known.tenant, id, accepted: true, seen: (0, 0) });
            }
            (409, "BATCH_NOT_ENDED") if !known.has_ended() => {}
            (409, "NOTHING_TO_RETRY" | "RETRY_LIMIT") => {}
            (404, _) if !known.accepted => {}
            (429 | 500.., _) => {}
            _ => self.wrong(format!("a retry of {known:?} is answered with {} {}", answer.status, answer.body)),
        }
    }

    /// A batch is known to be accepted.
    pub(super) fn accepted_as(&mut self, number: usize, tenant: usize, answer: &Answer) {
        let id = answer.batch_id();
        self.told().batches.insert(id.clone(), number);
        self.say(&id, What::Accepted);
        // Sent once more, it is still the retry that goes by the number.
        self.known.entry(number).or_insert(Known { tenant, id, accepted: true, seen: (0, 0) });
    }
}
