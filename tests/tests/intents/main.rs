//! Batches of blockchain intents, through the whole service, with the sandbox of Orby.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

mod clusters;
mod crashes;
mod golden;
mod hostile;
mod races;
mod refusals;
mod retries;
mod scene;
mod settling;
mod source;
