//! The batch engine: many operations in, ordered, committed once, every one accounted for.
//!
//! Read the modules in this order:
//!
//! - [`limits`] every number, with the reason for it
//! - [`batch`] what a batch is: its id, options, head, state and summary
//! - [`operation`] one operation and its outcome; the catalogue of error codes
//! - [`model`] the entities a deployment serves, from `model.yaml`
//! - [`intent`] what a client wants to happen on a chain, and whether what it signed is what was built
//! - [`plan`] from a request to an order of operations: dependencies, references, what may be touched
//! - [`engine`] from a plan and the rows it needs to effects, results and one guarded commit
//! - [`search`] full-text search over memories: rows in, ranked matches out
//! - [`store`] DynamoDB: keys, items and conditions; nothing else knows attribute names
//! - [`rate`] how much a caller may send
//! - [`queue`] the messages between the functions
//! - [`auth`] who is calling
//! - [`calls`] what a contract is told of changed content
//! - [`dialect`] the wire contracts, translated at the edge to the one vocabulary inside
//! - [`submit`], [`execute`], [`status`], [`lifecycle`], [`memories`] the use cases, and [`intents`], those of blockchain
//!   intents
//! - [`gateway`] systems outside of this one
//! - [`http`] routes, headers, bodies: the only place that turns errors into HTTP
//! - [`logging`], [`metrics`] what operators see; [`trace`] by which id
//! - [`app`], [`config`], [`runtime`] how a process is put together

pub mod app;
pub mod auth;
pub mod batch;
pub mod calls;
pub mod config;
pub mod dialect;
pub mod engine;
pub mod execute;
pub mod gateway;
pub mod http;
pub mod intent;
pub mod intents;
pub mod json;
pub mod lifecycle;
pub mod limits;
pub mod logging;
pub mod memories;
pub mod metrics;
pub mod model;
pub mod operation;
pub mod plan;
pub mod queue;
pub mod rate;
pub mod runtime;
pub mod search;
pub mod status;
pub mod store;
pub mod submit;
pub mod trace;

pub use exact_json::decimal;
