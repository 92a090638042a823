//! What is looked up instead of looked for among all units: when each has something to do by itself, whose run it is that
//! a fact is about, and what is to be planned anew.
//!
//! Nothing is decided here. All of it follows from the units, and [`Agenda::note`] is told of each phase.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fleet::{Fleet, Scope};
use super::phase::Phase;
use crate::domain::{Moment, RunId, ServiceId};

/// When which unit has something to do by itself, and whose run is whose.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    deadlines: BTreeMap<ServiceId, Moment>,
    sorted: BTreeSet<(Moment, ServiceId)>,
    runs: BTreeMap<ServiceId, Vec<RunId>>,
    owners: HashMap<RunId, ServiceId>,
}

impl Agenda {
    /// The unit `id` is in `phase` now.
    pub fn note(&mut self, id: &ServiceId, phase: &Phase) {
        self.note_deadline(id, phase.next_deadline());
        let known = self.runs.get(id).map_or(&[][..], Vec::as_slice);
        if known.iter().eq(phase.runs()) {
            return;
        }
        for run in self.runs.remove(id).into_iter().flatten() {
            self.owners.remove(&run);
        }
        let runs: Vec<_> = phase.runs().cloned().collect();
        self.owners.extend(runs.iter().map(|run| (run.clone(), id.clone())));
        if !runs.is_empty() {
            self.runs.insert(id.clone(), runs);
        }
    }

    /// The unit that facts of `run` are about. The one place where late facts are dropped.
    pub fn whose(&self, run: &RunId) -> Option<&ServiceId> {
        self.owners.get(run)
    }

    /// When the first has something to do.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.sorted.first().map(|(deadline, _)| *deadline)
    }

    /// Those that are due; each sets its next one by itself.
    pub fn take_due(&mut self, now: Moment) -> Vec<ServiceId> {
        let mut due = Vec::new();
        while let Some((deadline, _)) = self.sorted.first()
            && *deadline <= now
            && let Some((_, id)) = self.sorted.pop_first()
        {
            self.deadlines.remove(&id);
            due.push(id);
        }
        due
    }

    fn note_deadline(&mut self, id: &ServiceId, deadline: Option<Moment>) {
        if self.deadlines.get(id).copied() == deadline {
            return;
        }
        if let Some(old) = self.deadlines.remove(id) {
            self.sorted.remove(&(old, id.clone()));
        }
        if let Some(new) = deadline {
            self.deadlines.insert(id.clone(), new);
            self.sorted.insert((new, id.clone()));
        }
    }
}

/// The units of which something has changed that plans depend on.
#[derive(Clone, Debug, Default)]
pub struct Unplanned {
    all: bool,
    units: BTreeSet<ServiceId>,
}

impl Unplanned {
    /// Something of the unit `id` has changed.
    pub fn add(&mut self, id: &ServiceId) {
        if !self.all {
            self.units.insert(id.clone());
        }
    }

    /// Something has changed that all of them may depend on.
    pub fn add_all(&mut self) {
        self.all = true;
    }

    /// All that is to be planned now, from what has changed to what that may matter to; `None` if nothing has changed.
    pub fn take(&mut self, fleet: &Fleet) -> Option<Scope> {
        let Self { all, units } = std::mem::take(self);
        match all {
            true => Some(fleet.whole()),
            false => (!units.is_empty()).then(|| fleet.around(&units)),
        }
    }
}
