//! Facts of a search as a whole.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::limits::{MAX_QUERY_CHARS, MAX_QUERY_WORDS, MAX_ROW_VALUES};

type Rows = Vec<(String, i64, Vec<u8>)>;

fn row(content: &str) -> Vec<u8> {
    index(&Memory { content, ..Memory::default() })
}

/// The rows of these contents; the ids are `0`, `1` and on, and all are of one age.
fn rows(contents: &[&str]) -> Rows {
    contents.iter().enumerate().map(|(n, content)| (n.to_string(), 0, row(content))).collect()
}

fn search(rows: &Rows, query: &Query, limit: usize) -> Found {
    let mut search = Search::new(query);
    for (id, created, row) in rows {
        search.add(id, *created, row).unwrap();
    }
    search.finish(limit)
}

fn ids(rows: &Rows, text: &str) -> Vec<String> {
    search(rows, &Query::new(text, Filters::default()), 10).results.into_iter().map(|hit| hit.id).collect()
}

fn check(contents: &[&str], text: &str, expected: &[&str]) {
    assert_eq!(ids(&rows(contents), text), expected, "{text}");
}

#[test]
fn inflections_find_each_other_in_each_language() {
    check(&["He verifies the signatures of tokens"], "verifying a signature", &["0"]);
    check(&["Die Rechnungen sind an die Häuser geschickt"], "rechnung haeuser", &["0"]);
    check(&["Nous avons continué les réunions avec les clients"], "la reunion continue", &["0"]);
    check(&["Las canciones de los niños en la escuela"], "cancion", &["0"]);
    // Too short to tell its language.
    check(&["Offene Rechnungen"], "Rechnung", &["0"]);
}

#[test]
fn stop_words_find_nothing_unless_they_are_all_there_is() {
    check(&["the cat is on the mat", "the dog"], "the dog", &["1"]);
    check(&["to be or not to be", "something else"], "to be or not to be", &["0"]);
    // "die" is a stop word in German rows only.
    check(&["they die hard in the movie", "a hard day for the team", "die Katze"], "die hard", &["0", "1"]);
}

#[test]
fn rare_words_short_texts_titles_and_tags_count_more() {
    check(&["apple pear", "apple apple", "apple fig", "fig plum"], "pear apple", &["0", "1", "2"]);
    check(&["apple with a lot of other words around it", "apple pie"], "apple", &["1", "0"]);
    let rows: Rows = [
        Memory { content: "apple pie with cream", title: "dessert", ..Memory::default() },
        Memory { content: "cream pie with rum", title: "apple", ..Memory::default() },
        Memory { content: "cream pie with rum", tags: vec!["apple"], ..Memory::default() },
    ]
    .iter()
    .enumerate()
    .map(|(n, memory)| (n.to_string(), 0, index(memory)))
    .collect();
    assert_eq!(ids(&rows, "apple"), ["1", "2", "0"]);
}

#[test]
fn equals_are_sorted_newest_first_then_by_id() {
    let row = row("apple");
    let rows = [("c", 1), ("a", 1), ("b", 2)].map(|(id, created)| (id.to_owned(), created, row.clone())).to_vec();
    assert_eq!(ids(&rows, "apple"), ["b", "a", "c"]);
}

#[test]
fn total_counts_what_the_limit_cuts_off() {
    let contents: Vec<String> = (0..300).map(|n| format!("apple {}", "pear ".repeat(n % 7))).collect();
    let rows = rows(&contents.iter().map(String::as_str).collect::<Vec<_>>());
    let query = Query::new("apple", Filters::default());
    let all = search(&rows, &query, 1_000);
    assert_eq!((all.results.len(), all.total), (300, 300));
    assert!(all.results.is_sorted_by(|a, b| a.score >= b.score));
    assert!(all.results.iter().all(|hit| hit.score > 0.0 && hit.score < 1.0));
    for limit in [0, 1, 10, 299, 300] {
        let best = search(&rows, &query, limit);
        assert_eq!((best.results.as_slice(), best.total), (&all.results[..limit], 300));
    }
}

#[test]
fn filters_leave_the_statistics_alone() {
    let metadata = [json!({ "kind": "a" }), json!({ "kind": "b" })];
    let memory = |n: usize| Memory { content: "apple", metadata: metadata[n].as_object(), ..Memory::default() };
    let rows: Rows = (0..2).map(|n| (n.to_string(), 0, index(&memory(n)))).collect();
    let wanted = Filters::new(metadata[1].as_object().unwrap()).unwrap();
    let (all, some) =
        (search(&rows, &Query::new("apple", Filters::default()), 10), search(&rows, &Query::new("apple", wanted), 10));
    assert_eq!((all.total, some.total), (2, 1));
    assert_eq!(some.results, all.results[1..]);
}

