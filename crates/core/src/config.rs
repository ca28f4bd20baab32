//! The settings of a function, read from its environment once, by `main` alone.

use std::fmt;

use tracing::Level;

use crate::auth::Redacted;
use crate::gateway::{orby, stacks};
use crate::limits::{CONTENT_CONCURRENCY, MOST_CONTENT_CONCURRENCY};
use crate::metrics::NAMESPACE;
use crate::rate::{MOST_BATCHES, MOST_OPERATIONS, OPERATIONS_PER_BATCH, Quotas, Rates};

/// Names of the tables.
#[derive(Debug, Clone)]
pub struct Tables {
    /// Batches, their states, operations and results.
    pub batches: String,
    /// Entity rows.
    pub records: String,
    /// Search rows of memories.
    pub search: String,
    /// Integer keys and API keys.
    pub control: String,
}

/// Who issues the tokens that callers bring.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The `iss` claim a token must have.
    pub issuer: String,
    /// The `aud` claim a token must have.
    pub audience: String,
    /// Where the issuer's keys are.
    pub jwks_url: String,
}

/// How AWS is reached.
#[derive(Debug, Clone)]
pub struct Aws {
    /// The region.
    pub region: String,
    /// The function's credentials; Lambda keeps them good for as long as the process lives.
    pub access_key_id: String,
    /// The secret of the credentials.
    pub secret_access_key: Redacted<String>,
    /// The session of the credentials, where they are temporary.
    pub session_token: Option<Redacted<String>>,
    /// Another endpoint for `DynamoDB`, on a laptop.
    pub dynamodb_url: Option<String>,
    /// Another endpoint for SQS, on a laptop.
    pub sqs_url: Option<String>,
}

/// A setting that is missing or wrong; it stops the start by name.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting {} {}", self.name, self.reason)
    }
}

impl std::error::Error for SettingError {}

/// A look-up in the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

fn required(env: Env<'_>, name: &'static str) -> Result<String, SettingError> {
    env(name).filter(|value| !value.is_empty()).ok_or(SettingError { name, reason: "is not set" })
}

/// The settings of a function.
#[derive(Debug, Clone)]
pub struct Config {
    /// How AWS is reached.
    pub aws: Aws,
    /// The tables.
    pub tables: Tables,
    /// The batch queue, for functions that send to it.
    pub queue_url: Option<String>,
    /// The issuer, for functions that take calls.
    pub issuer: Option<Issuer>,
    /// The secret of page cursors, for functions that take calls.
    pub cursor_key: Option<Redacted<String>>,
    /// How much a caller may send.
    pub rates: Rates,
    /// Where content is registered, in functions that tell its contract; `None` where there is no such place.
    pub stacks: Option<stacks::Settings>,
    /// How intents are built and sent; `None` where they are not.
    pub orby: Option<orby::Settings>,
    /// Contract calls of one batch that are under way at the same time.
    pub content_concurrency: usize,
    /// Where the metrics of this deployment are, apart from those of others in its account.
    pub metrics_namespace: String,
    /// The least level logged.
    pub log_level: Level,
}

/// A function, by the settings it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Takes POST calls.
    Submit,
    /// Takes queue messages.
    Executor,
    /// Takes GET calls.
    Status,
}

impl Function {
    /// The settings it does not start without. AWS sets its own (`AWS_*`).
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Submit => &[
                "BATCHES_TABLE",
                "RECORDS_TABLE",
                "SEARCH_TABLE",
                "CONTROL_TABLE",
                "QUEUE_URL",
                "JWT_ISSUER",
                "JWT_AUDIENCE",
                "JWKS_URL",
                "CURSOR_KEY",
            ],
            Self::Executor => &["BATCHES_TABLE", "RECORDS_TABLE", "SEARCH_TABLE", "CONTROL_TABLE", "QUEUE_URL"],
            Self::Status => &[
                "BATCHES_TABLE",
                "RECORDS_TABLE",
                "SEARCH_TABLE",
                "CONTROL_TABLE",
                "JWT_ISSUER",
                "JWT_AUDIENCE",
                "JWKS_URL",
                "CURSOR_KEY",
            ],
        }
    }
}

