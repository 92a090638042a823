//! What all faces see: one immutable picture of everything, published whole.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::catalog::Basis;
use super::id::{RunId, ServiceId};
use super::launch::Launch;
use super::moment::Moment;
use super::problem::Problem;
use super::roll::{Listed, Roll};
use super::run::{Exit, PortHolder, Spared};
use super::secrets::Secrets;
use super::service::{Group, Service};

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Rises by one with each published picture.
    pub revision: u64,
    /// The catalog's generation.
    pub generation: u64,
    /// The worst of all lights.
    pub light: Light,
    /// "3 of 4 healthy".
    pub summary: String,
    /// What is wrong with the sources; worst first.
    pub problems: Arc<[Problem]>,
    /// The headings, in their order.
    pub groups: Arc<[Group]>,
    /// All services, in the order of their sources.
    pub services: Roll<ServiceView>,
    /// What the services were made of: who asks where a value comes from works it out from this.
    pub basis: Arc<Basis>,
    /// What is to be hidden where more is shown than what is said here, which hides it already.
    pub secrets: Arc<Secrets>,
    /// What has been read and waits until the user applies it.
    pub waiting: Option<Arc<Waiting>>,
    /// Whether the user wants no notifications for now.
    pub notifications_paused: bool,
    /// Whether the agent is about to end.
    pub shutting_down: bool,
}

impl Snapshot {
    /// What is shown before anything has been read.
    pub fn empty() -> Self {
        Self {
            revision: 0,
            generation: 0,
            light: Light::Gray,
            summary: "nothing wanted".to_owned(),
            problems: Arc::new([]),
            groups: Arc::new([]),
            services: Roll::default(),
            basis: Arc::default(),
            secrets: Arc::default(),
            waiting: None,
            notifications_paused: false,
            shutting_down: false,
        }
    }

    /// The view of `id`.
    pub fn service(&self, id: &str) -> Option<&Arc<ServiceView>> {
        self.services.get(id)
    }
}

/// Changes that wait to be taken into use, with `"reload": "manual"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The services that differ: the new, those that are defined differently, the gone.
    pub services: Vec<ServiceId>,
    /// Whether headings or the agent's settings differ.
    pub frame: bool,
    /// All of it in one sentence: "added worker; main-api is spawned differently (port)".
    pub text: String,
}

impl Waiting {
    /// What it touches: "2 services", "1 service and groups or the agent's settings".
    pub fn touches(&self) -> String {
        Self::touched(self.services.len(), self.frame)
    }

    /// The same of so many services, and of headings or the agent's settings if `frame`.
    pub fn touched(services: usize, frame: bool) -> String {
        let services = match services {
            0 if frame => return "groups or the agent's settings".to_owned(),
            1 => "1 service".to_owned(),
            count => format!("{count} services"),
        };
        if frame { services + " and groups or the agent's settings" } else { services }
    }
}

/// One service at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    /// Its id.
    pub id: ServiceId,
    /// Its definition in use.
    pub service: Arc<Service>,
    /// Whether it should run.
    pub wanted: bool,
    /// By whom.
    pub wanted_by: WantedBy,
    /// Whether it runs.
    pub process: ProcessState,
    /// Whether it works.
    pub health: HealthState,
    /// Its light.
    pub light: Light,
    /// Why it is as it is: one sentence without a full stop.
    pub reason: String,
    /// Since when `process`, `health` and `wanted` are what they are.
    pub since: Moment,
    /// Its main process.
    pub pid: Option<u32>,
    /// Its run.
    pub run: Option<RunId>,
    /// When the run began.
    pub started: Option<Moment>,
    /// Whether the run was begun by an earlier agent.
    pub adopted: bool,
    /// Whether it has no probes, and its run is so young that its being there does not say yet that it works.
    pub is_fresh: bool,
    /// Automatic restarts since the user or a definition last started it.
    pub restarts: u32,
    /// How its last run ended.
    pub last_exit: Option<LastExit>,
    /// The first thing that went wrong since it was last healthy.
    pub first_cause: Option<String>,
    /// Whom it directly waits for, and why.
    pub blocked_by: Vec<Blocker>,
    /// When it is tried again.
    pub next_try: Option<Moment>,
    /// What its last run left when it ended; from an earlier agent, what is left of all.
    pub spared: Vec<Spared>,
    /// How its last start went; `None` if this agent has not started it.
    pub launch: Option<Arc<Launch>>,
    /// Whether faces offer a switch for it and counts include it.
    pub counted: bool,
    /// Who has its port instead, while `process` is [`ProcessState::Foreign`].
    pub foreign: Option<PortHolder>,
    /// The action that was run for it last.
    pub last_action: Option<LastAction>,
}

impl Listed for ServiceView {
    fn id(&self) -> &ServiceId {
        &self.id
    }
}

/// How the last action of a service came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAction {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: ActionState,
    /// Since when.
    pub at: Moment,
}

/// How far an action is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It runs.
    Running,
    /// It has succeeded.
    Done,
    /// It has failed, and why.
    Failed(String),
}

impl ServiceView {
    /// The reason, with what changes by itself: how old a stranger is at `now`.
    pub fn reason_at(&self, now: Moment) -> Cow<'_, str> {
        let aged = self.foreign.as_ref().and_then(|holder| {
            let rest = self.reason.strip_prefix(&holder.to_string())?;
            Some(holder.told_at(now) + rest)
        });
        aged.map_or(Cow::Borrowed(&self.reason), Cow::Owned)
    }
}

/// How and when a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastExit {
    /// How.
    pub exit: Exit,
    /// When.
    pub at: Moment,
}

/// A dependency that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Which.
    pub id: ServiceId,
    /// What about it: "is starting", "was stopped by the user".
    pub reason: String,
}

/// Who wants a service; the first that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedBy {
    /// The user switched it on.
    User,
    /// Its definition says so.
    AutoStart,
    /// This wanted service needs it.
    Dependency(ServiceId),
    /// Nobody.
    None,
}

impl fmt::Display for WantedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::AutoStart => f.write_str("auto_start"),
            Self::Dependency(id) => write!(f, "dependency:{id}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Does it run?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// No process, and none is due.
    Stopped,
    /// Wanted, but something that it needs is not there.
    Waiting,
    /// Until the first probe has passed or the grace has ended.
    Starting,
    /// It runs.
    Running,
    /// It has been asked to end.
    Stopping,
    /// It ended, and is tried again in a while.
    Backoff,
    /// It ended, and is not tried again.
    Failed,
    /// A one-shot that succeeded.
    Completed,
    /// Another process has its port.
    Foreign,
}

impl ProcessState {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Stopped,
        Self::Waiting,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Backoff,
        Self::Failed,
        Self::Completed,
        Self::Foreign,
    ];

    /// The word that users and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Foreign => "foreign",
        }
    }
}

/// Does it work?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// There is no process that could.
    Stopped,
    /// Too early to tell.
    Starting,
    /// It does.
    Healthy,
    /// It does, and says itself that something is amiss.
    Degraded,
    /// It does not.
    Unhealthy,
    /// Not asked yet, or not since the machine slept.
    Unknown,
}

impl HealthState {
    /// The word that users and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}

/// The colour, ordered from nothing to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Light {
    /// Nothing is wanted.
    Gray,
    /// All is well.
    Green,
    /// Something is under way or not quite well.
    Yellow,
    /// Something does not work.
    Red,
}

impl Light {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gray, Self::Green, Self::Yellow, Self::Red];

    /// The word that users and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gray => "gray",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}
