//! Where every effective value of a service comes from. Worked out when somebody asks, from what the catalog was made of
//! and by what made it; nothing of it is kept.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::draft::{Draft, Places};
use super::effective::{keys_of, parts};
use super::environment::{self, Source as EnvironmentSource};
use super::exposed::SettingValue;
use super::fields::{Fields, present, texts};
use super::groups::Groups;
use super::in_use::InUse;
use super::merge::Whole;
use super::names::{Giver, Names, Shared, Sharer};
use super::read_service;
use super::reading::{SourceFile, Surroundings};
use super::report::Report;
use super::resolve::Resolver;
use super::rounds::{context, names_for};
use super::shapes::{self, Source};
use super::template::PortSlot;
use super::types::Types;
use crate::domain::{Kind, Node, Place, Service, ServiceId, Value};

/// What a catalog was made of.
#[derive(Clone, Debug, Default)]
pub struct Basis {
    /// The sources in use, in the order in which they were merged.
    pub files: Arc<[Arc<SourceFile>]>,
    /// What definitions refer to beside them.
    pub surroundings: Arc<Surroundings>,
    /// What is in use since.
    pub in_use: Arc<InUse>,
}

/// One and the same; whether two say the same is nobody's question.
impl PartialEq for Basis {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// All values of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explained {
    /// In the order in which they are shown.
    pub values: Vec<Given>,
    /// Names of values that are nobody's business.
    pub secrets: Vec<String>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// A key of a service, `port`, a key within one of those (`restart.delay`), `values.NAME` or `env.NAME`.
    pub key: String,
    /// What it comes to; null for nothing, or for a variable that is removed.
    pub value: Json,
    /// `file:line`, `type NAME`, `setting NAME`, `env_file FILE:LINE`, `agent environment` or `default`.
    pub origin: String,
}

/// Keys that are read as they are written: they have their effect through others.
const AS_WRITTEN: [&str; 17] = [
    "args",
    "shell",
    "module",
    "file",
    "port_after",
    "default_port",
    "port_env",
    "base_url_env",
    "health_endpoint",
    "docs_endpoint",
    "info_endpoint",
    "architecture_endpoint",
    "openapi_endpoint",
    "env_file",
    "secrets",
    "stop_on_exit",
    "exclude_base_settings",
];

/// Keys that the value of another may come from.
const OTHER_NAMES: [(&str, &str); 3] = [("directory", "cwd"), ("group", "category"), ("health", "health_endpoint")];

/// The type of what has none.
const UNTYPED: &str = "process";

const DEFAULT: &str = "default";
const INHERITED: &str = "agent environment";

impl Basis {
    /// Every effective value of service `id`; `None` if nothing of it is in use.
    pub fn explain(&self, id: &ServiceId) -> Option<Explained> {
        let report = &mut Report::default();
        let sources: Vec<_> = self.files.iter().map(|file| (&**file, shapes::read(file, report))).collect();
        let types = Types::of(sources.iter().map(|(_, source)| source.types), report);
        let root = self.surroundings.root.to_string_lossy();
        let places = Places { surroundings: &self.surroundings, root: &root, types: &types };
        let drafts = Resolver::default().drafts(&sources, places, &self.in_use, report);
        let at = drafts.iter().position(|draft| draft.id == *id)?;
        let defined = drafts.iter().map(|draft| &draft.id).collect();
        let (mut names, member) = names_for((&drafts, &defined), places, &self.in_use, at)?;
        let shared: Shared = Arc::new(names.shared());
        let heading = |service: &Service| {
            let groups = sources.iter().map(|(_, source)| source.groups);
            Groups::read(groups, &defined, &mut Report::default()).heading(service)
        };
        let draft = &drafts[at];
        let mut explaining =
            Explaining { basis: self, labels: Labels::of(draft, places), names: &mut names, member, shared: &shared };
        let explained = match explaining.names.held(member) {
            Some(held) => explaining.last_good(&held.service, heading(&held.service)),
            None => explaining.present(draft, places, &sources, heading),
        };
        Some(explained)
    }

    /// What users call the file at `path`.
    fn name(&self, path: &Path) -> String {
        let folder = self.files.iter().find_map(|file| {
            let folder = file.path.to_str()?.strip_suffix(&*file.name)?;
            Some(Path::new(folder).to_owned()).filter(|_| Path::new(&*file.name).is_relative())
        });
        let name = folder.as_ref().and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path);
        name.to_string_lossy().into_owned()
    }
}

struct Explaining<'e, 'n> {
    basis: &'e Basis,
    labels: Labels,
    names: &'e mut Names<'n>,
    member: usize,
    shared: &'e Shared,
}

