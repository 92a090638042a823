//! A world of scripted children, files and strangers in which the supervisor lives: no file, no process, no clock.
//!
//! The machine that the supervisor's orders are given to is made up by the [`fakes`], which answer to the ports of the
//! engine. Time jumps to whatever comes next. Each order is checked against the laws when it is given, because
//! afterwards the moment that would have broken one is gone.

#[path = "fakes/mod.rs"]
mod fakes;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::catalog::{Basis, resolve};
use pilotlight::domain::{
    Answer, Command, Condition, Effect, Event, Exit, FoundEnd, Moment, Outcome, Part, ProbeOrder, ProcessState, RunId,
    RunIds, ServiceId, Snapshot, SpawnOrder, Supervisor,
};
use pilotlight::engine::ports::{Actions, Files, Logs, Meters, Notifier, Probes, Processes, Sources, Store};
use tokio::sync::mpsc;

pub use fakes::{Aside, Behaviour, Spawning, reading, stranger_on};
use fakes::{Log, Machine};

/// The world and the supervisor in it. What others than the supervisor do, they do to the machine, which this derefs to.
pub struct World {
    machine: Machine,
    /// The runs of whose main processes' ends the agent has been told.
    known_ends: BTreeSet<RunId>,
    /// What the catalog in use was made of when it was last looked at.
    basis: Arc<Basis>,
    facts: mpsc::UnboundedReceiver<Event>,
    pub supervisor: Supervisor,
    pub answers: BTreeMap<u64, Answer>,
    /// The strangers that the user has named, with the service on whose port they are.
    named: BTreeSet<(ServiceId, u32, u64)>,
    /// Strangers that are taken to be ended, whatever else is wished of their services meanwhile.
    unwelcome: BTreeSet<RunId>,
    pub exited: bool,
    /// How often each service was spawned.
    pub spawns: BTreeMap<ServiceId, u32>,
    /// What was spawned beside, in its order: the service, what for, and the program with its arguments.
    pub asides: Vec<(ServiceId, Part, String)>,
    /// One-shots whose last run succeeded.
    completed: BTreeMap<ServiceId, bool>,
    /// How the last run of each service ended, as its record tells.
    ends: BTreeMap<ServiceId, FoundEnd>,
    /// Runs of which a probe has passed.
    passed: BTreeSet<RunId>,
    /// The ports of strangers that are watched, by the names under which they are.
    watched: BTreeMap<RunId, u16>,
    /// Ports whose stranger has passed a probe, and how many it has failed since; with three it is there no more.
    strangers_passed: BTreeMap<u16, u32>,
    /// Runs that this agent has asked to end.
    ending: BTreeSet<RunId>,
    /// After so many more orders the agent dies in the middle of its work, and for so long there is none.
    pub dies_after: Option<(u32, Duration)>,
    tickets: u64,
    agents: u32,
    /// How often it was decided at this very moment.
    steps_now: u32,
}

impl Deref for World {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }
}

impl World {
    /// A world with these files, in which the agent has just begun.
    pub fn new(disk: &[(&str, String)]) -> Self {
        let (inbox, facts) = mpsc::unbounded_channel();
        let mut machine = Machine::new(Moment::at(Duration::from_secs(1000)), inbox);
        machine.disk.extend(disk.iter().map(|(name, text)| ((*name).to_owned(), text.clone())));
        let mut world = Self {
            machine,
            facts,
            supervisor: Supervisor::new(RunIds::new("0")),
            answers: BTreeMap::new(),
            named: BTreeSet::new(),
            unwelcome: BTreeSet::new(),
            exited: false,
            known_ends: BTreeSet::new(),
            basis: Arc::default(),
            spawns: BTreeMap::new(),
            asides: Vec::new(),
            completed: BTreeMap::new(),
            ends: BTreeMap::new(),
            passed: BTreeSet::new(),
            watched: BTreeMap::new(),
            strangers_passed: BTreeMap::new(),
            ending: BTreeSet::new(),
            dies_after: None,
            tickets: 0,
            agents: 0,
            steps_now: 0,
        };
        world.begin();
        world
    }

    /// The agent dies without a word, and another one begins.
    pub fn kill_agent(&mut self) {
        self.kill_agent_for(Duration::ZERO);
    }

    /// The agent dies without a word, and another one begins so much later.
    pub fn kill_agent_for(&mut self, span: Duration) {
        self.dies_after = None;
        self.machine.lose_agent();
        self.machine.go_on(self.machine.now + span);
        // Nobody has heard it.
        while self.facts.try_recv().is_ok() {}
        // What the old one has asked of them the new one can't know.
        self.ending.clear();
        self.agents += 1;
        self.supervisor = Supervisor::new(RunIds::new(&self.agents.to_string()));
        self.exited = false;
        self.begin();
    }

