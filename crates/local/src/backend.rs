//! What the functions stand on: the tables and the queues, served on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use batch_core::app::{App, Parts};
use batch_core::auth::Redacted;
use batch_core::config::{Aws, Config, Tables};
use batch_core::rate::{MOST_BATCHES, Rates};
use batch_core::runtime::Clock;
use dynoxide::Database;
use tokio::net::TcpListener;

use crate::keys::{AUDIENCE, ISSUER, Identity, Keys, make_private_directory};
use crate::orby::OrbySandbox;
use crate::service::{SHIPPED_MODEL, read_model, store_api_key};
use crate::sqs::{self, Sqs, queue_url};
use crate::stacks::StacksNode;
use crate::stop::{Stop, Stopper, Tasks};
use crate::template::Resources;
use crate::{Error, dynamo};

/// The queue that the template's event source reads.
pub(crate) const QUEUE: &str = "BatchQueue";
/// The queue that its second event source reads.
pub(crate) const DEAD_LETTERS: &str = "BatchDeadLetterQueue";

/// The contract of the sandbox of a Stacks node.
pub const SANDBOX_CONTRACT: &str = "ST2PXWK3KRYWWXRBXMV3V7RNJXTGT1Q5YCWTRY92T.content";
/// A creator that the sandbox has a key of.
pub const SANDBOX_CREATOR: &str = "ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5";
/// That key. It is made up, and worth nothing anywhere.
const SANDBOX_KEY: &str = "7287ba251d44a4d3fd9276c88ce34c5c52a038955511cccaf77e61068649c178";

/// The key that the sandbox of Orby takes. It is worth nothing anywhere.
const SANDBOX_ORBY_KEY: &str = "sandbox";

/// Where a service keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory, until it stops.
    Memory,
    /// In files of this directory; one service at a time.
    Directory(PathBuf),
}

impl Storage {
    /// The file called `name`, in a directory that exists.
    fn file(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let Self::Directory(directory) = self else { return Ok(None) };
        make_private_directory(directory)
            .map_err(|error| Error::caused(format!("data directory {}", directory.display()), &error))?;
        Ok(Some(directory.join(name)))
    }

    /// The database, with every table of the deployment.
    pub(crate) fn database(&self) -> Result<Database, Error> {
        let file = self.file("dynamodb.sqlite")?;
        dynamo::open(file.as_deref(), &Resources::load()?.tables)
    }

    fn queues(&self, clock: Clock) -> Result<Sqs, Error> {
        let file = self.file("sqs.sqlite")?;
        let opened = Sqs::open(file.as_deref(), &Resources::load()?.queues, move || clock.now().0);
        opened.map_err(|error| match self {
            Self::Directory(directory) if is_locked(&error) => {
                Error::new(format!("another service uses the data directory {}", directory.display()))
            }
            _ => Error::caused("the queues cannot be opened", &error),
        })
    }
}