#[test]
fn a_memory_with_more_values_than_its_row_lists_is_decided_by_itself() {
    let metadata = json!({ "many": (0..2 * MAX_ROW_VALUES).collect::<Vec<_>>(), "kind": "a" });
    let memory = Memory { content: "apple", metadata: metadata.as_object(), ..Memory::default() };
    let row = index(&memory);
    assert!(row.len() < 8 * MAX_ROW_VALUES + 50);
    let found = |wanted: &serde_json::Value| {
        let query = Query::new("apple", Filters::new(wanted.as_object().unwrap()).unwrap());
        let mut search = Search::new(&query);
        search.add("m", 0, &row).unwrap();
        let open: Vec<String> = search.open().map(str::to_owned).collect();
        for id in &open {
            search.decide(id, Filters::new(wanted.as_object().unwrap()).unwrap().accept(&memory));
        }
        search.finish(10).total
    };
    assert_eq!((0..2 * MAX_ROW_VALUES).filter(|n| found(&json!({ "many": n })) == 1).count(), 2 * MAX_ROW_VALUES);
    assert_eq!(found(&json!({ "kind": "b" })), 0);
    assert_eq!(found(&json!({ "kind": "a", "many": 2 * MAX_ROW_VALUES })), 0);
}

#[test]
fn a_query_without_words_finds_nothing() {
    for text in ["", "  ", "?!… 🎉", "\"\""] {
        let query = Query::new(text, Filters::default());
        assert!(query.is_empty());
        assert_eq!(search(&rows(&["apple", ""]), &query, 10), Found::default());
    }
}

#[test]
fn a_long_query_is_read_up_to_its_bounds() {
    let long = (0..1_000_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
    check(&["w0", "w63", "w64"], &long, &["0", "1"]);
    let late = format!("{}apple", " ".repeat(MAX_QUERY_CHARS));
    check(&["apple"], &late, &[]);
    check(&["apple"], &format!("{}apple", "pear ".repeat(MAX_QUERY_WORDS + 1)), &["0"]);
}

#[test]
fn the_row_of_a_long_text_stays_below_its_bound() {
    let words = (0..12_500).map(|n| format!("{n:x}é")).collect::<Vec<_>>().join(" ");
    let content: String = words.chars().take(50_000).collect();
    assert!(row(&content).len() < 200_000);
    let han: String = (0..20_000).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
    assert!(row(&han).len() < 200_000);
}

#[test]
fn rows_are_equal_whatever_the_order_of_metadata() {
    let (a, b) = (json!({ "a": 1.0, "b": [1, 2] }), json!({ "b": [2, 1], "a": 1 }));
    let of = |metadata: &serde_json::Value| {
        index(&Memory { content: "apple", metadata: metadata.as_object(), ..Memory::default() })
    };
    assert_eq!(of(&a), of(&b));
}

#[test]
fn a_stored_memory_is_read_by_its_fields() {
    let stored = json!({ "content": "apple", "title": "pear", "tags": ["fig", 1], "memory_type": "x", "metadata": {} });
    let stored = stored.as_object().unwrap();
    let metadata = serde_json::Map::new();
    let tags = vec!["fig"];
    let same = Memory { content: "apple", title: "pear", tags, memory_type: Some("x"), metadata: Some(&metadata) };
    assert_eq!(index(&Memory::from(stored)), index(&same));
    assert_eq!(index(&Memory::from(&serde_json::Map::new())), row(""));
}

/// Numbers have no stems and are no stop words, and these share their beginnings.
fn numbers() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[12]{1,4}|[12]{8,18}", 0..12)
}

/// The formula of [`Search`] for contents alone, as it is written there.
fn naive(texts: &[Vec<String>], query: &[String]) -> Vec<(usize, f64)> {
    let real = |n: usize| f64::from(u32::try_from(n).unwrap());
    let full = texts.iter().filter(|text| !text.is_empty());
    let average = real(full.clone().map(Vec::len).sum()) / real(full.count());
    let score = |text: &Vec<String>| -> f64 {
        let words = query.iter().map(|word| {
            let df = real(texts.iter().filter(|text| text.contains(word)).count());
            let count = real(text.iter().filter(|other| *other == word).count());
            let tf = count / (1.0 - 0.75 + 0.75 * real(text.len()) / average);
            let idf = (1.0 + (real(texts.len()) - df + 0.5) / (df + 0.5)).ln();
            if count == 0.0 { 0.0 } else { idf * tf * 2.2 / (1.2 + tf) }
        });
        words.sum()
    };
    texts.iter().map(score).enumerate().filter(|(_, sum)| *sum > 0.0).map(|(n, sum)| (n, sum / (sum + 1.0))).collect()
}

