//! A queue service in this process that speaks what the SQS client speaks.
//!
//! Standard queues only, made when the service opens. What a consumer can observe on AWS it can observe here:
//! visibility timeouts, receive counts, delays, long polls, receipt handles that go stale, dead-letter queues, size
//! limits and errors. Retention periods, encryption, tags and permissions are not modelled.
//!
//! - [`Sqs`]: the queues, called in process or served on a socket with [`Sqs::serve_on`]
//! - `message`: what is sent and received, its limits and checksums
//! - `receipt`: the handle that stands for one receipt of one message
//! - `store`: the messages in `SQLite`, one statement per effect
//! - `settings`: what a queue is and how it is received from
//! - `actions`, `batch`, `wire`: the actions of the AWS JSON protocol 1.0 and the shapes of their bodies
//! - `http`: the socket
//! - `error`: what is refused and how the protocol says so

mod actions;
mod batch;
mod error;
mod http;
mod message;
mod receipt;
mod settings;
mod store;
mod wire;

use std::{
    collections::BTreeMap,
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

pub use self::{
    error::Error,
    message::{Attribute, MAX_MESSAGE_BYTES, Message, NewMessage, Sent, Value},
    settings::{QueueSettings, Receive, Redrive},
    store::Counts,
};
use self::{receipt::Receipt, settings::check_visibility, store::Store};

/// The account that queue URLs and ARNs name.
const ACCOUNT: &str = "000000000000";

/// The queues of one service; clones share them.
#[derive(Clone)]
pub struct Sqs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Mutex<Store>,
    queues: BTreeMap<String, Queue>,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
}

struct Queue {
    settings: QueueSettings,
    /// Wakes long polls whenever a message arrived or its time to appear changed.
    changed: Notify,
}

impl Sqs {
    /// Opens the queues kept in the file at `path`, or new ones in memory.
    ///
    /// Messages, receive counts and delays are as they were left, and what was in flight is visible again. `clock`
    /// gives milliseconds since the Unix epoch and decides delays and visibility; only the length of a long poll is
    /// measured by the runtime.
    ///
    /// Fails on settings that AWS would refuse, and while another process has the file.
    pub fn open(
        path: Option<&Path>,
        queues: &[QueueSettings],
        clock: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let mut named = BTreeMap::new();
        for settings in queues {
            settings.check()?;
            let queue = Queue { settings: settings.clone(), changed: Notify::new() };
            if named.insert(settings.name.clone(), queue).is_some() {
                return Err(Error::value(&settings.name, "QueueName", "The name is used twice."));
            }
        }
        for redrive in queues.iter().filter_map(|queue| queue.redrive.as_ref()) {
            if !named.contains_key(&redrive.queue) {
                return Err(Error::value(&redrive.queue, "RedrivePolicy", "Dead letter target does not exist."));
            }
            if redrive.max_receive_count == 0 {
                return Err(Error::value(0, "RedrivePolicy", "maxReceiveCount must be at least 1."));
            }
        }
        let store = Store::open(path, clock())?;
        Ok(Self { inner: Arc::new(Inner { store: Mutex::new(store), queues: named, clock: Box::new(clock) }) })
    }

    /// Puts a message on the queue.
    pub fn send(&self, queue: &str, message: &NewMessage) -> Result<Sent, Error> {
        let queue = self.queue(queue)?;
        message.check()?;
        let id = self.store().insert(&queue.settings.name, message, self.now())?;
        queue.changed.notify_waiters();
        Ok(Sent {
            id,
            md5_of_body: message.md5_of_body(),
            md5_of_attributes: message.md5_of_attributes(),
            md5_of_system_attributes: message.md5_of_system_attributes(),
        })
    }

