//! The whole service in this process: what the functions stand on, the functions, and what calls them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use batch_core::app::{App, Parts};
use batch_core::auth::Redacted;
use batch_core::config::{self, Config};
use batch_core::limits::Limits;
use batch_core::model::Model;
use batch_core::rate::MOST_BATCHES;
use batch_core::runtime::{Clock, Entropy};
use dynoxide::Database;
use serde_json::Map;

use crate::Error;
use crate::backend::{Backend, DEAD_LETTERS, QUEUE, Storage, address, listen};
use crate::gateway::{Function, Gateway, Handler, JWKS_PATH};
use crate::keys::{Identity, Keys, new_api_key};
use crate::orby::OrbySandbox;
use crate::pump::{Executor, Pump, real_executor};
use crate::sqs::Sqs;
use crate::stacks::StacksNode;
use crate::stop::{Stopper, Tasks};

/// How a service is put together.
#[derive(Clone)]
pub struct Settings {
    /// Where its data are.
    pub storage: Storage,
    /// Whose tokens it takes.
    pub keys: Keys,
    /// The port of its API on loopback; 0 for a free one.
    pub port: u16,
    /// The text of the model file.
    pub model: String,
    /// Whether messages are delivered as they come; otherwise [`Service::drain`] delivers them.
    pub pump: bool,
    /// The time of everything in it.
    pub clock: Clock,
    /// Chance in everything in it.
    pub entropy: Entropy,
    /// What bounds a commit.
    pub limits: Limits,
    /// Batches that a caller may send in a minute, 1 to [`MOST_BATCHES`].
    pub batches_per_minute: u32,
    /// A Stacks node to send contract calls to, and the settings that go with it; `None` for the sandbox.
    pub stacks: Option<BTreeMap<&'static str, String>>,
    /// An Orby to build and send intents with, and the settings that go with it; `None` for the sandbox.
    pub orby: Option<BTreeMap<&'static str, String>>,
    /// How often the chains behind the sandboxes make a block; never where `None`.
    pub block: Option<Duration>,
    /// How the functions reach `DynamoDB` and SQS; `None` for the client they have on AWS.
    pub http: Option<SharedHttpClient>,
    /// Functions that answer in the place of the real ones.
    pub handlers: BTreeMap<Function, Handler>,
    /// What takes messages in the place of the real executor.
    pub executor: Option<Executor>,
}

impl Settings {
    /// In memory, on a free port, with keys of its own and the shipped model.
    pub fn in_memory() -> Result<Self, Error> {
        Ok(Self {
            storage: Storage::Memory,
            keys: Keys::in_memory()?,
            port: 0,
            model: SHIPPED_MODEL.to_owned(),
            pump: true,
            clock: Clock::system(),
            entropy: Entropy::system(),
            limits: Limits::default(),
            batches_per_minute: MOST_BATCHES,
            stacks: None,
            orby: None,
            block: Some(BLOCK),
            http: None,
            handlers: BTreeMap::new(),
            executor: None,
        })
    }
}

/// How often the sandbox of a Stacks node makes a block.
pub const BLOCK: Duration = Duration::from_secs(2);

/// The entities of a service that is given no others.
pub const SHIPPED_MODEL: &str = include_str!("../../../model.yaml");

/// The functions' shared states, one each, made from the settings that the function has on AWS.
#[derive(Clone)]
pub struct Apps {
    /// Of the function that takes batches in.
    pub submit: App,
    /// Of the function that runs them from the queue.
    pub executor: App,
    /// Of the function that tells about them.
    pub status: App,
}

impl Apps {
    pub(crate) fn start(environment: &BTreeMap<&'static str, String>, settings: &Settings) -> Result<Self, Error> {
        let start = |function| start(function, environment, settings);
        Ok(Self {
            submit: start(config::Function::Submit)?,
            executor: start(config::Function::Executor)?,
            status: start(config::Function::Status)?,
        })
    }
}

fn start(
    function: config::Function,
    environment: &BTreeMap<&'static str, String>,
    settings: &Settings,
) -> Result<App, Error> {
    let config = Config::read(function, &|name| match name {
        "BATCHES_PER_MINUTE" => Some(settings.batches_per_minute.to_string()),
        name => environment.get(name).cloned(),
    });
    let config = config.map_err(|error| Error::caused(format!("{function:?}"), &error))?;
    let parts = Parts {
        http: settings.http.clone(),
        clock: settings.clock.clone(),
        entropy: settings.entropy.clone(),
        limits: settings.limits,
        ..Parts::default()
    };
    App::assemble(config, read_model("the model", &settings.model)?, parts)
        .map_err(|error| Error::caused(format!("{function:?}"), &error))
}

/// Reads the model in the file called `name`; the error tells every problem with its line.
pub fn read_model(name: &str, text: &str) -> Result<Model, Error> {
    Model::from_yaml(text).map_err(|problems| {
        let problems = problems.iter().map(|problem| {
            let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
            format!("{name}:{}: {path}{}", problem.line, problem.reason)
        });
        Error::new(problems.collect::<Vec<_>>().join("\n"))
    })
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    backend: Backend,
    apps: Apps,
    pump: Pump,
    dead_letters: Pump,
    settings: Settings,
    stopper: Stopper,
    tasks: Tasks,
}

