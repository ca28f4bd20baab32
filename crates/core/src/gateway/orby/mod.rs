//! Orby, which builds operations on chains, sends them when they are signed, and tells what became of them.
//!
//! - [`Orby`] the client: JSON-RPC 2.0 over HTTPS, the API key in the path of the URL
//! - [`Built`], [`Sent`], [`Looked`]: its answers, typed; no text of Orby's own goes any further
//! - [`Transport`] how it is reached
//!
//! Calls about accounts go to Orby's own URL, calls about operations to a *virtual node*: a URL for one account and one
//! chain, which Orby gives. Both hold a key, so neither is ever shown.

mod answer;
mod client;
mod transport;

pub use super::{Answer, Lost};
pub use answer::{Built, Looked, Progress, Sent};
pub use client::{Failed, Node, Orby, Settings, Submission};
pub use transport::{Call, Transport, over_http};
