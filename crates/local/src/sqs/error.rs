use std::fmt;

use super::MAX_MESSAGE_BYTES;

/// Why a request was refused.
///
/// The text is the one the client reads. On the wire each has the shape's name (`__type`) and, in a header, the code of
/// the older query protocol, which is the one the Rust SDK goes by.
#[derive(Debug)]
pub enum Error {
    /// The service has no queue of this name.
    QueueDoesNotExist,
    /// The handle is not one this queue gave.
    ReceiptHandleIsInvalid(String),
    /// The message is visible again, or was received again since.
    MessageNotInFlight,
    /// A required parameter is absent or empty; its name.
    MissingParameter(&'static str),
    /// A parameter is out of bounds; the whole text.
    InvalidParameterValue(String),
    /// The body or an attribute holds a character outside XML 1.0.
    InvalidMessageContents,
    /// The queue has no attribute of this name.
    InvalidAttributeName(String),
    /// A batch without entries.
    EmptyBatchRequest,
    /// More than ten entries; their number.
    TooManyEntriesInBatchRequest(usize),
    /// Two entries share this id.
    BatchEntryIdsNotDistinct(String),
    /// An entry's id has the wrong characters or length.
    InvalidBatchEntryId,
    /// The entries together exceed the size of one message; their bytes.
    BatchRequestTooLong(usize),
    /// A feature of the service that is not modelled; the whole text.
    UnsupportedOperation(String),
    /// An action that is not modelled, or none at all; its name.
    UnknownOperation(String),
    /// The request's body is not the JSON of the action.
    Serialization(serde_json::Error),
    /// The database failed, or another process has it.
    Storage(rusqlite::Error),
}

impl Error {
    /// An invalid parameter, in the service's usual words.
    pub(super) fn value(value: impl fmt::Display, parameter: &str, reason: &str) -> Self {
        Self::InvalidParameterValue(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
    }

    /// Whether the client can do something about it.
    pub(super) fn is_senders_fault(&self) -> bool {
        !matches!(self, Self::Storage(_))
    }

    /// The shape's name and the query protocol's code.
    pub(super) fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::QueueDoesNotExist => {
                ("com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
            }
            Self::ReceiptHandleIsInvalid(_) => ("com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"),
            Self::MessageNotInFlight => {
                ("com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight")
            }
            Self::MissingParameter(_) => {
                ("com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter")
            }
            Self::InvalidParameterValue(_) => {
                ("com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue")
            }
            Self::InvalidMessageContents => ("com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents"),
            Self::InvalidAttributeName(_) => ("com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName"),
            Self::EmptyBatchRequest => {
                ("com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest")
            }
            Self::TooManyEntriesInBatchRequest(_) => (
                "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            ),
            Self::BatchEntryIdsNotDistinct(_) => {
                ("com.amazonaws.sqs#BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
            }
            Self::InvalidBatchEntryId => {
                ("com.amazonaws.sqs#InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId")
            }
            Self::BatchRequestTooLong(_) => {
                ("com.amazonaws.sqs#BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong")
            }
            Self::UnsupportedOperation(_) => {
                ("com.amazonaws.sqs#UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation")
            }
            Self::UnknownOperation(_) => ("com.amazon.coral.service#UnknownOperationException", "InvalidAction"),
            Self::Serialization(_) => ("com.amazon.coral.service#SerializationException", "SerializationException"),
            Self::Storage(_) => ("com.amazon.coral.service#InternalFailure", "InternalFailure"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueDoesNotExist => f.write_str("The specified queue does not exist."),
            Self::ReceiptHandleIsInvalid(handle) => write!(f, "The input receipt handle \"{handle}\" is not valid."),
            Self::MessageNotInFlight => f.write_str("The message is not in flight."),
            Self::MissingParameter(name) => write!(f, "The request must contain the parameter {name}."),
            Self::InvalidParameterValue(text) | Self::UnsupportedOperation(text) => f.write_str(text),
            Self::InvalidMessageContents => f.write_str("Invalid characters found in the message."),
            Self::InvalidAttributeName(name) => write!(f, "Unknown Attribute {name}."),
            Self::EmptyBatchRequest => f.write_str("There should be at least one entry in the request."),
            Self::TooManyEntriesInBatchRequest(sent) => {
                write!(f, "Maximum number of entries per request are 10. You have sent {sent}.")
            }
            Self::BatchEntryIdsNotDistinct(id) => write!(f, "Id {id} repeated."),
            Self::InvalidBatchEntryId => f.write_str(
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
                 letters long.",
            ),
            Self::BatchRequestTooLong(sent) => {
                write!(f, "Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {sent} bytes.")
            }
            Self::UnknownOperation(action) => write!(f, "This queue service has no action \"{action}\"."),
            Self::Serialization(error) => write!(f, "The request is not the action's JSON: {error}"),
            Self::Storage(error) => write!(f, "The queue's database failed: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Serialization(error) => Some(error),
            Self::Storage(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Serialization(error)
    }
}
