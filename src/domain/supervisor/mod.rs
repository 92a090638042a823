//! The owner of all state: facts and wishes in, orders out, one snapshot for everyone who looks.
//!
//! Synchronous and deterministic. Facts are noted by [`Supervisor::handle`]; what follows from them is decided by
//! [`Supervisor::decide`], so that a burst of facts leads to one decision. Nothing is scripted: after each fact the
//! next step is planned anew from what is wished and what is.

mod absence;
mod actions;
mod commands;
mod fleet;
mod forecast;
mod foreign;
mod generation;
mod health;
mod launches;
mod meter;
mod notices;
mod phase;
mod plan;
mod quiet;
mod restart;
mod start;
#[cfg(test)]
mod states;
mod stop;
mod touched;
mod unit;
mod verdict;
mod view;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use self::absence::Attendance;
use self::actions::Actions;
use self::fleet::Fleet;
use self::foreign::Takes;
use self::generation::Strays;
use self::notices::Board as NoticeBoard;
use self::phase::{CommandFact, Input, Phase};
use self::plan::{Plan, Question, is_beyond_us};
use self::touched::{Follows, Touched};
use self::unit::Orders;
use self::waiting::{Held, Reads};
use super::catalog::{Basis, Ledger};
use super::secrets::Secrets;
use super::{
    Catalog, Effect, Event, FoundEnd, Intent, Light, Moment, Occurrence, Part, Problem, RunId, RunIds, ServiceId,
    ServiceView, Severity, Shutdown, Snapshot,
};

/// Everything that is known, and what follows from it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    ids: RunIds,
    ledger: Ledger,
    catalog: Catalog,
    generation: u64,
    /// What waits to be taken into use.
    held: Option<Held>,
    problems: Arc<[Problem]>,
    basis: Arc<Basis>,
    /// What no face is told.
    secrets: Arc<Secrets>,
    /// Whose log can't be kept within its bounds, and why.
    troubles: BTreeMap<ServiceId, String>,
    fleet: Fleet,
    intent: Intent,
    /// Whether wishes of the user are lost: then what lives tells that it was wished for.
    is_intent_lost: bool,
    strays: Strays,
    /// Wishes about strangers on ports.
    takes: Takes,
    actions: Actions,
    /// Ends of earlier runs, until the first reading tells what they are worth.
    ends: Vec<FoundEnd>,
    notices: NoticeBoard,
    touched: Touched,
    reads: Reads,
    attendance: Attendance,
    closing: Option<Shutdown>,
    /// Whether it was asked to end, and asked again, with services that stay.
    is_hasty: bool,
    has_exited: bool,
    /// Which services are told to faces anew.
    dirty: BTreeSet<ServiceId>,
    /// Whether something else has changed that faces see.
    redraw: bool,
    /// Whether something has changed that plans depend on.
    replan: bool,
    /// When each unit has something to do by itself.
    deadlines: Deadlines,
    effects: Vec<Effect>,
    snapshot: Arc<Snapshot>,
}

impl Supervisor {
    /// A supervisor that knows nothing yet; it begins with [`Event::Found`]. `ids` makes run ids that no other agent
    /// has made.
    pub fn new(ids: RunIds) -> Self {
        Self {
            ids,
            ledger: Ledger::default(),
            catalog: Catalog::default(),
            generation: 0,
            held: None,
            problems: Arc::new([]),
            basis: Arc::default(),
            secrets: Arc::default(),
            troubles: BTreeMap::new(),
            fleet: Fleet::default(),
            intent: Intent::new(),
            is_intent_lost: false,
            strays: Strays::default(),
            takes: Takes::default(),
            actions: Actions::default(),
            ends: Vec::new(),
            notices: NoticeBoard::default(),
            touched: Touched::default(),
            reads: Reads::default(),
            attendance: Attendance::default(),
            closing: None,
            is_hasty: false,
            has_exited: false,
            dirty: BTreeSet::new(),
            redraw: false,
            replan: false,
            deadlines: Deadlines::default(),
            effects: Vec::new(),
            snapshot: Arc::new(Snapshot::empty()),
        }
    }

