//! What the engine asks of the world. Each trait has one real implementation and one fake, held to the same tests.
//!
//! Every method only gives an order and returns at once; what comes of it arrives as an [`Event`] in the [`Inbox`].

use tokio::sync::mpsc;

use crate::domain::{Event, Intent, Notice, Occurrence, ProbeOrder, RunId, ServiceId, Signal, SpawnOrder};

/// Where effects put their facts.
pub type Inbox = mpsc::UnboundedSender<Event>;

/// Starts and ends processes, and tells how they fare.
pub trait Processes {
    /// Starts a run. Answered by `Spawned`, `SpawnFailed` or `PortTaken`; later by `Exited` (and `Ended`).
    fn spawn(&mut self, order: SpawnOrder);
    /// Asks a run to end.
    fn ask(&mut self, run: &RunId, signal: Signal);
    /// Kills all that is left of a run.
    fn kill(&mut self, run: &RunId);
}

/// Asks services how they are.
pub trait Probes {
    /// Probes once. Answered by `Probed`, at the latest when the probe's timeout has passed since it had its turn.
    fn probe(&mut self, order: ProbeOrder);
}

/// Reads the sources.
pub trait Sources {
    /// Reads all sources. Answered by `SourcesRead`; orders that come during a read lead to one more.
    fn read(&mut self, cause: String);
}

/// Keeps what must survive the agent.
pub trait Store {
    /// Stores the user's wishes durably before it returns.
    fn save_intent(&mut self, intent: &Intent);
    /// Adds a line to what happened.
    fn record(&mut self, occurrence: &Occurrence);
}

/// Keeps the time index of the services' logs.
pub trait Logs {
    /// Notes how long the log of `id` is now, if it has grown.
    fn mark(&mut self, id: &ServiceId);
}

/// Shows notifications.
pub trait Notifier {
    /// Shows a notice, or nothing if there is no way to.
    fn show(&mut self, notice: Notice);
}
