//! The four shapes of a source: whatever a file looks like, it becomes raw services and a few maps.
//!
//! Nothing of a service but its id is judged here.

use std::collections::HashSet;
use std::path::PathBuf;

use super::elsewhere;
use super::fields::{Fields, duplicates, present, text};
use super::read_service::SERVICE_KEYS;
use super::reading::{Content, Role, SourceFile};
use super::report::{Report, did_you_mean, quoted};
use crate::domain::{Entry, Node, Place, Problem, ServiceId, Value};

/// What one source says.
#[derive(Default)]
pub(super) struct Source<'a> {
    /// Its services that have a valid id.
    pub services: Vec<RawService<'a>>,
    /// The entries of `service_groups`.
    pub groups: &'a [Entry],
    /// The entries of `types`.
    pub types: &'a [Entry],
    /// The entries of `overrides`.
    pub overrides: &'a [Entry],
    /// `agent`, with the place of the key.
    pub agent: Option<&'a Entry>,
    /// `root`, with the place of the key.
    pub root: Option<&'a Entry>,
    /// `include`, with the place of the key.
    pub include: Option<&'a Entry>,
}

/// A service as it stands in a source.
#[derive(Clone)]
pub(super) struct RawService<'a> {
    /// Its id.
    pub id: ServiceId,
    /// Where the id stands; the service's own place if something else gives the id.
    pub id_place: &'a Place,
    /// Its object.
    pub node: &'a Node,
    /// The list that it stands in.
    pub list: List,
    /// Where it runs unless it says so itself.
    pub folder: Option<PathBuf>,
}

/// The list that a service stands in, which may decide on its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// No list, or one that decides nothing.
    Plain,
    /// `backend_services`.
    Backend,
    /// `frontend_services`.
    Frontend,
    /// `infrastructure_services`.
    Infrastructure,
}

pub(super) const LISTS: [(&str, List); 4] = [
    ("services", List::Plain),
    ("backend_services", List::Backend),
    ("frontend_services", List::Frontend),
    ("infrastructure_services", List::Infrastructure),
];

/// The keys of a catalog object beside its lists.
pub(super) const CATALOG_KEYS: [&str; 10] = [
    "service_groups",
    "types",
    "overrides",
    "include",
    "agent",
    "root",
    "version",
    "description",
    "discovery",
    "future_services",
];

/// Keys that make a catalog of an object with, say, a `name`.
pub(super) const CATALOG_ONLY: [&str; 7] =
    ["types", "overrides", "include", "agent", "root", "discovery", "future_services"];

/// Keys that make a service of an object whatever else is in it.
pub(super) const NATURE_OF_SERVICE: [&str; 4] = ["id", "command", "module", "type"];

impl Source<'_> {
    /// Whether it says nothing of anything but services.
    pub fn is_of_services_alone(&self) -> bool {
        let Self { services: _, groups, types, overrides, agent, root, include } = self;
        groups.is_empty()
            && types.is_empty()
            && overrides.is_empty()
            && agent.is_none()
            && root.is_none()
            && include.is_none()
    }
}

/// The types of a source that has some: as [`read`] finds them, without its services.
pub(super) fn types_of(file: &SourceFile) -> &[Entry] {
    match &file.content {
        Content::Parsed(node, _) => present(node, "types").map_or(&[], Node::entries),
        Content::Empty | Content::Broken(_) | Content::Refused(_) => &[],
    }
}

/// Reads what `file` says; empty unless it is parsed.
pub(super) fn read<'a>(file: &'a SourceFile, report: &mut Report) -> Source<'a> {
    let node = match &file.content {
        Content::Parsed(node, _) => node,
        Content::Empty => return Source::default(),
        Content::Broken(problem) | Content::Refused(problem) => {
            report.push(problem.clone());
            return Source::default();
        }
    };
    let mut reader = Reader { file, source: Source::default(), report };
    match &node.value {
        Value::List(items) => reader.list(items, List::Plain),
        Value::Map(entries) => reader.object(node, entries),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            let message = format!("a source must be an object or a list of services, but is {}", node.kind());
            reader.report.error(&node.place, message);
        }
    }
    reader.source
}

