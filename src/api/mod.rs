//! The control interface: one HTTP router over the engine's handle, served on a private Unix socket.
//!
//! It decides nothing about services: wishes go to the engine as commands, answers are made from its snapshots. What lies
//! outside of the engine (samples of processes, ends of logs, what happened) comes through [`Backstage`].

mod ask;
mod backstage;
mod events;
mod failure;
mod known;
mod plan;
mod router;
mod show;

#[cfg(test)]
mod tests;
mod unix;
mod wait;

pub use backstage::{Backstage, Checkouts, Journal, LastLines, Proposals, Sampling};
pub use router::router;
pub use unix::{Listener, serve};

/// The OpenAPI document of the interface.
pub const OPENAPI: &str = include_str!("openapi.json");
