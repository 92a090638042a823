//! The port `Processes`: scripted children, and strangers on ports.

use std::collections::BTreeMap;
use std::time::Duration;

use pilotlight::domain::{
    Event, Exit, FoundRun, Moment, Outcome, Part, PortHolder, ProcessId, RunId, ServiceId, Signal, Spared, SpawnOrder,
    StopTree, TakeOrder,
};
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
    /// How many have moved to sessions of their own; they, too, outlive the main process.
    pub apart: u32,
    /// How its steps before a start behave.
    pub step: Aside,
    /// How its stop command behaves; where that succeeds, the main process ends as if asked.
    pub stop_command: Aside,
}

/// How something behaves that is run to its end.
#[derive(Clone, Debug)]
pub struct Aside {
    /// Whether there is a process at all.
    pub spawn: Spawning,
    /// When it ends, and with which code; `None`: it does not by itself.
    pub life: Option<(Duration, i32)>,
    /// How long it takes to end when asked; `None`: it does not.
    pub obeys: Option<Duration>,
    /// How many others of its tree outlive its main process.
    pub leaves: u32,
}

impl Default for Aside {
    fn default() -> Self {
        let quick = Duration::from_millis(20);
        Self { spawn: Spawning::Works, life: Some((quick, 0)), obeys: Some(quick), leaves: 0 }
    }
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
            apart: 0,
            step: Aside::default(),
            stop_command: Aside::default(),
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
    /// What is on record of the shared variables that it got.
    pub shared: Option<BTreeMap<String, String>>,
    /// Whether its main process lives.
    pub main: bool,
    /// How many others live.
    pub others: u32,
    /// How many of it live in sessions of their own.
    pub apart: u32,
    /// Whether it is over, and those are nobody's.
    pub spared: bool,
    /// How much of it has to end.
    tree: StopTree,
    /// What its main process listens on.
    port: Option<u16>,
    /// When its beginning is told: its end is not told before.
    told: Moment,
    /// Whether it has been killed: then no other signal and no code can be what ends it.
    killed: bool,
    /// Whether an agent follows it that has not spawned it.
    adopted: bool,
    /// Whether it is a stranger that was only taken to be ended: for the next agent it is one again.
    unrecorded: bool,
}

impl Child {
    /// Whether anything of it lives.
    pub fn lives(&self) -> bool {
        self.main || self.others > 0 || (self.apart > 0 && !self.spared)
    }

    /// Those in sessions of their own.
    fn told_apart(&self) -> Vec<Spared> {
        (0..self.apart).map(|count| Spared { pid: self.pid + 10_000 + count, command: "apart".to_owned() }).collect()
    }

    /// How many are left of it that have to end.
    fn left(&self) -> u32 {
        match self.tree {
            StopTree::All => self.others + self.apart,
            StopTree::Group => self.others,
        }
    }
}

