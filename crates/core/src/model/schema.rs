//! A property's schema, compiled once, and values checked against it.

use boon::{CompileError, Compiler, Draft, ErrorKind, SchemaIndex, Schemas, ValidationError};
use serde_json::Value;

use super::formats;
use super::numbers::{Numbers, for_library};

/// Most values within one value. A row holds 400 KB and each takes two bytes at least, so more cannot be
/// stored; it bounds the memory that the library's errors take.
const MAX_PARTS: usize = 200_000;

/// Most problems told of one value; a list of a thousand wrong items is clear from the first.
const MAX_FINDINGS: usize = 20;

/// Longest text of one problem, in characters; some quote the value.
const MAX_MESSAGE: usize = 300;

/// A compiled schema.
pub(super) struct Checker {
    schemas: Schemas,
    index: SchemaIndex,
    numbers: Numbers,
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checker").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}

/// Something wrong within a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// JSON pointer (RFC 6901) from the value; empty for the value itself.
    pub(super) pointer: String,
    pub(super) message: String,
}

impl Finding {
    pub(super) fn new(pointer: &str, message: String) -> Self {
        Self { pointer: pointer.to_owned(), message }
    }
}

/// The pointer of a member of what stands at `parent`.
pub(super) fn pointer(parent: &str, member: &str) -> String {
    format!("{parent}/{}", member.replace('~', "~0").replace('/', "~1"))
}

impl Checker {
    /// Accepts everything; stands in for a schema that does not compile, in a model that is not used.
    pub(super) fn none() -> Self {
        Self { schemas: Schemas::new(), index: SchemaIndex::default(), numbers: Numbers::default() }
    }

    /// Everything wrong with the value, up to a bound.
    pub(super) fn check(&self, value: &Value) -> Vec<Finding> {
        if count_parts(value, 0) > MAX_PARTS {
            return vec![Finding::new("", format!("has more than {MAX_PARTS} values, which no row can hold"))];
        }
        let mut findings = Vec::new();
        self.numbers.check(value, "", &mut findings);
        let seen = for_library(value);
        if self.schemas.contains(self.index)
            && let Err(error) = self.schemas.validate(&seen, self.index)
        {
            collect(&error, &mut findings);
        }
        findings.truncate(MAX_FINDINGS);
        findings
    }
}

/// Compiles the schemas of one model.
pub(super) struct SchemaCompiler {
    compiler: Compiler,
    count: usize,
}

impl SchemaCompiler {
    pub(super) fn new() -> Self {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        formats::register(&mut compiler);
        Self { compiler, count: 0 }
    }

    /// A checker, or what is wrong with the schema; the findings point into the schema.
    pub(super) fn compile(&mut self, schema: Value, numbers: Numbers) -> Result<Checker, Vec<Finding>> {
        self.count += 1;
        // Nothing is fetched: the name only tells resources apart.
        let name = format!("http://model.invalid/{}", self.count);
        let mut schemas = Schemas::new();
        self.compiler.add_resource(&name, schema).map_err(|error| explain(&error))?;
        let index = self.compiler.compile(&name, &mut schemas).map_err(|error| explain(&error))?;
        Ok(Checker { schemas, index, numbers })
    }
}

/// The values in a value, itself included, on top of those counted before; stops soon after the bound.
fn count_parts(value: &Value, before: usize) -> usize {
    let step = |sum: usize, part: &Value| if sum > MAX_PARTS { sum } else { count_parts(part, sum) };
    match value {
        Value::Array(items) => items.iter().fold(before + 1, step),
        Value::Object(members) => members.values().fold(before + 1, step),
        _ => before + 1,
    }
}

fn explain(error: &CompileError) -> Vec<Finding> {
    match error {
        CompileError::ValidationError { src, .. } => {
            let mut findings = Vec::new();
            collect(src, &mut findings);
            findings.truncate(1);
            findings
        }
        CompileError::InvalidRegex { regex, .. } => {
            vec![Finding::new("/pattern", format!("{regex:?} is not a regular expression"))]
        }
        other => vec![Finding::new("", shorten(&format!("{other:#}")))],
    }
}

/// The leaves of the library's tree of errors. Missing and surplus properties are pointed at themselves.
fn collect(error: &ValidationError<'_, '_>, findings: &mut Vec<Finding>) {
    let at = error.instance_location.to_string();
    match &error.kind {
        ErrorKind::AnyOf | ErrorKind::OneOf(None) => {
            let mut branches = Vec::new();
            error.causes.iter().for_each(|cause| collect(cause, &mut branches));
            let reasons: Vec<String> = branches.into_iter().map(|branch| branch.message).collect();
            findings
                .push(Finding::new(&at, shorten(&format!("fits none of the allowed forms: {}", reasons.join("; ")))));
        }
        ErrorKind::Required { want } => {
            findings.extend(want.iter().map(|name| Finding::new(&pointer(&at, name), "is required".to_owned())));
        }
        ErrorKind::AdditionalProperties { got } => {
            findings
                .extend(got.iter().map(|name| Finding::new(&pointer(&at, name), "is not a known property".to_owned())));
        }
        _ if !error.causes.is_empty() => error.causes.iter().for_each(|cause| collect(cause, findings)),
        kind => findings.push(Finding::new(&at, describe(kind))),
    }
}

fn describe(kind: &ErrorKind<'_, '_>) -> String {
    let text = match kind {
        ErrorKind::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|one| one.to_string()).collect();
            format!("must be {}, not {got}", want.join(" or "))
        }
        ErrorKind::Format { want, err, .. } => format!("is not a valid {want}: {err}"),
        ErrorKind::Pattern { want, .. } => format!("does not match the pattern {want}"),
        ErrorKind::MinLength { got, want } => format!("must have at least {want} characters, not {got}"),
        ErrorKind::MaxLength { got, want } => format!("must have at most {want} characters, not {got}"),
        other => other.to_string(),
    };
    shorten(&text)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
