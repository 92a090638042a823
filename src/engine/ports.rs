//! What the engine asks of the world. Each trait has one real implementation and one fake, held to the same tests.
//!
//! Every method only gives an order and returns at once; what comes of it arrives as an [`Event`] in the [`Inbox`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::domain::pattern::Entries;
use crate::domain::{
    ActionOrder, Event, FilePattern, Intent, LogPolicy, MeasureOrder, Notice, Occurrence, ProbeOrder, RunId, ServiceId,
    Signal, SpawnOrder, StopTree, TakeOrder,
};

/// Where effects put their facts.
///
/// It has no bound, because whoever tells of the end of a process must neither wait nor lose it. So whoever fills it is
/// bounded: it tells what comes of an order, of which the domain gives one at a time (a probe, a measurement, a reading,
/// a run's steps); or it merges what has not been told yet, or keeps a pace (changes of files and sources); or it tells
/// what only a person causes (sleep, a clock that is set).
pub type Inbox = mpsc::UnboundedSender<Event>;

/// Starts and ends processes, and tells how they fare.
pub trait Processes {
    /// Starts a run. Answered by `Spawned`, `SpawnFailed` or `PortTaken`; later by `Exited` (and `Ended`).
    fn spawn(&mut self, order: SpawnOrder);
    /// Asks a run to end; `tree` says how much of it has to, from now on.
    fn ask(&mut self, run: &RunId, signal: Signal, tree: StopTree);
    /// Kills all that is left of a run and has to end by `tree`.
    fn kill(&mut self, run: &RunId, tree: StopTree);
    /// Takes a stranger in hand, and follows it as a run from then on. Answered by `Taken` or `NotTaken`; later by
    /// `Exited` (and `Ended`). Of its tree are it and what is known to descend from it, never whom it descends from, nor
    /// others of its session.
    fn take(&mut self, order: TakeOrder);
}

/// Runs actions.
pub trait Actions {
    /// Runs one to its end. Answered by `ActionEnded`.
    fn run(&mut self, order: ActionOrder);
}

/// Asks services how they are.
pub trait Probes {
    /// Probes once. Answered by `Probed`, at the latest when the probe's timeout has passed since it had its turn.
    fn probe(&mut self, order: ProbeOrder);
}

/// Measures what runs use.
pub trait Meters {
    /// Measures once. Answered by `Measured`, of a run that is over with `None`.
    fn measure(&mut self, order: MeasureOrder);
}

/// Reads the sources.
pub trait Sources {
    /// Reads all sources. Answered by `SourcesRead`; orders that come during a read lead to one more.
    fn read(&mut self, cause: String, order: u64);
}

/// Watches what has been read. It is called while sources are being read, from whatever thread reads them.
pub trait Watches: Send {
    /// From now on a change to one of these, and to nothing else, is told by `SourcesTouched`. Whatever changes after
    /// this has returned is told; so what is read after it can't be out of date unnoticed.
    fn follow(&mut self, followed: &Followed);
}

/// What is watched; absolute paths, of which any part may be missing or a symbolic link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Files, each by itself.
    pub files: BTreeSet<PathBuf>,
    /// Folders, for the drop-ins in them.
    pub folders: BTreeSet<PathBuf>,
    /// Folders, for those of their entries that match.
    pub matched: BTreeMap<PathBuf, Entries>,
}

/// Watches the files of services.
pub trait Files {
    /// From now on a change of these files of `id`, and of no others, is told by `FilesTouched`; reading them is no
    /// change. What matches may come and go with its folders.
    fn watch(&mut self, id: &ServiceId, patterns: &[FilePattern]);
}

/// Keeps what must survive the agent.
pub trait Store {
    /// Stores the user's wishes durably before it returns.
    fn save_intent(&mut self, intent: &Intent);
    /// Adds lines to what happened.
    fn record(&mut self, occurrences: &[Occurrence]);
}

/// Keeps the services' logs: when each had which length, and how long each may become.
pub trait Logs {
    /// Notes how long the log of `id` is now, if it has grown.
    fn mark(&mut self, id: &ServiceId);
    /// A run of `id` is about to begin: its log is there from now on, and its length is noted.
    fn begin(&mut self, id: &ServiceId);
    /// From now on these logs, and no others, are kept within these bounds, whoever writes to them. What can't be kept
    /// is told by `LogTroubled`, and so is the end of that.
    fn keep(&mut self, policies: &BTreeMap<ServiceId, LogPolicy>);
}

/// Shows notifications.
pub trait Notifier {
    /// Shows a notice, or nothing if there is no way to.
    fn show(&mut self, notice: Notice);
}
