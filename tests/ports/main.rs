//! The laws of the engine's ports, each held to by the made-up machine of the simulation and by the real
//! implementation alike, so that what is proven in the simulation is true of the world.
//!
//! The laws of notifications stand in `tests/desktop`, where there is a desktop that tells what became of them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

/// A test for each law on each of the worlds.
macro_rules! held_by {
    ($($name:ident: $world:expr),*; $laws:tt) => {
        $(held_by! { @ $name, $world, $laws })*
    };
    (@ $name:ident, $world:expr, [$($law:ident),* $(,)?]) => {
        mod $name {
            use super::*;
            $(
                #[test]
                fn $law() {
                    super::$law(&mut $world);
                }
            )*
        }
    };
}

mod actions;
#[path = "../os/conformance.rs"]
mod conformance;
#[path = "../laws/fakes/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the simulation uses more of it")]
mod fakes;
mod files;
mod logs;
mod meters;
mod probes;
mod processes;
mod sources;
mod store;
mod time;
