//! How parts of the service are told to stop, and waited for.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tells everyone who holds its [`Stop`]. Dropping it tells them too.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn watch(&self) -> Stop {
        Stop(self.0.subscribe())
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Learns when to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Ends when it is time to stop.
    pub(crate) async fn requested(&mut self) {
        // An error says that the sender is gone, which asks for the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it became time to stop within `wait`.
    pub(crate) async fn requested_within(&mut self, wait: Duration) -> bool {
        tokio::time::timeout(wait, self.requested()).await.is_ok()
    }
}

/// Tasks that outlive whoever started them, and are all waited for in the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Waits for every task, those started meanwhile included.
    pub(crate) async fn finish(&self) {
        loop {
            let mut tasks = mem::take(&mut *self.tasks());
            if tasks.is_empty() {
                return;
            }
            // A panic was told when it happened.
            while tasks.join_next().await.is_some() {}
        }
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
