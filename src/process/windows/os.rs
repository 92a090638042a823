//! The port [`Processes`] on Windows: takes the orders, and takes over what an earlier agent has left.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};

use super::adopt::{self, Found};
use super::held::{Held, Identity};
use super::job::Job;
use super::port::{self, Tree};
use super::run::{Ground, Run};
use super::spawn::{self, NotSpawned, Spawned};
use super::stranger;
use crate::domain::{
    Event, FoundEnd, FoundRun, Part, RunId, ServiceId, Signal, Spared, SpawnOrder, StopTree, TakeOrder,
};
use crate::engine::ports::{Inbox, Processes};
use crate::engine::{Clock, LogPlace, StateDir};
use crate::process::record::{self, RunRecord};
use crate::process::sockets;

/// The processes of this machine.
///
/// Must be made and used within a tokio `LocalSet` (or local runtime) with time and I/O. Dropping it stops the
/// watching and touches no process: they go on for the next agent.
///
/// Orders are carried out one after the other as soon as the caller awaits something. One for a run that is over or
/// was never begun does nothing, because all there is to tell has been told.
#[derive(Debug)]
pub struct OsProcesses {
    ground: Rc<Ground>,
    clock: Clock,
    orders: mpsc::UnboundedSender<Order>,
    tasks: JoinSet<()>,
}

impl OsProcesses {
    /// Prepares to start, find and follow processes.
    ///
    /// # Errors
    /// None on this system.
    pub fn new(inbox: Inbox, dir: StateDir, clock: Clock) -> io::Result<Self> {
        let ground = Rc::new(Ground { inbox, dir, runs: RefCell::default() });
        // Without a bound, because no order may be lost; of each run there are a start and a few steps of its end, and the
        // next run is ordered when all has been told of the last.
        let (orders, given) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn_local(Worker { ground: Rc::clone(&ground), clock, tasks: JoinSet::new() }.work(given));
        Ok(Self { ground, clock, orders, tasks })
    }

    /// Finds the runs of an earlier agent with this state directory, and follows them like its own from now on.
    ///
    /// To be called once, before the first spawn. Of a run whose main process has ended (`pid` is `None`) only `Ended`
    /// will be told. Blocks for some milliseconds; nothing of these runs is told before the caller awaits something.
    ///
    /// # Errors
    /// If what lives cannot be told: then nothing must be started, as it might be started twice.
    pub fn find_runs(&mut self) -> io::Result<Vec<FoundRun>> {
        let services = record::services(&self.ground.dir);
        let mut runs = Vec::new();
        for found in adopt::find(&self.ground.dir, &adopt::records(&self.ground.dir, &services))? {
            runs.push(self.adopt(found)?);
        }
        record::tell_pids(&self.ground.dir, services, &runs);
        Ok(runs)
    }

    /// How the last runs of this boot ended, of services of which `runs` has none.
    pub fn find_ends(&self, runs: &[FoundRun]) -> Vec<FoundEnd> {
        record::ends(adopt::records(&self.ground.dir, &record::services(&self.ground.dir)), runs)
    }

    /// What runs that are over have left: nothing, because nothing leaves the job of its run.
    pub fn find_spared(&self) -> Vec<(ServiceId, Vec<Spared>)> {
        Vec::new()
    }

    fn adopt(&mut self, found: Found) -> io::Result<FoundRun> {
        let (told, job) = (found.told(self.clock), found.job()?);
        let Found { service, run, main, record, .. } = found;
        self.tasks.spawn_local(self.ground.follow(Run::new(service, run, main, job, record)));
        Ok(told)
    }

    /// Hands an order to the worker, which lives as long as we do.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Processes for OsProcesses {
    fn spawn(&mut self, order: SpawnOrder) {
        self.order(Order::Spawn(order));
    }

    fn take(&mut self, order: TakeOrder) {
        self.order(Order::Take(order));
    }

    /// However much of it has to end: nothing leaves the job of its run, so that is always the whole tree.
    fn ask(&mut self, run: &RunId, signal: Signal, _tree: StopTree) {
        self.order(Order::Ask(run.clone(), signal));
    }

    /// See `ask`.
    fn kill(&mut self, run: &RunId, _tree: StopTree) {
        self.order(Order::Kill(run.clone()));
    }
}

/// What there is to do.
#[derive(Debug)]
enum Order {
    Spawn(SpawnOrder),
    Take(TakeOrder),
    Ask(RunId, Signal),
    Kill(RunId),
}

/// Carries out orders one after the other, and lets everybody else go on in between.
#[derive(Debug)]
struct Worker {
    ground: Rc<Ground>,
    clock: Clock,
    tasks: JoinSet<()>,
}

