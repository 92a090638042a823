//! The control interface: one HTTP router over the engine's handle, served on a private Unix socket
//! (Windows: a named pipe).
//!
//! It decides nothing about services: wishes go to the engine as commands, answers are made from its snapshots. What lies
//! outside of the engine (samples of processes, ends of logs, what happened) comes through [`Backstage`].

mod ask;
mod backstage;
mod crowd;
mod events;
mod failure;
mod known;
mod line;
mod plan;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod platform;
mod router;
mod serve;
mod show;

#[cfg(test)]
#[cfg(unix)]
mod tests;
mod wait;

pub use backstage::{Backstage, Checkouts, Journal, LastLines, Meter, Page, Proposals};
pub use platform::Listener;
pub use router::router;
pub use serve::serve;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use serve::serve_one;

/// The OpenAPI document of the interface.
pub const OPENAPI: &str = include_str!("openapi.json");
