//! What differs between two catalogs: a value with questions, and the one place that says which key restarts.

use std::sync::Arc;

use super::id::ServiceId;
use super::service::{Catalog, Display, Kind, Service, Spawn};

/// The difference of two catalogs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogDiff {
    /// Services that are new.
    pub added: Vec<ServiceId>,
    /// Services that are gone.
    pub removed: Vec<ServiceId>,
    /// Services that are in both and differ in meaning.
    pub changed: Vec<(ServiceId, ServiceDiff)>,
    /// Whether headings or the agent's settings differ. The order of services has no meaning: it follows the names of
    /// files.
    pub frame: bool,
}

impl CatalogDiff {
    /// What leads from `old` to `new`.
    pub fn between(old: &Catalog, new: &Catalog) -> Self {
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        // Most stay what and where they are.
        for service in new.services.unlike(&old.services).filter_map(|at| new.services.at(at)) {
            let Some(before) = old.services.get(&service.id) else {
                added.push(service.id.clone());
                continue;
            };
            if !Arc::ptr_eq(before, service) {
                let diff = ServiceDiff::between(before, service);
                changed.extend((!diff.is_empty()).then(|| (service.id.clone(), diff)));
            }
        }
        let removed = if old.services.len() + added.len() > new.services.len() {
            old.services.ids().filter(|id| !new.services.contains(id)).cloned().collect()
        } else {
            Vec::new()
        };
        let frame = old.groups != new.groups || old.agent != new.agent;
        Self { added, removed, changed, frame }
    }

    /// Whether the two mean the same.
    pub fn is_empty(&self) -> bool {
        let Self { added, removed, changed, frame } = self;
        added.is_empty() && removed.is_empty() && changed.is_empty() && !frame
    }

    /// Whether other logs are to be kept now, or otherwise.
    pub fn may_change_logs(&self) -> bool {
        let of_logs = |field: &String| field == "log" || field == "type";
        let concerns = |diff: &ServiceDiff| diff.live.iter().chain(&diff.restart).any(of_logs);
        !self.added.is_empty() || !self.removed.is_empty() || self.changed.iter().any(|(_, diff)| concerns(diff))
    }

    /// The services that differ: the new, the changed, the gone.
    pub fn services(&self) -> impl Iterator<Item = &ServiceId> {
        let changed = self.changed.iter().map(|(id, _)| id);
        self.added.iter().chain(changed).chain(&self.removed)
    }

    /// One sentence: "added worker; main-api is spawned differently (port, args); db changes (description)".
    pub fn describe(&self) -> String {
        let mut parts = Vec::new();
        let list = |ids: &[ServiceId]| ids.iter().map(ServiceId::as_str).collect::<Vec<_>>().join(", ");
        if !self.removed.is_empty() {
            parts.push(format!("removed {}", list(&self.removed)));
        }
        if !self.added.is_empty() {
            parts.push(format!("added {}", list(&self.added)));
        }
        for (id, diff) in &self.changed {
            if diff.restart.is_empty() {
                parts.push(format!("{id} changes ({})", diff.live.join(", ")));
            } else {
                parts.push(format!("{id} is spawned differently ({})", diff.restart.join(", ")));
            }
        }
        if self.frame {
            parts.push("groups or agent settings changed".to_owned());
        }
        parts.join("; ")
    }
}

/// The difference of two definitions of one service: the names of the fields that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDiff {
    /// Fields that take effect in place.
    pub live: Vec<String>,
    /// Fields that decide what is spawned.
    pub restart: Vec<String>,
}

