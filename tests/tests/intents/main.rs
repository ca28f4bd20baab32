//! Batches of blockchain intents, through the whole service, with the sandbox of Orby.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without may stop it")]

mod crashes;
mod golden;
mod refusals;
mod scene;
mod settling;
