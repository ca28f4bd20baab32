//! Content jobs, from the request to the contract.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

mod calls;
mod chain;
mod costs;
mod crashes;
mod golden;
mod hostile;
mod outage;
mod polls;
mod refusals;
mod scene;
mod source;
mod words;
