//! All units, and who depends on whom among them.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::unit::Unit;
use crate::domain::{Dependency, Kind, RunId, ServiceId};

/// All units in the order of the catalog, with their dependencies as indices.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// The units.
    pub units: IndexMap<ServiceId, Unit>,
    /// Indices of the units, each after all that it depends on.
    order: Vec<usize>,
    /// For each unit, where the units are that it depends on, in the order of its definition.
    needs: Vec<Vec<Option<usize>>>,
    /// For each unit, who depends on it.
    dependents: Vec<Vec<usize>>,
    /// Where facts of a run were seen to belong. Only a hint: what it says is looked at before it is believed.
    places: HashMap<RunId, usize>,
}

impl Fleet {
    /// Learns the dependencies anew; to be called whenever units or their definitions have changed.
    pub fn relate(&mut self) {
        let mut graph = DiGraphMap::<usize, ()>::with_capacity(self.units.len(), self.units.len());
        let mut dependents = vec![Vec::new(); self.units.len()];
        let index_of = |dependency: &Dependency| self.units.get_index_of(&dependency.id);
        let needs_of = |unit: &Unit| unit.service.depends_on.iter().map(index_of).collect();
        let needs: Vec<Vec<_>> = self.units.values().map(needs_of).collect();
        for (index, needs) in needs.iter().enumerate() {
            graph.add_node(index);
            for target in needs.iter().flatten() {
                graph.add_edge(index, *target, ());
                dependents[*target].push(index);
            }
        }
        self.needs = needs;
        // Components come with their dependencies first. Should a last good definition have closed a cycle that the
        // catalog alone would not allow, its members stay beside each other and wait for one another, visibly.
        self.order = tarjan_scc(&graph).into_iter().flatten().collect();
        self.dependents = dependents;
    }

    /// Indices of all units, each after all that it depends on.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// What the unit at `index` depends on, each with the index of its unit, if there is one.
    pub fn needs(&self, index: usize) -> impl Iterator<Item = (&Dependency, Option<usize>)> {
        let targets = self.needs.get(index).into_iter().flatten().copied();
        self.at(index).service.depends_on.iter().zip(targets)
    }

    /// Who directly depends on the unit at `index`.
    pub fn dependents(&self, index: usize) -> &[usize] {
        self.dependents.get(index).map_or(&[], Vec::as_slice)
    }

    /// The ids of those that directly depend on `id`.
    pub fn direct_dependents(&self, id: &ServiceId) -> impl Iterator<Item = &ServiceId> {
        let index = self.units.get_index_of(id);
        let dependents = index.map_or(&[][..], |index| self.dependents(index));
        dependents.iter().map(|index| &self.at(*index).service.id)
    }

    /// The service that facts of `run` are about.
    pub fn concerned(&mut self, run: &RunId) -> Option<ServiceId> {
        let concerns = |unit: &Unit| unit.phase.concerns(run);
        let hint = self.places.get(run).and_then(|index| self.units.get_index(*index));
        if let Some((id, _)) = hint.filter(|(_, unit)| concerns(unit)) {
            return Some(id.clone());
        }
        let found = self.units.iter().position(|(_, unit)| concerns(unit))?;
        // Of runs that are over nobody asks any more.
        if self.places.len() > 2 * self.units.len() {
            self.places.clear();
        }
        self.places.insert(run.clone(), found);
        self.units.get_index(found).map(|(id, _)| id.clone())
    }

    /// The unit at `index`, which comes from this fleet.
    pub fn at(&self, index: usize) -> &Unit {
        &self.units[index]
    }

    /// Everything that `id` depends on, directly or not, each after all that it depends on itself.
    pub fn needs_of(&self, id: &ServiceId) -> Vec<ServiceId> {
        let mut wanted = BTreeMap::new();
        let mut open = vec![id.clone()];
        while let Some(next) = open.pop() {
            let Some(unit) = self.units.get(&next) else { continue };
            for dependency in &unit.service.depends_on {
                if let Some(index) = self.units.get_index_of(&dependency.id)
                    && wanted.insert(index, ()).is_none()
                {
                    open.push(dependency.id.clone());
                }
            }
        }
        self.order.iter().filter(|index| wanted.contains_key(index)).map(|index| self.id_at(*index)).collect()
    }

    /// Everything that depends on `id`, directly or not, each before all that it depends on itself.
    pub fn needed_by(&self, id: &ServiceId) -> Vec<ServiceId> {
        let mut found = BTreeMap::new();
        let mut open = self.units.get_index_of(id).into_iter().collect::<Vec<_>>();
        while let Some(next) = open.pop() {
            for dependent in self.dependents(next) {
                if found.insert(*dependent, ()).is_none() {
                    open.push(*dependent);
                }
            }
        }
        self.order.iter().rev().filter(|index| found.contains_key(index)).map(|index| self.id_at(*index)).collect()
    }

    /// The services that faces offer a switch for: those with something to run or to watch.
    pub fn counted(&self) -> impl Iterator<Item = (&ServiceId, &Unit)> {
        self.units.iter().filter(|(_, unit)| is_counted(unit))
    }

    fn id_at(&self, index: usize) -> ServiceId {
        self.at(index).service.id.clone()
    }
}

/// Whether this version runs or watches the service at all.
pub fn is_counted(unit: &Unit) -> bool {
    match unit.service.kind {
        Kind::Process(_) | Kind::External => true,
        Kind::Detached | Kind::Settings => false,
    }
}
