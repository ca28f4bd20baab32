//! The memories contract: `POST /api/v1/batch`, and the routes of one memory.
//!
//! An operation on a memory is an operation on the model's searched entity. What is wrong with a batch as a whole is told
//! as `{field, reason}`; what is wrong with an operation's `data`, `query` or search options fails that operation alone.

mod parse;
mod respond;
mod single;

pub use parse::parse;
pub use respond::{accepted, batch, error, failed, problem, refused, validation};
pub use single::{Listing, bulk, create, delete, listing, look_up, memory, search, told, twice, update};

/// Fields of a memory that a client gives; others are ignored.
const FIELDS: [&str; 5] = ["content", "title", "metadata", "tags", "memory_type"];
