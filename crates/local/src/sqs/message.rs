use std::collections::BTreeMap;

use batch_core::trace::Trace;
use md5::{Digest, Md5};

use super::{Error, queue_arn};

/// The size limit of one message, and of one batch of them: body and attributes together.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

const MAX_ATTRIBUTES: usize = 10;
const MAX_DELAY_S: u32 = 900;

/// The sender that every message names: the service knows none.
const SENDER_ID: &str = "AIDALOCALQUEUESERVICE";

/// The name of the system attribute that a sender may give.
pub(super) const TRACE_HEADER: &str = "AWSTraceHeader";

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// At least one character, all of them XML 1.0's.
    pub body: String,
    /// How long the message stays hidden at first, 0 to 900 seconds.
    pub delay_s: u32,
    /// At most ten, by name.
    pub attributes: BTreeMap<String, Attribute>,
    /// Whose share of a fair queue the message uses: 1 to 128 printable ASCII characters.
    pub group_id: Option<String>,
    /// The one system attribute that a sender may give: what the message is a part of, in the form of X-Ray.
    pub trace_header: Option<String>,
}

/// A message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, optionally with a dot and a label of one's own.
    pub data_type: String,
    /// Binary exactly when the type says so.
    pub value: Value,
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The value of a string, or the digits of a number.
    Text(String),
    /// The raw bytes, not their base64.
    Binary(Vec<u8>),
}

impl Value {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// What the queue answers to a message it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// A UUID, the message's for life.
    pub id: String,
    /// Lower-case hexadecimal.
    pub md5_of_body: String,
    /// Lower-case hexadecimal; absent without attributes.
    pub md5_of_attributes: Option<String>,
    /// Lower-case hexadecimal; absent without a trace header.
    pub md5_of_system_attributes: Option<String>,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that the send answered.
    pub id: String,
    /// Stands for this receipt when the message is deleted or its visibility changed.
    pub receipt_handle: String,
    /// As sent.
    pub body: String,
    /// As sent.
    pub attributes: BTreeMap<String, Attribute>,
    /// As sent.
    pub group_id: Option<String>,
    /// As sent; a move to a dead-letter queue does not change it.
    pub trace_header: Option<String>,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub sent_at_ms: i64,
    /// When it was first received, in milliseconds since the Unix epoch.
    pub first_received_at_ms: i64,
    /// How often it was received, this time included; a move to a dead-letter queue does not reset it.
    pub receive_count: u32,
    /// The queue it was moved from, in a dead-letter queue.
    pub dead_letter_source: Option<String>,
}

impl Message {
    /// The attributes that the service itself gives to a message, by the names AWS has for them.
    pub fn system_attributes(&self) -> BTreeMap<&'static str, String> {
        let mut attributes = BTreeMap::from([
            ("SenderId", SENDER_ID.to_owned()),
            ("SentTimestamp", self.sent_at_ms.to_string()),
            ("ApproximateFirstReceiveTimestamp", self.first_received_at_ms.to_string()),
            ("ApproximateReceiveCount", self.receive_count.to_string()),
        ]);
        if let Some(group) = &self.group_id {
            attributes.insert("MessageGroupId", group.clone());
        }
        if let Some(header) = &self.trace_header {
            attributes.insert(TRACE_HEADER, header.clone());
        }
        if let Some(source) = &self.dead_letter_source {
            attributes.insert("DeadLetterQueueSourceArn", queue_arn(source));
        }
        attributes
    }

    /// Lower-case hexadecimal.
    pub fn md5_of_body(&self) -> String {
        md5_of_body(&self.body)
    }

    /// Lower-case hexadecimal; absent without attributes.
    pub fn md5_of_attributes(&self) -> Option<String> {
        md5_of_attributes(&self.attributes)
    }
}

impl NewMessage {
    /// The bytes that count against [`MAX_MESSAGE_BYTES`]; the trace header does not.
    pub(super) fn bytes(&self) -> usize {
        let attributes = self.attributes.iter();
        self.body.len()
            + attributes.map(|(name, it)| name.len() + it.data_type.len() + it.value.bytes().len()).sum::<usize>()
    }

