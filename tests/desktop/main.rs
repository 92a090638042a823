//! The real tray and the real notifications on a private session bus, with hosts and servers made by the test.
#![cfg(target_os = "linux")]

mod bus;
mod engine;
mod host;
#[path = "../support/picture.rs"]
mod picture;

mod tray;
