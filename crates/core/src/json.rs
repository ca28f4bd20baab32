//! JSON at the edge: exact numbers, bounded depth, one canonical form.

use std::fmt;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use crate::decimal;
use crate::limits::MAX_DEPTH;
use crate::runtime::hex;

/// A JSON object, in the order its fields were given.
pub type Object = Map<String, Value>;

/// Why a body is not JSON this service takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON at all; the parser's own words, with line and column.
    Syntax(String),
    /// Nested deeper than [`MAX_DEPTH`]; where.
    TooDeep(String),
    /// A number that 38 digits cannot hold; where.
    Inexact(String),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(reason) => write!(f, "the body is not valid JSON: {reason}"),
            Self::TooDeep(_) => write!(f, "nested more than {MAX_DEPTH} levels deep"),
            Self::Inexact(_) => f.write_str(
                "a number needs more than 38 digits or an exponent beyond 125; send it as a string to keep it exactly",
            ),
        }
    }
}

impl JsonError {
    /// JSON pointer to the place, where the text could be read that far.
    pub fn pointer(&self) -> &str {
        match self {
            Self::Syntax(_) => "",
            Self::TooDeep(pointer) | Self::Inexact(pointer) => pointer,
        }
    }
}

/// Parses `text`; every number comes out in canonical form (`1.0` is `1`, `1e2` is `100`), as the store gives it back.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let text = str::from_utf8(text).map_err(|error| no_text(text.get(..error.valid_up_to()).unwrap_or_default()))?;
    if let Some(value) = exact_json::read(text, MAX_DEPTH) {
        return Ok(value);
    }
    careful(text)
}

/// The same, and where it fails, what is wrong.
fn careful(text: &str) -> Result<Value, JsonError> {
    let mut value: Value = text.parse().map_err(|error: serde_json::Error| JsonError::Syntax(error.to_string()))?;
    normalise(&mut value, &mut Path::default())?;
    Ok(value)
}

/// What is not UTF-8 behind `before`, told as the parser tells of its errors.
fn no_text(before: &[u8]) -> JsonError {
    let lines = before.split(|byte| *byte == b'\n');
    let (line, column) = lines.fold((0, 0), |(line, _), text| (line + 1, text.len() + 1));
    JsonError::Syntax(format!("not UTF-8 at line {line} column {column}"))
}

fn normalise<'a>(value: &'a mut Value, path: &mut Path<'a>) -> Result<(), JsonError> {
    let is_container = value.is_array() || value.is_object();
    if is_container && path.0.len() >= MAX_DEPTH {
        return Err(JsonError::TooDeep(path.pointer()));
    }
    match value {
        Value::Number(number) => *number = exact(number).ok_or_else(|| JsonError::Inexact(path.pointer()))?,
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                path.within(Token::Index(index), |path| normalise(item, path))?;
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields.iter_mut() {
                path.within(Token::Name(name), |path| normalise(item, path))?;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
    Ok(())
}

fn exact(number: &Number) -> Option<Number> {
    let text = decimal::canonical(number.as_str()).ok()?;
    Some(Number::from_string_unchecked(text))
}

/// Where in a document a walk through it is. Its pointer is made only where somebody is told of it.
#[derive(Debug, Default)]
pub(crate) struct Path<'a>(Vec<Token<'a>>);

/// What leads from a value to one within it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Token<'a> {
    /// Of an object's field.
    Name(&'a str),
    /// Of a list's item.
    Index(usize),
}

impl<'a> Path<'a> {
    /// Runs `visit` one step further in.
    pub(crate) fn within<T>(&mut self, token: Token<'a>, visit: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(token);
        let seen = visit(self);
        self.0.pop();
        seen
    }

    /// The JSON pointer (RFC 6901) of the place.
    fn pointer(&self) -> String {
        self.clipped(usize::MAX)
    }

    /// The first `most` characters of the pointer, made without a look at the rest: a name may be as long as a body.
    pub(crate) fn clipped(&self, most: usize) -> String {
        let mut pointer = String::new();
        for token in &self.0 {
            match token {
                Token::Name(name) => push_token(&mut pointer, &clip(name, most)),
                Token::Index(index) => push_token(&mut pointer, &index.to_string()),
            }
        }
        clip(&pointer, most)
    }
}

