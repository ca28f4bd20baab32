//! What is written down about the service — `openapi.yaml`, `template.yaml`, `events/`, the watch router, the page on
//! operations — against what its code does.
//!
//! Nothing here repeats the code: rights are what a whole life of batches was seen to call, answers are those the service
//! gave, limits and codes are the code's own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod answers;
mod calls;
mod codes;
mod events;
mod examples;
mod files;
mod intents;
mod limits;
mod operations;
mod rights;
mod routes;
mod schema;
mod settings;
mod tables;
