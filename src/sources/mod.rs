//! Reads everything that the catalog is made of from disk, and tells what it found.
//!
//! It judges the grammar of files and whether they can be trusted, nothing else: what they mean is the catalog's
//! business, and what becomes of a source that is broken or gone is the ledger's.

mod disk;
mod dotenv;
mod file;
mod include;
mod locate;
mod parse;
mod reader;
mod trust;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "other.rs"]
mod platform;

pub use disk::DiskSources;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use dotenv::{Variables, variables};
pub use locate::{Asked, Location};
pub use parse::{MAX_SOURCE, parse, parse_bytes};
pub use reader::{Reader, Unwatched};

#[cfg(test)]
#[cfg(unix)]
mod tests;