/// A JSON number from text that is already canonical.
pub fn number(canonical: &str) -> Value {
    Value::Number(Number::from_string_unchecked(canonical.to_owned()))
}

/// Appends one reference token to a JSON pointer, escaped as RFC 6901 says.
fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// `pointer` with `token` appended.
pub fn child(pointer: &str, token: &str) -> String {
    let mut out = pointer.to_owned();
    push_token(&mut out, token);
    out
}

/// The first `most` characters of `text`, with `…` where something is left out: a client's own text in a message must
/// not make the answer larger than what it sent.
pub fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The canonical text of a value: compact, object keys sorted, numbers as [`parse`] leaves them. Equal values, whatever
/// the order their fields came in, have equal text.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(&fields[name], out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// SHA-256 of `bytes`, in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The words for a value's type that an error message uses.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values other than numbers, and what looks like one.
    const SCALARS: [&str; 13] = [
        "null",
        "true",
        r#""a""#,
        r#""12""#,
        r#""1e2""#,
        r#""é\u00e9\ud83d\ude00\n""#,
        r#""\ud800""#,
        r#""\u0000""#,
        "\"",
        "-",
        "01",
        "1.",
        "",
    ];
    const NAMES: [&str; 5] = ["a", "b", "", r"\u00e9", "$serde_json::private::Number"];

    /// Texts of JSON, and nearly of JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let number = "-?(0|[1-9][0-9]{0,39})([.][0-9]{1,4})?([eE][+-]?[0-9]{1,3})?";
        let scalar = prop_oneof![number, prop::sample::select(&SCALARS[..]).prop_map(str::to_owned)];
        scalar.prop_recursive(40, 200, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner.clone(), 0..4).prop_map(
                    |members| {
                        let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
                        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                    }
                ),
                inner.prop_map(|value| format!("{}{value}{}", "[".repeat(20), "]".repeat(20))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_read_at_once_is_what_is_read_with_care(value in nearly_json(), rest in prop_oneof![8 => "[ \n]?", 1 => "[x,{]"]) {
            let text = format!("{value}{rest}");
            prop_assert_eq!(exact_json::read(&text, MAX_DEPTH), careful(&text).ok());
        }
    }

    #[test]
    fn of_members_with_one_name_the_last_counts() {
        for text in [r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":1e200,"b":2,"a":3}"#] {
            assert_eq!(parse(text.as_bytes()).unwrap().to_string(), r#"{"a":3,"b":2}"#);
        }
    }

    #[test]
    fn numbers_are_exact_to_38_digits_and_canonical() {
        let big = "12345678901234567890123456789012345678";
        assert_eq!(parse(big.as_bytes()).unwrap().to_string(), big);
        assert_eq!(parse(b"[1.0, 1e2, -0]").unwrap().to_string(), "[1,100,0]");
        let error = parse(br#"{"a":[{"b/c":123456789012345678901234567890123456789}]}"#).unwrap_err();
        assert_eq!(error, JsonError::Inexact("/a/0/b~1c".into()));
    }

    #[test]
    fn a_byte_that_is_no_text_is_told_with_its_place() {
        let place = |text: &[u8]| parse(text).unwrap_err().to_string();
        assert_eq!(place(b"\xff"), "the body is not valid JSON: not UTF-8 at line 1 column 1");
        assert_eq!(place(b"{\n\"a\": \"\xfe\"}"), "the body is not valid JSON: not UTF-8 at line 2 column 7");
    }

    #[test]
    fn depth_is_bounded_at_the_limit() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(matches!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep(_))));
        assert!(matches!(parse(nested(100_000).as_bytes()), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn equal_values_have_equal_canonical_text() {
        let a = parse(br#"{"b":1.50,"a":{"y":[],"x":"\u00e9"}}"#).unwrap();
        let b = parse(r#"{"a":{"x":"é","y":[]},"b":1.5}"#.as_bytes()).unwrap();
        assert_eq!(canonical(&a), canonical(&b));
    }
}
