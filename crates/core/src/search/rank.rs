//! Rows in, ranked matches out.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::FIELDS;
use super::filter::Verdict;
use super::language::Languages;
use super::query::Query;
use super::reader::Row;
use super::row::{Unreadable, shared};

/// What a word weighs in content, title and tags.
const WEIGHTS: [f64; FIELDS] = [1.0, 2.0, 2.0];
/// How much a field's length counts against it, b of BM25, for content, title and tags.
const LENGTH_WEIGHTS: [f64; FIELDS] = [0.75, 0.5, 0.5];
/// How fast repetition of a word saturates, k1 of BM25.
const SATURATION: f64 = 1.2;

/// A search under way: takes the rows of a tenant in any order and in pieces, then ranks.
///
/// Ranked by BM25F (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009, sections 3.4
/// and 3.6), with k1 = 1.2. For a word q of the query and a memory d:
///
/// ```text
/// tf(q, d) = sum over fields f of weight_f * count_f(q, d) / (1 - b_f + b_f * words_f(d) / average_f)
/// idf(q)   = ln(1 + (N - df(q) + 0.5) / (df(q) + 0.5))
/// s(d)     = sum over q of count(q) * idf(q) * tf(q, d) * (k1 + 1) / (k1 + tf(q, d))
/// score    = s / (s + 1)
/// ```
///
/// Weights are 1 for content, 2 for title and for tags; b is 0.75 for content, 0.5 for the two others. N is the number
/// of rows, df of those with the word, averages are over the rows that have the field. All count every row of the
/// tenant, whether it passes the filters or not.
#[derive(Debug)]
pub struct Search<'q> {
    query: &'q Query,
    /// Ids whose rows are not taken from the table.
    replaced: BTreeSet<String>,
    rows: u32,
    /// Words in each field over all rows, and rows that have the field.
    lengths: [(u64, u32); FIELDS],
    /// Rows that have the word, for each of the query.
    frequencies: Vec<u32>,
    matches: Vec<Match>,
    /// Words of the query in the matches, as ranges of [`Match::words`] tell.
    hits: Vec<(usize, [u32; FIELDS])>,
    /// Matches that their rows could not decide.
    open: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Match {
    id: String,
    created: i64,
    lengths: [u32; FIELDS],
    words: Range<usize>,
    passes: bool,
}

/// One of the best matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The memory's id.
    pub id: String,
    /// 0 to 1, the best first.
    pub score: f64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The best, in order: by score, then newest first, then by id.
    pub results: Vec<Hit>,
    /// All matches that pass the filters.
    pub total: usize,
}

impl<'q> Search<'q> {
    /// A search that has seen no row.
    pub fn new(query: &'q Query) -> Self {
        Self {
            query,
            replaced: BTreeSet::new(),
            rows: 0,
            lengths: [(0, 0); FIELDS],
            frequencies: vec![0; query.words.len()],
            matches: Vec::new(),
            hits: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    /// A search that sees the table as it will be after `changes`: for each id its new creation time and row, or none
    /// if it is deleted. The rows of these ids in the table are passed over; each id is changed once.
    pub fn after<'a>(
        query: &'q Query,
        changes: impl IntoIterator<Item = (&'a str, Option<(i64, &'a [u8])>)>,
    ) -> Result<Self, Unreadable> {
        let mut search = Self::new(query);
        for (id, change) in changes {
            if search.replaced.insert(id.to_owned())
                && let Some((created, row)) = change
            {
                search.count(id, created, row)?;
            }
        }
        Ok(search)
    }

    /// Takes a row of the table: its memory's id, when that was made (milliseconds since 1970) and its bytes. Each id is
    /// added once. After an error the search is of no use.
    pub fn add(&mut self, id: &str, created: i64, row: &[u8]) -> Result<(), Unreadable> {
        if self.replaced.contains(id) { Ok(()) } else { self.count(id, created, row) }
    }

    fn count(&mut self, id: &str, created: i64, row: &[u8]) -> Result<(), Unreadable> {
        let mut row = Row::read(row)?;
        self.rows = self.rows.saturating_add(1);
        for ((words, rows), length) in self.lengths.iter_mut().zip(row.lengths) {
            *words = words.saturating_add(u64::from(length));
            *rows += u32::from(length > 0);
        }
        let start = self.hits.len();
        self.look(&mut row, start)?;
        let found = self.keep(row.languages, start);
        let verdict = if found { self.query.filters.judge(row.values, row.partial) } else { Verdict::Fails };
        if verdict == Verdict::Fails {
            self.hits.truncate(start);
            return Ok(());
        }
        if verdict == Verdict::Open {
            self.open.insert(id.to_owned(), self.matches.len());
        }
        self.matches.push(Match {
            id: id.to_owned(),
            created,
            lengths: row.lengths,
            words: start..self.hits.len(),
            passes: verdict == Verdict::Passes,
        });
        Ok(())
    }

