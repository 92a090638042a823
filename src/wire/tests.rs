//! The shape of the JSON: every field is there, null where it does not apply, and nothing secret is in it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::domain::sample::{NOW, define, exited, healthy, id, needs, snapshot, started, stopped, waiting, wanted};
use crate::domain::secrets::Secrets;
use crate::domain::{self, Exit, Light, Place, ProcessState, Snapshot};
use crate::engine::Clock;

/// The fields of `status --json` that programs rely on, as documented.
fn documented() -> Value {
    json!({
        "agent": {"pid": 1, "version": "…", "config": "…", "state_dir": "…", "since": "RFC 3339", "mode": "headless",
            "dashboard": "http://127.0.0.1:…/"},
        "generation": 7, "light": "green", "summary": "3 of 4 healthy",
        "problems": [{"severity": "error", "file": "…", "line": 3, "column": 9, "service": "id or null",
            "message": "…", "hint": "…"}],
        "services": [{"id": "main-api", "name": "…", "group": "…", "type": "…", "source": "services.d/x.json",
            "enabled": true, "wanted": true, "wanted_by": "auto_start", "process": "stopped", "health": "stopped",
            "light": "…", "reason": "one sentence", "since": "RFC 3339", "pid": 123, "run": "…", "adopted": false,
            "port": 8000, "url": "…", "restarts": 0, "uptime_seconds": 1.5,
            "last_exit": {"code": 1, "signal": null, "at": "…", "text": "exited with code 1"},
            "blocked_by": ["db"], "depends_on": ["db"], "cpu_percent": 0.5, "memory_bytes": 1_048_576, "processes": 2}]
    })
}

fn facts() -> AgentFacts {
    AgentFacts {
        pid: 1,
        config: PathBuf::from("/srv/services.json"),
        state_dir: PathBuf::from("/srv/state"),
        since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        has_tray: std::sync::Arc::default(),
        dashboard: None,
    }
}

fn clock() -> Clock {
    Clock::start(NOW.since_zero())
}

fn status(snapshot: &Snapshot) -> Value {
    let process = Process {
        pid: 7,
        ppid: Some(1),
        cpu_percent: Some(0.25),
        memory_bytes: Some(1024),
        age_seconds: Some(1.0),
        command: "api --serve".to_owned(),
    };
    let samples = Samples::from([(id("api"), vec![process.clone(), Process { pid: 8, ..process }])]);
    serde_json::to_value(Status::of(snapshot, &clock(), &facts(), &samples)).unwrap()
}

/// Two services, one with everything and one with nothing, and two problems likewise.
fn full_and_bare() -> Snapshot {
    let api = define(exited(needs(healthy("api", 7), "db"), Exit::Code(1)), |service| {
        service.port = Some(8000);
        service.url = Some("http://localhost:8000".to_owned());
        service.display.group = Some("backend".to_owned());
    });
    let place = Place { file: "services.json".into(), line: 3, column: 9 };
    let problem = domain::Problem::error(&place, "unknown type").of(&id("api")).hint("did you mean python?");
    let bare = domain::Problem { place: None, hint: None, service: None, ..problem.clone() };
    Snapshot { problems: Arc::new([problem, bare]), ..snapshot(vec![api, stopped("db")]) }
}

