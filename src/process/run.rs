//! The life of one run after its spawn: its main process's end, the end of what is left, and being asked or killed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::end::{self, Pinned};
use super::reap::Orphans;
use super::record::{self, RunEnd, RunRecord};
use super::scanner::Scanner;
use super::spared;
use super::stat::Identity;
use super::tree::{Claim, Scan};
use crate::domain::{Event, Exit, Part, RunId, ServiceId, StopTree};
use crate::engine::StateDir;
use crate::engine::ports::Inbox;

/// How long a kill goes on until it is told to have failed.
const KILL_BUDGET: Duration = Duration::from_secs(5);
/// How long the first pass of a kill waits for the killed to end; doubled with each pass.
const FIRST_WAIT: Duration = Duration::from_millis(2);
/// How long a pass waits at most.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How many processes of a tree are waited for at a time; with more, the rest follows in the next round.
const MOST_HELD: usize = 256;

/// What all runs share.
#[derive(Debug)]
pub(super) struct Ground {
    pub inbox: Inbox,
    pub dir: StateDir,
    pub scanner: Rc<Scanner>,
    pub orphans: Orphans,
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
    pub main: Option<Pinned>,
    /// The number and start of the main process, also of one that has ended before we came, if a record tells.
    former_main: Option<Identity>,
    /// Its main process is a child of ours, so that all that descends from it does from us, too.
    is_ours: bool,
    /// It was begun by somebody else and has been taken over.
    pub is_stranger: bool,
    /// No process of it is older (clock ticks after boot).
    since: u64,
    /// What is on disk of it.
    record: RefCell<Option<RunRecord>>,
    /// The living processes, as of the last look.
    known: RefCell<Vec<Identity>>,
    /// The main process has ended and its end was told.
    pub main_is_over: Cell<bool>,
    /// A kill is under way.
    killing: Cell<bool>,
    /// How much of it has to end, as it was last said.
    tree: Cell<StopTree>,
    /// That has changed.
    tree_changed: Notify,
}

/// What lives of a run.
struct Survey {
    scan: Rc<Scan>,
    /// What has to end.
    left: Vec<Identity>,
    /// What is left alone.
    apart: Vec<Identity>,
}

impl Run {
    /// A run whose main process we have just started.
    pub fn begun(service: ServiceId, id: RunId, main: Pinned, record: Option<RunRecord>) -> Self {
        let since = main.identity().start;
        Self { is_ours: true, ..Self::found(service, id, Some(main), since, record) }
    }

    /// A run of an earlier agent that begins to be followed. Without `main`, a `record` may name the process that was it.
    pub fn found(service: ServiceId, id: RunId, main: Option<Pinned>, since: u64, record: Option<RunRecord>) -> Self {
        let former_main = record.as_ref().map(|record| Identity { pid: record.pid, start: record.start_time });
        Self {
            service,
            id,
            main,
            former_main,
            is_ours: false,
            is_stranger: record.as_ref().is_some_and(|record| record.stranger),
            since,
            record: RefCell::new(record),
            known: RefCell::default(),
            main_is_over: Cell::new(false),
            killing: Cell::new(false),
            tree: Cell::new(StopTree::All),
            tree_changed: Notify::new(),
        }
    }

    /// A process that somebody else has begun, with what descends from it, as a run.
    pub fn taken(service: ServiceId, id: RunId, main: Pinned, tree: Vec<Identity>, record: Option<RunRecord>) -> Self {
        let since = main.identity().start;
        Self { is_stranger: true, known: tree.into(), ..Self::found(service, id, Some(main), since, record) }
    }

    /// Waits for the end of the main process and of the whole tree, and tells both.
    pub async fn follow(self: Rc<Self>, ground: Rc<Ground>) {
        if let Some(main) = &self.main {
            main.ended().await;
            // A child that is not collected keeps its number, and so proves its session: look first.
            let left = if self.leaves_nothing(&ground).await { 0 } else { self.survey(&ground).await.count() };
            let exit = main.collect();
            self.main_is_over.set(true);
            self.note_end(&ground, &exit);
            if left == 0 {
                ground.runs.borrow_mut().remove(&self.id);
            }
            ground.tell(Event::Exited { run: self.id.clone(), exit, left: u32::try_from(left).unwrap_or(u32::MAX) });
            if left == 0 {
                return;
            }
        }
        let spared = loop {
            let Survey { scan: _, left, apart } = self.survey(&ground).await;
            if left.is_empty() {
                break apart;
            }
            tokio::select! {
                held = wait_for_end(&left) => {
                    if held == 0 {
                        // None could be held although they were there: never look again and again without a pause.
                        tokio::time::sleep(LONGEST_WAIT).await;
                    }
                }
                () = self.tree_changed.notified() => {}
            }
        };
        if !spared.is_empty()
            && let Err(error) = spared::remember(&ground.dir, &self.service, &self.id)
        {
            // A later agent takes what is left for a run that is still ending, and spares it again.
            tracing::warn!("what {} has left could not be recorded: {error}", self.service);
        }
        ground.runs.borrow_mut().remove(&self.id);
        ground.tell(Event::Ended { run: self.id.clone(), spared: spared::describe(&spared) });
    }

    /// Takes note of how much of it has to end.
    fn limit_to(&self, tree: StopTree) {
        if self.tree.replace(tree) != tree {
            self.tree_changed.notify_one();
        }
    }

