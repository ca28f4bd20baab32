//! Who may do what: rules of the model over HTTP, rules and narrowed callers by chance, and rules that are none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod case;
mod claims;
mod looking;
mod naive;
mod random;
mod reads;
mod relations;
mod rules;
mod setting;
mod shipped;
mod writes;
