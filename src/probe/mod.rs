//! Asks services how they are: over HTTP, TCP, Unix sockets, or by running a program.
//!
//! One order is one question and one answer. When to ask, how often, and what an answer means for health is decided
//! elsewhere; nothing is remembered from one probe to the next, and no connection is kept. Whatever a service says is
//! cleaned and cut before it goes into an answer.

mod connect;
#[cfg_attr(windows, path = "windows/exec.rs")]
mod exec;
mod http;
mod net;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows/socket.rs")]
mod platform;
mod words;

pub use net::NetProbes;

#[cfg(test)]
#[cfg(unix)]
mod tests;
