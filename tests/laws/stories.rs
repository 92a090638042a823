//! Single laws, told as short stories in which every step matters.

use std::time::Duration;

use pilotlight::domain::{
    Command, Exit, Goal, Light, NoticeKey, Outcome, ProcessState, Refusal, Selection, ServiceId, Shutdown, Urgency,
    WantedBy,
};

use crate::world::{Behaviour, Spawning, World};

const DB: &str = r#"{"type": "process", "command": "db", "default_port": 5000}"#;
const API: &str = r#"{"type": "process", "command": "api", "default_port": 5001, "depends_on": ["db"]}"#;
const WEB: &str = r#"{"type": "process", "command": "web", "default_port": 5002, "depends_on": ["api"]}"#;

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn ids(text: &[&str]) -> Selection {
    Selection::Ids(text.iter().map(|text| id(text)).collect())
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Three services in a chain, none of them wanted yet.
fn chain() -> World {
    let mut world = World::new(&[
        ("services.d/db.json", DB.to_owned()),
        ("services.d/api.json", API.to_owned()),
        ("services.d/web.json", WEB.to_owned()),
    ]);
    world.pass(second(1));
    assert_eq!(world.snapshot().light, Light::Gray);
    world
}

fn running_chain() -> World {
    let mut world = chain();
    world.command(Command::Start(ids(&["web"]))).expect("web can be started");
    assert!(world.pass_until(second(10), |world| world.snapshot().light == Light::Green));
    world
}

#[test]
fn a_start_brings_along_what_it_needs_in_order_and_the_light_goes_yellow_then_green() {
    let mut world = chain();
    let accepted = world.command(Command::Start(ids(&["web"]))).expect("web can be started");
    assert_eq!(accepted.aims.len(), 1);
    assert_eq!(accepted.aims[0].goal, Goal::Healthy);
    assert_eq!(world.snapshot().light, Light::Yellow);
    assert!(world.pass_until(second(10), |world| world.snapshot().light == Light::Green));
    assert_eq!(world.snapshot().summary, "3 of 3 healthy");
    let by = |name: &str| world.snapshot().service(name).expect("it is defined").wanted_by.clone();
    assert_eq!(by("web"), WantedBy::User);
    assert_eq!(by("api"), WantedBy::Dependency(id("web")));
    assert_eq!(by("db"), WantedBy::Dependency(id("api")));
    assert_eq!(world.intent.len(), 1, "what is brought along is not remembered");
}

#[test]
fn what_was_brought_along_stays_up_until_it_is_stopped() {
    let mut world = running_chain();
    world.command(Command::Stop(ids(&["web"]))).expect("web can be stopped");
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Running);
    world.kill_agent();
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Running);
    assert_eq!(world.process("web"), ProcessState::Stopped);
}

#[test]
fn stopping_a_dependency_halts_its_dependents_and_they_return_with_it() {
    let mut world = running_chain();
    let accepted = world.command(Command::Stop(ids(&["db"]))).expect("db can be stopped");
    assert_eq!(accepted.remarks, ["web stops first: it needs db", "api stops first: it needs db"]);
    assert!(world.pass_until(second(30), |world| world.children.values().all(|child| !child.main)));
    assert_eq!(world.process("web"), ProcessState::Waiting);
    assert_eq!(world.snapshot().light, Light::Gray, "it is what the user wished");
    world.kill_agent();
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Stopped);
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    assert!(world.pass_until(second(30), |world| world.snapshot().summary == "3 of 3 healthy"));
}

#[test]
fn an_explicit_start_starts_a_dependency_that_the_user_had_stopped_and_says_so() {
    let mut world = running_chain();
    world.command(Command::Stop(ids(&["db"]))).expect("db can be stopped");
    world.pass(second(30));
    let accepted = world.command(Command::Start(ids(&["api"]))).expect("api can be started");
    assert_eq!(accepted.remarks, ["db, which the user had stopped, starts as well: api needs it"]);
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
}

#[test]
fn a_dependency_that_crashes_does_not_halt_its_dependents() {
    let mut world = running_chain();
    let (api, web) = (world.pid("api"), world.pid("web"));
    world.crash(&id("db"), Exit::Signal(9));
    world.pass(second(1));
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
    assert_eq!((world.pid("api"), world.pid("web")), (api, web));
    assert_eq!(world.snapshot().service("db").expect("it is defined").restarts, 1);
}

