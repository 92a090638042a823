//! Laws of time that passes while nobody can decide: the machine sleeps, the agent is stopped, the clock is set.

use std::time::Duration;

use pilotlight::domain::{
    Command, Event, Exit, HealthState, Intent, Light, Outcome, ProcessState, Selection, ServiceId, Supervisor,
};

use crate::world::{Behaviour, World};

const FILE: &str = "services.d/db.json";
const HOUR: Duration = Duration::from_secs(3600);

fn id() -> ServiceId {
    ServiceId::new("db").expect("a valid id")
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn definition(rest: &str) -> String {
    format!(r#"{{"type": "process", "command": "db", "auto_start": true{rest}}}"#)
}

/// A world with the one service, which behaves so.
fn world(rest: &str, behaviour: Behaviour) -> World {
    let mut world = World::new(&[]);
    world.behaviours.insert(id(), behaviour);
    world.write(FILE, definition(rest));
    world
}

fn health(world: &World) -> HealthState {
    world.snapshot().service("db").expect("it is defined").health
}

fn last_exit(world: &World) -> Option<Exit> {
    world.snapshot().service("db")?.last_exit.as_ref().map(|last| last.exit.clone())
}

fn has_happened(world: &World, kind: &str) -> usize {
    world.history.iter().filter(|occurrence| occurrence.kind == kind).count()
}

/// Lets somebody be away for so long.
type Away = fn(&mut World, Duration);

/// The ways to be away.
const AWAY: [(&str, Away); 3] = [
    ("the agent is stopped", |world, span| world.stop_agent(span)),
    ("the machine sleeps", |world, span| world.sleep(span, true)),
    ("the machine sleeps, and nobody tells", |world, span| world.sleep(span, false)),
];

#[test]
fn a_start_has_all_of_its_grace_again() {
    for (how, away) in AWAY {
        let starts = Behaviour { warm_up: second(20) + HOUR, ..Behaviour::default() };
        let mut world = world(r#", "default_port": 5000, "health": {"tcp": 5000, "grace": "30s"}"#, starts);
        world.pass(second(10));
        away(&mut world, HOUR);
        assert_eq!(health(&world), HealthState::Starting, "{how}");
        world.pass(second(60));
        assert_eq!((health(&world), world.notices.len()), (HealthState::Healthy, 0), "{how}");
        assert_eq!(has_happened(&world, "unhealthy"), 0, "{how}");
    }
}

#[test]
fn who_was_asked_to_end_has_all_of_its_patience_again() {
    for (how, away) in &AWAY[1..] {
        let slow = Behaviour { obeys: Some(second(9)), ..Behaviour::default() };
        let mut world = world(r#", "stop": {"timeout": "10s"}"#, slow);
        world.pass(second(5));
        world.command(Command::Stop(Selection::Ids(vec![id()]))).expect("it can be stopped");
        world.pass(second(1));
        away(&mut world, HOUR);
        world.pass(second(15));
        assert_eq!(last_exit(&world), Some(Exit::Signal(15)), "{how}: it was killed in the middle of its end");
    }
}

#[test]
fn who_ends_while_the_agent_is_stopped_was_not_killed() {
    let slow = Behaviour { obeys: Some(second(9)), ..Behaviour::default() };
    let mut world = world(r#", "stop": {"timeout": "10s"}"#, slow);
    world.pass(second(5));
    world.command(Command::Stop(Selection::Ids(vec![id()]))).expect("it can be stopped");
    world.stop_agent(second(300));
    world.pass(second(1));
    assert_eq!((world.process("db"), has_happened(&world, "killing")), (ProcessState::Stopped, 0));
}

#[test]
fn a_step_before_a_start_has_all_of_its_time_again() {
    for (how, away) in &AWAY[1..] {
        let slow = crate::world::Aside { life: Some((second(8), 0)), ..crate::world::Aside::default() };
        let behaviour = Behaviour { step: slow, ..Behaviour::default() };
        let mut world = world(r#", "before_start": {"command": ["prepare"], "timeout": "10s"}"#, behaviour);
        world.pass(second(5));
        away(&mut world, HOUR);
        world.pass(second(10));
        assert_eq!((world.process("db"), world.asides.len()), (ProcessState::Running, 1), "{how}");
    }
}

#[test]
fn restarts_before_a_sleep_do_not_count_after_it() {
    let mut world = world(r#", "restart": {"max_restarts": 2, "window": "100h"}"#, Behaviour::default());
    for _ in 0..2 {
        world.pass(second(60));
        world.crash(&id(), Exit::Code(1));
    }
    world.pass(second(60));
    world.sleep(HOUR, true);
    for _ in 0..2 {
        world.pass(second(60));
        world.crash(&id(), Exit::Code(1));
    }
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Running);
    world.crash(&id(), Exit::Code(1));
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Failed, "the budget is anew, not without end");
}

#[test]
fn a_probe_that_did_not_survive_a_sleep_says_nothing() {
    let rest = r#", "health": {"tcp": 5000, "unhealthy_after": 1, "timeout": "3s"}, "restart": {"on_unhealthy": true}"#;
    let mut world = world(rest, Behaviour::default());
    world.pass(second(10));
    world.behaviours.insert(id(), Behaviour { slowness: second(1), ..Behaviour::default() });
    // A probe is under way most of the time.
    for _ in 0..20 {
        world.pass(Duration::from_millis(1700));
        world.sleep(HOUR, true);
    }
    world.pass(second(60));
    assert_eq!((world.spawns[&id()], has_happened(&world, "unhealthy")), (1, 0));
}

#[test]
fn a_source_that_was_missing_for_a_moment_is_looked_for_before_it_is_gone() {
    for (how, away) in AWAY {
        let mut world = world("", Behaviour::default());
        world.pass(second(5));
        world.remove(FILE);
        world.pass(second(1));
        world.disk.insert(FILE.to_owned(), definition(""));
        away(&mut world, HOUR);
        world.pass(second(10));
        assert_eq!((world.spawns[&id()], world.process("db")), (1, ProcessState::Running), "{how}");
        world.remove(FILE);
        away(&mut world, HOUR);
        world.pass(second(10));
        assert!(world.snapshot().service("db").is_none(), "{how}: what is really gone is gone");
    }
}

#[test]
fn many_that_cannot_answer_right_after_a_sleep_raise_no_alarm() {
    let services = (0..50).map(|at| {
        let name = format!("services.d/s{at}.json");
        (name, format!(r#"{{"type": "process", "command": "x", "auto_start": true, "health": {{"tcp": {}, "unhealthy_after": 1}}, "restart": {{"on_unhealthy": true}}}}"#, 6000 + at))
    });
    let services = services.collect::<Vec<_>>();
    let mut world = World::new(&services.iter().map(|(name, text)| (name.as_str(), text.clone())).collect::<Vec<_>>());
    for at in 0..50 {
        let slow = Behaviour { slowness: Duration::from_millis(500), ..Behaviour::default() };
        world.behaviours.insert(ServiceId::new(&format!("s{at}")).expect("a valid id"), slow);
    }
    assert!(world.pass_until(second(60), |world| world.snapshot().light == Light::Green));
    for night in 0..10_u64 {
        world.pass(Duration::from_millis(2000 + 137 * night));
        world.sleep(HOUR * 8, true);
        assert_eq!(world.snapshot().light, Light::Green);
    }
    world.pass(second(60));
    assert_eq!(world.notices, []);
    assert!(world.spawns.values().all(|spawns| *spawns == 1));
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let mut world = world(r#", "default_port": 5000"#, Behaviour::default());
    world.pass(second(60));
    let before = world.snapshot().services.clone();
    for _ in 0..10 {
        world.tell(Event::ClockSet);
        world.pass(second(7));
    }
    assert_eq!(world.snapshot().services, before);
    assert_eq!(world.notices, []);
}

#[test]
fn trouble_that_is_real_is_told_after_an_absence() {
    let mut world = world(r#", "default_port": 5000"#, Behaviour::default());
    world.pass(second(60));
    world.behaviours.insert(id(), Behaviour { health: Outcome::Fail("disk full".to_owned()), ..Behaviour::default() });
    world.stop_agent(second(300));
    world.pass(second(60));
    assert_eq!((world.snapshot().light, world.notices.len()), (Light::Red, 1));
}

#[test]
fn a_sleep_is_recorded_once_however_it_is_noticed() {
    let mut world = world(r#", "default_port": 5000"#, Behaviour::default());
    world.pass(second(60));
    world.machine_wakes(HOUR);
    world.pass(second(60));
    assert_eq!(has_happened(&world, "resumed"), 1);
}

#[test]
fn what_the_user_has_started_lives_on_if_the_wishes_are_lost() {
    let mut world = World::new(&[(FILE, r#"{"type": "process", "command": "db"}"#.to_owned())]);
    world.pass(second(1));
    world.command(Command::Start(Selection::Ids(vec![id()]))).expect("it can be started");
    world.pass(second(5));
    let pid = world.pid("db");
    assert!(pid.is_some());
    world.lose_wishes();
    world.kill_agent();
    world.pass(second(30));
    assert_eq!(world.pid("db"), pid);
    assert_eq!(world.intent, Intent::from([(id(), true)]), "who lives was wished for, and that is kept");
    world.kill_agent();
    world.pass(second(30));
    assert_eq!(world.pid("db"), pid);
}

#[test]
fn a_supervisor_that_has_just_begun_was_not_away() {
    let mut supervisor = Supervisor::new(pilotlight::domain::RunIds::new("0"));
    let now = pilotlight::domain::Moment::at(HOUR);
    supervisor.handle(now, Event::SourcesTouched { cause: "begin".to_owned() });
    let told = supervisor.decide(now);
    assert!(!told.iter().any(|effect| matches!(effect, pilotlight::domain::Effect::Record(_))), "{told:?}");
}