impl Function {
    /// The settings it can do without.
    pub fn optional_settings(self) -> &'static [&'static str] {
        match self {
            Self::Submit | Self::Status => &[
                "BATCHES_PER_MINUTE",
                "OPERATIONS_PER_MINUTE",
                "ORBY_URL",
                "ORBY_API_KEY",
                "ORBY_STATUS_METHOD",
                "METRICS_NAMESPACE",
                "LOG_LEVEL",
            ],
            Self::Executor => &[
                "STACKS_NODE_URL",
                "STACKS_EXTENDED_PATH",
                "STACKS_NETWORK",
                "STACKS_CONTRACT",
                "STACKS_SIGNERS",
                "STACKS_FEE",
                "STACKS_MAX_FEE",
                "CONTENT_CONCURRENCY",
                "ORBY_URL",
                "ORBY_API_KEY",
                "ORBY_STATUS_METHOD",
                "METRICS_NAMESPACE",
                "LOG_LEVEL",
            ],
        }
    }
}

/// A whole number from `least` to `most`; `None` where it is not set.
fn number(env: Env<'_>, name: &'static str, (least, most): (u32, u32)) -> Result<Option<u32>, SettingError> {
    let Some(text) = env(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.map(Some).ok_or(SettingError { name, reason: "is not a whole number in its bounds" })
}

/// The quotas: where none is set for operations, room for full batches.
fn rates(env: Env<'_>) -> Result<Rates, SettingError> {
    let default = Rates::default().records;
    let batches = number(env, "BATCHES_PER_MINUTE", (1, MOST_BATCHES))?.unwrap_or(default.batches);
    let least = batches * OPERATIONS_PER_BATCH;
    let operations = number(env, "OPERATIONS_PER_MINUTE", (least, MOST_OPERATIONS))?.unwrap_or(least);
    Ok(Rates { records: Quotas { batches, operations }, ..Rates::default() })
}

/// The chain: none without a node, and then the others mean nothing.
fn stacks(env: Env<'_>) -> Result<Option<stacks::Settings>, SettingError> {
    let optional = |name: &str| env(name).filter(|value| !value.is_empty());
    let word = optional("STACKS_NETWORK").unwrap_or_else(|| stacks::Network::Mainnet.as_str().to_owned());
    let network = stacks::Network::parse(&word);
    let network = network.ok_or(SettingError { name: "STACKS_NETWORK", reason: "is neither mainnet nor testnet" })?;
    let fee = number(env, "STACKS_FEE", (1, MOST_FEE))?.unwrap_or(DEFAULT_FEE);
    let most_fee = number(env, "STACKS_MAX_FEE", (fee, MOST_FEE))?.unwrap_or(fee.max(DEFAULT_MOST_FEE));
    let (signers, contract) = (optional("STACKS_SIGNERS").unwrap_or_default(), optional("STACKS_CONTRACT"));
    let extended_path = optional("STACKS_EXTENDED_PATH").unwrap_or_else(|| "/extended/v1".to_owned());
    let Some(node_url) = optional("STACKS_NODE_URL") else { return Ok(None) };
    Ok(Some(stacks::Settings {
        node_url,
        extended_path,
        network,
        contract: contract
            .ok_or(SettingError { name: "STACKS_CONTRACT", reason: "is not set, but STACKS_NODE_URL is" })?,
        signers: Redacted::new(signers),
        fee: u64::from(fee),
        most_fee: u64::from(most_fee),
    }))
}

/// Orby: none without a URL, and then the others mean nothing.
fn orby(env: Env<'_>) -> Result<Option<orby::Settings>, SettingError> {
    let optional = |name: &str| env(name).filter(|value| !value.is_empty());
    let Some(url) = optional("ORBY_URL") else { return Ok(None) };
    let key = optional("ORBY_API_KEY");
    let key = key.ok_or(SettingError { name: "ORBY_API_KEY", reason: "is not set, but ORBY_URL is" })?;
    Ok(Some(orby::Settings { url, key: Redacted::new(key), status_method: optional("ORBY_STATUS_METHOD") }))
}

/// What is offered where the node has no estimate, millionths of an STX: ten times the least for such a call.
const DEFAULT_FEE: u32 = 2_500;
/// What is never exceeded where the setting does not say otherwise: half an STX.
const DEFAULT_MOST_FEE: u32 = 500_000;
/// The most that a setting may say: a thousand STX.
const MOST_FEE: u32 = 1_000_000_000;

fn concurrency(env: Env<'_>) -> Result<usize, SettingError> {
    let most = u32::try_from(MOST_CONTENT_CONCURRENCY).unwrap_or(u32::MAX);
    let given = number(env, "CONTENT_CONCURRENCY", (1, most))?;
    Ok(given.and_then(|given| usize::try_from(given).ok()).unwrap_or(CONTENT_CONCURRENCY))
}

/// A name that `CloudWatch` takes for a namespace, and does not keep for AWS's own.
fn namespace(env: Env<'_>) -> Result<String, SettingError> {
    let name = env("METRICS_NAMESPACE").filter(|name| !name.is_empty()).unwrap_or_else(|| NAMESPACE.to_owned());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '#');
    if name.len() > 255 || !name.chars().all(allowed) || name.starts_with("AWS/") {
        return Err(SettingError { name: "METRICS_NAMESPACE", reason: "is no name of a namespace" });
    }
    Ok(name)
}

