//! Taking a catalog into use, and what an earlier agent left with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::phase::{Input, Phase, Sequel};
use super::unit::{Orders, Unit};
use crate::domain::catalog::Settled;
use crate::domain::diff::CatalogDiff;
use crate::domain::{
    Does, Effect, FoundRun, Kind, Moment, Occurrence, Part, RunId, ServiceId, Shutdown, Signal, Spared, StopTree,
};

/// How long a run that no definition knows may take to end when asked.
const STRAY_PATIENCE: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Takes into use what the ledger holds good; `diff`, if it is not empty, makes a new generation.
    pub(super) fn take_into_use(&mut self, now: Moment, settled: Settled, diff: CatalogDiff, cause: &str) {
        let catalog = settled.resolution.catalog;
        self.basis = settled.basis;
        // Whether there is anything that relations between units may have changed by.
        let mut is_moved = false;
        // Most stay what and where they are, and so do their units.
        let unlike = catalog.services.unlike(&self.catalog.services);
        for (at, service) in unlike.filter_map(|at| Some((at, catalog.services.at(at)?))) {
            let id = &service.id;
            match self.fleet.units.get_full_mut(id) {
                Some((_, _, unit)) if !unit.removed && Arc::ptr_eq(&unit.service, service) => is_moved = true,
                Some((index, _, unit)) => {
                    // A port ties units together as well.
                    is_moved |= index != at
                        || unit.service.depends_on != service.depends_on
                        || unit.service.port != service.port;
                    self.dirty.insert(id.clone());
                    self.unplanned.add(id);
                    let live_before = unit.service.probes.clone();
                    let returns = unit.removed;
                    let redefined = diff.changed.iter().find(|(changed, _)| changed == id);
                    unit.define(service);
                    if let Phase::Up(life) = &mut unit.phase {
                        life.meter.limit_to(service.limits.memory, now);
                    }
                    if returns || redefined.is_some_and(|(_, diff)| diff.deserves_a_new_try()) {
                        unit.renew(redefined.is_some_and(|(_, diff)| !diff.restart.is_empty()));
                    }
                    if service.probes != live_before
                        && let Some((_, board)) = unit.phase.board_mut()
                    {
                        board.replace(&service.probes, now);
                    }
                    self.agenda.note(id, &unit.phase);
                }
                None => {
                    is_moved = true;
                    self.dirty.insert(id.clone());
                    self.fleet.units.insert(id.clone(), Unit::new(service));
                }
            }
        }
        for id in &diff.removed {
            if self.fleet.units.contains_key(id) {
                is_moved = true;
                self.fleet.dismiss(id);
                self.dirty.insert(id.clone());
            }
        }
        if is_moved {
            self.order_units(&catalog);
            self.fleet.relate();
        }
        if is_moved || diff.frame || self.closing.is_some() {
            self.unplanned.add_all();
        }
        self.redraw = true;
        self.catalog = catalog;
        self.keep_logs(diff.may_change_logs() || self.generation == 0);
        if !diff.is_empty() || self.generation == 0 {
            self.generation += 1;
            let is_first = self.generation == 1;
            let diff = CatalogDiff { frame: diff.frame && !is_first, ..diff };
            let text = if diff.is_empty() { "nothing defined".to_owned() } else { diff.describe() };
            self.record("generation", format!("{text} ({cause})"));
            self.record_plan(diff);
        }
        self.take_over(now, settled.unsettled, &settled.resolution.invalid);
    }

    /// What the generation that has just begun does to each service, and the fields that are the cause of it.
    fn record_plan(&mut self, diff: CatalogDiff) {
        let changed = diff.changed.into_iter().map(|(id, diff)| {
            let is_stale = self.fleet.units.get(&id).is_some_and(Unit::is_stale);
            let does = if is_stale { Does::Restart } else { Does::Live };
            let fields = diff.restart.iter().chain(&diff.live).map(String::as_str).collect::<Vec<_>>();
            (id, format!("{}: {}", does.as_str(), fields.join(", ")))
        });
        let whole = |does: Does| move |id| (id, does.as_str().to_owned());
        let removed = diff.removed.into_iter().map(whole(Does::Remove));
        let added = diff.added.into_iter().map(whole(Does::Add));
        for (id, text) in removed.chain(added).chain(changed) {
            let (generation, service) = (self.generation, Some(id));
            self.effects.push(Effect::Record(Occurrence { kind: "plan", generation, service, run: None, text }));
        }
    }

    /// Says which logs are kept from now on, if that may have changed.
    fn keep_logs(&mut self, may_differ: bool) {
        if !may_differ {
            return;
        }
        let services = &self.catalog.services;
        let writing = services.iter().filter(|service| matches!(service.kind, Kind::Process(_)));
        let policies = writing.map(|service| (service.id.clone(), service.log)).collect();
        self.troubles.retain(|id, _| services.contains(id));
        self.effects.push(Effect::KeepLogs(policies));
    }

    /// Removed units that have ended are forgotten.
    pub(super) fn forget_removed(&mut self) {
        if self.fleet.forget_the_gone() {
            self.unplanned.add_all();
            self.redraw = true;
        }
    }

    /// The order of the catalog, with the removed at the end.
    fn order_units(&mut self, catalog: &crate::domain::Catalog) {
        let rank = |id: &ServiceId| catalog.services.place_of(id).unwrap_or(usize::MAX);
        self.fleet.units.sort_by_cached_key(|id, _| rank(id));
    }

    /// Gives what was found of an earlier agent to its units; what belongs to none is ended, as soon as it is certain
    /// that no source defines it.
    fn take_over(&mut self, now: Moment, unsettled: bool, invalid: &BTreeSet<ServiceId>) {
        for end in std::mem::take(&mut self.ends) {
            // What ran to its end with success is not run again only because the agent has changed.
            if let Some(unit) = self.fleet.units.get_mut(&end.id)
                && unit.service.one_shot
                && unit.phase == Phase::Idle
                && unit.spawn_hash.as_ref() == Some(&end.spawn_hash)
                && unit.service.restart.is_success(&end.exit)
            {
                unit.phase = Phase::Completed;
                self.unplanned.add(&end.id);
            }
        }
        let units = &mut self.fleet.units;
        self.strays.spared.retain(|(id, spared)| match units.get_mut(id) {
            Some(unit) => {
                unit.spared.append(&mut spared.clone());
                self.dirty.insert(id.clone());
                false
            }
            None => true,
        });
        for found in self.strays.take_found() {
            self.unplanned.add_all();
            let id = found.id.clone();
            let needed_by = self.fleet.direct_dependents(&id).next().cloned();
            let known = self.fleet.units.get_mut(&id).filter(|unit| matches!(unit.service.kind, Kind::Process(_)));
            match known {
                // A step or a stop command of an agent that is no more has nobody who goes on from there.
                _ if found.run.part() != Part::Main => self.strays.end(now, found, &mut self.effects),
                Some(unit) if !unit.is_live() => {
                    let mut orders = Orders { effects: &mut self.effects, generation: self.generation };
                    unit.adopt(now, &found, &mut orders);
                    // What was brought along stays up until it is stopped; by whom is not remembered.
                    let unpinned = !unit.service.auto_start && !self.intent.contains_key(&id);
                    if unpinned && needed_by.is_none() && self.is_intent_lost {
                        // Nobody but the user can have started it.
                        self.intent.insert(id.clone(), true);
                        self.effects.push(Effect::SaveIntent(self.intent.clone()));
                    } else if unpinned {
                        unit.brought_by = needed_by;
                    }
                    self.agenda.note(&id, &unit.phase);
                }
                // It may be defined where it can't be read now, or in a way that is not valid.
                None if unsettled || invalid.contains(&id) => self.strays.keep(found),
                Some(_) | None => self.strays.end(now, found, &mut self.effects),
            }
        }
    }

    /// Whether everything is being ended: the agent ends, and its services with it.
    pub(super) fn is_clearing(&self) -> bool {
        match self.closing {
            // Before the first reading it is not known whether they are to end.
            Some(Shutdown::AsConfigured | Shutdown::Now) => self.generation > 0 && self.catalog.agent.stop_on_exit,
            Some(Shutdown::Keep) | None => false,
        }
    }

    /// Kills whatever still lives.
    pub(super) fn kill_all(&mut self, now: Moment) {
        let live = self.fleet.units.iter().filter(|(_, unit)| unit.is_live()).map(|(id, _)| id.clone());
        for id in live.collect::<Vec<_>>() {
            self.step_unit(now, &id, Input::Kill);
        }
        self.strays.kill_all(now, &mut self.effects);
    }
}

