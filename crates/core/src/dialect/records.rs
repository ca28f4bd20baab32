//! The records contract: `POST /batch`.

mod parse;
mod respond;

pub use parse::parse;
pub use respond::{Room, batch, escaped_bytes, result, validation};
