//! Processes on Windows: each run's tree is a Job Object of its own, and each of its processes is held by a handle.
//!
//! The job is named after the run and does not end its processes when it is closed, so that they go on when the agent
//! dies, and the next agent finds the whole tree again. A name lasts as long as somebody holds the job: each main process
//! is lent a handle of its own. What a run starts is in its job from its first instruction on, because the main process
//! begins suspended.
//!
//! A run has a console of its own without a window: the agent's terminal can be closed without ending the services, and
//! all of the run, and nobody else, hears when it is asked to end.

pub(super) mod action;
mod adopt;
mod console;
mod environment;
mod held;
mod job;
mod os;
mod port;
mod program;
mod run;
mod spawn;
mod stranger;

pub use adopt::peek;
pub use console::errand;
pub use os::OsProcesses;
