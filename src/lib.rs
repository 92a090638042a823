//! Pilotlight keeps a developer's local services running.
//!
//! Facts come in through one inbox, one owner of all state turns them into orders, the orders are carried out at the
//! edges, and every face is a pure function of one published snapshot. `docs/ARCHITECTURE.md` tells the way of a change.
//!
//! This library exists for the program and its tests; it promises nothing to others.

pub mod app;

pub mod api;
pub mod cli;
pub mod notify;
pub mod tray;
pub mod wire;

pub mod engine;

pub mod domain;

pub mod git;
pub mod open;

pub mod logs;
pub mod observe;
pub mod power;
pub mod probe;
pub mod process;
pub mod sources;
pub mod state;
pub mod watch;

pub mod demo;
