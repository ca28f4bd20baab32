//! The command line of the local service.

mod cli;

use std::process::ExitCode;

#[expect(clippy::disallowed_methods, reason = "a main reads the environment")]
fn main() -> ExitCode {
    let environment =
        cli::Environment { api_key: std::env::var("BATCH_API_KEY").ok(), log_level: std::env::var("LOG_LEVEL").ok() };
    cli::run(environment)
}
