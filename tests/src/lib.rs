//! What the tests share: the service's own code over an embedded database, one process, no socket.
//!
//! [`World`] holds an app that is put together as the functions put it together; only the SDK's HTTP client is another
//! one: the [`seam::Seam`], which counts every call, hands it to the database in the same process, and can be told to fail.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a harness of tests panics where a test would fail"
)]

pub mod functions;
mod lines;
pub mod memories;
pub mod operations;
pub mod seam;
pub mod sim;
pub mod soak;
mod world;

pub use lines::Lines;
pub use world::{
    Answer, CONTRACT, CREATOR, ORBY_KEY, ORBY_URL, OTHER_CREATOR, World, caller, config, fixed_clock, stacks_settings,
};
