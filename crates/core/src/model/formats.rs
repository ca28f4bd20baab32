//! Forms of texts.

use std::net::{Ipv4Addr, Ipv6Addr};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest address that a mail can be sent to (RFC 5321, section 4.5.3.1.3, without the brackets).
const MAX_EMAIL: usize = 254;

/// Longest label of a host name (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// Longest host name, written with dots (RFC 1035, section 2.3.4, without the root).
const MAX_HOST: usize = 253;

/// A form that texts are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Date,
    Email,
    Uuid,
    Uri,
    Hostname,
    Ipv4,
    Ipv6,
}

impl Format {
    pub(super) const ALL: [Self; 8] =
        [Self::DateTime, Self::Date, Self::Email, Self::Uuid, Self::Uri, Self::Hostname, Self::Ipv4, Self::Ipv6];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::DateTime => "date-time",
            Self::Date => "date",
            Self::Email => "email",
            Self::Uuid => "uuid",
            Self::Uri => "uri",
            Self::Hostname => "hostname",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// Why the text is not of this form, if it is not.
    pub(super) fn check(self, text: &str) -> Result<(), &'static str> {
        match self {
            Self::DateTime => date_time(text),
            Self::Date => date(text),
            Self::Email => email(text),
            Self::Uuid => uuid(text),
            Self::Uri => uri(text),
            Self::Hostname => host_name(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().map(drop).map_err(|_| "wanted is a form like 192.0.2.1"),
            Self::Ipv6 => text.parse::<Ipv6Addr>().map(drop).map_err(|_| "wanted is a form like 2001:db8::1"),
        }
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
    if host_name(domain).is_ok() { Ok(()) } else { Err("the part after the @ is not a host name") }
}

/// Labels of letters, digits and hyphens between dots (RFC 1123, section 2.1).
fn host_name(text: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let edge = !label.starts_with('-') && !label.ends_with('-');
        (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(inner) && edge
    };
    let valid = text.len() <= MAX_HOST && text.split('.').all(label);
    if valid { Ok(()) } else { Err("wanted is a form like www.example.com") }
}

/// Hexadecimal digits with hyphens (RFC 9562, section 4), of any version.
fn uuid(text: &str) -> Result<(), &'static str> {
    let hyphen = |place: usize| matches!(place, 8 | 13 | 18 | 23);
    let fits = |(place, byte): (usize, u8)| if hyphen(place) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    let valid = text.len() == 36 && text.bytes().enumerate().all(fits);
    if valid { Ok(()) } else { Err("wanted is a form like 123e4567-e89b-42d3-a456-426614174000") }
}

/// A scheme, a colon and the characters that may follow (RFC 3986, appendix A): no relative reference, no IRI.
fn uri(text: &str) -> Result<(), &'static str> {
    let (scheme, rest) = text.split_once(':').ok_or("it has no scheme")?;
    let scheme_char = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(scheme_char) {
        return Err("what is before the colon is no scheme");
    }
    let mut parts = rest.split('%');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte);
    let first = parts.next().is_some_and(|part| part.bytes().all(plain));
    let escaped = |part: &str| {
        let bytes = part.as_bytes();
        bytes.len() >= 2 && bytes.iter().take(2).all(u8::is_ascii_hexdigit) && bytes.iter().all(|byte| plain(*byte))
    };
    let brackets = rest.strip_prefix("//").is_none_or(|rest| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        rest.get(end..).is_some_and(|path| !path.contains(['[', ']']))
    });
    let fragments = rest.matches('#').count();
    let valid = first && parts.all(escaped) && brackets && fragments <= 1;
    if valid { Ok(()) } else { Err("it has characters that a URI holds only as %XX, or in its host") }
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

    #[test]
    fn other_forms_are_those_of_their_standards() {
        let table: [(Format, &[&str], &[&str]); 5] = [
            (
                Format::Uuid,
                &["123e4567-e89b-42d3-a456-426614174000", "00000000-0000-0000-0000-00000000000A"],
                &[
                    "",
                    "123e4567e89b42d3a456426614174000",
                    "{23e4567-e89b-42d3-a456-42661417400}",
                    "123e4567-e89b-42d3-a456-42661417400g",
                ],
            ),
            (
                Format::Uri,
                &[
                    "https://example.com/a?b=c#d",
                    "urn:isbn:0451450523",
                    "mailto:a@b.c",
                    "http://[2001:db8::1]:80/%7Ea",
                    "a:",
                ],
                &[
                    "",
                    "example.com",
                    "/a",
                    "1a://x",
                    "http://exämple.com",
                    "a:b c",
                    "a:%7",
                    "a:%zz",
                    "http://a/[b]",
                    "a:#b#c",
                    ":a",
                ],
            ),
            (
                Format::Hostname,
                &["localhost", "www.example.com", "a-1.b"],
                &["", "-a", "a-", "a..b", "a_b", "a.", "x.example.com/"],
            ),
            (Format::Ipv4, &["192.0.2.1", "0.0.0.0"], &["", "256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"]),
            (
                Format::Ipv6,
                &["::", "2001:db8::1", "::ffff:192.0.2.1"],
                &["", "1", "2001:db8::1::", "12345::", "fe80::1%eth0"],
            ),
        ];
        for (format, right, wrong) in table {
            for text in right {
                assert_eq!(format.check(text), Ok(()), "{format:?} {text}");
            }
            for text in wrong {
                assert!(format.check(text).is_err(), "{format:?} {text}");
            }
        }
    }
}
