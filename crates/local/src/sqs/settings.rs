use super::Error;

/// The longest visibility timeout: twelve hours.
const MAX_VISIBILITY_S: u32 = 43_200;

const MAX_RECEIVE: u32 = 10;
const MAX_WAIT_S: u32 = 20;

/// A queue, as the template declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Unique in the service, 1 to 80 letters, digits, `-` or `_`; the last part of the queue's URL and ARN.
    pub name: String,
    /// How long a received message stays hidden when the receive does not say, in seconds.
    pub visibility_s: u32,
    /// Where messages go that were received too often; without it they stay.
    pub redrive: Option<Redrive>,
}

impl QueueSettings {
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || self.name.len() > 80 || !self.name.chars().all(is_allowed) {
            let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.";
            return Err(Error::value(&self.name, "QueueName", reason));
        }
        check_visibility(self.visibility_s)
    }
}

/// A dead-letter rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The name of the dead-letter queue, one of the same service.
    pub queue: String,
    /// How often a message is delivered; the receive after that moves it instead.
    pub max_receive_count: u32,
}

/// How to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receive {
    /// 1 to 10.
    pub max_messages: u32,
    /// 0 to 43,200 seconds; the queue's own timeout when absent.
    pub visibility_s: Option<u32>,
    /// How long to wait for a first message, 0 to 20 seconds.
    pub wait_s: u32,
}

impl Default for Receive {
    /// One message, the queue's timeout, no waiting.
    fn default() -> Self {
        Self { max_messages: 1, visibility_s: None, wait_s: 0 }
    }
}

impl Receive {
    pub(super) fn check(self) -> Result<(), Error> {
        if !(1..=MAX_RECEIVE).contains(&self.max_messages) {
            return Err(Error::value(
                self.max_messages,
                "MaxNumberOfMessages",
                "Must be between 1 and 10, if provided.",
            ));
        }
        if self.wait_s > MAX_WAIT_S {
            return Err(Error::value(self.wait_s, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided."));
        }
        self.visibility_s.map_or(Ok(()), check_visibility)
    }
}

pub(super) fn check_visibility(seconds: u32) -> Result<(), Error> {
    if seconds > MAX_VISIBILITY_S {
        return Err(Error::value(seconds, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided."));
    }
    Ok(())
}
