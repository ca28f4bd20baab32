//! Random batches against a naive interpreter: a map of memories, and one operation after another.

use std::collections::{BTreeMap, BTreeSet};

use batch_tests::World;
use serde_json::{Value, json};

use super::setting::{adds_up, run};

const BATCHES: usize = 200;
/// None is a stop word, none has the stem of another, and of none all memories have it.
const WORDS: [&str; 10] =
    ["heron", "granite", "lantern", "violin", "harbour", "pepper", "glacier", "copper", "meadow", "thunder"];

/// `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap()
    }

    fn content(&mut self) -> String {
        let words: Vec<&str> = (0..=self.below(3)).map(|_| WORDS[self.below(WORDS.len())]).collect();
        words.join(" ")
    }
}

/// A memory as the interpreter knows it.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    content: String,
    tags: Vec<String>,
    team: Option<u64>,
}

type Store = BTreeMap<String, Known>;

/// What one operation should come to: its result without times and scores, or a code.
#[derive(Debug, PartialEq)]
enum Expected {
    Created(Known),
    Read(String, Known),
    Updated(String),
    Deleted(String),
    /// Ids and total.
    Found(BTreeSet<String>, usize),
    Failed(&'static str),
}

/// An operation, as a client would mean it.
#[derive(Debug, Clone)]
enum Meant {
    Create(Value),
    Read(Id),
    Update(Id, Value),
    Delete(Id),
    Search(&'static str, Option<u64>),
    /// Waits for one before it.
    After(Box<Meant>, usize),
}

#[derive(Debug, Clone)]
enum Id {
    /// Known, or of nothing.
    Of(String),
    /// Of what an operation before has made.
    New(usize),
}

fn data(chance: &mut Chance) -> Value {
    let mut data = json!({ "content": chance.content() });
    if chance.below(3) == 0 {
        data["tags"] = json!([format!("t{}", chance.below(3))]);
    }
    if chance.below(3) == 0 {
        data["metadata"] = json!({ "team": chance.below(3) });
    }
    match chance.below(12) {
        0 => drop(data.as_object_mut().unwrap().remove("content")),
        1 => data["tags"] = json!("none"),
        _ => {}
    }
    data
}

fn meant(chance: &mut Chance, ids: &[String], before: &[Meant]) -> Meant {
    let creates: Vec<usize> =
        before.iter().enumerate().filter(|(_, one)| matches!(one, Meant::Create(_))).map(|(at, _)| at).collect();
    let id = |chance: &mut Chance| match chance.below(8) {
        0 => Id::Of("mem_none".to_owned()),
        1..=3 if !creates.is_empty() => Id::New(creates[chance.below(creates.len())]),
        _ if !ids.is_empty() => Id::Of(ids[chance.below(ids.len())].clone()),
        _ => Id::Of("mem_none".to_owned()),
    };
    let one = match chance.below(10) {
        0..=3 => Meant::Create(data(chance)),
        4 => Meant::Read(id(chance)),
        5 => Meant::Update(id(chance), data(chance)),
        6 => Meant::Delete(id(chance)),
        _ => {
            let team = (chance.below(3) == 0).then(|| chance.below(3) as u64);
            Meant::Search(WORDS[chance.below(WORDS.len())], team)
        }
    };
    if before.is_empty() || chance.below(6) > 0 { one } else { Meant::After(Box::new(one), chance.below(before.len())) }
}

fn sent(meant: &Meant) -> Value {
    let id = |id: &Id| match id {
        Id::Of(id) => json!(id),
        Id::New(at) => json!(format!("$ref:op_{at}.id")),
    };
    match meant {
        Meant::Create(data) => json!({ "type": "create", "data": data }),
        Meant::Read(of) => json!({ "type": "read", "id": id(of) }),
        Meant::Update(of, data) => json!({ "type": "update", "id": id(of), "data": data }),
        Meant::Delete(of) => json!({ "type": "delete", "id": id(of) }),
        Meant::Search(query, team) => {
            let filters = team.map_or_else(|| json!({}), |team| json!({ "team": team }));
            json!({ "type": "search", "query": query, "options": { "filters": filters, "limit": 100 } })
        }
        Meant::After(inner, before) => {
            let mut sent = sent(inner);
            sent["depends_on"] = json!([format!("op_{before}")]);
            sent
        }
    }
}

/// Takes `data` into a memory; none where it is wrong.
fn taken(before: Option<&Known>, data: &Value) -> Option<Known> {
    let mut known = before.cloned().unwrap_or(Known { content: String::new(), tags: Vec::new(), team: None });
    if let Some(content) = data.get("content") {
        content.as_str()?.clone_into(&mut known.content);
    } else if before.is_none() {
        return None;
    }
    if let Some(tags) = data.get("tags") {
        known.tags = tags.as_array()?.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
    }
    if let Some(metadata) = data.get("metadata") {
        known.team = metadata["team"].as_u64();
    }
    Some(known)
}

/// Runs `meant` on `store`; `made` are the ids that the service gave to what this batch created.
fn interpret(store: &mut Store, all: &[Meant], go_on: bool, made: &BTreeMap<usize, String>) -> Vec<Expected> {
    let mut expected: Vec<Expected> = Vec::new();
    let mut stopped = false;
    for (at, meant) in all.iter().enumerate() {
        let (meant, mut waits) = match meant {
            Meant::After(inner, before) => (inner.as_ref(), vec![*before]),
            other => (other, Vec::new()),
        };
        if let Meant::Read(Id::New(from)) | Meant::Update(Id::New(from), _) | Meant::Delete(Id::New(from)) = meant {
            waits.push(*from);
        }
        let failed = |at: &usize| match &expected[*at] {
            // What was not reached did not fail.
            Expected::Failed(code) => *code != "NOT_EXECUTED",
            _ => false,
        };
        let outcome = if waits.iter().any(failed) {
            Expected::Failed("DEPENDENCY_FAILED")
        } else if stopped {
            Expected::Failed("NOT_EXECUTED")
        } else {
            one(store, meant, made.get(&at), made)
        };
        if matches!(outcome, Expected::Failed(code) if code != "DEPENDENCY_FAILED" && code != "NOT_EXECUTED") {
            stopped = !go_on;
        }
        expected.push(outcome);
    }
    expected
}

fn one(store: &mut Store, meant: &Meant, new: Option<&String>, made: &BTreeMap<usize, String>) -> Expected {
    let id = |id: &Id| match id {
        Id::Of(id) => id.clone(),
        Id::New(at) => made[at].clone(),
    };
    match meant {
        Meant::Create(data) => match taken(None, data) {
            None => Expected::Failed("VALIDATION_ERROR"),
            Some(known) => {
                store.insert(new.cloned().unwrap_or_default(), known.clone());
                Expected::Created(known)
            }
        },
        Meant::Read(of) => match store.get(&id(of)) {
            None => Expected::Failed("NOT_FOUND"),
            Some(known) => Expected::Read(id(of), known.clone()),
        },
        Meant::Update(of, data) => {
            // What is wrong with the data is known before anything is looked at.
            if taken(Some(&Known { content: String::new(), tags: Vec::new(), team: None }), data).is_none() {
                return Expected::Failed("VALIDATION_ERROR");
            }
            if data.as_object().unwrap().is_empty() {
                return Expected::Failed("VALIDATION_ERROR");
            }
            let Some(before) = store.get(&id(of)) else { return Expected::Failed("NOT_FOUND") };
            let known = taken(Some(before), data).unwrap();
            store.insert(id(of), known);
            Expected::Updated(id(of))
        }
        Meant::Delete(of) => match store.remove(&id(of)) {
            None => Expected::Failed("NOT_FOUND"),
            Some(_) => Expected::Deleted(id(of)),
        },
        Meant::Search(query, team) => {
            let matches = |known: &&Known| {
                known.content.split(' ').any(|word| word == *query) && team.is_none_or(|team| known.team == Some(team))
            };
            let found: BTreeSet<String> =
                store.iter().filter(|(_, known)| matches(known)).map(|(id, _)| id.clone()).collect();
            Expected::Found(found.iter().take(100).cloned().collect(), found.len())
        }
        Meant::After(..) => unreachable!("unwrapped before"),
    }
}

/// What the service told of one operation, in the interpreter's words.
fn told(operation: &Value, meant: &Meant) -> Expected {
    if operation["status"] == "failed" {
        let code = operation["error"]["code"].as_str().unwrap();
        let known = ["VALIDATION_ERROR", "NOT_FOUND", "DEPENDENCY_FAILED", "NOT_EXECUTED"];
        return Expected::Failed(known.into_iter().find(|known| *known == code).unwrap_or("another"));
    }
    let result = &operation["result"];
    let id = || result["id"].as_str().unwrap().to_owned();
    match meant {
        Meant::After(inner, _) => told(operation, inner),
        Meant::Create(data) => Expected::Created(taken(None, data).unwrap()),
        Meant::Read(_) => {
            let tags = result["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
            let content = result["content"].as_str().unwrap().to_owned();
            Expected::Read(id(), Known { content, tags: tags.collect(), team: result["metadata"]["team"].as_u64() })
        }
        Meant::Update(..) => Expected::Updated(id()),
        Meant::Delete(_) => Expected::Deleted(id()),
        Meant::Search(..) => {
            let results = result["results"].as_array().unwrap();
            let scores: Vec<f64> = results.iter().map(|one| one["score"].as_f64().unwrap()).collect();
            assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| (0.0..1.0).contains(score)));
            let ids = results.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
            Expected::Found(ids, usize::try_from(result["total"].as_u64().unwrap()).unwrap())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_random_batches_end_as_a_naive_interpreter_says() {
    let (world, mut store, mut chance) = (World::new().await, Store::new(), Chance(7));
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for batch in 0..BATCHES {
        let ids: Vec<String> = store.keys().cloned().collect();
        let mut all: Vec<Meant> = Vec::new();
        for _ in 0..=chance.below(14) {
            all.push(meant(&mut chance, &ids, &all));
        }
        let go_on = chance.below(3) > 0;
        let operations: Value = all.iter().map(sent).collect();
        let answer = run(&world, operations.clone(), json!({ "continue_on_error": go_on })).await;
        adds_up(&answer);
        let outcomes = answer.body["data"]["operations"].as_array().unwrap();
        let new = |operation: &Value| {
            Some((usize::try_from(operation["index"].as_u64()?).ok()?, operation["result"]["id"].as_str()?.to_owned()))
        };
        let made: BTreeMap<usize, String> =
            outcomes.iter().filter(|operation| operation["type"] == "create").filter_map(new).collect();
        let expected = interpret(&mut store, &all, go_on, &made);
        for (at, (operation, expected)) in outcomes.iter().zip(&expected).enumerate() {
            assert_eq!(&told(operation, &all[at]), expected, "batch {batch}, operation {at} of {operations:#}");
            let kind = format!("{expected:?}");
            *kinds.entry(kind.split(['(', ' ']).next().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(world.items("SearchTable").len(), store.len(), "one search row a memory");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
    }
    assert!(kinds.values().all(|count| *count > 20) && kinds.len() == 6, "{kinds:?}");
}
