//! A world of scripted children, files and strangers in which the supervisor lives: no file, no process, no clock.
//!
//! Time jumps to whatever comes next. Each order is checked against the laws when it is given, because afterwards the
//! moment that would have broken one is gone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::catalog::{Content, Reading, Role, SourceFile, Surroundings};
use pilotlight::domain::{
    Answer, Command, Condition, Effect, Event, Exit, FoundRun, Intent, Moment, Notice, Outcome, PortHolder, ProbeOrder,
    ProcessState, RunId, RunIds, ServiceId, Snapshot, SpawnOrder, Supervisor,
};
use pilotlight::sources::parse;

/// How a service's processes behave from now on.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Whether there is a process at all.
    pub spawn: Spawning,
    /// What its probes find.
    pub health: Outcome,
    /// How long after its start it answers at all.
    pub warm_up: Duration,
    /// When it ends by itself, and with which code.
    pub life: Option<(Duration, i32)>,
    /// How long it takes to end when asked; `None`: it does not.
    pub obeys: Option<Duration>,
    /// How many others of its tree outlive its main process.
    pub leaves: u32,
}

/// Whether a spawn succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawning {
    Works,
    FailsForNow,
    FailsForGood,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            spawn: Spawning::Works,
            health: Outcome::Pass,
            warm_up: Duration::ZERO,
            life: None,
            obeys: Some(Duration::from_millis(20)),
            leaves: 0,
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
    /// Whether a probe of this run has passed.
    pub has_passed: bool,
    /// Whether it is on its way out.
    pub ending: bool,
}

/// The world and the supervisor in it.
pub struct World {
    pub now: Moment,
    pub supervisor: Supervisor,
    pub disk: BTreeMap<String, String>,
    pub behaviours: BTreeMap<ServiceId, Behaviour>,
    pub children: BTreeMap<RunId, Child>,
    /// Ports that strangers listen on, and whether they work.
    pub strangers: BTreeMap<u16, bool>,
    /// Ports whose stranger has passed a probe, and how many it has failed since; with three it is there no more.
    strangers_passed: BTreeMap<u16, u32>,
    pub intent: Intent,
    pub notices: Vec<Notice>,
    pub answers: BTreeMap<u64, Answer>,
    pub exited: bool,
    /// How often each service was spawned.
    pub spawns: BTreeMap<ServiceId, u32>,
    /// One-shots whose last run succeeded.
    completed: BTreeMap<ServiceId, bool>,
    queue: BinaryHeap<Reverse<(Moment, u64)>>,
    events: BTreeMap<u64, Due>,
    sequence: u64,
    tickets: u64,
    agents: u32,
    pids: u32,
    /// How often it was decided at this very moment.
    steps_now: u32,
}

/// What lies ahead.
#[derive(Clone, Debug)]
enum Due {
    Fact(Event),
    Read(String, u64),
    Answer(ProbeOrder),
    /// The run's main process ends in this way.
    Ends(RunId, Exit),
    /// Others of the run's tree end.
    OthersEnd(RunId),
}

impl World {
    /// A world with these files, in which the agent has just begun.
    pub fn new(disk: &[(&str, String)]) -> Self {
        let mut world = Self {
            now: Moment::at(Duration::from_secs(1000)),
            supervisor: Supervisor::new(RunIds::new("0")),
            disk: disk.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect(),
            behaviours: BTreeMap::new(),
            children: BTreeMap::new(),
            strangers: BTreeMap::new(),
            strangers_passed: BTreeMap::new(),
            intent: Intent::new(),
            notices: Vec::new(),
            answers: BTreeMap::new(),
            exited: false,
            spawns: BTreeMap::new(),
            completed: BTreeMap::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            tickets: 0,
            agents: 0,
            pids: 100,
            steps_now: 0,
        };
        world.begin();
        world
    }

    /// The agent dies without a word, and another one begins.
    pub fn kill_agent(&mut self) {
        // What was on its way to the old one is lost; what befalls children goes on.
        let lost = self.events.iter().filter(|(_, due)| !matches!(due, Due::Ends(..) | Due::OthersEnd(_)));
        let lost = lost.map(|(sequence, _)| *sequence).collect::<Vec<_>>();
        for sequence in lost {
            self.events.remove(&sequence);
        }
        // What the old one has asked of them the new one can't know.
        self.children.values_mut().for_each(|child| child.ending = false);
        self.agents += 1;
        self.supervisor = Supervisor::new(RunIds::new(&self.agents.to_string()));
        self.exited = false;
        self.begin();
    }