    /// Notes a fact or a wish. What follows from it comes with the next [`Self::decide`].
    pub fn handle(&mut self, now: Moment, event: Event) {
        self.attend(now);
        match event {
            Event::Found { runs, ends, spared, intent, is_intent_lost } => {
                self.strays.left(spared);
                self.intent = intent;
                self.is_intent_lost = is_intent_lost;
                // Where something lives, the new agent goes on with what another began; else everything begins anew.
                self.ends = if runs.is_empty() { Vec::new() } else { ends };
                self.strays.found(runs);
            }
            Event::SourcesTouched { cause } => {
                if self.closing.is_none() {
                    self.read_sources(cause);
                }
            }
            Event::SourcesRead(reading) => {
                let cause = reading.cause.clone();
                self.reads.answered = reading.order;
                self.take_reading(now, reading);
                self.settle(now, &cause);
            }
            Event::Spawned { run, pid } => self.step(now, &run, Input::Spawned(pid)),
            Event::SpawnFailed { run, error, lasting } => self.step(now, &run, Input::SpawnFailed { error, lasting }),
            Event::PortTaken { run, holder } => self.step(now, &run, Input::PortTaken(holder)),
            Event::Taken { run } => self.taken(now, &run),
            Event::NotTaken { run, error } => self.not_taken(now, &run, error),
            Event::Exited { run, exit, left } => {
                if self.strays.exited(&run, left) {
                    self.replan = true;
                    if left == 0 {
                        self.stranger_ended(&run, &[]);
                    }
                } else {
                    self.step(now, &run, Input::Exited { exit, left });
                }
            }
            Event::Ended { run, spared } => {
                if self.strays.exited(&run, 0) {
                    self.replan = true;
                    self.stranger_ended(&run, &[]);
                } else {
                    self.step(now, &run, Input::Ended(spared));
                }
            }
            Event::KillFailed { run, pids } => {
                self.strays.kill_failed(&run);
                self.stranger_ended(&run, &pids);
                self.step(now, &run, Input::KillFailed(pids));
            }
            Event::Probed { run, index, outcome } => self.step(now, &run, Input::Probed(index, outcome)),
            Event::Measured { run, memory } => self.step(now, &run, Input::Measured(memory)),
            Event::ActionEnded { run, exit, words } => self.action_ended(now, &run, exit.as_ref(), &words),
            Event::LogTroubled { id, trouble } => {
                match trouble {
                    Some(trouble) => self.troubles.insert(id, trouble),
                    None => self.troubles.remove(&id),
                };
                self.redraw = true;
            }
            Event::FilesTouched { id, file } => self.touched.touch(now, &id, file),
            Event::Resumed => self.resume(now, "the machine slept"),
            Event::ClockSet => self.notices.forget_time(),
            Event::TimeOfDay { since_midnight } => self.notices.tell_time(now, since_midnight),
            Event::Commanded { ticket, command } => {
                if let Some(answer) = self.command(now, ticket, command) {
                    self.effects.push(Effect::Answer { ticket, answer });
                }
            }
        }
    }