impl Worker {
    async fn work(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Spawn(order) => self.spawn(order),
                Order::Take(order) => self.take(order),
                Order::Ask(run, signal) => {
                    let ground = Rc::clone(&self.ground);
                    if let Some(later) = self.run(&run).and_then(|run| run.ask(ground, signal)) {
                        self.task(later);
                    }
                }
                Order::Kill(run) => {
                    let ground = Rc::clone(&self.ground);
                    if let Some(passes) = self.run(&run).and_then(|run| run.kill(ground)) {
                        self.task(passes);
                    }
                }
            }
            yield_now().await;
        }
    }

    fn spawn(&mut self, order: SpawnOrder) {
        match order.port {
            Some(port) if sockets::is_taken(port) => return self.report_holder(port, order),
            Some(_) | None => {}
        }
        let spawned = spawn::spawn(&order, &self.ground.dir);
        match spawned.and_then(|spawned| self.begin(&order, spawned)) {
            Ok(run) => {
                let life = self.ground.follow(run);
                self.task(life);
            }
            Err(NotSpawned { error, lasting }) => {
                self.ground.tell(Event::SpawnFailed { run: order.run, error, lasting });
            }
        }
    }

    /// Writes down what has been made, and only then lets it begin: nothing runs that a later agent would not find.
    fn begin(&self, order: &SpawnOrder, spawned: Spawned) -> Result<Run, NotSpawned> {
        let Spawned { main, job, log_offset } = spawned;
        // The record and the pid are the service's own; whatever else runs for it is found by its marker.
        let record = match order.run.part() {
            Part::Main => Some(self.note_begin(order, main.identity(), log_offset)),
            Part::Step | Part::StopCommand => None,
        };
        if let Err(error) = main.resume() {
            let ended = job.terminate().map_or_else(|error| format!("; nor ended: {error}"), |()| String::new());
            return Err(format!("process cannot be let go: {error}{ended}").into());
        }
        self.ground.tell(Event::Spawned { run: order.run.clone(), pid: main.identity().pid });
        Ok(Run::new(order.id.clone(), order.run.clone(), Some(main), job, record))
    }

    fn note_begin(&self, order: &SpawnOrder, main: Identity, log_offset: u64) -> RunRecord {
        let Identity { pid, start } = main;
        let boot = adopt::boot_id();
        let record = RunRecord::begun(order.run.as_str(), pid, start, &boot, order.spawn.hash(), log_offset);
        let saved = record.save_with(order.spawn.shared_hashes(), &self.ground.dir, &order.id);
        let written = record::write_pid(&self.ground.dir, &order.id, pid);
        if let Err(error) = saved.and(written) {
            // The marker in the environment still proves the run to a later agent.
            tracing::warn!("run of {} could not be recorded: {error}", order.id);
        }
        record
    }

    fn task(&mut self, task: impl Future<Output = ()> + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn_local(task);
    }

    fn run(&self, run: &RunId) -> Option<Rc<Run>> {
        self.ground.runs.borrow().get(run).cloned()
    }

    /// Follows a stranger as a run from now on, if it is proven to be the one that is meant.
    fn take(&mut self, order: TakeOrder) {
        let ground = Rc::clone(&self.ground);
        let ours: Vec<u32> = ground.runs.borrow().values().flat_map(|run| run.pids()).collect();
        self.task(async move {
            let asked = order.clone();
            // Otherwise the runtime is being taken down.
            let Ok(taken) = tokio::task::spawn_blocking(move || stranger::take(&asked, &ours)).await else { return };
            match taken.and_then(|(main, job)| in_hand(&order, main, job, &ground)) {
                Ok(run) => {
                    let life = ground.follow(run);
                    ground.tell(Event::Taken { run: order.run });
                    life.await;
                }
                Err(error) => ground.tell(Event::NotTaken { run: order.run, error }),
            }
        });
    }

    /// Tells who has the port that `order` needs.
    fn report_holder(&mut self, port: u16, order: SpawnOrder) {
        let trees: Vec<Tree> = self.ground.runs.borrow().values().map(Tree::of).collect();
        let (ground, clock) = (Rc::clone(&self.ground), self.clock);
        self.task(async move {
            let dir = ground.dir.clone();
            // Otherwise the runtime is being taken down.
            if let Ok(holder) = tokio::task::spawn_blocking(move || port::holder(port, &dir, &trees, clock)).await {
                ground.tell(Event::PortTaken { run: order.run, holder });
            }
        });
    }
}

/// Records the stranger of `order` if it is to be known to later agents.
fn in_hand(order: &TakeOrder, main: Held, job: Job, ground: &Ground) -> Result<Run, String> {
    let TakeOrder { id, run, stranger: _, port: _, spawn_hash } = order;
    let Identity { pid, start } = main.identity();
    let record = spawn_hash.as_ref().map(|hash| {
        let log_offset = LogPlace::of(&ground.dir, id, None).map_or(0, |place| place.end);
        let begun = RunRecord::begun(run.as_str(), pid, start, &adopt::boot_id(), hash.clone(), log_offset);
        RunRecord { stranger: true, ..begun }
    });
    if let Some(record) = &record {
        // Without one the next agent would find a stranger again, and what the user has said would be lost.
        let saved = record::make_folder(&ground.dir, id).and_then(|()| record.save(&ground.dir, id));
        saved
            .and_then(|()| record::write_pid(&ground.dir, id, pid))
            .map_err(|error| format!("pid {pid} can't be recorded as the run of {id}: {error}"))?;
    }
    Ok(Run::taken(id.clone(), run.clone(), main, job, record))
}
