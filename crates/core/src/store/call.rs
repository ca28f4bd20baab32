//! The one retry loop around `DynamoDB`.
//!
//! Three kinds of error matter. *Busy* (throttled, in progress): nothing happened, the same request may be sent again.
//! *Unknown* (timeout, reset, 5xx, unreadable): it may have happened; every request of ours is safe to send again, because each
//! write is conditional, create-only, or carries a token, and what a repeated condition failure means is told by
//! reading, not by guessing. *Refused*: an answer for the caller to handle.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};

use super::Store;

/// Something of ours went wrong: logged once with its cause, opaque to the client, redelivered on the queue.
#[derive(Debug)]
pub struct Fault {
    what: &'static str,
    cause: String,
    throttled: bool,
}

impl Fault {
    /// `what` was being done, and why it failed.
    pub fn new(what: &'static str, cause: impl Into<String>) -> Self {
        Self { what, cause: cause.into(), throttled: false }
    }

    fn of<E: ProvideErrorMetadata>(what: &'static str, error: &SdkError<E>) -> Self {
        Self { throttled: is_throttled(error), ..Self::new(what, describe(error)) }
    }

    /// Whether it came to this because the store asked to slow down.
    pub fn is_throttled(&self) -> bool {
        self.throttled
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for Fault {}

impl From<crate::batch::Corrupt> for Fault {
    fn from(corrupt: crate::batch::Corrupt) -> Self {
        Self::new("read stored bytes", corrupt.to_string())
    }
}

/// A part of a transaction, which lacks nothing.
pub(super) fn built<T>(part: Result<T, BuildError>) -> Result<T, Fault> {
    part.map_err(|error| Fault::new("build transaction", error.to_string()))
}

/// First wait of the backoff; it doubles up to [`MOST_WAIT_MS`], and a random part of it is slept ("full jitter").
const FIRST_WAIT_MS: u64 = 10;
const MOST_WAIT_MS: u64 = 1_000;

impl Store {
    /// Sends what `make` builds until it is answered or the time of this work is over. `Ok(Err(_))` is an answer that
    /// the caller handles: a failed condition, a cancelled transaction, an invalid request.
    pub(super) async fn call<T, E, Sent>(
        &self,
        what: &'static str,
        make: impl Fn() -> Sent,
    ) -> Result<Result<T, E>, Fault>
    where
        Sent: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + fmt::Debug,
    {
        let mut round = 0;
        loop {
            let error = match make().await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => error,
            };
            if let Some(answer) = self.answered(what, error, round).await? {
                return Ok(Err(answer));
            }
            round += 1;
        }
    }

    /// The same for a write that must not be sent once the time of this work is over: then `None`. It may have been sent
    /// before, so what became of it is told by reading.
    pub(super) async fn call_in_time<T, E, Sent>(
        &self,
        what: &'static str,
        make: impl Fn() -> Sent,
    ) -> Result<Option<Result<T, E>>, Fault>
    where
        Sent: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + fmt::Debug,
    {
        let mut round = 0;
        while self.now() < self.until {
            let error = match make().await {
                Ok(answer) => return Ok(Some(Ok(answer))),
                Err(error) => error,
            };
            if let Some(answer) = self.answered(what, error, round).await? {
                return Ok(Some(Err(answer)));
            }
            round += 1;
        }
        Ok(None)
    }

    /// The answer in `error`, if it is one for the caller; otherwise waits, for the same request to be sent again.
    async fn answered<E>(&self, what: &'static str, error: SdkError<E>, round: u32) -> Result<Option<E>, Fault>
    where
        E: ProvideErrorMetadata + fmt::Debug,
    {
        if !passes(&error) {
            return match error {
                SdkError::ServiceError(answer) => Ok(Some(answer.into_err())),
                other => Err(Fault::of(what, &other)),
            };
        }
        if self.pause(round).await { Ok(None) } else { Err(Fault::of(what, &error)) }
    }

    /// Sleeps the backoff of `round`; false when the time of this work is over.
    pub(crate) async fn pause(&self, round: u32) -> bool {
        let most = FIRST_WAIT_MS.checked_shl(round.min(16)).unwrap_or(MOST_WAIT_MS).min(MOST_WAIT_MS);
        let wait = self.entropy.below(most) + 1;
        if self.now().plus_ms(i64::try_from(wait).unwrap_or(i64::MAX)) >= self.until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        true
    }
}

/// Whether sending the same request again can help.
fn passes<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(answer) => {
            let code = answer.err().code();
            // Without a code it is no answer of DynamoDB's, or one that cannot be read: it may have happened.
            code.is_none()
                || answer.raw().status().as_u16() >= 500
                || is_throttled(error)
                || matches!(
                    code,
                    Some("TransactionInProgressException" | "TransactionConflictException" | "InternalServerError")
                )
        }
        _ => false,
    }
}

fn is_throttled<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let SdkError::ServiceError(answer) = error else { return false };
    matches!(
        answer.err().code(),
        Some("ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded")
    )
}

/// What is logged of an error of AWS: its kind. Its message is not, for that may repeat a value of the request, or, of a
/// signature that does not match, the request with its session token.
pub(crate) fn describe<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    match error {
        SdkError::ServiceError(answer) => refused(answer.err()),
        SdkError::TimeoutError(_) => "timed out".to_owned(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(cause) if cause.is_timeout() => "could not be sent: timed out".to_owned(),
            Some(cause) if cause.is_io() => "could not be sent: the connection failed".to_owned(),
            _ => "could not be sent".to_owned(),
        },
        SdkError::ResponseError(_) => "the answer could not be read".to_owned(),
        _ => "the request could not be built".to_owned(),
    }
}

/// The code of an answer nobody expected, and AWS's own id of the request, for the log.
pub(super) fn refused<E: ProvideErrorMetadata>(error: &E) -> String {
    let code = error.code().unwrap_or("no code");
    match error.meta().extra("aws_request_id") {
        Some(id) => format!("{code}, AWS request {id}"),
        None => code.to_owned(),
    }
}
