//! What is searched for.

use std::collections::BTreeMap;

use super::filter::Filters;
use super::language::{Language, Languages};
use super::row::shared;
use super::words::{normal, words};
use crate::limits::{MAX_QUERY_CHARS, MAX_QUERY_WORDS};

/// A search: the words of a text, any of which may match, and filters, all of which must.
///
/// The text is plain: quotes, signs and operators are as good as spaces. It is read up to [`MAX_QUERY_CHARS`] and to
/// [`MAX_QUERY_WORDS`] different words. Its stop words find nothing by themselves, they only raise what another word has
/// found, where they are no stop words of that row's language. If it has only stop words they count as any other. A text
/// without words finds nothing.
#[derive(Debug)]
pub struct Query {
    pub(super) words: Vec<Word>,
    /// By the bits of a row's languages: the terms to look for, ascending, and the words they are terms of.
    needles: Vec<Vec<Needle>>,
    pub(super) filters: Filters,
}

/// One word of a query.
#[derive(Debug)]
pub(super) struct Word {
    /// How often the query has it: its weight.
    pub count: u32,
    /// Whether a row that has it is found.
    pub finds: bool,
    /// The languages in whose rows it does not count.
    pub ignored: Languages,
}

/// A term to look for.
#[derive(Debug)]
pub(super) struct Needle {
    pub term: Box<[u8]>,
    /// Bytes that it shares with the needle before.
    pub shared: usize,
    /// Indexes in [`Query::words`]: those it is a term of.
    pub words: Vec<usize>,
}

impl Query {
    /// The query for `text` among what passes `filters`.
    pub fn new(text: &str, filters: Filters) -> Self {
        let end = text.char_indices().nth(MAX_QUERY_CHARS).map_or(text.len(), |(end, _)| end);
        let text = normal(&text[..end]);
        let counted = counted(&text);
        let languages = Languages::detect(counted.iter().copied());
        let is_stop = |word: &str| Languages::of_stop_word(word).meet(languages);
        let only_stops = counted.iter().all(|(word, _)| is_stop(word));
        let word = |&(word, count): &(&str, u32)| Word {
            count,
            finds: only_stops || !is_stop(word),
            ignored: if only_stops { Languages::default() } else { Languages::of_stop_word(word) },
        };
        Self { words: counted.iter().map(word).collect(), needles: needles(&counted), filters }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// What to look for in a row of these languages.
    pub(super) fn needles(&self, languages: Languages) -> &[Needle] {
        self.needles.get(usize::from(languages.bits())).map_or(&[], Vec::as_slice)
    }
}

/// The first words of `text`, in order, with how often each occurs.
fn counted(text: &str) -> Vec<(&str, u32)> {
    let mut counted: Vec<(&str, u32)> = Vec::new();
    for word in words(text) {
        if let Some((_, count)) = counted.iter_mut().find(|(known, _)| *known == word) {
            *count += 1;
        } else if counted.len() < MAX_QUERY_WORDS {
            counted.push((word, 1));
        }
    }
    counted
}

/// For every set of languages what to look for in its rows.
fn needles(words: &[(&str, u32)]) -> Vec<Vec<Needle>> {
    let terms = |word: &str| Language::ALL.map(|language| language.term(word).as_bytes().to_vec());
    let terms: Vec<[Vec<u8>; Language::ALL.len()]> = words.iter().map(|(word, _)| terms(word)).collect();
    let of_set = |bits: usize| {
        let mut sorted: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (word, terms) in terms.iter().enumerate() {
            for (_, term) in terms.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1) {
                let words = sorted.entry(term).or_default();
                if words.last() != Some(&word) {
                    words.push(word);
                }
            }
        }
        let mut before: &[u8] = &[];
        let mut needles = Vec::with_capacity(sorted.len());
        for (term, words) in sorted {
            needles.push(Needle { term: term.into(), shared: shared(before, term), words });
            before = term;
        }
        needles
    };
    (0..Languages::SETS).map(of_set).collect()
}