    /// Asks it to end: its group while the main process lives, all that is left of it afterwards; of a stranger always
    /// one by one, because its group may be others' as well.
    pub fn ask(self: Rc<Self>, ground: Rc<Ground>, signal: Signal, tree: StopTree) -> Option<impl Future<Output = ()>> {
        self.limit_to(tree);
        if let Some(main) = self.group_leader() {
            // The second signal wakes what is stopped, so that it can hear the first.
            for signal in [signal, Signal::CONT] {
                if let Err(error) = main.signal_group(signal) {
                    tracing::warn!("{} ({}) could not be signalled: {error}", self.service, self.id);
                }
            }
            return None;
        }
        Some(async move {
            let Survey { scan, left, apart: _ } = self.survey(&ground).await;
            for identity in left.iter().filter(|identity| !scan.is_own(identity.pid)) {
                if let Err(error) = end::signal(*identity, &[signal, Signal::CONT]) {
                    tracing::warn!("pid {} of {} could not be signalled: {error}", identity.pid, self.service);
                }
            }
        })
    }

    /// Kills the tree until a look finds nothing of it that has to end; [`Run::follow`] tells the end. `None`: that is under way.
    pub fn kill(self: Rc<Self>, ground: Rc<Ground>, tree: StopTree) -> Option<impl Future<Output = ()>> {
        self.limit_to(tree);
        if self.killing.replace(true) {
            return None;
        }
        if let Some(main) = self.group_leader() {
            // The most of it at once, before looking for the rest. What this can't reach, the passes below tell of.
            let _ = main.signal_group(Signal::KILL);
        }
        Some(async move {
            self.kill_all(&ground).await;
            self.killing.set(false);
        })
    }

    /// The living main process, if all of its group may be signalled at once.
    fn group_leader(&self) -> Option<&Pinned> {
        let main = self.main.as_ref().filter(|main| !main.has_ended() && !self.is_stranger);
        // A session of its own was begun by it alone, and nobody can join one.
        main.filter(|main| self.is_ours || !holds_us(main.identity().pid))
    }

    async fn kill_all(&self, ground: &Ground) {
        let deadline = Instant::now() + KILL_BUDGET;
        let mut wait = FIRST_WAIT;
        loop {
            let Survey { scan, left, apart: _ } = self.survey(ground).await;
            if left.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let pids = left.iter().map(|identity| identity.pid).collect();
                ground.tell(Event::KillFailed { run: self.id.clone(), pids });
                break;
            }
            for identity in left.iter().filter(|identity| !scan.is_own(identity.pid)) {
                // Who is not ours to kill (another user's) is told of at the deadline.
                let _ = end::signal(*identity, &[Signal::KILL]);
            }
            let pause = wait.min(deadline.saturating_duration_since(Instant::now()));
            if let Ok(0) = timeout(pause, wait_for_end(&left)).await {
                tokio::time::sleep(pause).await;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Whether it is certain without a look at all processes that nothing is left of it now that its main process has
    /// ended. What a look has found before may be there by its marker alone, so then it takes another one.
    async fn leaves_nothing(&self, ground: &Ground) -> bool {
        let main = self.main.as_ref().map(Pinned::identity);
        let knows_only_main = || self.known.borrow().iter().all(|known| Some(*known) == main);
        // Asked again: a kill may have looked meanwhile.
        self.is_ours && knows_only_main() && ground.orphans.are_none(ground).await && knows_only_main()
    }

    /// Its main process, and what was found of it when it was last looked at.
    pub fn processes(&self) -> Vec<Identity> {
        self.main.iter().map(Pinned::identity).chain(self.known.borrow().iter().copied()).collect()
    }

    /// Looks what lives of it, and remembers that.
    async fn survey(&self, ground: &Ground) -> Survey {
        let scan = ground.scanner.scan(self.since).await;
        let main = self.main.as_ref().map(Pinned::identity).or(self.former_main);
        let alive = {
            let known = self.known.borrow();
            scan.tree(&Claim {
                run: &self.id,
                state_dir: ground.dir.root().as_os_str(),
                main,
                // Asked after the look: what is held now was held then.
                number_held: self.main.as_ref().is_some_and(Pinned::holds_number),
                is_stranger: self.is_stranger,
                known: &known,
            })
        };
        self.known.replace(alive.clone());
        let has_to_end = |identity: &Identity| match (self.tree.get(), main) {
            (StopTree::Group, Some(main)) => scan.is_in_session(*identity, main.pid),
            // Without a main process nobody knows which session was its own.
            (StopTree::Group, None) | (StopTree::All, _) => true,
        };
        let (left, apart) = alive.into_iter().partition(has_to_end);
        Survey { scan, left, apart }
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

impl Survey {
    /// How many live.
    fn count(&self) -> usize {
        self.left.len() + self.apart.len()
    }
}

/// Waits until the first [`MOST_HELD`] of `processes` have ended; tells how many could be waited for.
async fn wait_for_end(processes: &[Identity]) -> usize {
    let mut held = Vec::new();
    let mut gone = 0;
    for identity in processes.iter().take(MOST_HELD) {
        match Pinned::open(*identity) {
            Ok(Some(pinned)) => held.push(pinned),
            Ok(None) => gone += 1,
            // No descriptor left for this one: the next look sees it.
            Err(_) => {}
        }
    }
    join_all(held.iter().map(Pinned::ended)).await;
    held.len() + gone
}

/// Whether ourselves or one that we descend from is in the group `group`, which so must not be signalled as a whole.
fn holds_us(group: u32) -> bool {
    let mut pid = std::process::id();
    // A chain of parents is short; the bound is for one that changes under us.
    for _ in 0..1000 {
        match super::stat::Stat::read(pid) {
            Ok(Some(stat)) if stat.group == group => return true,
            Ok(Some(stat)) if stat.parent > 1 => pid = stat.parent,
            Ok(_) => return false,
            // Not knowing, we don't.
            Err(_) => return true,
        }
    }
    true
}
