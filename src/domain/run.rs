//! Facts about runs: how one ended, what was found of an earlier agent's, who holds a port.

use std::fmt;

use super::id::{RunId, ServiceId};
use super::moment::Moment;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it: its number.
    Signal(i32),
    /// It was not our child, and the system did not keep its status.
    Unknown,
}

impl Exit {
    /// The signal's name without "SIG" ("KILL"), or its number as text; `None` if it was not a signal.
    pub fn signal_name(&self) -> Option<String> {
        match self {
            Self::Signal(number) => Some(signal_name(*number)),
            Self::Code(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => write!(f, "killed by SIG{}", signal_name(*number)),
            Self::Unknown => f.write_str("ended; exit code not known: adopted"),
        }
    }
}

/// Names of the signals that end processes, by their numbers, which are the same on Linux and macOS.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        5 => "TRAP",
        6 => "ABRT",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        // The rest differ between systems or end nothing.
        _ => return number.to_string(),
    };
    name.to_owned()
}

/// A run of an earlier agent that is provably ours and still lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRun {
    /// The service that it is of.
    pub id: ServiceId,
    /// Its run id.
    pub run: RunId,
    /// Its main process; `None` if that has ended and only others of its tree are left.
    pub pid: Option<u32>,
    /// The hash of what was spawned, if a record tells.
    pub spawn_hash: Option<String>,
    /// When it began.
    pub since: Moment,
}

/// A run of an earlier agent, in this boot of the machine, of which the end is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEnd {
    /// The service that it was of.
    pub id: ServiceId,
    /// The hash of what was spawned.
    pub spawn_hash: String,
    /// How it ended.
    pub exit: Exit,
}

/// A process that was left when its run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spared {
    /// The process.
    pub pid: u32,
    /// Its command line, or its name where it has none; harmless to show.
    pub command: String,
}

/// Who listens on a port that a service wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// The port.
    pub port: u16,
    /// The process, if it may be known.
    pub pid: Option<u32>,
    /// Its command line, if it may be known.
    pub command: Option<String>,
    /// The service of ours that it belongs to.
    pub service: Option<ServiceId>,
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} is taken by ", self.port)?;
        match (&self.service, self.pid, &self.command) {
            (Some(service), Some(pid), _) => write!(f, "service {service} (pid {pid})"),
            (Some(service), None, _) => write!(f, "service {service}"),
            (None, Some(pid), Some(command)) => write!(f, "pid {pid} ({command})"),
            (None, Some(pid), None) => write!(f, "pid {pid}"),
            (None, None, _) => f.write_str("a process of another user"),
        }
    }
}

/// What one probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Pass,
    /// It passed, and the service says of itself that it is degraded.
    Degraded(String),
    /// It did not pass, and why: "connection refused", "answered 503".
    Fail(String),
}
