//! What is said of a wish that has been taken, and of runs that others began: neither too much nor too early.

use std::time::Duration;

use pilotlight::domain::aim::{Verdict, judge};
use pilotlight::domain::{Accepted, Command, Exit, HealthState, Light, ProcessState, Selection, ServiceId};

use crate::world::{Behaviour, World};

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn only(text: &str) -> Selection {
    Selection::Ids(vec![id(text)])
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn world(sources: &[(&str, &str)]) -> World {
    let sources: Vec<_> = sources.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let mut world = World::new(&sources);
    world.pass(second(1));
    world
}

fn start(world: &mut World, name: &str) -> Accepted {
    world.command(Command::Start(only(name))).expect("it can be started")
}

fn verdict(world: &World, accepted: &Accepted) -> Verdict {
    judge(&accepted.aims[0], world.snapshot())
}

fn reason(world: &World, name: &str) -> String {
    world.snapshot().service(name).expect("it is defined").reason.clone()
}

const GROUPS: &str = r#"{"services": {
    "a": {"type": "process", "command": "a", "group": "g1"},
    "inf": {"type": "docker-compose", "file": "c.yml"},
    "own": {"type": "docker-compose", "file": "c.yml", "group": "g2"}},
    "service_groups": {"g1": {"name": "First"}, "g2": {"name": "Second"}}}"#;

#[test]
fn a_wish_for_a_group_passes_over_members_only() {
    let mut world = world(&[("services.json", GROUPS)]);
    let mut remarks = |selection: Selection| {
        let commands: [fn(Selection) -> Command; 3] = [Command::Start, Command::Restart, Command::Stop];
        let wished =
            commands.map(|command| world.command(command(selection.clone())).expect("it can be wished").remarks);
        assert!(wished.iter().all(|remarks| *remarks == wished[0]), "{wished:?}");
        wished[0].join("; ")
    };
    let group = |name: &str| Selection::Group(name.to_owned());
    let passed_over = |name: &str| format!("{name} is passed over: its type docker-compose is not run by this version");
    assert_eq!((remarks(group("g1")), remarks(group("First"))), (String::new(), String::new()));
    assert_eq!((remarks(group("g2")), remarks(group("Second"))), (passed_over("own"), passed_over("own")));
    assert_eq!(remarks(Selection::All), format!("{}; {}", passed_over("inf"), passed_over("own")));
}

const BARE: &str = r#"{"type": "process", "command": "bare", "restart": "never"}"#;
const NEEDY: &str = r#"{"type": "process", "command": "needy", "depends_on": ["bare"]}"#;

#[test]
fn a_run_without_probes_must_last_before_a_start_is_said_to_have_come_about_and_nothing_else_waits_for_that() {
    let mut world = world(&[("services.d/bare.json", BARE), ("services.d/needy.json", NEEDY)]);
    let accepted = start(&mut world, "bare");
    start(&mut world, "needy");
    world.pass(milliseconds(100));
    let view = world.snapshot().service("bare").expect("it is defined").clone();
    assert_eq!((view.process, view.health, view.light), (ProcessState::Running, HealthState::Healthy, Light::Green));
    assert_eq!(world.process("needy"), ProcessState::Running, "who needs it has started");
    assert!(matches!(verdict(&world, &accepted), Verdict::Pending(_)));
    assert!(world.pass_until(milliseconds(200), |world| verdict(world, &accepted) == Verdict::Reached));
    assert_eq!(world.snapshot().service("bare").map(|view| view.since), Some(view.since), "nothing else has changed");
}

#[test]
fn what_dies_at_once_has_never_come_about() {
    let mut world = world(&[("services.d/bare.json", BARE)]);
    world.behaviours.insert(id("bare"), Behaviour { life: Some((milliseconds(8), 3)), ..Behaviour::default() });
    for command in [Command::Start, Command::Restart] {
        let command: fn(Selection) -> Command = command;
        let accepted = world.command(command(only("bare"))).expect("it can be wished");
        let settled = |world: &World| !matches!(verdict(world, &accepted), Verdict::Pending(_));
        assert!(world.pass_until(second(10), settled));
        assert_eq!(verdict(&world, &accepted), Verdict::Hopeless("failed: exited with code 3".to_owned()));
    }
}

#[test]
fn one_restart_is_told_as_one() {
    let once = r#"{"type": "process", "command": "bare", "restart": {"policy": "always", "max_restarts": 1}}"#;
    let mut world = world(&[("services.d/bare.json", once)]);
    start(&mut world, "bare");
    world.pass(second(1));
    for _ in 0..2 {
        world.crash(&id("bare"), Exit::Code(1));
        world.pass(second(5));
    }
    assert_eq!(reason(&world, "bare"), "exited with code 1; gave up after 1 restart");
}

fn api(port: u16) -> String {
    format!(r#"{{"type": "process", "command": "api", "default_port": {port}, "port_env": "API_PORT"}}"#)
}

#[test]
fn that_a_run_began_before_a_shared_variable_changed_is_known_to_later_agents() {
    let mut world = world(&[("services.d/api.json", &api(5000)), ("services.d/bare.json", BARE)]);
    start(&mut world, "bare");
    world.pass(second(1));
    world.kill_agent();
    world.pass(second(1));
    assert_eq!(reason(&world, "bare"), "healthy", "nothing has changed");
    world.write("services.d/api.json", api(6000));
    world.pass(second(5));
    let told = "healthy; started before API_PORT changed";
    assert_eq!(reason(&world, "bare"), told);
    for _ in 0..2 {
        world.kill_agent();
        world.pass(second(1));
        assert_eq!(reason(&world, "bare"), told);
    }
    world.write("services.d/api.json", api(5000));
    world.pass(second(5));
    assert_eq!(reason(&world, "bare"), "healthy", "it is again as it was");
    world.write("services.d/api.json", api(7000));
    world.pass(second(5));
    assert_eq!(reason(&world, "bare"), told);
    world.command(Command::Restart(only("bare"))).expect("it can be restarted");
    world.pass(second(5));
    assert_eq!(reason(&world, "bare"), "healthy");
}

#[test]
fn of_a_run_whose_record_tells_nothing_of_shared_variables_nothing_is_made_up() {
    let mut world = world(&[("services.d/api.json", &api(5000)), ("services.d/bare.json", BARE)]);
    start(&mut world, "bare");
    world.pass(second(1));
    world.write("services.d/api.json", api(6000));
    world.pass(second(5));
    world.children.values_mut().for_each(|child| child.shared = None);
    world.kill_agent();
    world.pass(second(1));
    assert_eq!(reason(&world, "bare"), "healthy");
}
