//! The ways out of each process, to AWS, to the node of the chain and to Orby: a call is parked, until the scheduler
//! decides what becomes of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use batch_core::gateway::{Answer, Lost, orby, stacks};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::process::since;
use super::wire::{Reply, Request};

/// How long a process waits for the node and for Orby, as over HTTP.
const PATIENCE: Duration = Duration::from_secs(5);

/// A call that waits for its turn.
#[derive(Debug)]
pub(super) struct Parked {
    /// The process that made it.
    pub node: usize,
    pub request: Request,
    /// When it was sent, in virtual time.
    pub at: i64,
    /// Closed when the process is gone or has given up, which does not keep the call from being carried out.
    pub reply: Option<oneshot::Sender<Reply>>,
}

impl Parked {
    /// Whether anybody waits for the answer.
    pub fn is_awaited(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// The same call, for whose answer nobody waits.
    pub fn ghost(&self) -> Self {
        Self { node: self.node, request: self.request.clone(), at: self.at, reply: None }
    }

    pub fn answer(&mut self, answer: Reply) {
        if let Some(reply) = self.reply.take() {
            // Nobody waits any more: the answer is lost.
            drop(reply.send(answer));
        }
    }
}

/// Where calls are parked.
#[derive(Debug, Clone)]
pub(super) struct Lot {
    calls: Arc<Mutex<Vec<Parked>>>,
    stir: Arc<Notify>,
    begin: Instant,
}

impl Lot {
    /// `stir` is told of every call.
    pub fn new(stir: Arc<Notify>, begin: Instant) -> Self {
        Self { calls: Arc::default(), stir, begin }
    }

    pub fn calls(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of a process.
    pub fn client(&self, node: usize) -> SharedHttpClient {
        SharedHttpClient::new(Port { lot: self.clone(), node })
    }

    /// The way of a process to the node of the chain.
    pub fn stacks(&self, node: usize) -> stacks::Transport {
        let lot = self.clone();
        Box::new(move |call| Box::pin(answer(lot.park(node, Request::of_stacks(&call)))))
    }

    /// The way of a process to Orby.
    pub fn orby(&self, node: usize) -> orby::Transport {
        let lot = self.clone();
        Box::new(move |call| Box::pin(answer(lot.park(node, Request::of_orby(&call)))))
    }

    /// Parks a call of a process.
    fn park(&self, node: usize, request: Request) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        let at = since(self.begin);
        self.calls().push(Parked { node, request, at, reply: Some(sender) });
        self.stir.notify_one();
        receiver
    }
}

/// The answer of the node or of Orby to a parked call.
async fn answer(waiting: oneshot::Receiver<Reply>) -> Result<Answer, Lost> {
    let hanging = async {
        match waiting.await {
            Ok(reply) => reply,
            Err(_) => std::future::pending().await,
        }
    };
    match tokio::time::timeout(PATIENCE, hanging).await {
        Ok(Reply::Answer(status, body)) => Ok(Answer { status, body: body.into_bytes() }),
        Ok(Reply::Lost) => Err(Lost::Broken),
        Ok(Reply::Unreachable) => Err(Lost::NotSent),
        Err(_) => Err(Lost::TimedOut),
    }
}

/// The way of one process to AWS.
#[derive(Debug, Clone)]
struct Port {
    lot: Lot,
    node: usize,
}

impl HttpConnector for Port {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let receiver = self.lot.park(self.node, Request::read(&request));
        HttpConnectorFuture::new(async move {
            match receiver.await {
                Ok(reply) => reply.into_response(),
                // The scheduler dropped the call: it hangs, until whoever made it gives up.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl HttpClient for Port {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
