//! The command line's text.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pilotlight::cli::{
    GraphFormat, Look, render_check, render_config, render_event, render_graph, render_plan, render_ps, render_status,
    render_why,
};
use pilotlight::domain::secrets::Secrets;
use pilotlight::domain::{
    Does, Exit, Group, HealthState, Kind, Light, Place, Problem, ProcessState, ServiceView, Snapshot, Waiting, WantedBy,
};
use pilotlight::engine::Clock;
use pilotlight::wire::{
    AgentFacts, Change, Check, Checkout, Config, Event, Graph, Plan, Planned, Process, Ps, Samples, Status, Why,
};

use crate::sample::{
    NOW, acted, basis, define, exited, foreign, healthy, id, needs, running, snapshot, stopped, waiting, wanted,
};

/// 2026-01-09 14:03:20 UTC, which is what all times are counted back from.
const TODAY: i64 = 1_767_967_400;

pub fn look(width: Option<usize>) -> Look {
    Look { width, now: Timestamp::from_second(TODAY).unwrap(), zone: TimeZone::UTC }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// The clock runs while a test does: its times are put back to what they were meant to be.
fn settle(at: &mut Timestamp, clock: &Clock) {
    let distance = at.duration_since(Timestamp::try_from(clock.wall(NOW)).unwrap()).as_millis();
    let seconds = (distance as f64 / 1000.0).round() as i64;
    *at = Timestamp::from_second(TODAY + seconds).unwrap();
}

fn status_of(picture: &Snapshot) -> Status {
    let clock = Clock::start(NOW.since_zero());
    let facts = AgentFacts {
        pid: 4242,
        config: PathBuf::from("/home/dev/shop/services.json"),
        state_dir: PathBuf::from("/home/dev/.local/state/pilotlight/shop"),
        since: SystemTime::UNIX_EPOCH,
        has_tray: Arc::new(true.into()),
        dashboard: None,
    };
    let sample = |view: &Arc<ServiceView>| Some((view.id.clone(), processes(view.pid?)));
    let samples: Samples = picture.services.iter().filter_map(sample).collect();
    let mut status = Status::of(picture, &clock, &facts, &samples);
    status.agent.since = Timestamp::from_second(TODAY - 7400).unwrap();
    for service in &mut status.services {
        settle(&mut service.since, &clock);
        service.last_exit.iter_mut().for_each(|last| settle(&mut last.at, &clock));
        service.uptime_seconds = service.uptime_seconds.map(f64::floor);
    }
    status
}

fn why_of(name: &str, picture: &Snapshot, lines: Option<&[&str]>, changed: Option<&[&str]>) -> Why {
    let clock = Clock::start(NOW.since_zero());
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let view = picture.service(name).unwrap();
    let mut why = Why::of(view, picture, &clock, lines.map(owned), (&[], None));
    let change = |text: &&str| Change { at: Timestamp::from_second(TODAY - 600).unwrap(), text: (*text).to_owned() };
    why.changed = changed.map(|texts| texts.iter().map(change).collect());
    settle(&mut why.since, &clock);
    why.last_exit.iter_mut().for_each(|last| settle(&mut last.at, &clock));
    why.last_action.iter_mut().for_each(|last| settle(&mut last.at, &clock));
    why.next_try.iter_mut().for_each(|at| settle(at, &clock));
    why
}

fn processes(pid: u32) -> Vec<Process> {
    let one = |pid, ppid, command: &str| Process {
        pid,
        ppid,
        cpu_percent: Some(f64::from(pid % 10) * 1.3),
        memory_bytes: Some(u64::from(pid) * 100_000),
        age_seconds: Some(7384.0),
        command: command.to_owned(),
    };
    vec![
        one(pid, Some(4242), "/usr/bin/python3 -m uvicorn main:app --host 0.0.0.0 --port 8000 --reload"),
        one(pid + 1, Some(pid), "python3 -c from multiprocessing.spawn import spawn_main"),
        one(pid + 2, Some(pid + 1), "python3 worker\u{1b}[31m.py"),
        one(pid + 3, Some(pid), "esbuild --service"),
    ]
}

fn grouped(view: ServiceView, group: &str) -> ServiceView {
    define(view, |service| service.display.group = Some(group.to_owned()))
}

fn ported(view: ServiceView, port: u16) -> ServiceView {
    define(view, |service| {
        service.port = Some(port);
        service.url = Some(format!("http://localhost:{port}"));
    })
}

/// A day on which nearly everything that can be seen is to be seen.
fn busy() -> Snapshot {
    let group = |key: &str, name: &str| Group { key: key.to_owned(), name: name.to_owned(), icon: None };
    let main_api = define(ported(needs(healthy("main-api", 1201), "db"), 8000), |service| {
        service.display.name = "Main API".to_owned();
        service.talks_to = vec!["generation-api".to_owned()];
    });
    let generation = ServiceView {
        restarts: 3,
        first_cause: Some("connection refused".to_owned()),
        ..exited(
            ported(
                needs(
                    running(
                        "generation-api",
                        1301,
                        HealthState::Unhealthy,
                        Light::Red,
                        "answered 503 for the third time in a row; the model is not loaded",
                    ),
                    "main-api",
                ),
                8001,
            ),
            Exit::Signal(9),
        )
    };
    let frontend = ported(
        ServiceView {
            process: ProcessState::Starting,
            ..running("frontend", 1401, HealthState::Starting, Light::Yellow, "its first probe has not passed")
        },
        5173,
    );
    let worker = ServiceView {
        restarts: 5,
        ..exited(
            wanted("worker", ProcessState::Failed, Light::Red, "exited with code 1; gave up after 5 restarts"),
            Exit::Code(1),
        )
    };
    let thumbnails = ServiceView {
        next_try: Some(NOW + Duration::from_secs(8)),
        restarts: 2,
        ..wanted("thumbnails", ProcessState::Backoff, Light::Yellow, "exited with code 101; tried again in 8 s")
    };
    let cache = ported(
        ServiceView {
            health: HealthState::Unhealthy,
            ..wanted("cache", ProcessState::Foreign, Light::Red, "port 6379 is taken by pid 77 (redis-server)")
        },
        6379,
    );
    let migrate = exited(wanted("migrate", ProcessState::Completed, Light::Green, "completed"), Exit::Code(0));
    let search = define(stopped("search"), |service| service.kind = Kind::External);
    let db = ported(ServiceView { adopted: true, wanted_by: WantedBy::User, ..healthy("db", 1101) }, 5432);
    let place = |line, column| Place { file: "services.d/worker.json".into(), line, column };
    let mut broken =
        Problem::error(&place(3, 14), "unknown type \"pyton\"").of(&id("mailer")).hint("did you mean \"python\"?");
    broken.excerpt = Some("    \"type\": \"pyton\", \"command\": [\"python3\"]".to_owned());
    let mut late = Problem::warning(&place(9, 3), "services.d is writable by your group");
    late.place = Some(Place::whole(&"services.d".into()));
    let note = Problem::note(&place(4, 5), "unknown key \"prot\"").hint("did you mean \"port\"?");
    Snapshot {
        problems: Arc::new([broken, late, note]),
        groups: Arc::new([group("infra", "Infrastructure"), group("backend", "Backend"), group("ui", "Frontend")]),
        ..snapshot(vec![
            grouped(main_api, "backend"),
            grouped(generation, "backend"),
            grouped(frontend, "ui"),
            grouped(worker, "backend"),
            grouped(thumbnails, "backend"),
            grouped(db, "infra"),
            grouped(cache, "infra"),
            migrate,
            search,
            grouped(waiting("report-with-a-long-id", "cache", "has its port taken"), "from a drop-in"),
        ])
    }
}

pub fn golden(name: &str, text: &str) {
    assert!(!plain(text).contains('\u{1b}'), "{name} steers the terminal");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, plain(text));
    });
}

