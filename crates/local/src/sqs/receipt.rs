use base64::{Engine, engine::general_purpose::STANDARD};

use super::Error;

/// One receipt of one message: the handle says which receive it came from, so a stale one can be told from the last.
pub(super) struct Receipt {
    pub queue: String,
    pub message_id: String,
    pub receive_count: u32,
}

impl Receipt {
    /// The handle given to the client: base64 of `queue/message id/receive count`, opaque to it.
    pub fn handle(&self) -> String {
        STANDARD.encode(format!("{}/{}/{}", self.queue, self.message_id, self.receive_count))
    }

    /// Reads a handle that must come from `queue`.
    pub fn parse(handle: &str, queue: &str) -> Result<Self, Error> {
        Self::read(handle)
            .filter(|receipt| receipt.queue == queue)
            .ok_or_else(|| Error::ReceiptHandleIsInvalid(handle.to_owned()))
    }

    fn read(handle: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(handle).ok()?).ok()?;
        let mut parts = text.splitn(3, '/');
        Some(Self {
            queue: parts.next()?.to_owned(),
            message_id: parts.next()?.to_owned(),
            receive_count: parts.next()?.parse().ok()?,
        })
    }
}