impl ServiceDiff {
    /// What leads from `old` to `new`. Each field is classified here; a new one does not compile until it is.
    pub fn between(old: &Service, new: &Service) -> Self {
        let Service {
            // Identity: two services of different ids are never compared.
            id: _,
            // Where a definition stands has no meaning.
            place: _,
            disabled_at: _,
            display,
            enabled,
            auto_start,
            type_name,
            kind,
            // What it says shows in what is spawned.
            argv_keys: _,
            port,
            url,
            ports,
            docs_url,
            probes,
            depends_on,
            talks_to,
            restart,
            stop,
            one_shot,
            before_start,
            watch,
            limits,
            actions,
            notify,
            log,
        } = new;
        let mut diff = Self::default();
        let mut live = |name: &str, differs: bool| {
            if differs {
                diff.live.push(name.to_owned());
            }
        };
        let Display { name, description, icon, tags, provides, group } = display;
        live("name", *name != old.display.name);
        live("description", *description != old.display.description);
        live("icon", *icon != old.display.icon);
        live("tags", *tags != old.display.tags);
        live("provides", *provides != old.display.provides);
        live("group", *group != old.display.group);
        live("enabled", *enabled != old.enabled);
        live("auto_start", *auto_start != old.auto_start);
        let is_of_one_kind = std::mem::discriminant(kind) == std::mem::discriminant(&old.kind);
        live("type", *type_name != old.type_name && is_of_one_kind);
        live("base_url", *url != old.url);
        live("ports", *ports != old.ports);
        live("docs_endpoint", *docs_url != old.docs_url);
        live("health", *probes != old.probes);
        live("depends_on", *depends_on != old.depends_on);
        live("dependencies", *talks_to != old.talks_to);
        live("restart", *restart != old.restart);
        live("stop", *stop != old.stop);
        live("one_shot", *one_shot != old.one_shot);
        live("before_start", *before_start != old.before_start);
        live("watch", *watch != old.watch);
        live("limits", *limits != old.limits);
        live("actions", *actions != old.actions);
        live("notify", *notify != old.notify);
        live("log", *log != old.log);
        if *port != old.port {
            diff.restart.push("port".to_owned());
        }
        if !is_of_one_kind {
            diff.restart.push("type".to_owned());
        } else if let (Kind::Process(before), Kind::Process(after)) = (&old.kind, kind) {
            if before.argv != after.argv {
                diff.argv(old, new);
            }
            diff.spawns(before, after);
        }
        diff
    }

    /// Whether the two mean the same.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }

    /// Whether what had failed may fare better now: something about its running differs, and not only how it is shown
    /// or what others export.
    pub fn deserves_a_new_try(&self) -> bool {
        const OF_ITS_RUNNING: [&str; 10] = [
            "enabled",
            "auto_start",
            "type",
            "health",
            "depends_on",
            "restart",
            "stop",
            "one_shot",
            "before_start",
            "limits",
        ];
        !self.restart.is_empty() || self.live.iter().any(|field| OF_ITS_RUNNING.contains(&field.as_str()))
    }

    /// Names the keys that made argv another one.
    fn argv(&mut self, old: &Service, new: &Service) {
        let value = |of: &Service, key: &str| {
            of.argv_keys.iter().find(|(name, _)| &**name == key).map(|(_, node)| node.clone())
        };
        let gone = old.argv_keys.iter().filter(|(key, _)| value(new, key).is_none());
        for (key, _) in new.argv_keys.iter().chain(gone).filter(|(key, _)| value(old, key) != value(new, key)) {
            self.restart.push(key.to_string());
        }
        // Else it comes from the port, or from the template of the type.
        if self.restart.is_empty() {
            self.restart.push("command".to_owned());
        }
    }

    fn spawns(&mut self, old: &Arc<Spawn>, new: &Arc<Spawn>) {
        let Spawn { argv: _, cwd, env, shared_env } = &**new;
        if *cwd != old.cwd {
            self.restart.push("directory".to_owned());
        }
        for name in env.keys().chain(old.env.keys().filter(|name| !env.contains_key(*name))) {
            if env.get(name) != old.env.get(name) {
                self.restart.push(format!("env.{name}"));
            }
        }
        for name in changed_names(&old.shared_env, shared_env) {
            self.live.push(format!("exported {name}"));
        }
    }
}

/// The variables that differ between two shared environments, by name.
pub fn changed_names<'a>(
    old: &'a std::collections::BTreeMap<String, String>,
    new: &'a std::collections::BTreeMap<String, String>,
) -> Vec<&'a str> {
    let mut names = new
        .keys()
        .chain(old.keys().filter(|name| !new.contains_key(*name)))
        .filter(|name| old.get(*name) != new.get(*name))
        .map(String::as_str)
        .collect::<Vec<_>>();
    names.sort_unstable();
    names
}
