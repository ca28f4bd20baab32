//! I1, I3, I10, I12 of intents: what clients sent is what is stored, what they were told was so then, and an end stays.

use batch_core::batch::{Intents, Phase};
use batch_core::limits::MAX_RETRY_ATTEMPTS;
use serde_json::Value;

use super::given_up;
use super::sets::{Row, is_atomic, rows};
use super::stored::{Stored, summary};
use crate::sim::client::{Said, Told, What};
use crate::sim::intents::Wish;
use crate::sim::tables::Tables;
use crate::sim::wire::text;

pub(super) fn check(tables: &Tables, batches: &[Stored<'_>], (told, sent): (&Told, &[Wish]), wrong: &mut Vec<String>) {
    given_up(batches, told, wrong);
    for batch in batches {
        let Some(intents) = &batch.work.intents else { continue };
        let of = Of { tables, batch, intents, rows: rows(tables, batch) };
        let wish = told.batches.get(batch.id()).and_then(|number| sent.get(*number));
        if wish.is_some_and(|wish| wish.operations.len() != intents.sets.len()) {
            wrong.push(format!("I10: {} was sent as {wish:?} and is {:?}", batch.pk, intents.sets));
        }
        of.retried(batches, wrong);
        for said in told.said.iter().filter(|said| said.id == batch.id()) {
            if !of.is_right(batches, said) {
                wrong.push(format!(
                    "I1: {} was told as {said:?} and went as {:?} with {:?}",
                    batch.pk, batch.states, of.rows
                ));
            }
        }
    }
}

struct Of<'a> {
    tables: &'a Tables,
    batch: &'a Stored<'a>,
    intents: &'a Intents,
    rows: Vec<Row<'a>>,
}

impl Of<'_> {
    fn then(&self, step: usize, at: i64) -> bool {
        self.tables.steps.get(step).is_some_and(|step| step.at <= at)
    }

    /// How an operation stands in the end.
    fn last(&self, index: usize) -> &'static str {
        let at = self.intents.sets.get(index).and_then(|set| set.merged_into).unwrap_or(index);
        if self.intents.sets.get(at).is_some_and(|set| set.defeat.is_some()) {
            return "failed";
        }
        let row = self.rows.iter().find(|row| row.index == at);
        // Of a batch that was never executed.
        row.and_then(Row::last).map_or("skipped", |phase| word(&phase))
    }

    /// Whether an operation was told as it stood at that time, or before.
    fn was(&self, index: usize, told: &str, at: i64) -> bool {
        let place = self.intents.sets.get(index).and_then(|set| set.merged_into).unwrap_or(index);
        if matches!(told, "completed" | "failed" | "skipped") && told != self.last(index) {
            return false;
        }
        let row = self.rows.iter().find(|row| row.index == place);
        match row {
            Some(row) => {
                told == "pending" || row.phases().any(|(step, phase)| self.then(step, at) && word(&phase) == told)
            }
            None => told == "pending" || told == self.last(index),
        }
    }

    fn is_right(&self, batches: &[Stored<'_>], said: &Said) -> bool {
        let Some(state) = self.batch.last() else { return false };
        let ended = self.batch.end().is_some_and(|step| self.then(step, said.at));
        let list = |body: &Value, name: &str| body[name].as_array().cloned().unwrap_or_default();
        let number = |told: &Value| told["operationId"].as_str()?.strip_prefix("op_")?.parse::<usize>().ok();
        let was = |told: &Value| {
            number(told).is_some_and(|index| self.was(index, told["status"].as_str().unwrap_or_default(), said.at))
        };
        match &said.what {
            What::Accepted => self.then(self.batch.step, said.at),
            What::End(body) => {
                ended && body["status"] == text(state, "status", "S") && body["summary"] == summary(state)
            }
            What::Ended => ended,
            What::Status(body) => {
                let count = |name: &str| body["summary"][name].as_u64().unwrap_or(u64::MAX / 4);
                let operations = list(body, "operations");
                count("successful") + count("failed") + count("pending") == count("total")
                    && operations.len() == self.intents.sets.len()
                    && operations.iter().all(was)
            }
            What::Executed(body) => {
                let results = list(body, "results");
                results.len() == self.intents.sets.len() && results.iter().all(was)
            }
            What::Analysis(body) => {
                let of = |name: &str| list(body, name).iter().filter_map(number).collect::<Vec<usize>>();
                let all =
                    |wanted: &str| (0..self.intents.sets.len()).filter(|i| self.last(*i) == wanted).collect::<Vec<_>>();
                let (failed, skipped) = (all("failed"), all("skipped"));
                // What cannot come about as it is is not proposed again, but as a part of what is one.
                let useful = is_atomic(self.batch)
                    || list(body, "failedOperations").iter().any(|failed| failed["retryable"] == true);
                let again =
                    (!failed.is_empty() && useful || !skipped.is_empty()) && self.batch.attempt < MAX_RETRY_ATTEMPTS;
                of("failedOperations") == failed
                    && of("impactedOperations") == skipped
                    && body["retry"].is_object() == again
            }
            What::Retried(id, count, attempt) => batches.iter().any(|retry| {
                let (count, attempt) = (usize::try_from(*count).ok(), usize::try_from(*attempt).ok());
                let is = retry.id() == id && retry.parent == Some(self.batch.id());
                is && count == Some(retry.work.operations.len()) && attempt == Some(retry.attempt)
            }),
            _ => true,
        }
    }

    /// A retry is of what failed and was skipped, as it was asked for, once all of it had come to its end.
    fn retried(&self, batches: &[Stored<'_>], wrong: &mut Vec<String>) {
        let of_parent =
            |other: &&Stored<'_>| Some(other.id()) == self.batch.parent && other.tenant() == self.batch.tenant();
        let Some(parent) = batches.iter().find(of_parent) else { return };
        let Some(intents) = &parent.work.intents else { return };
        let before = Of { tables: self.tables, batch: parent, intents, rows: rows(self.tables, parent) };
        let lost = (0..intents.sets.len()).filter(|index| matches!(before.last(*index), "failed" | "skipped"));
        let lost: Vec<&Value> = lost.map(|index| &intents.sets[index].asked).collect();
        let own: Vec<&Value> = self.intents.sets.iter().map(|set| &set.asked).collect();
        let open = before.rows.iter().any(|row| !row.before(self.batch.step).is_some_and(|phase| phase.is_final()));
        if own != lost || open {
            wrong.push(format!(
                "I12: {} retries {own:?} of {}, where {lost:?} is lost; open: {open}",
                self.batch.pk, parent.pk
            ));
        }
    }
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Ready => "pending",
        Phase::Sending => "unknown",
        Phase::Taken => "submitted",
        Phase::Done => "completed",
        Phase::Failed(..) => "failed",
        Phase::Skipped => "skipped",
    }
}