impl Service {
    /// Starts everything; when it returns, the API answers.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let listener = listen(settings.port).await?;
        let address = address(&listener)?;
        let jwks_url = format!("http://{address}{JWKS_PATH}");
        let clock = settings.clock.clone();
        let mut backend = Backend::start(&settings.storage, &settings.keys, clock, [0, 0], jwks_url).await?;
        backend.start_stacks(settings.stacks.as_ref(), settings.block).await?;
        backend.start_orby(settings.orby.as_ref(), settings.block).await?;
        let apps = Apps::start(&backend.settings, &settings)?;
        let (clock, entropy) = (settings.clock.clone(), settings.entropy.clone());
        let handlers = handlers(&apps, &settings.handlers);
        let gateway = Gateway::new(handlers, &settings.keys.jwks(), clock.clone(), entropy.clone())?;
        let executor = settings.executor.clone().unwrap_or_else(|| real_executor(apps.executor.clone()));
        let pump = |queue: &str| {
            Pump::new(backend.sqs.clone(), queue.to_owned(), executor.clone(), clock.clone(), entropy.clone())
        };
        let (pump, dead_letters) = (pump(QUEUE), pump(DEAD_LETTERS));

        let (stopper, tasks) = (Stopper::new(), Tasks::default());
        tasks.spawn(gateway.serve(listener, stopper.watch()));
        if settings.pump {
            tasks.spawn(pump.clone().run(stopper.watch()));
            tasks.spawn(dead_letters.clone().run(stopper.watch()));
            tasks.spawn(pump.clone().tick(stopper.watch()));
        }
        Ok(Self { address, backend, apps, pump, dead_letters, settings, stopper, tasks })
    }

    /// `http://127.0.0.1:PORT`
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A new API key, as text.
    pub async fn api_key(&self, tenant: &str, subject: &str, roles: &[&str]) -> Result<Redacted<String>, Error> {
        let identity = Identity::new(tenant, subject, roles.iter().copied(), Map::new())?;
        store_api_key(&self.apps.submit, identity, None).await
    }

    /// A token signed by the keys that the service publishes.
    pub fn token(&self, identity: &Identity) -> Result<String, Error> {
        self.settings.keys.token(identity, self.settings.clock.now())
    }

    /// The database below the functions.
    pub fn database(&self) -> &Database {
        &self.backend.database
    }

    /// Where the database is served.
    pub fn dynamodb_url(&self) -> &str {
        self.backend.settings.get("AWS_ENDPOINT_URL_DYNAMODB").map_or("", String::as_str)
    }

    /// The settings by which the functions find tables and queues, as they are told on AWS.
    pub fn environment(&self) -> &BTreeMap<&'static str, String> {
        &self.backend.settings
    }

    /// The sandbox of a Stacks node; `None` where another node is used.
    pub fn stacks(&self) -> Option<&StacksNode> {
        self.backend.stacks.as_ref()
    }

    /// The sandbox of Orby.
    pub fn orby(&self) -> Option<&OrbySandbox> {
        self.backend.orby.as_ref()
    }

    /// The queues; the one of the batches is called `BatchQueue`.
    pub fn sqs(&self) -> &Sqs {
        &self.backend.sqs
    }

    /// The functions' states.
    pub fn apps(&self) -> &Apps {
        &self.apps
    }

    /// Delivers messages of both queues until none is visible; how many were delivered. Messages that are delayed, or
    /// that failed and are hidden, stay.
    pub async fn drain(&self) -> Result<usize, Error> {
        let mut delivered = 0;
        loop {
            let mut round = 0;
            for pump in [&self.pump, &self.dead_letters] {
                let drained = pump.drain().await;
                round += drained.map_err(|error| Error::caused("the queue cannot be drained", &error))?;
            }
            if round == 0 {
                return Ok(delivered);
            }
            delivered += round;
        }
    }

    /// Takes no more calls and messages, finishes those under way, and then stops the rest.
    pub async fn stop(self) {
        self.stopper.stop();
        self.tasks.finish().await;
        self.backend.stop().await;
    }
}

fn handlers(apps: &Apps, others: &BTreeMap<Function, Handler>) -> BTreeMap<Function, Handler> {
    let (submit_app, status_app) = (apps.submit.clone(), apps.status.clone());
    let submit: Handler = Arc::new(move |request| {
        let app = submit_app.clone();
        Box::pin(async move { submit::handle(&app, request).await })
    });
    let status: Handler = Arc::new(move |request| {
        let app = status_app.clone();
        Box::pin(async move { status::handle(&app, request).await })
    });
    let mut handlers = BTreeMap::from([(Function::Submit, submit), (Function::Status, status)]);
    handlers.extend(others.iter().map(|(function, handler)| (*function, handler.clone())));
    handlers
}

/// Makes an API key, good for so many days, and keeps its record where `app` finds it.
pub(crate) async fn store_api_key(app: &App, identity: Identity, days: Option<u16>) -> Result<Redacted<String>, Error> {
    let (key, record) = new_api_key(identity, days, app.entropy(), app.clock().now());
    let stored = app.store().put_api_key(&record).await;
    stored.map_err(|error| Error::new(format!("the API key cannot be stored: {error}")))?;
    Ok(Redacted::new(key.expose().to_owned()))
}