    /// Notes the words that are in the row in `hits`, from `start` on.
    fn look(&mut self, row: &mut Row<'_>, start: usize) -> Result<(), Unreadable> {
        let mut needles = self.query.needles(row.languages);
        // Both lists ascend, and most terms are passed over by what they share with the one before: `met` is how much of
        // the first needle that one had.
        let mut met = 0;
        while let Some(term) = row.terms.next()? {
            while let [needle, rest @ ..] = needles {
                let (order, more) = match met.cmp(&term.shared) {
                    Ordering::Equal => meet(term.own, &needle.term[met..]),
                    unmet => (unmet, 0),
                };
                let next = rest.first().map_or(0, |next| next.shared);
                match order {
                    Ordering::Less => {
                        met += more;
                        break;
                    }
                    Ordering::Equal => {
                        needle.words.iter().for_each(|word| note(&mut self.hits, start, *word, term.counts));
                        (needles, met) = (rest, next);
                        break;
                    }
                    Ordering::Greater => (needles, met) = (rest, met.min(next)),
                }
            }
        }
        Ok(())
    }

    /// Keeps of the hits from `start` on those that count in a row of these languages, and tells whether they find it.
    fn keep(&mut self, languages: Languages, start: usize) -> bool {
        let mut found = false;
        let mut kept = start;
        for at in start..self.hits.len() {
            let hit = self.hits[at];
            let word = &self.query.words[hit.0];
            if !word.ignored.meet(languages) {
                self.hits[kept] = hit;
                kept += 1;
                found |= word.finds;
                self.frequencies[hit.0] += 1;
            }
        }
        self.hits.truncate(kept);
        // Words are summed up in one order, whatever order a row's languages put their terms in.
        self.hits[start..].sort_unstable_by_key(|(word, _)| *word);
        found
    }

    /// The matches whose rows do not list all that they can be filtered on, so that the memory itself must tell, by
    /// [`super::Filters::accept`]. Until decided they count as not found.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.open.keys().map(String::as_str)
    }

    /// Decides one of [`open`](Self::open).
    pub fn decide(&mut self, id: &str, passes: bool) {
        if let Some(found) = self.open.remove(id).and_then(|at| self.matches.get_mut(at)) {
            found.passes = passes;
        }
    }

    /// The best `limit` matches, and how many there are.
    pub fn finish(self, limit: usize) -> Found {
        let idf: Vec<f64> = self.frequencies.iter().map(|df| idf(self.rows, *df)).collect();
        let averages = self.lengths.map(|(words, rows)| if rows == 0 { 1.0 } else { real(words) / f64::from(rows) });
        let mut ranked: Vec<(f64, &Match)> = Vec::with_capacity(self.matches.len());
        for found in self.matches.iter().filter(|found| found.passes) {
            let hits = self.hits[found.words.clone()].iter();
            let sum = hits.map(|(word, counts)| {
                let tf = frequency(*counts, found.lengths, averages);
                let weight = f64::from(self.query.words[*word].count) * idf[*word];
                weight * tf * (SATURATION + 1.0) / (SATURATION + tf)
            });
            ranked.push((sum.sum(), found));
        }
        let total = ranked.len();
        if limit < total {
            ranked.select_nth_unstable_by(limit, best_first);
            ranked.truncate(limit);
        }
        ranked.sort_unstable_by(best_first);
        let hit = |(sum, found): (f64, &Match)| Hit { id: found.id.clone(), score: sum / (sum + 1.0) };
        Found { results: ranked.into_iter().map(hit).collect(), total }
    }
}

/// How `own` compares with the rest of a needle, and how many bytes they share.
fn meet(own: &[u8], needle: &[u8]) -> (Ordering, usize) {
    let more = shared(own, needle);
    (own[more..].first().cmp(&needle[more..].first()), more)
}

/// A word is counted once a row, by the one of its terms that occurs most.
fn note(hits: &mut Vec<(usize, [u32; FIELDS])>, start: usize, word: usize, counts: [u32; FIELDS]) {
    let size = |counts: [u32; FIELDS]| counts.into_iter().map(u64::from).sum::<u64>();
    match hits[start..].iter_mut().find(|(known, _)| *known == word) {
        Some((_, known)) if size(*known) >= size(counts) => {}
        Some((_, known)) => *known = counts,
        None => hits.push((word, counts)),
    }
}

fn best_first(a: &(f64, &Match), b: &(f64, &Match)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| b.1.created.cmp(&a.1.created)).then_with(|| a.1.id.cmp(&b.1.id))
}

fn idf(rows: u32, df: u32) -> f64 {
    let (rows, df) = (f64::from(rows), f64::from(df));
    ((rows - df + 0.5) / (df + 0.5)).ln_1p()
}

fn frequency(counts: [u32; FIELDS], lengths: [u32; FIELDS], averages: [f64; FIELDS]) -> f64 {
    let field = |f: usize| {
        if counts[f] == 0 {
            return 0.0;
        }
        let norm = 1.0 - LENGTH_WEIGHTS[f] + LENGTH_WEIGHTS[f] * f64::from(lengths[f]) / averages[f];
        WEIGHTS[f] * f64::from(counts[f]) / norm
    };
    (0..FIELDS).map(field).sum()
}

/// Exact up to 2^53 words.
#[expect(clippy::cast_precision_loss, reason = "an average needs no more than 53 bits")]
fn real(value: u64) -> f64 {
    value as f64
}
