//! How well memories are ranked, on the judged collection in `fixtures/search`.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

use std::cmp::Reverse;
use std::collections::BTreeMap;

use batch_core::search::{Filters, Memory, Query, Search, index};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Judged {
    query: String,
    judged: BTreeMap<String, u32>,
}

type Object = Map<String, Value>;

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of the collection")).collect()
}

fn memories() -> Vec<Object> {
    read(include_str!("../fixtures/search/memories.jsonl"))
}

fn queries() -> Vec<Judged> {
    read(include_str!("../fixtures/search/queries.jsonl"))
}

fn id(memory: &Object) -> &str {
    memory["id"].as_str().expect("an id")
}

/// nDCG@10 with gains of 2^grade - 1 (Burges et al., Learning to Rank using Gradient Descent, 2005; normalised as by
/// Järvelin and Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques, 2002).
fn ndcg(ranked: &[String], judged: &BTreeMap<String, u32>) -> f64 {
    let gain = |grade: u32| f64::from(2_u32.pow(grade)) - 1.0;
    let sum = |grades: &mut dyn Iterator<Item = u32>| -> f64 {
        let discounts = (2..12).map(|place| f64::from(place).log2());
        grades.zip(discounts).map(|(grade, discount)| gain(grade) / discount).sum()
    };
    let mut best: Vec<u32> = judged.values().copied().collect();
    best.sort_unstable_by_key(|grade| Reverse(*grade));
    let got = sum(&mut ranked.iter().map(|id| judged.get(id).copied().unwrap_or_default()));
    got / sum(&mut best.into_iter())
}

fn searched(rows: &[(String, Vec<u8>)], text: &str) -> Vec<String> {
    let query = Query::new(text, Filters::default());
    let mut search = Search::new(&query);
    for (id, row) in rows {
        search.add(id, 0, row).expect("a row just written");
    }
    search.finish(10).results.into_iter().map(|hit| hit.id).collect()
}

/// Plain term counting: the memories that have the words of the query most often, as they are written but for case.
fn counted(memories: &[Object], text: &str) -> Vec<String> {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let wanted = words(text);
    let count = |memory: &Object| {
        let tags = memory.get("tags").and_then(Value::as_array).into_iter().flatten();
        let texts = [memory.get("title"), memory.get("content")].into_iter().flatten().chain(tags);
        let words = texts.filter_map(Value::as_str).flat_map(words);
        words.filter(|word| wanted.contains(word)).count()
    };
    let mut ranked: Vec<(Reverse<usize>, &str)> =
        memories.iter().map(|memory| (Reverse(count(memory)), id(memory))).collect();
    ranked.sort_unstable();
    ranked.into_iter().filter(|(count, _)| count.0 > 0).take(10).map(|(_, id)| id.to_owned()).collect()
}

#[test]
fn ranking_is_far_above_term_counting() {
    let (memories, queries) = (memories(), queries());
    assert!(memories.len() >= 150 && queries.len() >= 40);
    let rows: Vec<_> = memories.iter().map(|memory| (id(memory).to_owned(), index(&Memory::from(memory)))).collect();
    let (mut ranking, mut counting) = (0.0, 0.0);
    for Judged { query, judged } in &queries {
        let (ours, theirs) = (ndcg(&searched(&rows, query), judged), ndcg(&counted(&memories, query), judged));
        eprintln!("{ours:.3} {theirs:.3} {query}");
        ranking += ours;
        counting += theirs;
    }
    let queries = f64::from(u32::try_from(queries.len()).expect("few"));
    let (ranking, counting) = (ranking / queries, counting / queries);
    eprintln!("nDCG@10: BM25 over stems {ranking:.3}, term counting {counting:.3}");
    assert!(ranking > counting + 0.15, "{ranking} against {counting}");
    assert!(ranking > 0.7, "{ranking}");
}
