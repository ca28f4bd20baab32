//! Filters on tags and metadata, decided on fingerprints in the row.
//!
//! A fingerprint is 64 bits of the SHA-256 of a path and a scalar, numbers in their one exact form. A row lists those of
//! its memory, so a filter costs no read of the memory, however long its values are. A value that is not there passes
//! for one that is with a chance of 1 in 2^64 for each value of each row.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::memory::Memory;
use super::reader::Row;
use super::row::Unreadable;
use crate::decimal;
use crate::json::Object;
use crate::limits::MAX_FILTER_VALUES;

/// What a memory must have to be found. All of the named fields must match:
///
/// - a scalar: the field is equal to it, or is a list with such a member; `1`, `1.0` and `1e0` are equal, `1` and `"1"`
///   are not, `null` is a value like others
/// - a list: one of its members matches
/// - an object: its fields filter those of the field, or of the objects in it when it is a list
/// - an empty list or object asks for nothing
///
/// The field `tags` is the memory's own, all others are those of its metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(Vec<Filter>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Has([u8; 8]),
    Any(Vec<Filter>),
    All(Vec<Filter>),
}

/// More values to filter on than a search takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyFilters;

impl std::fmt::Display for TooManyFilters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "filters hold more than {MAX_FILTER_VALUES} values")
    }
}

impl std::error::Error for TooManyFilters {}

/// Whether a row passes the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passes,
    Fails,
    /// Its row does not list all values, and what the filters want is not among those.
    Open,
}

impl Filters {
    /// The filters of a search's options.
    pub fn new(fields: &Object) -> Result<Self, TooManyFilters> {
        let mut filters = Self::default();
        for (name, wanted) in fields {
            let path = if name == "tags" { root(Root::Tags) } else { step(&root(Root::Metadata), name) };
            filters.0.extend(filter(&path, wanted));
        }
        filters.bounded()
    }

    /// These, and the memory's type is one of `types`; any type when there are none.
    pub fn of_types<'a>(mut self, types: impl IntoIterator<Item = &'a str>) -> Result<Self, TooManyFilters> {
        let path = root(Root::Type);
        let wanted: Vec<Filter> = types.into_iter().map(|name| Filter::Has(text(&path, name))).collect();
        if !wanted.is_empty() {
            self.0.push(Filter::Any(wanted));
        }
        self.bounded()
    }

    fn bounded(self) -> Result<Self, TooManyFilters> {
        if self.0.iter().map(Filter::size).sum::<usize>() > MAX_FILTER_VALUES { Err(TooManyFilters) } else { Ok(self) }
    }

    /// Whether the memory of a stored row passes; `None` where only the memory itself can tell.
    pub fn of_row(&self, row: &[u8]) -> Result<Option<bool>, Unreadable> {
        let row = Row::read(row)?;
        Ok(match self.judge(row.values, row.partial) {
            Verdict::Passes => Some(true),
            Verdict::Fails => Some(false),
            Verdict::Open => None,
        })
    }

    /// Whether `memory` itself passes: what a row that cannot tell is decided by.
    pub fn accept(&self, memory: &Memory<'_>) -> bool {
        let values: Vec<[u8; 8]> = fingerprints(memory).into_iter().map(u64::to_be_bytes).collect();
        self.0.iter().all(|filter| filter.holds(&values))
    }

    /// Whether a row with these values passes.
    pub(super) fn judge(&self, values: &[[u8; 8]], partial: bool) -> Verdict {
        // No filter wants something to be absent, so what passes with some of the values passes with all.
        if self.0.iter().all(|filter| filter.holds(values)) {
            Verdict::Passes
        } else if partial {
            Verdict::Open
        } else {
            Verdict::Fails
        }
    }
}

impl Filter {
    fn holds(&self, values: &[[u8; 8]]) -> bool {
        match self {
            Self::Has(value) => values.binary_search(value).is_ok(),
            Self::Any(filters) => filters.iter().any(|filter| filter.holds(values)),
            Self::All(filters) => filters.iter().all(|filter| filter.holds(values)),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Has(_) => 1,
            Self::Any(filters) | Self::All(filters) => 1 + filters.iter().map(Self::size).sum::<usize>(),
        }
    }
}

/// The filter that `wanted` is; none if it asks for nothing.
fn filter(path: &Sha256, wanted: &Value) -> Option<Filter> {
    match wanted {
        Value::Array(members) if members.is_empty() => None,
        // A member that asks for nothing is met by anything.
        Value::Array(members) => {
            members.iter().map(|member| filter(path, member)).collect::<Option<_>>().map(Filter::Any)
        }
        Value::Object(fields) => {
            let all: Vec<Filter> = fields.iter().filter_map(|(name, value)| filter(&step(path, name), value)).collect();
            (!all.is_empty()).then_some(Filter::All(all))
        }
        scalar => Some(Filter::Has(fingerprint(path, scalar))),
    }
}

