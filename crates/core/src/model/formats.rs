//! Formats whose rules differ from the schema library's, or are stricter.

use std::error::Error;

use boon::{Compiler, Format};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest address that a mail can be sent to (RFC 5321, section 4.5.3.1.3, without the brackets).
const MAX_EMAIL: usize = 254;

/// Longest label of a host name (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

type Checked = Result<(), Box<dyn Error>>;

/// Has the compiler assert formats, ours before its own.
pub(super) fn register(compiler: &mut Compiler) {
    compiler.enable_format_assertions();
    compiler.register_format(Format { name: "date-time", func: |value| check(value, date_time) });
    compiler.register_format(Format { name: "date", func: |value| check(value, date) });
    compiler.register_format(Format { name: "email", func: |value| check(value, email) });
}

fn check(value: &Value, valid: impl Fn(&str) -> Result<(), &'static str>) -> Checked {
    match value {
        Value::String(text) => Ok(valid(text)?),
        _ => Ok(()),
    }
}

/// RFC 3339, with an upper-case `T`; the offset may be left out, as in `2024-11-11T10:00:00`.
fn date_time(text: &str) -> Result<(), &'static str> {
    let with_offset = |text: &str| OffsetDateTime::parse(text, &Rfc3339).is_ok();
    if text.as_bytes().get(10) == Some(&b'T') && (with_offset(text) || with_offset(&format!("{text}Z"))) {
        return Ok(());
    }
    Err("wanted is a form like 2024-11-11T10:00:00Z; the offset may be left out")
}

/// The full-date of RFC 3339.
fn date(text: &str) -> Result<(), &'static str> {
    if text.len() == 10 && date_time(&format!("{text}T00:00:00Z")).is_ok() {
        return Ok(());
    }
    Err("wanted is a form like 2024-11-11")
}

/// The valid e-mail address of the HTML standard, section 4.10.5.1.5: what people call an address,
/// without the quoted forms and comments of RFC 5322.
fn email(text: &str) -> Result<(), &'static str> {
    let (local, domain) = text.rsplit_once('@').ok_or("it has no @")?;
    let local_char = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    if text.len() > MAX_EMAIL || local.is_empty() || !local.bytes().all(local_char) {
        return Err("the part before the @ is not one of an address");
    }
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let edge = !label.starts_with('-') && !label.ends_with('-');
        (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(inner) && edge
    };
    if domain.split('.').all(label) { Ok(()) } else { Err("the part after the @ is not a host name") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_time_needs_no_offset() {
        for text in
            ["2024-11-11T10:00:00", "2024-11-11T10:00:00Z", "2024-02-29T23:59:59.123456+05:30", "2024-11-11T10:00:00.5"]
        {
            assert_eq!(date_time(text), Ok(()), "{text}");
        }
        for text in [
            "2024-11-11",
            "2024-11-11 10:00:00",
            "2023-02-29T00:00:00Z",
            "2024-11-11T24:00:00Z",
            "2024-11-11T10:00",
            "x",
            "",
            "2024-11-11T10:00:00ZZ",
            "２024-11-11T10:00:00",
        ] {
            assert!(date_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_date_is_one_of_the_calendar() {
        for (text, valid) in [("2024-02-29", true), ("2023-02-29", false), ("+200-01-01", false), ("2024-1-01", false)]
        {
            assert_eq!(date(text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn an_email_has_two_parts() {
        for text in ["john@example.com", "a.b+c@sub.example.co", "x@localhost"] {
            assert_eq!(email(text), Ok(()), "{text}");
        }
        for text in
            ["", "@", "@example.com", "john", "john@", "john@-a.com", "jo hn@a.com", "john@a..com", "jöhn@a.com"]
        {
            assert!(email(text).is_err(), "{text}");
        }
    }
}
