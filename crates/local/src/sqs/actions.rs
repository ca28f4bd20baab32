use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    Error, MAX_MESSAGE_BYTES, Receive, Sqs, batch, queue_arn, queue_url,
    wire::{self, SendFields, number, required},
};

/// Answers one action; `authority` is the host and port the client calls, for the URLs it is given.
pub(super) async fn call(sqs: &Sqs, action: &str, body: &[u8], authority: &str) -> Result<Json, Error> {
    match action {
        "SendMessage" => send(sqs, body),
        "SendMessageBatch" => send_batch(sqs, body),
        "ReceiveMessage" => receive(sqs, body).await,
        "DeleteMessage" => delete(sqs, body),
        "DeleteMessageBatch" => delete_batch(sqs, body),
        "ChangeMessageVisibility" => change_visibility(sqs, body),
        "GetQueueUrl" => get_queue_url(sqs, body, authority),
        "GetQueueAttributes" => get_queue_attributes(sqs, body),
        "PurgeQueue" => purge(sqs, body),
        "ListQueues" => list_queues(sqs, body, authority),
        other => Err(Error::UnknownOperation(other.to_owned())),
    }
}

/// The part of every request that names its queue.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Target {
    #[serde(default)]
    queue_url: String,
}

impl Target {
    /// The queue's name is the last part of its URL; host and account are not looked at.
    fn queue(&self) -> Result<&str, Error> {
        let url = required(&self.queue_url, "QueueUrl")?;
        Ok(url.rsplit('/').next().unwrap_or(url))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiptFields {
    #[serde(default)]
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ReceiveFields {
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    message_system_attribute_names: Vec<String>,
    /// The older name of the same list.
    attribute_names: Vec<String>,
    message_attribute_names: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct QueueFields {
    queue_name: String,
    queue_name_prefix: String,
    attribute_names: Vec<String>,
    max_results: Option<i64>,
    next_token: String,
}

fn send(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let target: Target = serde_json::from_slice(body)?;
    let message = serde_json::from_slice::<SendFields>(body)?.into_message()?;
    Ok(wire::sent(sqs.send(target.queue()?, &message)?).into())
}

fn send_batch(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let (target, entries) = batch::read::<SendFields>(body)?;
    let queue = target.queue()?;
    let messages: Vec<_> = entries.into_iter().map(|(id, fields)| (id, fields.into_message())).collect();
    let bytes = messages.iter().filter_map(|(_, message)| message.as_ref().ok()).map(super::NewMessage::bytes).sum();
    if bytes > MAX_MESSAGE_BYTES {
        return Err(Error::BatchRequestTooLong(bytes));
    }
    sqs.queue(queue)?;
    Ok(batch::run(messages, |message| Ok(wire::sent(sqs.send(queue, &message?)?))))
}

async fn receive(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let target: Target = serde_json::from_slice(body)?;
    let mut fields: ReceiveFields = serde_json::from_slice(body)?;
    let visibility = fields.visibility_timeout.map(|seconds| number(seconds, "VisibilityTimeout"));
    let how = Receive {
        max_messages: number(fields.max_number_of_messages.unwrap_or(1), "MaxNumberOfMessages")?,
        visibility_s: visibility.transpose()?,
        wait_s: number(fields.wait_time_seconds.unwrap_or(0), "WaitTimeSeconds")?,
    };
    fields.message_system_attribute_names.append(&mut fields.attribute_names);
    let (system_names, names) = (fields.message_system_attribute_names, fields.message_attribute_names);
    let messages = sqs.receive(target.queue()?, how).await?;
    if messages.is_empty() {
        return Ok(json!({}));
    }
    let messages = messages.into_iter().map(|message| wire::received(message, &system_names, &names));
    Ok(json!({ "Messages": messages.collect::<Result<Vec<_>, _>>()? }))
}

fn delete(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let target: Target = serde_json::from_slice(body)?;
    let fields: ReceiptFields = serde_json::from_slice(body)?;
    sqs.delete(target.queue()?, required(&fields.receipt_handle, "ReceiptHandle")?)?;
    Ok(json!({}))
}

fn delete_batch(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let (target, entries) = batch::read::<ReceiptFields>(body)?;
    let queue = target.queue()?;
    sqs.queue(queue)?;
    Ok(batch::run(entries, |entry| {
        sqs.delete(queue, required(&entry.receipt_handle, "ReceiptHandle")?)?;
        Ok(Map::new())
    }))
}

fn change_visibility(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let target: Target = serde_json::from_slice(body)?;
    let fields: ReceiptFields = serde_json::from_slice(body)?;
    let handle = required(&fields.receipt_handle, "ReceiptHandle")?;
    let seconds = fields.visibility_timeout.ok_or(Error::MissingParameter("VisibilityTimeout"))?;
    sqs.change_visibility(target.queue()?, handle, number(seconds, "VisibilityTimeout")?)?;
    Ok(json!({}))
}

fn get_queue_url(sqs: &Sqs, body: &[u8], authority: &str) -> Result<Json, Error> {
    let fields: QueueFields = serde_json::from_slice(body)?;
    let queue = sqs.queue(required(&fields.queue_name, "QueueName")?)?;
    Ok(json!({ "QueueUrl": queue_url(authority, &queue.settings.name) }))
}

fn get_queue_attributes(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let target: Target = serde_json::from_slice(body)?;
    let fields: QueueFields = serde_json::from_slice(body)?;
    let settings = &sqs.queue(target.queue()?)?.settings;
    let counts = sqs.counts(&settings.name)?;
    let redrive = settings.redrive.as_ref().map(|redrive| {
        let target = queue_arn(&redrive.queue);
        json!({ "deadLetterTargetArn": target, "maxReceiveCount": redrive.max_receive_count }).to_string()
    });
    let mut attributes = BTreeMap::from([
        ("ApproximateNumberOfMessages", Some(counts.visible.to_string())),
        ("ApproximateNumberOfMessagesNotVisible", Some(counts.in_flight.to_string())),
        ("ApproximateNumberOfMessagesDelayed", Some(counts.delayed.to_string())),
        ("DelaySeconds", Some("0".to_owned())),
        ("MaximumMessageSize", Some(MAX_MESSAGE_BYTES.to_string())),
        ("QueueArn", Some(queue_arn(&settings.name))),
        ("ReceiveMessageWaitTimeSeconds", Some("0".to_owned())),
        ("RedrivePolicy", redrive),
        ("VisibilityTimeout", Some(settings.visibility_s.to_string())),
    ]);
    let names = fields.attribute_names;
    if let Some(unknown) = names.iter().find(|name| *name != "All" && !attributes.contains_key(name.as_str())) {
        return Err(Error::InvalidAttributeName(unknown.clone()));
    }
    attributes.retain(|name, value| value.is_some() && names.iter().any(|wanted| wanted == "All" || wanted == name));
    Ok(if attributes.is_empty() { json!({}) } else { json!({ "Attributes": attributes }) })
}

fn purge(sqs: &Sqs, body: &[u8]) -> Result<Json, Error> {
    let target: Target = serde_json::from_slice(body)?;
    sqs.purge(target.queue()?)?;
    Ok(json!({}))
}

/// Pages only when asked to, as on AWS; the token is the last name of the page before.
fn list_queues(sqs: &Sqs, body: &[u8], authority: &str) -> Result<Json, Error> {
    let fields: QueueFields = serde_json::from_slice(body)?;
    let limit = match fields.max_results {
        Some(limit @ 1..=1000) => usize::try_from(limit).unwrap_or(usize::MAX),
        Some(limit) => {
            return Err(Error::value(limit, "MaxResults", "Must be between 1 and 1000, if provided."));
        }
        None => usize::MAX,
    };
    let wanted = |name: &&String| name.starts_with(&fields.queue_name_prefix) && **name > fields.next_token;
    let mut names: Vec<_> = sqs.inner.queues.keys().filter(wanted).collect();
    let more = names.len() > limit;
    names.truncate(limit);
    let urls: Vec<_> = names.iter().map(|name| queue_url(authority, name)).collect();
    Ok(match names.last() {
        None => json!({}),
        Some(last) if more => json!({ "QueueUrls": urls, "NextToken": last }),
        Some(_) => json!({ "QueueUrls": urls }),
    })
}
