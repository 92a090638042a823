//! Sources that are judged good become the catalog: pure and total.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::agent;
use super::draft::{self, Draft, Places};
use super::fields::text;
use super::findings;
use super::groups::Groups;
use super::in_use::{Held, InUse};
use super::includes;
use super::memo::Memo;
use super::reading::{Content, Role, SourceFile, Surroundings};
use super::report::{Report, did_you_mean, quoted};
use super::rounds::{Outcome, put_together};
use super::shapes::{self, RawService, Source};
use super::touch_up::Last;
use super::types::Types;
use crate::domain::{AgentSettings, Catalog, Node, Problem, ServiceId, Value};

/// What came of all sources.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// All services that are valid, and the last good definition of those that are not. Whatever a service depends on
    /// is here as well, and no dependencies form a circle.
    pub catalog: Catalog,
    /// Everything that is wrong, worst first.
    pub problems: Vec<Problem>,
    /// Files that definitions name as `env_file`, absolute, whether they are in [`Surroundings::env_files`] or not.
    pub env_files: Vec<PathBuf>,
    /// Ids that are defined, but are not valid and never were: absent from the catalog, yet not removed by anyone.
    pub invalid: BTreeSet<ServiceId>,
    /// To be handed to the next call of [`Resolver::resolve`].
    pub in_use: InUse,
}

/// Resolves one state of the sources after another. What the last one has in common with the next is taken over, not
/// worked out again; what comes of it is the same as with a new resolver.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    pub(super) memo: Memo,
    pub(super) last: Option<Last>,
    pub(super) touch_ups: u64,
    /// Sources that name no `env_file`.
    without_env_files: Vec<Arc<SourceFile>>,
}

impl Resolver {
    /// Merges and resolves `files`; whatever is wrong costs what it concerns and is reported.
    ///
    /// - `files` are what is to be used, in the order in which they are merged: for a source that is broken or missing
    ///   for a moment, its last good content. One that holds nothing parsed only contributes its problem.
    /// - A service that is not valid is replaced by its last good definition in `in_use`, and the problem is reported.
    ///   So is one whose `env_file` is not in [`Surroundings::env_files`] at all (nobody has looked yet); without a last
    ///   good definition it goes without that file.
    /// - An id that stands twice belongs to the source that `in_use` names, else to the first.
    pub fn resolve(&mut self, files: &[Arc<SourceFile>], surroundings: &Surroundings, in_use: &InUse) -> Resolution {
        if let Some(resolution) = self.touch_up(files, surroundings, in_use) {
            return resolution;
        }
        let mut report = Report::default();
        surroundings.problems.iter().for_each(|problem| report.push(problem.clone()));
        let sources: Vec<_> = files.iter().map(|file| (&**file, shapes::read(file, &mut report))).collect();
        let agent = top_level(&sources, in_use, &mut report);
        let types = || sources.iter().map(|(_, source)| source.types);
        self.memo.begin(files, surroundings, types().flatten());
        let types = Types::of(types(), &mut report);
        let root = surroundings.root.to_string_lossy();
        let places = Places { surroundings, root: &root, types: &types };
        let drafts = self.drafts(&sources, places, in_use, &mut report);
        let defined = drafts.iter().map(|draft| &draft.id).collect();
        let Outcome { held, shared, problems, is_first } =
            put_together((&drafts, &defined), places, in_use, &mut self.memo);
        report.problems.extend(problems);

        let mut groups = Groups::read(sources.iter().map(|(_, source)| source.groups), &defined, &mut report);
        let shared = self.memo.shared(shared);
        let mut resolution = Resolution { env_files: draft::env_files(&drafts), ..Resolution::default() };
        let mut services = Vec::with_capacity(drafts.len());
        for (at, (draft, held)) in drafts.iter().zip(&held).enumerate() {
            let Some(Held { service, .. }) = held.as_deref() else {
                resolution.invalid.insert(draft.id.clone());
                continue;
            };
            let shown = self.memo.shown(at, service, groups.heading(service), &shared);
            services.push(shown);
        }
        resolution.catalog.services = services.into();
        let given = in_use;
        resolution.in_use = InUse { services: held.into_iter().flatten().collect(), agent: agent.clone() };
        resolution.catalog.groups = groups.into_list();
        resolution.catalog.agent = agent;
        let is_plain = is_first
            && sources.iter().map(|(_, source)| source.services.len()).sum::<usize>() == drafts.len()
            && resolution.env_files.iter().all(|path| surroundings.env_files.contains_key(path));
        let wrong = report.problems.clone();
        resolution.problems = findings::arranged(report.problems, files);
        self.last = is_plain.then(|| Last::of(&resolution, &sources, given, &wrong));
        resolution
    }