/// Says which keys of `expected` are not in `value`, at any depth; a list's pattern is its first element.
fn missing(expected: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    match (expected, value) {
        (Value::Object(expected), Value::Object(value)) => {
            for (key, expected) in expected {
                match value.get(key) {
                    None => found.push(format!("{path}.{key}")),
                    Some(value) => missing(expected, value, &format!("{path}.{key}"), found),
                }
            }
        }
        (Value::Array(expected), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                missing(&expected[0], value, &format!("{path}[{index}]"), found);
            }
        }
        (Value::Object(_) | Value::Array(_), Value::Null) => {}
        (Value::Object(_) | Value::Array(_), other) => found.push(format!("{path} is {other}")),
        (_, Value::Object(_) | Value::Array(_)) => found.push(format!("{path} has parts")),
        _ => {}
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_documented_field_of_status_is_there_whether_it_applies_or_not() {
    let status = status(&full_and_bare());
    let mut found = Vec::new();
    missing(&documented(), &status, "status", &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(keys(&status["services"][0]), keys(&status["services"][1]));
    assert_eq!(keys(&status["problems"][0]), keys(&status["problems"][1]));
}

#[test]
fn a_field_that_does_not_apply_is_null() {
    let status = status(&full_and_bare());
    for key in [
        "group",
        "pid",
        "run",
        "port",
        "url",
        "uptime_seconds",
        "last_exit",
        "cpu_percent",
        "memory_bytes",
        "processes",
    ] {
        assert_eq!(status["services"][1][key], Value::Null, "{key}");
        assert_ne!(status["services"][0][key], Value::Null, "{key}");
    }
    for key in ["file", "line", "column", "service", "hint"] {
        assert_eq!(status["problems"][1][key], Value::Null, "{key}");
        assert_ne!(status["problems"][0][key], Value::Null, "{key}");
    }
    assert_eq!(status["agent"]["dashboard"], Value::Null);
}

#[test]
fn what_waits_is_told_with_the_services_that_it_touches() {
    let mut snapshot = full_and_bare();
    assert_eq!(status(&snapshot)["waiting"], Value::Null);
    let waits = domain::Waiting { services: vec![id("db"), id("new")], frame: false, text: "added new".to_owned() };
    snapshot.waiting = Some(Arc::new(waits));
    let told = json!({"services": ["db", "new"], "frame": false, "text": "added new"});
    assert_eq!(status(&snapshot)["waiting"], told);
    for (services, frame, words) in [
        (1, false, "1 service"),
        (2, true, "2 services and groups or the agent's settings"),
        (0, true, "groups or the agent's settings"),
    ] {
        assert_eq!(domain::Waiting::touched(services, frame), words);
    }
}

#[test]
fn values_say_what_is_documented_of_them() {
    let status = status(&full_and_bare());
    let api = &status["services"][0];
    assert_eq!(api["cpu_percent"], json!(0.5));
    assert_eq!(api["memory_bytes"], json!(2048));
    assert_eq!(api["processes"], json!(2));
    assert_eq!(api["wanted_by"], "auto_start");
    assert_eq!(api["last_exit"]["text"], "exited with code 1");
    assert_eq!(api["last_exit"]["signal"], Value::Null);
    assert_eq!(api["depends_on"], json!(["db"]));
    assert!(api["uptime_seconds"].as_f64().unwrap() >= 7384.0);
    assert_eq!(status["agent"]["since"], "1970-01-01T00:00:01.5Z");
    let since: jiff::Timestamp = api["since"].as_str().unwrap().parse().unwrap();
    let age = jiff::Timestamp::now().duration_since(since).as_secs();
    assert!((89..=120).contains(&age), "{age}");
}

#[test]
fn a_signal_is_a_name_and_has_no_code() {
    let view = exited(wanted("a", ProcessState::Failed, Light::Red, "killed"), Exit::Signal(9));
    let status = status(&snapshot(vec![view]));
    assert_eq!(status["services"][0]["last_exit"]["signal"], "KILL");
    assert_eq!(status["services"][0]["last_exit"]["code"], Value::Null);
}

#[test]
fn values_of_the_environment_appear_nowhere() {
    let picture = full_and_bare();
    let view = picture.service("api").unwrap();
    let texts = [
        status(&picture).to_string(),
        serde_json::to_string(&Why::of(view, &picture, &clock(), None, (&[], None))).unwrap(),
        serde_json::to_string(&Graph::of(&picture)).unwrap(),
    ];
    for text in texts {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn why_follows_the_blockers_to_the_root_and_says_whom_each_holds_up() {
    let picture = snapshot(vec![
        waiting("web", "api", "waits for db"),
        waiting("api", "db", "was stopped by the user"),
        stopped("db"),
    ]);
    let why = Why::of(picture.service("web").unwrap(), &picture, &clock(), None, (&[], None));
    let blocker = |id: &str, reason: &str, blocks: &str| Blocker {
        id: id.to_owned(),
        reason: reason.to_owned(),
        blocks: blocks.to_owned(),
    };
    assert_eq!(
        why.blocked_by,
        [blocker("api", "waits for db", "web"), blocker("db", "was stopped by the user", "api")]
    );
    let value = serde_json::to_value(&why).unwrap();
    let documented = [
        "id",
        "wanted",
        "wanted_by",
        "process",
        "health",
        "reason",
        "blocked_by",
        "last_exit",
        "last_lines",
        "changed",
        "next_try",
    ];
    for key in documented {
        assert!(value.get(key).is_some(), "{key}");
    }
}

#[test]
fn what_changed_since_healthy_is_of_the_service_of_what_it_needs_and_of_its_checkout() {
    let event = |at: i64, kind: &str, service: &str, text: &str| Event {
        at: second(at),
        generation: 1,
        kind: kind.to_owned(),
        service: Some(service.to_owned()),
        run: None,
        text: text.to_owned(),
    };
    let events = [
        event(1, "changed", "api", "long ago"),
        event(2, "healthy", "api", "healthy"),
        event(3, "unhealthy", "db", "connection refused"),
        event(4, "exited", "db", "exited with code 3"),
        event(5, "started", "other", "started as pid 7"),
        event(6, "plan", "api", "restart: env.URL, argv"),
        event(8, "exited", "api", "exited with code 1"),
    ];
    let moved = Change { at: second(5), text: "checkout: moving from main to topic".to_owned() };
    let checkout =
        Checkout { folder: "/p".to_owned(), branch: Some("topic".to_owned()), head: None, moves: vec![moved] };
    let why = |id: &str| {
        let picture = snapshot(vec![needs(healthy("api", 1), "db"), healthy("db", 2)]);
        let view = picture.service(id).unwrap();
        Why::of(view, &picture, &Clock::start(Duration::from_secs(100)), None, (&events, Some(checkout.clone())))
    };
    let api = why("api");
    let told: Vec<_> = api.changed.unwrap().into_iter().map(|change| (change.at, change.text)).collect();
    let expected = [
        (3, "db, which it needs: connection refused"),
        (4, "db, which it needs: exited with code 3"),
        (5, "git: checkout: moving from main to topic"),
        (6, "its definition changed: env.URL, argv"),
    ];
    assert_eq!(told, expected.map(|(at, text)| (second(at), text.to_owned())));
    assert_eq!((api.last_healthy, why("db").changed), (Some(second(2)), None));
}

#[test]
fn a_run_that_crashed_at_once_was_never_well_though_nothing_asked_it() {
    let event = |at: i64, kind: &str, run: &str| Event {
        at: second(at),
        generation: 1,
        kind: kind.to_owned(),
        service: Some("api".to_owned()),
        run: Some(run.to_owned()),
        text: String::new(),
    };
    let last = |events: &[Event]| {
        let picture = snapshot(vec![stopped("api")]);
        last_healthy(picture.service("api").unwrap(), events).map(jiff::Timestamp::as_second)
    };
    let (good, bad) = ([event(100, "healthy", "1"), event(200, "exited", "1")], event(300, "healthy", "2"));
    let crash = [event(301, "exited", "2"), event(302, "healthy", "3"), event(303, "exited", "3")];
    assert_eq!(last(&[&good[..], std::slice::from_ref(&bad), &crash].concat()), Some(100));
    assert_eq!(last(&[std::slice::from_ref(&bad), &crash[..]].concat()), Some(300), "none was good");
    assert_eq!(last(&[bad, crash[0].clone()]), Some(300), "there is but one");
    assert_eq!(last(&crash[..1]), None);
}

fn second(at: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at).unwrap()
}

#[test]
fn the_graph_resolves_capabilities_and_leaves_out_what_nobody_is() {
    let api = define(needs(healthy("api", 1), "db"), |service| {
        service.talks_to = vec!["generation".to_owned(), "db".to_owned(), "nobody".to_owned(), "api".to_owned()];
    });
    let worker = define(healthy("worker", 2), |service| service.display.provides = vec!["generation".to_owned()]);
    let platform = define(stopped("platform"), |service| service.kind = domain::Kind::Settings);
    let graph = Graph::of(&snapshot(vec![api, worker, healthy("db", 3), platform]));
    let nodes: Vec<&str> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(nodes, ["api", "worker", "db"]);
    assert_eq!(
        serde_json::to_value(&graph.edges).unwrap(),
        json!([
            {"from": "api", "to": "db", "kind": "depends_on"},
            {"from": "api", "to": "worker", "kind": "dependencies"},
        ])
    );
}

#[test]
fn what_is_written_can_be_read_back() {
    fn round<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value);
    }
    let picture = full_and_bare();
    round(Status::of(&picture, &clock(), &facts(), &Samples::new()));
    round(Why::of(picture.service("api").unwrap(), &picture, &clock(), Some(vec!["x".to_owned()]), (&[], None)));
    round(Graph::of(&picture));
    round(Critical::of(&snapshot(started()), &[], &clock()));
    round(Ps::of(&[id("api")], &Samples::new(), &Secrets::default()));
    round(Check::of(&picture.problems, &[id("api")]));
    round(Failure::new(FailureKind::NotReached, "x").hint("y"));
    round(Done::default());
}

#[test]
fn requests_refuse_what_they_do_not_know() {
    assert!(serde_json::from_str::<Wish>(r#"{"ids": ["a"], "tiemout": 3}"#).is_err());
    let wish: Wish = serde_json::from_str(r#"{"ids": ["a"]}"#).unwrap();
    assert!(wish.wait && wish.timeout.is_none());
    let wait: Wait = serde_json::from_str(r#"{"ids": ["a"], "for": "completed"}"#).unwrap();
    assert_eq!(wait.goal, Goal::Completed);
    assert_eq!(span(Some(1.5)), Ok(Some(Duration::from_millis(1500))));
    assert!(span(Some(-1.0)).is_err() && span(Some(f64::NAN)).is_err());
    assert_eq!(span(Some(1e300)), Ok(Some(Duration::MAX)), "longer than a span can be");
}
