//! The owner of all state: facts and wishes in, orders out, one snapshot for everyone who looks.
//!
//! Synchronous and deterministic. Facts are noted by [`Supervisor::handle`]; what follows from them is decided by
//! [`Supervisor::decide`], so that a burst of facts leads to one decision. Nothing is scripted: after each fact the
//! next step is planned anew from what is wished and what is.

mod absence;
mod actions;
mod agenda;
mod commands;
mod fleet;
mod forecast;
mod foreign;
mod gallery;
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
use self::agenda::{Agenda, Unplanned};
use self::fleet::{Fleet, Scope};
use self::foreign::Takes;
use self::gallery::Gallery;
use self::generation::Strays;
use self::notices::Board as NoticeBoard;
use self::phase::{CommandFact, Input, Phase};
use self::plan::{Plan, Question, is_beyond_us};
use self::touched::{Follows, Touched};
use self::unit::Orders;
use self::waiting::{Held, Reads};
use super::catalog::{Basis, Ledger};
use super::secrets::Learner;
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
    secrets: Learner,
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
    /// What has changed since the last plan that plans depend on.
    unplanned: Unplanned,
    /// When each unit has something to do by itself, and whose runs are whose.
    agenda: Agenda,
    effects: Vec<Effect>,
    gallery: Gallery,
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
            secrets: Learner::default(),
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
            unplanned: Unplanned::default(),
            agenda: Agenda::default(),
            effects: Vec::new(),
            gallery: Gallery::default(),
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
                    self.unplanned.add_all();
                    if left == 0 {
                        self.stranger_ended(&run, &[]);
                    }
                } else {
                    self.step(now, &run, Input::Exited { exit, left });
                }
            }
            Event::Ended { run, spared } => {
                if self.strays.exited(&run, 0) {
                    self.unplanned.add_all();
                    self.stranger_ended(&run, &[]);
                } else {
                    self.step(now, &run, Input::Ended(spared));
                }
            }
            Event::KillFailed { run, pids } => {
                self.strays.kill_failed(&run);
                self.unplanned.add_all();
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
        for id in self.agenda.take_due(now) {
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
        while let Some(scope) = self.unplanned.take(&self.fleet) {
            self.plan(now, &scope);
            if self.closing == Some(Shutdown::Now) && self.is_clearing() {
                self.kill_all(now);
            }
        }
        self.refresh(now);
        self.answer_readers();
        self.conclude();
        let mut effects = std::mem::take(&mut self.effects);
        effects.iter_mut().for_each(|effect| self.secrets.known().veil_effect(effect));
        effects
    }

    /// When [`Self::decide`] has something to do even if nothing happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.has_exited {
            return None;
        }
        let by_unit = [self.agenda.next_deadline(), self.touched.next_deadline(), self.strays.next_deadline()];
        let own = [self.ledger.next_deadline(), self.notices.next_deadline()];
        by_unit.into_iter().chain(own).flatten().min()
    }

    /// The present picture; its revision rises with each new one.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// What of that which is kept up to date, change by change, is not what working all of it out anew comes to; for tests.
    /// It costs as much as that.
    pub fn not_as_anew(&self, now: Moment) -> Vec<String> {
        let mut differs = Vec::new();
        if self.gallery != self.gallery_anew() {
            differs.push("other views are shown than those of the units".to_owned());
        }
        let defined = self.catalog.services.iter().map(Some).chain(std::iter::repeat(None));
        for (unit, service) in self.fleet.units.values().zip(defined) {
            let is_as_defined = service.map_or(unit.removed, |service| Arc::ptr_eq(service, &unit.service));
            if !is_as_defined {
                differs.push(format!("{} is not what is defined in its place", unit.service.id));
            }
        }
        if self.closing.is_some() {
            return differs;
        }
        let scope = self.fleet.whole();
        let Plan { verdicts, stop, wait: _, start } = self.plan_of(&self.fleet, &scope, now);
        for index in stop.into_iter().chain(start) {
            differs.push(format!("{} is to be stopped or started", self.fleet.at(index).service.id));
        }
        for (at, verdict) in verdicts.iter().enumerate() {
            let unit = self.fleet.at(scope.index(at));
            let id = &unit.service.id;
            if *verdict != unit.verdict {
                differs.push(format!("{id}: {:?} instead of {verdict:?}", unit.verdict));
            }
            let strange = unit.phase.runs().filter(|run| self.agenda.whose(run) != Some(id));
            differs.extend(strange.map(|run| format!("{run} is not known to be one of {id}")));
        }
        differs
    }

    fn step(&mut self, now: Moment, run: &RunId, input: Input) {
        let Some(id) = self.agenda.whose(run).cloned() else { return };
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
        if changed || before != std::mem::discriminant(&unit.phase) {
            self.unplanned.add(id);
        }
        if changed {
            self.dirty.insert(id.clone());
        }
        self.agenda.note(id, &unit.phase);
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
                self.unplanned.add(id);
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

    fn plan(&mut self, now: Moment, scope: &Scope) {
        let Plan { verdicts, stop, wait, start } = self.plan_of(&self.fleet, scope, now);
        for (at, verdict) in verdicts.into_iter().enumerate() {
            let unit = self.fleet.at_mut(scope.index(at));
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

    /// What should happen next to the units of `scope`, all of which are in `fleet`.
    fn plan_of(&self, fleet: &Fleet, scope: &Scope, now: Moment) -> Plan {
        let (straying, ending) = (self.strays.services(), self.strays.within_reach());
        let closing = self.is_clearing();
        let intent = &self.intent;
        Question { fleet, scope, intent, straying: &straying, ending: &ending, closing, now }.plan()
    }

    /// Views of all that has changed, and the notices that follow from them.
    fn refresh(&mut self, now: Moment) {
        let mut changed = Vec::new();
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
            self.secrets.known().veil_view(&mut view);
            if unit.view.as_deref() != Some(&view) {
                let view = Arc::new(view);
                unit.view = Some(Arc::clone(&view));
                changed.push(view);
                self.redraw = true;
            }
        }
        let is_rearranged = self.fleet.take_rearranged();
        if is_rearranged || !changed.into_iter().all(|view| self.gallery.replace(view)) {
            self.gallery = self.gallery_anew();
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

    fn gallery_anew(&self) -> Gallery {
        Gallery::of(self.fleet.units.values().filter_map(|unit| unit.view.clone()))
    }

    fn picture(&self) -> Snapshot {
        let mut light = self.gallery.light();
        if self.problems.iter().any(|problem| problem.severity == Severity::Error) {
            light = light.max(Light::Yellow);
        }
        Snapshot {
            revision: self.snapshot.revision + 1,
            generation: self.generation,
            light,
            summary: self.gallery.summary(),
            problems: self.all_problems(),
            groups: if *self.snapshot.groups == *self.catalog.groups {
                Arc::clone(&self.snapshot.groups)
            } else {
                self.catalog.groups.as_slice().into()
            },
            services: self.gallery.views().clone(),
            basis: Arc::clone(&self.basis),
            secrets: Arc::clone(self.secrets.known()),
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
        let troubles =
            self.troubles.iter().map(|(id, trouble)| Problem::of_service(id, &*self.secrets.known().hide(trouble)));
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
