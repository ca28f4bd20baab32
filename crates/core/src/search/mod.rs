//! Full-text search over memories: BM25 over word stems, one packed row a memory, no state besides the rows.
//!
//! A search reads every row of its tenant, so the rows are small and all statistics are those of the rows just read:
//! there are no counters to keep, and a row written or deleted in a transaction is found or gone with it.
//!
//! - [`Memory`], [`index`]: from the fields of a memory to the bytes of its row
//! - `words`: text to words; `language`: whose stems and stop words they get
//! - `row`: the binary form, its version first; `reader`: the way back
//! - [`Filters`]: equality on tags and metadata, decided on the row
//! - [`Query`], [`Search`]: rows in, in any order, ranked matches out
//!
//! ```
//! use batch_core::search::{Filters, Memory, Query, Search, index};
//!
//! let row = index(&Memory { content: "Tokens are verified at the gateway", ..Memory::default() });
//! let query = Query::new("verifying a token", Filters::default());
//! let mut search = Search::new(&query);
//! search.add("mem_1", 1_700_000_000_000, &row)?;
//! let found = search.finish(10);
//! assert_eq!((found.total, found.results[0].id.as_str()), (1, "mem_1"));
//! # Ok::<(), batch_core::search::Unreadable>(())
//! ```

mod filter;
mod language;
mod memory;
mod query;
mod rank;
mod reader;
mod row;
#[cfg(test)]
mod tests;
mod words;

pub use filter::{Filters, TooManyFilters};
pub use memory::{Memory, index};
pub use query::Query;
pub use rank::{Found, Hit, Search};
pub use row::Unreadable;

/// Content, title and tags, in this order, wherever something is counted for each.
const FIELDS: usize = 3;
