//! What a service is once all of its sources, types and settings have been put together: nothing is left to look up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fnv::Fnv1a;
use super::id::ServiceId;
use super::node::Node;
use super::problem::Place;
use super::roll::{Listed, Roll};
use super::run::Exit;

/// All services in use, in the order of their sources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// The services.
    pub services: Roll<Service>,
    /// The headings, in their order; a service names one by its key.
    pub groups: Vec<Group>,
    /// What the main file says of the agent itself.
    pub agent: AgentSettings,
}

impl Listed for Service {
    fn id(&self) -> &ServiceId {
        &self.id
    }
}

/// A heading in menu and tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What services name it by.
    pub key: String,
    /// What people see.
    pub name: String,
    /// An icon, as text.
    pub icon: Option<String>,
}

/// The top-level key `agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// Whether desktop notifications are shown at all.
    pub notifications: bool,
    /// When notifications are held back, if ever.
    pub quiet_hours: Option<QuietHours>,
    /// Whether Quit and signals stop the services.
    pub stop_on_exit: bool,
    /// Whether changed sources are taken into use by themselves; else they wait until somebody asks.
    pub applies_changes: bool,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self { notifications: true, quiet_hours: None, stop_on_exit: true, applies_changes: true }
    }
}

/// A part of each day, in local time; it may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// The first minute, counted from midnight; below 1440.
    pub from: u16,
    /// The minute after the last one, counted from midnight; below 1440, and another than `from`.
    pub to: u16,
}

/// One service, ready to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Where its definition begins.
    pub place: Place,
    /// What people see of it.
    pub display: Display,
    /// False: listed, never run.
    pub enabled: bool,
    /// The place of a written `"enabled": false`.
    pub disabled_at: Option<Place>,
    /// Wanted without being asked for.
    pub auto_start: bool,
    /// The name of its type, as written or as the list decides.
    pub type_name: String,
    /// What kind of thing there is to run.
    pub kind: Kind,
    /// The keys as written that have a say in what argv is: they name what differs, and have no meaning of their own.
    pub argv_keys: Vec<(Arc<str>, Node)>,
    /// Its own port.
    pub port: Option<u16>,
    /// Where it is reached: `base_url` with everything expanded.
    pub url: Option<String>,
    /// Other ports that it names; shown only.
    pub ports: Vec<NamedPort>,
    /// The absolute URL of its documentation.
    pub docs_url: Option<String>,
    /// How its health is told; empty: running is healthy.
    pub probes: Vec<Arc<Probe>>,
    /// What must be there before it starts.
    pub depends_on: Vec<Dependency>,
    /// Ids or capabilities that it talks to; never used for ordering.
    pub talks_to: Vec<String>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// Runs to the end; success is `completed`.
    pub one_shot: bool,
    /// What is run to the end before each start, one after the other.
    pub before_start: Vec<Arc<Step>>,
    /// Files whose change restarts it.
    pub watch: Vec<FilePattern>,
    /// What it may use.
    pub limits: Limits,
    /// What else can be done with it.
    pub actions: Vec<Arc<Action>>,
    /// When its troubles are told by notification.
    pub notify: NotifyPolicy,
    /// How much of what it writes is kept.
    pub log: LogPolicy,
}

/// Something that is run to the end before a service starts. It gets the service's directory and environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Program and arguments, never empty.
    pub argv: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// A pattern of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePattern {
    /// Below here are all files that match, or here is the only one: absolute.
    pub place: PathBuf,
    /// What the absolute path of a file must match: `*` and `?` stay within a folder, `**` does not.
    pub glob: String,
}

/// What a service may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Resident memory of its whole tree, in bytes; above it, it is restarted.
    pub memory: Option<u64>,
}

/// A command that the user may run for a service. It gets the service's directory and environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it is called; no two of a service are called the same.
    pub name: String,
    /// Program and arguments, never empty.
    pub argv: Vec<String>,
    /// Whether the user is asked first.
    pub confirm: bool,
}

/// When a service's troubles are told by notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotifyPolicy {
    /// Whether they are told at all.
    pub enabled: bool,
    /// How long a trouble must last before it is told.
    pub after: Duration,
}

impl Default for NotifyPolicy {
    fn default() -> Self {
        Self { enabled: true, after: Duration::ZERO }
    }
}

