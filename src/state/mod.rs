//! What outlives the agent on disk, and what keeps two agents apart: the state directory, its locks and its files.
//!
//! It knows nothing of processes (their records are the business of `process`) nor of the services' logs.

mod agent_file;
mod agent_log;
mod error;
mod file;
mod instance;
mod intent;
mod journal;
mod place;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod platform;
mod rendezvous;
mod store;

pub use agent_file::{AgentFile, AgentRecord};
pub use agent_log::AgentLog;
pub use error::StateError;
pub use instance::Instance;
pub use intent::peek as peek_intent;
pub use journal::{EventLine, EventPage, EventPosition, read_event_page, read_events, read_events_from};
pub use place::{Place, canonical_config, locate, open};
pub use rendezvous::Rendezvous;
pub use store::{DiskStore, Kept};