proptest! {
    #[test]
    fn scores_are_those_of_the_formula(texts in proptest::collection::vec(numbers(), 1..12), query in numbers()) {
        let joined: Vec<String> = texts.iter().map(|text| text.join(" ")).collect();
        let rows = rows(&joined.iter().map(String::as_str).collect::<Vec<_>>());
        let mut found = search(&rows, &Query::new(&query.join(" "), Filters::default()), 100).results;
        found.sort_by_key(|hit| hit.id.parse::<usize>().unwrap());
        let expected = naive(&texts, &query);
        prop_assert_eq!(found.len(), expected.len());
        for (hit, (n, score)) in found.iter().zip(expected) {
            prop_assert_eq!(&hit.id, &n.to_string());
            prop_assert!((hit.score - score).abs() < 1e-12);
        }
    }

    #[test]
    fn no_text_makes_a_search_panic(content in "\\PC*", title: String, query: String) {
        let row = index(&Memory { content: &content, title: &title, ..Memory::default() });
        let query = Query::new(&query, Filters::default());
        let mut search = Search::new(&query);
        search.add("m", 0, &row).unwrap();
        prop_assert!(search.finish(1).total <= 1);
    }

    #[test]
    fn no_row_makes_a_search_panic(content in "([ab]{1,20} ){1,9}", at: prop::sample::Index, byte: u8, query in "([ab]{1,20} ){1,9}") {
        let mut damaged = row(&content);
        damaged.truncate(damaged.len() - 4);
        let at = at.index(damaged.len());
        damaged[at] = byte;
        // Whoever wrote this gave it a checksum.
        damaged.extend(crc32fast::hash(&damaged).to_be_bytes());
        let query = Query::new(&query, Filters::default());
        let mut search = Search::new(&query);
        if search.add("m", 0, &damaged).is_ok() {
            prop_assert!(search.finish(1).results.iter().all(|hit| hit.score.is_finite()));
        }
    }

    #[test]
    fn every_word_of_a_memory_finds_it(content in "(\\PC{0,9} |[a-zäöüßéèêçñíóú']{1,9} |the |die |les |los ){0,20}") {
        let rows = rows(&[&content, "something else"]);
        for word in content.split_whitespace() {
            let query = Query::new(word, Filters::default());
            if !query.is_empty() {
                prop_assert!(search(&rows, &query, 10).results.iter().any(|hit| hit.id == "0"), "{word:?} of {content:?}");
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(texts in proptest::collection::vec("([a-d] ){0,6}", 1..9), swaps: u64) {
        let mut rows = rows(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let query = Query::new("b c d", Filters::default());
        let first = search(&rows, &query, 5);
        let turn = usize::try_from(swaps % 9).unwrap() % rows.len();
        rows.rotate_left(turn);
        if swaps % 2 == 0 {
            rows.reverse();
        }
        prop_assert_eq!(search(&rows, &query, 5), first);
    }

    #[test]
    fn a_search_after_changes_is_one_of_the_changed_rows(
        texts in proptest::collection::vec("([a-d] ){0,6}", 1..9),
        changes in proptest::collection::btree_map(0..12_usize, proptest::option::of("([a-d] ){0,6}"), 0..6),
    ) {
        let before = rows(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let changed: Vec<(String, Option<Vec<u8>>)> =
            changes.iter().map(|(n, text)| (n.to_string(), text.as_deref().map(row))).collect();
        let mut after = before.clone();
        after.retain(|(id, ..)| changed.iter().all(|(other, _)| other != id));
        after.extend(changed.iter().filter_map(|(id, row)| Some((id.clone(), 7, row.clone()?))));
        let query = Query::new("b c d", Filters::default());
        let overlay = changed.iter().map(|(id, row)| (id.as_str(), row.as_deref().map(|row| (7, row))));
        let mut overlaid = Search::after(&query, overlay).unwrap();
        for (id, created, row) in &before {
            overlaid.add(id, *created, row).unwrap();
        }
        prop_assert_eq!(overlaid.finish(5), search(&after, &query, 5));
    }
}
