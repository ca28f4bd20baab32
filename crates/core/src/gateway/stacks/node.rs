//! The HTTP interface of a node. Each call ends in a typed result; no text of the node's own goes any further.

use std::fmt;

use serde_json::{Value, json};

use super::address::Address;
use super::reason::Reason;
use super::signer::Signed;
use super::transaction::{Payload, Transaction};
use super::transport::{Call, Transport};
use crate::gateway::{Answer, Lost};
use crate::runtime::hex;

/// A node.
pub struct Node {
    transport: Transport,
    /// Where the extended interface is: it moves between versions.
    extended: String,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

/// What a node made of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broadcast {
    /// It waits in the pool now, or did before.
    Taken,
    /// It was not taken, and never will be as it is.
    Refused(Reason),
    /// It was not taken now; the same bytes may be taken later.
    Later(Reason),
    /// Nobody knows.
    Unknown(Lost),
}

/// An account as the last block left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// How many of its transactions are in blocks.
    pub nonce: u64,
    /// Millionths of an STX.
    pub balance: u128,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The node does not know it.
    Missing,
    /// It waits.
    Pending,
    /// It is in a block, and did what it should.
    Success,
    /// It is in a block, and the contract refused.
    AbortByResponse,
    /// It is in a block, and would have moved what it did not promise.
    AbortByPostCondition,
    /// The pool has lost it: it will not be in a block unless it is sent again.
    Dropped,
    /// It will not be in a block: another transaction of its nonce is.
    Replaced,
}

impl Progress {
    /// Those of which more may become.
    pub const OPEN: [Self; 3] = [Self::Missing, Self::Pending, Self::Dropped];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Pending => "pending",
            Self::Success => "success",
            Self::AbortByResponse => "abort_by_response",
            Self::AbortByPostCondition => "abort_by_post_condition",
            Self::Dropped => "dropped",
            Self::Replaced => "replaced",
        }
    }

    /// `None` for a word that is none of them.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Self::Missing,
            Self::Pending,
            Self::Success,
            Self::AbortByResponse,
            Self::AbortByPostCondition,
            Self::Dropped,
            Self::Replaced,
        ];
        all.into_iter().find(|progress| progress.as_str() == word)
    }

    /// Whether nothing more will become of it. What was dropped can be sent again.
    pub fn is_final(self) -> bool {
        !Self::OPEN.contains(&self)
    }
}

/// A look-up that came to nothing; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// No answer came.
    Lost(Lost),
    /// An answer of this status, or one that made no sense.
    Status(u16),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(Lost::NotSent) => f.write_str("the node cannot be reached"),
            Self::Lost(Lost::TimedOut) => f.write_str("the node did not answer in time"),
            Self::Lost(Lost::Broken) => f.write_str("the connection to the node broke"),
            Self::Status(status) => write!(f, "the node answered {status} in a way that is not known"),
        }
    }
}

impl Node {
    /// A node behind `transport`; `extended` is the path before `/tx/...` of its extended interface.
    pub fn new(transport: Transport, extended: &str) -> Self {
        Self { transport, extended: extended.trim_end_matches('/').to_owned() }
    }

    async fn get(&self, path: String) -> Result<Answer, Unanswered> {
        (self.transport)(Call { body: None, path }).await.map_err(Unanswered::Lost)
    }

    async fn post(&self, path: &str, body: (&'static str, Vec<u8>)) -> Result<Answer, Lost> {
        (self.transport)(Call { body: Some(body), path: path.to_owned() }).await
    }

    /// `POST /v2/transactions`. The same bytes sent again are taken again while they wait; once they are in a block the
    /// node says `BadNonce`, so only [`Node::progress`] tells a used nonce from a success.
    pub async fn broadcast(&self, signed: &Signed) -> Broadcast {
        let answer = self.post("/v2/transactions", ("application/octet-stream", signed.bytes.clone())).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(Lost::NotSent) => return Broadcast::Later(Reason::ServerFailure),
            Err(lost) => return Broadcast::Unknown(lost),
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.status {
            200 if body.as_str().is_some_and(|id| id.trim_start_matches("0x").eq_ignore_ascii_case(&signed.txid)) => {
                Broadcast::Taken
            }
            // Taken, but not what was sent: nothing is known.
            200 => Broadcast::Unknown(Lost::Broken),
            400 => refusal(body["reason"].as_str().map_or(Reason::Other, Reason::parse)),
            429 | 503 => Broadcast::Later(Reason::ServerFailure),
            500..=599 => Broadcast::Unknown(Lost::Broken),
            _ => Broadcast::Refused(Reason::Other),
        }
    }

    /// `POST /v2/fees/transaction`: the middle one of the node's estimates, in millionths of an STX; `None` where it has
    /// none.
    pub async fn fee(&self, payload: &Payload) -> Result<Option<u64>, Unanswered> {
        let body = json!({
            "transaction_payload": hex(&payload.encode()),
            "estimated_len": Transaction::len_with(payload),
        });
        let body = ("application/json", body.to_string().into_bytes());
        let answer = self.post("/v2/fees/transaction", body).await.map_err(Unanswered::Lost)?;
        match answer.status {
            200 => {
                let body: Value = serde_json::from_slice(&answer.body).map_err(|_| Unanswered::Status(200))?;
                let middle = &body["estimations"][1]["fee"];
                middle.as_u64().map(Some).ok_or(Unanswered::Status(200))
            }
            400 | 404 => Ok(None),
            status => Err(Unanswered::Status(status)),
        }
    }

    /// `GET /v2/accounts/{principal}`. What waits in the pool is not counted.
    pub async fn account(&self, address: Address) -> Result<Account, Unanswered> {
        let answer = self.get(format!("/v2/accounts/{address}?proof=0")).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let balance =
            body["balance"].as_str().and_then(|hex| u128::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
        match (answer.status, body["nonce"].as_u64(), balance) {
            (200, Some(nonce), Some(balance)) => Ok(Account { nonce, balance }),
            (status, ..) => Err(Unanswered::Status(status)),
        }
    }

    /// `GET /extended/v1/tx/0x{txid}`.
    pub async fn progress(&self, txid: &str) -> Result<Progress, Unanswered> {
        let answer = self.get(format!("{}/tx/0x{txid}", self.extended)).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (answer.status, body["tx_status"].as_str()) {
            (404, _) => Ok(Progress::Missing),
            (200, Some("success")) => Ok(Progress::Success),
            (200, Some("pending")) => Ok(Progress::Pending),
            (200, Some("abort_by_response")) => Ok(Progress::AbortByResponse),
            (200, Some("abort_by_post_condition")) => Ok(Progress::AbortByPostCondition),
            (200, Some("dropped_replace_by_fee" | "dropped_replace_across_fork")) => Ok(Progress::Replaced),
            (200, Some(word)) if word.starts_with("dropped_") || word == "problematic_skipped" => Ok(Progress::Dropped),
            (status, _) => Err(Unanswered::Status(status)),
        }
    }
}

/// Which refusals pass by themselves.
fn refusal(reason: Reason) -> Broadcast {
    match reason {
        Reason::TooMuchChaining | Reason::ServerFailure | Reason::EstimatorError | Reason::TemporarilyBlacklisted => {
            Broadcast::Later(reason)
        }
        _ => Broadcast::Refused(reason),
    }
}