    /// The files that definitions name as `env_file`, absolute: as [`Resolution::env_files`], but at little cost where
    /// there are none.
    pub fn env_files(&mut self, files: &[Arc<SourceFile>], surroundings: &Surroundings) -> Vec<PathBuf> {
        if !self.names_env_files(files) {
            return Vec::new();
        }
        self.last = None;
        let report = &mut Report::default();
        let sources: Vec<_> = files.iter().map(|file| (&**file, shapes::read(file, report))).collect();
        let types = || sources.iter().map(|(_, source)| source.types);
        self.memo.begin(files, surroundings, types().flatten());
        let types = Types::of(types(), report);
        let places = Places { surroundings, root: &surroundings.root.to_string_lossy(), types: &types };
        draft::env_files(&self.drafts(&sources, places, &InUse::default(), report))
    }

    /// Whether any of `files` names an `env_file`; what has not changed is not looked through again.
    fn names_env_files(&mut self, files: &[Arc<SourceFile>]) -> bool {
        let known = |at: usize, file| self.without_env_files.get(at).is_some_and(|known| Arc::ptr_eq(known, file));
        if files.iter().enumerate().any(|(at, file)| !known(at, file) && names_env_file(file)) {
            self.without_env_files.clear();
            return true;
        }
        self.without_env_files.clear();
        self.without_env_files.extend_from_slice(files);
        false
    }

