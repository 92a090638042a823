//! The laws of the engine's ports, each held to by the made-up machine of the simulation and by the real
//! implementation alike, so that what is proven in the simulation is true of the world.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../os/conformance.rs"]
mod conformance;
#[path = "../laws/fakes/mod.rs"]
#[allow(dead_code, reason = "the simulation uses more of it")]
mod fakes;
mod processes;
mod time;
