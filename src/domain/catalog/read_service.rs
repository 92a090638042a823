//! Reads one service, defaults of its type included, once all names are known: from an object to a [`Service`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exposed::Exposed;
use super::fields::{Fields, present, text};
use super::merge::Whole;
use super::names::{Names, Shared};
use super::read_health::{self, Ground};
use super::report::{Report, quoted};
use super::{argv, environment, read_policies};
use crate::domain::{
    Condition, Dependency, Display, Kind, NamedPort, Node, Place, Problem, Service, ServiceId, Spawn, Value,
};

/// Every key that a service may have.
pub(super) const SERVICE_KEYS: [&str; 51] = [
    "actions",
    "architecture_endpoint",
    "args",
    "auto_start",
    "base_url",
    "base_url_env",
    "before_start",
    "category",
    "command",
    "cwd",
    "default_port",
    "dependencies",
    "depends_on",
    "description",
    "directory",
    "docs_endpoint",
    "enabled",
    "env",
    "env_file",
    "env_overrides",
    "exclude_base_settings",
    "file",
    "group",
    "health",
    "health_endpoint",
    "icon",
    "id",
    "info_endpoint",
    "limits",
    "log",
    "module",
    "name",
    "notify",
    "one_shot",
    "openapi_endpoint",
    "port_after",
    "port_env",
    "ports",
    "provides",
    "restart",
    "secrets",
    "settings",
    "shell",
    "stop",
    "stop_on_exit",
    "tags",
    "type",
    "values",
    "watch",
    // A file that is one service may say what it is of.
    "version",
    "$schema",
];

/// What a service is read against.
pub(super) struct Context<'s> {
    /// Its id.
    pub id: &'s ServiceId,
    /// Where it begins.
    pub place: &'s Place,
    /// The name of its type.
    pub type_name: &'s str,
    /// Whether there is such a type.
    pub type_is_known: bool,
    /// Where it runs unless it says so: absolute.
    pub folder: &'s Path,
    /// Where relative paths start: absolute.
    pub root: &'s Path,
    /// The files that an `env_file` may name.
    pub env_files: &'s environment::Files,
    /// The environment that all services get.
    pub shared: &'s Shared,
}

/// Reads the service; with an error in `report`, what comes out is not to be used.
pub(super) fn read<'a>(
    context: &Context<'a>,
    (whole, exposed): (&'a Whole, &'a Exposed),
    (names, member): (&mut Names<'_>, usize),
    report: &mut Report,
) -> Service {
    let port = names.port(member);
    let url = names.url(member);
    check_needs(context, whole, port, report);
    let mut fields = Fields::of(&whole.node);
    let display = read_display(context.id, &mut fields, report);
    let one_shot = fields.flag("one_shot", report).is_some_and(|(flag, _)| flag);
    let enabled = fields.flag("enabled", report);
    let auto_start = fields.flag("auto_start", report).is_some_and(|(flag, _)| flag);
    let docs_url = endpoints(&mut fields, url.as_deref(), report);
    // Judged for every kind, though only a process has a use for it.
    let cwd = directory(&mut fields, context, report);
    let env = environment::read((whole, exposed), (&mut *names, member), &mut fields, context, report);
    let kind = match (whole.kind.as_deref(), whole.engine) {
        (Some("external"), _) => Kind::External,
        (Some("settings"), _) => Kind::Settings,
        (Some(_) | None, true) => Kind::Detached,
        (Some(_) | None, false) => Kind::Process(Arc::new(Spawn {
            argv: argv::read((whole, exposed), (&mut *names, member), &mut fields, context, report),
            cwd,
            env: env.into_iter().map(|(name, (value, _))| (name, value)).collect(),
            shared_env: Arc::clone(context.shared),
        })),
    };
    let probes = {
        fields.accept(["health", "health_endpoint"]);
        let mut ground = Ground { names: &mut *names, member, url: url.as_deref(), root: context.root };
        let probes = read_health::read(&whole.node, port, &mut ground, report);
        match kind {
            Kind::Process(_) | Kind::External => probes.into_iter().map(Arc::new).collect(),
            Kind::Detached | Kind::Settings => Vec::new(),
        }
    };
    remark_on_kind(&kind, &probes, context, report);
    let service = Service {
        id: context.id.clone(),
        place: context.place.clone(),
        display,
        enabled: enabled.is_none_or(|(flag, _)| flag),
        disabled_at: enabled.filter(|(flag, _)| !flag).map(|(_, place)| place.clone()),
        auto_start,
        type_name: context.type_name.to_owned(),
        kind,
        port,
        url,
        ports: named_ports(exposed, names, member),
        docs_url,
        probes,
        depends_on: dependencies(&mut fields, report).into_iter().map(|(dependency, _)| dependency).collect(),
        talks_to: owned(fields.texts("dependencies", report)),
        restart: read_policies::restart(&mut fields, one_shot, report),
        stop: read_policies::stop(&mut fields, report),
        one_shot,
        before_start: read_policies::before_start(&mut fields, report),
        watch: read_policies::watch(&mut fields, context.root, report),
        limits: read_policies::limits(&mut fields, report),
        actions: read_policies::actions(&mut fields, report),
        notify: read_policies::notify(&mut fields, report),
        log: read_policies::log(&mut fields, report),
    };
    finish(fields, whole, report);
    service
}

