//! The port `Processes`: scripted children, and strangers on ports.

use std::time::Duration;

use pilotlight::domain::{Event, Exit, FoundRun, Moment, Outcome, PortHolder, RunId, ServiceId, Signal, SpawnOrder};
use pilotlight::engine::ports::Processes;

use super::{Due, Machine};

/// How long it takes until an order shows.
const SOON: Duration = Duration::from_millis(1);

/// How one ends that is killed.
const KILLED: Exit = Exit::Signal(9);

/// How a service's processes behave from now on.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Whether there is a process at all.
    pub spawn: Spawning,
    /// What its probes find.
    pub health: Outcome,
    /// How long it takes to answer a probe.
    pub slowness: Duration,
    /// How long after its start it answers at all.
    pub warm_up: Duration,
    /// When it ends by itself, and with which code.
    pub life: Option<(Duration, i32)>,
    /// How long it takes to end when asked; `None`: it does not.
    pub obeys: Option<Duration>,
    /// How many others of its tree outlive its main process.
    pub leaves: u32,
    /// Whether those are in the main process's group, so that what is sent to it reaches them as well.
    pub grouped: bool,
}

/// Whether a spawn succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawning {
    Works,
    FailsForNow,
    /// There is no such program.
    FailsForGood,
    /// There is no such directory.
    #[allow(dead_code, reason = "only the laws of the port tell it from the one before")]
    NoDirectory,
    /// The file is no program.
    #[allow(dead_code, reason = "only the laws of the port tell it from the one before")]
    NotExecutable,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            spawn: Spawning::Works,
            health: Outcome::Pass,
            slowness: Duration::ZERO,
            warm_up: Duration::ZERO,
            life: None,
            obeys: Some(Duration::from_millis(20)),
            leaves: 0,
            grouped: false,
        }
    }
}

/// One run's tree.
#[derive(Clone, Debug)]
pub struct Child {
    pub id: ServiceId,
    pub pid: u32,
    pub since: Moment,
    pub hash: String,
    /// Whether its main process lives.
    pub main: bool,
    /// How many others live.
    pub others: u32,
    /// What its main process listens on.
    port: Option<u16>,
    /// When its beginning is told: its end is not told before.
    told: Moment,
    /// Whether it has been killed: then no other signal and no code can be what ends it.
    killed: bool,
    /// Whether an agent follows it that has not spawned it.
    adopted: bool,
}

impl Child {
    /// Whether anything of it lives.
    pub fn lives(&self) -> bool {
        self.main || self.others > 0
    }
}

impl Processes for Machine {
    fn spawn(&mut self, order: SpawnOrder) {
        let SpawnOrder { id, run, spawn, port } = order;
        if let Some(holder) = port.and_then(|port| self.holder(port)) {
            return self.later(SOON, Due::Fact(Event::PortTaken { run, holder }));
        }
        let behaviour = self.behaviour(&id);
        if let Some((error, lasting)) = failure(behaviour.spawn) {
            let failed = Event::SpawnFailed { run, error: error.to_owned(), lasting };
            return self.later(SOON, Due::Fact(failed));
        }
        self.pids += 1;
        let child = Child {
            id,
            pid: self.pids,
            since: self.now,
            hash: spawn.hash(),
            main: true,
            others: behaviour.leaves,
            port,
            told: self.now + SOON,
            killed: false,
            adopted: false,
        };
        self.later(SOON, Due::Fact(Event::Spawned { run: run.clone(), pid: child.pid }));
        self.children.insert(run.clone(), child);
        if let Some((span, code)) = behaviour.life {
            self.end(&run, span, Exit::Code(code));
        }
    }

    fn ask(&mut self, run: &RunId, signal: Signal) {
        let Some(child) = self.children.get(run) else { return };
        let behaviour = self.behaviour(&child.id);
        // To that one nobody is deaf.
        let obeys = if signal == Signal::Kill { Some(Duration::ZERO) } else { behaviour.obeys };
        let Some(delay) = obeys else { return };
        if !child.main || behaviour.grouped {
            self.later(delay, Due::OthersEnd(run.clone()));
        }
        self.end(run, delay, Exit::Signal(number(signal)));
    }

