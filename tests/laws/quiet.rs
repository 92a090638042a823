//! Laws of when troubles are told: how long they must last, and what becomes of those of the night.

use std::time::Duration;

use pilotlight::domain::{Command, NoticeKey, Outcome, ServiceId};

use crate::world::{Behaviour, World};

const MAIN: &str = "services.json";
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn broken() -> Behaviour {
    Behaviour { health: Outcome::Fail("answered 500".to_owned()), ..Behaviour::default() }
}

fn source(hours: &str, services: &str) -> String {
    format!(r#"{{"agent": {{"notifications": {{{hours}}}}}, "services": [{services}]}}"#)
}

fn service(id: &str, rest: &str) -> String {
    format!(
        r#"{{"id": "{id}", "command": "{id}", "auto_start": true, "health": {{"tcp": 1, "grace": "1s", "interval": "60s"}}{rest}}}"#
    )
}

/// A world on the second of its days, this many minutes before or after ten in the evening.
fn around_ten(minutes: i64, text: String) -> World {
    let mut world = World::new(&[(MAIN, text)]);
    let into_day = world.now.since(Default::default()).as_secs() % (24 * HOUR);
    let ten = (24 + 22) * 60;
    world.pass(second((ten + minutes).unsigned_abs() * 60 - into_day));
    world.notices.clear();
    world
}

fn titles(world: &World) -> Vec<&str> {
    world.notices.iter().map(|notice| notice.title.as_str()).collect()
}

#[test]
fn a_trouble_is_told_once_it_has_lasted_as_long_as_the_service_says() {
    let mut world = World::new(&[(MAIN, source("", &service("web", r#", "notify": {"after": "60s"}"#)))]);
    world.pass(second(10));
    for _ in 0..3 {
        world.behaviours.insert(id("web"), broken());
        world.pass(second(50));
        world.behaviours.insert(id("web"), Behaviour::default());
        world.pass(second(30));
    }
    assert_eq!(titles(&world), [""; 0], "what does not last is never told, nor that it is over");
    world.behaviours.insert(id("web"), broken());
    assert!(world.pass_until(second(90), |world| !world.notices.is_empty()));
    assert_eq!(titles(&world), ["web is unhealthy"]);
    world.behaviours.insert(id("web"), Behaviour::default());
    world.pass(second(10));
    assert_eq!(titles(&world), ["web is unhealthy", "web has recovered"]);
}

#[test]
fn one_that_may_take_longer_does_not_join_those_that_may_not() {
    let services = [service("a", ""), service("b", ""), service("slow", r#", "notify": {"after": "5m"}"#)].join(",");
    let mut world = World::new(&[(MAIN, source("", &services))]);
    world.pass(second(10));
    world.behaviours.extend(["a", "b", "slow"].map(|service| (id(service), broken())));
    world.pass(second(60));
    assert_eq!(titles(&world), ["a is unhealthy", "b is unhealthy"]);
    world.pass(second(5 * MINUTE));
    assert_eq!(titles(&world)[2..], ["slow is unhealthy"]);
}

#[test]
fn in_quiet_hours_nothing_is_told_and_afterwards_all_of_it_at_once() {
    let services = [service("web", ""), service("db", ""), service("worker", "")].join(",");
    let text = |services: &str| source(r#""quiet_hours": "22:00-22:20""#, services);
    let mut world = around_ten(5, text(&services));
    world.behaviours.insert(id("web"), broken());
    world.behaviours.insert(id("db"), broken());
    world.pass(second(2 * MINUTE));
    world.behaviours.insert(id("db"), Behaviour::default());
    world.pass(second(2 * MINUTE));
    world.write(MAIN, "{");
    world.pass(second(5 * MINUTE));
    assert_eq!(titles(&world), [""; 0]);
    assert!(world.pass_until(second(30 * MINUTE), |world| !world.notices.is_empty()));
    assert_eq!(world.now.since(Default::default()).as_secs() % (24 * HOUR), 22 * HOUR + 20 * MINUTE);
    world.pass(second(2 * MINUTE));
    let [digest] = &world.notices[..] else { panic!("{:?}", world.notices) };
    assert_eq!(
        (&digest.key, digest.title.as_str()),
        (&NoticeKey::Digest, "While it was quiet, a service got into trouble")
    );
    let lines: Vec<&str> = digest.body.lines().collect();
    assert_eq!(lines[0], "db was in trouble, and no longer is");
    assert!(lines[1].starts_with("web: ") && lines[1].ends_with("answered 500"), "{lines:?}");
    assert!(lines[2].starts_with("The configuration has an error: services.json:1:"), "{lines:?}");

    world.behaviours.insert(id("web"), Behaviour::default());
    world.write(MAIN, text(&services));
    world.pass(second(60));
    let mut told = titles(&world)[1..].to_vec();
    told.sort_unstable();
    assert_eq!(told, ["The configuration is good again", "web has recovered"]);
}

#[test]
fn a_quiet_night_without_troubles_says_nothing_in_the_morning() {
    let mut world = around_ten(-10, source(r#""quiet_hours": "22:00-22:20""#, &service("web", "")));
    world.pass(second(HOUR));
    assert_eq!(titles(&world), [""; 0]);
}

#[test]
fn a_trouble_of_the_evening_that_ends_at_night_is_told_to_be_over_in_the_morning() {
    let mut world = around_ten(-10, source(r#""quiet_hours": "22:00-22:20""#, &service("web", "")));
    world.behaviours.insert(id("web"), broken());
    world.pass(second(5 * MINUTE));
    assert_eq!(titles(&world), ["web is unhealthy"]);
    world.pass(second(10 * MINUTE));
    world.behaviours.insert(id("web"), Behaviour::default());
    world.pass(second(10 * MINUTE));
    assert_eq!(world.notices.len(), 1);
    world.pass(second(10 * MINUTE));
    assert_eq!(world.notices.len(), 2);
    assert_eq!(world.notices[1].body, "web was in trouble, and no longer is");
}

#[test]
fn what_is_muted_or_paused_is_not_in_the_digest_and_no_quiet_hours_end_the_quiet() {
    let services = [service("web", ""), service("db", "")].join(",");
    let text = |hours: &str| source(hours, &services);
    let mut world = around_ten(5, text(r#""quiet_hours": "22:00-22:20""#));
    world.command(Command::Mute { id: id("web"), span: second(HOUR) }).expect("it can be muted");
    world.behaviours.insert(id("web"), broken());
    world.pass(second(MINUTE));
    world.behaviours.insert(id("db"), broken());
    world.pass(second(MINUTE));
    world.write(MAIN, text(""));
    world.pass(second(60));
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    assert!(world.notices[0].body.starts_with("db: ") && world.notices[0].body.lines().count() == 1);

    let mut world = around_ten(5, text(r#""quiet_hours": "22:00-22:20""#));
    world.behaviours.insert(id("db"), broken());
    world.pass(second(MINUTE));
    world.command(Command::PauseNotifications(true)).expect("it can be paused");
    world.pass(second(20 * MINUTE));
    world.command(Command::PauseNotifications(false)).expect("it can go on");
    world.pass(second(HOUR));
    assert_eq!(titles(&world), [""; 0]);
}
