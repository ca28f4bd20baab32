//! References: values of one operation's result, named in the text of another.
//!
//! `${ref:<operation>.<path>}` is exact. `$ref:<operation>.<path>` has no end of its own: it takes the longest path that
//! exists in the result, backing off at `_` and `.`, and what is left over is text. Backing off ends at a scalar only:
//! a name that an object or a list does not have is a mistake, not text. A path is made of names and list indexes; on a
//! one-record result the first index may be left out. A string that is nothing but one reference takes the value with
//! its JSON type; anywhere else the value becomes text, strings bare and the rest as compact JSON.
//!
//! Directly before `ref:` and `{ref:`, `$$` stands for one `$`: `$$ref:` is the text `$ref:`, and `$$$ref:a.price` is a
//! dollar sign and a price. So [`resolve`] runs over every value exactly once, references or not.
//!
//! Text that was put in is never looked at again, neither for references nor for operators: see [`Resolved`].

mod resolve;

use std::fmt;

use serde_json::Value;

use crate::json::{Path, Token};
use crate::limits::{MAX_POINTER, MAX_REFERENCES_PER_OPERATION};

pub use resolve::{Budget, Kind, Lookup, Origin, Outcome, Resolved, Unresolved, resolve, resolve_text};

/// Longest operation id.
const MAX_OPERATION_ID: usize = 64;
/// Characters of a client's own text repeated in a message.
const MAX_SHOWN: usize = 128;

/// A string, read: text and references, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<'a> {
    /// What the string is made of. Texts may be adjacent; none is empty.
    pub segments: Vec<Segment<'a>>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// As it will stand in the result, escapes already undone.
    Text(&'a str),
    /// To be replaced.
    Reference(Reference<'a>),
}

/// One reference, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Id of the operation whose result is meant: 1 to 64 of `[A-Za-z0-9_]`.
    pub operation: &'a str,
    /// Names and indexes joined by `.`, none empty. Of a bare reference, all that could belong to it.
    pub path: &'a str,
    /// Written `${ref:...}`: the path is exact.
    pub braced: bool,
}

/// Something that begins like a reference and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// JSON pointer to the string, from the value that was given.
    pub pointer: String,
    /// Where in the string, in characters from 0.
    pub position: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a reference; its `Display` says how to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Nothing between the colon and what follows.
    NoOperation,
    /// An operation id of more than 64 characters.
    OperationTooLong,
    /// An operation without a path.
    NoPath,
    /// Two dots in a row, or a dot before the closing brace.
    EmptyName,
    /// `${ref:` without `}`.
    Unclosed,
    /// A character that no id, name or index has.
    Character(char),
    /// More references than an operation may hold; the rest was not looked at.
    TooMany,
}

/// A reference found by [`collect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// JSON pointer to the string, from the value that was given.
    pub pointer: String,
    /// The operation it names.
    pub operation: String,
}

impl<'a> Template<'a> {
    /// Reads `text`. One without `$` costs a scan.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut segments = Vec::new();
        let (mut start, mut at) = (0, 0);
        while let Some(offset) = text[at..].find('$') {
            let dollars = at + offset;
            let count = leading(&text[dollars..], |byte| byte == b'$').len();
            at = dollars + count;
            let body = match &text[at..] {
                rest if rest.starts_with("ref:") => at + "ref:".len(),
                rest if rest.starts_with("{ref:") => at + "{ref:".len(),
                _ => continue,
            };
            push_text(&mut segments, &text[start..dollars + count / 2]);
            start = at;
            if count % 2 == 1 {
                let (reference, end) = read_reference(text, body, body - at > "ref:".len())?;
                segments.push(Segment::Reference(reference));
                (start, at) = (end, end);
            }
        }
        push_text(&mut segments, &text[start..]);
        Ok(Self { segments })
    }

    /// Whether there is nothing to replace.
    pub fn is_literal(&self) -> bool {
        self.references().next().is_none()
    }

    /// The text between the references, escapes undone.
    pub fn text(&self) -> String {
        let texts = self.segments.iter().filter_map(|segment| match segment {
            Segment::Text(text) => Some(*text),
            Segment::Reference(_) => None,
        });
        texts.collect()
    }

    /// The references, as often and in the order they are written.
    pub fn references(&self) -> impl Iterator<Item = Reference<'a>> + '_ {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Text(_) => None,
            Segment::Reference(reference) => Some(*reference),
        })
    }
}