impl Processes for Machine {
    fn spawn(&mut self, order: SpawnOrder) {
        let SpawnOrder { id, run, spawn, port } = order;
        if let Some(holder) = port.and_then(|port| self.holder(port)) {
            return self.later(SOON, Due::Fact(Event::PortTaken { run, holder }));
        }
        let behaviour = self.behaviour_of(&id, run.part());
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
            shared: Some(spawn.shared_hashes()),
            main: true,
            others: behaviour.leaves,
            apart: behaviour.apart,
            spared: false,
            tree: StopTree::All,
            port: port.filter(|_| run.part() == Part::Main),
            told: self.now + SOON,
            killed: false,
            adopted: false,
            unrecorded: false,
        };
        self.later(SOON, Due::Fact(Event::Spawned { run: run.clone(), pid: child.pid }));
        self.children.insert(run.clone(), child);
        if let Some((span, code)) = behaviour.life {
            self.end(&run, span, Exit::Code(code));
        }
    }

    fn take(&mut self, order: TakeOrder) {
        let TakeOrder { id, run, stranger, port, spawn_hash } = order;
        if !self.strangers.contains_key(&port) || stranger != stranger_on(port) {
            let error = format!("pid {} has ended, and nothing was done", stranger.pid);
            return self.later(SOON, Due::Fact(Event::NotTaken { run, error }));
        }
        self.strangers.remove(&port);
        let child = Child {
            id,
            pid: stranger.pid,
            since: self.now,
            unrecorded: spawn_hash.is_none(),
            hash: spawn_hash.unwrap_or_default(),
            shared: None,
            main: true,
            others: 0,
            apart: 0,
            spared: false,
            tree: StopTree::All,
            port: Some(port),
            told: self.now + SOON,
            killed: false,
            adopted: true,
        };
        self.later(SOON, Due::Fact(Event::Taken { run: run.clone() }));
        self.children.insert(run, child);
    }

    fn ask(&mut self, run: &RunId, signal: Signal, tree: StopTree) {
        self.limit_to(run, tree);
        let Some(child) = self.children.get(run) else { return };
        let behaviour = self.behaviour_of(&child.id, run.part());
        // To that one nobody is deaf.
        let obeys = if signal == Signal::Kill { Some(Duration::ZERO) } else { behaviour.obeys };
        let Some(delay) = obeys else { return };
        if !child.main || behaviour.grouped {
            self.later(delay, Due::OthersEnd(run.clone()));
        }
        self.end(run, delay, Exit::Signal(number(signal)));
    }

    fn kill(&mut self, run: &RunId, tree: StopTree) {
        self.limit_to(run, tree);
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
        let nobodys = self.children.extract_if(.., |_, child| child.unrecorded && child.lives());
        self.strangers.extend(nobodys.filter_map(|(_, child)| Some((child.port?, true))));
        let living = self.children.iter_mut().filter(|(_, child)| child.lives());
        let found = living.map(|(run, child)| {
            child.adopted = true;
            FoundRun {
                id: child.id.clone(),
                run: run.clone(),
                pid: child.main.then_some(child.pid),
                spawn_hash: (run.part() == Part::Main).then(|| child.hash.clone()),
                shared_hashes: child.shared.clone(),
                since: child.since,
            }
        });
        found.collect()
    }

    /// Finds what runs that are over have left, for an agent that has just begun.
    pub fn find_spared(&self) -> Vec<(ServiceId, Vec<Spared>)> {
        let left = self.children.values().filter(|child| child.spared && child.apart > 0);
        left.map(|child| (child.id.clone(), child.told_apart())).collect()
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

    /// How a run of the service behaves that is for this.
    fn behaviour_of(&self, id: &ServiceId, part: Part) -> Behaviour {
        let own = self.behaviour(id);
        let Aside { spawn, life, obeys, leaves } = match part {
            Part::Main => return own,
            Part::Step => own.step,
            Part::StopCommand => own.stop_command,
        };
        Behaviour { spawn, life, obeys, leaves, ..Behaviour::default() }
    }

    /// Takes note of how much of a run has to end. It may be over by that.
    fn limit_to(&mut self, run: &RunId, tree: StopTree) {
        let Some(child) = self.children.get_mut(run).filter(|child| child.lives()) else { return };
        let before = child.left();
        child.tree = tree;
        if !child.main && before > 0 && child.left() == 0 {
            self.over(run);
        }
    }

    pub(super) fn main_ends(&mut self, run: &RunId, exit: Exit) {
        let Some(child) = self.children.get_mut(run).filter(|child| child.main) else { return };
        child.main = false;
        let (left, is_over) = (child.others + child.apart, child.left() == 0);
        let exit = match exit {
            // The system keeps the status for the parent alone.
            _ if child.adopted => Exit::Unknown,
            _ if child.killed => KILLED,
            exit => exit,
        };
        let id = child.id.clone();
        let has_asked = run.part() == Part::StopCommand && exit == Exit::Code(0);
        self.tell(Event::Exited { run: run.clone(), exit, left });
        if left > 0 && is_over {
            self.over(run);
        }
        if has_asked {
            let asked =
                self.children.iter().find(|(of, child)| child.id == id && child.main && of.part() == Part::Main);
            let asked = asked.map(|(of, _)| of.clone());
            if let (Some(asked), Some(delay)) = (asked, self.behaviour(&id).obeys) {
                self.end(&asked, delay, Exit::Code(0));
            }
        }
    }

    pub(super) fn others_end(&mut self, run: &RunId) {
        let Some(child) = self.children.get_mut(run).filter(|child| child.left() > 0) else { return };
        child.others = 0;
        if child.tree == StopTree::All {
            child.apart = 0;
        }
        if !child.main {
            self.over(run);
        }
    }

    /// Nothing is left of the run that has to end.
    fn over(&mut self, run: &RunId) {
        let Some(child) = self.children.get_mut(run) else { return };
        child.spared = child.apart > 0;
        let spared = child.told_apart();
        self.tell(Event::Ended { run: run.clone(), spared });
    }

    /// Who listens on `port`.
    fn holder(&self, port: u16) -> Option<PortHolder> {
        if self.strangers.contains_key(&port) {
            let (process, command) = (Some(stranger_on(port)), Some("stranger".to_owned()));
            return Some(PortHolder { process, command, ..PortHolder::unknown(port) });
        }
        let ours = self.children.values().find(|child| child.main && child.port == Some(port))?;
        let command = Some(ours.id.to_string());
        let process = Some(ProcessId { pid: ours.pid, start: 0 });
        Some(PortHolder { process, command, service: Some(ours.id.clone()), ..PortHolder::unknown(port) })
    }
}

/// The process that a stranger on `port` is.
pub fn stranger_on(port: u16) -> ProcessId {
    ProcessId { pid: 9, start: u64::from(port) }
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
        Signal::Abrt => 6,
        Signal::Alrm => 14,
        Signal::Cont => 18,
        Signal::Pipe => 13,
        Signal::Trap => 5,
        Signal::Ttin => 21,
        Signal::Ttou => 22,
        Signal::Urg => 23,
        Signal::Vtalrm => 26,
        Signal::Winch => 28,
        Signal::Xcpu => 24,
        Signal::Xfsz => 25,
    }
}
