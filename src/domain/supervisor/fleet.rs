//! All units, who depends on whom among them, and whom each can matter to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use petgraph::unionfind::UnionFind;

use super::unit::Unit;
use crate::domain::{Dependency, Kind, ServiceId};

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
    /// For each unit, its place in `order`.
    ranks: Vec<usize>,
    /// For each unit, in which of the `circles` it is.
    circle_of: Vec<usize>,
    /// The units that can matter to each other when something is planned: they are tied by dependencies, or have the same
    /// port.
    circles: Vec<Vec<usize>>,
    /// Those that may have been removed, and are there until they have ended.
    leaving: BTreeSet<ServiceId>,
    is_rearranged: bool,
}

/// Units that are planned together, by their indices, each after all that it depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<usize>);

impl Scope {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The index of the unit at this place.
    pub fn index(&self, at: usize) -> usize {
        self.0[at]
    }
}

impl Fleet {
    /// Learns the dependencies anew; to be called whenever units or their definitions have changed.
    pub fn relate(&mut self) {
        self.is_rearranged = true;
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
        self.ranks = vec![0; self.units.len()];
        for (rank, index) in self.order.iter().enumerate() {
            self.ranks[*index] = rank;
        }
        self.draw_circles();
    }

    fn draw_circles(&mut self) {
        let mut tied = UnionFind::<usize>::new(self.units.len());
        let mut holders = HashMap::new();
        for (index, unit) in self.units.values().enumerate() {
            for target in self.needs[index].iter().flatten() {
                tied.union(index, *target);
            }
            if let Some(port) = unit.service.port {
                tied.union(index, *holders.entry(port).or_insert(index));
            }
        }
        self.circle_of = tied.into_labeling();
        self.circles = vec![Vec::new(); self.units.len()];
        for (index, circle) in self.circle_of.iter().enumerate() {
            self.circles[*circle].push(index);
        }
    }

    /// Whether units have come, gone or changed places since it was last asked.
    pub fn take_rearranged(&mut self) -> bool {
        std::mem::take(&mut self.is_rearranged)
    }

    /// All units.
    pub fn whole(&self) -> Scope {
        Scope(self.order.clone())
    }

    /// The units of `ids` that there are, and all that they can matter to.
    pub fn around<'a>(&self, ids: impl IntoIterator<Item = &'a ServiceId>) -> Scope {
        let indices = ids.into_iter().filter_map(|id| self.units.get_index_of(id));
        let circles: BTreeSet<_> = indices.map(|index| self.circle_of[index]).collect();
        let mut scope: Vec<_> = circles.into_iter().flat_map(|circle| self.circles[circle].iter().copied()).collect();
        scope.sort_unstable_by_key(|index| self.ranks[*index]);
        Scope(scope)
    }

    /// Where in `scope` the unit at `index` is.
    pub fn place_in(&self, scope: &Scope, index: usize) -> Option<usize> {
        let rank = self.ranks[index];
        if scope.0.len() == self.order.len() {
            return Some(rank);
        }
        scope.0.binary_search_by_key(&rank, |index| self.ranks[*index]).ok()
    }

    /// No source defines `id` any more: it is there until it has ended.
    pub fn dismiss(&mut self, id: &ServiceId) {
        if let Some(unit) = self.units.get_mut(id) {
            unit.removed = true;
            self.leaving.insert(id.clone());
        }
    }

    /// Forgets those that no source defines and that have ended; true if there were any.
    pub fn forget_the_gone(&mut self) -> bool {
        self.leaving.retain(|id| self.units.get(id).is_some_and(|unit| unit.removed));
        let is_gone = |unit: &Unit| unit.removed && !unit.is_live();
        if !self.leaving.iter().any(|id| self.units.get(id).is_some_and(is_gone)) {
            return false;
        }
        self.units.retain(|_, unit| !is_gone(unit));
        self.relate();
        true
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

    /// The unit at `index`, which comes from this fleet.
    pub fn at(&self, index: usize) -> &Unit {
        &self.units[index]
    }

    /// The same, to be changed; not its definition.
    pub fn at_mut(&mut self, index: usize) -> &mut Unit {
        &mut self.units[index]
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
