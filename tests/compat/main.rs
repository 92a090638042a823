//! Files in the formats of real projects load unchanged and give what they gave there.
//!
//! The real files lie beside the project, not in it; `PILOTLIGHT_FIXTURES` names another place for them. Without them
//! their tests are skipped with a word on stderr, unless `PILOTLIGHT_REQUIRE_ALL=1`; the files under `tests/fixtures`
//! are our own, in the same formats.

#![allow(clippy::unwrap_used)]

mod asking;
mod bookshop;
mod differences;
mod environment;
mod fallback;
#[cfg(unix)]
mod include;
mod incremental;
mod mistakes;
mod origins;
mod policies;
mod real;
mod schema;
mod sources;
mod types;
