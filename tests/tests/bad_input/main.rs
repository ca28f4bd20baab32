//! A hostile client: whatever it sends is answered with a 4xx that names the place and the fix, and nothing is written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod bodies;
mod case;
mod client;
mod credentials;
mod gets;
mod headers;
mod messages;
mod random;
mod references;
mod shape;
mod values;
