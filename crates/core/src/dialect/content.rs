//! `/api/batches/...`: content jobs. Prices, removals and metadata of many items, changed in the background.

mod parse;
mod respond;

pub use parse::{Asked, parse, parse_retry};
pub use respond::{Room, batch, error, listed, status, word};