    fn kill(&mut self, run: &RunId) {
        let Some(child) = self.children.get_mut(run) else { return };
        let grouped = self.behaviours.get(&child.id).is_some_and(|behaviour| behaviour.grouped);
        if child.main && grouped {
            child.others = 0;
        }
        child.killed = true;
        self.end(run, SOON, KILLED);
        // Who is not in the group is found by a look at all processes, and that takes longer.
        self.later(SOON * 2, Due::OthersEnd(run.clone()));
    }
}

impl Machine {
    /// Finds what lives, for an agent that has just begun and follows it from now on.
    pub fn find_runs(&mut self) -> Vec<FoundRun> {
        let living = self.children.iter_mut().filter(|(_, child)| child.lives());
        let found = living.map(|(run, child)| {
            child.adopted = true;
            FoundRun {
                id: child.id.clone(),
                run: run.clone(),
                pid: child.main.then_some(child.pid),
                spawn_hash: Some(child.hash.clone()),
                since: child.since,
            }
        });
        found.collect()
    }

    /// The run's main process ends in `span` from now.
    pub fn end(&mut self, run: &RunId, span: Duration, exit: Exit) {
        if let Some(child) = self.children.get(run).filter(|child| child.main) {
            let moment = (self.now + span).max(child.told);
            self.at(moment, Due::Ends(run.clone(), exit));
        }
    }

    pub(super) fn behaviour(&self, id: &ServiceId) -> Behaviour {
        self.behaviours.get(id).cloned().unwrap_or_default()
    }

    pub(super) fn main_ends(&mut self, run: &RunId, exit: Exit) {
        let Some(child) = self.children.get_mut(run).filter(|child| child.main) else { return };
        child.main = false;
        let left = child.others;
        let exit = match exit {
            // The system keeps the status for the parent alone.
            _ if child.adopted => Exit::Unknown,
            _ if child.killed => KILLED,
            exit => exit,
        };
        self.tell(Event::Exited { run: run.clone(), exit, left });
    }

    pub(super) fn others_end(&mut self, run: &RunId) {
        let Some(child) = self.children.get_mut(run).filter(|child| child.others > 0) else { return };
        child.others = 0;
        if !child.main {
            self.tell(Event::Ended { run: run.clone() });
        }
    }

    /// Who listens on `port`.
    fn holder(&self, port: u16) -> Option<PortHolder> {
        if self.strangers.contains_key(&port) {
            return Some(PortHolder { port, pid: Some(9), command: Some("stranger".to_owned()), service: None });
        }
        let ours = self.children.values().find(|child| child.main && child.port == Some(port))?;
        let command = Some(ours.id.to_string());
        Some(PortHolder { port, pid: Some(ours.pid), command, service: Some(ours.id.clone()) })
    }
}

/// Why there is no process, and whether it would be so again.
fn failure(spawning: Spawning) -> Option<(&'static str, bool)> {
    match spawning {
        Spawning::Works => None,
        Spawning::FailsForNow => Some(("program cannot be started: x (the limit of processes is reached)", false)),
        Spawning::FailsForGood => Some(("program not found: x", true)),
        Spawning::NoDirectory => Some(("directory does not exist: /x", true)),
        Spawning::NotExecutable => Some(("not executable: ./x (chmod +x /x)", true)),
    }
}

/// The signal's number on Linux.
fn number(signal: Signal) -> i32 {
    match signal {
        Signal::Hup => 1,
        Signal::Int => 2,
        Signal::Quit => 3,
        Signal::Kill => 9,
        Signal::Usr1 => 10,
        Signal::Usr2 => 12,
        Signal::Term => 15,
    }
}
