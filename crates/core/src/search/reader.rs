//! Reading a stored row in place, whatever its bytes are.

use super::FIELDS;
use super::language::{Languages, MAX_TERM_BYTES};
use super::row::{COUNTED, MAX_OWN, MAX_SHARED, ONCE, PARTIAL, Unreadable, VERSION, WIDE_COUNTS};

/// A row as stored, read in place.
#[derive(Debug)]
pub struct Row<'a> {
    pub languages: Languages,
    pub lengths: [u32; FIELDS],
    /// Fingerprints of filterable values, big-endian, ascending.
    pub values: &'a [[u8; 8]],
    pub partial: bool,
    pub terms: Terms<'a>,
}

impl<'a> Row<'a> {
    /// Reads everything but the terms.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        // The version first: another one may end in another way.
        match bytes.first() {
            Some(&VERSION) => {}
            Some(version) => return Err(Unreadable::Version(*version)),
            None => return Err(Unreadable::Damaged),
        }
        let (bytes, checksum) = bytes.split_last_chunk::<4>().ok_or(Unreadable::Damaged)?;
        if crc32fast::hash(bytes).to_be_bytes() != *checksum {
            return Err(Unreadable::Damaged);
        }
        let mut rest = Bytes(bytes);
        rest.byte()?;
        let flags = rest.byte()?;
        let languages = Languages::from_bits(flags & !PARTIAL).ok_or(Unreadable::Damaged)?;
        let lengths = [rest.varint()?, rest.varint()?, rest.varint()?];
        let count = rest.varint()? as usize;
        let (values, _) = rest.take(count.checked_mul(8).ok_or(Unreadable::Damaged)?)?.as_chunks::<8>();
        let left = rest.varint()?;
        Ok(Self { languages, lengths, values, partial: flags & PARTIAL != 0, terms: Terms { rest, left, length: 0 } })
    }
}

/// The terms of a row, one after another.
#[derive(Debug)]
pub struct Terms<'a> {
    rest: Bytes<'a>,
    left: u32,
    length: usize,
}

/// A term as it is written.
#[derive(Debug)]
pub struct Term<'a> {
    /// Bytes that it shares with the term before.
    pub shared: usize,
    /// Those that follow, at least one.
    pub own: &'a [u8],
    /// How often it is in content, title and tags.
    pub counts: [u32; FIELDS],
}

impl<'a> Terms<'a> {
    /// The next term; at the end `None`, if the bytes end there, too.
    pub fn next(&mut self) -> Result<Option<Term<'a>>, Unreadable> {
        let Some(left) = self.left.checked_sub(1) else {
            return if self.rest.0.is_empty() { Ok(None) } else { Err(Unreadable::Damaged) };
        };
        self.left = left;
        let head = self.rest.byte()?;
        let shared = self.rest.length(usize::from(head >> 4 & 7), MAX_SHARED)?;
        let count = self.rest.length(usize::from(head & 15), MAX_OWN)?;
        let own = self.rest.take(count)?;
        if own.is_empty() || shared > self.length || shared + count > MAX_TERM_BYTES {
            return Err(Unreadable::Damaged);
        }
        self.length = shared + count;
        let counts = if head & COUNTED == 0 { ONCE } else { self.rest.counts()? };
        Ok(Some(Term { shared, own, counts }))
    }
}

#[derive(Debug, Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A length of which `most` in the head means that one byte more has it.
    fn length(&mut self, in_head: usize, most: usize) -> Result<usize, Unreadable> {
        if in_head < most {
            return Ok(in_head);
        }
        self.byte().map(usize::from)
    }

    fn varint(&mut self) -> Result<u32, Unreadable> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable::Damaged)
    }

    fn counts(&mut self) -> Result<[u32; FIELDS], Unreadable> {
        Ok(match self.byte()? {
            WIDE_COUNTS => [self.varint()?, self.varint()?, self.varint()?],
            small => [small >> 4, small >> 2 & 3, small & 3].map(u32::from),
        })
    }
}
