//! Carries out orders one after the other, and lets everybody else go on in between: a start takes a millisecond or
//! more, and two hundred may be ordered at once.

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};

use super::port::{self, Session};
use super::record::{self, RunRecord};
use super::run::{Ground, Run};
use super::sockets;
use super::spawn::{self, NotSpawned, Spawned};
use super::stat::Identity;
use crate::domain::{Event, Part, RunId, Signal, SpawnOrder, StopTree};

/// What there is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Start a run.
    Spawn(SpawnOrder),
    /// Ask a run to end.
    Ask(RunId, Signal, StopTree),
    /// Kill what is left of a run.
    Kill(RunId, StopTree),
}

/// Does it.
#[derive(Debug)]
pub(super) struct Worker {
    ground: Rc<Ground>,
    boot_id: String,
    tasks: JoinSet<()>,
}

impl Worker {
    /// A worker whose runs share `ground`.
    pub fn new(ground: Rc<Ground>, boot_id: String) -> Self {
        Self { ground, boot_id, tasks: JoinSet::new() }
    }

    /// Carries out all orders in their order.
    pub async fn work(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Spawn(order) => self.spawn(order),
                Order::Ask(run, signal, tree) => self.ask(&run, signal, tree),
                Order::Kill(run, tree) => self.kill(&run, tree),
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
        let saved = record.save(&self.ground.dir, &order.id);
        if let Err(error) = saved.and_then(|()| record::write_pid(&self.ground.dir, &order.id, pid)) {
            // The marker in the environment still proves the run to a later agent.
            tracing::warn!("run of {} could not be recorded: {error}", order.id);
        }
        record
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
