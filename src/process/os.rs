//! The port [`Processes`] on Unix: takes the orders, and takes over what an earlier agent has left.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::adopt::{self, Found};
use super::end::{self, Pinned};
use super::open_files;
use super::reap::{self, Orphans};
use super::record;
use super::run::{Ground, Run};
use super::spared;
use super::stat;
use super::tree::Scan;
use super::worker::{Order, Worker};
use crate::domain::{FoundEnd, FoundRun, RunId, ServiceId, Signal, Spared, SpawnOrder, StopTree, TakeOrder};
use crate::engine::ports::{Inbox, Processes};
use crate::engine::{Clock, StateDir};

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
    boot_id: String,
    orders: mpsc::UnboundedSender<Order>,
    tasks: JoinSet<()>,
}

impl OsProcesses {
    /// Prepares to start, find and follow processes, and makes this program the adopter of its orphans
    /// where there is such a thing.
    ///
    /// Fails where ends of processes cannot be waited for (Linux: no pidfds, before 5.3, or no `/proc`).
    pub fn new(inbox: Inbox, dir: StateDir, clock: Clock) -> io::Result<Self> {
        end::check_support()?;
        open_files::take_all();
        let boot_id = stat::boot_id()?;
        let ground = Rc::new(Ground {
            inbox,
            dir,
            scanner: Rc::default(),
            orphans: Orphans::default(),
            runs: RefCell::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn_local(reap::reap(reap::become_reaper()?, Rc::clone(&ground)));
        // Without a bound, because no order may be lost; of each run there are a start and a few steps of its end, and the
        // next run is ordered when all has been told of the last.
        let (orders, given) = mpsc::unbounded_channel();
        let worker = Worker::new(Rc::clone(&ground), &boot_id, clock);
        tasks.spawn_local(worker.work(given));
        Ok(Self { ground, clock, boot_id, orders, tasks })
    }

    /// Finds the runs of an earlier agent with this state directory, and follows them like its own from now on.
    ///
    /// To be called once, before the first spawn. Of a run whose main process has ended (`pid` is `None`) only `Ended`
    /// will be told. Fails if the processes of the machine cannot be listed: then nothing must be started, as it might
    /// be started twice. Blocks for some milliseconds; nothing of these runs is told before the caller awaits something.
    pub fn find_runs(&mut self) -> io::Result<Vec<FoundRun>> {
        let services = record::services(&self.ground.dir);
        let records = adopt::records(&self.ground.dir, &services, &self.boot_id);
        let scan = Scan::take(0)?;
        let spared = spared::recall(&self.ground.dir, &services, |run| adopt::has_marker(&self.ground.dir, &scan, run));
        let found = adopt::find(&self.ground.dir, &records, &spared, &scan);
        let mut runs = Vec::new();
        for found in found {
            runs.push(self.adopt(found)?);
        }
        record::tell_pids(&self.ground.dir, services, &runs);
        Ok(runs)
    }

    /// How the last runs of this boot ended, of services of which `runs` has none.
    pub fn find_ends(&self, runs: &[FoundRun]) -> Vec<FoundEnd> {
        let services = record::services(&self.ground.dir);
        record::ends(adopt::records(&self.ground.dir, &services, &self.boot_id), runs)
    }

    /// What runs that are over have left, as far as it lives; to be asked after [`Self::find_runs`]. Blocks for some
    /// milliseconds if there is anything.
    pub fn find_spared(&self) -> Vec<(ServiceId, Vec<Spared>)> {
        let runs = spared::remembered(&self.ground.dir, &record::services(&self.ground.dir));
        if runs.is_empty() {
            return Vec::new();
        }
        match Scan::take(0) {
            Ok(scan) => adopt::left_by(&self.ground.dir, &scan, &runs),
            Err(error) => {
                tracing::warn!("what earlier runs have left could not be looked for: {error}");
                Vec::new()
            }
        }
    }

    fn adopt(&mut self, found: Found) -> io::Result<FoundRun> {
        let Found { service, run, main, since, mut record } = found;
        let held = main.map(Pinned::open).transpose()?.flatten();
        let pid = held.as_ref().map(|held| held.identity().pid);
        let found = FoundRun {
            id: service.clone(),
            run: run.clone(),
            pid,
            spawn_hash: record.as_ref().map(|record| record.spawn_hash.clone()),
            shared_hashes: record.as_mut().and_then(|record| record.shared_hashes.take()),
            since: self.clock.now() - stat::age(since),
        };
        self.tasks.spawn_local(self.ground.follow(Run::found(service, run, held, since, record)));
        Ok(found)
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

    fn ask(&mut self, run: &RunId, signal: Signal, tree: StopTree) {
        self.order(Order::Ask(run.clone(), signal, tree));
    }

    fn kill(&mut self, run: &RunId, tree: StopTree) {
        self.order(Order::Kill(run.clone(), tree));
    }
}
