//! Judges who needs whom: ids that nobody has, services that are not in use, and circles.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::DiGraph;
use petgraph::graphmap::DiGraphMap;

use super::report::{MOST_HINTS, did_you_mean, quoted};
use crate::domain::{Place, Problem, ServiceId};

/// What one service needs, as far as it is to be judged.
pub(super) struct Needs<'a> {
    /// Who needs.
    pub id: &'a ServiceId,
    /// Whom, and where that is written; no place for a last good definition, which is not to be blamed.
    pub on: Vec<(&'a ServiceId, Option<&'a Place>)>,
}

/// The errors of services that need what they can't have.
///
/// `defined` are all ids of all sources; `kept` are those that stay, with an earlier definition, when they are wrong.
pub(super) fn judge(
    needs: &[Needs<'_>],
    defined: &BTreeSet<&ServiceId>,
    kept: &dyn Fn(&ServiceId) -> bool,
) -> BTreeMap<ServiceId, Vec<Problem>> {
    let index: HashMap<&ServiceId, usize> = needs.iter().enumerate().map(|(index, needs)| (needs.id, index)).collect();
    let targets = |needs: &Needs<'_>| needs.on.iter().map(|(on, _)| index.get(on).copied()).collect();
    let targets = needs.iter().map(targets).collect();
    let mut judgement = Judgement { needs, targets, kept, wrong: BTreeMap::new() };
    judgement.circles();
    judgement.missing(defined);
    judgement.wrong
}

struct Judgement<'a, 'n> {
    needs: &'n [Needs<'a>],
    /// For each of them the indices of those whom it needs; `None` for who is not among them.
    targets: Vec<Vec<Option<usize>>>,
    kept: &'n dyn Fn(&ServiceId) -> bool,
    wrong: BTreeMap<ServiceId, Vec<Problem>>,
}

/// How many circles of one knot are spelled out, and how many ids of one.
const MOST_CIRCLES: usize = 50;
const MOST_IDS: usize = 20;

impl Judgement<'_, '_> {
    fn add(&mut self, id: &ServiceId, problem: Problem) {
        self.wrong.entry(id.clone()).or_default().push(problem.of(id));
    }

    /// Who needs whom, by their indices.
    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let from = self.targets.iter().enumerate();
        from.flat_map(|(from, targets)| targets.iter().flatten().map(move |to| (from, *to)))
    }

    fn missing(&mut self, defined: &BTreeSet<&ServiceId>) {
        let stays = |id: &ServiceId| !self.wrong.contains_key(id) || (self.kept)(id);
        let mut available: Vec<bool> = self.needs.iter().map(|needs| stays(needs.id)).collect();
        // Who is in a circle has been told about the others in it.
        let tied: BTreeSet<ServiceId> = self.wrong.keys().cloned().collect();
        let mut hints = 0;
        let mut judged: BTreeSet<usize> = BTreeSet::new();
        let edges: Vec<_> = self.edges().collect();
        let dependents = LazyCell::new(move || {
            let mut dependents: HashMap<usize, Vec<usize>> = HashMap::new();
            edges.iter().for_each(|(from, to)| dependents.entry(*to).or_default().push(*from));
            dependents
        });
        let mut queue: VecDeque<usize> = (0..self.needs.len()).collect();
        while let Some(index) = queue.pop_front() {
            let Needs { id, on } = &self.needs[index];
            if judged.contains(&index) {
                continue;
            }
            let lacks = |target: &Option<usize>| target.is_none_or(|target| !available[target]);
            let lacking = on.iter().zip(&self.targets[index]).filter(|(_, target)| lacks(target));
            let problems: Vec<_> = lacking
                .filter_map(|((on, place), _)| {
                    let place = (*place)?;
                    if defined.contains(on) && tied.contains(*id) {
                        return None;
                    }
                    if defined.contains(on) {
                        return Some(Problem::error(
                            place,
                            format!("it depends on {}, which is not valid", quoted(on.as_str())),
                        ));
                    }
                    let mut problem = Problem::error(place, format!("there is no service {}", quoted(on.as_str())));
                    problem.for_want_of_a_source = true;
                    hints += 1;
                    if hints <= MOST_HINTS {
                        problem.hint = did_you_mean(on.as_str(), defined.iter().map(|id| id.as_str()));
                    }
                    Some(problem)
                })
                .collect();
            if problems.is_empty() {
                continue;
            }
            problems.into_iter().for_each(|problem| self.add(id, problem));
            judged.insert(index);
            if !(self.kept)(id) && std::mem::take(&mut available[index]) {
                queue.extend(dependents.get(&index).into_iter().flatten());
            }
        }
    }

    fn circles(&mut self) {
        // As a rule there are none, and that is told fast.
        if toposort(&DiGraph::<(), (), usize>::from_edges(self.edges()), None).is_ok() {
            return;
        }
        let graph = DiGraphMap::<usize, ()>::from_edges(self.edges());
        for mut knot in kosaraju_scc(&graph) {
            let alone = knot.len() == 1 && !graph.contains_edge(knot[0], knot[0]);
            if alone {
                continue;
            }
            knot.sort_unstable();
            let within: BTreeSet<usize> = knot.iter().copied().collect();
            let mut told: BTreeSet<usize> = BTreeSet::new();
            let mut first = String::new();
            for (count, member) in knot.iter().enumerate() {
                if told.contains(member) {
                    continue;
                }
                if count >= MOST_CIRCLES {
                    let message = format!("it is tied up with a circle of dependencies: {first}");
                    self.tell(*member, |on| within.contains(&on), &message);
                    continue;
                }
                let circle = shortest_circle(&graph, &within, *member);
                let words = self.spell(&circle);
                for (at, next) in circle.iter().zip(circle.iter().cycle().skip(1)) {
                    if told.insert(*at) {
                        self.tell(*at, |on| on == *next, &format!("the dependencies form a circle: {words}"));
                    }
                }
                if first.is_empty() {
                    first = words;
                }
            }
        }
    }

    /// Blames a service at the place where it names the one that is meant.
    fn tell(&mut self, member: usize, meant: impl Fn(usize) -> bool, message: &str) {
        let Needs { id, on } = &self.needs[member];
        let mut on = on.iter().zip(&self.targets[member]);
        let place = on.find_map(|((_, place), target)| place.filter(|_| target.is_some_and(&meant)));
        if let Some(place) = place {
            self.add(id, Problem::error(place, message));
        }
    }

    fn spell(&self, circle: &[usize]) -> String {
        let mut words: Vec<&str> = circle.iter().take(MOST_IDS).map(|at| self.needs[*at].id.as_str()).collect();
        if circle.len() > MOST_IDS {
            words.push("…");
        }
        words.extend(circle.first().map(|at| self.needs[*at].id.as_str()));
        words.join(" → ")
    }
}

/// The shortest way from `start` back to itself, without the return.
fn shortest_circle(graph: &DiGraphMap<usize, ()>, within: &BTreeSet<usize>, start: usize) -> Vec<usize> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for next in graph.neighbors(at).filter(|next| within.contains(next)) {
            if next == start {
                let mut circle = vec![at];
                let mut back = at;
                while back != start {
                    // Every node that was reached but the start was reached from another.
                    let Some(before) = came_from.get(&back) else { break };
                    back = *before;
                    circle.push(back);
                }
                circle.reverse();
                return circle;
            }
            if let std::collections::hash_map::Entry::Vacant(slot) = came_from.entry(next) {
                slot.insert(at);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}
