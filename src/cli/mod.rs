//! The command line: what can be typed, the client of the control interface, and text for people.
//!
//! It knows the agent only by the control interface. Logs are read without it; sources are checked elsewhere, and only
//! shown here.

mod args;
mod client;
mod confirm;
mod exit;
mod logs;
mod offline;
mod plan;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod platform;
mod render;

pub use args::{
    Adopt, Ask, Check, Command, Global, GraphFormat, Ids, Invocation, Logs, Output, Plan, Run, RunAction, Stop,
    Targets, WaitFor, parse,
};
pub use client::{Control, client, client_on};
pub use exit::Exit;
pub use logs::{LogForm, LogPrinter, logs};
pub use offline::{COMPLETION_VARIABLE, check, command, completions, refuse, remark, schema};
pub use plan::{plan, refuse_file};
pub use render::{
    Change, Look, render_change, render_check, render_config, render_critical, render_event, render_graph,
    render_light, render_plan, render_problem, render_ps, render_status, render_waiting, render_why,
};
