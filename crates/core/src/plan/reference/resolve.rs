//! Putting values in where references stand.

use std::fmt;
use std::io;
use std::ops::Range;

use serde_json::{Map, Value};

use super::{MAX_SHOWN, Problem, Reference, Segment, Template};
use crate::json::{child, clip};

/// Backing off looks for names up to this long, so that it costs a text of underscores no quadratic time; a longer name
/// is found when it is written exactly.
const MAX_SHORTER_NAME: usize = 255;
/// Names listed in a message about something that is not there.
const MAX_LISTED: usize = 20;

/// The results so far, by operation.
pub trait Lookup {
    /// What became of `operation`.
    fn outcome(&self, operation: &str) -> Outcome<'_>;
    /// The operations that have data, for a message about one that has none.
    fn operations(&self) -> Vec<&str>;
}

/// What a reference finds under an operation's id.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It succeeded: its result, a list of records.
    Data(&'a Value),
    /// It failed or was skipped.
    Failed,
    /// There is none, or it has not run.
    Unknown,
}

/// Bytes that references may still put in. Strings count as they are, everything else as compact JSON.
///
/// One for a run through a batch; a copy taken before an operation restores it when that one is evaluated again.
#[derive(Debug, Clone)]
pub struct Budget {
    per_operation: usize,
    per_batch: usize,
    operation_left: usize,
    batch_left: usize,
}

impl Budget {
    /// A full budget.
    pub fn new(per_operation: usize, per_batch: usize) -> Self {
        Self { per_operation, per_batch, operation_left: per_operation, batch_left: per_batch }
    }

    /// Begins the next operation: the first share is full again, the batch's is not.
    pub fn start_operation(&mut self) {
        self.operation_left = self.per_operation;
    }

    /// Takes what `value` needs, without building its text.
    fn charge(&mut self, value: &Value) -> Result<(), Kind> {
        let most = self.operation_left.min(self.batch_left);
        let Some(bytes) = size(value, most) else {
            return Err(if self.operation_left <= self.batch_left {
                Kind::OperationLimit(self.per_operation)
            } else {
                Kind::BatchLimit(self.per_batch)
            });
        };
        self.operation_left -= bytes;
        self.batch_left -= bytes;
        Ok(())
    }
}

/// Bytes of `value` as text, if they are no more than `most`.
fn size(value: &Value, most: usize) -> Option<usize> {
    if let Value::String(text) = value {
        return (text.len() <= most).then_some(text.len());
    }
    let mut meter = Meter { left: most };
    serde_json::to_writer(&mut meter, value).ok()?;
    Some(most - meter.left)
}

/// Swallows `left` bytes and refuses the next, which ends the writing.
struct Meter {
    left: usize,
}

impl io::Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a value could not be put together; its operation fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// JSON pointer to the string, from the value that was given.
    pub pointer: String,
    /// The operation referred to; empty for [`Kind::Malformed`].
    pub operation: String,
    /// The path as written; empty for [`Kind::Malformed`].
    pub path: String,
    /// What is wrong.
    pub kind: Kind,
    /// What could have been meant: operations, or paths in the result next to the one that is missing. At most 20,
    /// with `…` for more.
    pub available: Vec<String>,
}

/// What keeps a reference from its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such operation, or it has not run.
    UnknownOperation,
    /// The operation failed or was skipped, so it has no result.
    OperationFailed,
    /// The result has nothing under this path.
    Missing,
    /// More bytes than references may put into one operation: this many.
    OperationLimit(usize),
    /// More bytes than references may put into one batch: this many.
    BatchLimit(usize),
    /// Not a reference at all; [`super::collect`] tells these before anything runs.
    Malformed(Problem),
}

/// A string with its references replaced, and what of it the client wrote.
///
/// A filter like `gt::5` is an operator only if the client wrote it: read operators from [`Resolved::written`], never
/// from `value`, and separators outside [`Origin::Within`] alone. The operand is the rest of `value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// A string, unless it was one reference and nothing else.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// How much of a resolved string came from results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nothing.
    Written,
    /// All of it, JSON type included.
    Whole,
    /// These byte ranges of the string, ascending; one may be empty.
    Within(Vec<Range<usize>>),
}