fn is_locked(error: &sqs::Error) -> bool {
    let sqs::Error::Storage(rusqlite::Error::SqliteFailure(failure, _)) = error else { return false };
    matches!(failure.code, rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
}

/// Tables and queues in this process, and the settings by which a function finds them.
pub(crate) struct Backend {
    pub(crate) database: Database,
    pub(crate) sqs: Sqs,
    /// The functions' environment.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// The sandbox of a Stacks node, if it runs.
    pub(crate) stacks: Option<StacksNode>,
    /// The sandbox of Orby, if it runs.
    pub(crate) orby: Option<OrbySandbox>,
    stopper: Stopper,
    tasks: Tasks,
}

impl Backend {
    /// Opens and serves them. `ports` are those of `DynamoDB` and of SQS, 0 for a free one; `jwks_url` is where the keys
    /// are published.
    pub(crate) async fn start(
        storage: &Storage,
        keys: &Keys,
        clock: Clock,
        ports: [u16; 2],
        jwks_url: String,
    ) -> Result<Self, Error> {
        let [dynamodb_port, sqs_port] = ports;
        // The queue's file is the lock of the directory, so it comes first.
        let sqs = storage.queues(clock)?;
        let database = storage.database()?;
        let dynamodb_listener = listen(dynamodb_port).await?;
        let sqs_listener = listen(sqs_port).await?;
        let (dynamodb_at, sqs_at) = (address(&dynamodb_listener)?, address(&sqs_listener)?);

        let (stopper, tasks) = (Stopper::new(), Tasks::default());
        tasks.spawn(dynamo::serve(database.clone(), dynamodb_listener, stopper.watch()));
        tasks.spawn(dynamo::sweep(database.clone(), stopper.watch()));
        tasks.spawn(serve_sqs(sqs.clone(), sqs_listener, stopper.watch()));

        let mut settings = aws_settings(format!("http://{dynamodb_at}"));
        settings.extend([
            ("QUEUE_URL", queue_url(&sqs_at.to_string(), QUEUE)),
            ("JWT_ISSUER", ISSUER.to_owned()),
            ("JWT_AUDIENCE", AUDIENCE.to_owned()),
            ("JWKS_URL", jwks_url),
            ("CURSOR_KEY", keys.cursor().expose().clone()),
            // What a deployment allows its callers would be in the way of whoever tries things out.
            ("BATCHES_PER_MINUTE", MOST_BATCHES.to_string()),
            ("AWS_ENDPOINT_URL_SQS", format!("http://{sqs_at}")),
        ]);
        Ok(Self { database, sqs, settings, stacks: None, orby: None, stopper, tasks })
    }

    /// Adds a Stacks node: the `given` one, or a sandbox that makes a block every `block`.
    pub(crate) async fn start_stacks(
        &mut self,
        given: Option<&BTreeMap<&'static str, String>>,
        block: Option<Duration>,
    ) -> Result<(), Error> {
        if let Some(given) = given {
            self.settings.extend(given.clone());
            return Ok(());
        }
        let node = StacksNode::new(SANDBOX_CONTRACT);
        // The sandbox forgets, the tables do not: what was sent to an earlier one counts as mined.
        let sent = dynamo::number(&self.database, "ControlTable", &format!("SIGNER#testnet#{SANDBOX_CREATOR}"), "next");
        node.pool(|pool| pool.set_nonce(SANDBOX_CREATOR, sent.unwrap_or(0)));
        let listener = listen(0).await?;
        let at = address(&listener)?;
        self.tasks.spawn(node.clone().serve(listener, self.stopper.watch()));
        if let Some(block) = block {
            self.tasks.spawn(node.clone().mine_every(block, self.stopper.watch()));
        }
        self.settings.extend([
            ("STACKS_NODE_URL", format!("http://{at}")),
            ("STACKS_NETWORK", "testnet".to_owned()),
            ("STACKS_CONTRACT", SANDBOX_CONTRACT.to_owned()),
            ("STACKS_SIGNERS", format!("{{\"{SANDBOX_CREATOR}\":\"{SANDBOX_KEY}\"}}")),
        ]);
        self.stacks = Some(node);
        Ok(())
    }

    /// Adds Orby: the `given` one, or a sandbox behind which chains make a block every `block`. It forgets when it stops, as
    /// they do.
    pub(crate) async fn start_orby(
        &mut self,
        given: Option<&BTreeMap<&'static str, String>>,
        block: Option<Duration>,
    ) -> Result<(), Error> {
        if let Some(given) = given {
            self.settings.extend(given.clone());
            return Ok(());
        }
        let listener = listen(0).await?;
        let url = format!("http://{}", address(&listener)?);
        let sandbox = OrbySandbox::new(SANDBOX_ORBY_KEY, &url);
        let mut stop = self.stopper.watch();
        self.tasks.spawn(sandbox.clone().serve(listener, async move { stop.requested().await }));
        if let Some(block) = block {
            self.tasks.spawn(sandbox.clone().advance_every(block, self.stopper.watch()));
        }
        self.settings.extend([("ORBY_URL", url), ("ORBY_API_KEY", SANDBOX_ORBY_KEY.to_owned())]);
        self.orby = Some(sandbox);
        Ok(())
    }

    /// Stops serving; ends when every request has ended.
    pub(crate) async fn stop(self) {
        self.stopper.stop();
        self.tasks.finish().await;
    }
}

/// The settings by which the tables served at `dynamodb_url` are found.
pub(crate) fn aws_settings(dynamodb_url: String) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("BATCHES_TABLE", "BatchesTable".to_owned()),
        ("RECORDS_TABLE", "RecordsTable".to_owned()),
        ("SEARCH_TABLE", "SearchTable".to_owned()),
        ("CONTROL_TABLE", "ControlTable".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url),
    ])
}

/// Makes an API key that the service whose tables are in `storage` takes, whether it runs or not: the database's file is
/// open to several processes.
pub async fn add_api_key(storage: &Storage, identity: Identity, days: Option<u16>) -> Result<Redacted<String>, Error> {
    let database = storage.database()?;
    let listener = listen(0).await?;
    let url = format!("http://{}", address(&listener)?);
    let (stopper, tasks) = (Stopper::new(), Tasks::default());
    tasks.spawn(dynamo::serve(database, listener, stopper.watch()));
    let key = add_api_key_at(&url, identity, days).await;
    stopper.stop();
    tasks.finish().await;
    key
}

/// Makes an API key that the service takes whose tables are served at `dynamodb_url`.
pub async fn add_api_key_at(
    dynamodb_url: &str,
    identity: Identity,
    days: Option<u16>,
) -> Result<Redacted<String>, Error> {
    let settings = aws_settings(dynamodb_url.to_owned());
    let setting = |name: &str| settings.get(name).cloned().unwrap_or_default();
    let config = Config {
        aws: Aws {
            region: setting("AWS_REGION"),
            access_key_id: setting("AWS_ACCESS_KEY_ID"),
            secret_access_key: Redacted::new(setting("AWS_SECRET_ACCESS_KEY")),
            session_token: None,
            dynamodb_url: Some(dynamodb_url.to_owned()),
            sqs_url: None,
        },
        tables: Tables {
            batches: setting("BATCHES_TABLE"),
            records: setting("RECORDS_TABLE"),
            search: setting("SEARCH_TABLE"),
            control: setting("CONTROL_TABLE"),
        },
        queue_url: None,
        issuer: None,
        cursor_key: None,
        rates: Rates::default(),
        stacks: None,
        orby: None,
        content_concurrency: batch_core::limits::CONTENT_CONCURRENCY,
        metrics_namespace: batch_core::metrics::NAMESPACE.to_owned(),
        log_level: tracing::Level::INFO,
    };
    let app = App::assemble(config, read_model("model.yaml", SHIPPED_MODEL)?, Parts::default());
    let app = app.map_err(|error| Error::caused("the database cannot be reached", &error))?;
    store_api_key(&app, identity, days).await
}

async fn serve_sqs(sqs: Sqs, listener: TcpListener, mut stop: Stop) {
    if let Err(error) = sqs.serve_on(listener, async move { stop.requested().await }).await {
        tracing::error!(%error, "the queue server failed");
    }
}

/// A loopback port, the given one or a free one.
pub(crate) async fn listen(port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| Error::caused(format!("127.0.0.1:{port} cannot be listened on"), &error))
}

pub(crate) fn address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| Error::caused("a port has no address", &error))
}