/// What a service depends on, each with the place where it is written.
pub(super) fn dependencies<'a>(fields: &mut Fields<'a>, report: &mut Report) -> Vec<(Dependency, &'a Place)> {
    let mut dependencies: Vec<(Dependency, &Place)> = Vec::new();
    for node in fields.list("depends_on", report) {
        let Some((dependency, place)) = dependency(node, report) else { continue };
        if dependencies.iter().any(|(other, _)| other.id == dependency.id) {
            report.note(place, format!("{} is named twice; the first counts", quoted(dependency.id.as_str())));
        } else {
            dependencies.push((dependency, place));
        }
    }
    dependencies
}

fn dependency<'a>(node: &'a Node, report: &mut Report) -> Option<(Dependency, &'a Place)> {
    const CONDITIONS: [(&str, Condition); 3] =
        [("started", Condition::Started), ("healthy", Condition::Healthy), ("completed", Condition::Completed)];
    let (id, condition, restart) = match &node.value {
        Value::Text(_) => (node, None, false),
        Value::Map(_) => {
            let mut fields = Fields::of(node);
            let id = fields.take("id");
            let condition = fields.choice("condition", &CONDITIONS, report);
            let restart = fields.flag("restart", report).is_some_and(|(flag, _)| flag);
            fields.finish(report);
            let Some(id) = id else {
                report.error(&node.place, "this dependency has no \"id\"");
                return None;
            };
            (id, condition, restart)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => {
            let message = format!("an element of \"depends_on\" must be an id or an object, but is {}", node.kind());
            report.error(&node.place, message);
            return None;
        }
    };
    match ServiceId::new(text(id, "id", report)?) {
        Ok(name) => {
            Some((Dependency { id: name, condition: condition.unwrap_or(Condition::Healthy), restart }, &id.place))
        }
        Err(wrong) => {
            report.error(&id.place, format!("the id {wrong}"));
            None
        }
    }
}

fn check_needs(context: &Context<'_>, whole: &Whole, port: Option<u16>, report: &mut Report) {
    for (need, _) in &whole.needs {
        let message = match &**need {
            "port" if port.is_some() => continue,
            "port" => format!("a service of type {} needs a port", quoted(context.type_name)),
            need if present(&whole.node, need).is_some() => continue,
            need => format!("a service of type {} needs {}", quoted(context.type_name), quoted(need)),
        };
        let problem = Problem::error(context.place, message);
        report.push(if &**need == "port" { problem.hint("give \"default_port\"") } else { problem });
    }
}

fn read_display(id: &ServiceId, fields: &mut Fields<'_>, report: &mut Report) -> Display {
    let group = fields.word("group", report);
    let category = fields.word("category", report);
    let own = |word: Option<(&str, &Place)>| word.map(|(word, _)| word.to_owned());
    Display {
        name: own(fields.word("name", report)).unwrap_or_else(|| id.to_string()),
        description: own(fields.word("description", report)),
        icon: own(fields.word("icon", report)),
        tags: owned(fields.texts("tags", report)),
        provides: owned(fields.texts("provides", report)),
        group: own(group.or(category)),
    }
}

/// Reads all endpoints, of which the documentation's is shown; the others are for those who ask the service.
fn endpoints(fields: &mut Fields<'_>, url: Option<&str>, report: &mut Report) -> Option<String> {
    for key in ["info_endpoint", "architecture_endpoint", "openapi_endpoint"] {
        fields.text(key, report);
    }
    let (path, _) = fields.word("docs_endpoint", report)?;
    read_health::on_base(url, path)
}

fn directory(fields: &mut Fields<'_>, context: &Context<'_>, report: &mut Report) -> PathBuf {
    let directory = fields.word("directory", report);
    let cwd = fields.word("cwd", report);
    if let (Some(_), Some((_, place))) = (directory, cwd) {
        report.note(place, "\"cwd\" is \"directory\" by another name, which is given as well and counts");
    }
    if let Some((path, place)) = directory.or(cwd)
        && path.starts_with('~')
    {
        let problem = Problem::warning(place, "\"~\" is a folder of that name: only a shell makes your home of it");
        report.push(problem.hint("write the whole path"));
    }
    match directory.or(cwd) {
        // Without the `.` that would otherwise show in every message.
        Some((path, _)) => context.root.join(path).components().collect(),
        None => context.folder.to_path_buf(),
    }
}

fn named_ports(exposed: &Exposed, names: &mut Names<'_>, member: usize) -> Vec<NamedPort> {
    let ports = exposed.ports.iter().enumerate();
    ports
        .filter_map(|(index, listed)| {
            Some(NamedPort {
                name: listed.name.clone(),
                env: listed.env.as_ref().map(|(name, _)| name.to_string()),
                port: names.listed(member, index)?,
            })
        })
        .collect()
}

/// What must be said of a service that is not simply a process.
fn remark_on_kind(kind: &Kind, probes: &[Arc<crate::domain::Probe>], context: &Context<'_>, report: &mut Report) {
    match kind {
        Kind::Detached => report.note(
            context.place,
            format!("not run by this version: the life of a {} service belongs to another engine", context.type_name),
        ),
        Kind::External if probes.is_empty() => report.push(
            Problem::warning(context.place, "nothing tells whether this external service is up")
                .hint("give \"default_port\" or \"health\""),
        ),
        Kind::External | Kind::Process(_) | Kind::Settings => {}
    }
}

/// Reads what only has to be right, accepts what belongs to others, and notes what nobody knows.
fn finish<'w>(mut fields: Fields<'w>, whole: &'w Whole, report: &mut Report) {
    // What kinds without a process don't ask for.
    for key in ["module", "file"] {
        fields.text(key, report);
    }
    fields.texts("secrets", report);
    fields.flag("stop_on_exit", report);
    // Read elsewhere, or by the type alone.
    fields.accept([
        "id",
        "type",
        "command",
        "args",
        "shell",
        "port_after",
        "env",
        "env_overrides",
        "env_file",
        "version",
        "$schema",
    ]);
    fields.accept(["exclude_base_settings"]);
    fields.accept(["settings", "values", "ports", "port_env", "base_url_env", "base_url", "default_port"]);
    fields.accept(whole.asked.iter().map(String::as_str));
    fields.finish(report);
}

fn owned(words: Vec<(&str, &Place)>) -> Vec<String> {
    words.into_iter().map(|(word, _)| word.to_owned()).collect()
}