#[test]
fn a_crash_loop_ends_in_failure_with_the_first_cause_and_one_notification() {
    let mut world = chain();
    world.behaviours.insert(id("db"), Behaviour { life: Some((second(0), 3)), ..Behaviour::default() });
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    assert!(world.pass_until(second(60), |world| world.process("db") == ProcessState::Failed));
    let view = world.snapshot().service("db").expect("it is defined").clone();
    assert_eq!(view.reason, "exited with code 3; gave up after 5 restarts");
    assert_eq!(world.spawns[&id("db")], 6);
    world.pass(second(600));
    assert_eq!(world.spawns[&id("db")], 6, "it has given up");
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    world.behaviours.clear();
    world.write("services.d/db.json", DB.replace("\"db\"", "\"better\""));
    assert!(world.pass_until(second(10), |world| world.process("db") == ProcessState::Running));
}

#[test]
fn what_crashes_again_and_again_without_probes_keeps_its_first_cause_until_it_has_lived() {
    let lone = r#"{"type": "process", "command": "lone", "auto_start": true, "restart": {"max_restarts": 0}}"#;
    let mut world = World::new(&[("services.d/lone.json", lone.to_owned())]);
    let crashing = |after: u64, code: i32| Behaviour { life: Some((second(after), code)), ..Behaviour::default() };
    let first_cause = |world: &World| world.snapshot().service("lone").expect("it is defined").first_cause.clone();
    world.behaviours.insert(id("lone"), crashing(1, 7));
    assert!(world.pass_until(second(10), |world| world.process("lone") == ProcessState::Backoff));
    world.behaviours.insert(id("lone"), crashing(1, 1));
    for _ in 0..6 {
        assert!(world.pass_until(second(100), |world| world.process("lone") == ProcessState::Running));
        assert!(world.pass_until(second(100), |world| world.process("lone") == ProcessState::Backoff));
        assert_eq!(first_cause(&world).as_deref(), Some("exited with code 7"));
    }
    world.behaviours.insert(id("lone"), crashing(60, 2));
    assert!(world.pass_until(second(200), |world| world.process("lone") == ProcessState::Running));
    assert_eq!(first_cause(&world), None, "while it runs nothing is wrong");
    // After so long a life the next try comes at once, and the one after that does not.
    world.behaviours.insert(id("lone"), crashing(1, 1));
    assert!(world.pass_until(second(100), |world| world.process("lone") == ProcessState::Backoff));
    assert_eq!(first_cause(&world).as_deref(), Some("exited with code 2"));
}

#[test]
fn the_restarts_of_a_crash_loop_come_at_once_then_at_doubling_distances() {
    let mut world = chain();
    world.behaviours.insert(id("db"), Behaviour { life: Some((second(0), 3)), ..Behaviour::default() });
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    let mut at = Vec::new();
    for count in 1..=6 {
        assert!(world.pass_until(second(60), |world| world.spawns.get(&id("db")) == Some(&count)));
        at.push(world.now);
    }
    let gaps = at.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect::<Vec<_>>();
    assert_eq!(gaps, [0, 1, 2, 4, 8]);
}

#[test]
fn a_failing_service_is_unhealthy_not_stopped_and_its_recovery_replaces_the_notification() {
    let mut world = running_chain();
    world
        .behaviours
        .insert(id("api"), Behaviour { health: Outcome::Fail("answered 503".to_owned()), ..Behaviour::default() });
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Red));
    assert_eq!(world.process("api"), ProcessState::Running);
    world.pass(second(60));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    assert_eq!(world.notices[0].urgency, Urgency::Critical);
    assert_eq!(world.notices[0].body, "answered 503");
    world.behaviours.clear();
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
    world.pass(second(5));
    assert_eq!(world.notices.len(), 2, "{:?}", world.notices);
    assert_eq!(world.notices[1].urgency, Urgency::Low);
    assert_eq!(world.notices[1].key, world.notices[0].key);
}

#[test]
fn one_root_cause_is_one_notification_that_names_its_dependents() {
    let mut world = running_chain();
    let broken = |text: &str| Behaviour { health: Outcome::Fail(text.to_owned()), ..Behaviour::default() };
    world.behaviours.insert(id("web"), broken("api is gone"));
    world.behaviours.insert(id("api"), broken("db is gone"));
    world.behaviours.insert(id("db"), broken("disk full"));
    world.pass(second(60));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    assert_eq!(world.notices[0].key, NoticeKey::Service(id("db")));
    assert_eq!(world.notices[0].body, "disk full\nAffected: api, web");
}