    fn begin(&mut self) {
        let alive = self.children.iter().filter(|(_, child)| child.main || child.others > 0);
        let runs = alive
            .map(|(run, child)| FoundRun {
                id: child.id.clone(),
                run: run.clone(),
                pid: child.main.then_some(child.pid),
                spawn_hash: Some(child.hash.clone()),
                since: child.since,
            })
            .collect();
        let found = Event::Found { runs, intent: self.intent.clone() };
        self.supervisor.handle(self.now, found);
        self.touch("begin");
    }

    /// Something about the sources has changed.
    pub fn touch(&mut self, cause: &str) {
        self.supervisor.handle(self.now, Event::SourcesTouched { cause: cause.to_owned() });
        self.decide();
    }

    /// Writes a source.
    pub fn write(&mut self, name: &str, text: impl Into<String>) {
        self.disk.insert(name.to_owned(), text.into());
        self.touch(name);
    }

    /// Removes a source.
    pub fn remove(&mut self, name: &str) {
        self.disk.remove(name);
        self.touch(name);
    }

    /// Wishes something; the answer comes at once.
    pub fn command(&mut self, command: Command) -> Answer {
        self.tickets += 1;
        let ticket = self.tickets;
        self.supervisor.handle(self.now, Event::Commanded { ticket, command });
        self.decide();
        self.answers.remove(&ticket).expect("every command is answered")
    }

    /// A fact out of the blue.
    pub fn tell(&mut self, event: Event) {
        self.supervisor.handle(self.now, event);
        self.decide();
    }

    /// The main process of a service ends by itself.
    pub fn crash(&mut self, id: &ServiceId, exit: Exit) {
        let run = self.children.iter().find(|(_, child)| child.id == *id && child.main).map(|(run, _)| run.clone());
        if let Some(run) = run {
            // Nobody is told of the end before the beginning.
            self.later(2, Due::Ends(run, exit));
        }
    }

