//! From a plan and the rows it needs to effects, results and one guarded commit.
//!
//! Evaluation is pure: [`evaluate`] runs the operations one after another against what has been read ([`Snapshot`])
//! and what the operations before have written ([`view::View`]). It either ends with a [`Step`] for each operation or
//! says what it needs to read first; the loop in [`run`] reads that and starts it over. So the reads of a batch are one
//! call for each level of references, and whatever is assumed without reading (a new row is new, a parent exists, a
//! unique value is free) is a condition of the commit. When one does not hold, the store tells how it really is, that
//! goes into the snapshot, and evaluation runs again.

mod action;
mod change;
mod chunk;
mod commit;
mod content;
mod create;
mod evaluate;
mod look;
mod posting;
mod read;
mod resolve;
mod run;
mod search;
mod snapshot;
mod storable;
mod tell;
mod turn;
mod view;
mod wide;

pub use crate::plan::{Key, RowKey, UniqueKey, item_bytes};
pub use action::{Action, CountAfter, CountBase};
pub use chunk::{Chunk, fold};
pub(crate) use commit::too_large_message;
pub use evaluate::{Job, Progress, Step, evaluate};
pub use look::look;
pub use posting::{Post, Posting};
pub use run::{Ran, Run, run};
pub use snapshot::{Need, Row, Search, Snapshot};
pub use view::Change;
