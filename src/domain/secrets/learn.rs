//! Learns what is secret from what the sources call so, and from what services are given.

use std::collections::HashSet;
use std::sync::Arc;

use super::clothes::Wanted;
use super::forms::{self, is_secret_name};
use super::{Learner, SHORTEST, Secrets, Seen};
use crate::domain::catalog::{Content, Reading, SourceFile};
use crate::domain::{Catalog, Check, Kind, Node, Roll, Service, Value};

impl Learner {
    /// What is secret by all that has been learnt.
    pub fn known(&self) -> &Arc<Secrets> {
        &self.known
    }

    /// Learns what `reading` holds, whether or not it is taken into use. True if there is more to hide than before.
    pub fn learn_sources(&mut self, reading: &Reading) -> bool {
        let names = self.count();
        let new = self.seen.take_sources(&reading.files);
        nodes_of(&new).for_each(|node| self.note_names(node));
        let values = self.values.len();
        let differs = self.count() != names;
        // What has a new name may stand in any of them.
        nodes_of(if differs { &reading.files } else { &new }).for_each(|node| self.note_values(node));
        let around = &reading.surroundings;
        if differs || self.seen.surroundings != *around {
            let files = around.env_files.values().flatten().flatten().chain(&around.dotenv);
            let files = files.map(|(name, value, _)| (name, value));
            files.chain(&around.environment).for_each(|(name, value)| self.note(name, value));
            self.seen.surroundings = Arc::clone(around);
        }
        self.arrange(differs || self.values.len() != values)
    }

    /// Learns what the services of `catalog` are given, as far as they are not those `in_use`. True if there is more to hide
    /// than before.
    pub fn learn_services(&mut self, catalog: &Catalog, in_use: &Catalog) -> bool {
        let all = self.seen.names != self.count();
        if all {
            self.seen.shared = Arc::default();
        }
        let known = |service: &Service| (service.id.as_str().to_lowercase(), service.display.name.to_lowercase());
        let before = (self.values.len(), self.open.len());
        let nobody = Roll::default();
        let known_by_now = if all { &nobody } else { &in_use.services };
        // Most stay what and where they are.
        for service in catalog.services.unlike(known_by_now).filter_map(|at| catalog.services.at(at)) {
            if !known_by_now.get(&service.id).is_some_and(|old| Arc::ptr_eq(old, service)) {
                self.open.extend(<[String; 2]>::from(known(service)));
                self.note_service(service);
            }
        }
        self.seen.names = self.count();
        self.arrange(before != (self.values.len(), self.open.len()))
    }

    fn count(&self) -> usize {
        self.known.names.len() + self.keys.len()
    }

    /// Works out what is hidden. What services are called is no secret, whoever uses it as one.
    fn arrange(&mut self, differs: bool) -> bool {
        if differs {
            let is_open = |value: &&String| self.open.iter().any(|name| name.contains(&value.to_lowercase()));
            let hidden = self.values.iter().filter(|value| !is_open(value)).cloned().collect();
            Arc::make_mut(&mut self.known).hidden = Wanted::new(hidden);
        }
        differs
    }

