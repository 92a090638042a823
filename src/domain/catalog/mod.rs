//! From what the files say to the catalog in use: read, merge, resolve, and keep the last good of each.

mod ledger;
mod reading;
mod resolve;

pub use ledger::{Ledger, Settled};
pub use reading::{Content, EnvFile, Reading, Role, SourceFile, Surroundings};
pub use resolve::{Resolution, resolve};
