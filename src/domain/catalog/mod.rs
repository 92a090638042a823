//! From what the files say to the catalog in use: read, merge, resolve, and keep the last good of each.
//!
//! The way of a service: `shapes` finds it in its source, `types` and `merge` put the defaults of its type below it
//! (`template` fills their placeholders), `exposed` and `names` find out what ports, URLs and settings of all services
//! come to, `read_service` makes a [`Service`](super::Service) of it (with `read_health` and `read_policies`),
//! `dependencies` judges whom it needs, `rounds` does this for all services, and `resolve` brings it all together.
//! `memo` spares what is the same as before; `elsewhere` knows what other tools call the same.

mod agent;
mod argv;
mod dependencies;
mod draft;
mod durations;
mod effective;
mod elsewhere;
mod environment;
mod expand;
mod exposed;
mod fields;
mod findings;
mod groups;
mod held;
mod in_use;
mod includes;
mod ledger;
mod memo;
mod merge;
mod names;
mod origins;
mod read_health;
mod read_policies;
mod read_service;
mod reading;
mod report;
mod resolve;
mod rounds;
mod schema;
mod shapes;
mod sizes;
mod standing;
mod template;
mod touch_up;
mod types;

pub use in_use::{Export, Held, InUse, Rank};
pub use includes::{Include, includes_of};
pub use ledger::{Ledger, Settled};
pub use origins::{Basis, Explained, Given};
pub use reading::{Content, EnvFile, Reading, Role, SourceFile, Surroundings, is_drop_in};
pub use resolve::{Resolution, Resolver, env_files_of, resolve, root_of, services_of};
pub use schema::SCHEMA;
