//! A Stacks node: contract calls are built, signed, sent and looked up.
//!
//! - [`Address`] and [`Contract`]: who calls, and what is called
//! - [`Payload`] and [`Transaction`]: the wire format of SIP-005, as far as calls with `uint` arguments need it
//! - [`Signer`]: a key, and the transactions it signs
//! - [`Node`]: the HTTP interface of a node, every answer a typed result
//! - [`Chain`]: all of it as a deployment has it

mod address;
mod chain;
mod node;
mod reason;
mod signer;
mod transaction;
mod transport;

pub use super::{Answer, Lost};
pub use address::{Address, BadAddress, Contract};
pub use chain::{BadSetting, Chain, Settings};
pub use node::{Account, Broadcast, Node, Progress, Unanswered};
pub use reason::Reason;
pub use signer::{BadKey, Signed, Signer};
pub use transaction::{Network, Payload, Transaction};
pub use transport::{Call, Transport, over_http};
