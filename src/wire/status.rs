//! `status`: the agent, what is wrong with the sources, and every service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Process, timestamp, word};
use crate::domain::secrets::Secrets;
use crate::domain::{self, Exit, HealthState, Light, ProcessState, ServiceId, ServiceView, Severity, Snapshot};
use crate::engine::Clock;

/// Everything that `status` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent itself.
    pub agent: Agent,
    /// The catalog's generation.
    pub generation: u64,
    /// The worst light.
    #[serde(with = "word")]
    pub light: Light,
    /// "3 of 4 healthy".
    pub summary: String,
    /// What is wrong with the sources, worst first.
    pub problems: Vec<Problem>,
    /// What has been read and waits until somebody applies it; null when nothing does.
    pub waiting: Option<Waiting>,
    /// The headings in their order.
    pub groups: Vec<Group>,
    /// The services in the order of their sources.
    pub services: Vec<Service>,
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its main file, absolute.
    pub config: String,
    /// Its state directory, absolute.
    pub state_dir: String,
    /// When it started.
    pub since: Timestamp,
    /// Whether it has a tray.
    pub mode: Mode,
    /// The dashboard's address.
    pub dashboard: Option<String>,
}

/// Whether the agent has a tray.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It has.
    Tray,
    /// It has none.
    Headless,
}

/// What the agent knows of itself.
#[derive(Clone, Debug)]
pub struct AgentFacts {
    /// Its process.
    pub pid: u32,
    /// Its main file, absolute.
    pub config: PathBuf,
    /// Its state directory, absolute.
    pub state_dir: PathBuf,
    /// When it started.
    pub since: SystemTime,
    /// Whether it has a tray at present: a session bus may come late, and go.
    pub has_tray: Arc<AtomicBool>,
    /// The dashboard's address.
    pub dashboard: Option<String>,
}

/// One thing that is wrong with a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    #[serde(with = "word")]
    pub severity: Severity,
    /// The file, relative to the main file's folder, absolute outside it.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// From 1, in characters.
    pub column: Option<u32>,
    /// The service that it is about.
    pub service: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The offending line of the file.
    pub excerpt: Option<String>,
}

/// Changes that wait to be applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The services that differ: the new, those that are defined differently, the gone.
    pub services: Vec<String>,
    /// Whether headings or the agent's settings differ.
    pub frame: bool,
    /// "added worker; main-api is spawned differently (port)".
    pub text: String,
}

/// A heading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What services and `--group` name it by.
    pub key: String,
    /// What people see.
    pub name: String,
    /// An icon, as text.
    pub icon: Option<String>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is, in a sentence or two.
    pub description: Option<String>,
    /// The key of its group.
    pub group: Option<String>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The file that defines it.
    pub source: String,
    /// False: listed, never run.
    pub enabled: bool,
    /// Whether it should run.
    pub wanted: bool,
    /// `auto_start`, `user`, `dependency:<id>` or `none`.
    pub wanted_by: String,
    /// Whether it runs.
    #[serde(with = "word")]
    pub process: ProcessState,
    /// Whether it works.
    #[serde(with = "word")]
    pub health: HealthState,
    /// Its light.
    #[serde(with = "word")]
    pub light: Light,
    /// Why it is as it is.
    pub reason: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// Its main process.
    pub pid: Option<u32>,
    /// Its run.
    pub run: Option<String>,
    /// Whether an earlier agent began the run.
    pub adopted: bool,
    /// Its own port.
    pub port: Option<u16>,
    /// Where it is reached, without what is secret of it.
    pub url: Option<String>,
    /// Automatic restarts since it was last started on purpose.
    pub restarts: u32,
    /// The age of its run.
    pub uptime_seconds: Option<f64>,
    /// How its last run ended.
    pub last_exit: Option<LastExit>,
    /// Whom it directly waits for.
    pub blocked_by: Vec<String>,
    /// What must be there before it starts.
    pub depends_on: Vec<String>,
    /// Of one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory of its tree.
    pub memory_bytes: Option<u64>,
    /// How many processes its tree has.
    pub processes: Option<u32>,
    /// Who has its port instead, while `process` is `foreign`.
    pub foreign: Option<Foreign>,
    /// What else can be done with it.
    pub actions: Vec<Action>,
}

/// Where a service is reached, to be opened: with what is secret of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// The service.
    pub id: String,
    /// Its address.
    pub url: Option<String>,
}

/// A command that the user may run for a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// Whether the user is to be asked first.
    pub confirm: bool,
}

/// A stranger on a service's own port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// The port.
    pub port: u16,
    /// Its number; null if it may not be known.
    pub pid: Option<u32>,
    /// What a wish about it names it by, so that no other process can be meant; null if it can't be told apart.
    pub identity: Option<String>,
    /// Its command line.
    pub command: Option<String>,
    /// Its working folder.
    pub folder: Option<String>,
    /// How long it has been there.
    pub age_seconds: Option<f64>,
    /// The service of ours that it belongs to: then it is no stranger, but the port is taken all the same.
    pub service: Option<String>,
    /// The run that it was begun as, if an agent has begun it.
    pub earlier_run: Option<EarlierRun>,
}

/// An earlier run that a stranger was begun as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlierRun {
    /// The service.
    pub service: String,
    /// The state directory of the agent that began it; null if it is this one's.
    pub state_dir: Option<String>,
}

/// How and when a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastExit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it, by name ("KILL").
    pub signal: Option<String>,
    /// When.
    pub at: Timestamp,
    /// In words.
    pub text: String,
}

/// What the process trees of the services that run cost at one moment.
pub type Samples = BTreeMap<ServiceId, Sample>;

