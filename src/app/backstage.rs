//! What one side needs of another that it does not know: measurements, logs, and what happened.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::api::{Checkouts, Journal, LastLines, Meter, Page};
use crate::domain::{Intent, Occurrence, RunId, ServiceId, ServiceView};
use crate::engine::StateDir;
use crate::engine::ports::Store;
use crate::git::{Checkout, Move};
use crate::logs::{self, NewLines};
use crate::observe::{Lately, ProcessUse, Root};
use crate::probe::{OpenOutput, Output};
use crate::process::RunRecord;
use crate::state::{DiskStore, EventLine, EventPage, EventPosition, read_event_page};
use crate::wire::{self, Samples};

/// Measures the trees of services with a run, by one observer for all who ask.
#[derive(Debug, Default)]
pub(super) struct SharedMeter {
    lately: Mutex<Lately<Samples>>,
}

impl Meter for SharedMeter {
    fn recent(&self, views: &[Arc<ServiceView>], age: Duration) -> Option<Arc<Samples>> {
        recent(&*self.lately.try_lock().ok()?, views, age)
    }

    fn measure(&self, views: &[Arc<ServiceView>], age: Duration) -> io::Result<Arc<Samples>> {
        // An observer that was interrupted knows less, and nothing wrong.
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have measured while we waited.
        if let Some(recent) = recent(&lately, views, age) {
            return Ok(recent);
        }
        let roots = views.iter().filter_map(|view| root(view)).collect();
        let wire = |(id, tree): (ServiceId, Vec<ProcessUse>)| (id, tree.iter().map(process).collect());
        lately.measure(roots, |trees| trees.into_iter().map(wire).collect())
    }
}

fn recent(lately: &Lately<Samples>, views: &[Arc<ServiceView>], age: Duration) -> Option<Arc<Samples>> {
    lately.recent(views.iter().filter_map(|view| Some((&view.id, view.run.as_ref()?, view.pid))), age)
}

/// Where the measuring of a service begins; `None` if it has no run.
pub(super) fn root(view: &ServiceView) -> Option<Root> {
    Some(Root { id: view.id.clone(), pid: view.pid, run: view.run.clone()? })
}

fn process(process: &ProcessUse) -> wire::Process {
    wire::Process {
        pid: process.pid,
        ppid: process.ppid,
        cpu_percent: Some(process.cpu_percent),
        memory_bytes: Some(process.memory_bytes),
        age_seconds: Some(process.age_seconds as f64),
        command: process.command.clone(),
    }
}

/// Reads the ends of logs.
pub(super) fn last_lines(dir: StateDir) -> LastLines {
    Arc::new(move |id: &ServiceId, count: usize| {
        if !dir.log(id).exists() {
            return Ok(None);
        }
        logs::last_lines(&dir, id, count).map(Some)
    })
}

/// Opens what runs write, for probes that wait for a line of it.
pub(super) fn outputs(dir: StateDir) -> OpenOutput {
    Arc::new(move |id: &ServiceId, run: &RunId| {
        let record = RunRecord::load(&dir, id).filter(|record| record.run == run.as_str());
        // Of a run that could not be recorded nobody knows where it began.
        let mut lines = NewLines::since(&dir, id, record.map_or(0, |record| record.log_offset))?;
        let is_whole = lines.is_whole();
        Ok(Output { lines: Box::new(move || lines.next_lines()), is_whole })
    })
}

/// Tells what is checked out.
pub(super) fn checkouts() -> Checkouts {
    Arc::new(|folder: &Path, since: SystemTime| {
        let Some(Checkout { folder, branch, head, moves }) = Checkout::around(folder, since)? else { return Ok(None) };
        let moves = moves.into_iter().filter_map(|Move { at, text, .. }| {
            // A time that the calendar does not know is none.
            Some(wire::Change { at: at.try_into().ok()?, text })
        });
        let (folder, moves) = (folder.to_string_lossy().into_owned(), moves.collect());
        Ok(Some(wire::Checkout { folder, branch, head, moves }))
    })
}

/// A store that tells who follows what happened that there is more.
#[derive(Debug)]
pub(super) struct ToldStore {
    inner: DiskStore,
    grown: watch::Sender<u64>,
}

impl ToldStore {
    /// Tells of what `inner` records.
    pub fn new(inner: DiskStore) -> Self {
        Self { inner, grown: watch::Sender::new(0) }
    }

    /// What happened, as `dir` keeps it.
    pub fn journal(&self, dir: StateDir) -> FileJournal {
        FileJournal { dir, grown: self.grown.subscribe() }
    }
}

impl Store for ToldStore {
    fn save_intent(&mut self, intent: &Intent) {
        self.inner.save_intent(intent);
    }

    fn record(&mut self, occurrences: &[Occurrence]) {
        self.inner.record(occurrences);
        self.grown.send_modify(|count| *count += 1);
    }
}

/// What happened, read from the state directory.
#[derive(Debug)]
pub(super) struct FileJournal {
    dir: StateDir,
    grown: watch::Receiver<u64>,
}

impl Journal for FileJournal {
    fn read(&self, cursor: u128) -> io::Result<Page> {
        let page = read_event_page(&self.dir, EventPosition::from_bits(cursor))?;
        let EventPage { lines, position, is_last, has_gap } = page;
        let events = lines.into_iter().filter_map(event).collect();
        Ok(Page { events, cursor: position.to_bits(), is_last, has_gap })
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.grown.clone()
    }
}

/// The wire's form of a line; `None` if its time is none.
fn event(line: EventLine) -> Option<wire::Event> {
    let EventLine { at, generation, kind, service, run, text } = line;
    Some(wire::Event { at: at.parse().ok()?, generation, kind, service, run, text })
}