    /// A draft of each service, in the order of their definitions.
    pub(super) fn drafts(
        &mut self,
        sources: &[(&SourceFile, Source<'_>)],
        places: Places<'_>,
        in_use: &InUse,
        report: &mut Report,
    ) -> Vec<Arc<Draft>> {
        let claims = claims(sources, in_use, report);
        let overrides = overrides(sources, &claims, report);
        let mut drafts = Vec::with_capacity(claims.len());
        for (at, (file, raw)) in claims.into_iter().enumerate() {
            let patches = overrides.get(&raw.id).map(Vec::as_slice).unwrap_or_default();
            drafts.push(self.memo.draft(at, (&raw.id, &file.path), (raw.node, patches), || {
                let node = draft::overridden(raw.node, patches);
                Draft::begin((raw.id.clone(), node, raw.list), &file.path, raw.folder.clone(), places)
            }));
        }
        self.memo.keep_only(&drafts);
        drafts
    }
}

/// Resolves one state of the sources alone: [`Resolver::resolve`].
pub fn resolve(files: &[Arc<SourceFile>], surroundings: &Surroundings, in_use: &InUse) -> Resolution {
    Resolver::default().resolve(files, surroundings, in_use)
}

/// The catalog's root: `over` (of the command line), else the main file's `root`, else `main_folder`; absolute if they
/// are.
///
/// `None` when the main file is there but can't be read now: what was the root goes on to be it.
pub fn root_of(files: &[Arc<SourceFile>], main_folder: &Path, over: Option<&Path>) -> Option<PathBuf> {
    if let Some(over) = over {
        return Some(clean(&main_folder.join(over)));
    }
    let Some(main) = files.iter().find(|file| file.role == Role::Main) else { return Some(clean(main_folder)) };
    match &main.content {
        Content::Parsed(..) => {}
        Content::Empty | Content::Broken(_) | Content::Refused(_) => return None,
    }
    let root = shapes::read(main, &mut Report::default()).root;
    let root = root.and_then(|root| text(&root.node, "root", &mut Report::default()));
    Some(clean(&root.map_or(main_folder.to_path_buf(), |root| main_folder.join(root))))
}

/// The ids that a source defines, each once, in order; empty unless it is parsed.
pub fn services_of(file: &SourceFile) -> Vec<ServiceId> {
    let source = shapes::read(file, &mut Report::default());
    let mut seen = BTreeSet::new();
    source.services.into_iter().map(|raw| raw.id).filter(|id| seen.insert(id.clone())).collect()
}

/// The files that definitions name as `env_file`, absolute: [`Resolver::env_files`].
pub fn env_files_of(files: &[Arc<SourceFile>], surroundings: &Surroundings) -> Vec<PathBuf> {
    Resolver::default().env_files(files, surroundings)
}

fn names_env_file(file: &SourceFile) -> bool {
    let mut open = match &file.content {
        Content::Parsed(node, _) => vec![&**node],
        Content::Empty | Content::Broken(_) | Content::Refused(_) => return false,
    };
    while let Some(node) = open.pop() {
        match &node.value {
            Value::List(items) => open.extend(items),
            Value::Map(entries) if entries.iter().any(|entry| &*entry.key == "env_file") => return true,
            Value::Map(entries) => open.extend(entries.iter().map(|entry| &entry.node)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    false
}

/// Without `.`; `..` stays, because what it leads to is the file system's to say.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

/// What sources say beside services, types and groups.
fn top_level(sources: &[(&SourceFile, Source<'_>)], in_use: &InUse, report: &mut Report) -> AgentSettings {
    let mut agent = AgentSettings::default();
    for (file, source) in sources {
        match (file.role, source.agent) {
            (Role::Main, Some(entry)) => agent = agent::read(&entry.node, &in_use.agent, report),
            (_, Some(entry)) => report.note(&entry.key_place, "\"agent\" counts in the main file only"),
            (_, None) => {}
        }
        match (file.role, source.root) {
            (Role::Main, Some(entry)) => {
                text(&entry.node, "root", report);
            }
            (_, Some(entry)) => report.note(&entry.key_place, "\"root\" counts in the main file only"),
            (_, None) => {}
        }
        if let Some(entry) = source.include {
            includes::read(&entry.node, report);
        }
    }
    agent
}

/// A definition that has the id it claims, with its source.
type Claim<'a, 's> = (&'a SourceFile, &'s RawService<'a>);

/// For each id the definition that has it: the one of the source that holds it already, else the first.
fn claims<'a, 's>(
    sources: &'s [(&'a SourceFile, Source<'a>)],
    in_use: &InUse,
    report: &mut Report,
) -> Vec<Claim<'a, 's>> {
    let all = || sources.iter().flat_map(|(file, source)| source.services.iter().map(move |raw| (*file, raw)));
    let mut ids: Vec<&ServiceId> = all().map(|(_, raw)| &raw.id).collect();
    // As a rule they are in order already.
    ids.sort();
    if ids.array_windows().all(|[id, next]| id != next) {
        return all().collect();
    }
    let mut winners: HashMap<&ServiceId, Claim<'_, '_>> = HashMap::new();
    for (file, raw) in all() {
        match winners.entry(&raw.id) {
            Entry::Vacant(vacant) => {
                vacant.insert((file, raw));
            }
            Entry::Occupied(mut winner) => {
                let holder = in_use.services.get(&raw.id).map(|held| &*held.source);
                if holder == Some(&*file.path) && holder != Some(&*winner.get().0.path) {
                    winner.insert((file, raw));
                }
            }
        }
    }
    let mut claims = Vec::with_capacity(winners.len());
    for (file, raw) in all() {
        let Some((_, winner)) = winners.get(&raw.id) else { continue };
        if std::ptr::eq(raw, *winner) {
            claims.push((file, raw));
            continue;
        }
        let message = format!("the id {} is used twice: {} defines it", quoted(raw.id.as_str()), winner.id_place);
        let problem = Problem::error(raw.id_place, message).of(&raw.id);
        report.push(problem.hint("that one stays in use until it is gone; give this one another id"));
    }
    claims
}

/// The merge patches for each service, in the order of the sources.
fn overrides<'a>(
    sources: &[(&SourceFile, Source<'a>)],
    claims: &[Claim<'_, '_>],
    report: &mut Report,
) -> BTreeMap<ServiceId, Vec<&'a Node>> {
    let mut overrides: BTreeMap<ServiceId, Vec<&Node>> = BTreeMap::new();
    if sources.iter().all(|(_, source)| source.overrides.is_empty()) {
        return overrides;
    }
    let defined: BTreeSet<&ServiceId> = claims.iter().map(|(_, raw)| &raw.id).collect();
    for entry in sources.iter().flat_map(|(_, source)| source.overrides) {
        if matches!(entry.node.value, Value::Null) {
            continue;
        }
        let Some(id) = ServiceId::new(&entry.key).ok().filter(|id| defined.contains(id)) else {
            let mut problem =
                Problem::note(&entry.key_place, format!("there is no service {} to override", quoted(&entry.key)));
            problem.hint = did_you_mean(&entry.key, defined.iter().map(|id| id.as_str()));
            report.push(problem);
            continue;
        };
        if !draft::is_object(&entry.node) {
            let message = format!("an override must be an object, but is {}", entry.node.kind());
            report.push(Problem::error(&entry.node.place, message).of(&id));
            continue;
        }
        if let Some(inner) = entry.node.entries().iter().find(|inner| &*inner.key == "id") {
            report.push(Problem::note(&inner.key_place, "an override can't change the id").of(&id));
        }
        overrides.entry(id).or_default().push(&entry.node);
    }
    overrides
}
