//! What of a memory is searched, and its row.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::FIELDS;
use super::filter::fingerprints;
use super::language::Languages;
use super::row::Postings;
use super::words::{normal, words};
use crate::json::Object;
use crate::limits::MAX_ROW_VALUES;

/// The fields of a memory that a search looks at.
#[derive(Debug, Clone, Default)]
pub struct Memory<'a> {
    /// Its text.
    pub content: &'a str,
    /// Its title; empty if it has none.
    pub title: &'a str,
    /// Its tags, searched and filtered on.
    pub tags: Vec<&'a str>,
    /// Its type, filtered on.
    pub memory_type: Option<&'a str>,
    /// Its metadata, filtered on.
    pub metadata: Option<&'a Object>,
}

impl<'a> From<&'a Object> for Memory<'a> {
    /// From a stored memory's fields, by their names there; what is not of its type is as if absent.
    fn from(fields: &'a Object) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let tags = fields.get("tags").and_then(Value::as_array);
        Self {
            content: text("content").unwrap_or_default(),
            title: text("title").unwrap_or_default(),
            tags: tags.into_iter().flatten().filter_map(Value::as_str).collect(),
            memory_type: text("memory_type"),
            metadata: fields.get("metadata").and_then(Value::as_object),
        }
    }
}

/// The row of `memory`: every word of content, title and tags in the stems of its likely languages, and what it can be
/// filtered on. Equal memories, in whatever order their metadata came, have equal rows.
///
/// About 600 bytes for an English text of 200 words, less than 200 KB for any of 50,000 characters that is in one
/// language, less than 400 KB for any.
pub fn index(memory: &Memory<'_>) -> Vec<u8> {
    let texts = [normal(memory.content), normal(memory.title), normal(&memory.tags.join("\n"))];
    let mut lengths = [0; FIELDS];
    let mut counts: HashMap<&str, [u32; FIELDS]> = HashMap::new();
    for (field, text) in texts.iter().enumerate() {
        for word in words(text) {
            lengths[field] += 1;
            counts.entry(word).or_default()[field] += 1;
        }
    }
    let languages = Languages::detect(counts.iter().map(|(word, counts)| (*word, counts.iter().sum())));
    let mut terms: BTreeMap<String, [u32; FIELDS]> = BTreeMap::new();
    for (word, counts) in counts {
        let mut of_word: Vec<_> = languages.iter().map(|language| language.term(word)).collect();
        of_word.sort_unstable();
        of_word.dedup();
        for term in of_word {
            let sums = terms.entry(term.into_owned()).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    let mut values = fingerprints(memory);
    let partial = values.len() > MAX_ROW_VALUES;
    values.truncate(MAX_ROW_VALUES);
    Postings { languages, lengths, values, partial, terms: terms.into_iter().collect() }.pack()
}