/// How much of what a service writes is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPolicy {
    /// The length, in bytes, above which the log is rotated.
    pub max_size: u64,
    /// How many rotated pieces are kept beside the log.
    pub keep: u32,
}

impl Default for LogPolicy {
    fn default() -> Self {
        Self { max_size: 50_000_000, keep: 3 }
    }
}

/// What people see of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Display {
    /// Its name; the id if none is given.
    pub name: String,
    /// One or two sentences.
    pub description: Option<String>,
    /// An icon, as text.
    pub icon: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Names of capabilities that it offers.
    pub provides: Vec<String>,
    /// The key of its group.
    pub group: Option<String>,
}

/// A further port that a definition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPort {
    /// What it is.
    pub name: Option<String>,
    /// The variable it is exported by.
    pub env: Option<String>,
    /// The port.
    pub port: u16,
}

/// What there is to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A process of ours.
    Process(Arc<Spawn>),
    /// Something that others run: watched and shown only.
    External,
    /// Its life belongs to another engine, which this version does not drive yet.
    Detached,
    /// No process at all: it only exports settings.
    Settings,
}

/// All that a spawn depends on.
#[derive(Clone, Debug)]
pub struct Spawn {
    /// Program and arguments, never empty, without a shell.
    pub argv: Vec<String>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// The variables of its own, after expansion; `None` removes one that would be inherited.
    pub env: BTreeMap<String, Option<String>>,
    /// What other services export and `.env` holds: weaker than `env`, stronger than what is inherited. A change
    /// takes effect at the next start and restarts nothing.
    pub shared_env: Arc<BTreeMap<String, String>>,
}

impl Spawn {
    /// A hash of argv, directory and own environment, the same over all builds and machines.
    pub fn hash(&self) -> String {
        let mut hash = Fnv1a::default();
        hash.write_count(self.argv.len());
        self.argv.iter().for_each(|argument| hash.write_text(argument));
        hash.write_text(&self.cwd.to_string_lossy());
        for (name, value) in &self.env {
            hash.write_text(name);
            match value {
                Some(value) => hash.write_text(value),
                None => hash.write_count(usize::MAX),
            }
        }
        format!("{:016x}", hash.sum())
    }

    /// A hash of the value of each shared variable, by name: enough to tell later which of them have changed, and no
    /// place where their values are kept once more.
    pub fn shared_hashes(&self) -> BTreeMap<String, String> {
        let hash = |value: &str| {
            let mut hash = Fnv1a::default();
            hash.write_text(value);
            // A name and half a hash: there may be many, and each run keeps them.
            format!("{:08x}", (hash.sum() >> 32) ^ (hash.sum() & 0xffff_ffff))
        };
        self.shared_env.iter().map(|(name, value)| (name.clone(), hash(value))).collect()
    }
}

/// Equal when the process would be the same; what others export does not count.
impl PartialEq for Spawn {
    fn eq(&self, other: &Self) -> bool {
        let Self { argv, cwd, env, shared_env: _ } = self;
        *argv == other.argv && *cwd == other.cwd && *env == other.env
    }
}

/// One probe and its pace.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What is asked.
    pub check: Check,
    /// The steady pace.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many passes in a row make it healthy; at least 1.
    pub healthy_after: u32,
    /// How many failures in a row make it unhealthy; at least 1.
    pub unhealthy_after: u32,
    /// How long after a start failures do not count.
    pub grace: Duration,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// GET this URL.
    Http {
        /// The absolute URL.
        url: String,
        /// Statuses that pass, as inclusive ranges.
        status: Vec<(u16, u16)>,
        /// Text that the body must contain.
        body: Option<String>,
    },
    /// Connect to this host and port.
    Tcp {
        /// A name or address; `localhost` means both loopback addresses.
        host: String,
        /// The port.
        port: u16,
    },
    /// Connect to this Unix socket.
    Unix {
        /// Its path, absolute.
        path: PathBuf,
    },
    /// Run this to the end; 0 passes. It gets the service's directory and environment.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// Wait for a line of the service's own output; counts for readiness only.
    Log {
        /// A regular expression.
        pattern: String,
    },
    /// Look whether this file is there, and fresh.
    File {
        /// Its path, absolute.
        path: PathBuf,
        /// How long ago it may have been written; `None`: it need only be there.
        max_age: Option<Duration>,
    },
}

