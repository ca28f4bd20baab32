use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::message::TRACE_HEADER;
use super::{Attribute, Error, Message, NewMessage, Sent, Value};

/// A message attribute as the protocol and the database have it.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WireAttribute {
    #[serde(default)]
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

pub(super) fn attributes_to_wire(attributes: &BTreeMap<String, Attribute>) -> BTreeMap<&str, WireAttribute> {
    let to_wire = |attribute: &Attribute| {
        let (string_value, binary_value) = match &attribute.value {
            Value::Text(text) => (Some(text.clone()), None),
            Value::Binary(bytes) => (None, Some(STANDARD.encode(bytes))),
        };
        WireAttribute { data_type: attribute.data_type.clone(), string_value, binary_value }
    };
    attributes.iter().map(|(name, attribute)| (name.as_str(), to_wire(attribute))).collect()
}

pub(super) fn attributes_from_wire(
    attributes: BTreeMap<String, WireAttribute>,
) -> Result<BTreeMap<String, Attribute>, Error> {
    let from_wire = |name: String, wire: WireAttribute| {
        let refusal = || Error::value(&name, "MessageAttributes", "One value of the attribute's type is needed.");
        let value = match (wire.string_value, wire.binary_value) {
            (Some(text), None) => Value::Text(text),
            (None, Some(base64)) => Value::Binary(STANDARD.decode(base64).map_err(|_| refusal())?),
            _ => return Err(refusal()),
        };
        Ok((name, Attribute { data_type: wire.data_type, value }))
    };
    attributes.into_iter().map(|(name, wire)| from_wire(name, wire)).collect()
}

/// What `SendMessage` says of a message, and an entry of `SendMessageBatch`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SendFields {
    #[serde(default)]
    message_body: String,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, WireAttribute>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, WireAttribute>,
}

impl SendFields {
    pub fn into_message(self) -> Result<NewMessage, Error> {
        if let Some(id) = self.message_deduplication_id {
            let reason = "The request includes a parameter that is not valid for this queue type.";
            return Err(Error::value(id, "MessageDeduplicationId", reason));
        }
        let delay_s = number(self.delay_seconds.unwrap_or(0), "DelaySeconds")?;
        let attributes = attributes_from_wire(self.message_attributes)?;
        let trace_header = trace_header(self.message_system_attributes)?;
        Ok(NewMessage { body: self.message_body, delay_s, attributes, group_id: self.message_group_id, trace_header })
    }
}

/// The one system attribute that a sender may give.
fn trace_header(attributes: BTreeMap<String, WireAttribute>) -> Result<Option<String>, Error> {
    let mut header = None;
    for (name, attribute) in attributes_from_wire(attributes)? {
        match attribute.value {
            Value::Text(text) if name == TRACE_HEADER && attribute.data_type == "String" => header = Some(text),
            _ => {
                return Err(Error::value(&name, "MessageSystemAttributes", "Only AWSTraceHeader, a String, is taken."));
            }
        }
    }
    Ok(header)
}

/// A parameter that is never negative; its upper bound is the queue's to check.
pub(super) fn number(value: i64, parameter: &str) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| Error::value(value, parameter, "Out of range."))
}

pub(super) fn required<'a>(value: &'a str, parameter: &'static str) -> Result<&'a str, Error> {
    if value.is_empty() { Err(Error::MissingParameter(parameter)) } else { Ok(value) }
}

pub(super) fn sent(sent: Sent) -> Map<String, Json> {
    let mut answer = Map::new();
    answer.insert("MessageId".to_owned(), sent.id.into());
    answer.insert("MD5OfMessageBody".to_owned(), sent.md5_of_body.into());
    if let Some(md5) = sent.md5_of_attributes {
        answer.insert("MD5OfMessageAttributes".to_owned(), md5.into());
    }
    if let Some(md5) = sent.md5_of_system_attributes {
        answer.insert("MD5OfMessageSystemAttributes".to_owned(), md5.into());
    }
    answer
}

/// A received message with those of its attributes that the request names.
pub(super) fn received(mut message: Message, system_names: &[String], names: &[String]) -> Result<Json, Error> {
    let mut system = message.system_attributes();
    system.retain(|name, _| system_names.iter().any(|wanted| wanted == "All" || wanted == name));
    message.attributes.retain(|name, _| names.iter().any(|wanted| selects(wanted, name)));
    let mut answer = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": message.md5_of_body(),
        "Body": message.body,
    });
    if !system.is_empty() {
        answer["Attributes"] = json!(system);
    }
    // The checksum is of what is answered, so that the client can verify it.
    if let Some(md5) = message.md5_of_attributes() {
        answer["MD5OfMessageAttributes"] = md5.into();
        answer["MessageAttributes"] = serde_json::to_value(attributes_to_wire(&message.attributes))?;
    }
    Ok(answer)
}

/// A name, all of them (`All`, `.*`), or those that begin alike (`prefix.*`).
fn selects(wanted: &str, name: &str) -> bool {
    wanted == "All" || wanted == name || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
}
