//! The commands. What a command is for goes to standard output, and nothing else does; logs and progress go to standard
//! error.
//!
//! - `args` the command lines
//! - `serve` the service, and its parts for functions that run elsewhere
//! - `credentials` tokens and API keys
//! - `client` the API over HTTP; `submit` sends a file with it, `load` many batches, `demo` runs a tour
//! - `output` text, tables and progress

mod args;
mod client;
mod credentials;
mod demo;
mod load;
mod output;
mod serve;
mod submit;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::args::{Cli, Command};

/// What a command takes from the environment.
pub(crate) struct Environment {
    /// `BATCH_API_KEY`: the credential of a client that is given none.
    pub(crate) api_key: Option<String>,
    /// What the service reaches outside of this machine.
    pub(crate) outside: Outside,
    /// `LOG_LEVEL`: the least severe log lines, or a filter.
    pub(crate) log_level: Option<String>,
}

/// What is used in the place of a sandbox.
#[derive(Default)]
pub(crate) struct Outside {
    /// Settings of a Stacks node, where `STACKS_NODE_URL` names one.
    pub(crate) stacks: Option<BTreeMap<&'static str, String>>,
    /// Settings of Orby, where `ORBY_URL` names one.
    pub(crate) orby: Option<BTreeMap<&'static str, String>>,
}

/// The settings that go with Orby.
pub(crate) const ORBY: [&str; 3] = ["ORBY_URL", "ORBY_API_KEY", "ORBY_STATUS_METHOD"];

/// The settings that go with a Stacks node.
pub(crate) const STACKS: [&str; 7] = [
    "STACKS_NODE_URL",
    "STACKS_EXTENDED_PATH",
    "STACKS_NETWORK",
    "STACKS_CONTRACT",
    "STACKS_SIGNERS",
    "STACKS_FEE",
    "STACKS_MAX_FEE",
];

/// How a command ended, when nothing kept it from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Success,
    /// It ran, and found that things are not as they should be; it has said so.
    Failure,
}

/// Runs the command line of this process: 0 for success, 1 for failure, 2 for a wrong command line.
pub(crate) fn run(environment: Environment) -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Serve(cli.serve));
    start_logs(environment.log_level.as_deref(), &command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&batch_local::Error::caused("the runtime does not start", &error)),
    };
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::serve(args, &environment.outside).await,
            Command::Demo(_) => demo::run().await,
            Command::Submit(args) => submit::run(args, environment.api_key).await,
            Command::Load(args) => load::run(args).await,
            Command::Token(args) => credentials::token(&args),
            Command::Key(args) => credentials::key(args).await,
            Command::Backend(args) => serve::backend(args, &environment.outside).await,
        }
    });
    match outcome {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Failure) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &batch_local::Error) -> ExitCode {
    output::complain(error);
    ExitCode::FAILURE
}

/// Log lines for people, on standard error. Where the output is the point, only what goes wrong is logged.
fn start_logs(level: Option<&str>, command: &Command) {
    let quiet = !matches!(command, Command::Serve(_) | Command::Backend(_));
    let level = level.and_then(|level| level.parse().ok());
    let level = level.unwrap_or(if quiet { LevelFilter::ERROR } else { LevelFilter::INFO });
    let ours = ["batch_core", "batch_local", "submit", "executor", "status", "gateway"].map(|target| (target, level));
    let filter = Targets::new().with_default(LevelFilter::ERROR).with_targets(ours);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
}
