//! Reads everything that the catalog is made of from disk, and tells what it found.
//!
//! It judges the grammar of files and whether they can be trusted, nothing else: what they mean is the catalog's
//! business, and what becomes of a source that is broken or gone is the ledger's.

mod parse;

pub use parse::{MAX_SOURCE, parse, parse_bytes};
