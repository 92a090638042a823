//! Laws of services whose watched files change.

use std::time::Duration;

use pilotlight::domain::{Command, ProcessState, Selection, ServiceId};

use crate::world::{Behaviour, World};

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Services that are wanted and have begun; `web` watches the Python files of the project.
fn world() -> World {
    let services = r#"{"root": "/p", "services": [
        {"id": "db", "command": "db", "auto_start": true},
        {"id": "web", "command": "web", "auto_start": true, "watch": ["**/*.py"], "depends_on": ["db"]}]}"#;
    let mut world = World::new(&[("services.json", services.to_owned())]);
    world.pass(second(20));
    world
}

fn only_web() -> Selection {
    Selection::Ids(vec![id("web")])
}

#[test]
fn a_change_restarts_the_service_that_watches_the_file_once_and_no_other() {
    let mut world = world();
    let before = ["db", "web"].map(|id| world.pid(id));
    for n in 0..30 {
        world.touch_file(&format!("/p/src/{n}.py"));
        world.pass(Duration::from_millis(10));
    }
    world.touch_file("/p/src/readme.md");
    world.pass(second(10));
    let after = ["db", "web"].map(|id| world.pid(id));
    assert_eq!(after[0], before[0]);
    assert!(after[1].is_some() && after[1] != before[1]);
    assert_eq!(world.spawns[&id("web")], 2);
    let told: Vec<_> = world.history.iter().filter(|it| it.kind == "touched").map(|it| it.text.as_str()).collect();
    assert_eq!(told, ["restarts: src/0.py changed"]);
    assert_eq!(world.snapshot().service("web").expect("it is there").restarts, 0, "it is no failure");
}

#[test]
fn what_the_user_has_stopped_is_not_started_by_a_change() {
    let mut world = world();
    world.command(Command::Stop(only_web())).expect("it can be stopped");
    world.pass(second(5));
    world.touch_file("/p/a.py");
    world.pass(second(5));
    assert_eq!((world.process("web"), world.pid("web")), (ProcessState::Stopped, None));
    assert!(world.watched_files.is_empty(), "nobody needs to be told");
}

#[test]
fn what_has_failed_is_tried_again_when_its_files_change() {
    let mut world = world();
    let crash = Behaviour { life: Some((second(0), 1)), ..Behaviour::default() };
    world.behaviours.insert(id("web"), crash);
    world.touch_file("/p/a.py");
    assert!(world.pass_until(second(120), |world| world.process("web") == ProcessState::Failed));
    world.behaviours.insert(id("web"), Behaviour::default());
    world.pass(second(60));
    world.touch_file("/p/a.py");
    world.pass(second(5));
    assert_eq!(world.process("web"), ProcessState::Running);
}

#[test]
fn a_service_that_changes_its_own_files_does_not_restart_for_ever_and_the_file_is_named() {
    let mut world = world();
    for _ in 0..50 {
        world.touch_file("/p/generated.py");
        world.pass(second(2));
    }
    assert!(world.spawns[&id("web")] < 10, "{}", world.spawns[&id("web")]);
    let reason = world.snapshot().service("web").expect("it is there").reason.clone();
    assert!(reason.contains("generated.py changes each time it starts"), "{reason}");
    let spawned = world.spawns[&id("web")];
    world.command(Command::Restart(only_web())).expect("it can be restarted");
    world.pass(second(30));
    world.touch_file("/p/app.py");
    world.pass(second(5));
    assert_eq!(world.spawns[&id("web")], spawned + 2, "the user begins anew");
    assert_eq!(world.snapshot().service("web").expect("it is there").reason, "healthy");
}