/// One entry of `depends_on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The service that is needed.
    pub id: ServiceId,
    /// What of it is waited for.
    pub condition: Condition,
    /// Whether its restart restarts the dependent.
    pub restart: bool,
}

/// What of a dependency is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its process has been spawned.
    Started,
    /// It is healthy (or degraded).
    Healthy,
    /// It ran to the end with success.
    Completed,
}

/// When a service is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// After which ends.
    pub when: RestartWhen,
    /// Whether it is restarted when it lives but has turned unhealthy.
    pub on_unhealthy: bool,
    /// The exit codes that are a success.
    pub success_exit_codes: BTreeSet<i32>,
    /// The least time before a restart.
    pub delay: Duration,
    /// The most that doubling leads to.
    pub max_delay: Duration,
    /// How many automatic restarts within `window` are tried; 0: without end.
    pub max_restarts: u32,
    /// The window of `max_restarts`.
    pub window: Duration,
    /// So much healthy life clears the delay.
    pub reset_after: Duration,
}

/// After which ends a service is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartWhen {
    /// After each.
    Always,
    /// After those that are not a success.
    OnFailure,
    /// After none.
    Never,
}

impl RestartPolicy {
    /// Whether a process that ended like this has done what it should.
    pub fn is_success(&self, exit: &Exit) -> bool {
        match exit {
            Exit::Code(code) => self.success_exit_codes.contains(code),
            Exit::Signal(_) | Exit::Unknown => false,
        }
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            when: RestartWhen::OnFailure,
            on_unhealthy: false,
            success_exit_codes: BTreeSet::from([0]),
            delay: Duration::ZERO,
            max_delay: Duration::from_secs(60),
            max_restarts: 5,
            window: Duration::from_secs(600),
            reset_after: Duration::from_secs(10),
        }
    }
}

/// How a service is stopped: ask, wait, then kill what is left of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// What it is asked with, unless there is a command.
    pub signal: Signal,
    /// A command that asks it instead: program and arguments, never empty. It gets the service's directory and
    /// environment.
    pub command: Option<Vec<String>>,
    /// How long it may take.
    pub timeout: Duration,
    /// How much of its tree has to end.
    pub tree: StopTree,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { signal: Signal::Term, command: None, timeout: Duration::from_secs(10), tree: StopTree::All }
    }
}

/// How much of a service's tree has to end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopTree {
    /// All of it.
    All,
    /// All but what has moved to a session of its own.
    Group,
}

/// A signal that asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
    /// SIGKILL.
    Kill,
    /// SIGABRT.
    Abrt,
    /// SIGALRM.
    Alrm,
    /// SIGCONT.
    Cont,
    /// SIGPIPE.
    Pipe,
    /// SIGTRAP.
    Trap,
    /// SIGTTIN.
    Ttin,
    /// SIGTTOU.
    Ttou,
    /// SIGURG.
    Urg,
    /// SIGVTALRM.
    Vtalrm,
    /// SIGWINCH.
    Winch,
    /// SIGXCPU.
    Xcpu,
    /// SIGXFSZ.
    Xfsz,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Term,
        Self::Int,
        Self::Quit,
        Self::Hup,
        Self::Usr1,
        Self::Usr2,
        Self::Kill,
        Self::Abrt,
        Self::Alrm,
        Self::Cont,
        Self::Pipe,
        Self::Trap,
        Self::Ttin,
        Self::Ttou,
        Self::Urg,
        Self::Vtalrm,
        Self::Winch,
        Self::Xcpu,
        Self::Xfsz,
    ];

    /// The name without "SIG".
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Kill => "KILL",
            Self::Abrt => "ABRT",
            Self::Alrm => "ALRM",
            Self::Cont => "CONT",
            Self::Pipe => "PIPE",
            Self::Trap => "TRAP",
            Self::Ttin => "TTIN",
            Self::Ttou => "TTOU",
            Self::Urg => "URG",
            Self::Vtalrm => "VTALRM",
            Self::Winch => "WINCH",
            Self::Xcpu => "XCPU",
            Self::Xfsz => "XFSZ",
        }
    }
}