/// Fingerprints of all that can be filtered on, ascending, each once.
pub fn fingerprints(memory: &Memory<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    let tags = root(Root::Tags);
    found.extend(memory.tags.iter().map(|tag| text(&tags, tag)));
    found.extend(memory.memory_type.map(|name| text(&root(Root::Type), name)));
    let metadata = root(Root::Metadata);
    for (name, value) in memory.metadata.into_iter().flatten() {
        collect(&step(&metadata, name), value, &mut found);
    }
    let mut found: Vec<u64> = found.into_iter().map(u64::from_be_bytes).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(path: &Sha256, value: &Value, found: &mut Vec<[u8; 8]>) {
    match value {
        Value::Array(members) => members.iter().for_each(|member| collect(path, member, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| collect(&step(path, name), value, found)),
        scalar => found.push(fingerprint(path, scalar)),
    }
}

#[derive(Clone, Copy)]
enum Root {
    Tags = 1,
    Type = 2,
    Metadata = 3,
}

/// A path is what has been hashed on the way to it: a root, and names with their lengths before them.
fn root(root: Root) -> Sha256 {
    Sha256::new_with_prefix([root as u8])
}

fn step(path: &Sha256, name: &str) -> Sha256 {
    let mut path = path.clone();
    path.update([b'/']);
    path.update(name.len().to_be_bytes());
    path.update(name);
    path
}

fn text(path: &Sha256, text: &str) -> [u8; 8] {
    finish(path, b'"', text)
}

fn fingerprint(path: &Sha256, scalar: &Value) -> [u8; 8] {
    match scalar {
        Value::String(value) => text(path, value),
        Value::Number(number) => match decimal::canonical(number.as_str()) {
            Ok(canonical) => finish(path, b'0', &canonical),
            // More digits than can be stored: equal to what is written alike.
            Err(_) => finish(path, b'0', number.as_str()),
        },
        other => finish(path, b'=', &other.to_string()),
    }
}

/// `kind` tells apart what is written alike, and a value from a further step.
fn finish(path: &Sha256, kind: u8, value: &str) -> [u8; 8] {
    let mut path = path.clone();
    path.update([kind]);
    path.update(value);
    let digest = path.finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    fn object(text: &str) -> Object {
        parse(text.as_bytes()).unwrap().as_object().unwrap().clone()
    }

    fn check(metadata: &str, wanted: &str, expected: bool) {
        let (metadata, wanted) = (object(metadata), object(wanted));
        let memory = Memory {
            tags: vec!["urgent", "Q3"],
            memory_type: Some("context"),
            metadata: Some(&metadata),
            ..Memory::default()
        };
        let filters = Filters::new(&wanted).unwrap();
        assert_eq!(filters.accept(&memory), expected, "{wanted:?} on {metadata:?}");
    }

    #[test]
    fn every_type_of_json_is_compared_for_equality() {
        let metadata =
            r#"{"s":"1","n":1.50,"big":12345678901234567890123456789012345678,"t":true,"f":false,"z":null,"e":""}"#;
        for wanted in [
            r#"{"s":"1"}"#,
            r#"{"n":1.5}"#,
            r#"{"n":15e-1}"#,
            r#"{"big":12345678901234567890123456789012345678}"#,
            r#"{"t":true,"f":false}"#,
            r#"{"z":null}"#,
            r#"{"e":""}"#,
            r"{}",
        ] {
            check(metadata, wanted, true);
        }
        for wanted in [
            r#"{"s":1}"#,
            r#"{"n":"1.5"}"#,
            r#"{"n":1.51}"#,
            r#"{"big":12345678901234567890123456789012345679}"#,
            r#"{"t":"true"}"#,
            r#"{"t":true,"f":true}"#,
            r#"{"absent":null}"#,
            r#"{"z":false}"#,
            r#"{"z":"null"}"#,
            r#"{"e":null}"#,
        ] {
            check(metadata, wanted, false);
        }
    }

    #[test]
    fn a_list_asks_for_one_of_its_members_and_a_field_that_is_a_list_has_all_of_its() {
        let metadata = r#"{"k":["a","b",3],"one":"a"}"#;
        check(metadata, r#"{"k":"a"}"#, true);
        check(metadata, r#"{"k":3.0}"#, true);
        check(metadata, r#"{"k":["x","b"]}"#, true);
        check(metadata, r#"{"one":["x","a"]}"#, true);
        check(metadata, r#"{"k":["x","y"]}"#, false);
        check(metadata, r#"{"k":[]}"#, true);
        check(metadata, r#"{"one":["x",[]]}"#, true);
    }

    #[test]
    fn an_object_filters_the_fields_inside() {
        let metadata = r#"{"a":{"b":{"c":1},"d":[{"e":1},{"e":2}]}}"#;
        check(metadata, r#"{"a":{"b":{"c":1}}}"#, true);
        check(metadata, r#"{"a":{"b":{"c":1},"d":{"e":2}}}"#, true);
        check(metadata, r#"{"a":{"b":{"c":2}}}"#, false);
        check(metadata, r#"{"a":{"c":1}}"#, false);
        check(metadata, r#"{"a.b.c":1}"#, false);
        check(metadata, r#"{"a":{}}"#, true);
    }

    #[test]
    fn tags_and_type_are_the_memorys_own() {
        let metadata = r#"{"tags":"private","memory_type":"other"}"#;
        check(metadata, r#"{"tags":"urgent"}"#, true);
        check(metadata, r#"{"tags":["none","Q3"]}"#, true);
        check(metadata, r#"{"tags":"q3"}"#, false);
        check(metadata, r#"{"tags":"private"}"#, false);
        check(metadata, r#"{"memory_type":"other"}"#, true);
        check(metadata, r#"{"memory_type":"context"}"#, false);
        let memory = Memory { memory_type: Some("context"), ..Memory::default() };
        for (types, expected) in [(&["context", "x"][..], true), (&["x"], false), (&[], true)] {
            let filters = Filters::default().of_types(types.iter().copied()).unwrap();
            assert_eq!(filters.accept(&memory), expected);
        }
    }

    #[test]
    fn filters_are_bounded() {
        let most: Vec<usize> = (0..MAX_FILTER_VALUES).collect();
        let filters = |values: &[usize]| Filters::new(&object(&format!(r#"{{"a":{values:?}}}"#)));
        assert!(filters(&most[1..]).is_ok());
        assert_eq!(filters(&most), Err(TooManyFilters));
    }
}
