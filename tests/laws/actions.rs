//! Actions: run when they may be, answered when they have ended, and without any effect on their service.

use std::time::Duration;

use pilotlight::domain::{ActionState, Command, Event, Exit, NoticeKey, ProcessState, Refusal, ServiceId, Shutdown};

use super::world::World;

const API: &str = r#"{"type": "process", "command": "api", "auto_start": true, "actions": [
    {"name": "seed", "command": ["seed"]}, {"name": "wipe", "command": ["wipe"], "confirm": true}]}"#;

fn id() -> ServiceId {
    ServiceId::new("api").expect("the id is valid")
}

fn run(name: &str, is_unseen: bool) -> Command {
    Command::RunAction { id: id(), name: name.to_owned(), is_unseen }
}

fn world() -> World {
    let mut world = World::new(&[("services.d/api.json", API.to_owned())]);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.process("api"), ProcessState::Running);
    world
}

/// The action that was ordered last ends.
fn end(world: &mut World, exit: Option<Exit>, words: &str) {
    let run = world.actions.last().expect("an action was ordered").clone();
    world.tell(Event::ActionEnded { run, exit, words: words.to_owned() });
}

fn refused(world: &mut World, command: Command) -> String {
    match world.command(command) {
        Err(Refusal::Impossible(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_action_is_answered_when_it_has_ended_and_its_service_notices_nothing() {
    let mut world = world();
    let before = world.pid("api");
    let ticket = world.wish(run("seed", false));
    assert!(!world.answers.contains_key(&ticket));
    let state = |world: &World| {
        world.snapshot().service("api").and_then(|view| view.last_action.clone()).map(|last| last.state)
    };
    assert_eq!(state(&world), Some(ActionState::Running));
    end(&mut world, Some(Exit::Code(0)), "42 rows");
    assert!(world.answers.remove(&ticket).expect("it is answered").is_ok());
    assert_eq!(state(&world), Some(ActionState::Done));
    assert_eq!((world.pid("api"), world.process("api")), (before, ProcessState::Running));
    let kinds = world.history.iter().filter(|line| line.kind == "action").map(|line| line.text.as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), [r#"the action "seed" is started"#, r#"the action "seed" of api is done"#]);
}

#[test]
fn a_failure_is_the_answer_and_a_notification_only_where_nobody_sees_that() {
    for is_unseen in [false, true] {
        let mut world = world();
        let ticket = world.wish(run("seed", is_unseen));
        end(&mut world, Some(Exit::Code(3)), "no such table");
        let answer = world.answers.remove(&ticket).expect("it is answered");
        let told = r#"the action "seed" of api failed: exited with code 3: no such table"#;
        assert_eq!(answer, Err(Refusal::Impossible(told.to_owned())));
        let shown = world.notices.iter().filter(|notice| matches!(notice.key, NoticeKey::Action(..))).count();
        assert_eq!(shown, usize::from(is_unseen));
    }
    let mut world = world();
    world.command(Command::PauseNotifications(true)).expect("they can be paused");
    world.wish(run("seed", true));
    end(&mut world, None, "program not found: seed");
    assert!(world.notices.is_empty());
}

#[test]
fn what_cannot_be_run_is_refused_and_nothing_is_ordered() {
    let mut world = world();
    assert_eq!(refused(&mut world, run("sed", false)), r#"api has no action "sed"; it has: seed, wipe"#);
    let nobody =
        Command::RunAction { id: ServiceId::new("nobody").expect("valid"), name: "x".into(), is_unseen: false };
    assert!(matches!(world.command(nobody), Err(Refusal::NoSuchService { .. })));
    assert!(world.actions.is_empty());
    world.wish(run("seed", false));
    assert!(refused(&mut world, run("seed", false)).contains("running already"));
    world.wish(run("wipe", false));
    assert_eq!(world.actions.len(), 2, "others may run beside it");
    world.write("services.d/api.json", API.replace("\"auto_start\"", "\"enabled\": false, \"auto_start\""));
    world.pass(Duration::from_secs(5));
    assert!(refused(&mut world, run("seed", false)).contains("disabled"));
}

#[test]
fn no_more_than_eight_actions_run_at_once() {
    let actions = (0..9).map(|at| format!(r#"{{"name": "a{at}", "command": ["x"]}}"#)).collect::<Vec<_>>().join(",");
    let api = format!(r#"{{"type": "process", "command": "api", "auto_start": true, "actions": [{actions}]}}"#);
    let mut world = World::new(&[("services.d/api.json", api)]);
    world.pass(Duration::from_secs(5));
    for at in 0..8 {
        world.wish(run(&format!("a{at}"), false));
    }
    assert_eq!(refused(&mut world, run("a8", false)), "8 actions are running already");
    end(&mut world, Some(Exit::Code(0)), "");
    world.wish(run("a8", false));
    assert_eq!(world.actions.len(), 9);
}

#[test]
fn an_action_does_not_hold_up_the_end_of_the_agent_and_none_is_begun_then() {
    let mut world = world();
    world.wish(run("seed", false));
    world.command(Command::Shutdown(Shutdown::AsConfigured)).expect("it can end");
    assert_eq!(refused(&mut world, run("wipe", false)), "the agent is ending");
    assert!(world.pass_until(Duration::from_secs(30), |world| world.exited));
    assert_eq!(world.actions.len(), 1);
}