impl Unit {
    /// A changed definition starts anew what had failed, and what had completed if it would be spawned differently.
    fn renew(&mut self, spawns_differently: bool) {
        match &mut self.phase {
            Phase::Failed(_) | Phase::Backoff(_) | Phase::Prepared(_) => self.start_afresh(),
            Phase::Completed | Phase::Rested if spawns_differently => self.start_afresh(),
            // What is only looked at is looked at anew.
            Phase::Watching(..) | Phase::Foreign(_) if spawns_differently => self.phase = Phase::Idle,
            // How a run of the old definition ends says nothing about the new one.
            Phase::Stopping(ending) if spawns_differently => ending.asked = true,
            // Nor does how a step has failed.
            Phase::Stopping(ending) if matches!(ending.sequel, Sequel::NoStart(_)) => ending.asked = true,
            Phase::Idle
            | Phase::Completed
            | Phase::Rested
            | Phase::Spawning(_)
            | Phase::Preparing(_)
            | Phase::Up(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => {}
        }
        self.history.clear();
        self.restarts = 0;
    }
}

/// Runs of an earlier agent that no unit has: not handed out yet, or being ended.
#[derive(Clone, Debug, Default)]
pub struct Strays {
    found: Vec<FoundRun>,
    /// What runs that are over have left, of services that no source has defined yet.
    spared: Vec<(ServiceId, Vec<Spared>)>,
    ending: Vec<Stray>,
}

#[derive(Clone, Debug)]
struct Stray {
    id: ServiceId,
    run: RunId,
    /// Whether it is no run of ours, but a process on its port that the user wants to be gone.
    is_stranger: bool,
    deadline: Moment,
    is_killed: bool,
    is_beyond_us: bool,
}

impl Strays {
    /// Notes what was found.
    pub fn found(&mut self, runs: Vec<FoundRun>) {
        self.found = runs;
        // Of several runs of a service the one with a record and a main process is its run.
        self.found.sort_by_key(|run| (run.id.clone(), run.spawn_hash.is_none(), run.pid.is_none(), run.since));
    }

