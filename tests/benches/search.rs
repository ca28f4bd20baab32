//! Indexing one memory of 200 words, and searching tenants of 1,000 to 100,000 such memories: all of a search but the
//! reading of its rows.
//!
//! The texts are made: 200 words drawn by Zipf's law from 50,000, of which the commonest are English stop words, so that
//! about half of a text is different words, as in English.

#![expect(clippy::expect_used, reason = "what a test or a benchmark cannot do without may stop it")]

use batch_core::search::{Filters, Found, Memory, Query, Search, index};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

const WORDS: usize = 200;
const VOCABULARY: u32 = 50_000;
const COMMON: &str = "the of and to a in is it that for was on with as be at by this had not are but from or have an they \
                      which you were all her she there would their we him been has when who will no if out so up into";

/// `SplitMix64`.
struct Random(u64);

impl Random {
    /// 0 up to, not including, 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((z ^ (z >> 31)) >> 32).expect("32 bits");
        f64::from(bits) / 4_294_967_296.0
    }
}

/// Words by rank and the sums of their chances, 1 / rank.
struct Language {
    words: Vec<String>,
    sums: Vec<f64>,
}

impl Language {
    fn new() -> Self {
        const SYLLABLES: [&str; 20] = [
            "ra", "ten", "lo", "mi", "ster", "co", "pa", "ing", "du", "val", "re", "tion", "ke", "bor", "si", "ment",
            "fu", "gel", "no", "ty",
        ];
        let made = |mut rank: usize| {
            let mut word = String::new();
            while rank > 0 {
                word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
                rank /= SYLLABLES.len();
            }
            word
        };
        let words = COMMON.split_whitespace().map(str::to_owned).chain((20..).map(made));
        let words = words.take(VOCABULARY as usize).collect();
        let mut sum = 0.0;
        let sums = (1..=VOCABULARY).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Self { words, sums: sums.collect() }
    }

    fn text(&self, random: &mut Random) -> String {
        let most = self.sums.last().copied().unwrap_or_default();
        let word = |_| {
            let wanted = random.unit() * most;
            let at = self.sums.partition_point(|sum| *sum < wanted).min(self.words.len() - 1);
            self.words[at].as_str()
        };
        (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
    }
}

fn metadata() -> Value {
    json!({ "type": "note", "project": "atlas", "priority": 2, "archived": false })
}

fn memory<'a>(content: &'a str, metadata: &'a Value) -> Memory<'a> {
    Memory {
        content,
        title: "Weekly notes",
        tags: vec!["notes", "atlas"],
        memory_type: Some("context"),
        metadata: metadata.as_object(),
    }
}

fn rows(count: usize) -> Vec<(String, Vec<u8>)> {
    let (language, metadata, mut random) = (Language::new(), metadata(), Random(1));
    let row = |n: usize| (format!("mem_{n:032x}"), index(&memory(&language.text(&mut random), &metadata)));
    let rows: Vec<_> = (0..count).map(row).collect();
    eprintln!("{count} rows: {} bytes each", rows.iter().map(|(_, row)| row.len()).sum::<usize>() / count);
    rows
}

fn search(rows: &[(String, Vec<u8>)], query: &Query) -> Found {
    let mut search = Search::new(query);
    for (id, row) in rows {
        search.add(id, 1_700_000_000_000, row).expect("a row just written");
    }
    search.finish(10)
}

#[divan::bench]
fn index_one_memory(bencher: divan::Bencher<'_, '_>) {
    let (text, metadata) = (Language::new().text(&mut Random(7)), metadata());
    bencher.bench(|| index(&memory(divan::black_box(&text), &metadata)));
}

#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 20)]
fn search_for_three_words(bencher: divan::Bencher<'_, '_>, count: usize) {
    let rows = rows(count);
    let query = Query::new("where is ratenlo or mister copa", Filters::default());
    bencher.bench(|| search(divan::black_box(&rows), &query));
}

#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 20)]
fn search_for_common_words_with_filters(bencher: divan::Bencher<'_, '_>, count: usize) {
    let rows = rows(count);
    let wanted = json!({ "project": "atlas", "tags": ["notes", "other"] });
    let filters = Filters::new(wanted.as_object().expect("an object")).expect("few");
    let query = Query::new("tenra lora mira notes weekly", filters);
    bencher.bench(|| search(divan::black_box(&rows), &query));
}
