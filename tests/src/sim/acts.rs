//! What clients do with a batch that was accepted: look at it, and cancel, pause, resume and retry it.

use std::time::Duration;

use serde_json::Value;

use super::client::{Client, ENDED, Known, Seen, Sent, What};
use super::kind::Kind;
use crate::Answer;

/// Waits between looks for the end of a batch, in milliseconds.
const LOOKS_MS: [u64; 4] = [100, 2_000, 20_000, 70_000];

impl Client {
    async fn get(&self, known: &Known, rest: &str, query: Vec<(String, String)>) -> Option<Answer> {
        let path = format!("/batches/{}{rest}", known.id);
        self.send(known.tenant, Sent { query, ..Sent::new("GET", path) }).await
    }

    /// Whether an answer is one that a client can use; what no client may get is told.
    pub(super) fn is_told(&self, known: &Known, answer: &Answer) -> bool {
        match answer.status {
            200 => return true,
            404 if !known.accepted => {}
            500.. => {}
            status => {
                self.wrong(format!("{} is answered with {status} {}, known as {known:?}", known.id, answer.body));
            }
        }
        false
    }

    /// Looks at a batch; what a client sees may not go back.
    pub(super) async fn poll(&mut self, number: usize) {
        let Some(known) = self.known(number) else { return };
        let Some(answer) = self.get(&known, "", Vec::new()).await else { return };
        if !self.is_told(&known, &answer) {
            return;
        }
        let now = progress(&answer.body);
        if now < known.seen {
            self.wrong(format!("I2: {} went back from {:?} to {now:?}", known.id, known.seen));
        }
        self.known.insert(number, Known { accepted: true, seen: now, ..known.clone() });
        if now.0 == ENDED {
            self.say(&known.id, What::End(answer.body));
        }
    }

    /// It was said to have ended.
    fn ended(&mut self, number: usize, known: &Known) {
        self.known.insert(number, Known { accepted: true, seen: (ENDED, known.seen.1), ..known.clone() });
    }

    pub(super) async fn await_end(&mut self, number: usize) {
        for wait in LOOKS_MS {
            if self.known(number).is_none_or(|known| known.has_ended()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.poll(number).await;
        }
    }

    /// Cancels, pauses or resumes it, until that is known to be done or refused.
    pub(super) async fn act(&mut self, word: &'static str, number: usize) {
        let Some(known) = self.known(number) else { return };
        let sent = Sent::new("POST", format!("/batches/{}/{word}", known.id));
        let Some(answer) = self.insist(known.tenant, sent).await else { return };
        let (code, status) = (answer.body["error"].as_str().unwrap_or_default(), &answer.body["status"]);
        match (answer.status, code, word) {
            (200, _, "cancel") if status == "cancelled" && !known.has_ended() => {
                self.ended(number, &known);
                self.say(&known.id, What::End(answer.body));
            }
            (200, _, "pause") if status == "paused" && !known.has_ended() => self.say(&known.id, What::Paused),
            (200, _, "resume") if status == "processing" && !known.has_ended() => {}
            (409, "BATCH_ENDED", _) => self.say(&known.id, What::Ended),
            (409, "NOT_PAUSED", "resume") => {}
            // What is signed can't be cancelled.
            (400, "NOT_SUPPORTED", "cancel") if self.work.kind() == Kind::Intents => {}
            (404, ..) if !known.accepted => {}
            _ => self.wrong(format!("{word} of {known:?} is answered with {} {}", answer.status, answer.body)),
        }
    }

    /// Sends again what failed; from then on the retry goes by the number.
    pub(super) async fn retry(&mut self, number: usize, keyed: bool) {
        let Some(known) = self.known(number) else { return };
        let key = keyed.then(|| format!("again {number}"));
        let sent = Sent { key, ..Sent::new("POST", format!("/batches/{}/retry", known.id)) };
        let answer = if keyed { self.insist(known.tenant, sent).await } else { self.send(known.tenant, sent).await };
        let Some(answer) = answer else { return };
        match (answer.status, answer.body["error"].as_str().unwrap_or_default()) {
            (202, _) => {
                let id = answer.body["newBatchId"].as_str().unwrap_or_default().to_owned();
                let count = |name: &str| answer.body[name].as_u64().unwrap_or(0);
                self.say(&known.id, What::Retried(id.clone(), count("retryCount"), count("attempt")));
                self.say(&id, What::Accepted);
                self.known.insert(number, Known { tenant: known.tenant, id, accepted: true, seen: (0, 0) });
            }
            (409, "BATCH_NOT_ENDED") if !known.has_ended() => {}
            (409, "NOTHING_TO_RETRY") => self.say(&known.id, What::NothingToRetry),
            (409, "RETRY_LIMIT") => self.say(&known.id, What::RetryLimit),
            (404, _) if !known.accepted => {}
            // Clocks that are minutes apart see a quota used up that is not.
            (429 | 500.., _) => {}
            _ => self.wrong(format!("a retry of {known:?} is answered with {} {}", answer.status, answer.body)),
        }
    }

    pub(super) async fn analyse(&mut self, number: usize) {
        let Some(known) = self.known(number) else { return };
        let Some(answer) = self.get(&known, "/failure-analysis", Vec::new()).await else { return };
        if self.is_told(&known, &answer) && progress(&answer.body).0 == ENDED {
            self.say(&known.id, What::Analysis(answer.body));
        }
    }

    /// All results of one status, page after page, of a batch that has ended.
    pub(super) async fn results(&mut self, number: usize) {
        let Some(known) = self.known(number).filter(Known::has_ended) else { return };
        let status = *self.rng.of(&[None, Some("completed"), Some("failed"), Some("skipped"), Some("pending")]);
        let mut query = vec![("limit".to_owned(), (1 + self.rng.below(3)).to_string())];
        query.extend(status.map(|status| ("status".to_owned(), status.to_owned())));
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let more = cursor.iter().map(|cursor| ("cursor".to_owned(), cursor.clone()));
            let page = query.iter().cloned().chain(more).collect();
            let Some(answer) = self.get(&known, "/results", page).await else { return };
            if !self.is_told(&known, &answer) {
                return;
            }
            all.extend(answer.body["data"].as_array().cloned().unwrap_or_default());
            cursor = answer.body["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                self.say(&known.id, What::Results(status, all));
                return;
            }
        }
    }
}

/// How far a batch is, as its status tells.
fn progress(body: &Value) -> Seen {
    let rank = match body["status"].as_str().unwrap_or_default() {
        "pending" | "awaiting_signatures" => 0,
        "processing" | "paused" => 1,
        _ => ENDED,
    };
    let summary = &body["summary"];
    (rank, summary["total"].as_u64().unwrap_or(0) - summary["pending"].as_u64().unwrap_or(0))
}
