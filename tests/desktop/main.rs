//! The real tray and the real notifications on a private session bus, with hosts and servers made by the test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod bus;
#[cfg(feature = "gtk-tray")]
mod display;
mod engine;
#[path = "../laws/fakes/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the simulation uses more of it")]
mod fakes;
mod host;
mod notifications;
#[path = "../support/picture.rs"]
mod picture;

mod notifier;
mod notify;
#[cfg(feature = "gtk-tray")]
mod panel;
mod tray;
mod whole;