    /// Decides what follows from all that was noted and from the time, and gives the orders.
    pub fn decide(&mut self, now: Moment) -> Vec<Effect> {
        self.attend(now);
        if self.ledger.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.settle(now, "what was gone or broken for a moment stays so");
        }
        for id in self.deadlines.take_due(now) {
            self.step_unit(now, &id, Input::Time);
        }
        for (id, file) in self.touched.take_due(now) {
            self.restart_touched(now, &id, &file);
        }
        if self.is_clearing() {
            self.strays.end_all(now, &mut self.effects);
        }
        self.strays.step(now, &mut self.effects);
        self.order_takes();
        while std::mem::take(&mut self.replan) {
            self.plan(now);
            if self.closing == Some(Shutdown::Now) && self.is_clearing() {
                self.kill_all(now);
            }
        }
        self.refresh(now);
        self.answer_readers();
        self.conclude();
        let mut effects = std::mem::take(&mut self.effects);
        effects.iter_mut().for_each(|effect| self.secrets.veil_effect(effect));
        effects
    }

    /// When [`Self::decide`] has something to do even if nothing happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.has_exited {
            return None;
        }
        let by_unit = [self.deadlines.first(), self.touched.next_deadline(), self.strays.next_deadline()];
        let own = [self.ledger.next_deadline(), self.notices.next_deadline()];
        by_unit.into_iter().chain(own).flatten().min()
    }

    /// The present picture; its revision rises with each new one.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    fn step(&mut self, now: Moment, run: &RunId, input: Input) {
        let Some(id) = self.fleet.concerned(run) else { return };
        match run.part() {
            Part::Main | Part::Step => self.step_unit(now, &id, input),
            Part::StopCommand => {
                if let Some(fact) = CommandFact::of(input) {
                    self.step_unit(now, &id, Input::StopCommand(fact));
                }
            }
        }
    }

    fn step_unit(&mut self, now: Moment, id: &ServiceId, input: Input) {
        let Some(unit) = self.fleet.units.get_mut(id) else { return };
        let mut orders = Orders { effects: &mut self.effects, generation: self.generation };
        let before = std::mem::discriminant(&unit.phase);
        let changed = unit.step(now, input, &mut orders);
        unit.note_launch(now);
        // That a port is still taken is no news to anybody, but what is in that phase can be stopped again.
        self.replan |= changed || before != std::mem::discriminant(&unit.phase);
        if changed {
            self.dirty.insert(id.clone());
        }
        self.deadlines.set(id, unit.phase.next_deadline());
    }

    /// Gives a service a new run because its files have changed; also one that has failed or completed, which may fare
    /// otherwise now.
    fn restart_touched(&mut self, now: Moment, id: &ServiceId, file: &str) {
        let Some(unit) = self.fleet.units.get_mut(id).filter(|unit| unit.verdict.is_wanted()) else { return };
        let folder = unit.spawn().map(|spawn| spawn.cwd.as_path());
        let file = folder.and_then(|folder| Path::new(file).strip_prefix(folder).ok()?.to_str()).unwrap_or(file);
        let text = match self.touched.judge(now, id) {
            Follows::Restart => {
                unit.loop_file = None;
                unit.start_afresh();
                unit.again = unit.is_live();
                self.replan = true;
                format!("restarts: {file} changed")
            }
            Follows::GiveUp => {
                unit.loop_file = Some(file.to_owned());
                format!("no longer restarts on changes for now: {file} changes each time it starts")
            }
        };
        self.dirty.insert(id.clone());
        let (generation, service) = (self.generation, Some(id.clone()));
        self.effects.push(Effect::Record(Occurrence { kind: "touched", generation, service, run: None, text }));
    }

    fn plan(&mut self, now: Moment) {
        let (straying, ending) = (self.strays.services(), self.strays.within_reach());
        let closing = self.is_clearing();
        let question =
            Question { fleet: &self.fleet, intent: &self.intent, straying: &straying, ending: &ending, closing, now };
        let Plan { verdicts, stop, wait, start } = question.plan();
        for (unit, verdict) in self.fleet.units.values_mut().zip(verdicts) {
            if let super::WantedBy::Dependency(by) = &verdict.wanted_by {
                unit.brought_by = Some(by.clone());
            }
            let differs = unit.verdict != verdict;
            if differs {
                unit.verdict = verdict;
            }
            if unit.note_due(now) || differs {
                self.dirty.insert(unit.service.id.clone());
            }
        }
        let name = |index: usize| self.fleet.at(index).service.id.clone();
        let stop = stop.into_iter().map(name).collect::<Vec<_>>();
        let wait = wait.into_iter().map(name).collect::<Vec<_>>();
        let start = start.into_iter().map(name).collect::<Vec<_>>();
        for id in stop {
            let by = self.ids.fresh();
            self.step_unit(now, &id, Input::Stop(by));
        }
        for id in wait {
            self.step_unit(now, &id, Input::Wait);
        }
        if self.closing.is_none() {
            for id in start {
                let run = self.ids.fresh();
                self.step_unit(now, &id, Input::Start(run));
            }
        }
        self.forget_removed();
    }

    /// Views of all that has changed, and the notices that follow from them.
    fn refresh(&mut self, now: Moment) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(unit) = self.fleet.units.get_mut(&id) else { continue };
            let watches = unit.verdict.is_wanted() && !unit.removed;
            let patterns = if watches { unit.service.watch.as_slice() } else { &[] };
            if self.touched.follow(&id, patterns) {
                self.effects.push(Effect::WatchFiles { id: id.clone(), patterns: patterns.to_vec() });
            }
            unit.note_launch(now);
            let last_action = self.actions.last(&id).cloned();
            let mut view = ServiceView { last_action, ..view::view(unit, &self.intent, now) };
            self.secrets.veil_view(&mut view);
            if unit.view.as_deref() != Some(&view) {
                unit.view = Some(Arc::new(view));
                self.redraw = true;
            }
        }
        if std::mem::take(&mut self.redraw) {
            let snapshot = Arc::new(self.picture());
            if snapshot.light != self.snapshot.light {
                self.record("light", format!("{}: {}", snapshot.light.as_str(), snapshot.summary));
            }
            let old = std::mem::replace(&mut self.snapshot, Arc::clone(&snapshot));
            self.notices.look(now, &old, &snapshot);
        }
        if self.notices.wants_time(now, &self.catalog.agent) {
            self.effects.push(Effect::TellTimeOfDay);
        }
        let mut notices = Vec::new();
        self.notices.step(now, &self.snapshot, &self.catalog.agent, &mut notices);
        for notice in notices {
            self.record("notice", format!("{}: {}", notice.title, notice.body.replace('\n', "; ")));
            self.effects.push(Effect::Notify(notice));
        }
    }

    fn picture(&self) -> Snapshot {
        let services = self.fleet.units.values().filter_map(|unit| unit.view.clone()).collect::<Vec<_>>();
        let wanted = services.iter().filter(|view| view.wanted && view.counted);
        let (mut count, mut healthy, mut light) = (0, 0, Light::Gray);
        for view in wanted {
            count += 1;
            healthy += usize::from(view.light == Light::Green);
            light = light.max(view.light);
        }
        if self.problems.iter().any(|problem| problem.severity == Severity::Error) {
            light = light.max(Light::Yellow);
        }
        let summary = if count == 0 { "nothing wanted".to_owned() } else { format!("{healthy} of {count} healthy") };
        Snapshot {
            revision: self.snapshot.revision + 1,
            generation: self.generation,
            light,
            summary,
            problems: self.all_problems(),
            groups: if *self.snapshot.groups == *self.catalog.groups {
                Arc::clone(&self.snapshot.groups)
            } else {
                self.catalog.groups.as_slice().into()
            },
            services: services.into(),
            basis: Arc::clone(&self.basis),
            secrets: Arc::clone(&self.secrets),
            waiting: self.held.as_ref().map(|held| Arc::clone(&held.waiting)),
            notifications_paused: self.notices.is_paused(),
            shutting_down: self.closing.is_some(),
        }
    }

    /// What is wrong with the sources, and with what is kept of the services.
    fn all_problems(&self) -> Arc<[Problem]> {
        if self.troubles.is_empty() {
            return Arc::clone(&self.problems);
        }
        let troubles = self.troubles.iter().map(|(id, trouble)| Problem::of_service(id, &*self.secrets.hide(trouble)));
        let mut problems: Vec<Problem> = self.problems.iter().cloned().chain(troubles).collect();
        problems.sort_by_key(|problem| problem.severity);
        problems.into()
    }

    /// Orders the agent's end once nothing is left to wait for.
    fn conclude(&mut self) {
        let Some(closing) = self.closing else { return };
        let stops = self.is_clearing();
        // Before the first reading it is not known what to do with what an earlier agent has left.
        let unread = self.generation == 0 && closing == Shutdown::AsConfigured && self.strays.are_left();
        let stray = stops && self.strays.are_left();
        let busy = unread
            || stray
            || self.fleet.units.values().any(|unit| match unit.phase {
                // Whoever is about to be spawned is waited for, so that its record is complete.
                Phase::Spawning(_) => true,
                // A step that is left is ended by the next agent, which begins with it anew.
                Phase::Preparing(_) | Phase::Up(_) | Phase::Stopping(_) => stops && !is_beyond_us(unit),
                Phase::Idle
                | Phase::Prepared(_)
                | Phase::Rested
                | Phase::Completed
                | Phase::Failed(_)
                | Phase::Backoff(_)
                | Phase::Foreign(_)
                | Phase::Watching(..) => false,
            });
        if !self.has_exited && (!busy || self.is_hasty) {
            self.has_exited = true;
            self.effects.push(Effect::Exit);
        }
    }

    fn record(&mut self, kind: &'static str, text: String) {
        let generation = self.generation;
        self.effects.push(Effect::Record(Occurrence { kind, generation, service: None, run: None, text }));
    }
}

/// When which unit has something to do by itself.
#[derive(Clone, Debug, Default)]
struct Deadlines {
    of: BTreeMap<ServiceId, Moment>,
    sorted: BTreeSet<(Moment, ServiceId)>,
}

impl Deadlines {
    fn set(&mut self, id: &ServiceId, deadline: Option<Moment>) {
        if self.of.get(id).copied() == deadline {
            return;
        }
        if let Some(old) = self.of.remove(id) {
            self.sorted.remove(&(old, id.clone()));
        }
        if let Some(new) = deadline {
            self.of.insert(id.clone(), new);
            self.sorted.insert((new, id.clone()));
        }
    }

    fn first(&self) -> Option<Moment> {
        self.sorted.first().map(|(deadline, _)| *deadline)
    }

    /// Those that are due; each sets its next one by itself.
    fn take_due(&mut self, now: Moment) -> Vec<ServiceId> {
        let mut due = Vec::new();
        while let Some((deadline, _)) = self.sorted.first()
            && *deadline <= now
            && let Some((_, id)) = self.sorted.pop_first()
        {
            self.of.remove(&id);
            due.push(id);
        }
        due
    }
}