impl Explaining<'_, '_> {
    /// A service as its source defines it.
    fn present(
        &mut self,
        draft: &Draft,
        places: Places<'_>,
        sources: &[(&SourceFile, Source<'_>)],
        heading: impl Fn(&Service) -> Option<String>,
    ) -> Explained {
        let report = &mut Report::default();
        let port = self.names.port(self.member);
        let whole = draft.whole(PortSlot::Known(port), places, report);
        let context = context(draft, places, self.shared);
        let service = read_service::read(&context, (&whole, &draft.exposed), (&mut *self.names, self.member), report);
        let mut explained = Explained { secrets: secrets(&whole), ..Explained::default() };
        let group = heading(&service);
        let of_port = self.names.giver_of_port(self.member);
        let of_port = self.giver(of_port.unwrap_or(Giver::Default), draft, &whole);
        let of_url = self.names.giver_of_url(self.member);
        let of_url = self.giver(of_url.unwrap_or(Giver::Default), draft, &whole);
        for (key, value) in keys_of(&service) {
            let origin = match key {
                "port" => Some(of_port.clone()),
                "base_url" => Some(of_url.clone()),
                "type" if present(&draft.node, "type").is_none() || Some(&*service.type_name) != type_of(draft) => {
                    // The list that it stands in decides.
                    (service.type_name != UNTYPED).then(|| self.labels.of_place(&draft.place))
                }
                "directory" if self.written("directory", draft, &whole).is_none() => {
                    (draft.folder != places.surroundings.root).then(|| self.labels.of_place(&draft.place))
                }
                "group" if service.display.group.is_none() => {
                    let place = group.as_ref().and_then(|group| place_of_group(sources, group));
                    place.map(|place| self.labels.of_place(place))
                }
                key => self.written(key, draft, &whole),
            };
            let value = if key == "group" { serde_json::json!(group) } else { value };
            let node = present(&whole.node, key);
            let in_parts: Vec<_> =
                parts(&value).map(|(part, value)| (part.clone(), value.clone(), self.part(node, part))).collect();
            explained.add(key, value, origin.unwrap_or_else(|| DEFAULT.to_owned()));
            for (part, value, origin) in in_parts {
                explained.add(&format!("{key}.{part}"), value, origin);
            }
        }
        for key in AS_WRITTEN {
            if let Some(node) = present(&whole.node, key)
                && let Some(origin) = self.written(key, draft, &whole)
            {
                explained.add(key, json_of(node), origin);
            }
        }
        for (index, setting) in draft.exposed.settings.iter().enumerate() {
            let value = match self.names.setting(self.member, index) {
                Some(SettingValue::Flag(flag)) => Json::Bool(flag),
                Some(SettingValue::Text(text)) => Json::String(text),
                None => Json::Null,
            };
            let giver = self.names.giver_of_setting(self.member, index);
            let origin =
                giver.map_or_else(|| format!("setting {}", setting.key), |giver| self.giver(giver, draft, &whole));
            explained.add(&format!("values.{}", setting.key), value, origin);
        }
        if let Kind::Process(_) = service.kind {
            let mut fields = Fields::of(&whole.node);
            let own = environment::read(
                (&whole, &draft.exposed),
                (&mut *self.names, self.member),
                &mut fields,
                &context,
                report,
            );
            let own = own.into_iter().map(|(name, (value, source))| {
                let origin = match source {
                    EnvironmentSource::Place(place) => self.labels.of_place(place),
                    EnvironmentSource::Setting(setting) => format!("setting {setting}"),
                    EnvironmentSource::File(path, line) => format!("env_file {}:{line}", self.basis.name(path)),
                    EnvironmentSource::Port => of_port.clone(),
                    EnvironmentSource::Url => of_url.clone(),
                };
                (name, (value, origin))
            });
            let own = own.collect();
            self.environment(own, &mut explained);
        }
        explained
    }

    /// A service of which the last good definition is in use: what it says has no line any more.
    fn last_good(&mut self, service: &Service, group: Option<String>) -> Explained {
        let mut explained = Explained::default();
        let origin = self.labels.of_place(&service.place);
        for (key, value) in keys_of(service) {
            let value = if key == "group" { serde_json::json!(group) } else { value };
            let in_parts: Vec<_> = parts(&value).map(|(part, value)| (part.clone(), value.clone())).collect();
            explained.add(key, value, origin.clone());
            for (part, value) in in_parts {
                explained.add(&format!("{key}.{part}"), value, origin.clone());
            }
        }
        if let Kind::Process(spawn) = &service.kind {
            let own = spawn.env.iter().map(|(name, value)| (name.clone(), (value.clone(), origin.clone())));
            let own = own.collect();
            self.environment(own, &mut explained);
        }
        explained
    }

    /// All variables, by name, the stronger over the weaker.
    fn environment(&mut self, own: BTreeMap<String, (Option<String>, String)>, explained: &mut Explained) {
        let inherited = self.basis.surroundings.environment.iter();
        let mut all: BTreeMap<String, (Option<String>, String)> =
            inherited.map(|(name, value)| (name.clone(), (Some(value.clone()), INHERITED.to_owned()))).collect();
        for (name, value) in &**self.shared {
            let origin = match self.names.sharer_of(name) {
                Some(Sharer::Setting(setting)) => format!("setting {setting}"),
                Some(Sharer::Place(place)) => self.labels.of_place(place),
                Some(Sharer::Dotenv(line)) => format!("env_file .env:{line}"),
                None => DEFAULT.to_owned(),
            };
            all.insert(name.clone(), (Some(value.clone()), origin));
        }
        all.extend(own);
        for (name, (value, origin)) in all {
            explained.add(&format!("env.{name}"), value.map_or(Json::Null, Json::String), origin);
        }
    }

    fn giver(&self, giver: Giver<'_>, draft: &Draft, whole: &Whole) -> String {
        match giver {
            Giver::Place(place) => self.labels.of_place(place),
            Giver::Key(key) => self.written(key, draft, whole).unwrap_or_else(|| DEFAULT.to_owned()),
            Giver::Setting(setting) => format!("setting {setting}"),
            Giver::Environment => INHERITED.to_owned(),
            Giver::Default => DEFAULT.to_owned(),
        }
    }

    /// Where `key`, by whatever name, is written: in the service, else in its type.
    fn written(&self, key: &str, draft: &Draft, whole: &Whole) -> Option<String> {
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == key).map(|(_, other)| *other);
        let names = || std::iter::once(key).chain(other);
        let node = names().find_map(|name| present(&draft.node, name));
        let node = node.or_else(|| names().find_map(|name| present(&whole.node, name)))?;
        Some(self.labels.of_place(&node.place))
    }

    /// Where a part of the object `node` is written; a word in place of an object is its policy.
    fn part(&self, node: Option<&Node>, part: &str) -> String {
        let written = node.and_then(|node| match &node.value {
            Value::Text(_) => (part == "policy").then_some(node),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => present(node, part),
        });
        written.map_or_else(|| DEFAULT.to_owned(), |node| self.labels.of_place(&node.place))
    }
}

impl Explained {
    fn add(&mut self, key: &str, value: Json, origin: String) {
        self.values.push(Given { key: key.to_owned(), value, origin });
    }
}

/// What places are called: by their file and line, or by the type whose template they lie in.
struct Labels {
    types: HashMap<Place, String>,
}

impl Labels {
    fn of(draft: &Draft, places: Places<'_>) -> Self {
        let mut types = HashMap::new();
        for entry in places.types.rests_on(&draft.type_name) {
            let label = format!("type {}", entry.key);
            let mut open = vec![&entry.node];
            while let Some(node) = open.pop() {
                types.insert(node.place.clone(), label.clone());
                match &node.value {
                    Value::List(items) => open.extend(items),
                    Value::Map(entries) => open.extend(entries.iter().map(|entry| &entry.node)),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
                }
            }
        }
        Self { types }
    }

