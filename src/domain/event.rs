//! All that can happen, be wished, or be ordered: three closed enums.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::catalog::Reading;
use super::forecast::{Forecast, Proposal};
use super::id::{RunId, ServiceId};
use super::notice::Notice;
use super::run::{Exit, FoundEnd, FoundRun, Outcome, PortHolder, ProcessId, Spared};
use super::service::{FilePattern, LogPolicy, Probe, Signal, Spawn, StopTree};

/// A fact, told by an effect; in the past tense.
#[derive(Clone, Debug)]
pub enum Event {
    /// What an earlier agent left: its living runs and the user's wishes. Comes once, before everything else.
    Found {
        /// The runs that are provably ours and live.
        runs: Vec<FoundRun>,
        /// The last runs of services of which nothing lives.
        ends: Vec<FoundEnd>,
        /// What runs that are over have left, as far as it lives, by their services.
        spared: Vec<(ServiceId, Vec<Spared>)>,
        /// What the user has switched on or off.
        intent: Intent,
        /// Whether there was more of that, which could not be read.
        is_intent_lost: bool,
    },
    /// Something that the catalog is made of may have changed.
    SourcesTouched {
        /// Why it is thought so, in words.
        cause: String,
    },
    /// All sources have been read.
    SourcesRead(Reading),
    /// The process of this run lives.
    Spawned {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: u32,
    },
    /// There is no process, and there will be none.
    SpawnFailed {
        /// The run.
        run: RunId,
        /// Why, as a fragment: "program not found: pnpm".
        error: String,
        /// Whether it would fail again at once (a missing program), so that trying again is of no use.
        lasting: bool,
    },
    /// Nothing was spawned, because another process listens on the service's own port.
    PortTaken {
        /// The run that would have been.
        run: RunId,
        /// Who has it.
        holder: PortHolder,
    },
    /// The stranger is in our hands, and is followed and ended like a run from now on.
    Taken {
        /// The run that it is.
        run: RunId,
    },
    /// The stranger is left alone.
    NotTaken {
        /// The run that it would have been.
        run: RunId,
        /// Why, as a fragment: "pid 42 has ended".
        error: String,
    },
    /// The main process ended. With `left` 0 the run is over.
    Exited {
        /// The run.
        run: RunId,
        /// How.
        exit: Exit,
        /// How many other processes of its tree still live; [`Event::Ended`] follows once those of them have ended
        /// that have to.
        left: u32,
    },
    /// Nothing of the run's tree that has to end lives any more, after an [`Event::Exited`] with others left.
    Ended {
        /// The run.
        run: RunId,
        /// What has moved to a session of its own and was left, by [`StopTree::Group`]; nobody's from now on.
        spared: Vec<Spared>,
    },
    /// Processes of the run survived being killed (uninterruptible, or another user's).
    KillFailed {
        /// The run.
        run: RunId,
        /// The survivors.
        pids: Vec<u32>,
    },
    /// A file that a service watches has changed.
    FilesTouched {
        /// The service.
        id: ServiceId,
        /// The file, absolute.
        file: String,
    },
    /// A probe has been answered.
    Probed {
        /// The run that was probed.
        run: RunId,
        /// Which of the service's probes.
        index: usize,
        /// What it found.
        outcome: Outcome,
    },
    /// The memory of a run has been measured.
    Measured {
        /// The run.
        run: RunId,
        /// The resident memory of its whole tree in bytes; `None` if it can't be told.
        memory: Option<u64>,
    },
    /// An action has ended, or could not be started.
    ActionEnded {
        /// What it ran as.
        run: RunId,
        /// How it ended; `None` if it could not be started.
        exit: Option<Exit>,
        /// Its last line, or why it could not be started, as a fragment.
        words: String,
    },
    /// The log of this service can't be kept within its bounds, or can again.
    LogTroubled {
        /// The service.
        id: ServiceId,
        /// What is wrong; `None`: nothing any more.
        trouble: Option<String>,
    },
    /// The machine slept.
    Resumed,
    /// The calendar clock was set.
    ClockSet,
    /// What time of day it is.
    TimeOfDay {
        /// How much of the day has passed, in local time.
        since_midnight: Duration,
    },
    /// A face or a signal wishes something.
    Commanded {
        /// Names the answer; the engine knows who waits for it.
        ticket: u64,
        /// The wish.
        command: Command,
    },
}

