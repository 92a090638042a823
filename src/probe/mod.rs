//! Asks services how they are: over HTTP, TCP, Unix sockets, by running a program, or by what they write.
//!
//! One order is one question and one answer. When to ask, how often, and what an answer means for health is decided
//! elsewhere; from one probe to the next nothing is remembered but how far a log has been read, and no connection is
//! kept. Whatever a service says is cleaned and cut before it goes into an answer.

mod connect;
#[cfg_attr(windows, path = "windows/exec.rs")]
mod exec;
mod file;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod net;
mod output;
mod plain;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows/socket.rs")]
mod platform;
mod words;

pub use net::NetProbes;
pub use output::{OpenOutput, Output};

#[cfg(test)]
#[cfg(unix)]
mod tests;