    /// Lets `span` pass.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.advance(next);
        }
        self.now = end;
    }

    /// Lets time pass until `done`, for `limit` at most; true if it came about.
    pub fn pass_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            match self.next_moment().filter(|next| *next <= end) {
                Some(next) => self.advance(next),
                None => {
                    self.now = end;
                    return done(self);
                }
            }
        }
        true
    }

    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.supervisor.snapshot()
    }

    /// The pid of a service's main process.
    pub fn pid(&self, id: &str) -> Option<u32> {
        self.children.values().find(|child| child.id.as_str() == id && child.main).map(|child| child.pid)
    }

    pub fn process(&self, id: &str) -> ProcessState {
        self.snapshot().service(id).map_or(ProcessState::Stopped, |view| view.process)
    }

    fn next_moment(&self) -> Option<Moment> {
        let queued = self.queue.iter().map(|Reverse((moment, _))| *moment).min();
        let own = (!self.exited).then(|| self.supervisor.next_deadline()).flatten();
        queued.into_iter().chain(own).min()
    }

    fn advance(&mut self, to: Moment) {
        if to > self.now {
            self.now = to;
            self.steps_now = 0;
        }
        self.steps_now += 1;
        assert!(self.steps_now < 10_000, "it never comes to rest: {:#?}", self.snapshot());
        while let Some(Reverse((moment, sequence))) = self.queue.peek().copied()
            && moment <= self.now
        {
            self.queue.pop();
            if let Some(due) = self.events.remove(&sequence) {
                self.happen(due);
            }
        }
        self.decide();
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Fact(event) => self.supervisor.handle(self.now, event),
            Due::Read(cause, order) => {
                let reading = self.read(cause, order);
                self.supervisor.handle(self.now, Event::SourcesRead(reading));
            }
            Due::Answer(order) => {
                let outcome = self.probe(&order);
                let event = Event::Probed { run: order.run, index: order.index, outcome };
                self.supervisor.handle(self.now, event);
            }
            Due::Ends(run, exit) => self.main_ends(&run, exit),
            Due::OthersEnd(run) => {
                if let Some(child) = self.children.get_mut(&run) {
                    child.others = 0;
                    if !child.main {
                        self.supervisor.handle(self.now, Event::Ended { run });
                    }
                }
            }
        }
    }

    fn decide(&mut self) {
        for effect in self.supervisor.decide(self.now) {
            self.carry_out(effect);
        }
        self.check_runs();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ReadSources { cause, order } => self.later(3, Due::Read(cause, order)),
            Effect::Spawn(order) => self.spawn(order),
            Effect::Ask { run, .. } => self.ask(&run),
            Effect::Kill { run } => {
                if self.children.get(&run).is_some_and(|child| child.main) {
                    if let Some(child) = self.children.get_mut(&run) {
                        child.others = 0;
                    }
                    self.later(1, Due::Ends(run, Exit::Signal(9)));
                } else {
                    self.later(1, Due::OthersEnd(run));
                }
            }
            Effect::Probe(order) => self.later(2, Due::Answer(order)),
            Effect::SaveIntent(intent) => self.intent = intent,
            Effect::Record(_) => {}
            Effect::Notify(notice) => self.notices.push(notice),
            Effect::Answer { ticket, answer } => {
                self.answers.insert(ticket, answer);
            }
            Effect::Exit => self.exited = true,
        }
    }

    fn spawn(&mut self, order: SpawnOrder) {
        assert!(!self.exited, "{} is spawned after the end", order.id);
        self.check_needs(&order.id);
        assert_ne!(self.intent.get(&order.id), Some(&false), "{} was stopped by the user, and is spawned", order.id);
        *self.spawns.entry(order.id.clone()).or_default() += 1;
        let SpawnOrder { id, run, spawn, port } = order;
        if let Some(port) = port.filter(|port| self.strangers.contains_key(port)) {
            let holder = PortHolder { port, pid: Some(9), command: Some("stranger".to_owned()), service: None };
            self.later(1, Due::Fact(Event::PortTaken { run, holder }));
            return;
        }
        let behaviour = self.behaviours.get(&id).cloned().unwrap_or_default();
        if behaviour.spawn != Spawning::Works {
            let lasting = behaviour.spawn == Spawning::FailsForGood;
            let failed = Event::SpawnFailed { run, error: "program not found: x".to_owned(), lasting };
            self.later(1, Due::Fact(failed));
            return;
        }
        self.pids += 1;
        self.completed.remove(&id);
        let child = Child {
            id,
            pid: self.pids,
            since: self.now,
            hash: spawn.hash(),
            main: true,
            others: behaviour.leaves,
            has_passed: false,
            ending: false,
        };
        self.later(1, Due::Fact(Event::Spawned { run: run.clone(), pid: child.pid }));
        if let Some((span, code)) = behaviour.life {
            let at = u64::try_from(span.as_millis()).expect("lives are short").max(2);
            self.later(at, Due::Ends(run.clone(), Exit::Code(code)));
        }
        self.children.insert(run, child);
    }

    fn ask(&mut self, run: &RunId) {
        self.check_order_of_stop(run);
        let Some(child) = self.children.get_mut(run) else { return };
        child.ending = true;
        let behaviour = self.behaviours.get(&child.id).cloned().unwrap_or_default();
        let main = child.main;
        let Some(delay) = behaviour.obeys else { return };
        let delay = u64::try_from(delay.as_millis()).expect("delays are short");
        if main {
            self.later(delay, Due::Ends(run.clone(), Exit::Signal(15)));
        } else {
            self.later(delay, Due::OthersEnd(run.clone()));
        }
    }

    fn main_ends(&mut self, run: &RunId, exit: Exit) {
        let Some(child) = self.children.get_mut(run).filter(|child| child.main) else { return };
        child.main = false;
        let left = child.others;
        self.completed.insert(child.id.clone(), exit.is_success());
        let event = Event::Exited { run: run.clone(), exit, left };
        self.supervisor.handle(self.now, event);
        self.decide();
    }

    fn probe(&mut self, order: &ProbeOrder) -> Outcome {
        let refused = || Outcome::Fail("connection refused".to_owned());
        let behaviour = self.behaviours.get(&order.id).cloned().unwrap_or_default();
        if let Some(child) = self.children.get_mut(&order.run) {
            if !child.main || self.now.since(child.since) < behaviour.warm_up {
                return refused();
            }
            child.has_passed |= !matches!(behaviour.health, Outcome::Fail(_));
            return behaviour.health;
        }
        let Some(port) = self.snapshot().service(order.id.as_str()).and_then(|view| view.service.port) else {
            return refused();
        };
        if self.strangers.get(&port) == Some(&true) {
            self.strangers_passed.insert(port, 0);
            Outcome::Pass
        } else {
            self.strangers_passed.entry(port).and_modify(|failed| *failed += 1);
            self.strangers_passed.retain(|_, failed| *failed < 3);
            refused()
        }
    }

    fn read(&self, cause: String, order: u64) -> Reading {
        let files = self.disk.iter().map(|(name, text)| {
            let name: Arc<str> = name.as_str().into();
            let content = match parse(&name, text) {
                _ if text.trim().is_empty() => Content::Empty,
                Ok(node) => Content::Parsed(node, text.as_str().into()),
                Err(problem) => Content::Broken(problem),
            };
            let role = if &*name == "services.json" { Role::Main } else { Role::DropIn };
            SourceFile { path: PathBuf::from("/p").join(&*name), name, role, content }
        });
        let mut files = files.collect::<Vec<_>>();
        files.sort_by_key(|file| (file.role, file.path.clone()));
        let surroundings = Surroundings { root: "/p".into(), python: "python3".to_owned(), ..Surroundings::default() };
        reading(files, surroundings, cause, order)
    }

    fn later(&mut self, millis: u64, due: Due) {
        self.sequence += 1;
        self.events.insert(self.sequence, due);
        self.queue.push(Reverse((self.now + Duration::from_millis(millis), self.sequence)));
    }

    // The laws that hold at every moment.

    /// Never two live runs of a service.
    fn check_runs(&self) {
        let mut seen = BTreeMap::new();
        for (run, child) in self.children.iter().filter(|(_, child)| child.main || child.others > 0) {
            if let Some(other) = seen.insert(&child.id, run) {
                panic!("{} lives twice: {other} and {run}", child.id);
            }
        }
    }

    /// Nothing starts before what it needs.
    fn check_needs(&self, id: &ServiceId) {
        let snapshot = self.snapshot();
        let Some(view) = snapshot.service(id.as_str()) else { return };
        for dependency in &view.service.depends_on {
            let child = self.children.values().find(|child| child.id == dependency.id && child.main && !child.ending);
            let needed = snapshot.service(dependency.id.as_str());
            let port = needed.and_then(|view| view.service.port);
            let stranger = port.is_some_and(|port| self.strangers_passed.contains_key(&port));
            let completed = self.completed.get(&dependency.id).copied().unwrap_or_default();
            let has_probes = needed.is_some_and(|view| !view.service.probes.is_empty());
            let there = match dependency.condition {
                Condition::Started => child.is_some() || completed || stranger,
                Condition::Healthy => {
                    child.is_some_and(|child| child.has_passed || !has_probes) || completed || stranger
                }
                Condition::Completed => completed,
            };
            assert!(there, "{id} starts before {} is there: {needed:?}", dependency.id);
        }
    }

    /// Stops run in the reverse order of the dependencies.
    fn check_order_of_stop(&self, run: &RunId) {
        let Some(child) = self.children.get(run).filter(|child| child.main) else { return };
        let snapshot = self.snapshot();
        let stays_down = self.intent.get(&child.id) == Some(&false) || snapshot.shutting_down;
        if !stays_down {
            return;
        }
        for dependent in self.children.values().filter(|other| other.main && other.id != child.id) {
            let Some(view) = snapshot.service(dependent.id.as_str()) else { continue };
            let needs = view
                .service
                .depends_on
                .iter()
                .any(|dependency| dependency.id == child.id && dependency.condition != Condition::Completed);
            assert!(!needs, "{} is asked to end while {} still needs it", child.id, dependent.id);
        }
    }
}

pub fn reading(files: Vec<SourceFile>, surroundings: Surroundings, cause: String, order: u64) -> Reading {
    Reading { files, surroundings: Arc::new(surroundings), unlisted: false, problems: Vec::new(), cause, order }
}