fn log_level(env: Env<'_>) -> Result<Level, SettingError> {
    match env("LOG_LEVEL").filter(|level| !level.is_empty()).as_deref() {
        None | Some("info") => Ok(Level::INFO),
        Some("error") => Ok(Level::ERROR),
        Some("warn") => Ok(Level::WARN),
        Some("debug") => Ok(Level::DEBUG),
        Some("trace") => Ok(Level::TRACE),
        // Not a filter: one could have the SDK log what it sends.
        Some(_) => Err(SettingError { name: "LOG_LEVEL", reason: "is none of error, warn, info, debug, trace" }),
    }
}

impl Config {
    /// Reads the settings `function` needs.
    pub fn read(function: Function, env: Env<'_>) -> Result<Self, SettingError> {
        let needs = |name: &str| function.settings().contains(&name);
        let optional = |name: &str| env(name).filter(|value| !value.is_empty());
        let issuer = Issuer {
            issuer: optional("JWT_ISSUER").unwrap_or_default(),
            audience: optional("JWT_AUDIENCE").unwrap_or_default(),
            jwks_url: optional("JWKS_URL").unwrap_or_default(),
        };
        for name in function.settings() {
            required(env, name)?;
        }
        Ok(Self {
            aws: Aws {
                region: required(env, "AWS_REGION")?,
                access_key_id: required(env, "AWS_ACCESS_KEY_ID")?,
                secret_access_key: Redacted::new(required(env, "AWS_SECRET_ACCESS_KEY")?),
                session_token: optional("AWS_SESSION_TOKEN").map(Redacted::new),
                dynamodb_url: optional("AWS_ENDPOINT_URL_DYNAMODB"),
                sqs_url: optional("AWS_ENDPOINT_URL_SQS"),
            },
            tables: Tables {
                batches: required(env, "BATCHES_TABLE")?,
                records: required(env, "RECORDS_TABLE")?,
                search: required(env, "SEARCH_TABLE")?,
                control: required(env, "CONTROL_TABLE")?,
            },
            queue_url: optional("QUEUE_URL").filter(|_| needs("QUEUE_URL")),
            issuer: needs("JWT_ISSUER").then_some(issuer),
            cursor_key: optional("CURSOR_KEY").filter(|_| needs("CURSOR_KEY")).map(Redacted::new),
            rates: if function == Function::Executor { Rates::default() } else { rates(env)? },
            stacks: if function == Function::Executor { stacks(env)? } else { None },
            orby: orby(env)?,
            content_concurrency: if function == Function::Executor { concurrency(env)? } else { CONTENT_CONCURRENCY },
            metrics_namespace: namespace(env)?,
            log_level: log_level(env)?,
        })
    }
}