    /// Notes what `node`, at any depth, calls secret: `secrets`, and settings with `secret`.
    fn note_names(&mut self, node: &Node) {
        let text = |node: &Node| match &node.value {
            Value::Text(text) => Some(text.trim_start_matches('-').to_owned()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
        };
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.note_names(item)),
            Value::Map(entries) => {
                if let Some(Value::List(names)) = node.get("secrets").map(|node| &node.value) {
                    names.iter().filter_map(text).for_each(|name| self.note_name(name));
                }
                if is_secret_setting(node) {
                    let of = |key| node.get(key).and_then(text);
                    ["env_map", "env_export"].into_iter().filter_map(of).for_each(|name| self.note_name(name));
                    self.keys.extend(["key", "arg_map"].into_iter().filter_map(of));
                }
                entries.iter().for_each(|entry| self.note_names(&entry.node));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn note_name(&mut self, name: String) {
        // What has been published is copied only to say more.
        if !self.known.names.contains(&name) {
            Arc::make_mut(&mut self.known).names.insert(name);
        }
    }

    /// Notes what `node`, at any depth, holds under the names of secrets, and what secret settings are.
    fn note_values(&mut self, node: &Node) {
        if let Value::List(items) = &node.value {
            items.iter().for_each(|item| self.note_values(item));
            // It may be a command, of whatever kind.
            let words = items.iter().filter_map(word).map(str::to_owned).collect::<Vec<_>>();
            self.note_words(&words);
        }
        let is_setting = is_secret_setting(node);
        for entry in node.entries() {
            match &entry.node.value {
                Value::Text(value) | Value::Number(value) => match &*entry.key {
                    "default" | "value" if is_setting => self.note_declared(value),
                    // The name of a setting.
                    "key" => {}
                    name => self.note(name, value),
                },
                Value::List(items) => {
                    self.note_values(&entry.node);
                    for item in items.iter().filter_map(word) {
                        match &*entry.key {
                            "default" | "value" if is_setting => self.note_declared(item),
                            // The names of secrets.
                            "secrets" | "keys" => {}
                            name if self.is_declared(name) => self.note_declared(item),
                            name if is_secret_name(name) => self.note_usual(item),
                            _ => {}
                        }
                    }
                }
                Value::Map(_) => self.note_values(&entry.node),
                Value::Null | Value::Bool(_) => {}
            }
        }
    }

    fn note_service(&mut self, service: &Service) {
        let addresses = service.url.iter().chain(&service.docs_url);
        addresses.for_each(|address| self.note_parts(address));
        let commands = service.before_start.iter().map(|step| &step.argv);
        let commands = commands.chain(service.actions.iter().map(|action| &action.argv)).chain(&service.stop.command);
        commands.for_each(|argv| self.note_words(argv));
        for probe in &service.probes {
            match &probe.check {
                Check::Http { url, .. } => self.note_parts(url),
                Check::Exec { argv } => self.note_words(argv),
                Check::Tcp { .. } | Check::Unix { .. } | Check::Log { .. } | Check::File { .. } => {}
            }
        }
        match &service.kind {
            Kind::Process(spawn) => {
                self.note_words(&spawn.argv);
                let own = spawn.env.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
                own.for_each(|(name, value)| self.note(name, value));
                // Most services share one.
                if !Arc::ptr_eq(&self.seen.shared, &spawn.shared_env) {
                    spawn.shared_env.iter().for_each(|(name, value)| self.note(name, value));
                    self.seen.shared = Arc::clone(&spawn.shared_env);
                }
            }
            Kind::External | Kind::Detached | Kind::Settings => {}
        }
    }

    fn note_words(&mut self, words: &[String]) {
        let hidden = forms::hidden_in_words(words, &|name| self.is_declared(name) || is_secret_name(name));
        for (word, ranges) in words.iter().zip(hidden) {
            ranges.into_iter().for_each(|range| self.note_usual(&word[range]));
        }
    }

    /// Notes what is secret in `value` by its form.
    fn note_parts(&mut self, value: &str) {
        let hidden = forms::hidden(value, forms::Kind::Prose, &is_secret_name);
        hidden.into_iter().for_each(|range| self.note_usual(&value[range]));
    }

    fn note(&mut self, name: &str, value: &str) {
        if self.is_declared(name) {
            self.note_declared(value);
        } else if is_secret_name(name) {
            self.note_usual(value);
        } else {
            self.note_parts(value);
        }
    }

    fn is_declared(&self, name: &str) -> bool {
        self.known.names.contains(name) || self.keys.contains(name)
    }

    /// Notes what nobody has called secret; `KEY_TTL=3600` and `USE_TOKEN=false` give nothing away.
    fn note_usual(&mut self, value: &str) {
        let is_number = value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit());
        if value.len() > SHORTEST && !is_number && value != "false" {
            self.note_declared(value);
        }
    }

    /// Notes `value`, and each of its lines.
    fn note_declared(&mut self, value: &str) {
        let is_template = |part: &str| part.starts_with('{') && part.ends_with('}');
        let parts = std::iter::once(value).chain(value.lines().map(str::trim));
        let parts = parts.filter(|part| part.len() >= SHORTEST && !is_template(part) && *part != "true");
        for part in parts {
            if !self.values.contains(part) {
                self.values.insert(part.to_owned());
            }
        }
    }
}

impl Seen {
    /// Takes `files` as what has been looked through; gives those that had not been.
    fn take_sources(&mut self, files: &[Arc<SourceFile>]) -> Vec<Arc<SourceFile>> {
        // Most stay what and where they are.
        if self.sources.len() == files.len() {
            let mut new = Vec::new();
            for (old, file) in self.sources.iter_mut().zip(files).filter(|(old, file)| !Arc::ptr_eq(old, file)) {
                *old = Arc::clone(file);
                new.push(Arc::clone(file));
            }
            return new;
        }
        let old = std::mem::replace(&mut self.sources, files.to_vec());
        let old: HashSet<_> = old.iter().map(Arc::as_ptr).collect();
        files.iter().filter(|file| !old.contains(&Arc::as_ptr(file))).cloned().collect()
    }
}

fn nodes_of(files: &[Arc<SourceFile>]) -> impl Iterator<Item = &Node> {
    files.iter().filter_map(|file| match &file.content {
        Content::Parsed(node, _) => Some(&**node),
        Content::Empty | Content::Broken(_) | Content::Refused(_) => None,
    })
}

fn is_secret_setting(node: &Node) -> bool {
    node.get("secret").is_some_and(|secret| matches!(secret.value, Value::Bool(true)))
}

fn word(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    }
}
