//! The loop between the domain and the world: facts in by one inbox, orders out through ports, one published snapshot.
//!
//! It decides nothing: what to do is the [domain](crate::domain)'s business, how it is done that of the effects.

mod clock;
mod handle;
mod layout;
mod log_place;
mod mailbox;
pub mod ports;
mod run;
mod seal;

pub use clock::Clock;
pub use handle::{Handle, Request};
pub use layout::StateDir;
pub use log_place::{LogPlace, LogRecord, LogStep};
pub use mailbox::Mailbox;
pub use run::{Engine, Ports};
pub use seal::seal;