struct Reader<'a, 'r> {
    file: &'a SourceFile,
    source: Source<'a>,
    report: &'r mut Report,
}

impl<'a> Reader<'a, '_> {
    fn object(&mut self, node: &'a Node, entries: &'a [Entry]) {
        let has = |key: &str| present(node, key).is_some();
        if self.is_package() {
            // The rest of it is not ours to judge; most packages are no service at all.
            let service = present(node, "pixsim").and_then(|pixsim| present(pixsim, "service"));
            let service = service.or_else(|| present(node, "service").filter(|service| !service.entries().is_empty()));
            if let Some(service) = service {
                self.own_folder(service);
            }
        } else if LISTS.iter().any(|(key, _)| has(key)) || has("service_groups") {
            self.catalog(node, entries);
        } else if let Some(pixsim) = present(node, "pixsim") {
            if let Some(service) = present(pixsim, "service") {
                self.own_folder(service);
            }
        } else if let Some(service) = present(node, "service") {
            self.wrapper(node, service);
        } else if CATALOG_ONLY.into_iter().any(has) && !NATURE_OF_SERVICE.into_iter().any(has) {
            self.catalog(node, entries);
        } else if SERVICE_KEYS.iter().any(|key| !CATALOG_KEYS.contains(key) && has(key)) {
            self.service(node, List::Plain, self.id_of_drop_in(), None);
        } else {
            self.catalog(node, entries);
        }
    }

    fn wrapper(&mut self, node: &'a Node, service: &'a Node) {
        self.own_folder(service);
        let mut fields = Fields::of(node);
        fields.accept(["service", "version", "description", "$schema"]);
        fields.finish(self.report);
    }

    /// Whether it is the manifest of a package, which may define a service besides.
    fn is_package(&self) -> bool {
        let name = self.file.path.file_name().map(|name| name.as_encoded_bytes());
        self.file.role == Role::Include
            && name.is_some_and(|name| name == b"package.json" || name.ends_with(b".package.json"))
    }

    fn own_folder(&mut self, service: &'a Node) {
        let folder = self.file.path.parent().map(PathBuf::from);
        self.service(service, List::Plain, self.id_of_drop_in(), folder);
    }

    fn catalog(&mut self, node: &'a Node, entries: &'a [Entry]) {
        let mut fields = Fields::of(node);
        for (key, list) in LISTS {
            match fields.take(key).map(|node| (node, &node.value)) {
                None => {}
                Some((_, Value::List(items))) => self.list(items, list),
                Some((_, Value::Map(entries))) if list == List::Plain => self.map(entries),
                Some((node, _)) => {
                    let message = format!("{} must be a list of services, but is {}", quoted(key), node.kind());
                    self.report.error(&node.place, message);
                }
            }
        }
        self.source.groups = self.entries(&mut fields, "service_groups");
        self.source.types = self.entries(&mut fields, "types");
        self.source.overrides = self.entries(&mut fields, "overrides");
        fields.accept(CATALOG_KEYS);
        fields.accept(["$schema"]);
        let entry =
            |key: &str| entries.iter().find(|entry| &*entry.key == key && !matches!(entry.node.value, Value::Null));
        self.source.agent = entry("agent");
        self.source.root = entry("root");
        self.source.include = entry("include");
        self.top_level_duplicates(entries);
        let nothing_known = !entries.is_empty() && entries.iter().all(|entry| !fields.knows(&entry.key));
        if nothing_known {
            let mut problem =
                Problem::warning(&node.place, "nothing here is known: neither a service nor a list of services");
            let known = SERVICE_KEYS.iter().copied().chain(LISTS.map(|(key, _)| key)).chain(CATALOG_KEYS);
            let known: Vec<_> = known.collect();
            let advice = |entry: &Entry| {
                elsewhere::key(&entry.key, &known).or_else(|| did_you_mean(&entry.key, known.iter().copied()))
            };
            let near = entries.iter().take(20).find_map(advice);
            let services = "services stand in \"services\": {\"id\": {\"command\": [\"program\", \"argument\"]}}";
            problem.hint = near.or_else(|| Some(services.to_owned()));
            self.report.push(problem);
        }
        fields.finish(self.report);
    }

    /// Keys that stand twice, outside services: those are judged with their service.
    fn top_level_duplicates(&mut self, entries: &'a [Entry]) {
        let shallow = entries.iter().map(|entry| {
            let inner = if LISTS.iter().any(|(key, _)| *key == &*entry.key) {
                // A map of services has keys of its own; what stands behind them belongs to the services.
                let names = entry.node.entries().iter().map(bare).collect();
                Node { place: entry.node.place.clone(), value: Value::Map(names) }
            } else {
                entry.node.clone()
            };
            Entry { node: inner, ..bare(entry) }
        });
        let place = Place::whole(&self.file.name);
        duplicates(&Node { place, value: Value::Map(shallow.collect()) }, self.report);
    }

    fn entries(&mut self, fields: &mut Fields<'a>, key: &'a str) -> &'a [Entry] {
        let Some(node) = fields.take(key) else { return &[] };
        Fields::object(node, key, self.report);
        node.entries()
    }

    fn list(&mut self, items: &'a [Node], list: List) {
        for item in items {
            self.service(item, list, Fallback::None, None);
        }
    }

    fn map(&mut self, entries: &'a [Entry]) {
        let mut seen = HashSet::new();
        for entry in entries.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
            // The key that stands twice is told by itself, and the first counts.
            if !seen.insert(&*entry.key) {
                continue;
            }
            self.service(&entry.node, List::Plain, Fallback::Key(entry), None);
        }
    }

    fn id_of_drop_in(&self) -> Fallback<'a> {
        match self.file.role {
            Role::DropIn => {
                self.file.path.file_stem().and_then(|stem| stem.to_str()).map_or(Fallback::None, Fallback::FileName)
            }
            Role::Main | Role::Include | Role::Profile => Fallback::None,
        }
    }

    /// Takes `node` as a service; without an id it has no name under which it could be reported, and is left out.
    fn service(&mut self, node: &'a Node, list: List, fallback: Fallback<'a>, folder: Option<PathBuf>) {
        if !matches!(node.value, Value::Map(_)) {
            let message = format!("a service must be an object, but is {}", node.kind());
            let mut problem = Problem::error(&node.place, message);
            problem.hint = elsewhere::form("service", node).map(str::to_owned);
            self.report.push(problem);
            return;
        }
        let own = present(node, "id");
        let (id, id_place) = match (own, &fallback) {
            (Some(own), _) => match text(own, "id", self.report) {
                Some(id) => (id, &own.place),
                None => return,
            },
            (None, Fallback::Key(entry)) => (&*entry.key, &entry.key_place),
            (None, Fallback::FileName(stem)) => (*stem, &node.place),
            (None, Fallback::None) => {
                self.report.push(Problem::error(&node.place, "this service has no id").hint("add \"id\": \"…\""));
                return;
            }
        };
        if let (Some(own), Fallback::Key(entry)) = (own, &fallback)
            && id != &*entry.key
        {
            let message = format!("the id {} is not the key {} that it stands under", quoted(id), quoted(&entry.key));
            self.report.push(Problem::error(&own.place, message).hint("leave the id out"));
            return;
        }
        match ServiceId::new(id) {
            Ok(id) => self.source.services.push(RawService { id, id_place, node, list, folder }),
            Err(wrong) => {
                let mut problem = Problem::error(id_place, format!("the id {} {wrong}", quoted(id)));
                if own.is_none() && matches!(fallback, Fallback::FileName(_)) {
                    problem = problem.hint("the file's name is taken as the id; give one with \"id\"");
                }
                self.report.push(problem);
            }
        }
    }
}

/// What gives the id of a service that has none.
enum Fallback<'a> {
    None,
    Key(&'a Entry),
    FileName(&'a str),
}

/// The key alone.
fn bare(entry: &Entry) -> Entry {
    Entry {
        key: entry.key.clone(),
        key_place: entry.key_place.clone(),
        node: Node { place: entry.node.place.clone(), value: Value::Null },
    }
}