#[test]
fn many_troubles_at_once_are_one_notification() {
    let files = (0..100).map(|at| {
        let text =
            format!(r#"{{"command": "x", "type": "process", "default_port": {}, "auto_start": true}}"#, 6000 + at);
        (format!("services.d/s{at}.json"), text)
    });
    let files = files.collect::<Vec<_>>();
    let files = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect::<Vec<_>>();
    let mut world = World::new(&files);
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
    for at in 0..100 {
        let broken = Behaviour { health: Outcome::Fail("answered 500".to_owned()), ..Behaviour::default() };
        world.behaviours.insert(id(&format!("s{at}")), broken);
    }
    world.pass(second(60));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    assert_eq!(world.notices[0].title, "100 services do not work");
    world.behaviours.clear();
    world.pass(second(60));
    assert_eq!(world.notices.len(), 2, "{:?}", world.notices);
}

#[test]
fn flapping_is_said_once() {
    let mut world = chain();
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    world.pass(second(5));
    for _ in 0..12 {
        let broken = Behaviour { health: Outcome::Fail("answered 500".to_owned()), ..Behaviour::default() };
        world.behaviours.insert(id("db"), broken);
        world.pass(second(15));
        world.behaviours.clear();
        world.pass(second(15));
    }
    assert!(world.notices.len() <= 8, "{:?}", world.notices);
    let said = world.notices.iter().filter(|notice| notice.body.contains("keeps failing")).count();
    assert_eq!(said, 1);
}

#[test]
fn what_the_user_asks_for_is_no_news() {
    let mut world = running_chain();
    world.command(Command::Restart(ids(&["db"]))).expect("db can be restarted");
    world.pass(second(60));
    world.command(Command::Stop(Selection::All)).expect("all can be stopped");
    world.pass(second(60));
    assert_eq!(world.notices, []);
}

#[test]
fn a_slow_start_within_its_grace_is_no_news() {
    let mut world = chain();
    world.behaviours.insert(id("db"), Behaviour { warm_up: second(50), ..Behaviour::default() });
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    world.pass(second(40));
    assert_eq!(world.process("db"), ProcessState::Starting);
    assert_eq!(world.snapshot().light, Light::Yellow);
    world.pass(second(60));
    assert_eq!(world.snapshot().light, Light::Green);
    assert_eq!(world.notices, []);
}

#[test]
fn a_start_that_outlasts_its_grace_is_red_and_told() {
    let mut world = chain();
    world.behaviours.insert(id("db"), Behaviour { warm_up: second(80), ..Behaviour::default() });
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    world.pass(second(65));
    assert_eq!(world.process("db"), ProcessState::Running);
    assert_eq!(world.snapshot().light, Light::Red);
    assert_eq!(world.notices.len(), 1);
}

#[test]
fn a_missing_program_fails_at_once_and_is_not_tried_again() {
    let mut world = chain();
    world.behaviours.insert(id("db"), Behaviour { spawn: Spawning::FailsForGood, ..Behaviour::default() });
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    world.pass(second(120));
    assert_eq!(world.process("db"), ProcessState::Failed);
    assert_eq!(world.spawns[&id("db")], 1);
    assert_eq!(world.snapshot().service("db").expect("it is defined").reason, "program not found: x");
}

#[test]
fn a_stranger_on_the_port_is_named_and_once_it_is_gone_the_service_starts() {
    let mut world = chain();
    world.strangers.insert(5000, true);
    world.command(Command::Start(ids(&["api"]))).expect("api can be started");
    assert!(world.pass_until(second(30), |world| world.process("api") == ProcessState::Running));
    assert_eq!(world.process("db"), ProcessState::Foreign);
    let view = world.snapshot().service("db").expect("it is defined").clone();
    assert_eq!(view.light, Light::Yellow);
    assert_eq!(view.reason, "port 5000 is taken by pid 9 (stranger)");
    world.strangers.clear();
    assert!(world.pass_until(second(30), |world| world.process("db") == ProcessState::Running));
}

#[test]
fn who_ignores_the_request_to_end_is_killed_when_its_time_is_over() {
    let mut world = chain();
    world.behaviours.insert(id("db"), Behaviour { obeys: None, leaves: 3, ..Behaviour::default() });
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    world.pass(second(5));
    world.command(Command::Stop(ids(&["db"]))).expect("db can be stopped");
    world.pass(Duration::from_millis(9_900));
    assert_eq!(world.process("db"), ProcessState::Stopping);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.process("db"), ProcessState::Stopped);
    assert!(world.children.values().all(|child| !child.main && child.others == 0));
}