impl Resolved {
    /// What the client itself wrote before anything was put in: all, nothing, or the text up to the first reference.
    pub fn written(&self) -> &str {
        let text = self.value.as_str().unwrap_or_default();
        match &self.origin {
            Origin::Written => text,
            Origin::Whole => "",
            Origin::Within(ranges) => ranges.first().map_or("", |range| &text[..range.start]),
        }
    }
}

/// `value` with every reference in its strings replaced; object keys stay as they are.
///
/// # Errors
/// The first reference that has no value. What was put in before it stays charged to `budget`.
pub fn resolve(value: &Value, lookup: &impl Lookup, budget: &mut Budget) -> Result<Value, Unresolved> {
    Ok(match value {
        Value::String(text) => resolve_text(text, lookup, budget)?.value,
        Value::Array(items) => {
            let items = items
                .iter()
                .enumerate()
                .map(|(index, item)| resolve(item, lookup, budget).map_err(|error| error.under(&index.to_string())));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| match resolve(field, lookup, budget) {
                Ok(field) => Ok((name.clone(), field)),
                Err(error) => Err(error.under(name)),
            });
            Value::Object(fields.collect::<Result<_, _>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// Like [`resolve`] for one string, telling what came from results: for query values.
pub fn resolve_text(text: &str, lookup: &impl Lookup, budget: &mut Budget) -> Result<Resolved, Unresolved> {
    let template = Template::parse(text).map_err(|error| Unresolved::new(None, Kind::Malformed(error.problem)))?;
    let mut out = String::with_capacity(text.len());
    let mut ranges = Vec::new();
    for segment in &template.segments {
        let reference = match segment {
            Segment::Text(text) => {
                out.push_str(text);
                continue;
            }
            Segment::Reference(reference) => *reference,
        };
        let (value, rest) = find(reference, lookup)?;
        budget.charge(value).map_err(|kind| Unresolved::new(Some(reference), kind))?;
        if rest.is_empty() && template.segments.len() == 1 {
            return Ok(Resolved { value: value.clone(), origin: Origin::Whole });
        }
        let start = out.len();
        match value {
            Value::String(text) => out.push_str(text),
            other => out.push_str(&other.to_string()),
        }
        ranges.push(start..out.len());
        out.push_str(rest);
    }
    let origin = if ranges.is_empty() { Origin::Written } else { Origin::Within(ranges) };
    Ok(Resolved { value: Value::String(out), origin })
}

/// The value a reference leads to, and what of its path turned out to be text.
fn find<'v, 'p>(reference: Reference<'p>, lookup: &'v impl Lookup) -> Result<(&'v Value, &'p str), Unresolved> {
    let data = match lookup.outcome(reference.operation) {
        Outcome::Data(data) => data,
        Outcome::Failed => return Err(Unresolved::new(Some(reference), Kind::OperationFailed)),
        Outcome::Unknown => {
            let mut error = Unresolved::new(Some(reference), Kind::UnknownOperation);
            error.available = listed(lookup.operations().into_iter().map(str::to_owned));
            return Err(error);
        }
    };
    let path = reference.path;
    // `path[..end]` leads to `here`.
    let (mut here, mut end) = (Place { value: data, is_result: true }, 0);
    for name in path.split('.') {
        let start = if here.is_result { 0 } else { end + 1 };
        if let Some(next) = here.step(name) {
            here = Place { value: next, is_result: false };
            end = start + name.len();
            continue;
        }
        let shorter = if reference.braced { None } else { back_off(here, name) };
        if let Some((value, length)) = shorter {
            let end = if length == 0 { end } else { start + length };
            return Ok((value, &path[end..]));
        }
        let mut error = Unresolved::new(Some(reference), Kind::Missing);
        let parent = if here.is_result { String::new() } else { format!("{}.", &path[..end]) };
        error.available = listed(here.names().map(|name| format!("{parent}{name}")));
        return Err(error);
    }
    Ok((here.value, ""))
}

/// The scalar that a bare path means when `name` is not there: under the longest beginning of `name` that ends before a
/// `_`, with its length, or else `here` itself, with 0.
fn back_off<'v>(here: Place<'v>, name: &str) -> Option<(&'v Value, usize)> {
    let mut ends = name.rmatch_indices('_').map(|(end, _)| end).filter(|end| (1..=MAX_SHORTER_NAME).contains(end));
    let shorter = ends.find_map(|end| Some((here.step(&name[..end])?, end)));
    // No path at all leads to the result as a whole.
    let (value, length) = shorter.or_else(|| (!here.is_result).then_some((here.value, 0)))?;
    let is_scalar = !value.is_array() && !value.is_object();
    is_scalar.then_some((value, length))
}

/// A place in an operation's result.
#[derive(Clone, Copy)]
struct Place<'v> {
    value: &'v Value,
    /// The result itself, a list of records, nothing having been stepped into.
    is_result: bool,
}

impl<'v> Place<'v> {
    fn step(self, name: &str) -> Option<&'v Value> {
        match self.value {
            Value::Object(fields) => fields.get(name),
            Value::Array(items) => {
                let item = index(name).and_then(|index| items.get(index));
                item.or_else(|| self.only_record()?.get(name))
            }
            _ => None,
        }
    }

    /// The record whose index may be left out.
    fn only_record(self) -> Option<&'v Map<String, Value>> {
        match self.value {
            Value::Array(records) if self.is_result && records.len() == 1 => records.first()?.as_object(),
            _ => None,
        }
    }

    /// What [`Place::step`] would take.
    fn names(self) -> Box<dyn Iterator<Item = String> + 'v> {
        match (self.only_record().or(self.value.as_object()), self.value) {
            (Some(fields), _) => Box::new(fields.keys().cloned()),
            (None, Value::Array(items)) => Box::new((0..items.len()).map(|index| index.to_string())),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// A list index: digits without leading zeros. One too large for any list is none.
fn index(name: &str) -> Option<usize> {
    let canonical = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { name.parse().ok() } else { None }
}

/// The first few of `names`, each cut to what a message can show.
fn listed(mut names: impl Iterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = names.by_ref().take(MAX_LISTED).map(|name| clip(&name, MAX_SHOWN)).collect();
    if names.next().is_some() {
        list.push("…".to_owned());
    }
    list
}

impl Unresolved {
    fn new(reference: Option<Reference<'_>>, kind: Kind) -> Self {
        let (operation, path) = reference.map_or(("", ""), |reference| (reference.operation, reference.path));
        Self { pointer: String::new(), operation: operation.into(), path: path.into(), kind, available: Vec::new() }
    }

    /// The same, seen from one level further out.
    fn under(self, token: &str) -> Self {
        Self { pointer: child("", token) + &self.pointer, ..self }
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = &self.operation;
        match self.kind {
            Kind::UnknownOperation => write!(f, "there is no result of an operation `{operation}`")?,
            Kind::OperationFailed => return write!(f, "operation `{operation}` did not succeed, so it has no result"),
            Kind::Missing => {
                write!(f, "the result of `{operation}` has no `{}`", clip(&self.path, MAX_SHOWN))?;
            }
            Kind::OperationLimit(bytes) => return write!(f, "references may put {bytes} bytes into one operation"),
            Kind::BatchLimit(bytes) => return write!(f, "references may put {bytes} bytes into one batch"),
            Kind::Malformed(problem) => return problem.fmt(f),
        }
        if self.available.is_empty() {
            return f.write_str("; there is nothing to refer to there");
        }
        write!(f, "; there is: {}", self.available.join(", "))
    }
}

impl std::error::Error for Unresolved {}