    /// Notes what runs that are over have left.
    pub fn left(&mut self, spared: Vec<(ServiceId, Vec<Spared>)>) {
        self.spared = spared;
    }

    fn take_found(&mut self) -> Vec<FoundRun> {
        std::mem::take(&mut self.found)
    }

    fn keep(&mut self, found: FoundRun) {
        self.found.push(found);
    }

    fn end(&mut self, now: Moment, found: FoundRun, effects: &mut Vec<Effect>) {
        self.ask_to_end(now, found.id, found.run, STRAY_PATIENCE, false, effects);
    }

    /// Ends a stranger that had the port of `id`, as the run that it has been taken as.
    pub fn end_stranger(
        &mut self,
        now: Moment,
        id: ServiceId,
        run: RunId,
        patience: Duration,
        effects: &mut Vec<Effect>,
    ) {
        self.ask_to_end(now, id, run, patience, true, effects);
    }

    fn ask_to_end(
        &mut self,
        now: Moment,
        id: ServiceId,
        run: RunId,
        patience: Duration,
        is_stranger: bool,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Ask { run: run.clone(), signal: Signal::Term, tree: StopTree::All });
        let deadline = now + patience;
        self.ending.push(Stray { id, run, is_stranger, deadline, is_killed: false, is_beyond_us: false });
    }

    /// Services of which a run is kept for a definition that can't be read.
    pub fn kept(&self) -> Vec<ServiceId> {
        let mut kept = self.found.iter().map(|found| found.id.clone()).collect::<Vec<_>>();
        kept.dedup();
        kept
    }

    /// Ends also what was kept for definitions that can't be read.
    pub fn end_all(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        for found in self.take_found() {
            self.end(now, found, effects);
        }
    }

    /// Whether anything is left.
    pub fn are_left(&self) -> bool {
        !self.found.is_empty() || self.ending.iter().any(|stray| !stray.is_beyond_us)
    }

    /// Services that can't start because something still ends, and what: fits behind "it".
    pub fn services(&self) -> Vec<(ServiceId, &'static str)> {
        let told = |stray: &Stray| match stray.is_stranger {
            true => "has a stranger on its port that is still ending",
            false => "has an earlier run that is still ending",
        };
        self.ending.iter().map(|stray| (stray.id.clone(), told(stray))).collect()
    }

    /// The same without those that could not even be killed: for them nobody waits.
    pub fn within_reach(&self) -> Vec<ServiceId> {
        self.ending.iter().filter(|stray| !stray.is_beyond_us).map(|stray| stray.id.clone()).collect()
    }

    /// Takes note of an end; true if the run was a stray one.
    pub fn exited(&mut self, run: &RunId, left: u32) -> bool {
        // A run that is kept for a definition which can't be read may end meanwhile.
        self.found.retain_mut(|found| {
            let is_it = found.run == *run;
            if is_it {
                found.pid = None;
            }
            !is_it || left > 0
        });
        let Some(at) = self.ending.iter().position(|stray| stray.run == *run) else { return false };
        if left == 0 {
            self.ending.swap_remove(at);
        }
        true
    }

    /// Takes note that a stray run could not even be killed: nobody waits for it any more.
    pub fn kill_failed(&mut self, run: &RunId) {
        for stray in self.ending.iter_mut().filter(|stray| stray.run == *run) {
            stray.is_beyond_us = true;
        }
    }

    /// Kills everything at once.
    pub fn kill_all(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.end_all(now, effects);
        for stray in self.ending.iter_mut().filter(|stray| !stray.is_killed) {
            stray.deadline = now;
        }
        self.step(now, effects);
    }

    /// Kills what has had its time.
    pub fn step(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        for stray in self.ending.iter_mut().filter(|stray| stray.deadline <= now) {
            stray.is_killed = true;
            stray.deadline = now + STRAY_PATIENCE;
            effects.push(Effect::Kill { run: stray.run.clone(), tree: StopTree::All });
        }
    }

    /// Gives what is being ended all of its time again.
    pub fn forgive(&mut self, now: Moment) {
        for stray in &mut self.ending {
            stray.deadline = now + STRAY_PATIENCE;
        }
    }

    /// When a stray run has had its time.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.ending.iter().map(|stray| stray.deadline).min()
    }
}
