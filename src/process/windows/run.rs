//! The life of one run after its spawn: its main process's end, the end of what is left, and being asked or killed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::console;
use super::held::Held;
use super::job::Job;
use crate::domain::{Event, Exit, Part, RunId, ServiceId, Signal};
use crate::engine::StateDir;
use crate::engine::ports::Inbox;
use crate::process::record::{self, RunEnd, RunRecord};

/// How long a kill goes on until it is told to have failed.
const KILL_BUDGET: Duration = Duration::from_secs(5);

/// What all runs share.
#[derive(Debug)]
pub(super) struct Ground {
    pub inbox: Inbox,
    pub dir: StateDir,
    /// The runs that are not over.
    pub runs: RefCell<HashMap<RunId, Rc<Run>>>,
}

impl Ground {
    /// Begins to follow a run; what comes back must be polled to its end.
    pub fn follow(self: &Rc<Self>, run: Run) -> impl Future<Output = ()> + use<> {
        let run = Rc::new(run);
        self.runs.borrow_mut().insert(run.id.clone(), Rc::clone(&run));
        run.follow(Rc::clone(self))
    }

    /// Tells a fact. An engine that has ended has no use for it.
    pub fn tell(&self, event: Event) {
        let _ = self.inbox.send(event);
    }
}

/// One run that is followed to its end.
#[derive(Debug)]
pub(super) struct Run {
    /// The service.
    pub service: ServiceId,
    /// Its id.
    pub id: RunId,
    /// Its main process; `None` if that had ended before we came.
    main: Option<Held>,
    /// All of it.
    job: Job,
    /// It was begun by somebody else and has been taken over.
    is_stranger: bool,
    /// What is on disk of it.
    record: RefCell<Option<RunRecord>>,
    /// A kill is under way.
    killing: Cell<bool>,
}

impl Run {
    /// A run whose processes are in `job`.
    pub fn new(service: ServiceId, id: RunId, main: Option<Held>, job: Job, record: Option<RunRecord>) -> Self {
        let is_stranger = record.as_ref().is_some_and(|record| record.stranger);
        Self { service, id, main, job, is_stranger, record: RefCell::new(record), killing: Cell::new(false) }
    }

    /// A process that somebody else has begun, with what descends from it in `job`, as a run.
    pub fn taken(service: ServiceId, id: RunId, main: Held, job: Job, record: Option<RunRecord>) -> Self {
        Self { is_stranger: true, ..Self::new(service, id, Some(main), job, record) }
    }

    /// Waits for the end of the main process and of the whole tree, and tells both.
    pub async fn follow(self: Rc<Self>, ground: Rc<Ground>) {
        if let Some(main) = &self.main {
            main.ended().await;
            let exit = main.exit();
            self.note_end(&ground, &exit);
            let left = self.living().len();
            if left == 0 {
                ground.runs.borrow_mut().remove(&self.id);
            }
            let count = u32::try_from(left).unwrap_or(u32::MAX);
            ground.tell(Event::Exited { run: self.id.clone(), exit, left: count });
            if left == 0 {
                return;
            }
        }
        // Only who lives can start another: once all have ended that there were, a look tells whether there are new ones.
        loop {
            let left = self.living();
            if left.is_empty() {
                break;
            }
            join_all(left.iter().map(Held::ended)).await;
        }
        ground.runs.borrow_mut().remove(&self.id);
        ground.tell(Event::Ended { run: self.id.clone(), spared: Vec::new() });
    }

    /// Asks it to end, by the keys for that. A stranger can't be asked: its console may be others' as well, who would hear
    /// the same; it is killed when its time is over.
    pub fn ask(self: Rc<Self>, ground: Rc<Ground>, signal: Signal) -> Option<impl Future<Output = ()>> {
        if signal == Signal::Kill {
            self.terminate();
            return None;
        }
        if self.is_stranger {
            return None;
        }
        Some(async move {
            let pids = self.pids();
            let asked = tokio::task::spawn_blocking(move || console::press(signal, &pids)).await;
            // Otherwise the runtime is being taken down, or the run has ended by itself.
            if let Ok(Err(error)) = asked
                && ground.runs.borrow().contains_key(&self.id)
            {
                tracing::warn!("{} ({}) could not be asked to end: {error}", self.service, self.id);
            }
        })
    }

    /// Kills the tree; [`Run::follow`] tells the end. `None`: that is under way.
    pub fn kill(self: Rc<Self>, ground: Rc<Ground>) -> Option<impl Future<Output = ()>> {
        if self.killing.replace(true) {
            return None;
        }
        self.terminate();
        Some(async move {
            let deadline = Instant::now() + KILL_BUDGET;
            loop {
                let left = self.living();
                if left.is_empty() {
                    break;
                }
                if timeout_at(deadline, join_all(left.iter().map(Held::ended))).await.is_err() {
                    let pids = left.iter().filter(|held| !held.has_ended()).map(|held| held.identity().pid).collect();
                    ground.tell(Event::KillFailed { run: self.id.clone(), pids });
                    break;
                }
            }
            self.killing.set(false);
        })
    }

    /// The living processes' numbers, the main process's first.
    pub fn pids(&self) -> Vec<u32> {
        let main = self.main.as_ref().map(|main| main.identity().pid);
        let mut pids: Vec<u32> = self.living().iter().map(|held| held.identity().pid).collect();
        pids.sort_by_key(|pid| Some(*pid) != main);
        pids
    }

    fn terminate(&self) {
        if let Err(error) = self.job.terminate() {
            tracing::warn!("{} ({}) could not be ended: {error}", self.service, self.id);
        }
    }

    /// The living processes of the tree.
    fn living(&self) -> Vec<Held> {
        let pids = self.job.pids().unwrap_or_else(|error| {
            tracing::error!("processes of {} ({}) cannot be listed: {error}", self.service, self.id);
            Vec::new()
        });
        let living = pids.into_iter().filter_map(|pid| match self.member(pid) {
            Ok(held) => held,
            Err(error) => {
                tracing::warn!("pid {pid} of {} cannot be looked at: {error}", self.service);
                None
            }
        });
        living.collect()
    }

    /// The process `pid`, if it lives and is of the tree: a number may be given away between a list and a look.
    fn member(&self, pid: u32) -> io::Result<Option<Held>> {
        match Held::open(pid)? {
            Some(held) if !held.has_ended() && self.job.holds(&held)? => Ok(Some(held)),
            Some(_) | None => Ok(None),
        }
    }

    /// Brings the files up to date with the end of the main process.
    fn note_end(&self, ground: &Ground, exit: &Exit) {
        if self.id.part() != Part::Main {
            return;
        }
        let mut record = self.record.borrow_mut();
        let saved = match record.as_mut() {
            Some(record) => {
                record.end = Some(RunEnd::now(exit));
                record.save(&ground.dir, &self.service)
            }
            None => Ok(()),
        };
        let forget = |pid| record::forget_pid(&ground.dir, &self.service, pid);
        let pid = self.main.as_ref().map(|main| main.identity().pid);
        // Where nothing can be written the pid can still be taken away, and would mislead.
        let forgotten = pid.map_or(Ok(()), forget);
        if let Err(error) = saved.and(forgotten) {
            tracing::warn!("end of {} could not be recorded: {error}", self.service);
        }
    }
}
