//! Takes over the last resolution but for the services that a change concerns, without looking at the others.
//!
//! That is possible where nobody else can notice the change: some sources define the same services otherwise, and what
//! these show to others (names, ports, dependencies, headings) stays as it was. Nor may anything be wrong with them, before
//! or after, nor any service be held at a last good definition: then all is put together anew. What comes of it is the
//! same either way.

use std::collections::HashSet;
use std::sync::Arc;

use super::draft::{Draft, Places};
use super::in_use::InUse;
use super::memo::Made;
use super::names::Names;
use super::reading::{SourceFile, Surroundings};
use super::report::Report;
use super::resolve::{Resolution, Resolver};
use super::rounds::make;
use super::shapes::{self, Source};
use super::standing::changed_in_place;
use super::types::Types;
use crate::domain::{AgentSettings, Node, Problem, ServiceId};

/// A resolution in which no service had to give way to an earlier definition or to another one of its id, as it was and
/// with what may be touched up since.
#[derive(Clone, Debug)]
pub(super) struct Last {
    resolution: Resolution,
    /// The agent's settings that it was made with.
    agent: AgentSettings,
    /// For each source, how many services come before its own.
    firsts: Vec<usize>,
    /// Which sources define types.
    typed: Vec<usize>,
    /// Sources in which something is wrong, by their names.
    wrong_sources: HashSet<Arc<str>>,
    /// Services with which something is wrong.
    wrong_services: HashSet<ServiceId>,
}

/// More changed sources than these are put together faster with all others.
const MOST: usize = 64;

/// A service that is put together anew.
struct Touched<'a> {
    at: usize,
    node: &'a Node,
    draft: Arc<Draft>,
    made: Arc<Made>,
}

impl Last {
    /// Remembers `resolution`, which was made of `sources` and `in_use`, before its `problems` were put in order.
    pub fn of(
        resolution: &Resolution,
        sources: &[(&SourceFile, Source<'_>)],
        in_use: &InUse,
        problems: &[Problem],
    ) -> Self {
        let firsts = sources.iter().scan(0, |count, (_, source)| {
            let first = *count;
            *count += source.services.len();
            Some(first)
        });
        let typed = sources.iter().enumerate().filter(|(_, (_, source))| !source.types.is_empty());
        let places = problems.iter().filter_map(|problem| problem.place.as_ref());
        Self {
            resolution: resolution.clone(),
            agent: in_use.agent.clone(),
            firsts: firsts.collect(),
            typed: typed.map(|(at, _)| at).collect(),
            wrong_sources: places.map(|place| Arc::clone(&place.file)).collect(),
            wrong_services: problems.iter().filter_map(|problem| problem.service.clone()).collect(),
        }
    }
}

impl Resolver {
    /// What [`Self::resolve`] would come to, if the last resolution can be touched up to that.
    pub(super) fn touch_up(
        &mut self,
        files: &[Arc<SourceFile>],
        surroundings: &Surroundings,
        in_use: &InUse,
    ) -> Option<Resolution> {
        let last = self.last.as_ref()?;
        if last.agent != in_use.agent || !self.memo.is_around(surroundings) {
            return None;
        }
        let changed = changed_in_place(self.memo.sources(), files).filter(|changed| changed.len() <= MOST)?;
        let touched = self.touched(last, &changed, files, surroundings)?;
        let last = self.last.as_mut()?;
        let Resolution { catalog, in_use, .. } = &mut last.resolution;
        for Touched { at, node, draft, made } in touched {
            in_use.services.replace(Arc::clone(&made.held));
            catalog.services.replace(self.memo.replace(at, node, draft, made));
        }
        for (at, file) in changed {
            self.memo.replace_source(at, file);
        }
        self.touch_ups += 1;
        Some(last.resolution.clone())
    }

    /// The services of `changed` sources as they are now; `None` if that is not all that changes.
    fn touched<'a>(
        &self,
        last: &Last,
        changed: &[(usize, &'a Arc<SourceFile>)],
        files: &[Arc<SourceFile>],
        surroundings: &Surroundings,
    ) -> Option<Vec<Touched<'a>>> {
        let report = &mut Report::default();
        let types = Types::of(last.typed.iter().map(|at| shapes::types_of(&files[*at])), report);
        let places = Places { surroundings, root: &surroundings.root.to_string_lossy(), types: &types };
        // What is wrong with types is known from the last time.
        report.problems.clear();
        let mut touched = Vec::new();
        for (at, file) in changed {
            let (old, new) = (shapes::read(&self.memo.sources()[*at], report), shapes::read(file, report));
            let is_sound = report.problems.is_empty() && !last.wrong_sources.contains(&file.name);
            if !is_sound || !old.is_of_services_alone() || !new.is_of_services_alone() {
                return None;
            }
            if !old.services.iter().map(|raw| &raw.id).eq(new.services.iter().map(|raw| &raw.id)) {
                return None;
            }
            for (at, raw) in (last.firsts[*at]..).zip(new.services) {
                let draft = Draft::begin((raw.id, raw.node.clone(), raw.list), &file.path, raw.folder, places);
                let made = self.made_alone(last, at, &draft, places)?;
                touched.push(Touched { at, node: raw.node, draft: Arc::new(draft), made: Arc::new(made) });
            }
        }
        Some(touched)
    }

    /// What comes of `draft`, which is the one number `at`; `None` if others could notice that it is another one.
    fn made_alone(&self, last: &Last, at: usize, draft: &Draft, places: Places<'_>) -> Option<Made> {
        let (before, former) = self.memo.plain(at)?;
        let is_same_outside = draft.id == before.id
            && draft.exposed.is(&before.exposed)
            && draft.env_files == before.env_files
            && !last.wrong_services.contains(&draft.id);
        if !is_same_outside {
            return None;
        }
        let shared = self.memo.last_shared();
        let mut names = Names::settled(&draft.id, &draft.exposed, places.surroundings, shared);
        let made = make(draft, (&mut names, 0), places, shared);
        let needs = |made: &Made| made.needs.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        let group = |made: &Made| made.held.service.display.group.clone();
        let is_taken_for_the_same = made.problems.is_empty()
            && made.problems_of_names.is_empty()
            && made.held.exports == former.held.exports
            && needs(&made) == needs(former)
            && group(&made) == group(former);
        is_taken_for_the_same.then_some(made)
    }

    /// How often the last resolution was touched up, for tests.
    pub fn touch_ups(&self) -> u64 {
        self.touch_ups
    }
}
