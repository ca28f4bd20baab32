//! Secrets in every input and on every path that fails: none is in a line of the log, at the most verbose level there is,
//! nor in an answer of our own failure.

#![expect(clippy::expect_used, reason = "what a test cannot do without may stop it")]

mod faults;
mod intents;
mod requests;
mod scene;
mod workers;
