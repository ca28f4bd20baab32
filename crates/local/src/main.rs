//! The command line of the local service.

mod cli;

use std::process::ExitCode;

#[expect(clippy::disallowed_methods, reason = "a main reads the environment")]
fn main() -> ExitCode {
    let read = |name: &'static str| Some((name, std::env::var(name).ok().filter(|value| !value.is_empty())?));
    let stacks = read("STACKS_NODE_URL").map(|_| cli::STACKS.into_iter().filter_map(read).collect());
    let orby = read("ORBY_URL").map(|_| cli::ORBY.into_iter().filter_map(read).collect());
    let outside = cli::Outside { stacks, orby };
    let log_level = std::env::var("LOG_LEVEL").ok();
    cli::run(cli::Environment { api_key: std::env::var("BATCH_API_KEY").ok(), outside, log_level })
}