/// A wish of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Switch these on.
    Start(Selection),
    /// Switch these off.
    Stop(Selection),
    /// Give these a new run.
    Restart(Selection),
    /// Forget what the user has said of these.
    Reset(Selection),
    /// Read everything again. Answered when all of it is judged; changes that wait go on waiting.
    Read,
    /// Read everything again and take it into use, also what waits for that. Answered when that is done.
    Reload,
    /// Tell what would happen if the sources were like this; nothing is done.
    Plan(Proposal),
    /// Take the stranger on this service's port as its run.
    Adopt {
        /// The service.
        id: ServiceId,
        /// The process that the user was shown and has said yes to.
        stranger: ProcessId,
    },
    /// End the stranger on this service's port, so that the service can start. Answered when it is gone.
    StopStranger {
        /// The service.
        id: ServiceId,
        /// The process that the user was shown and has said yes to.
        stranger: ProcessId,
    },
    /// Run an action of a service. Answered when it has ended.
    RunAction {
        /// The service.
        id: ServiceId,
        /// The action's name.
        name: String,
        /// Whether whoever wishes it sees no answer, so that a failure has to be told by a notification.
        is_unseen: bool,
    },
    /// Show no notifications until told otherwise.
    PauseNotifications(bool),
    /// Show no notifications of this service for a while.
    Mute {
        /// The service.
        id: ServiceId,
        /// For so long.
        span: Duration,
    },
    /// End the agent.
    Shutdown(Shutdown),
}

/// What becomes of the services when the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// As `stop_on_exit` says.
    AsConfigured,
    /// They are left running for the next agent.
    Keep,
    /// At once: what is left of the services is killed (or left as it is where `stop_on_exit` is false).
    Now,
}

/// Which services a wish is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every enabled one.
    All,
    /// Those under this heading: its key or its name.
    Group(String),
    /// These.
    Ids(Vec<ServiceId>),
}

/// What the user has switched on (true) or off (false); whoever is not in it follows its `auto_start`.
pub type Intent = BTreeMap<ServiceId, bool>;

/// The answer to a [`Command`].
pub type Answer = Result<Accepted, Refusal>;

/// A wish was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What to wait for, if one wants to wait.
    pub aims: Vec<Aim>,
    /// What else the wish brought about, a sentence each: "db, which was stopped by the user, starts as well".
    pub remarks: Vec<String>,
    /// What would happen, if that was the question.
    pub forecast: Option<Forecast>,
}

/// What a wish is to bring about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Of this service.
    pub id: ServiceId,
    /// This.
    pub goal: Goal,
    /// A run that does not count, because the wish is for another.
    pub not_run: Option<RunId>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Healthy, degraded, or completed.
    Healthy,
    /// A process runs (or ran to its end).
    Running,
    /// Nothing of it runs.
    Stopped,
    /// It ran to the end with success.
    Completed,
}

/// A wish was not taken, and nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such service; with a name that is meant, perhaps.
    NoSuchService {
        /// The id that was asked for.
        id: String,
        /// An id that is like it.
        similar: Option<String>,
    },
    /// There is no such group.
    NoSuchGroup(String),
    /// It can't be done, and why, as a sentence.
    Impossible(String),
}

