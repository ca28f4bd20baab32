//! Answers: what is told, and in which of the error shapes.

use serde_json::{Value, json};

use super::Request;
use crate::batch::Dialect;
use crate::dialect::{content, memories, native};
use crate::limits::MAX_PROBLEMS;
use crate::operation::{Code, Problem};
use crate::rate::{Exceeded, Standing, WINDOW_MS};
use crate::store::Fault;
use crate::submit::{Refusal, Rejection};

/// An answer as text, for a function to hand back.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text.
    pub body: String,
}

/// An answer before its shape is chosen.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Told(Value),
    /// Nothing to tell.
    Nothing,
    Error {
        code: Code,
        message: String,
        details: Option<Value>,
        problems: Vec<Problem>,
    },
}

impl Reply {
    /// Tells `body`.
    pub fn told(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Told(body) }
    }

    /// Tells nothing but its status.
    pub fn nothing(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Nothing }
    }

    /// Tells an error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        let content = Content::Error { code, message: message.into(), details: None, problems: Vec::new() };
        Self { status: code.http_status(), headers: Vec::new(), content }
    }

    /// The code of an error.
    pub(super) fn code(&self) -> Option<Code> {
        match &self.content {
            Content::Error { code, .. } => Some(*code),
            Content::Told(_) | Content::Nothing => None,
        }
    }

    /// The problems of an error.
    pub(super) fn found(&self) -> &[Problem] {
        match &self.content {
            Content::Error { problems, .. } => problems,
            Content::Told(_) | Content::Nothing => &[],
        }
    }

    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The same error under another code.
    #[must_use]
    pub(super) fn recoded(mut self, other: Code) -> Self {
        if let Content::Error { code, .. } = &mut self.content {
            (*code, self.status) = (other, other.http_status());
        }
        self
    }

    /// With a header. A value that is no header text is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With details of the error.
    #[must_use]
    pub fn details(mut self, given: Value) -> Self {
        if let Content::Error { details, .. } = &mut self.content {
            *details = Some(given);
        }
        self
    }

    /// With the problems of the error, as many as are told.
    #[must_use]
    pub fn problems(mut self, mut given: Vec<Problem>) -> Self {
        given.truncate(MAX_PROBLEMS);
        if let Content::Error { problems, .. } = &mut self.content {
            *problems = given;
        }
        self
    }

    /// The answer in the shape that `request` accepts; an error in that of `contract` where it does not say.
    pub fn respond(self, request: &Request, contract: Dialect) -> Response {
        let as_problem = request.header("accept").is_some_and(|accept| accept.contains("application/problem+json"));
        let mut headers = self.headers;
        let (content_type, body) = match self.content {
            Content::Told(body) => ("application/json", body),
            Content::Nothing => {
                headers.push(("Cache-Control", "no-store".to_owned()));
                return Response { status: self.status, headers, body: String::new() };
            }
            Content::Error { code, message, details, problems } if as_problem => {
                let told: Vec<Value> = problems.iter().map(native::problem).collect();
                let body = json!({
                    "type": format!("urn:batch:error:{code}"),
                    "title": code.suggestion(),
                    "status": self.status,
                    "detail": message,
                    "instance": format!("urn:request:{}", request.request_id),
                    "code": code.as_str(),
                    "details": details.unwrap_or_else(|| json!({})),
                    "errors": told,
                    "requestId": request.request_id,
                });
                ("application/problem+json", body)
            }
            Content::Error { code, message, details, .. } if contract == Dialect::Memories => {
                ("application/json", memories::problem(code, &message, details.as_ref(), &request.request_id))
            }
            Content::Error { code, message, details, problems } => {
                let shape = if contract == Dialect::Content { content::error } else { native::error };
                ("application/json", shape(code, &message, details, &problems, &request.request_id))
            }
        };
        headers.push(("Content-Type", content_type.to_owned()));
        headers.push(("Cache-Control", "no-store".to_owned()));
        Response { status: self.status, headers, body: body.to_string() }
    }
}

impl From<Rejection> for Reply {
    fn from(rejection: Rejection) -> Self {
        let first = rejection.problems.iter().find_map(|problem| problem.operation.clone());
        let reply = Self::error(rejection.code, rejection.message).problems(rejection.problems);
        match first {
            Some((index, id)) => reply.details(json!({ "operation": index, "operationId": id.as_str() })),
            None => reply,
        }
    }
}

impl Reply {
    /// The answer for a submission that was not taken in.
    pub(super) fn refused(refusal: Refusal, request_id: &str) -> Self {
        match refusal {
            Refusal::Rejected(rejection) => rejection.into(),
            Refusal::Limited(exceeded) => Self::limited(&exceeded),
            Refusal::NotStarted(fault) => {
                tracing::error!(request.id = request_id, error = %fault, "batch not accepted");
                Self::error(Code::NotStarted, "the batch was not accepted and nothing ran; send it again in a moment")
                    .header("Retry-After", "2")
            }
            Refusal::Unknown(fault) => {
                tracing::error!(request.id = request_id, error = %fault, "outcome unknown");
                let message =
                    "the outcome is not known; send the same request with the same Idempotency-Key to learn it";
                Self::error(Code::OutcomeUnknown, message).header("Retry-After", "2")
            }
        }
    }

    fn limited(exceeded: &Exceeded) -> Self {
        let Exceeded { policy, retry_after_s, standing } = exceeded;
        let (name, quota, window_s) = (policy.name, policy.quota, WINDOW_MS / 1_000);
        let message = format!(
            "more than {quota} {name} in {window_s} s; this call ran nothing. Send it again after {retry_after_s} s with \
             the same Idempotency-Key, if it has one"
        );
        Self::error(Code::RateLimited, message)
            .details(json!({ "policy": name, "quota": quota, "windowSeconds": window_s, "retryAfterSeconds": retry_after_s }))
            .header("Retry-After", retry_after_s.to_string())
            .standing(Some(standing))
    }

    /// With the headers that tell where the caller stands.
    #[must_use]
    pub(super) fn standing(self, standing: Option<&Standing>) -> Self {
        match standing {
            Some(standing) => {
                self.header("RateLimit-Policy", standing.policies()).header("RateLimit", standing.levels())
            }
            None => self,
        }
    }

    /// The answer for a read that failed.
    pub(super) fn fault(fault: &Fault, request_id: &str) -> Self {
        tracing::error!(request.id = request_id, error = %fault, "read failed");
        Self::error(Code::Internal, "something went wrong on our side; send the request again")
            .header("Retry-After", "2")
    }
}