    /// The machine sleeps for `span`; the agent is told, or finds out by itself.
    pub fn sleep(&mut self, span: Duration, is_told: bool) {
        self.machine.sleep(span);
        if is_told {
            self.tell(Event::Resumed);
        } else {
            self.decide();
        }
    }

    /// The machine sleeps for `span`; the agent finds out by itself, and is told a moment later.
    pub fn machine_wakes(&mut self, span: Duration) {
        self.sleep(span, false);
        self.pass(Duration::from_millis(20));
        self.tell(Event::Resumed);
    }

    /// The file of the wishes can't be read by the next agent.
    pub fn lose_wishes(&mut self) {
        self.machine.lose_wishes();
    }

    /// The agent is stopped for `span` while the world goes on.
    pub fn stop_agent(&mut self, span: Duration) {
        self.machine.stop_agent(span);
        self.listen();
        self.decide();
    }

    fn begin(&mut self) {
        let gone = self.children.iter().filter(|(_, child)| !child.main).map(|(run, _)| run.clone());
        self.known_ends = gone.collect();
        let runs = self.machine.find_runs();
        let over = self.ends.values().filter(|end| runs.iter().all(|run| run.id != end.id));
        let ends = over.cloned().collect();
        let (intent, spared) = (self.intent.clone(), self.machine.find_spared());
        let is_intent_lost = std::mem::take(&mut self.machine.is_intent_lost);
        let found = Event::Found { runs, ends, spared, intent, is_intent_lost };
        self.supervisor.handle(self.machine.now, found);
        self.touch("begin");
    }

    /// Something about the sources has changed.
    pub fn touch(&mut self, cause: &str) {
        self.supervisor.handle(self.machine.now, Event::SourcesTouched { cause: cause.to_owned() });
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
        let ticket = self.wish(command);
        self.answers.remove(&ticket).expect("every command is answered")
    }

    /// Wishes something, and waits for the answer.
    pub fn command_in_time(&mut self, command: Command) -> Answer {
        let ticket = self.wish(command);
        self.pass_until(Duration::from_secs(60), |world| world.answers.contains_key(&ticket));
        self.answers.remove(&ticket).expect("every command is answered in time")
    }

