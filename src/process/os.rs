//! The port [`Processes`] on Linux: keeps the runs, and hands each order to who carries it out.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use tokio::task::JoinSet;

use super::adopt::{self, Found};
use super::end::{self, Pinned};
use super::port::{self, Session};
use super::reap;
use super::record::{self, RunRecord};
use super::run::{Ground, Run};
use super::spawn::{self, Spawned};
use super::stat::{self, Identity};
use super::tree::Scan;
use crate::domain::{Event, FoundRun, RunId, Signal, SpawnOrder};
use crate::engine::ports::{Inbox, Processes};
use crate::engine::{Clock, StateDir};

/// The processes of this machine.
///
/// Must be made and used within a tokio `LocalSet` (or local runtime) with time and I/O. Dropping it stops the
/// watching and touches no process: they go on for the next agent.
///
/// An order for a run that is over or was never begun does nothing, because all there is to tell has been told.
#[derive(Debug)]
pub struct OsProcesses {
    ground: Rc<Ground>,
    clock: Clock,
    boot_id: String,
    tasks: JoinSet<()>,
}

impl OsProcesses {
    /// Prepares to start, find and follow processes, and makes this program the adopter of its orphans.
    ///
    /// Fails where there are no pidfds (before Linux 5.3) or no `/proc`.
    pub fn new(inbox: Inbox, dir: StateDir, clock: Clock) -> io::Result<Self> {
        end::check_support()?;
        let boot_id = stat::boot_id()?;
        let ground = Rc::new(Ground { inbox, dir, scanner: Rc::default(), runs: RefCell::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn_local(reap::reap(reap::become_reaper()?, Rc::clone(&ground)));
        Ok(Self { ground, clock, boot_id, tasks })
    }

    /// Finds the runs of an earlier agent with this state directory, and follows them like its own from now on.
    ///
    /// To be called once, before the first spawn. Of a run whose main process has ended (`pid` is `None`) only `Ended`
    /// will be told. Fails if the processes of the machine cannot be listed: then nothing must be started, as it might
    /// be started twice. Blocks for some milliseconds; nothing of these runs is told before the caller awaits something.
    pub fn find_runs(&mut self) -> io::Result<Vec<FoundRun>> {
        let services = adopt::services(&self.ground.dir);
        let records = adopt::records(&self.ground.dir, &services, &self.boot_id);
        let scan = Scan::take(0)?;
        let found = adopt::find(&self.ground.dir, &records, &scan);
        let mut runs = Vec::new();
        for found in found {
            runs.push(self.adopt(found)?);
        }
        for service in services {
            if !runs.iter().any(|run| run.id == service && run.pid.is_some())
                && let Err(error) = record::remove_pid(&self.ground.dir, &service)
            {
                tracing::warn!("stale pid of {service} could not be removed: {error}");
            }
        }
        Ok(runs)
    }

    fn adopt(&mut self, found: Found) -> io::Result<FoundRun> {
        let Found { service, run, main, since, record } = found;
        let held = main.map(Pinned::open).transpose()?.flatten();
        let pid = held.as_ref().map(|held| held.identity().pid);
        if let Some(pid) = pid
            && let Err(error) = record::write_pid(&self.ground.dir, &service, pid)
        {
            tracing::warn!("pid of {service} could not be written: {error}");
        }
        let found = FoundRun {
            id: service.clone(),
            run: run.clone(),
            pid,
            spawn_hash: record.as_ref().map(|record| record.spawn_hash.clone()),
            since: self.clock.now() - stat::age(since),
        };
        let former_main = record.as_ref().map(|record| Identity { pid: record.pid, start: record.start_time });
        self.follow(Run {
            service,
            id: run,
            main: held,
            former_main,
            since,
            record: RefCell::new(record),
            known: RefCell::default(),
            main_is_over: Cell::new(false),
            killing: Cell::new(false),
        });
        Ok(found)
    }

    /// Begins to watch a run, to its end.
    fn follow(&mut self, run: Run) {
        let run = Rc::new(run);
        self.ground.runs.borrow_mut().insert(run.id.clone(), Rc::clone(&run));
        self.task(run.follow(Rc::clone(&self.ground)));
    }

    fn task(&mut self, task: impl Future<Output = ()> + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn_local(task);
    }

    fn run(&self, run: &RunId) -> Option<Rc<Run>> {
        self.ground.runs.borrow().get(run).cloned()
    }

    /// Tells who has the port that `order` needs.
    fn report_holder(&mut self, port: u16, order: SpawnOrder) {
        let lives = |run: &&Rc<Run>| !run.main_is_over.get();
        let session =
            |run: &Rc<Run>| Some(Session { leader: run.main.as_ref()?.identity().pid, service: run.service.clone() });
        let sessions: Vec<Session> = self.ground.runs.borrow().values().filter(lives).filter_map(session).collect();
        let ground = Rc::clone(&self.ground);
        self.task(async move {
            let dir = ground.dir.clone();
            let looked = tokio::task::spawn_blocking(move || port::holder(port, &dir, &sessions)).await;
            // Otherwise the runtime is being taken down.
            if let Ok(holder) = looked {
                ground.tell(Event::PortTaken { run: order.run, holder });
            }
        });
    }

    fn begin(&mut self, order: SpawnOrder, spawned: Spawned) {
        let Spawned { main, log_offset } = spawned;
        let Identity { pid, start } = main.identity();
        let hash = order.spawn.hash();
        let record = RunRecord::begun(order.run.as_str(), pid, start, &self.boot_id, hash, log_offset);
        let saved = record.save(&self.ground.dir, &order.id);
        if let Err(error) = saved.and_then(|()| record::write_pid(&self.ground.dir, &order.id, pid)) {
            // The marker in the environment still proves the run to a later agent.
            tracing::warn!("run of {} could not be recorded: {error}", order.id);
        }
        self.ground.tell(Event::Spawned { run: order.run.clone(), pid });
        self.follow(Run {
            service: order.id,
            id: order.run,
            main: Some(main),
            former_main: None,
            since: start,
            record: RefCell::new(Some(record)),
            known: RefCell::default(),
            main_is_over: Cell::new(false),
            killing: Cell::new(false),
        });
    }
}

impl Processes for OsProcesses {
    fn spawn(&mut self, order: SpawnOrder) {
        match order.port {
            Some(port) if port::is_taken(port) => return self.report_holder(port, order),
            Some(_) | None => {}
        }
        match spawn::spawn(&order, &self.ground.dir) {
            Ok(spawned) => self.begin(order, spawned),
            Err(error) => self.ground.tell(Event::SpawnFailed { run: order.run, error }),
        }
    }

    fn ask(&mut self, run: &RunId, signal: Signal) {
        let ground = Rc::clone(&self.ground);
        if let Some(later) = self.run(run).and_then(|run| run.ask(ground, raw_signal(signal))) {
            self.task(later);
        }
    }

    fn kill(&mut self, run: &RunId) {
        let ground = Rc::clone(&self.ground);
        if let Some(passes) = self.run(run).and_then(|run| run.kill(ground)) {
            self.task(passes);
        }
    }
}

fn raw_signal(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Int => rustix::process::Signal::INT,
        Signal::Quit => rustix::process::Signal::QUIT,
        Signal::Hup => rustix::process::Signal::HUP,
        Signal::Usr1 => rustix::process::Signal::USR1,
        Signal::Usr2 => rustix::process::Signal::USR2,
        Signal::Kill => rustix::process::Signal::KILL,
    }
}
