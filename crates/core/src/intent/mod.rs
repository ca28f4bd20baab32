//! Blockchain intents: what a client wants to happen on a chain, and whether what it signed is what was built.
//!
//! - [`amount`] decimal strings to base units and back, exactly
//! - [`Address`] an account or a contract
//! - [`Tokens`] the chains and tokens there are, from `tokens.yaml`
//! - [`Intent`] one operation as the client means it; [`read`] takes a request apart
//! - [`Layout`] the order of the operations: by chain, approvals before what needs them
//! - [`calldata`] what the contracts are called with
//! - [`Unsigned`] what is to be signed, and the check of the signature
//! - [`Reason`] why an operation failed, and what helps

mod address;
pub mod amount;
pub mod calldata;
mod fee;
mod field;
mod layout;
mod reason;
mod request;
mod signature;
mod tokens;
mod unsigned;

pub use address::{Address, BadAddress};
pub use fee::{Cost, cost_of, sum_of};
pub use field::{FieldOf, field_of};
pub use layout::{Group, Layout};
pub use reason::Reason;
pub use request::{Allowance, Intent, Read, Sum, read, wrong_deadlines};
pub use signature::{BadSignature, Signed};
pub use tokens::{BadTokens, Chain, Token, Tokens};
pub use unsigned::{BadOperation, Fee, Format, Unsigned};