fn push_text<'a>(segments: &mut Vec<Segment<'a>>, text: &'a str) {
    if !text.is_empty() {
        segments.push(Segment::Text(text));
    }
}

/// The part of `text` before the first byte that does not fit; `fits` takes ASCII only.
fn leading(text: &str, fits: impl Fn(u8) -> bool) -> &str {
    let end = text.bytes().position(|byte| !fits(byte)).unwrap_or(text.len());
    &text[..end]
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Reads `operation.path` (and `}`) at byte `at` of `text`; gives the reference and the byte after it.
fn read_reference(text: &str, at: usize, braced: bool) -> Result<(Reference<'_>, usize), Malformed> {
    let fail =
        |at: usize, problem| Err(Malformed { pointer: String::new(), position: text[..at].chars().count(), problem });
    // What stands where something is missing decides how to say so.
    let missing = |at: usize, problem| match text[at..].chars().next() {
        None if braced => fail(at, Problem::Unclosed),
        Some(c) if c != '.' && c != '}' && !c.is_whitespace() => fail(at, Problem::Character(c)),
        _ => fail(at, problem),
    };
    let operation = leading(&text[at..], in_name);
    let dot = at + operation.len();
    if operation.is_empty() {
        return missing(at, Problem::NoOperation);
    }
    if operation.len() > MAX_OPERATION_ID {
        return fail(at, Problem::OperationTooLong);
    }
    if !text[dot..].starts_with('.') {
        return missing(dot, Problem::NoPath);
    }
    let start = dot + 1;
    let run = leading(&text[start..], |byte| in_name(byte) || byte == b'.');
    // A full stop after a bare reference ends the sentence, not the path.
    let path = if braced { run } else { run.trim_end_matches('.') };
    let end = start + path.len();
    if path.is_empty() && !run.starts_with('.') {
        return missing(start, Problem::NoPath);
    }
    if let Some(empty) = empty_name(path) {
        return fail(start + empty, Problem::EmptyName);
    }
    let reference = Reference { operation, path, braced };
    let after = &text[end..];
    if braced {
        return if after.starts_with('}') { Ok((reference, end + 1)) } else { missing(end, Problem::Unclosed) };
    }
    // `items.-1` would otherwise be the whole list with `.-1` behind it.
    let mut next = after.bytes();
    if (next.next(), next.next()) == (Some(b'.'), Some(b'-')) && next.next().is_some_and(|byte| byte.is_ascii_digit()) {
        return fail(end + 1, Problem::Character('-'));
    }
    Ok((reference, end))
}

/// Where in `path` a name is missing.
fn empty_name(path: &str) -> Option<usize> {
    let mut start = 0;
    for name in path.split('.') {
        if name.is_empty() {
            return Some(start);
        }
        start += name.len() + 1;
    }
    None
}

/// Every reference in `value`, in document order: what its operation depends on. Object keys are not looked at.
///
/// # Errors
/// Every string that is malformed, by its first problem. More than [`MAX_REFERENCES_PER_OPERATION`] are one, too.
pub fn collect(value: &Value) -> Result<Vec<Found>, Vec<Malformed>> {
    let mut collector = Collector::default();
    walk(value, &mut Path::default(), &mut |text, path| collector.read(text, path));
    if collector.malformed.is_empty() { Ok(collector.found) } else { Err(collector.malformed) }
}

/// The operations that `value` refers to, as often and in the order they are named; malformed strings name none.
pub fn operations(value: &Value) -> Vec<&str> {
    let mut named = Vec::new();
    walk(value, &mut Path::default(), &mut |text, _| {
        let template = Template::parse(text).ok();
        named.extend(template.iter().flat_map(Template::references).map(|reference| reference.operation));
    });
    named
}

/// Shows `visit` each string that may hold a reference, with its place.
fn walk<'a>(value: &'a Value, path: &mut Path<'a>, visit: &mut impl FnMut(&'a str, &Path<'a>)) {
    match value {
        Value::String(text) if may_refer(text) => visit(text, path),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.within(Token::Index(index), |path| walk(item, path, visit));
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields.iter().filter(|(_, field)| !is_bare(field)) {
                path.within(Token::Name(name), |path| walk(field, path, visit));
            }
        }
        _ => {}
    }
}