    /// Takes up to `max_messages` messages, oldest first, and hides them; waits up to `wait_s` for a first one.
    ///
    /// Dropping the future loses nothing: it takes messages only when it returns them.
    pub async fn receive(&self, queue: &str, how: Receive) -> Result<Vec<Message>, Error> {
        how.check()?;
        let queue = self.queue(queue)?;
        let deadline = Instant::now() + Duration::from_secs(how.wait_s.into());
        loop {
            // Enabled before looking, so that a message sent after the look still ends the wait.
            let mut changed = pin!(queue.changed.notified());
            changed.as_mut().enable();
            let messages = self.take(queue, how)?;
            if !messages.is_empty() || Instant::now() >= deadline {
                return Ok(messages);
            }
            let wake = self.next_due_in(queue)?.map_or(deadline, |due| deadline.min(Instant::now() + due));
            // Elapsed or woken, the queue is looked at again.
            let _ = tokio::time::timeout_at(wake, changed).await;
        }
    }

    /// Ends the message's life. A handle that a later receipt superseded deletes nothing, yet succeeds, as on AWS.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), Error> {
        let queue = self.queue(queue)?;
        let receipt = Receipt::parse(receipt_handle, &queue.settings.name)?;
        self.store().delete(&receipt)
    }

    /// Hides a message in flight for `seconds` from now, 0 to 43,200; 0 makes it visible at once.
    ///
    /// Refuses a message that is gone, visible again or received again since.
    pub fn change_visibility(&self, queue: &str, receipt_handle: &str, seconds: u32) -> Result<(), Error> {
        let queue = self.queue(queue)?;
        check_visibility(seconds)?;
        let receipt = Receipt::parse(receipt_handle, &queue.settings.name)?;
        let now = self.now();
        let store = self.store();
        let Some(state) = store.state(&receipt)? else {
            return Err(Error::value(
                receipt_handle,
                "ReceiptHandle",
                "Message does not exist or is not available for visibility timeout change.",
            ));
        };
        if state.receive_count != receipt.receive_count || state.visible_at <= now {
            return Err(Error::MessageNotInFlight);
        }
        store.set_visible_at(&receipt, now + ms(seconds))?;
        queue.changed.notify_waiters();
        Ok(())
    }

    /// How many messages the queue holds, by what keeps them.
    pub fn counts(&self, queue: &str) -> Result<Counts, Error> {
        let queue = self.queue(queue)?;
        self.store().counts(&queue.settings.name, self.now())
    }

    /// Drops every message of the queue, those in flight included.
    pub fn purge(&self, queue: &str) -> Result<(), Error> {
        let queue = self.queue(queue)?;
        self.store().purge(&queue.settings.name)
    }

    fn take(&self, queue: &Queue, how: Receive) -> Result<Vec<Message>, Error> {
        let now = self.now();
        let name = &queue.settings.name;
        let store = self.store();
        if let Some(redrive) = &queue.settings.redrive
            && store.redrive(name, redrive, now)? > 0
            && let Some(target) = self.inner.queues.get(&redrive.queue)
        {
            target.changed.notify_waiters();
        }
        let hidden = ms(how.visibility_s.unwrap_or(queue.settings.visibility_s));
        store.take(name, how.max_messages, now, now + hidden)
    }

    /// How long until the next hidden message of the queue appears by itself.
    fn next_due_in(&self, queue: &Queue) -> Result<Option<Duration>, Error> {
        let now = self.now();
        let due = self.store().next_due(&queue.settings.name, now)?;
        Ok(due.map(|at| Duration::from_millis(at.saturating_sub(now).max(1).unsigned_abs())))
    }

    fn queue(&self, name: &str) -> Result<&Queue, Error> {
        self.inner.queues.get(name).ok_or(Error::QueueDoesNotExist)
    }

    fn now(&self) -> i64 {
        (self.inner.clock)()
    }

    /// A panic elsewhere leaves no half-made change behind: each is one statement of the database.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.inner.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The URL of a queue served at `authority` (`127.0.0.1:9324`).
pub fn queue_url(authority: &str, queue: &str) -> String {
    format!("http://{authority}/{ACCOUNT}/{queue}")
}

/// The ARN that events from the queue carry.
pub fn queue_arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")
}

fn ms(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}
