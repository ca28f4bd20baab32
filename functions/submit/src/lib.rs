//! The submit function: takes batches in.

use batch_core::app::App;
use batch_core::config::Function;
use lambda_http::{Body, Request, Response};

/// Answers one call of the gateway.
pub async fn handle(app: &App, request: Request) -> Response<Body> {
    gateway::answer(app, Function::Submit, request).await
}
