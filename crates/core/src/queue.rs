//! The messages between the functions: a version and ids, never content.

use std::sync::{Arc, OnceLock};

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use aws_sdk_sqs::{Client, Config};
use serde::{Deserialize, Serialize};

use crate::auth::Tenant;
use crate::batch::BatchId;
use crate::json::sha256_hex;
use crate::runtime::{Clock, Timestamp};
use crate::store::{Fault, describe};
use crate::trace;

/// Version of the message format; a reader refuses one it does not know.
pub const VERSION: u32 = 1;

/// A piece of work for the executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// [`VERSION`].
    pub v: u32,
    /// What to do.
    pub kind: Kind,
    /// Whose batch.
    pub tenant: Tenant,
    /// Which batch.
    pub batch_id: BatchId,
}

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Run the batch on from where it stands.
    Execute,
}

impl Message {
    /// Run this batch.
    pub fn execute(tenant: &Tenant, batch_id: &BatchId) -> Self {
        Self { v: VERSION, kind: Kind::Execute, tenant: tenant.clone(), batch_id: batch_id.clone() }
    }
}

/// The batch queue.
#[derive(Debug, Clone)]
pub struct Queue {
    config: Config,
    /// Made when it is first needed: most calls send nothing, and to make it is a tenth of a start.
    client: Arc<OnceLock<Client>>,
    url: String,
    clock: Clock,
}

/// First delay of a message that could not be worked on, in seconds; it doubles with each delivery.
const FIRST_DELAY_S: i32 = 5;
/// Longest such delay.
const MOST_DELAY_S: i32 = 60;

/// Longest delay of a new message that SQS takes, in seconds.
const MOST_AWAY_S: i64 = 900;

/// Attempts at one message; the SDK's own retries are off.
const ATTEMPTS: u32 = 5;

impl Queue {
    /// Sends to the queue at `url`.
    pub fn new(config: Config, url: String, clock: Clock) -> Self {
        Self { config, client: Arc::default(), url, clock }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::from_conf(self.config.clone()))
    }

    /// Has a message that could not be worked on delivered again soon, rather than at the end of its visibility; later
    /// each time. A failure costs only that: the message comes all the same.
    pub async fn deliver_again(&self, receipt: &str, deliveries: u32) {
        let doublings = deliveries.saturating_sub(1).min(4);
        let delay = (FIRST_DELAY_S << doublings).min(MOST_DELAY_S);
        let change = self.client().change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        if change.visibility_timeout(delay).send().await.is_err() {
            tracing::warn!("a message keeps its full visibility");
        }
    }

    /// Sends `message`, trying again until `until`. A repeated one is harmless: execution is guarded. It is delivered
    /// after `delay_s` seconds, at most [`MOST_AWAY_S`].
    ///
    /// The group makes the queue fair between tenants; it is a hash, so that no tenant's name shows in metrics. The trace
    /// of the work at hand goes along, beside the body, where AWS's own tracing looks for it.
    pub async fn send(&self, message: &Message, delay_s: i64, until: Timestamp) -> Result<(), Fault> {
        let body = serde_json::to_string(message).map_err(|error| Fault::new("send message", error.to_string()))?;
        let group = sha256_hex(message.tenant.as_str().as_bytes())[..32].to_owned();
        let delay = i32::try_from(delay_s.clamp(0, MOST_AWAY_S)).ok().filter(|delay| *delay > 0);
        let request = self.client().send_message().queue_url(&self.url).message_body(body).message_group_id(group);
        let mut request = request.set_delay_seconds(delay);
        if let Some(trace) = trace::current() {
            let header = MessageSystemAttributeValue::builder().data_type("String").string_value(trace.to_string());
            let header = header.build().map_err(|error| Fault::new("send message", error.to_string()))?;
            request = request.message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, header);
        }
        let mut attempt = 1;
        loop {
            match request.clone().send().await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let wait = std::time::Duration::from_millis(50 << attempt);
                    let over = self.clock.now().plus_ms(i64::try_from(wait.as_millis()).unwrap_or(0)) >= until;
                    if attempt >= ATTEMPTS || over {
                        return Err(Fault::new("send message", describe(&error)));
                    }
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
            }
        }
    }
}