/// The processes of one service's tree, the main process first.
pub type Sample = Vec<Process>;

impl Status {
    /// The status of `snapshot` by `clock`, with what its processes cost.
    pub fn of(snapshot: &Snapshot, clock: &Clock, agent: &AgentFacts, samples: &Samples) -> Self {
        Self {
            agent: Agent::of(agent),
            generation: snapshot.generation,
            light: snapshot.light,
            summary: snapshot.summary.clone(),
            problems: snapshot.problems.iter().map(Problem::of).collect(),
            waiting: snapshot.waiting.as_deref().map(Waiting::of),
            groups: snapshot.groups.iter().map(Group::of).collect(),
            services: snapshot
                .services
                .iter()
                .map(|view| Service::of(view, clock, samples.get(&view.id), &snapshot.secrets))
                .collect(),
        }
    }
}

impl Agent {
    fn of(facts: &AgentFacts) -> Self {
        Self {
            pid: facts.pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: facts.config.display().to_string(),
            state_dir: facts.state_dir.display().to_string(),
            since: timestamp(facts.since),
            mode: if facts.has_tray.load(Ordering::Relaxed) { Mode::Tray } else { Mode::Headless },
            dashboard: facts.dashboard.clone(),
        }
    }
}

impl Problem {
    /// The wire's form of `problem`.
    pub fn of(problem: &domain::Problem) -> Self {
        let place = problem.place.as_ref();
        let within = place.filter(|place| place.line != 0);
        Self {
            severity: problem.severity,
            file: place.map(|place| place.file.to_string()),
            line: within.map(|place| place.line),
            column: within.map(|place| place.column),
            service: problem.service.as_ref().map(ToString::to_string),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            excerpt: problem.excerpt.clone(),
        }
    }
}

impl Waiting {
    fn of(waiting: &domain::Waiting) -> Self {
        let services = waiting.services.iter().map(ToString::to_string).collect();
        Self { services, frame: waiting.frame, text: waiting.text.clone() }
    }

    /// What it touches: "2 services", "1 service and groups or the agent's settings".
    pub fn touches(&self) -> String {
        domain::Waiting::touched(self.services.len(), self.frame)
    }
}

impl Group {
    fn of(group: &domain::Group) -> Self {
        Self { key: group.key.clone(), name: group.name.clone(), icon: group.icon.clone() }
    }
}

impl Service {
    fn of(view: &ServiceView, clock: &Clock, sample: Option<&Sample>, secrets: &Secrets) -> Self {
        let service = &view.service;
        // A tree of which nothing could be read is not known, rather than free of cost.
        let sample = sample.filter(|processes| !processes.is_empty());
        Self {
            id: view.id.to_string(),
            name: service.display.name.clone(),
            description: service.display.description.as_deref().map(|text| secrets.hide(text).into_owned()),
            group: service.display.group.clone(),
            kind: service.type_name.clone(),
            source: service.place.file.to_string(),
            enabled: service.enabled,
            wanted: view.wanted,
            wanted_by: view.wanted_by.to_string(),
            process: view.process,
            health: view.health,
            light: view.light,
            reason: view.reason_at(clock.now()).into_owned(),
            since: timestamp(clock.wall(view.since)),
            pid: view.pid,
            run: view.run.as_ref().map(ToString::to_string),
            adopted: view.adopted,
            port: service.port,
            url: service.url.as_deref().map(|url| secrets.hide(url).into_owned()),
            restarts: view.restarts,
            uptime_seconds: view.pid.and(view.started).map(|started| seconds(clock.now().since(started))),
            last_exit: view.last_exit.as_ref().map(|last| LastExit::of(last, clock)),
            blocked_by: view.blocked_by.iter().map(|blocker| blocker.id.to_string()).collect(),
            depends_on: service.depends_on.iter().map(|needed| needed.id.to_string()).collect(),
            cpu_percent: sample.map(|all| all.iter().filter_map(|process| process.cpu_percent).sum()),
            memory_bytes: sample.map(|all| all.iter().filter_map(|process| process.memory_bytes).sum()),
            processes: sample.map(|all| u32::try_from(all.len()).unwrap_or(u32::MAX)),
            foreign: view.foreign.as_ref().map(|holder| Foreign::of(holder, clock)),
            actions: service.actions.iter().map(|action| Action::of(action)).collect(),
        }
    }
}

impl Action {
    fn of(action: &domain::Action) -> Self {
        Self { name: action.name.clone(), confirm: action.confirm }
    }
}

impl Foreign {
    /// The wire's form of `holder`.
    pub fn of(holder: &domain::PortHolder, clock: &Clock) -> Self {
        Self {
            port: holder.port,
            pid: holder.pid(),
            identity: holder.process.map(|process| process.to_string()),
            command: holder.command.clone(),
            folder: holder.folder.as_ref().map(|folder| folder.display().to_string()),
            age_seconds: holder.since.map(|since| seconds(clock.now().since(since))),
            service: holder.service.as_ref().map(ToString::to_string),
            earlier_run: holder.earlier.as_ref().map(|earlier| EarlierRun {
                service: earlier.service.to_string(),
                state_dir: earlier.elsewhere.as_ref().map(|dir| dir.display().to_string()),
            }),
        }
    }
}

impl LastExit {
    /// The wire's form of `last`.
    pub fn of(last: &domain::LastExit, clock: &Clock) -> Self {
        let code = match last.exit {
            Exit::Code(code) => Some(code),
            Exit::Signal(_) | Exit::Unknown => None,
        };
        let signal = last.exit.signal_name();
        Self { code, signal, at: timestamp(clock.wall(last.at)), text: last.exit.to_string() }
    }
}

/// Seconds to the millisecond.
fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}
