//! The wire contracts, each translated at this edge to the one vocabulary inside and back.

pub mod analysis;
pub mod content;
pub mod intents;
pub mod memories;
pub mod native;
mod options;
pub mod preview;
pub mod records;

use crate::batch::Options;
use crate::operation::{Draft, Problem};

/// A request to make a batch, as far as it could be read.
#[derive(Debug)]
pub struct Request {
    /// In request order.
    pub drafts: Vec<Draft>,
    /// How to run them.
    pub options: Options,
    /// The client's own name for the batch.
    pub reference: Option<String>,
    /// Whether the operations are only to be checked.
    pub validate_only: bool,
    /// Whether a mistake in an operation's parameters fails that operation alone.
    pub each: bool,
    /// What was wrong with the shape.
    pub problems: Vec<Problem>,
    /// Whether `operations` was a list of 1 to 100 objects, so that each can be told about on its own.
    pub countable: bool,
}
