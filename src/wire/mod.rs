//! The JSON of the control interface: what programs read and send, and how it is made from the domain.
//!
//! These types are apart from the domain's, so that the inside may change while the outside only grows. A field that does
//! not apply is null, never absent. Values of environment variables appear in [`Config`] alone. What is
//! secret is hidden in everything but [`Address`], which is there to be opened.

mod ask;
mod check;
mod config;
mod critical;
mod event;
mod graph;
mod logs;
mod plan;
mod ps;
mod status;
mod why;
mod word;

pub use ask::{
    Done, Failure, FailureKind, Goal, Ids, Reached, Reloaded, RunAction, ShutdownWish, StrangerWish, Wait, Wish,
};
pub use check::Check;
pub use config::{Config, ConfigValue};
pub use critical::{Chain, Critical, Link, Spent, Started, Unstarted, WaitedFor};
pub use event::Event;
pub use graph::{Edge, EdgeKind, Graph, GraphNode};
pub use logs::LogLine;
pub use plan::{Plan, Planned, Proposal};
pub use ps::{Process, ProcessTree, Ps};
pub use status::{
    Action, Address, Agent, AgentFacts, EarlierRun, Foreign, Group, LastExit, Mode, Problem, Sample, Samples, Service,
    Status, Waiting,
};
pub use why::{Blocker, Change, Checkout, LastAction, Spared, Why, last_healthy};

use std::time::SystemTime;

use jiff::Timestamp;

/// The calendar's time in the wire's form: RFC 3339 in UTC, to the millisecond.
pub fn timestamp(time: SystemTime) -> Timestamp {
    let exact = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact)
}

pub(crate) use ask::span;

#[cfg(test)]
mod tests;
