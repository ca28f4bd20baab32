//! Systems outside of this one, each reached through a client of its own.

pub mod orby;
pub mod stacks;
pub(crate) mod web;

pub use web::{Answer, Lost};
