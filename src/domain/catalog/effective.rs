//! What a service comes to, key by key, as it would be written down: nothing is left out, defaults included.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::domain::{
    Action, Check, Condition, Dependency, Display, Kind, Limits, LogPolicy, NamedPort, NotifyPolicy, Probe,
    RestartPolicy, RestartWhen, Service, Step, StopPolicy, StopTree,
};

/// Every key of `service` with its value; a command only for a process.
pub(super) fn keys_of(service: &Service) -> Vec<(&'static str, Json)> {
    // Taken apart as a whole, so that what is new does not compile until it is shown.
    let Service {
        id: _,
        place: _,
        display: Display { name, description, icon, tags, provides, group },
        enabled,
        disabled_at: _,
        auto_start,
        type_name,
        kind,
        argv_keys: _,
        port,
        url,
        ports,
        docs_url: _,
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
    } = service;
    let mut keys = vec![
        ("name", json!(name)),
        ("description", json!(description)),
        ("icon", json!(icon)),
        ("tags", json!(tags)),
        ("provides", json!(provides)),
        ("group", json!(group)),
        ("enabled", json!(enabled)),
        ("auto_start", json!(auto_start)),
        ("type", json!(type_name)),
    ];
    match kind {
        Kind::Process(spawn) => {
            keys.push(("command", json!(spawn.argv)));
            keys.push(("directory", path(&spawn.cwd)));
        }
        Kind::External | Kind::Detached | Kind::Settings => {}
    }
    keys.extend([
        ("port", json!(port)),
        ("base_url", json!(url)),
        ("ports", list(ports, named_port)),
        ("health", list(probes, |probe| self::probe(probe))),
        ("depends_on", list(depends_on, dependency)),
        ("dependencies", json!(talks_to)),
        ("before_start", list(before_start, |step| self::step(step))),
        ("restart", restart_policy(restart)),
        ("stop", stop_policy(stop)),
        ("watch", list(watch, |files| json!(files.glob))),
        ("limits", self::limits(*limits)),
        ("one_shot", json!(one_shot)),
        ("actions", list(actions, |action| self::action(action))),
        ("notify", notify_policy(*notify)),
        ("log", log_policy(*log)),
    ]);
    keys
}

fn list<T>(items: &[T], one: impl Fn(&T) -> Json) -> Json {
    items.iter().map(one).collect()
}

fn path(path: &Path) -> Json {
    json!(path.to_string_lossy())
}

/// "10s", "1500ms", "5m".
fn span(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (0, 0) => "0s".to_owned(),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        (_, _) => format!("{}ms", span.as_millis()),
    }
}

fn named_port(port: &NamedPort) -> Json {
    let NamedPort { name, env, port } = port;
    json!({"name": name, "env": env, "port": port})
}

fn probe(probe: &Probe) -> Json {
    let Probe { check, interval, timeout, healthy_after, unhealthy_after, grace } = probe;
    let mut shown = match check {
        Check::Http { url, status, body } => {
            let range = |(from, to): &(u16, u16)| if from == to { json!(from) } else { json!(format!("{from}-{to}")) };
            json!({"http": url, "status": list(status, range), "body": body})
        }
        Check::Tcp { host, port } => json!({"tcp": format!("{host}:{port}")}),
        Check::Unix { path } => json!({"unix": path.to_string_lossy()}),
        Check::Exec { argv } => json!({"exec": argv}),
        Check::Log { pattern } => json!({"log": pattern}),
        Check::File { path, max_age } => json!({"file": path.to_string_lossy(), "max_age": max_age.map(span)}),
    };
    let pace = json!({
        "interval": span(*interval), "timeout": span(*timeout), "healthy_after": healthy_after,
        "unhealthy_after": unhealthy_after, "grace": span(*grace),
    });
    if let (Some(shown), Json::Object(pace)) = (shown.as_object_mut(), pace) {
        shown.extend(pace);
    }
    shown
}

fn dependency(dependency: &Dependency) -> Json {
    let Dependency { id, condition, restart } = dependency;
    let condition = match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::Completed => "completed",
    };
    json!({"id": id.as_str(), "condition": condition, "restart": restart})
}

fn step(step: &Step) -> Json {
    let Step { argv, timeout } = step;
    json!({"command": argv, "timeout": span(*timeout)})
}

fn action(action: &Action) -> Json {
    let Action { name, argv, confirm } = action;
    json!({"name": name, "command": argv, "confirm": confirm})
}

fn restart_policy(policy: &RestartPolicy) -> Json {
    let RestartPolicy { when, on_unhealthy, success_exit_codes, delay, max_delay, max_restarts, window, reset_after } =
        policy;
    let when = match when {
        RestartWhen::Always => "always",
        RestartWhen::OnFailure => "on-failure",
        RestartWhen::Never => "never",
    };
    json!({
        "policy": when, "on_unhealthy": on_unhealthy, "success_exit_codes": success_exit_codes, "delay": span(*delay),
        "max_delay": span(*max_delay), "max_restarts": max_restarts, "window": span(*window),
        "reset_after": span(*reset_after),
    })
}

fn stop_policy(policy: &StopPolicy) -> Json {
    let StopPolicy { signal, command, timeout, tree } = policy;
    let tree = match tree {
        StopTree::All => "all",
        StopTree::Group => "group",
    };
    json!({"signal": signal.name(), "command": command, "timeout": span(*timeout), "tree": tree})
}

fn limits(limits: Limits) -> Json {
    let Limits { memory } = limits;
    json!({"memory": memory})
}

fn notify_policy(policy: NotifyPolicy) -> Json {
    let NotifyPolicy { enabled, after } = policy;
    json!({"enabled": enabled, "after": span(after)})
}

fn log_policy(policy: LogPolicy) -> Json {
    let LogPolicy { max_size, keep } = policy;
    json!({"max_size": max_size, "keep": keep})
}

/// The keys of an object; none for everything else.
pub(super) fn parts(value: &Json) -> impl Iterator<Item = (&String, &Json)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
