//! The binary form of one memory's postings.
//!
//! ```text
//! version   1 byte: 1
//! flags     1 byte: bits 0 to 3 the languages of the stems; bit 7: not all filterable values are listed
//! lengths   3 varints: words of content, title, tags
//! values    varint count, then 8 bytes each, big-endian, ascending: fingerprints of filterable values
//! terms     varint count, then the terms, ascending by bytes, each:
//!   head    1 byte: bit 7 counts follow; bits 4 to 6 bytes shared with the term before (7: one byte more tells);
//!           bits 0 to 3 bytes of its own (15: one byte more tells)
//!   bytes   those of its own
//!   counts  only with bit 7, else it is once in the content: 1 byte of content << 4 | title << 2 | tags, or 255 and
//!           3 varints where they do not fit
//! checksum  4 bytes, big-endian: CRC-32 (IEEE 802.3) of all before
//! ```
//!
//! Varints are LEB128 of at most 32 bits. Terms stand in full, not as hashes: they take the space of a 48-bit hash, and a
//! match is one. Nothing is compressed: zstd makes a row of English a seventh smaller, and expanding it takes longer than searching it.

use super::FIELDS;
use super::language::Languages;

/// The form that this code writes, and the only one that it reads.
pub(super) const VERSION: u8 = 1;
pub(super) const PARTIAL: u8 = 0x80;
pub(super) const COUNTED: u8 = 0x80;
pub(super) const MAX_SHARED: usize = 7;
pub(super) const MAX_OWN: usize = 15;
pub(super) const WIDE_COUNTS: u8 = 255;
pub(super) const ONCE: [u32; FIELDS] = [1, 0, 0];

/// Why a stored row cannot be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Its version, which is not this code's.
    Version(u8),
    /// It is not as this code writes it.
    Damaged,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a search row has version {version}, known is {VERSION}"),
            Self::Damaged => f.write_str("a search row is damaged"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// A row to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct Postings {
    /// Whose stems the terms are.
    pub languages: Languages,
    /// Words of content, title and tags.
    pub lengths: [u32; FIELDS],
    /// Fingerprints of what can be filtered on, ascending.
    pub values: Vec<u64>,
    /// Whether there are more such values than are listed.
    pub partial: bool,
    /// Terms, ascending, with how often each is in content, title and tags; not three zeros.
    pub terms: Vec<(String, [u32; FIELDS])>,
}

impl Postings {
    /// The bytes of the row.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.languages.bits() | if self.partial { PARTIAL } else { 0 }];
        for length in self.lengths {
            push_varint(&mut out, length);
        }
        push_varint(&mut out, saturated(self.values.len()));
        self.values.iter().for_each(|value| out.extend(value.to_be_bytes()));
        push_varint(&mut out, saturated(self.terms.len()));
        let mut last: &[u8] = &[];
        for (term, counts) in &self.terms {
            push_term(&mut out, last, term.as_bytes(), *counts);
            last = term.as_bytes();
        }
        out.extend(crc32fast::hash(&out).to_be_bytes());
        out
    }
}

/// How many bytes two terms have in common at their start.
pub fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn push_term(out: &mut Vec<u8>, last: &[u8], term: &[u8], counts: [u32; FIELDS]) {
    let shared = shared(last, term);
    let own = &term[shared..];
    let counted = if counts == ONCE { 0 } else { COUNTED };
    out.push(counted | byte(shared.min(MAX_SHARED)) << 4 | byte(own.len().min(MAX_OWN)));
    if shared >= MAX_SHARED {
        out.push(byte(shared));
    }
    if own.len() >= MAX_OWN {
        out.push(byte(own.len()));
    }
    out.extend_from_slice(own);
    if counted != 0 {
        push_counts(out, counts);
    }
}

