//! What people see, as text files beside this one that a person reviews.
//!
//! After a change on purpose: `INSTA_UPDATE=always cargo test --test golden`, and read the difference.

#![allow(clippy::unwrap_used)]

mod cli;
mod critical;
mod diagnostics;

/// The same samples that the unit tests use.
#[path = "../../src/domain/sample.rs"]
mod sample;

// The samples name it by `crate::domain`.
use pilotlight::domain;
