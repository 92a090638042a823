//! Sources that are judged good become the catalog: pure and total.
//!
//! A round puts all services together. Those that turn out to be wrong give way to their last good definition, or to
//! nothing, which may change what names come to and who can be needed: so it is done again until a round finds nothing
//! wrong. Each round takes at least one service out, and the first one is the last as a rule.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::agent;
use super::dependencies::{self, Needs};
use super::draft::{self, Draft, Places};
use super::fields::{Fields, text, texts, unsupported};
use super::findings;
use super::groups::Groups;
use super::in_use::{Export, Held, InUse};
use super::names::{Member, Names, Shared};
use super::read_service::{self, Context};
use super::reading::{Content, Role, SourceFile, Surroundings};
use super::report::{Report, did_you_mean, quoted};
use super::shapes::{self, RawService, Source};
use super::template::PortSlot;
use super::types::Types;
use crate::domain::{AgentSettings, Catalog, Kind, Node, Place, Problem, Service, ServiceId, Severity, Spawn, Value};

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
    /// To be handed to the next call of [`resolve`].
    pub in_use: InUse,
}

/// Merges and resolves `files`; whatever is wrong costs what it concerns and is reported.
///
/// - `files` are what is to be used, in the order in which they are merged: for a source that is broken or missing for
///   a moment, its last good content. One that holds nothing parsed only contributes its problem.
/// - A service that is not valid is replaced by its last good definition in `in_use`, and the problem is reported. So
///   is one whose `env_file` is not in [`Surroundings::env_files`] at all (nobody has looked yet); without a last good
///   definition it goes without that file.
/// - An id that stands twice belongs to the source that `in_use` names, else to the first.
pub fn resolve(files: &[SourceFile], surroundings: &Surroundings, in_use: &InUse) -> Resolution {
    let mut report = Report::default();
    surroundings.problems.iter().for_each(|problem| report.push(problem.clone()));
    let sources: Vec<_> = files.iter().map(|file| (file, shapes::read(file, &mut report))).collect();
    let agent = top_level(&sources, in_use, &mut report);
    let types = Types::of(sources.iter().map(|(_, source)| source.types), &mut report);
    let claims = claims(&sources, in_use, &mut report);
    let defined: BTreeSet<&ServiceId> = claims.iter().map(|(_, raw)| &raw.id).collect();
    let overrides = overrides(&sources, &defined, &mut report);
    let root = surroundings.root.to_string_lossy();
    let places = Places { surroundings, root: &root };
    let drafts: Vec<_> = claims
        .iter()
        .map(|(file, raw)| {
            let patches = overrides.get(&raw.id).map(Vec::as_slice).unwrap_or_default();
            let node = draft::overridden(raw.node, patches);
            Draft::begin((raw.id.clone(), node, raw.list), &file.path, raw.folder.clone(), &types, places)
        })
        .collect();
    let mut rounds = Rounds { drafts: &drafts, places, in_use, problems: report.problems, state: Vec::new() };
    let last = rounds.until_nothing_is_wrong();
    let mut resolution = Resolution { env_files: draft::env_files(&drafts), ..rounds.conclude(last) };
    resolution.in_use.agent = agent.clone();
    resolution.catalog.agent = agent;
    let mut report = Report::after(std::mem::take(&mut resolution.problems));
    let groups = Groups::read(sources.iter().map(|(_, source)| source.groups), &defined, &mut report);
    resolution.catalog.groups = under_headings(groups, &mut resolution.catalog);
    resolution.problems = findings::arranged(report.problems, files);
    resolution
}