#[test]
fn status_on_paper() {
    golden("status-unbounded", &render_status(&status_of(&busy()), &look(None)));
}

#[test]
fn status_fits_every_terminal_and_never_cuts_an_id() {
    let status = status_of(&busy());
    for width in [160, 120, 80, 50] {
        let text = render_status(&status, &look(Some(width)));
        golden(&format!("status-{width}"), &text);
    }
    for width in 45..200 {
        let text = plain(&render_status(&status, &look(Some(width))));
        let table = text.lines().take_while(|line| !line.starts_with("error:"));
        for line in table {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
        for service in &status.services {
            assert!(text.contains(&format!(" {} ", service.id)), "{width}: {}", service.id);
        }
    }
}

#[test]
fn status_of_nothing_says_what_to_do() {
    golden("status-empty", &render_status(&status_of(&Snapshot::empty()), &look(Some(80))));
    let place = Place { file: "services.json".into(), line: 0, column: 0 };
    let told = |problem: Problem| {
        let picture = Snapshot { problems: [problem].into(), ..Snapshot::empty() };
        render_status(&status_of(&picture), &look(Some(80)))
    };
    assert!(told(Problem::warning(&place, "it is odd")).contains("There are no services yet."));
    let refused = told(Problem::error(&place, "it is not to be trusted: everybody may write to it"));
    assert!(!refused.contains("There are no services yet.") && refused.contains("everybody may write"), "{refused}");
}

#[test]
fn status_without_groups_has_no_headings() {
    let picture = snapshot(vec![healthy("web", 7), stopped("db"), waiting("api", "db", "was stopped by the user")]);
    golden("status-plain", &render_status(&status_of(&picture), &look(Some(100))));
}

#[test]
fn status_says_that_changes_wait_and_how_they_are_applied() {
    let services = vec![id("new"), id("web")];
    let text = "added new; web is spawned differently (command)".to_owned();
    let waits = Waiting { services, frame: false, text };
    let picture = Snapshot { waiting: Some(Arc::new(waits)), ..snapshot(vec![healthy("web", 7)]) };
    golden("status-waiting", &render_status(&status_of(&picture), &look(Some(100))));
}

#[test]
fn status_is_coloured_by_light() {
    let text = render_status(&status_of(&snapshot(vec![healthy("web", 7)])), &look(None));
    assert!(text.contains("\u{1b}[32m● web"), "{text:?}");
}

#[test]
fn why_something_waits() {
    let picture = snapshot(vec![
        waiting("web", "api", "waits for db and cache"),
        needs(
            ServiceView {
                blocked_by: vec![
                    pilotlight::domain::Blocker { id: id("db"), reason: "was stopped by the user".to_owned() },
                    pilotlight::domain::Blocker { id: id("cache"), reason: "failed".to_owned() },
                ],
                ..wanted("api", ProcessState::Waiting, Light::Yellow, "waits for db and cache")
            },
            "db",
        ),
        stopped("db"),
    ]);
    golden("why-waiting", &render_why(&why_of("web", &picture, None, None), &look(None)));
}

#[test]
fn why_something_failed() {
    let lines =
        ["Traceback (most recent call last):", "\u{1b}[31mModuleNotFoundError\u{1b}[0m: No module named 'app'\u{7}"];
    let changed = ["its definition changed: command, env.URL", "git: checkout: moving from main to \u{1b}[31mtopic"];
    let mut why = why_of("worker", &busy(), Some(&lines), Some(&changed));
    let (folder, branch) = ("/srv/project".to_owned(), Some("topic\u{7}".to_owned()));
    let head = Some("8c14a70b8a72c8982b0d8c6c623ab98b149aaaaa".to_owned());
    why.checkout = Some(Checkout { folder, branch, head, moves: Vec::new() });
    golden("why-failed", &render_why(&why, &look(None)));
    let unchanged = why_of("thumbnails", &busy(), Some(&[]), Some(&[]));
    golden("why-backoff", &render_why(&unchanged, &look(None)));
}

#[test]
fn where_the_values_of_a_service_come_from() {
    let explained = basis("worker").explain(&id("worker")).unwrap();
    let config = Config::of(&id("worker"), &explained, &Secrets::default());
    golden("why-config", &render_config(&config, &look(None)));
    golden("why-config-narrow", &render_config(&config, &look(Some(50))));
}

#[test]
fn why_something_is_well_or_unhealthy_or_off() {
    golden("why-healthy", &render_why(&why_of("db", &busy(), Some(&["ready"]), Some(&[])), &look(None)));
    golden("why-unhealthy", &render_why(&why_of("generation-api", &busy(), None, None), &look(None)));
    golden("why-off", &render_why(&why_of("search", &busy(), None, None), &look(None)));
}

#[test]
fn why_a_stranger_has_the_port() {
    golden("why-foreign", &render_why(&why_of("shop", &snapshot(vec![foreign("shop")]), None, None), &look(None)));
}

#[test]
fn why_an_action_failed() {
    let picture = snapshot(vec![acted(healthy("api", 7), "seed")]);
    golden("why-action", &render_why(&why_of("api", &picture, None, None), &look(None)));
}

#[test]
fn graphs_in_all_forms() {
    let graph = Graph::of(&busy());
    for (name, format) in [
        ("graph-text", GraphFormat::Text),
        ("graph-dot", GraphFormat::Dot),
        ("graph-mermaid", GraphFormat::Mermaid),
        ("graph-json", GraphFormat::Json),
    ] {
        golden(name, &render_graph(&graph, format));
    }
}

#[test]
fn a_graph_with_a_circle_and_hostile_names_is_drawn_once_and_escaped() {
    let mut graph = Graph::of(&snapshot(vec![needs(healthy("a", 1), "b"), needs(healthy("b", 2), "a")]));
    graph.nodes[0].id = "a\"] --> x\u{1b}[2J".to_owned();
    graph.edges.iter_mut().for_each(|edge| {
        for id in [&mut edge.from, &mut edge.to] {
            if id == "a" {
                id.clone_from(&graph.nodes[0].id);
            }
        }
    });
    golden("graph-hostile-text", &render_graph(&graph, GraphFormat::Text));
    golden("graph-hostile-dot", &render_graph(&graph, GraphFormat::Dot));
    golden("graph-hostile-mermaid", &render_graph(&graph, GraphFormat::Mermaid));
}

#[test]
fn trees_of_processes() {
    let picture = busy();
    let samples = Samples::from([(id("main-api"), processes(1201))]);
    let ps = Ps::of([&id("main-api"), &id("worker")], &samples, &Secrets::default());
    assert_eq!(ps.services.len(), 2);
    assert!(picture.service("worker").is_some());
    golden("ps", &render_ps(&ps, &look(None)));
    golden("ps-narrow", &render_ps(&ps, &look(Some(60))));
}

#[test]
fn events_are_one_line_each() {
    let event = |seconds: i64, kind: &str, service: Option<&str>, text: &str| Event {
        at: Timestamp::from_second(TODAY - seconds).unwrap(),
        generation: 7,
        kind: kind.to_owned(),
        service: service.map(str::to_owned),
        run: None,
        text: text.to_owned(),
    };
    let events = [
        event(90_000, "generation", None, "services.json was read for the first time"),
        event(60, "starting", Some("main-api"), "starts because it has auto_start"),
        event(2, "exited", Some("main-api"), "exited with\ncode 1\u{1b}]0;title\u{7}"),
    ];
    let text: String = events.iter().map(|event| render_event(event, &look(None)) + "\n").collect();
    golden("events", &text);
}

#[test]
fn plans_tell_the_gravest_first_and_nothing_of_what_stays() {
    let planned = |id: &str, does: Does, text: &str| Planned {
        id: id.to_owned(),
        does,
        fields: Vec::new(),
        text: text.to_owned(),
    };
    let mut services = vec![
        planned("main-api", Does::Restart, "restarts: command, env.DATABASE_URL; takes effect with it: description"),
        planned("db", Does::None, "stays as it is"),
        planned("search", Does::Live, "stays down; takes effect at the next start: command"),
        planned("worker", Does::Add, "starts after main-api (auto_start)"),
        planned("frontend", Does::Restart, "restarts with main-api"),
        planned("old", Does::Remove, "is stopped\u{1b}[2J and removed"),
    ];
    golden("plan", &render_plan(&Plan { services: services.clone(), frame: true, problems: Vec::new() }));
    services.retain(|planned| planned.does == Does::None);
    golden("plan-nothing", &render_plan(&Plan { services, frame: false, problems: Vec::new() }));
}

#[test]
fn checks() {
    let picture = busy();
    golden("check-errors", &render_check(&Check::of(&picture.problems, &[id("db"), id("web")])));
    golden("check-notes", &render_check(&Check::of(&picture.problems[2..], &[id("db")])));
    golden("check-clean", &render_check(&Check::of(&[], &[])));
}

#[test]
fn a_healthy_service_that_began_before_a_change_says_so_in_the_table() {
    let stale = "healthy; started before GENERATION_API_PORT changed";
    let view = running("main-api", 1201, HealthState::Healthy, Light::Green, stale);
    let table = plain(&render_status(&status_of(&snapshot(vec![view, healthy("db", 1300)])), &look(None)));
    assert!(table.contains("started before GENERATION_API_PORT changed"), "{table}");
    assert_eq!(table.matches("healthy;").count(), 1, "{table}");
}
