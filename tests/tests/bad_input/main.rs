//! A hostile client: whatever it sends is answered with a 4xx that names the place and the fix, and nothing is written.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod batches;
mod bodies;
mod client;
mod gets;
mod headers;
mod random;
