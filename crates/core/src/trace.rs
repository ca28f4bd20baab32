//! Which request a piece of work goes back to, by the id that AWS gives it: from the gateway through the queue into every
//! line of the log.
//!
//! The form is X-Ray's (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>).
//! A client may choose the id, by a header of its own, so nothing is taken that has not exactly this form.

use std::fmt;

tokio::task_local! {
    static CURRENT: Option<Trace>;
}

/// Hex digits of an id: when it was made, and chance; and those of a segment.
const TIME_DIGITS: usize = 8;
const CHANCE_DIGITS: usize = 24;
const PARENT_DIGITS: usize = 16;
/// What the whole header may hold, bytes; a well-formed one with its lineage has some 150.
const MAX_HEADER_BYTES: usize = 512;

/// A trace, with what it takes to go on with it elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    id: String,
    parent: Option<String>,
    sampled: Option<bool>,
}

impl Trace {
    /// Reads the value of `X-Amzn-Trace-Id` or `AWSTraceHeader`. What else is in it is left out; `None` where its root is
    /// no id.
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let part = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let id = part("Root").filter(|id| is_id(id))?.to_owned();
        let parent = part("Parent").filter(|parent| is_hex(parent, PARENT_DIGITS)).map(str::to_owned);
        let sampled = match part("Sampled") {
            Some("0") => Some(false),
            Some("1") => Some(true),
            _ => None,
        };
        Some(Self { id, parent, sampled })
    }

    /// `1-<8 hex digits>-<24 hex digits>`, as X-Ray shows it.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// As the header has it.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root={}", self.id)?;
        if let Some(parent) = &self.parent {
            write!(f, ";Parent={parent}")?;
        }
        self.sampled.map_or(Ok(()), |sampled| write!(f, ";Sampled={}", u8::from(sampled)))
    }
}

fn is_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let version = parts.next() == Some("1");
    let time = parts.next().is_some_and(|time| is_hex(time, TIME_DIGITS));
    let chance = parts.next().is_some_and(|chance| is_hex(chance, CHANCE_DIGITS));
    version && time && chance && parts.next().is_none()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Does `work` as part of `trace`. It decides nothing: it is told in logs, messages and heads alone, so it is not handed
/// from function to function.
pub async fn scope<F: Future>(trace: Option<Trace>, work: F) -> F::Output {
    CURRENT.scope(trace, work).await
}

/// The trace of the work at hand.
pub fn current() -> Option<Trace> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1-58406520-a006649127e371903a2de979";

    #[test]
    fn a_header_is_taken_by_its_parts_and_told_without_what_is_not_known() {
        for (header, told) in [
            (format!("Root={ID}"), format!("Root={ID}")),
            (
                format!("Root={ID};Parent=4c721bf33e3caf8f;Sampled=1"),
                format!("Root={ID};Parent=4c721bf33e3caf8f;Sampled=1"),
            ),
            (format!("Sampled=0; Self=1-a;Root={ID};Lineage=a:b"), format!("Root={ID};Sampled=0")),
            (format!("Root={ID};Parent=secret;Sampled=?"), format!("Root={ID}")),
        ] {
            let trace = Trace::parse(&header).expect("a trace");
            assert_eq!((trace.id(), trace.to_string()), (ID, told));
        }
    }

    #[test]
    fn what_is_not_exactly_an_id_is_none() {
        for root in [
            "",
            "1-58406520-a006649127e371903a2de97",
            "1-58406520-a006649127e371903a2de9790",
            "2-58406520-a006649127e371903a2de979",
            "1-58406520-A006649127E371903A2DE979",
            "1-58406520-a006649127e371903a2de979-1",
            "1-5840652\n-a006649127e371903a2de979",
            "1-58406520-a006649127e371903a2de9\u{661}",
        ] {
            assert_eq!(Trace::parse(&format!("Root={root}")), None, "{root}");
        }
        assert_eq!(Trace::parse(ID), None);
        assert_eq!(Trace::parse(&format!("{}Root={ID}", " ".repeat(MAX_HEADER_BYTES))), None);
    }

    #[tokio::test]
    async fn work_is_part_of_the_trace_it_was_begun_in() {
        let trace = Trace::parse(&format!("Root={ID}"));
        let within = scope(trace.clone(), async { (current(), scope(None, async { current() }).await) }).await;
        assert_eq!((within, current()), ((trace, None), None));
    }
}
