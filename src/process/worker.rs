//! Carries out orders one after the other, and lets everybody else go on in between: a start takes a millisecond or
//! more, and two hundred may be ordered at once.

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};

use super::end::Pinned;
use super::port::{self, Session};
use super::record::{self, RunRecord};
use super::run::{Ground, Run};
use super::sockets;
use super::spawn::{self, NotSpawned, Spawned};
use super::stat::Identity;
use super::stranger;
use crate::domain::{Event, Part, ProcessId, RunId, Signal, SpawnOrder, StopTree, TakeOrder};
use crate::engine::{Clock, LogPlace};

/// What there is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Start a run.
    Spawn(SpawnOrder),
    /// Take a stranger in hand.
    Take(TakeOrder),
    /// Ask a run to end.
    Ask(RunId, Signal, StopTree),
    /// Kill what is left of a run.
    Kill(RunId, StopTree),
}

/// Does it.
#[derive(Debug)]
pub(super) struct Worker {
    ground: Rc<Ground>,
    boot_id: Rc<str>,
    clock: Clock,
    tasks: JoinSet<()>,
}

impl Worker {
    /// A worker whose runs share `ground`.
    pub fn new(ground: Rc<Ground>, boot_id: &str, clock: Clock) -> Self {
        Self { ground, boot_id: boot_id.into(), clock, tasks: JoinSet::new() }
    }

    /// Carries out all orders in their order.
    pub async fn work(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Spawn(order) => self.spawn(order),
                Order::Ask(run, signal, tree) => self.ask(&run, signal, tree),
                Order::Kill(run, tree) => self.kill(&run, tree),
                Order::Take(order) => self.take(order),
            }
            yield_now().await;
        }
    }

    fn spawn(&mut self, order: SpawnOrder) {
        match order.port {
            Some(port) if sockets::is_taken(port) => return self.report_holder(port, order),
            Some(_) | None => {}
        }
        match spawn::spawn(&order, &self.ground.dir) {
            Ok(spawned) => self.begin(order, spawned),
            Err(NotSpawned { error, lasting }) => {
                self.ground.tell(Event::SpawnFailed { run: order.run, error, lasting });
            }
        }
    }

    fn ask(&mut self, run: &RunId, signal: Signal, tree: StopTree) {
        let ground = Rc::clone(&self.ground);
        if let Some(later) = self.run(run).and_then(|run| run.ask(ground, raw_signal(signal), tree)) {
            self.task(later);
        }
    }

    fn kill(&mut self, run: &RunId, tree: StopTree) {
        let ground = Rc::clone(&self.ground);
        if let Some(passes) = self.run(run).and_then(|run| run.kill(ground, tree)) {
            self.task(passes);
        }
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
        let session = |run: &Rc<Run>| {
            let main = run.main.as_ref().filter(|_| !run.main_is_over.get()).map(Pinned::identity);
            let leader = main.filter(|_| !run.is_stranger).map(|main| main.pid);
            Session { run: run.id.clone(), leader, known: run.processes(), service: run.service.clone() }
        };
        let sessions: Vec<Session> = self.ground.runs.borrow().values().map(session).collect();
        let (ground, clock) = (Rc::clone(&self.ground), self.clock);
        self.task(async move {
            let dir = ground.dir.clone();
            let looked = tokio::task::spawn_blocking(move || port::holder(port, &dir, &sessions, clock)).await;
            // Otherwise the runtime is being taken down.
            if let Ok(holder) = looked {
                ground.tell(Event::PortTaken { run: order.run, holder });
            }
        });
    }

    /// Follows a stranger as a run from now on, if it is proven to be the one that is meant.
    fn take(&mut self, order: TakeOrder) {
        let (ground, boot_id) = (Rc::clone(&self.ground), Rc::clone(&self.boot_id));
        let ours: Vec<Identity> = ground.runs.borrow().values().flat_map(|run| run.processes()).collect();
        self.task(async move {
            let asked = order.clone();
            // Otherwise the runtime is being taken down.
            let Ok(proven) = tokio::task::spawn_blocking(move || stranger::prove(&asked, &ours)).await else { return };
            match proven.and_then(|tree| in_hand(&order, tree, &ground, &boot_id)) {
                Ok(run) => {
                    let life = ground.follow(run);
                    ground.tell(Event::Taken { run: order.run });
                    life.await;
                }
                Err(error) => ground.tell(Event::NotTaken { run: order.run, error }),
            }
        });
    }

    fn begin(&mut self, order: SpawnOrder, spawned: Spawned) {
        let Spawned { main, log_offset } = spawned;
        let pid = main.identity().pid;
        // The record and the pid are the service's own; whatever else runs for it is found by its marker.
        let record = match order.run.part() {
            Part::Main => Some(self.note_begin(&order, main.identity(), log_offset)),
            Part::Step | Part::StopCommand => None,
        };
        self.ground.tell(Event::Spawned { run: order.run.clone(), pid });
        let life = self.ground.follow(Run::begun(order.id, order.run, main, record));
        self.task(life);
    }

    fn note_begin(&self, order: &SpawnOrder, main: Identity, log_offset: u64) -> RunRecord {
        let Identity { pid, start } = main;
        let hash = order.spawn.hash();
        let record = RunRecord::begun(order.run.as_str(), pid, start, &self.boot_id, hash, log_offset);
        let saved = record.save_with(order.spawn.shared_hashes(), &self.ground.dir, &order.id);
        let written = record::write_pid(&self.ground.dir, &order.id, pid);
        if let Err(error) = saved.and(written) {
            // The marker in the environment still proves the run to a later agent.
            tracing::warn!("run of {} could not be recorded: {error}", order.id);
        }
        record
    }
}

