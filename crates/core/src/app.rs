//! How a process is put together: once, at its start, from its settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::shared::IntoShared;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::auth::{Authenticator, Fetch, Jwks, Settings, Verifier};
use crate::config::{Aws, Config};
use crate::gateway::orby::{self, Orby};
use crate::gateway::stacks::{Chain, Transport};
use crate::intent::Tokens;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::queue::Queue;
use crate::rate::Limiter;
use crate::runtime::{Clock, Entropy};
use crate::store::{CursorKey, Store};

/// Everything a function needs, shared by all its calls.
#[derive(Debug, Clone)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    queue: Option<Queue>,
    model: Arc<Model>,
    limits: Limits,
    clock: Clock,
    entropy: Entropy,
    authenticator: Option<Authenticator>,
    cursor_key: Option<CursorKey>,
    limiter: Limiter,
    metrics: Metrics,
    chain: Option<Chain>,
    orby: Option<Orby>,
    tokens: Tokens,
    content_concurrency: usize,
}

/// What a test may put in the place of the real thing.
pub struct Parts {
    /// How AWS is called; `None` for the shared client with pinned roots.
    pub http: Option<SharedHttpClient>,
    /// How the node of the chain is called; `None` for HTTP.
    pub stacks: Option<Transport>,
    /// How Orby is called; `None` for HTTP.
    pub orby: Option<orby::Transport>,
    /// How the issuer's keys are fetched; `None` for HTTPS.
    pub jwks: Option<Fetch>,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub entropy: Entropy,
    /// What bounds a commit.
    pub limits: Limits,
    /// Where metrics go.
    pub metrics: Metrics,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            http: None,
            stacks: None,
            orby: None,
            jwks: None,
            clock: Clock::system(),
            entropy: Entropy::system(),
            limits: Limits::default(),
            metrics: Metrics::none(),
        }
    }
}

/// Why a process does not start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// One attempt at a call: longer than any healthy one, short enough for several in a call of ours.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait for the first connection; the first call waits on if it must.
const WARM_UP_MS: i64 = 2_000;

impl App {
    /// Puts a function together, with the model that is compiled in and the connection to `DynamoDB` open: on Lambda, TLS
    /// is most of a first call. The model is read by another thread meanwhile.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let model = tokio::task::spawn_blocking(Model::shipped);
        let metrics = Metrics::system(&config.metrics_namespace);
        let parts = Parts { metrics, ..Parts::default() };
        let (http, store) = reach(&config, &parts)?;
        // By itself on the heap: it is large, and within this future would be moved with it, page by page.
        Box::pin(warm_up(&store, &parts.clock)).await;
        let model = model.await.map_err(|error| StartError(format!("the model is not read: {error}")))?;
        let model = model.map_err(|errors| StartError(errors.to_string()))?;
        Self::with(config, model.into(), parts, (http, store))
    }

    /// Puts a process together of these parts.
    pub fn assemble(config: Config, model: impl Into<Arc<Model>>, parts: Parts) -> Result<Self, StartError> {
        let reached = reach(&config, &parts)?;
        Self::with(config, model.into(), parts, reached)
    }

    fn with(
        config: Config,
        model: Arc<Model>,
        parts: Parts,
        (http, store): (SharedHttpClient, Store),
    ) -> Result<Self, StartError> {
        let queue = config.queue_url.map(|url| Queue::new(sqs_config(&config.aws, http), url, parts.clock.clone()));
        let authenticator = config.issuer.map(|issuer| {
            let jwks = match parts.jwks {
                Some(fetch) => Jwks::from_fetch(fetch),
                None => {
                    Jwks::new(&issuer.jwks_url).map_err(|error| StartError(format!("setting JWKS_URL: {error}")))?
                }
            };
            let verifier = Verifier::new(Settings::new(issuer.issuer, issuer.audience), jwks);
            Ok::<_, StartError>(Authenticator::new(verifier))
        });
        let cursor_key = config.cursor_key.map(|secret| {
            CursorKey::new(secret.expose())
                .ok_or_else(|| StartError("setting CURSOR_KEY is shorter than 32 characters".into()))
        });
        let chain = config.stacks.map(|settings| {
            let chain = Chain::new(&settings, parts.stacks);
            chain.map_err(|bad| StartError(format!("setting {} {}", bad.name, bad.reason)))
        });
        let orby = config.orby.map(|settings| reach_orby(&settings, parts.orby)).transpose()?;
        // Without Orby there are no intents to name them, and a start is sooner.
        let tokens = if orby.is_some() { Tokens::shipped() } else { Ok(Tokens::default()) };
        let tokens = tokens.map_err(|error| StartError(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            store,
            queue,
            model,
            limits: parts.limits,
            clock: parts.clock,
            entropy: parts.entropy,
            authenticator: authenticator.transpose()?,
            cursor_key: cursor_key.transpose()?,
            limiter: Limiter::new(config.rates),
            metrics: parts.metrics,
            chain: chain.transpose()?,
            orby,
            tokens,
            content_concurrency: config.content_concurrency,
        })))
    }

    /// Opens the connection to `DynamoDB` before the first call needs it.
    pub async fn warm_up(&self) {
        warm_up(&self.0.store, &self.0.clock).await;
    }

    /// The tables.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The queue, in functions that send to it.
    pub fn queue(&self) -> Option<&Queue> {
        self.0.queue.as_ref()
    }

    /// The entities.
    pub fn model(&self) -> &Model {
        &self.0.model
    }

    /// What bounds a commit.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Chance.
    pub fn entropy(&self) -> &Entropy {
        &self.0.entropy
    }

    /// Who checks credentials, in functions that take calls.
    pub fn authenticator(&self) -> Option<&Authenticator> {
        self.0.authenticator.as_ref()
    }

    /// The quotas of callers.
    pub fn limiter(&self) -> &Limiter {
        &self.0.limiter
    }

    /// Where metrics go.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Where content is registered, in functions that tell its contract.
    pub fn chain(&self) -> Option<&Chain> {
        self.0.chain.as_ref()
    }

    /// Where intents are built and sent, in a deployment that does so.
    pub fn orby(&self) -> Option<&Orby> {
        self.0.orby.as_ref()
    }

    /// The chains and tokens that intents may name: none in a deployment without Orby.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Contract calls of one batch that are under way at the same time.
    pub fn content_concurrency(&self) -> usize {
        self.0.content_concurrency
    }

    /// The secret of page cursors, in functions that take calls.
    pub fn cursor_key(&self) -> Option<&CursorKey> {
        self.0.cursor_key.as_ref()
    }
}

