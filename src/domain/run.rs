//! Facts about runs: how one ended, what was found of an earlier agent's, who holds a port.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

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
    /// What it got of shared variables, as [`shared_hashes`](super::Spawn::shared_hashes), if a record tells.
    pub shared_hashes: Option<BTreeMap<String, String>>,
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

/// One process, told apart from every other that had or will have its number since the machine's boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it began, by the system's own count; only compared.
    pub start: u64,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.start)
    }
}

impl FromStr for ProcessId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('-').and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
        let (pid, start) = numbers.ok_or_else(|| format!("{text:?} names no process"))?;
        Ok(Self { pid, start })
    }
}

/// Who listens on a port that a service wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// The port.
    pub port: u16,
    /// The process, if it may be known.
    pub process: Option<ProcessId>,
    /// Its command line, if it may be known.
    pub command: Option<String>,
    /// Its working folder, if it may be known.
    pub folder: Option<PathBuf>,
    /// When it began, if it may be known.
    pub since: Option<Moment>,
    /// The service of ours that it belongs to: one of its living run's processes.
    pub service: Option<ServiceId>,
    /// The run that it was begun as, if an agent has begun it and no run of ours has it now.
    pub earlier: Option<EarlierRun>,
}

/// A run that a process was begun as, by the marker in its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierRun {
    /// The service.
    pub service: ServiceId,
    /// The state directory of the agent that began it, if it is not ours.
    pub elsewhere: Option<PathBuf>,
}

impl PortHolder {
    /// Somebody of whom nothing is known but the port.
    pub fn unknown(port: u16) -> Self {
        Self { port, process: None, command: None, folder: None, since: None, service: None, earlier: None }
    }

    /// Its number, if it may be known.
    pub fn pid(&self) -> Option<u32> {
        self.process.map(|process| process.pid)
    }

    /// Whether `other` is the same process on the same port, whatever it calls itself by now.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.port, self.process, &self.service) == (other.port, other.process, &other.service)
    }

    /// All of it as a fragment, with its age at `now`.
    pub fn told_at(&self, now: Moment) -> String {
        self.told(self.since.map(|since| now.since(since)))
    }

    fn told(&self, age: Option<Duration>) -> String {
        let port = self.port;
        let who = match (&self.service, self.pid(), &self.command) {
            (Some(service), Some(pid), _) => return format!("port {port} is taken by service {service} (pid {pid})"),
            (Some(service), None, _) => return format!("port {port} is taken by service {service}"),
            (None, Some(pid), Some(command)) => format!("pid {pid} ({command})"),
            (None, Some(pid), None) => format!("pid {pid}"),
            (None, None, _) => "a process of another user".to_owned(),
        };
        let mut told = format!("port {port} is taken by {who}");
        if let Some(folder) = &self.folder {
            told.push_str(&format!(" in {}", folder.display()));
        }
        if let Some(age) = age {
            told.push_str(&format!(", {} old", span_in_words(age)));
        }
        match &self.earlier {
            Some(EarlierRun { service, elsewhere: None }) => told.push_str(&format!(", an earlier run of {service}")),
            Some(EarlierRun { service, elsewhere: Some(dir) }) => {
                told.push_str(&format!(", a run of {service} by the agent with the state in {}", dir.display()));
            }
            None => {}
        }
        told
    }
}

/// Without its age, which changes by itself.
impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(None))
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

/// One number is enough to know how old something is.
fn span_in_words(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_told_with_all_that_is_known_of_it() {
        let now = Moment::at(Duration::from_secs(10_000));
        let plain = PortHolder {
            process: Some(ProcessId { pid: 42, start: 7 }),
            command: Some("nc -l 8000".to_owned()),
            ..PortHolder::unknown(8000)
        };
        assert_eq!(plain.to_string(), "port 8000 is taken by pid 42 (nc -l 8000)");
        let placed =
            PortHolder { folder: Some("/srv".into()), since: Some(now - Duration::from_secs(7200)), ..plain.clone() };
        assert_eq!(placed.told_at(now), "port 8000 is taken by pid 42 (nc -l 8000) in /srv, 2 h old");
        let service = ServiceId::new("api").unwrap();
        let of = |elsewhere| PortHolder {
            earlier: Some(EarlierRun { service: service.clone(), elsewhere }),
            ..plain.clone()
        };
        assert!(of(None).to_string().ends_with(", an earlier run of api"));
        let told = of(Some("/other".into())).to_string();
        assert!(told.ends_with(", a run of api by the agent with the state in /other"), "{told}");
        let ours = PortHolder { service: Some(service.clone()), ..placed };
        assert_eq!(ours.told_at(now), "port 8000 is taken by service api (pid 42)");
        assert_eq!(PortHolder::unknown(80).to_string(), "port 80 is taken by a process of another user");
    }

    #[test]
    fn a_process_is_named_by_its_number_and_its_start() {
        let process = ProcessId { pid: 42, start: 133_000_000_000_000_001 };
        assert_eq!(process.to_string().parse(), Ok(process));
        for text in ["", "42", "42-", "-7", "a-b", "42-7-7", "42--7", "4294967296-1"] {
            assert!(text.parse::<ProcessId>().is_err(), "{text}");
        }
    }
}