    fn of_place(&self, place: &Place) -> String {
        match self.types.get(place) {
            Some(label) => label.clone(),
            None if place.line == 0 => place.file.to_string(),
            None => format!("{}:{}", place.file, place.line),
        }
    }
}

/// Names that the service calls secret, or whose settings do.
fn secrets(whole: &Whole) -> Vec<String> {
    let report = &mut Report::default();
    let declared = present(&whole.node, "secrets").map(|node| texts(node, "secrets", report)).unwrap_or_default();
    let mut secrets: Vec<String> = declared.into_iter().map(|(name, _)| name.to_owned()).collect();
    let settings = present(&whole.node, "settings").map(|node| &node.value);
    let Some(Value::List(settings)) = settings else { return secrets };
    for setting in settings
        .iter()
        .filter(|setting| present(setting, "secret").is_some_and(|secret| matches!(secret.value, Value::Bool(true))))
    {
        let names = ["key", "env_map", "env_export", "arg_map"].into_iter().filter_map(|key| present(setting, key));
        secrets.extend(names.filter_map(|node| match &node.value {
            Value::Text(name) => Some(name.trim_start_matches('-').to_owned()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
        }));
    }
    secrets
}

fn type_of(draft: &Draft) -> Option<&str> {
    match &present(&draft.node, "type")?.value {
        Value::Text(name) => Some(name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn place_of_group<'a>(sources: &[(&SourceFile, Source<'a>)], group: &str) -> Option<&'a Place> {
    let entries = sources.iter().flat_map(|(_, source)| source.groups);
    entries.into_iter().find(|entry| &*entry.key == group).map(|entry| &entry.key_place)
}

fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Number(number) => serde_json::from_str(number).unwrap_or_else(|_| Json::String(number.to_string())),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.to_string(), json_of(&entry.node))).collect(),
    }
}