    pub(super) fn md5_of_body(&self) -> String {
        md5_of_body(&self.body)
    }

    pub(super) fn md5_of_attributes(&self) -> Option<String> {
        md5_of_attributes(&self.attributes)
    }

    pub(super) fn md5_of_system_attributes(&self) -> Option<String> {
        let header = self.trace_header.clone()?;
        let attribute = Attribute { data_type: "String".to_owned(), value: Value::Text(header) };
        md5_of_attributes(&BTreeMap::from([(TRACE_HEADER.to_owned(), attribute)]))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.body.is_empty() {
            return Err(Error::MissingParameter("MessageBody"));
        }
        if self.bytes() > MAX_MESSAGE_BYTES {
            return Err(invalid(&format!("Message must be shorter than {MAX_MESSAGE_BYTES} bytes.")));
        }
        if self.delay_s > MAX_DELAY_S {
            return Err(Error::value(self.delay_s, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900."));
        }
        if let Some(group) = &self.group_id
            && (group.is_empty() || group.len() > 128 || !group.chars().all(|c| c.is_ascii_graphic()))
        {
            let reason = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.";
            return Err(Error::value(group, "MessageGroupId", reason));
        }
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(invalid(&format!("A message has at most {MAX_ATTRIBUTES} attributes.")));
        }
        check_characters(&self.body)?;
        if self.trace_header.as_ref().is_some_and(|header| Trace::parse(header).is_none()) {
            return Err(invalid("The message system attribute 'AWSTraceHeader' has an invalid trace header."));
        }
        self.attributes.iter().try_for_each(|(name, attribute)| attribute.check(name))
    }
}

impl Attribute {
    fn check(&self, name: &str) -> Result<(), Error> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let reserved = ["aws.", "amazon."].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
        let misplaced_dot = name.starts_with('.') || name.ends_with('.') || name.contains("..");
        if name.is_empty() || name.len() > 256 || !name.chars().all(is_name) || reserved || misplaced_dot {
            return Err(invalid(&format!("The message attribute name '{name}' is not allowed.")));
        }
        let kind = self.data_type.split('.').next().unwrap_or_default();
        let fits = match &self.value {
            Value::Text(_) => matches!(kind, "String" | "Number"),
            Value::Binary(_) => kind == "Binary",
        };
        if !fits || self.data_type.len() > 256 {
            let data_type = &self.data_type;
            return Err(invalid(&format!(
                "The message attribute '{name}' has a value that is not of type '{data_type}'."
            )));
        }
        if self.value.bytes().is_empty() {
            return Err(invalid(&format!("The message attribute '{name}' must contain a non-empty value.")));
        }
        match &self.value {
            Value::Text(text) => check_characters(text),
            Value::Binary(_) => Ok(()),
        }
    }
}

fn invalid(reason: &str) -> Error {
    Error::InvalidParameterValue(format!("One or more parameters are invalid. Reason: {reason}"))
}

/// The service takes the characters of XML 1.0 (section 2.2) and no others.
fn check_characters(text: &str) -> Result<(), Error> {
    let is_xml = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..);
    if text.chars().all(is_xml) { Ok(()) } else { Err(Error::InvalidMessageContents) }
}

fn md5_of_body(body: &str) -> String {
    hex(&Md5::digest(body))
}

/// The checksum that clients verify: name, type and value of each attribute in the order of names, every part after its
/// length, and before the value a byte that says how it travels (1 text, 2 binary).
///
/// Source: Amazon SQS developer guide, "Calculating the MD5 message digest for message attributes".
fn md5_of_attributes(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut md5 = Md5::new();
    let mut part = |prefix: &[u8], bytes: &[u8]| {
        md5.update(prefix);
        // The size limit keeps every length far below 32 bits.
        md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        md5.update(bytes);
    };
    for (name, attribute) in attributes {
        part(&[], name.as_bytes());
        part(&[], attribute.data_type.as_bytes());
        let transport = match attribute.value {
            Value::Text(_) => 1,
            Value::Binary(_) => 2,
        };
        part(&[transport], attribute.value.bytes());
    }
    Some(hex(&md5.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}