/// Whether there is no text in it, as in most of many values.
fn is_bare(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
}

/// Of texts without a dollar sign it is known at a look.
fn may_refer(text: &str) -> bool {
    text.contains('$')
}

/// Whether any text in `value` may hold a reference, or an escaped one.
pub(super) fn has_dollar(value: &Value) -> bool {
    match value {
        Value::String(text) => may_refer(text),
        Value::Array(items) => items.iter().any(has_dollar),
        Value::Object(fields) => fields.values().any(has_dollar),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[derive(Default)]
struct Collector {
    found: Vec<Found>,
    malformed: Vec<Malformed>,
}

impl Collector {
    /// Stops keeping pointers once there are too many.
    fn read(&mut self, text: &str, path: &Path<'_>) {
        if self.found.len() + self.malformed.len() > MAX_REFERENCES_PER_OPERATION {
            return;
        }
        let pointer = || path.clipped(MAX_POINTER);
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(malformed) => return self.malformed.push(Malformed { pointer: pointer(), ..malformed }),
        };
        for reference in template.references() {
            if self.found.len() == MAX_REFERENCES_PER_OPERATION {
                return self.malformed.push(Malformed { pointer: pointer(), position: 0, problem: Problem::TooMany });
            }
            self.found.push(Found { pointer: pointer(), operation: reference.operation.to_owned() });
        }
    }
}

/// `value` so written that no string of it is read as a reference: every `$` directly before `ref:` and `{ref:` doubled.
pub fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("ref:") => Value::String(escape(text)),
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), escaped(field))).collect(),
        other => other.clone(),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let dollars = leading(&rest[at..], |byte| byte == b'$');
        let (before, after) = rest.split_at(at + dollars.len());
        out.push_str(before);
        if after.starts_with("ref:") || after.starts_with("{ref:") {
            out.push_str(dollars);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether any string of `value` holds a reference, or tries to: such a value is not known before run time.
pub fn contains_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => may_refer(text) && Template::parse(text).map_or(true, |template| !template.is_literal()),
        Value::Array(items) => items.iter().any(contains_reference),
        Value::Object(fields) => fields.values().any(contains_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.position, self.problem)
    }
}

impl std::error::Error for Malformed {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::NoOperation => "a reference names an operation",
            Self::OperationTooLong => "an operation id has at most 64 characters",
            Self::NoPath => "a reference names a field of the operation's result",
            Self::EmptyName => "a name in the path is empty",
            Self::Unclosed => "the closing `}` is missing",
            Self::Character(c) => {
                write!(f, "`{}` cannot stand here; ", c.escape_debug())?;
                "names have letters, digits and `_`, list indexes count from 0"
            }
            Self::TooMany => {
                return write!(f, "an operation may hold {MAX_REFERENCES_PER_OPERATION} references; split it up");
            }
        };
        write!(f, "{what}: write `$ref:operation.field`, or `${{ref:operation.field}}` before more text; ")?;
        f.write_str("for the characters themselves double the `$`")
    }
}
