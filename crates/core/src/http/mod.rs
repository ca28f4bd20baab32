//! HTTP: routes, headers and bodies. The only place that turns what happened into status codes.

mod body;
mod content;
mod intents;
mod memories;
mod prefer;
mod reads;
mod reply;
mod route;
mod writes;

pub use reply::{Reply, Response};
pub use route::{ROUTES, Route};

use http::HeaderMap;

use crate::app::App;
use crate::auth::{Caller, Credential, CredentialError, Refused};
use crate::batch::Dialect;
use crate::config::Function;
use crate::limits::{MAX_HEADER_BYTES, MAX_QUERY_BYTES};
use crate::operation::Code;

/// A request as a function hands it over.
#[derive(Debug)]
pub struct Request {
    /// The method's word.
    pub method: String,
    /// The path without the stage.
    pub path: String,
    /// What stands before the path outside: the stage, or nothing.
    pub base_path: String,
    /// Query parameters, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, no longer base64.
    pub body: Vec<u8>,
    /// Names the call in logs and error bodies.
    pub request_id: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a credential's header; two that differ are a conflict. One that is no text is kept as a text that
    /// is no credential, so that it is not taken for absent.
    fn one(&self, name: &str) -> Result<Option<&str>, CredentialError> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(CredentialError::Conflicting);
        }
        Ok(Some(first.to_str().unwrap_or("?")))
    }

    /// The last value of a query parameter.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Answers a call to `function`. Whatever the request holds, there is an answer.
pub async fn handle(app: &App, function: Function, request: &Request) -> Response {
    let begun = app.clock().now();
    let route = Route::find(&request.method, &request.path).filter(|route| route.function() == function);
    // Of the route, not of the request, whose path may hold anything.
    let (method, path) = route.as_ref().map_or(("-", "-"), Route::name);
    let contract = route.as_ref().map_or(Dialect::Records, Route::contract);
    let reply = if let Some(route) = route {
        Box::pin(dispatch(app, route, request)).await
    } else {
        let message = format!("there is no route {} {}", shorten(&request.method), shorten(&request.path));
        Reply::error(Code::RouteNotFound, message)
    };
    app.metrics().answered(begun, contract, reply.status(), reply.code(), reply.found());
    let response = reply.respond(request, contract);
    tracing::info!(
        request.id = %request.request_id,
        http.method = method,
        http.route = path,
        http.status = response.status,
        duration_ms = app.clock().now().since_ms(begun),
        "request answered"
    );
    response
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

async fn dispatch(app: &App, route: Route, request: &Request) -> Reply {
    match route {
        Route::Health => return reads::health(),
        Route::MemoryHealth => return memories::health(app),
        _ => {}
    }
    if let Some(reply) = too_long(request) {
        return reply;
    }
    let caller = match authenticate(app, request).await {
        Ok(caller) => caller,
        Err(reply) => return reply,
    };
    match route {
        Route::Submit => writes::submit(app, &caller, request).await,
        Route::Plan => writes::plan(app, &caller, request),
        Route::Batches => reads::batches(app, &caller, request).await,
        Route::Batch(id) => reads::batch(app, &caller, &id, request).await,
        Route::Results(id) => reads::results(app, &caller, &id, request).await,
        Route::FailureAnalysis(id) => reads::failure_analysis(app, &caller, &id, request).await,
        Route::Audit(id) => reads::audit(app, &caller, &id, request).await,
        Route::Act(act, id) => writes::act(app, &caller, &id, act, request).await,
        Route::Retry(id) => writes::retry(app, &caller, &id, request).await,
        Route::ContentJob(kind, _) => content::submit(app, &caller, kind, request).await,
        Route::ContentBatches(creator) => content::batches(app, &caller, creator, request).await,
        Route::ContentBatch(id) => content::batch(app, &caller, &id, request).await,
        Route::ContentRetry(id) => content::retry(app, &caller, &id, request).await,
        Route::IntentCreate(profile) => intents::create(app, &caller, &profile, request).await,
        Route::IntentExecute(id) => intents::execute(app, &caller, &id, request).await,
        Route::IntentStatus(id) => intents::status(app, &caller, &id, request).await,
        Route::IntentRetry(id) => intents::retry(app, &caller, &id, request).await,
        Route::IntentAnalysis(id) => intents::failure_analysis(app, &caller, &id, request).await,
        Route::Capabilities => reads::capabilities(app),
        Route::Health => reads::health(),
        Route::MemoryHealth => memories::health(app),
        Route::MemoryBatch => Box::pin(memories::submit(app, &caller, request)).await,
        Route::Memory(_, errand) => Box::pin(memories::run(app, &caller, errand, request)).await,
    }
}

/// The refusal of a request whose headers or query hold more than any of ours needs.
fn too_long(request: &Request) -> Option<Reply> {
    let headers: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let query: usize = request.query.iter().map(|(name, value)| name.len() + value.len()).sum();
    let refuse = |part: &str, most: usize| {
        let message = format!("the {part} of the request hold more than {most} bytes");
        Reply::error(Code::InvalidParameter, message).details(serde_json::json!({ "maxBytes": most }))
    };
    if headers > MAX_HEADER_BYTES {
        return Some(refuse("headers", MAX_HEADER_BYTES));
    }
    (query > MAX_QUERY_BYTES).then(|| refuse("query parameters", MAX_QUERY_BYTES))
}

async fn authenticate(app: &App, request: &Request) -> Result<Caller, Reply> {
    let unauthenticated =
        |message: &str| Reply::error(Code::Unauthenticated, message).header("WWW-Authenticate", "Bearer");
    let headers = request.one("authorization").and_then(|bearer| Ok((bearer, request.one("x-api-key")?)));
    let credential = headers.and_then(|(bearer, key)| Credential::from_headers(bearer, key));
    let credential = credential.map_err(|error| match error {
        CredentialError::Missing => {
            unauthenticated("send a credential: Authorization: Bearer <token or API key>, or X-API-Key: <API key>")
        }
        CredentialError::Conflicting => {
            Reply::error(Code::ConflictingCredentials, "the headers hold different credentials; send one of them")
        }
        CredentialError::Malformed => {
            unauthenticated("the credential is not well formed: send Authorization: Bearer <token or API key>")
        }
    })?;
    let Some(authenticator) = app.authenticator() else {
        return Err(Reply::error(Code::NotStarted, "credentials cannot be checked now; nothing was run"));
    };
    let now = app.clock().now();
    let store = app.store().until(now.plus_ms(5_000));
    authenticator.authenticate(&store, &credential, now).await.map_err(|refused| match refused {
        Refused::InvalidCredential(reason) => {
            tracing::info!(request.id = %request.request_id, reason, "credential refused");
            unauthenticated("the credential is not valid: it is unknown, expired, or not made for this service")
        }
        Refused::Unavailable(reason) => {
            tracing::error!(request.id = %request.request_id, reason, "credential not checked");
            Reply::error(Code::NotStarted, "credentials cannot be checked now; nothing was run")
                .header("Retry-After", "2")
        }
    })
}
