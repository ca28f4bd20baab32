//! The memories contract.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batch;
mod bodies;
mod figures;
mod hostile;
mod interpreter;
mod setting;
mod single;
mod source;
mod wide;