fn push_counts(out: &mut Vec<u8>, counts: [u32; FIELDS]) {
    let [content, title, tags] = counts;
    match u8::try_from(content) {
        Ok(content) if content < 16 && title < 4 && tags < 4 && counts != [15, 3, 3] => {
            let small = |count: u32| u8::try_from(count).unwrap_or_default();
            out.push(content << 4 | small(title) << 2 | small(tags));
        }
        _ => {
            out.push(WIDE_COUNTS);
            for count in counts {
                push_varint(out, count);
            }
        }
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(byte((value & 0x7f) as usize) | 0x80);
        value >>= 7;
    }
    out.push(byte(value as usize));
}

/// Lengths in a row are far below their types' bounds.
fn byte(value: usize) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

fn saturated(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::reader::Row;
    use super::*;

    fn unpack(bytes: &[u8]) -> Result<Postings, Unreadable> {
        let Row { languages, lengths, values, partial, mut terms } = Row::read(bytes)?;
        let mut all: Vec<(String, [u32; FIELDS])> = Vec::new();
        let mut last = Vec::new();
        while let Some(term) = terms.next()? {
            last.truncate(term.shared);
            last.extend_from_slice(term.own);
            all.push((String::from_utf8(last.clone()).map_err(|_| Unreadable::Damaged)?, term.counts));
        }
        let values = values.iter().map(|value| u64::from_be_bytes(*value)).collect();
        Ok(Postings { languages, lengths, values, partial, terms: all })
    }

    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    fn count() -> impl Strategy<Value = u32> {
        prop_oneof![0..4_u32, 0..20_u32, any::<u32>()]
    }

    fn postings() -> impl Strategy<Value = Postings> {
        let counts = [count(), count(), count()].prop_filter("a term occurs", |counts| *counts != [0; FIELDS]);
        let terms = proptest::collection::btree_map("[a-c]{1,64}|[ab]{1,3}|\\PC{1,16}", counts, 0..40);
        let values = proptest::collection::btree_set(any::<u64>(), 0..10);
        (1..16_u8, [count(), count(), count()], values, any::<bool>(), terms).prop_map(
            |(languages, lengths, values, partial, terms): (_, _, BTreeSet<u64>, _, BTreeMap<_, _>)| Postings {
                languages: Languages::from_bits(languages).unwrap(),
                lengths,
                values: values.into_iter().collect(),
                partial,
                terms: terms.into_iter().collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(postings in postings()) {
            prop_assert_eq!(unpack(&postings.pack()), Ok(postings));
        }

        #[test]
        fn a_changed_or_missing_byte_is_noticed(postings in postings(), at: prop::sample::Index, by in 1..=255_u8) {
            let mut bytes = postings.pack();
            let at = at.index(bytes.len());
            prop_assert!(unpack(&bytes[..at]).is_err());
            bytes[at] ^= by;
            prop_assert!(unpack(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, flags in 1..16_u8) {
            let _ = unpack(&bytes);
            let _ = unpack(&sealed([&[VERSION, flags, 1, 0, 0, 0], bytes.as_slice()].concat()));
        }
    }

    #[test]
    fn another_version_is_named() {
        assert_eq!(unpack(&[2, 1, 0]), Err(Unreadable::Version(2)));
        assert_eq!(unpack(&[]), Err(Unreadable::Damaged));
    }

    #[test]
    fn a_row_must_end_where_its_terms_do() {
        let good = [VERSION, 1, 1, 0, 0, 0, 1, 1, b'a'];
        assert!(unpack(&sealed(good.to_vec())).is_ok());
        for bad in [
            &[VERSION, 1, 1, 0, 0, 0, 1, 1, b'a', 0][..],
            &[VERSION, 1, 1, 0, 0, 0, 2, 1, b'a'],
            &[VERSION, 1, 1, 0, 0, 0, 1, 0],
            &[VERSION, 1, 1, 0, 0, 0, 1, 0x11, b'a'],
            &[VERSION, 0, 1, 0, 0, 0, 0],
            &[VERSION, 0x10, 1, 0, 0, 0, 0],
            &[VERSION, 1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
        ] {
            assert_eq!(unpack(&sealed(bad.to_vec())), Err(Unreadable::Damaged), "{bad:?}");
        }
    }
}
