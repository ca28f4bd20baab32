use std::collections::BTreeMap;

use crate::backend::{Backend, DEAD_LETTERS, QUEUE, address, listen};
use crate::gateway::{JWKS_PATH, serve_jwks};
use crate::pump::{Pump, real_executor};
use crate::service::Apps;
use crate::stop::{Stopper, Tasks};
use crate::{Error, Settings};

/// The service without its gateway: tables, queues and the key set on three ports in a row, and the executor fed from
/// the queues. For submit and status run by `cargo lambda watch`, or under a debugger.
pub struct Functionless {
    backend: Backend,
    stopper: Stopper,
    tasks: Tasks,
}

impl Functionless {
    /// Starts it; `settings.port` is that of the tables, followed by those of the queues and the key set.
    pub async fn start(settings: &Settings) -> Result<Self, Error> {
        let ports = if settings.port == 0 { [0, 0, 0] } else { [0, 1, 2].map(|n| settings.port.saturating_add(n)) };
        let [dynamodb, sqs, jwks] = ports;
        let listener = listen(jwks).await?;
        let jwks_url = format!("http://{}{JWKS_PATH}", address(&listener)?);
        let clock = settings.clock.clone();
        let mut backend = Backend::start(&settings.storage, &settings.keys, clock, [dynamodb, sqs], jwks_url).await?;
        backend.start_stacks(settings.stacks.as_ref(), settings.block).await?;
        backend.start_orby(settings.orby.as_ref(), settings.block).await?;
        let executor = real_executor(Apps::start(&backend.settings, settings)?.executor);
        let (clock, entropy) = (settings.clock.clone(), settings.entropy.clone());
        let pump = |queue: &str| {
            Pump::new(backend.sqs.clone(), queue.to_owned(), executor.clone(), clock.clone(), entropy.clone())
        };
        let (pump, dead_letters) = (pump(QUEUE), pump(DEAD_LETTERS));

        let (stopper, tasks) = (Stopper::new(), Tasks::default());
        let (keys, stop) = (settings.keys.jwks(), stopper.watch());
        tasks.spawn(async move { serve_jwks(listener, &keys, stop).await });
        tasks.spawn(pump.clone().run(stopper.watch()));
        tasks.spawn(dead_letters.run(stopper.watch()));
        tasks.spawn(pump.tick(stopper.watch()));
        Ok(Self { backend, stopper, tasks })
    }

    /// The environment by which a function finds it, by name of the variable.
    pub fn settings(&self) -> &BTreeMap<&'static str, String> {
        &self.backend.settings
    }

    /// Finishes what is under way, and stops.
    pub async fn stop(self) {
        self.stopper.stop();
        self.tasks.finish().await;
        self.backend.stop().await;
    }
}