/// Holds the stranger of `order`, and records it if it is to be known to later agents.
fn in_hand(order: &TakeOrder, tree: Vec<Identity>, ground: &Ground, boot_id: &str) -> Result<Run, String> {
    let TakeOrder { id, run, stranger: ProcessId { pid, start }, port: _, spawn_hash } = order;
    let held = Pinned::open(Identity { pid: *pid, start: *start });
    let held = held.map_err(|error| format!("pid {pid} can't be watched: {error}"))?;
    let main = held.ok_or_else(|| format!("pid {pid} has ended, and nothing was done"))?;
    let record = spawn_hash.as_ref().map(|hash| {
        let log_offset = LogPlace::of(&ground.dir, id, None).map_or(0, |place| place.end);
        let begun = RunRecord::begun(run.as_str(), *pid, *start, boot_id, hash.clone(), log_offset);
        RunRecord { stranger: true, ..begun }
    });
    if let Some(record) = &record {
        // Without one the next agent would find a stranger again, and what the user has said would be lost.
        let saved = record::make_folder(&ground.dir, id).and_then(|()| record.save(&ground.dir, id));
        saved
            .and_then(|()| record::write_pid(&ground.dir, id, *pid))
            .map_err(|error| format!("pid {pid} can't be recorded as the run of {id}: {error}"))?;
    }
    Ok(Run::taken(id.clone(), run.clone(), main, tree, record))
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
        Signal::Abrt => rustix::process::Signal::ABORT,
        Signal::Alrm => rustix::process::Signal::ALARM,
        Signal::Cont => rustix::process::Signal::CONT,
        Signal::Pipe => rustix::process::Signal::PIPE,
        Signal::Trap => rustix::process::Signal::TRAP,
        Signal::Ttin => rustix::process::Signal::TTIN,
        Signal::Ttou => rustix::process::Signal::TTOU,
        Signal::Urg => rustix::process::Signal::URG,
        Signal::Vtalrm => rustix::process::Signal::VTALARM,
        Signal::Winch => rustix::process::Signal::WINCH,
        Signal::Xcpu => rustix::process::Signal::XCPU,
        Signal::Xfsz => rustix::process::Signal::XFSZ,
    }
}
