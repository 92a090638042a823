//! Laws of a service's life beyond start and stop: steps before it, troubles that end it, the command that stops it,
//! and what is left.

use std::time::Duration;

use pilotlight::domain::{
    Command, Exit, HealthState, Light, Outcome, Part, ProcessState, Selection, ServiceId, ServiceView, Shutdown,
};

use crate::world::{Aside, Behaviour, Spawning, World};

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn ids(text: &str) -> Selection {
    Selection::Ids(vec![id(text)])
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

const FILE: &str = "services.d/db.json";

fn definition(rest: &str) -> String {
    format!(r#"{{"type": "process", "command": "db", "auto_start": true{rest}}}"#)
}

const STEPS: &str = r#", "before_start": [["make", "all"], {"command": "seed", "timeout": "30s"}]"#;

/// A world with one service, and how that behaves.
fn world(rest: &str, behaviour: Behaviour) -> World {
    let mut world = World::new(&[]);
    world.behaviours.insert(id("db"), behaviour);
    world.write(FILE, definition(rest));
    world
}

fn view(world: &World) -> ServiceView {
    ServiceView::clone(world.snapshot().service("db").expect("it is defined"))
}

fn programs(world: &World, part: Part) -> Vec<&str> {
    world.asides.iter().filter(|aside| aside.1 == part).map(|aside| aside.2.as_str()).collect()
}

fn has_happened(world: &World, kind: &str, text: &str) -> bool {
    world.history.iter().any(|line| line.kind == kind && line.text.contains(text))
}

fn broken(text: &str) -> Outcome {
    Outcome::Fail(text.to_owned())
}

/// A step that does not end by itself.
fn endless() -> Aside {
    Aside { life: None, ..Aside::default() }
}

#[test]
fn steps_run_in_their_order_before_each_start() {
    let mut world = world(STEPS, Behaviour::default());
    assert!(world.pass_until(second(5), |world| world.snapshot().light == Light::Green));
    assert_eq!(programs(&world, Part::Step), ["make all", "seed"]);
    world.crash(&id("db"), Exit::Code(1));
    assert!(world.pass_until(second(5), |world| world.spawns[&id("db")] == 2));
    assert_eq!(programs(&world, Part::Step), ["make all", "seed", "make all", "seed"]);
    world.pass(second(1));
    world.command(Command::Restart(ids("db"))).expect("it can be restarted");
    world.pass(second(5));
    assert_eq!((programs(&world, Part::Step).len(), world.spawns[&id("db")]), (6, 3));
}

#[test]
fn while_a_step_runs_the_service_is_starting_and_says_why() {
    let mut world = world(STEPS, Behaviour { step: endless(), ..Behaviour::default() });
    world.pass(second(1));
    let view = view(&world);
    assert_eq!(
        (view.process, view.light, view.reason.as_str()),
        (ProcessState::Starting, Light::Yellow, "before start: make all")
    );
    assert_eq!(view.pid, None, "its main process is yet to come");
    assert!(view.run.is_some_and(|run| run.part() == Part::Step), "what it costs is told by its run");
    assert!(!world.spawns.contains_key(&id("db")));
}

#[test]
fn a_failing_step_is_the_end_of_the_start() {
    for (step, reason) in [
        (Aside { life: Some((second(1), 2)), ..Aside::default() }, "before start: make all exited with code 2"),
        (Aside { spawn: Spawning::FailsForGood, ..Aside::default() }, "before start: make all: program not found: x"),
    ] {
        let mut world = world(STEPS, Behaviour { step, ..Behaviour::default() });
        world.pass(second(600));
        let view = view(&world);
        assert_eq!((view.process, view.reason.as_str()), (ProcessState::Failed, reason));
        assert_eq!(view.first_cause.as_deref(), Some(reason));
        assert_eq!(view.last_exit, None, "it has not run");
        assert_eq!((programs(&world, Part::Step).len(), world.spawns.len()), (1, 0));
        world.behaviours.clear();
        world.command(Command::Start(ids("db"))).expect("it can be started");
        world.pass(second(5));
        assert_eq!(world.process("db"), ProcessState::Running, "{reason}");
    }
}

#[test]
fn a_step_that_could_not_be_started_for_now_is_tried_again() {
    let mut world = world(
        STEPS,
        Behaviour { step: Aside { spawn: Spawning::FailsForNow, ..Aside::default() }, ..Behaviour::default() },
    );
    assert!(world.pass_until(second(5), |world| world.process("db") == ProcessState::Backoff));
    world.behaviours.clear();
    world.pass(second(30));
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn a_step_that_takes_too_long_is_killed_with_its_tree_and_has_failed() {
    let step = Aside { obeys: None, leaves: 2, ..endless() };
    let mut world =
        world(r#", "before_start": {"command": "make", "timeout": "30s"}"#, Behaviour { step, ..Behaviour::default() });
    world.pass(second(29));
    assert_eq!(world.process("db"), ProcessState::Starting);
    world.pass(second(2));
    let view = view(&world);
    let reason = "before start: make did not end within 30 s: killed";
    assert_eq!((view.process, view.reason.as_str()), (ProcessState::Failed, reason));
    assert!(world.children.values().all(|child| !child.lives()));
}

#[test]
fn what_a_step_leaves_is_ended_before_the_next_one() {
    let step = Aside { leaves: 1, ..Aside::default() };
    let mut world = world(STEPS, Behaviour { step, ..Behaviour::default() });
    // The world itself checks that never two of its runs live at a time.
    assert!(world.pass_until(second(5), |world| world.pid("db").is_some()));
    let mut world = self::world(
        STEPS,
        Behaviour { step: Aside { leaves: 1, obeys: None, ..Aside::default() }, ..Behaviour::default() },
    );
    world.pass(second(5));
    assert_eq!(view(&world).process, ProcessState::Starting);
    assert_eq!(view(&world).reason, "what a step before the start has left is being ended");
    assert!(world.pass_until(second(30), |world| world.pid("db").is_some()));
}

#[test]
fn a_stop_ends_a_step_and_nothing_follows_it() {
    for step in [endless(), Aside { obeys: None, ..endless() }] {
        let mut world = world(STEPS, Behaviour { step, ..Behaviour::default() });
        world.pass(second(1));
        world.command(Command::Stop(ids("db"))).expect("it can be stopped");
        world.pass(second(12));
        assert_eq!((world.process("db"), world.spawns.len()), (ProcessState::Stopped, 0));
        assert!(world.children.values().all(|child| !child.lives()));
        assert_eq!(programs(&world, Part::Step), ["make all"]);
    }
}

#[test]
fn the_end_of_the_agent_ends_a_step() {
    for shutdown in [Shutdown::AsConfigured, Shutdown::Now] {
        let mut world = world(STEPS, Behaviour { step: endless(), ..Behaviour::default() });
        world.pass(second(1));
        world.command(Command::Shutdown(shutdown)).expect("it can end");
        assert!(world.pass_until(second(12), |world| world.exited));
        assert!(world.children.values().all(|child| !child.lives()));
    }
}

#[test]
fn a_definition_that_changes_during_a_step_is_started_from_the_first_step() {
    let mut world = world(STEPS, Behaviour { step: endless(), ..Behaviour::default() });
    world.pass(second(1));
    world.write(FILE, definition(r#", "before_start": ["make", "more"]"#));
    world.pass(second(1));
    assert_eq!(programs(&world, Part::Step), ["make all", "make more"]);
    world.write(FILE, definition(r#", "before_start": ["make", "more"], "args": ["x"]"#));
    world.pass(second(1));
    assert_eq!(programs(&world, Part::Step), ["make all", "make more", "make more"]);
    world.write(FILE, definition(r#", "before_start": ["make", "more"], "args": ["x"], "description": "other""#));
    world.pass(second(1));
    assert_eq!(programs(&world, Part::Step).len(), 3, "what it is called has nothing to do with it");
    world.behaviours.clear();
    world.write(FILE, definition(""));
    world.pass(second(5));
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn a_step_that_is_mended_while_the_failed_one_still_ends_is_run() {
    let step = Aside { life: Some((second(1), 1)), leaves: 1, obeys: None, ..Aside::default() };
    let mut world = world(STEPS, Behaviour { step, ..Behaviour::default() });
    world.pass(second(3));
    assert_eq!(world.process("db"), ProcessState::Stopping);
    world.behaviours.clear();
    world.write(FILE, definition(r#", "before_start": ["make", "more"]"#));
    world.pass(second(30));
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn a_step_that_outlives_its_agent_is_ended_before_the_steps_begin_again() {
    for obeys in [Some(second(1)), None] {
        let mut world = world(STEPS, Behaviour { step: Aside { obeys, ..endless() }, ..Behaviour::default() });
        world.pass(second(1));
        world.kill_agent();
        world.behaviours.clear();
        world
            .behaviours
            .insert(id("db"), Behaviour { step: Aside { obeys, ..Aside::default() }, ..Behaviour::default() });
        // The world itself checks that never two of its runs live at a time.
        assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
        assert_eq!(programs(&world, Part::Step), ["make all", "make all", "seed"]);
        assert_eq!(world.spawns[&id("db")], 1);
    }
}

#[test]
fn nothing_is_prepared_for_a_service_whose_port_is_taken() {
    let mut world = World::new(&[]);
    world.strangers.insert(5000, true);
    world.write(FILE, definition(&format!(r#", "default_port": 5000{STEPS}"#)));
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Foreign);
    assert!(world.children.is_empty());
    world.strangers.clear();
    world.pass(second(5));
    assert_eq!(world.process("db"), ProcessState::Running);
}

const ON_UNHEALTHY: &str = r#", "default_port": 5000, "restart": {"on_unhealthy": true, "max_restarts": 2}"#;

#[test]
fn what_turns_unhealthy_is_restarted_if_its_policy_says_so() {
    let mut world = world(ON_UNHEALTHY, Behaviour::default());
    world.pass(second(30));
    let before = world.pid("db");
    world.behaviours.insert(id("db"), Behaviour { health: broken("answered 503"), ..Behaviour::default() });
    assert!(world.pass_until(second(30), |world| world.pid("db") != before));
    world.behaviours.clear();
    world.pass(second(5));
    assert_eq!((view(&world).process, view(&world).restarts), (ProcessState::Running, 1));
    assert!(has_happened(&world, "backoff", "unhealthy: answered 503"));
}

#[test]
fn what_stays_unhealthy_is_given_up_with_its_reason() {
    let mut world = world(ON_UNHEALTHY, Behaviour { health: broken("answered 503"), ..Behaviour::default() });
    world.pass(second(59));
    assert_eq!(world.spawns[&id("db")], 1, "the grace is not over");
    world.pass(second(600));
    assert_eq!(world.spawns[&id("db")], 3);
    let view = view(&world);
    assert_eq!(view.process, ProcessState::Failed);
    assert!(view.reason.starts_with("unhealthy: answered 503; gave up after 2 restarts"), "{}", view.reason);
}

#[test]
fn what_was_healthy_for_long_is_restarted_at_once_however_often() {
    let mut world = world(ON_UNHEALTHY.replace('2', "0").as_str(), Behaviour::default());
    for restarts in 1..6 {
        world.pass(second(60));
        world.behaviours.insert(id("db"), Behaviour { health: broken("answered 503"), ..Behaviour::default() });
        assert!(world.pass_until(second(30), |world| world.process("db") == ProcessState::Stopping));
        world.behaviours.clear();
        world.pass(Duration::from_millis(500));
        assert_eq!(view(&world).restarts, restarts);
        assert_eq!(world.process("db"), ProcessState::Running, "it waits, the {restarts}th time");
    }
}

#[test]
fn what_is_unhealthy_lives_on_if_its_policy_does_not_say_so() {
    let mut world = world(r#", "default_port": 5000"#, Behaviour { health: broken("x"), ..Behaviour::default() });
    world.pass(second(600));
    assert_eq!((world.spawns[&id("db")], view(&world).health), (1, HealthState::Unhealthy));
    // A policy is taken over by what lives.
    world.behaviours.clear();
    world.pass(second(30));
    world.behaviours.insert(id("db"), Behaviour { health: broken("x"), ..Behaviour::default() });
    world.pass(second(30));
    world.write(FILE, definition(ON_UNHEALTHY));
    world.pass(second(5));
    assert_eq!(world.spawns[&id("db")], 2);
}

#[test]
fn what_the_user_stops_is_not_restarted_for_being_unhealthy() {
    let mut world = world(ON_UNHEALTHY, Behaviour::default());
    world.write(
        "services.d/web.json",
        r#"{"type": "process", "command": "web", "auto_start": true, "depends_on": ["db"]}"#,
    );
    world.pass(second(30));
    world.behaviours.insert(id("web"), Behaviour { obeys: None, ..Behaviour::default() });
    world
        .behaviours
        .insert(id("db"), Behaviour { health: broken("x"), obeys: Some(second(3)), ..Behaviour::default() });
    world.command(Command::Stop(ids("db"))).expect("it can be stopped");
    world.pass(second(60));
    assert_eq!((world.process("db"), world.spawns[&id("db")]), (ProcessState::Stopped, 1));
}

#[test]
fn a_restart_for_being_unhealthy_leaves_dependents_alone() {
    let mut world = world(ON_UNHEALTHY, Behaviour::default());
    world.write(
        "services.d/web.json",
        r#"{"type": "process", "command": "web", "auto_start": true, "depends_on": ["db"]}"#,
    );
    world.pass(second(30));
    let before = world.pid("web");
    world.behaviours.insert(id("db"), Behaviour { health: broken("x"), ..Behaviour::default() });
    assert!(world.pass_until(second(30), |world| world.spawns[&id("db")] == 2));
    assert_eq!(world.pid("web"), before);
}

const STOP_COMMAND: &str = r#", "stop": {"command": ["ctl", "stop"], "timeout": "10s"}"#;

/// A service that takes no notice of signals, but of its stop command after this time.
fn stop_command(aside: Aside) -> Behaviour {
    Behaviour { stop_command: aside, obeys: Some(second(1)), ..Behaviour::default() }
}

fn stop(world: &mut World) {
    world.pass(second(1));
    world.command(Command::Stop(ids("db"))).expect("it can be stopped");
}

/// Whether the service has been sent a signal.
fn is_signalled(world: &World) -> bool {
    has_happened(world, "stopping", "asked by SIGTERM instead")
}

#[test]
fn the_stop_command_takes_the_place_of_the_signal() {
    let mut world = world(STOP_COMMAND, stop_command(Aside::default()));
    stop(&mut world);
    assert!(world.pass_until(second(5), |world| world.process("db") == ProcessState::Stopped));
    assert_eq!(programs(&world, Part::StopCommand), ["ctl stop"]);
    assert_eq!(view(&world).last_exit.map(|last| last.exit), Some(Exit::Code(0)), "no signal has ended it");
    assert!(!is_signalled(&world));
}

#[test]
fn the_signal_takes_the_place_of_a_stop_command_that_fails() {
    for (aside, text) in [
        (Aside { life: Some((second(1), 3)), ..Aside::default() }, "the stop command exited with code 3"),
        (
            Aside { spawn: Spawning::FailsForGood, ..Aside::default() },
            "the stop command could not be started: program not found: x",
        ),
        (endless(), "the stop command did not end within 10 s: killed"),
    ] {
        let mut world = world(STOP_COMMAND, stop_command(aside));
        stop(&mut world);
        assert!(world.pass_until(second(13), |world| world.process("db") == ProcessState::Stopped), "{text}");
        assert_eq!(view(&world).last_exit.map(|last| last.exit), Some(Exit::Signal(15)), "{text}");
        assert!(has_happened(&world, "stopping", &format!("{text}; asked by SIGTERM instead")), "{text}");
    }
}

#[test]
fn what_ends_by_neither_command_nor_signal_is_killed() {
    for aside in [Aside::default(), endless(), Aside { life: Some((second(1), 1)), leaves: 1, ..Aside::default() }] {
        let mut world = world(STOP_COMMAND, Behaviour { obeys: None, ..stop_command(aside) });
        stop(&mut world);
        assert!(world.pass_until(second(21), |world| world.process("db") == ProcessState::Stopped));
        assert!(world.children.values().all(|child| !child.lives()));
    }
}

#[test]
fn nothing_is_started_while_a_stop_command_lives() {
    let mut world = world(STOP_COMMAND, stop_command(Aside { life: Some((second(8), 0)), ..Aside::default() }));
    world.pass(second(1));
    world.command(Command::Restart(ids("db"))).expect("it can be restarted");
    world.pass(second(1));
    world.crash(&id("db"), Exit::Code(0));
    world.pass(second(5));
    assert_eq!((world.pid("db"), view(&world).process), (None, ProcessState::Stopping));
    world.pass(second(5));
    assert_eq!(world.process("db"), ProcessState::Running);
}

#[test]
fn every_way_of_asking_uses_the_stop_command() {
    let mut ended = world(STOP_COMMAND, stop_command(Aside::default()));
    ended.pass(second(1));
    ended.command(Command::Shutdown(Shutdown::AsConfigured)).expect("it can end");
    assert!(ended.pass_until(second(5), |world| world.exited));
    assert_eq!(programs(&ended, Part::StopCommand), ["ctl stop"]);

    let mut removed = world(STOP_COMMAND, stop_command(Aside::default()));
    removed.pass(second(1));
    removed.remove(FILE);
    assert!(removed.pass_until(second(10), |world| world.snapshot().service("db").is_none()));
    assert_eq!(programs(&removed, Part::StopCommand), ["ctl stop"]);

    let mut adopted = world(STOP_COMMAND, stop_command(Aside::default()));
    adopted.pass(second(1));
    adopted.kill_agent();
    stop(&mut adopted);
    assert!(adopted.pass_until(second(5), |world| world.process("db") == ProcessState::Stopped));
    assert_eq!(programs(&adopted, Part::StopCommand), ["ctl stop"]);
}

#[test]
fn a_hasty_end_waits_for_no_stop_command() {
    let mut world = world(STOP_COMMAND, Behaviour { obeys: None, ..stop_command(endless()) });
    stop(&mut world);
    world.pass(second(1));
    let _ = world.command(Command::Shutdown(Shutdown::AsConfigured));
    let _ = world.command(Command::Shutdown(Shutdown::Now));
    assert!(world.pass_until(second(1), |world| world.exited));
    assert!(world.children.values().all(|child| !child.lives()));
}

#[test]
fn a_stop_command_that_outlives_its_agent_is_ended() {
    let mut world = world(STOP_COMMAND, Behaviour { obeys: None, ..stop_command(endless()) });
    stop(&mut world);
    world.pass(second(1));
    world.kill_agent();
    assert!(world.pass_until(second(60), |world| world.children.values().all(|child| !child.lives())));
    assert_eq!(world.process("db"), ProcessState::Stopped);
}

const GROUP: &str = r#", "stop": {"tree": "group"}"#;

/// A service of which two processes have moved to sessions of their own.
fn apart() -> Behaviour {
    Behaviour { apart: 2, ..Behaviour::default() }
}

#[test]
fn what_has_moved_away_is_left_and_named_if_the_definition_says_so() {
    let mut world = world(GROUP, apart());
    world.pass(second(1));
    let pid = world.pid("db").expect("it runs");
    stop(&mut world);
    assert!(world.pass_until(second(5), |world| world.process("db") == ProcessState::Stopped));
    let left = view(&world).spared.iter().map(|left| left.pid).collect::<Vec<_>>();
    assert_eq!(left, [pid + 10_000, pid + 10_001]);
    assert!(world.children.values().all(|child| child.apart == 2 && !child.main), "they live on");
    assert!(has_happened(&world, "spared", "left running: pid"));
}

#[test]
fn what_has_moved_away_ends_with_the_rest_if_the_definition_does_not_say_so() {
    let mut world = world("", apart());
    stop(&mut world);
    assert!(world.pass_until(second(5), |world| world.process("db") == ProcessState::Stopped));
    assert!(world.children.values().all(|child| child.apart == 0));
    assert_eq!(view(&world).spared, []);
}

#[test]
fn what_has_not_moved_away_ends_even_if_it_is_deaf() {
    let mut world = world(GROUP, Behaviour { leaves: 1, obeys: None, ..apart() });
    stop(&mut world);
    assert!(world.pass_until(second(12), |world| world.process("db") == ProcessState::Stopped));
    assert!(world.children.values().all(|child| !child.main && child.others == 0 && child.apart == 2));
}

#[test]
fn what_was_left_is_no_run_for_the_next_start_nor_for_the_next_agent() {
    let mut world = world(GROUP, apart());
    world.pass(second(1));
    world.crash(&id("db"), Exit::Code(1));
    assert!(world.pass_until(second(5), |world| world.spawns[&id("db")] == 2), "it is restarted beside what it left");
    stop(&mut world);
    world.pass(second(5));
    world.kill_agent();
    world.pass(second(30));
    assert_eq!(world.process("db"), ProcessState::Stopped);
    assert!(world.children.values().all(|child| child.apart == 2), "they live on");
}

#[test]
fn what_was_left_is_known_to_the_next_agent_as_long_as_it_lives() {
    let mut world = world(GROUP, apart());
    world.pass(second(1));
    let pid = world.pid("db").expect("it runs");
    stop(&mut world);
    world.pass(second(5));
    let before = view(&world).spared;
    assert_eq!(before.iter().map(|left| left.pid).collect::<Vec<_>>(), [pid + 10_000, pid + 10_001]);
    world.kill_agent();
    world.pass(second(5));
    assert_eq!(view(&world).spared, before);
    world.children.values_mut().for_each(|child| child.apart = 0);
    world.kill_agent();
    world.pass(second(5));
    assert_eq!(view(&world).spared, []);
}

#[test]
fn what_was_left_by_whom_no_source_defines_for_now_is_told_once_one_does() {
    let mut world = world(GROUP, apart());
    stop(&mut world);
    world.pass(second(5));
    let before = view(&world).spared;
    assert_eq!(before.len(), 2);
    world.remove(FILE);
    world.kill_agent();
    world.pass(second(5));
    world.write(FILE, definition(GROUP));
    world.pass(second(5));
    assert_eq!(view(&world).spared, before);
}

#[test]
fn an_agent_that_dies_during_a_stop_does_not_change_what_is_left() {
    let mut world = world(GROUP, Behaviour { leaves: 1, obeys: None, ..apart() });
    stop(&mut world);
    world.crash(&id("db"), Exit::Code(0));
    world.pass(second(1));
    world.kill_agent();
    assert!(world.pass_until(second(30), |world| world.children.values().all(|child| !child.lives())));
    assert!(world.children.values().all(|child| child.apart == 2 && child.others == 0));
}

const LIMIT: &str = r#", "limits": {"memory": "2GB"}"#;

#[test]
fn what_uses_too_much_memory_for_three_samples_is_restarted_with_that_reason() {
    let mut world = world(LIMIT, Behaviour::default());
    world.pass(second(3600));
    assert_eq!(world.spawns[&id("db")], 1, "it uses little");
    world.memory.insert(id("db"), 2_500_000_000);
    world.pass(second(9));
    assert_eq!(world.spawns[&id("db")], 1, "two samples are not three");
    assert!(world.pass_until(second(7), |world| world.spawns[&id("db")] == 2));
    assert!(has_happened(&world, "stopping", "uses 2.5 GB of memory, above its limit of 2 GB"));
    world.pass(second(600));
    let view = view(&world);
    assert_eq!(view.process, ProcessState::Failed, "the budget of its policy holds");
    assert!(view.reason.starts_with("uses 2.5 GB of memory, above its limit of 2 GB; gave up"), "{}", view.reason);
}

#[test]
fn memory_is_measured_only_where_it_is_limited() {
    let mut world = world("", Behaviour::default());
    world.memory.insert(id("db"), u64::MAX);
    world.pass(second(60));
    assert_eq!(world.supervisor.next_deadline(), None, "something wakes it");
    world.write(FILE, definition(LIMIT));
    assert!(world.pass_until(second(20), |world| world.spawns[&id("db")] == 2));
    world.write(FILE, definition(""));
    world.pass(second(600));
    assert_eq!(world.spawns[&id("db")], 2);
}

#[test]
fn the_exit_codes_of_success_are_what_the_definition_says() {
    let once = r#", "one_shot": true, "restart": {"success_exit_codes": [0, 3]}"#;
    for (code, process) in [(0, ProcessState::Completed), (3, ProcessState::Completed), (4, ProcessState::Failed)] {
        let mut world = world(once, Behaviour { life: Some((second(1), code)), ..Behaviour::default() });
        world.pass(second(5));
        assert_eq!(world.process("db"), process, "{code}");
    }
    let rests = r#", "restart": {"success_exit_codes": [143]}"#;
    let mut world = world(rests, Behaviour::default());
    world.pass(second(1));
    world.crash(&id("db"), Exit::Code(143));
    world.pass(second(5));
    assert_eq!((world.process("db"), world.spawns[&id("db")]), (ProcessState::Stopped, 1));
    world.command(Command::Start(ids("db"))).expect("it can be started");
    world.pass(second(1));
    world.crash(&id("db"), Exit::Code(0));
    world.pass(second(5));
    assert_eq!(world.spawns[&id("db")], 3, "0 is no success where it is not named");
}