    /// Wishes something, whose answer will be among the [`World::answers`].
    pub fn wish(&mut self, command: Command) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        if let Command::Adopt { id, stranger } | Command::StopStranger { id, stranger } = &command {
            self.named.insert((id.clone(), stranger.pid, stranger.start));
        }
        self.supervisor.handle(self.machine.now, Event::Commanded { ticket, command });
        self.decide();
        ticket
    }

    /// A fact out of the blue.
    pub fn tell(&mut self, event: Event) {
        self.supervisor.handle(self.machine.now, event);
        self.decide();
    }

    /// The main process of a service ends by itself.
    pub fn crash(&mut self, id: &ServiceId, exit: Exit) {
        let is_it = |run: &RunId, child: &fakes::Child| child.id == *id && child.main && run.part() == Part::Main;
        let run = self.children.iter().find(|(run, child)| is_it(run, child)).map(|(run, _)| run.clone());
        if let Some(run) = run {
            self.end(&run, Duration::from_millis(2), exit);
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
        let is_it =
            |run: &RunId, child: &fakes::Child| child.id.as_str() == id && child.main && run.part() == Part::Main;
        self.children.iter().find(|(run, child)| is_it(run, child)).map(|(_, child)| child.pid)
    }

    pub fn process(&self, id: &str) -> ProcessState {
        self.snapshot().service(id).map_or(ProcessState::Stopped, |view| view.process)
    }

    fn next_moment(&self) -> Option<Moment> {
        let own = (!self.exited).then(|| self.supervisor.next_deadline()).flatten();
        self.machine.next_moment().into_iter().chain(own).min()
    }

    fn advance(&mut self, to: Moment) {
        if to > self.now {
            self.now = to;
            self.steps_now = 0;
        }
        self.steps_now += 1;
        assert!(self.steps_now < 10_000, "it never comes to rest: {:#?}", self.snapshot());
        while self.machine.step() {
            self.listen();
        }
        self.decide();
    }

    /// Hands on what has been told.
    fn listen(&mut self) {
        while let Ok(event) = self.facts.try_recv() {
            let ends = self.note(&event);
            self.supervisor.handle(self.machine.now, event);
            if ends {
                self.decide();
            }
        }
    }

    /// Notes what the laws depend on; true if it is the end of a main process.
    fn note(&mut self, event: &Event) -> bool {
        match event {
            Event::Exited { run, .. } if run.part() != Part::Main => false,
            Event::Exited { run, exit, .. } => {
                self.known_ends.insert(run.clone());
                let child = &self.machine.children[run];
                let (id, spawn_hash) = (child.id.clone(), child.hash.clone());
                self.ends.insert(id.clone(), FoundEnd { id: id.clone(), spawn_hash, exit: exit.clone() });
                self.completed.insert(id, *exit == pilotlight::domain::Exit::Code(0));
                true
            }
            Event::Probed { run, outcome, .. } => {
                let passed = !matches!(outcome, Outcome::Fail(_));
                match self.watched.get(run) {
                    Some(port) if passed => drop(self.strangers_passed.insert(*port, 0)),
                    Some(port) => {
                        self.strangers_passed.entry(*port).and_modify(|failed| *failed += 1);
                        self.strangers_passed.retain(|_, failed| *failed < 3);
                    }
                    None if passed => drop(self.passed.insert(run.clone())),
                    None => {}
                }
                false
            }
            Event::Found { .. }
            | Event::SourcesTouched { .. }
            | Event::SourcesRead(_)
            | Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::PortTaken { .. }
            | Event::Taken { .. }
            | Event::ActionEnded { .. }
            | Event::NotTaken { .. }
            | Event::Ended { .. }
            | Event::KillFailed { .. }
            | Event::Measured { .. }
            | Event::LogTroubled { .. }
            | Event::Resumed
            | Event::ClockSet
            | Event::TimeOfDay { .. }
            | Event::FilesTouched { .. }
            | Event::Commanded { .. } => false,
        }
    }

    /// What is in use is what a resolver that knows nothing makes of the same sources.
    fn hold_to_a_new_resolver(&mut self) {
        let snapshot = Arc::clone(self.supervisor.snapshot());
        if Arc::ptr_eq(&snapshot.basis, &self.basis) {
            return;
        }
        self.basis = Arc::clone(&snapshot.basis);
        let anew = resolve(&self.basis.files, &self.basis.surroundings, &self.basis.in_use);
        assert!(anew.in_use == *self.basis.in_use, "{:#?} instead of {:#?}", self.basis.in_use, anew.in_use);
        for service in anew.catalog.services.iter() {
            let view = snapshot.service(service.id.as_str());
            assert_eq!(view.map(|view| &view.service), Some(service), "it is not as it is defined");
        }
    }

    fn decide(&mut self) {
        let effects = self.supervisor.decide(self.machine.now);
        // What is kept up to date change by change is what working out all of it anew comes to.
        assert_eq!(self.supervisor.not_as_anew(self.machine.now), Vec::<String>::new());
        self.hold_to_a_new_resolver();
        for effect in effects {
            match &mut self.dies_after {
                Some((0, span)) => {
                    let span = *span;
                    return self.kill_agent_for(span);
                }
                Some((orders, _)) => *orders -= 1,
                None => {}
            }
            self.carry_out(effect);
        }
        self.check_runs();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ReadSources { cause, order } => self.machine.read(cause, order),
            Effect::Spawn(order) => self.spawn(order),
            Effect::RunAction(order) => Actions::run(&mut self.machine, order),
            Effect::Take(order) => {
                let named = (order.id.clone(), order.stranger.pid, order.stranger.start);
                assert!(self.named.contains(&named), "a stranger is taken that nobody has named: {order:?}");
                if order.spawn_hash.is_none() {
                    self.unwelcome.insert(order.run.clone());
                }
                self.machine.take(order);
            }
            Effect::Ask { run, signal, tree } => {
                self.check_order_of_stop(&run);
                self.ending.insert(run.clone());
                self.machine.ask(&run, signal, tree);
            }
            Effect::Kill { run, tree } => self.machine.kill(&run, tree),
            Effect::Measure(order) => self.machine.measure(order),
            Effect::Probe(order) => self.probe(order),
            Effect::KeepLogs(policies) => self.machine.keep(&policies),
            Effect::SaveIntent(intent) => self.machine.save_intent(&intent),
            Effect::Record(occurrence) => self.machine.record(&[occurrence]),
            Effect::Notify(notice) => self.machine.show(notice),
            Effect::Answer { ticket, answer } => {
                self.answers.insert(ticket, answer);
            }
            Effect::WatchFiles { id, patterns } => self.machine.watch(&id, &patterns),
            Effect::TellTimeOfDay => self.machine.tell_time_of_day(),
            Effect::Exit => self.exited = true,
        }
    }

    fn spawn(&mut self, order: SpawnOrder) {
        let SpawnOrder { id, run, .. } = &order;
        let (id, run) = (id.clone(), run.clone());
        assert!(!self.exited, "{id} is spawned after the end");
        let argv = order.spawn.argv.join(" ");
        match run.part() {
            Part::Main => {}
            Part::Step => {
                self.asides.push((id.clone(), Part::Step, argv));
                self.check_needs(&id);
                assert_ne!(self.intent.get(&id), Some(&false), "{id} was stopped by the user, and is prepared");
                assert!(!self.snapshot().shutting_down, "{id} is prepared although the agent ends");
                return self.machine.spawn(order);
            }
            Part::StopCommand => {
                self.asides.push((id.clone(), Part::StopCommand, argv));
                let lives = |run: &RunId, child: &fakes::Child| child.main || !self.known_ends.contains(run);
                let is_asked =
                    |run: &RunId, child: &fakes::Child| child.id == id && lives(run, child) && run.part() == Part::Main;
                let asked = self.children.iter().find(|(run, child)| is_asked(run, child));
                let asked = asked.map(|(run, _)| run.clone()).expect("a stop command asks a run that lives");
                self.check_order_of_stop(&asked);
                self.ending.insert(asked);
                return self.machine.spawn(order);
            }
        }
        self.check_needs(&id);
        assert_ne!(self.intent.get(&id), Some(&false), "{id} was stopped by the user, and is spawned");
        *self.spawns.entry(id.clone()).or_default() += 1;
        self.machine.begin(&id);
        self.machine.spawn(order);
        if self.children.contains_key(&run) {
            self.completed.remove(&id);
            self.ends.remove(&id);
        }
    }

    fn probe(&mut self, order: ProbeOrder) {
        let port = self.snapshot().service(order.id.as_str()).and_then(|view| view.service.port);
        if let Some(port) = port.filter(|_| !self.children.contains_key(&order.run)) {
            self.watched.insert(order.run.clone(), port);
        }
        self.machine.mark(&order.id);
        self.machine.probe(order);
    }

    /// Every log whose service is defined is within its bounds, and no trouble is told any more.
    pub fn check_logs(&self) {
        for (id, log) in &self.machine.logs {
            let Some(view) = self.snapshot().service(id.as_str()) else { continue };
            let policy = view.service.log;
            assert!(Log::length(&log.current) <= policy.max_size, "the log of {id} is too long");
            assert!(log.pieces.len() <= policy.keep as usize, "too much is kept of {id}");
        }
        let troubles = self.snapshot().problems.iter().filter(|problem| problem.message.contains("log of"));
        assert_eq!(troubles.count(), 0, "{:?}", self.snapshot().problems);
    }

    // The laws that hold at every moment.

    /// Never two live runs of a service.
    fn check_runs(&self) {
        let mut seen = BTreeMap::new();
        let counts = |run: &RunId| run.part() != Part::StopCommand;
        for (run, child) in self.children.iter().filter(|(run, child)| counts(run) && child.lives()) {
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
            // Nobody can know what has not been told.
            let has_ended = |run: &RunId| !self.children[run].main && self.known_ends.contains(run);
            let is_there = |run: &RunId| run.part() == Part::Main && !has_ended(run) && !self.ending.contains(run);
            let child = self
                .children
                .iter()
                .find(|(run, child)| child.id == dependency.id && is_there(run))
                .map(|(run, _)| run);
            let needed = snapshot.service(dependency.id.as_str());
            let port = needed.and_then(|view| view.service.port);
            let stranger = port.is_some_and(|port| self.strangers_passed.contains_key(&port));
            let completed = self.completed.get(&dependency.id).copied().unwrap_or_default();
            let has_probes = needed.is_some_and(|view| !view.service.probes.is_empty());
            let there = match dependency.condition {
                Condition::Started => child.is_some() || completed || stranger,
                Condition::Healthy => {
                    child.is_some_and(|run| self.passed.contains(run) || !has_probes) || completed || stranger
                }
                Condition::Completed => completed,
            };
            assert!(there, "{id} starts before {} is there: {needed:?}", dependency.id);
        }
    }

    /// Stops run in the reverse order of the dependencies.
    fn check_order_of_stop(&self, run: &RunId) {
        let Some(child) = self.children.get(run).filter(|child| child.main && run.part() == Part::Main) else { return };
        let snapshot = self.snapshot();
        let stays_down = self.intent.get(&child.id) == Some(&false) || snapshot.shutting_down;
        // That a stranger ends was wished for itself, and does not wait for who made do with it.
        if !stays_down || self.unwelcome.contains(run) {
            return;
        }
        let services = self.children.iter().filter(|(run, other)| other.main && run.part() == Part::Main);
        for dependent in services.map(|(_, other)| other).filter(|other| other.id != child.id) {
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
