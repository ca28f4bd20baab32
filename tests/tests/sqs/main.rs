//! The local queue service, driven by the client that the functions use.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers fail as the test does")]
#![expect(clippy::disallowed_methods, reason = "the service and a waiting client run beside the test")]

mod limits;
mod messages;
mod refusals;
mod service;
mod visibility;
