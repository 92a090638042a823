//! Strangers on ports: nothing befalls them but what the user wishes of the very one that was shown.

use std::time::Duration;

use pilotlight::domain::{
    Command, Exit, HealthState, Light, ProcessId, ProcessState, Refusal, RunId, Selection, ServiceId, Shutdown,
};

use super::world::{Behaviour, World, stranger_on};

const PORT: u16 = 5000;

fn second(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn db() -> ServiceId {
    ServiceId::new("db").expect("the id is valid")
}

fn only_db() -> Selection {
    Selection::Ids(vec![db()])
}

fn adopt() -> Command {
    Command::Adopt { id: db(), stranger: stranger_on(PORT) }
}

fn end() -> Command {
    Command::StopStranger { id: db(), stranger: stranger_on(PORT) }
}

/// A database whose port a stranger has, and an API that needs it.
fn taken(works: bool) -> World {
    let db = r#"{"type": "process", "command": "db", "default_port": 5000, "auto_start": true}"#;
    let api =
        r#"{"type": "process", "command": "api", "default_port": 5001, "depends_on": ["db"], "auto_start": true}"#;
    let mut world = World::new(&[]);
    world.strangers.insert(PORT, works);
    world.disk.insert("services.d/db.json".to_owned(), db.to_owned());
    world.disk.insert("services.d/api.json".to_owned(), api.to_owned());
    world.touch("all");
    world.pass(second(3));
    assert_eq!(world.process("db"), ProcessState::Foreign);
    world
}

fn impossible(answer: pilotlight::domain::Answer) -> String {
    match answer {
        Err(Refusal::Impossible(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// The run of the stranger that is now the service's.
fn run(world: &World) -> RunId {
    world.snapshot().service("db").and_then(|view| view.run.clone()).expect("db has a run")
}

#[test]
fn an_adopted_stranger_is_the_services_run_and_its_dependents_notice_nothing() {
    let mut world = taken(true);
    let api = world.pid("api").expect("a stranger that works is as good as the service");
    let accepted = world.command_in_time(adopt()).expect("it can be adopted");
    assert_eq!(accepted.aims.len(), 1);
    let view = world.snapshot().service("db").expect("it is defined").clone();
    assert_eq!((view.process, view.health, view.light), (ProcessState::Running, HealthState::Healthy, Light::Green));
    assert_eq!((view.pid, view.adopted, view.foreign.is_none()), (Some(9), true, true));
    world.pass(second(60));
    assert_eq!((world.pid("db"), world.pid("api")), (Some(9), Some(api)));
    assert_eq!(world.children.values().filter(|child| child.id == db()).count(), 1, "nothing was started");
}

#[test]
fn stop_ends_an_adopted_stranger_and_restart_gives_a_run_of_our_own() {
    let mut world = taken(true);
    world.command_in_time(adopt()).expect("it can be adopted");
    world.command(Command::Restart(only_db())).expect("it can be restarted");
    assert!(world.pass_until(second(10), |world| world.pid("db").is_some_and(|pid| pid != 9)));
    assert!(!world.snapshot().service("db").expect("it is defined").adopted);

    let mut world = taken(true);
    world.command_in_time(adopt()).expect("it can be adopted");
    let run = run(&world);
    world.command(Command::Stop(only_db())).expect("it can be stopped");
    world.pass(second(10));
    assert_eq!(world.process("db"), ProcessState::Stopped);
    assert!(!world.children[&run].lives());
}

#[test]
fn an_adopted_stranger_that_ends_by_itself_is_restarted_as_our_own() {
    let mut world = taken(true);
    world.command_in_time(adopt()).expect("it can be adopted");
    world.crash(&db(), Exit::Code(1));
    assert!(world.pass_until(second(10), |world| world.pid("db").is_some_and(|pid| pid != 9)));
}

#[test]
fn the_next_agent_goes_on_with_an_adopted_stranger_and_a_changed_definition_replaces_it() {
    let mut world = taken(true);
    world.command_in_time(adopt()).expect("it can be adopted");
    world.kill_agent();
    world.pass(second(30));
    assert_eq!((world.process("db"), world.pid("db")), (ProcessState::Running, Some(9)));
    let changed = r#"{"type": "process", "command": "db2", "default_port": 5000, "auto_start": true}"#;
    world.write("services.d/db.json", changed);
    world.pass(second(30));
    assert_eq!(world.process("db"), ProcessState::Running);
    assert_ne!(world.pid("db"), Some(9));
}

#[test]
fn a_stranger_that_is_to_end_is_asked_then_killed_and_the_service_starts_in_its_place() {
    for obeys in [Some(Duration::from_millis(20)), None] {
        let mut world = taken(true);
        world.behaviours.insert(db(), Behaviour { obeys, ..Behaviour::default() });
        let before = world.now;
        let accepted = world.command_in_time(end()).expect("it can be ended");
        assert_eq!(accepted.remarks, ["pid 9 has ended"]);
        let took = world.now.since(before);
        // Its own patience is 10 s.
        assert_eq!(took >= second(10), obeys.is_none(), "{took:?}");
        assert!(world.pass_until(second(10), |world| world.process("db") == ProcessState::Running));
        assert_ne!(world.pid("db"), Some(9));
        let view = world.snapshot().service("db").expect("it is defined").clone();
        assert_eq!((&view.last_exit, view.restarts), (&None, 0), "its end is no end of a run of ours");
    }
}

#[test]
fn while_a_stranger_ends_the_service_waits_for_that_and_says_so() {
    let mut world = taken(true);
    world.behaviours.insert(db(), Behaviour { obeys: None, ..Behaviour::default() });
    world.wish(end());
    world.pass(second(5));
    let view = world.snapshot().service("db").expect("it is defined");
    assert_eq!(view.process, ProcessState::Waiting);
    assert_eq!(view.reason, "waits: it has a stranger on its port that is still ending");
}

#[test]
fn an_agent_that_dies_while_a_stranger_ends_leaves_a_stranger_to_the_next_one() {
    let mut world = taken(true);
    world.behaviours.insert(db(), Behaviour { obeys: None, ..Behaviour::default() });
    world.wish(end());
    world.pass(second(5));
    world.kill_agent();
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Foreign);
}

#[test]
fn only_the_process_that_was_shown_is_ever_touched() {
    let mut world = taken(true);
    for stranger in [ProcessId { pid: 9, start: 1 }, ProcessId { pid: 10, ..stranger_on(PORT) }] {
        for command in [Command::Adopt { id: db(), stranger }, Command::StopStranger { id: db(), stranger }] {
            let reason = impossible(world.command(command));
            assert!(reason.starts_with("it is another process by now"), "{reason}");
        }
    }
    // It goes without having been seen to go.
    world.strangers.clear();
    let reason = impossible(world.command_in_time(end()));
    assert_eq!(reason, "pid 9 has ended, and nothing was done");
    assert!(world.pass_until(second(10), |world| world.process("db") == ProcessState::Running));
}

#[test]
fn where_there_is_no_stranger_nothing_is_done() {
    let mut world = taken(true);
    world.strangers.clear();
    world.pass(second(10));
    for command in [adopt(), end()] {
        assert_eq!(impossible(world.command(command)), "no stranger is on the port of db");
    }
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn one_wish_at_a_time_is_taken_for_a_stranger() {
    let mut world = taken(true);
    world.behaviours.insert(db(), Behaviour { obeys: None, ..Behaviour::default() });
    let first = world.wish(end());
    let reason = impossible(world.command(adopt()));
    assert!(reason.contains("already") || reason.contains("no stranger"), "{reason}");
    world.pass(second(30));
    assert!(world.answers.remove(&first).expect("it is answered").is_ok());
}

#[test]
fn a_service_of_ours_on_the_port_is_no_stranger() {
    let twin = r#"{"type": "process", "command": "twin", "default_port": 5000, "auto_start": true}"#;
    let mut world = World::new(&[("services.d/db.json", twin.to_owned()), ("services.d/twin.json", twin.to_owned())]);
    world.pass(second(5));
    let (_, view) = ["db", "twin"]
        .map(|id| (id, world.snapshot().service(id).expect("it is defined").clone()))
        .into_iter()
        .find(|(_, view)| view.process == ProcessState::Foreign)
        .expect("one of them has the port");
    let stranger = view.foreign.as_ref().and_then(|holder| holder.process).expect("it is known");
    let reason = impossible(world.command(Command::StopStranger { id: view.id.clone(), stranger }));
    assert!(reason.contains("it is no stranger"), "{reason}");
}

#[test]
fn the_end_of_the_agent_takes_an_adopted_stranger_along_and_no_other() {
    let mut world = taken(true);
    world.command(Command::Shutdown(Shutdown::AsConfigured)).expect("it can end");
    assert!(world.pass_until(second(60), |world| world.exited));
    assert!(world.strangers.contains_key(&PORT), "a stranger is left alone");

    let mut world = taken(true);
    world.command_in_time(adopt()).expect("it can be adopted");
    let run = run(&world);
    world.command(Command::Shutdown(Shutdown::AsConfigured)).expect("it can end");
    assert!(world.pass_until(second(60), |world| world.exited));
    assert!(!world.children[&run].lives());
}

#[test]
fn a_stop_takes_effect_whenever_it_comes_also_while_the_port_is_looked_at() {
    // The port is looked at every two seconds, for a millisecond.
    for after in 0..2_100 {
        let mut world = taken(true);
        world.pass(Duration::from_millis(after));
        world.command(Command::Stop(only_db())).expect("db can be stopped");
        world.pass(Duration::from_millis(10));
        assert_eq!(world.process("db"), ProcessState::Stopped, "after {after} ms");
    }
}