/// An order to an effect; in the imperative. Nothing is left to decide.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Read all sources, and answer with [`Event::SourcesRead`]. A read under way is followed by one more.
    ReadSources {
        /// Why, in words.
        cause: String,
        /// The number of this order; rises.
        order: u64,
    },
    /// Start a process; answer with `Spawned`, `SpawnFailed` or `PortTaken`.
    Spawn(SpawnOrder),
    /// Take a stranger on a service's port in hand; answer with `Taken` or `NotTaken`.
    Take(TakeOrder),
    /// Ask the run to end: its group while its main process lives, all that is left of it afterwards.
    Ask {
        /// The run.
        run: RunId,
        /// With this.
        signal: Signal,
        /// How much of it has to end, from now on.
        tree: StopTree,
    },
    /// Kill the tree of the run until nothing is left that has to end; ends in `Exited` or `Ended`, or `KillFailed`.
    Kill {
        /// The run.
        run: RunId,
        /// How much of it has to end, from now on.
        tree: StopTree,
    },
    /// Probe once, and answer with [`Event::Probed`].
    Probe(ProbeOrder),
    /// Measure the memory of a run once, and answer with [`Event::Measured`].
    Measure(MeasureOrder),
    /// Run an action, and answer with [`Event::ActionEnded`].
    RunAction(ActionOrder),
    /// Keep the logs of these services, and of no others, within these bounds from now on.
    KeepLogs(BTreeMap<ServiceId, LogPolicy>),
    /// From now on tell of changes of these files of a service, and of no others; answer with [`Event::FilesTouched`].
    WatchFiles {
        /// The service.
        id: ServiceId,
        /// Which files.
        patterns: Vec<FilePattern>,
    },
    /// Store the user's wishes durably.
    SaveIntent(Intent),
    /// Add a line to what happened.
    Record(Occurrence),
    /// Show a notification (or replace an earlier one).
    Notify(Notice),
    /// Answer with [`Event::TimeOfDay`].
    TellTimeOfDay,
    /// Answer a command.
    Answer {
        /// Whose.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// End the agent: all that was to be stopped is stopped.
    Exit,
}

/// What to spawn.
#[derive(Clone, Debug)]
pub struct SpawnOrder {
    /// The service.
    pub id: ServiceId,
    /// The new run; its id tells what it is for.
    pub run: RunId,
    /// Program, directory, environment.
    pub spawn: Arc<Spawn>,
    /// Its own port, which must be free.
    pub port: Option<u16>,
}

/// Which stranger to take in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeOrder {
    /// The service whose port it has.
    pub id: ServiceId,
    /// The run that it becomes.
    pub run: RunId,
    /// The process; no other one.
    pub stranger: ProcessId,
    /// The port that it must listen on.
    pub port: u16,
    /// What the definition spawns, if it becomes the service's run, which later agents are to know; `None` if it is
    /// only taken to be ended.
    pub spawn_hash: Option<String>,
}

/// Which action to run.
#[derive(Clone, Debug)]
pub struct ActionOrder {
    /// The service.
    pub id: ServiceId,
    /// What it runs as.
    pub run: RunId,
    /// The action's name.
    pub name: String,
    /// The action's argv in the service's directory and environment.
    pub spawn: Arc<Spawn>,
}

/// What to probe.
#[derive(Clone, Debug)]
pub struct ProbeOrder {
    /// The service.
    pub id: ServiceId,
    /// The run that is probed (or the watch over something that is not ours).
    pub run: RunId,
    /// Which of the service's probes.
    pub index: usize,
    /// The probe.
    pub probe: Arc<Probe>,
    /// Directory and environment of an `exec` probe.
    pub spawn: Option<Arc<Spawn>>,
}

/// What to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasureOrder {
    /// The service.
    pub id: ServiceId,
    /// The run.
    pub run: RunId,
    /// Its main process.
    pub pid: u32,
}

/// One line of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// One word: `generation`, `starting`, `healthy`, `exited` …
    pub kind: &'static str,
    /// The catalog's generation then.
    pub generation: u64,
    /// The service, if it is about one.
    pub service: Option<ServiceId>,
    /// The run, if it is about one.
    pub run: Option<RunId>,
    /// A sentence.
    pub text: String,
}
