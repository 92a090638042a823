//! Processes, trees and adoption on the real system: every child is real, every wait is for a condition.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod adoption;
mod conformance;
#[path = "../support/dice.rs"]
mod dice;
mod forest;
mod helpers;
mod spawning;
mod strangers;
mod trees;
mod world;

mod laws {
    crate::conformance_tests!(crate::world::RealWorld::new());
}
