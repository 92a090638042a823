//! What the interface needs beside the engine, as ports that the composition root fills.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::domain::catalog::Reading;
use crate::domain::{Problem, ServiceId, ServiceView};
use crate::engine::Handle;
use crate::wire::{AgentFacts, Checkout, Event, Samples};

/// Everything that stands behind the interface; cheap to clone.
///
/// The closures, the journal and the meter may block: they are called off the runtime's thread.
#[derive(Clone)]
pub struct Backstage {
    /// The engine.
    pub engine: Handle,
    /// What the agent knows of itself.
    pub agent: Arc<AgentFacts>,
    /// Measures processes.
    pub meter: Arc<dyn Meter>,
    /// Reads the ends of logs.
    pub last_lines: LastLines,
    /// Tells what is checked out.
    pub checkout: Checkouts,
    /// Reads sources that are not in use.
    pub propose: Proposals,
    /// What happened.
    pub journal: Arc<dyn Journal>,
}

/// Measures the process trees of services.
pub trait Meter: Send + Sync {
    /// What was measured at most `age` ago, if these services' runs were among it. It does not block: `None` also where
    /// that can't be told at once.
    fn recent(&self, views: &[Arc<ServiceView>], age: Duration) -> Option<Arc<Samples>>;

    /// What is [recent](Meter::recent), measured now if nothing is.
    ///
    /// # Errors
    /// When the system tells nothing of its processes.
    fn measure(&self, views: &[Arc<ServiceView>], age: Duration) -> io::Result<Arc<Samples>>;
}

/// The last lines of a service's log, at most so many, oldest first, without line ends; `None` if it has no log.
pub type LastLines = Arc<dyn Fn(&ServiceId, usize) -> io::Result<Option<Vec<String>>> + Send + Sync>;

/// What is checked out around a folder, and how it came to be since then; `None` outside of every checkout.
pub type Checkouts = Arc<dyn Fn(&Path, SystemTime) -> io::Result<Option<Checkout>> + Send + Sync>;

/// Reads all sources as if these files, of absolute paths, had been dropped in; says what is wrong with one that would not
/// be taken into use.
pub type Proposals = Arc<dyn Fn(&[PathBuf]) -> Result<Reading, Problem> + Send + Sync>;

/// What happened, as far as it is kept.
pub trait Journal: Send + Sync {
    /// Some of what was recorded after `cursor`, oldest first: so much that it is of no weight. 0 lies before the oldest
    /// that is kept; a cursor whose surroundings are not kept any more counts as 0.
    ///
    /// # Errors
    /// If it can't be read.
    fn read(&self, cursor: u128) -> io::Result<Page>;

    /// All that is kept, oldest first.
    ///
    /// # Errors
    /// If it can't be read.
    fn read_all(&self) -> io::Result<Vec<Event>> {
        let (mut events, mut cursor) = (Vec::new(), 0);
        loop {
            let page = self.read(cursor)?;
            events.extend(page.events);
            cursor = page.cursor;
            if page.is_last {
                return Ok(events);
            }
        }
    }

    /// Changes with each record.
    fn grown(&self) -> watch::Receiver<u64>;
}

/// A part of what happened.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What happened; possibly nothing, also before the last page.
    pub events: Vec<Event>,
    /// Where it goes on.
    pub cursor: u128,
    /// Whether there was no more at that time.
    pub is_last: bool,
    /// Whether something is not kept any more that was recorded before these and after the cursor that was given.
    pub has_gap: bool,
}