#[test]
fn a_rename_of_a_source_changes_nothing() {
    let mut world = running_chain();
    let before = (world.pid("db"), world.snapshot().generation);
    world.disk.remove("services.d/db.json");
    world.touch("gone");
    world.pass(second(1));
    world.write("services.d/00-db.json", DB.replace("{\"type\"", "{\"id\": \"db\", \"type\""));
    world.pass(second(60));
    assert_eq!((world.pid("db"), world.snapshot().generation), before);
    assert_eq!(world.snapshot().problems.len(), 0, "{:?}", world.snapshot().problems);
}

#[test]
fn a_broken_source_stays_in_use_as_it_was_is_reported_and_told_once() {
    let mut world = running_chain();
    let before = (world.pid("db"), world.snapshot().generation);
    world.write("services.d/db.json", "{\"type\": \"process\",\n  \"command\": }");
    world.pass(second(30));
    assert_eq!((world.pid("db"), world.snapshot().generation), before);
    assert_eq!(world.snapshot().light, Light::Yellow);
    let place = world.snapshot().problems[0].place.clone().expect("it has a place");
    assert_eq!((place.line, place.column), (2, 14));
    assert_eq!(world.notices.len(), 1);
    world.write("services.d/db.json", DB);
    world.pass(second(30));
    assert_eq!((world.pid("db"), world.snapshot().generation), before);
    assert_eq!(world.snapshot().light, Light::Green);
    assert_eq!(world.notices.len(), 2);
    assert_eq!(world.notices[1].key, NoticeKey::Sources);
}

#[test]
fn a_removed_source_stops_its_service_after_its_dependents() {
    let mut world = running_chain();
    world.remove("services.d/db.json");
    world.pass(Duration::from_millis(1_500));
    assert_eq!(world.process("db"), ProcessState::Running, "it may be about to come back");
    world.pass(second(30));
    assert!(world.children.values().all(|child| !child.main), "{:#?}", world.snapshot().services);
    assert!(world.snapshot().service("db").is_none());
}

#[test]
fn an_unknown_service_is_refused_with_the_name_that_was_meant() {
    let mut world = chain();
    let refusal = world.command(Command::Start(ids(&["wbe"]))).expect_err("there is none");
    assert_eq!(refusal, Refusal::NoSuchService { id: "wbe".to_owned(), similar: Some("web".to_owned()) });
}

#[test]
fn a_disabled_service_never_runs_and_says_where_it_is_disabled() {
    let mut world = chain();
    world.command(Command::Start(ids(&["db"]))).expect("db can be started");
    world.pass(second(5));
    world.write("services.d/db.json", DB.replace("{\"type\"", "{\n  \"enabled\": false, \"type\""));
    world.pass(second(20));
    assert_eq!(world.process("db"), ProcessState::Stopped);
    let refusal = world.command(Command::Start(ids(&["db"]))).expect_err("it is disabled");
    assert_eq!(refusal, Refusal::Impossible("db is disabled in services.d/db.json:2:14".to_owned()));
}

#[test]
fn what_has_completed_is_not_run_again_by_the_next_agent_as_long_as_something_lives() {
    let job = r#"{"type": "process", "command": "job", "one_shot": true, "auto_start": true}"#;
    let mut world = World::new(&[
        ("services.d/db.json", DB.replace("{\"type\"", "{\"auto_start\": true, \"type\"")),
        ("services.d/job.json", job.to_owned()),
    ]);
    world.behaviours.insert(id("job"), Behaviour { life: Some((second(1), 0)), ..Behaviour::default() });
    assert!(world.pass_until(second(10), |world| world.process("job") == ProcessState::Completed));
    world.kill_agent();
    world.pass(second(30));
    assert_eq!(world.process("job"), ProcessState::Completed);
    assert_eq!(world.spawns[&id("job")], 1);
    world.command(Command::Shutdown(Shutdown::AsConfigured)).expect("it can end");
    assert!(world.pass_until(second(30), |world| world.exited));
    world.kill_agent();
    world.pass(second(30));
    assert_eq!(world.spawns[&id("job")], 2, "where nothing lives everything begins anew");
}
