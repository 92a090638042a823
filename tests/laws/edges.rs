//! Laws at the edges of states: what comes while something else is still under way.

use std::time::Duration;

use pilotlight::domain::{
    Command, Effect, Event, Exit, FoundRun, Intent, Light, Moment, NoticeKey, Outcome, ProcessState, RunId, RunIds,
    Selection, ServiceId, Shutdown, Supervisor, WantedBy,
};

use crate::world::{Behaviour, World};

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn ids(text: &[&str]) -> Selection {
    Selection::Ids(text.iter().map(|text| id(text)).collect())
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn broken(text: &str) -> Behaviour {
    Behaviour { health: Outcome::Fail(text.to_owned()), ..Behaviour::default() }
}

/// Services of these definitions, all wanted, and settled.
fn world(services: &[(&str, &str)]) -> World {
    let files = services.iter().map(|(id, rest)| (file(id), definition(id, rest))).collect::<Vec<_>>();
    let files = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect::<Vec<_>>();
    World::new(&files)
}

fn definition(id: &str, rest: &str) -> String {
    format!(r#"{{"type": "process", "command": "{id}", "auto_start": true{rest}}}"#)
}

fn file(id: &str) -> String {
    format!("services.d/{id}.json")
}

const DB: (&str, &str) = ("db", r#", "default_port": 5000"#);
const API: (&str, &str) = ("api", r#", "default_port": 5001, "depends_on": ["db"]"#);

/// A supervisor that has found one run of a service that nothing defines.
fn with_stray(now: Moment) -> (Supervisor, RunId) {
    let run = RunId::new("old-1");
    let found = FoundRun {
        id: id("gone"),
        run: run.clone(),
        pid: Some(7),
        spawn_hash: Some("x".to_owned()),
        shared_hashes: None,
        since: Moment::at(second(1)),
    };
    let mut supervisor = Supervisor::new(RunIds::new("new"));
    supervisor.handle(
        now,
        Event::Found {
            runs: vec![found],
            ends: Vec::new(),
            spared: Vec::new(),
            intent: Intent::new(),
            is_intent_lost: false,
        },
    );
    supervisor.handle(now, Event::SourcesTouched { cause: "begin".to_owned() });
    supervisor.decide(now);
    (supervisor, run)
}

fn ends(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Exit))
}

#[test]
fn who_was_told_to_keep_the_services_keeps_them_even_if_told_twice() {
    let mut world = world(&[DB]);
    // The order to spawn has been given, and is not answered yet.
    assert!(world.pass_until(second(1), |world| world.spawns.contains_key(&id("db"))));
    world.command(Command::Shutdown(Shutdown::Keep)).expect("it can end");
    let _ = world.command(Command::Shutdown(Shutdown::Now));
    world.pass(second(5));
    assert!(world.exited);
    assert!(world.pid("db").is_some(), "it was killed");
}

#[test]
fn a_second_request_to_end_kills_strays_at_once_too() {
    let mut world = world(&[DB]);
    world.behaviours.insert(id("db"), Behaviour { obeys: None, ..Behaviour::default() });
    world.pass(second(5));
    world.disk.clear();
    world.kill_agent();
    world.pass(millis(100));
    let _ = world.command(Command::Shutdown(Shutdown::AsConfigured));
    let _ = world.command(Command::Shutdown(Shutdown::Now));
    world.pass(millis(500));
    assert!(world.exited, "it still waits for the stray");
    assert_eq!(world.pid("db"), None);
}

#[test]
fn a_second_request_to_end_is_obeyed_at_once_even_if_the_sources_were_never_read() {
    let now = Moment::at(second(100));
    let (mut supervisor, _) = with_stray(now);
    for (ticket, shutdown) in [(1, Shutdown::AsConfigured), (2, Shutdown::Now)] {
        supervisor.handle(now, Event::Commanded { ticket, command: Command::Shutdown(shutdown) });
    }
    assert!(ends(&supervisor.decide(now)), "it waits for a reading that may never come");
}

#[test]
fn a_stray_that_cannot_be_killed_does_not_keep_the_agent_from_ending() {
    let mut now = Moment::at(second(100));
    let (mut supervisor, run) = with_stray(now);
    let reading = crate::world::reading(Vec::new(), Default::default(), "begin".to_owned(), 1);
    supervisor.handle(now, Event::SourcesRead(reading));
    supervisor.decide(now);
    supervisor.handle(now, Event::Commanded { ticket: 1, command: Command::Shutdown(Shutdown::AsConfigured) });
    let mut ended = ends(&supervisor.decide(now));
    for _ in 0..10 {
        let Some(next) = supervisor.next_deadline() else { break };
        now = next;
        let effects = supervisor.decide(now);
        ended |= ends(&effects);
        if effects.iter().any(|effect| matches!(effect, Effect::Kill { .. })) {
            supervisor.handle(now, Event::KillFailed { run: run.clone(), pids: vec![7] });
            ended |= ends(&supervisor.decide(now));
        }
    }
    assert!(ended, "it waits for ever");
}

#[test]
fn a_run_that_ends_while_its_definition_cannot_be_read_is_not_taken_for_alive() {
    let mut world = world(&[DB]);
    world.behaviours.insert(id("db"), Behaviour { leaves: 1, obeys: None, ..Behaviour::default() });
    world.pass(second(5));
    world.disk.insert(file("db"), "{".to_owned());
    world.kill_agent();
    world.pass(second(5));
    world.crash(&id("db"), Exit::Code(1));
    world.pass(second(5));
    world.write(&file("db"), definition("db", DB.1));
    world.pass(second(60));
    let view = world.snapshot().service("db").expect("it is defined").clone();
    assert_eq!(view.pid, world.pid("db"), "it is {:?}: {}", view.process, view.reason);
    assert_eq!(view.process, ProcessState::Running);
}

#[test]
fn nothing_is_wanted_by_itself() {
    let text = r#"{"type": "process", "command": "db"}"#;
    let mut world = world(&[API]);
    world.write(&file("db"), text);
    assert!(world.pass_until(second(10), |world| world.snapshot().light == Light::Green));
    world.kill_agent();
    assert!(world.pass_until(second(10), |world| world.snapshot().light == Light::Green));
    assert_eq!(world.snapshot().service("db").expect("defined").wanted_by, WantedBy::Dependency(id("api")));
}

#[test]
fn a_wish_to_restart_outlives_an_end_by_itself() {
    let never = r#", "default_port": 5000, "restart": "never""#;
    let mut world = world(&[("db", never), ("api", r#", "depends_on": [{"id": "db", "restart": true}]"#)]);
    world.pass(second(5));
    world.behaviours.insert(id("api"), Behaviour { obeys: None, ..Behaviour::default() });
    world.command(Command::Restart(ids(&["db"]))).expect("it can be restarted");
    world.pass(second(1));
    world.crash(&id("db"), Exit::Code(1));
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Running, "{}", world.snapshot().service("db").expect("it is").reason);
}

#[test]
fn a_wish_to_start_outlives_the_end_of_the_tree_before() {
    let mut world = world(&[("db", r#", "restart": "never""#)]);
    world.behaviours.insert(id("db"), Behaviour { obeys: None, leaves: 1, ..Behaviour::default() });
    world.pass(second(5));
    world.crash(&id("db"), Exit::Code(1));
    world.pass(second(1));
    assert_eq!(world.process("db"), ProcessState::Stopping);
    world.command(Command::Start(ids(&["db"]))).expect("it can be started");
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn a_changed_definition_is_started_even_if_it_comes_while_the_tree_before_still_ends() {
    let mut world = world(&[("db", "")]);
    world.behaviours.insert(id("db"), Behaviour { obeys: None, leaves: 1, ..Behaviour::default() });
    world.pass(second(5));
    world.crash(&id("db"), Exit::Code(0));
    world.pass(second(1));
    assert_eq!(world.process("db"), ProcessState::Stopping);
    world.write(&file("db"), definition("better", "").replace("{\"type\"", "{\"id\": \"db\", \"type\""));
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn what_has_given_up_is_not_started_by_what_another_service_exports() {
    let mut world = world(&[("db", "")]);
    world.behaviours.insert(id("db"), Behaviour { life: Some((second(0), 3)), ..Behaviour::default() });
    assert!(world.pass_until(second(60), |world| world.process("db") == ProcessState::Failed));
    let before = world.spawns[&id("db")];
    world.write("services.d/new.json", definition("new", r#", "default_port": 7000, "port_env": "NEW_PORT""#));
    world.pass(second(60));
    assert_eq!(world.spawns[&id("db")], before);
    assert_eq!(world.process("db"), ProcessState::Failed);
}

#[test]
fn a_longer_grace_holds_for_the_start_that_is_under_way() {
    let with = |grace: &str| {
        definition("db", &format!(r#", "default_port": 5000, "health": {{"tcp": 5000, "grace": "{grace}"}}"#))
    };
    let mut world = world(&[]);
    world.behaviours.insert(id("db"), Behaviour { warm_up: second(200), ..Behaviour::default() });
    world.write(&file("db"), with("60s"));
    world.pass(second(30));
    world.write(&file("db"), with("300s"));
    world.pass(second(60));
    let view = world.snapshot().service("db").expect("it is defined").clone();
    assert_eq!((view.process, view.light), (ProcessState::Starting, Light::Yellow), "{}", view.reason);
}

#[test]
fn dependents_have_a_moment_to_recover_after_their_cause() {
    let mut world = world(&[DB, API]);
    world.pass(second(5));
    world.behaviours.insert(id("api"), broken("db is gone"));
    world.behaviours.insert(id("db"), broken("disk full"));
    world.pass(second(60));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    world.behaviours.remove(&id("db"));
    assert!(
        world.pass_until(second(10), |world| world.snapshot().service("db").is_some_and(|db| db.light == Light::Green))
    );
    world.pass(millis(200));
    world.behaviours.remove(&id("api"));
    world.pass(second(60));
    let keys = world.notices.iter().map(|notice| notice.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys, [NoticeKey::Service(id("db")), NoticeKey::Service(id("db"))], "{:?}", world.notices);
}

#[test]
fn what_a_restart_by_the_user_does_to_dependents_is_no_news() {
    let mut world = world(&[DB, API]);
    world.pass(second(5));
    world.behaviours.insert(id("db"), Behaviour { warm_up: second(20), ..Behaviour::default() });
    world.behaviours.insert(id("api"), broken("db is gone"));
    world.command(Command::Restart(ids(&["db"]))).expect("it can be restarted");
    assert!(
        world.pass_until(second(60), |world| world.snapshot().service("db").is_some_and(|db| db.light == Light::Green))
    );
    world.pass(millis(200));
    world.behaviours.remove(&id("api"));
    world.pass(second(60));
    assert_eq!(world.notices, []);
}

#[test]
fn a_need_that_is_merely_degraded_hides_no_trouble() {
    let mut world = world(&[DB, API]);
    let degraded = Behaviour { health: Outcome::Degraded("slow".to_owned()), ..Behaviour::default() };
    world.behaviours.insert(id("db"), degraded);
    world.pass(second(5));
    world.behaviours.insert(id("api"), broken("a bug of its own"));
    world.pass(second(600));
    assert_eq!(world.snapshot().light, Light::Red);
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
}

#[test]
fn trouble_that_outlasts_a_sleep_is_told_once_it_has_shown_itself_again() {
    let mut world = world(&[DB]);
    world.pass(second(5));
    world.behaviours.insert(id("db"), broken("disk full"));
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Red));
    world.tell(Event::Resumed);
    world.pass(second(120));
    assert_eq!(world.snapshot().light, Light::Red);
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
}

#[test]
fn who_recovers_from_a_common_trouble_and_fails_again_is_told_again() {
    let mut world = world(&[
        ("a", r#", "default_port": 5000"#),
        ("b", r#", "default_port": 5001"#),
        ("c", r#", "default_port": 5002"#),
    ]);
    world.pass(second(5));
    for name in ["a", "b", "c"] {
        world.behaviours.insert(id(name), broken("answered 500"));
    }
    world.pass(second(60));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    world.behaviours.remove(&id("a"));
    world.pass(second(3600));
    let before = world.notices.len();
    world.behaviours.insert(id("a"), broken("answered 500"));
    world.pass(second(60));
    assert!(world.notices.len() > before, "{:?}", world.notices);
}

#[test]
fn what_was_not_told_to_be_broken_is_not_told_to_be_good_again() {
    let mut world = world(&[DB]);
    world.pass(second(5));
    world.command(Command::PauseNotifications(true)).expect("it can be paused");
    world.write(&file("db"), "{");
    world.pass(second(10));
    world.command(Command::PauseNotifications(false)).expect("it can go on");
    world.write(&file("db"), definition("db", DB.1));
    world.pass(second(10));
    assert_eq!(world.notices, []);
}

#[test]
fn what_ran_to_its_end_with_success_has_completed_for_its_dependents() {
    let mut world = world(&[("job", ""), ("api", r#", "depends_on": [{"id": "job", "condition": "completed"}]"#)]);
    world.behaviours.insert(id("job"), Behaviour { life: Some((second(1), 0)), ..Behaviour::default() });
    world.pass(second(30));
    let view = world.snapshot().service("api").expect("it is defined").clone();
    assert_eq!(view.process, ProcessState::Running, "{}; {:?}", view.reason, world.snapshot().problems);
}

/// Sources of these services, read.
fn sources(services: &[(&str, &str)]) -> Event {
    let files = services.iter().map(|(id, rest)| {
        let (name, text) = (std::sync::Arc::<str>::from(file(id)), definition(id, rest));
        let node = pilotlight::sources::parse(&name, &text).expect("it is JSON");
        std::sync::Arc::new(pilotlight::domain::catalog::SourceFile {
            path: std::path::PathBuf::from("/p").join(&*name),
            name,
            role: pilotlight::domain::catalog::Role::DropIn,
            content: pilotlight::domain::catalog::Content::Parsed(std::sync::Arc::new(node), text.into()),
        })
    });
    Event::SourcesRead(crate::world::reading(files.collect(), Default::default(), "begin".to_owned(), 1))
}

/// Tells the supervisor a fact; whether it orders the end, and whom it asks to end.
fn tell(supervisor: &mut Supervisor, now: Moment, event: Event) -> (bool, Vec<RunId>) {
    supervisor.handle(now, event);
    let effects = supervisor.decide(now);
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Ask { run, .. } | Effect::Kill { run, .. } => Some(run.clone()),
        _ => None,
    });
    (ends(&effects), asked.collect())
}

#[test]
fn a_second_run_that_cannot_be_killed_keeps_neither_its_needs_nor_the_agent_from_ending() {
    let mut now = Moment::at(second(100));
    let found = |id_: &str, run: &str, pid| FoundRun {
        id: id(id_),
        run: RunId::new(run),
        pid: Some(pid),
        spawn_hash: None,
        shared_hashes: None,
        since: Moment::at(second(u64::from(pid))),
    };
    let mut supervisor = Supervisor::new(RunIds::new("new"));
    let runs = vec![found("db", "db-1", 1), found("api", "api-1", 2), found("api", "api-2", 3)];
    tell(
        &mut supervisor,
        now,
        Event::Found { runs, ends: Vec::new(), spared: Vec::new(), intent: Intent::new(), is_intent_lost: false },
    );
    tell(&mut supervisor, now, Event::SourcesTouched { cause: "begin".to_owned() });
    tell(&mut supervisor, now, sources(&[DB, API]));
    let end = Event::Commanded { ticket: 1, command: Command::Shutdown(Shutdown::AsConfigured) };
    let mut ended = tell(&mut supervisor, now, end).0;
    for run in ["api-1", "db-1"] {
        // The second run of api outlives every kill; the others end when asked.
        for _ in 0..3 {
            let failed = Event::KillFailed { run: RunId::new("api-2"), pids: vec![3] };
            ended |= tell(&mut supervisor, now, failed).0;
            if let Some(next) = supervisor.next_deadline() {
                now = next.max(now);
            }
        }
        let exited = Event::Exited { run: RunId::new(run), exit: Exit::Code(0), left: 0 };
        if run == "db-1" {
            assert!(
                ended || supervisor.snapshot().service("db").is_some_and(|db| db.process == ProcessState::Stopping)
            );
        }
        ended |= tell(&mut supervisor, now, exited).0;
    }
    assert!(ended, "{:?}", supervisor.snapshot().services);
}

#[test]
fn who_gives_up_is_told_even_if_it_was_told_to_be_unhealthy_before() {
    let mut world = world(&[DB]);
    world.pass(second(5));
    world.behaviours.insert(id("db"), broken("answered 500"));
    world.pass(second(30));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    world.behaviours.insert(id("db"), Behaviour { life: Some((second(0), 3)), ..broken("answered 500") });
    world.crash(&id("db"), Exit::Code(3));
    assert!(world.pass_until(second(120), |world| world.process("db") == ProcessState::Failed));
    world.pass(second(10));
    assert_eq!(world.notices.len(), 2, "{:?}", world.notices);
    assert_eq!(world.notices[1].title, "db has failed");
    assert_eq!(world.notices[1].key, world.notices[0].key);
}

#[test]
fn a_desktop_that_comes_late_shows_what_has_become_of_a_trouble_and_not_its_history() {
    let mut world = world(&[DB]);
    world.desktop.is_there(false);
    world.pass(second(5));
    world.behaviours.insert(id("db"), broken("answered 500"));
    world.pass(second(30));
    assert_eq!((world.notices.len(), world.desktop.standing.len()), (1, 0));
    world.behaviours.insert(id("db"), Behaviour::default());
    world.pass(second(30));
    world.desktop.is_there(true);
    assert_eq!(world.desktop.shown, [world.notices.last().expect("its recovery is told").title.clone()]);
    assert_ne!(world.desktop.shown[0], world.notices[0].title);
}

#[test]
fn what_was_told_to_be_broken_is_told_to_be_good_again_even_if_it_broke_otherwise_in_silence() {
    let mut world = world(&[DB]);
    world.pass(second(5));
    world.write(&file("db"), "{");
    world.pass(second(10));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    world.command(Command::PauseNotifications(true)).expect("it can be paused");
    world.write(&file("db"), "{\n{");
    world.pass(second(10));
    world.command(Command::PauseNotifications(false)).expect("it can go on");
    world.write(&file("db"), definition("db", DB.1));
    world.pass(second(10));
    assert_eq!(world.notices.len(), 2, "{:?}", world.notices);
}

#[test]
fn a_dependency_that_was_brought_along_names_somebody_who_is_wanted() {
    // Both need db; only web is wanted.
    let mut world = world(&[("web", r#", "depends_on": ["db"]"#)]);
    world.disk.insert(file("admin"), r#"{"type": "process", "command": "admin", "depends_on": ["db"]}"#.to_owned());
    world.write(&file("db"), r#"{"type": "process", "command": "db"}"#);
    assert!(world.pass_until(second(10), |world| world.snapshot().light == Light::Green));
    world.kill_agent();
    assert!(world.pass_until(second(10), |world| world.snapshot().light == Light::Green));
    assert_eq!(world.snapshot().service("db").expect("defined").wanted_by, WantedBy::Dependency(id("web")));
}

#[test]
fn what_its_definition_does_not_want_any_more_stops() {
    let mut world = world(&[("db", "")]);
    world.write(&file("db"), r#"{"type": "process", "command": "db"}"#);
    world.pass(second(10));
    assert_eq!(world.process("db"), ProcessState::Stopped, "its definition does not want it any more");
}

#[test]
fn a_port_that_a_stranger_leaves_while_its_service_waits_is_taken_at_once_it_may() {
    let mut world = world(&[DB, API]);
    world.strangers.insert(5001, false);
    world.pass(second(10));
    assert_eq!(world.process("api"), ProcessState::Foreign);
    world.command(Command::Stop(ids(&["db"]))).expect("it can be stopped");
    world.pass(second(10));
    world.strangers.clear();
    world.pass(second(10));
    world.command(Command::Start(ids(&["db"]))).expect("it can be started");
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green), "{:#?}", world.snapshot());
}

#[test]
fn an_unhealthy_service_that_turns_external_is_only_looked_at() {
    let mut world = world(&[DB]);
    world.pass(second(5));
    world.write(&file("db"), r#"{"type": "external", "default_port": 5000}"#);
    world.pass(second(20));
    assert_eq!(world.pid("db"), None, "what was ours is ended");
    world.strangers.insert(5000, true);
    world.pass(second(20));
    assert_eq!(world.process("db"), ProcessState::Running);
    world.strangers.clear();
    world.pass(second(20));
    assert_eq!(world.process("db"), ProcessState::Stopped);
}

#[test]
fn a_one_shot_that_is_stopped_and_needed_again_runs_again() {
    let mut world = world(&[
        ("job", r#", "one_shot": true"#),
        ("api", r#", "depends_on": [{"id": "job", "condition": "completed"}]"#),
    ]);
    world.behaviours.insert(id("job"), Behaviour { life: Some((second(1), 0)), ..Behaviour::default() });
    world.pass(second(10));
    assert_eq!((world.process("job"), world.process("api")), (ProcessState::Completed, ProcessState::Running));
    world.command(Command::Stop(ids(&["job"]))).expect("it can be stopped");
    world.pass(second(10));
    assert_eq!(world.process("api"), ProcessState::Running, "what has run to its end has done its part");
    world.command(Command::Restart(ids(&["api"]))).expect("it can be restarted");
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
    assert_eq!(world.spawns[&id("job")], 2);
}

#[test]
fn reset_of_a_stopped_service_follows_its_definition_at_once_and_is_no_news() {
    let mut world = world(&[DB, API]);
    world.pass(second(5));
    world.command(Command::Stop(ids(&["db"]))).expect("it can be stopped");
    world.pass(second(30));
    assert_eq!(world.snapshot().light, Light::Gray);
    world.command(Command::Reset(ids(&["db"]))).expect("it can be reset");
    assert!(world.pass_until(second(30), |world| world.snapshot().summary == "2 of 2 healthy"));
    assert_eq!(world.snapshot().service("db").expect("it is").wanted_by, WantedBy::AutoStart);
    assert!(world.intent.is_empty());
    assert_eq!(world.notices, []);
}

#[test]
fn a_failing_probe_of_a_stranger_is_red_and_says_who_it_is() {
    let mut world = world(&[DB]);
    world.strangers.insert(5000, false);
    world.write(
        &file("db"),
        definition("db", r#", "default_port": 5000, "health": {"http": "http://localhost:5000/health"}"#),
    );
    world.pass(second(30));
    let view = world.snapshot().service("db").expect("it is defined").clone();
    assert_eq!((view.process, view.light), (ProcessState::Foreign, Light::Red), "{}", view.reason);
}
