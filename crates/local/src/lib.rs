//! The whole service on one machine, in one process: for development and for tests.
//!
//! What answers here is what answers on AWS: the functions' own handlers, called with the events that Lambda gives
//! them. Everything around them is replaced, and reached on loopback alone:
//!
//! - [`Service`] all of it, started and stopped by a test or by the command line
//! - [`gateway`] API Gateway: requests to events and back
//! - `pump` the event sources of the executor, and the minute rule
//! - [`sqs`] the queues
//! - `dynamo` the tables, in an embedded database; `template` says which, from `template.yaml`
//! - [`keys`] the issuer: tokens and API keys
//! - [`orby`] a sandbox of Orby
//! - `backend` tables and queues together; [`Functionless`] serves them to functions that run in another process

mod backend;
mod dynamo;
mod error;
mod functionless;
pub mod gateway;
pub mod keys;
pub mod orby;
mod pump;
mod service;
pub mod sqs;
pub mod stacks;
mod stop;
mod template;
mod yaml;

pub use backend::{SANDBOX_CONTRACT, SANDBOX_CREATOR, Storage, add_api_key, add_api_key_at};
pub use error::Error;
pub use functionless::Functionless;
pub use pump::Executor;
pub use service::{Apps, BLOCK, SHIPPED_MODEL, Service, Settings, read_model};

/// The deployment's tables, empty and in memory.
///
/// # Errors
/// When the template describes a table that the database cannot make.
pub fn database_in_memory() -> Result<dynoxide::Database, Error> {
    dynamo::open(None, &template::Resources::load()?.tables)
}