/// The roots that AWS's endpoints chain to (<https://www.amazontrust.com/repository/>). Five roots load in a fraction of
/// the time the system's whole store takes, which would be most of a cold start.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// What AWS is called through, and the tables.
fn reach(config: &Config, parts: &Parts) -> Result<(SharedHttpClient, Store), StartError> {
    let http = match &parts.http {
        Some(http) => http.clone(),
        None => pinned_client()?,
    };
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb_config(&config.aws, http.clone()));
    let (clock, entropy) = (parts.clock.clone(), parts.entropy.clone());
    Ok((http, Store::new(dynamodb, config.tables.clone(), parts.limits, clock, entropy)))
}

async fn warm_up(store: &Store, clock: &Clock) {
    if let Err(fault) = store.until(clock.now().plus_ms(WARM_UP_MS)).touch().await {
        tracing::warn!(error = %fault, "the store did not answer during the start");
    }
}

/// One client for every AWS service, so that there is one TLS stack and one pool of connections.
fn pinned_client() -> Result<SharedHttpClient, StartError> {
    let trust = TrustStore::empty().with_native_roots(false).with_pem_certificate(AMAZON_ROOTS);
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let tls = tls.map_err(|error| StartError(format!("the pinned certificates cannot be used: {error}")))?;
    let client =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls);
    Ok(Pinned(client.build_https()).into_shared())
}

/// The client, without its own check of a client's settings: that makes a connector, certificates and all, and drops it.
#[derive(Debug)]
struct Pinned(SharedHttpClient);

impl HttpClient for Pinned {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

fn reach_orby(settings: &orby::Settings, given: Option<orby::Transport>) -> Result<Orby, StartError> {
    let transport = given.unwrap_or_else(orby::over_http);
    let unsafe_url = || StartError("setting ORBY_URL is neither https nor on a loopback host".into());
    Orby::new(transport, settings).ok_or_else(unsafe_url)
}

fn credentials(aws: &Aws) -> Credentials {
    let session = aws.session_token.as_ref().map(|token| token.expose().clone());
    Credentials::from_keys(&aws.access_key_id, aws.secret_access_key.expose(), session)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build()
}

fn dynamodb_config(aws: &Aws, http: SharedHttpClient) -> aws_sdk_dynamodb::Config {
    let mut builder = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new(aws.region.clone()))
        .credentials_provider(credentials(aws))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        // Never asked: every transaction carries a token of our own, which a crash does not change.
        .idempotency_token_provider("never-used")
        .http_client(http);
    builder.set_endpoint_url(aws.dynamodb_url.clone());
    builder.build()
}

fn sqs_config(aws: &Aws, http: SharedHttpClient) -> aws_sdk_sqs::Config {
    let mut builder = aws_sdk_sqs::Config::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .region(aws_sdk_sqs::config::Region::new(aws.region.clone()))
        .credentials_provider(credentials(aws))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        .http_client(http);
    builder.set_endpoint_url(aws.sqs_url.clone());
    builder.build()
}