/// The catalog's root: `over` (of the command line), else the main file's `root`, else `main_folder`; absolute if they
/// are.
///
/// `None` when the main file is there but can't be read now: what was the root goes on to be it.
pub fn root_of(files: &[SourceFile], main_folder: &Path, over: Option<&Path>) -> Option<PathBuf> {
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

/// The files that definitions name as `env_file`, absolute: as [`Resolution::env_files`], but at little cost where there
/// are none.
pub fn env_files_of(files: &[SourceFile], surroundings: &Surroundings) -> Vec<PathBuf> {
    let mut open: Vec<&Node> = files
        .iter()
        .filter_map(|file| match &file.content {
            Content::Parsed(node, _) => Some(&**node),
            Content::Empty | Content::Broken(_) | Content::Refused(_) => None,
        })
        .collect();
    while let Some(node) = open.pop() {
        match &node.value {
            Value::List(items) => open.extend(items),
            Value::Map(entries) if entries.iter().any(|entry| &*entry.key == "env_file") => {
                return resolve(files, surroundings, &InUse::default()).env_files;
            }
            Value::Map(entries) => open.extend(entries.iter().map(|entry| &entry.node)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    Vec::new()
}

/// The globs of a source's `include`, each with its place; nothing follows them yet, and the key is reported as
/// without effect.
pub fn includes_of(file: &SourceFile) -> Vec<(String, Place)> {
    let source = shapes::read(file, &mut Report::default());
    let Some(include) = source.include else { return Vec::new() };
    let globs = texts(&include.node, "include", &mut Report::default());
    globs.into_iter().map(|(glob, place)| (glob.to_owned(), place.clone())).collect()
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
            unsupported(&entry.key_place, "include", report);
        }
    }
    agent
}

/// For each id the definition that has it: the one of the source that holds it already, else the first.
fn claims<'a, 's>(
    sources: &'s [(&'a SourceFile, Source<'a>)],
    in_use: &InUse,
    report: &mut Report,
) -> Vec<(&'a SourceFile, &'s RawService<'a>)> {
    let all = || sources.iter().flat_map(|(file, source)| source.services.iter().map(move |raw| (*file, raw)));
    let mut winners: HashMap<&ServiceId, (&SourceFile, &RawService<'_>)> = HashMap::new();
    for (file, raw) in all() {
        let holder = in_use.services.get(&raw.id).map(|held| &*held.source);
        let winner = winners.entry(&raw.id).or_insert((file, raw));
        if holder == Some(&*file.path) && holder != Some(&*winner.0.path) {
            *winner = (file, raw);
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
    defined: &BTreeSet<&ServiceId>,
    report: &mut Report,
) -> BTreeMap<ServiceId, Vec<&'a Node>> {
    let mut overrides: BTreeMap<ServiceId, Vec<&Node>> = BTreeMap::new();
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

fn under_headings(mut groups: Groups, catalog: &mut Catalog) -> Vec<crate::domain::Group> {
    for service in catalog.services.values_mut() {
        let heading = groups.heading(service);
        if heading != service.display.group {
            Arc::make_mut(service).display.group = heading;
        }
    }
    groups.into_list()
}

/// What is in use of a service.
#[derive(Clone, Copy)]
enum State<'a> {
    Present,
    Held(&'a Held),
    Gone,
}

struct Rounds<'r, 'a> {
    drafts: &'r [Draft<'a>],
    places: Places<'r>,
    in_use: &'r InUse,
    /// What is wrong with everything that will not be looked at again.
    problems: Vec<Problem>,
    state: Vec<State<'r>>,
}

/// What one round made of each service that is present.
struct Round {
    services: Vec<Option<Made>>,
    problems: Vec<Vec<Problem>>,
    shared: Shared,
}

struct Made {
    service: Service,
    exports: Vec<Export>,
    needs: Vec<(ServiceId, Place)>,
}

impl<'r> Rounds<'r, '_> {
    fn until_nothing_is_wrong(&mut self) -> Round {
        self.state = self.drafts.iter().map(|draft| self.before_the_first(draft)).collect();
        loop {
            let mut round = self.round();
            self.judge_needs(&mut round);
            let failed = |problems: &Vec<Problem>| problems.iter().any(|problem| problem.severity == Severity::Error);
            let wrong: Vec<_> = (0..self.drafts.len()).filter(|at| failed(&round.problems[*at])).collect();
            if wrong.is_empty() {
                return round;
            }
            for at in wrong {
                self.problems.append(&mut round.problems[at]);
                self.state[at] = self.held(&self.drafts[at].id).map_or(State::Gone, State::Held);
            }
        }
    }

    /// A service whose `env_file` nobody has looked at stays what it was.
    fn before_the_first(&self, draft: &Draft<'_>) -> State<'r> {
        let unread = draft.env_files.iter().any(|path| !self.places.surroundings.env_files.contains_key(path));
        match self.held(&draft.id) {
            Some(held) if unread => State::Held(held),
            Some(_) | None => State::Present,
        }
    }

    fn held(&self, id: &ServiceId) -> Option<&'r Held> {
        self.in_use.services.get(id)
    }

    fn round(&self) -> Round {
        let mut members = Vec::with_capacity(self.drafts.len());
        let mut index = vec![None; self.drafts.len()];
        for (at, draft) in self.drafts.iter().enumerate() {
            let member = match self.state[at] {
                State::Present => Member::Present(&draft.exposed),
                State::Held(held) => Member::Held(held),
                State::Gone => continue,
            };
            index[at] = Some(members.len());
            members.push((&draft.id, member));
        }
        let mut names = Names::of(members, self.places.surroundings);
        let shared: Shared = Arc::new(names.shared());
        let mut services = Vec::with_capacity(self.drafts.len());
        let mut problems = Vec::with_capacity(self.drafts.len());
        for (at, draft) in self.drafts.iter().enumerate() {
            match (self.state[at], index[at]) {
                (State::Present, Some(member)) => {
                    let (made, found) = self.make(draft, (&mut names, member), &shared);
                    services.push(Some(made));
                    problems.push(found);
                }
                (State::Present | State::Held(_) | State::Gone, _) => {
                    services.push(None);
                    problems.push(Vec::new());
                }
            }
        }
        let mut reports = names.into_reports();
        for (at, member) in index.iter().enumerate() {
            if let Some(member) = member {
                problems[at].append(&mut reports[*member].problems);
            }
        }
        Round { services, problems, shared }
    }

    fn make(
        &self,
        draft: &Draft<'_>,
        (names, member): (&mut Names<'_>, usize),
        shared: &Shared,
    ) -> (Made, Vec<Problem>) {
        let mut report = Report::of(&draft.id);
        report.problems.clone_from(&draft.problems);
        let port = names.port(member);
        let whole = draft.whole(PortSlot::Known(port), self.places, &mut report);
        let context = Context {
            id: &draft.id,
            place: &draft.place,
            type_name: &draft.type_name,
            type_is_known: draft.type_is_known(),
            folder: &draft.folder,
            root: &self.places.surroundings.root,
            env_files: &self.places.surroundings.env_files,
            shared,
        };
        let service = read_service::read(&context, (&whole, &draft.exposed), (&mut *names, member), &mut report);
        let needs = read_service::dependencies(&mut Fields::of(&whole.node), &mut Report::default());
        let needs = needs.into_iter().map(|(need, place)| (need.id, place.clone())).collect();
        (Made { service, exports: names.exports(member), needs }, report.problems)
    }

    fn judge_needs(&self, round: &mut Round) {
        let failed = |problems: &[Problem]| problems.iter().any(|problem| problem.severity == Severity::Error);
        let mut needs = Vec::with_capacity(self.drafts.len());
        for (at, draft) in self.drafts.iter().enumerate() {
            let on = match (self.state[at], &round.services[at]) {
                (State::Gone, _) => continue,
                (State::Present, Some(made)) if !failed(&round.problems[at]) => {
                    made.needs.iter().map(|(id, place)| (id, Some(place))).collect()
                }
                (State::Present | State::Held(_), _) => match self.held(&draft.id) {
                    Some(held) => held.service.depends_on.iter().map(|need| (&need.id, None)).collect(),
                    None => continue,
                },
            };
            needs.push(Needs { id: &draft.id, on });
        }
        let defined = self.drafts.iter().map(|draft| &draft.id).collect();
        let wrong = dependencies::judge(&needs, &defined, &|id| self.held(id).is_some());
        for (at, draft) in self.drafts.iter().enumerate() {
            if let Some(problems) = wrong.get(&draft.id) {
                round.problems[at].extend(problems.iter().cloned());
            }
        }
    }

    fn conclude(self, round: Round) -> Resolution {
        let mut resolution = Resolution { problems: self.problems, ..Resolution::default() };
        resolution.problems.extend(round.problems.into_iter().flatten());
        let mut members = Vec::with_capacity(self.drafts.len());
        for ((draft, state), made) in self.drafts.iter().zip(&self.state).zip(round.services) {
            let source = draft.source.to_path_buf();
            let held = match (state, made) {
                (State::Present, Some(Made { service, exports, needs: _ })) => {
                    Held { source, service: Arc::new(service), exports }
                }
                (State::Held(held), _) => Held { source, ..(*held).clone() },
                (State::Present | State::Gone, _) => {
                    resolution.invalid.insert(draft.id.clone());
                    continue;
                }
            };
            members.push((draft.id.clone(), held));
        }
        for (id, held) in members {
            let service = as_of_now(&held.service, &round.shared);
            resolution.catalog.services.insert(id.clone(), service);
            resolution.in_use.services.insert(id, held);
        }
        resolution
    }
}

/// A last good definition in the catalog of today: with today's shared environment. A need that nobody has any more stays:
/// whoever needs what is gone waits for it.
fn as_of_now(service: &Arc<Service>, shared: &Shared) -> Arc<Service> {
    match &service.kind {
        Kind::Process(spawn) if spawn.shared_env != *shared => {
            let spawn = Arc::new(Spawn { shared_env: Arc::clone(shared), ..(**spawn).clone() });
            Arc::new(Service { kind: Kind::Process(spawn), ..(**service).clone() })
        }
        Kind::Process(_) | Kind::External | Kind::Detached | Kind::Settings => Arc::clone(service),
    }
}
