//! From what the files say to the catalog in use: read, merge, resolve, and keep the last good of each.

mod held;
mod in_use;
mod ledger;
mod reading;
mod resolve;
mod standing;

pub use in_use::{Export, Held, InUse, Rank};
pub use ledger::{Ledger, Settled};
pub use reading::{Content, EnvFile, Reading, Role, SourceFile, Surroundings, is_drop_in};
pub use resolve::{Resolution, includes_of, resolve, root_of, services_of};
