//! Laws of what is told of the last start: whatever has happened, its parts fit together and are true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::critical::{Critical, Progress};
use pilotlight::domain::{Command, Exit, HealthState, Launch, ProcessState, Selection, ServiceId};
use proptest::prelude::*;

use crate::world::{Aside, Behaviour, World};
use crate::{Play, cases, op};

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("a valid id")
}

fn ids(text: &str) -> Selection {
    Selection::Ids(vec![id(text)])
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn slow(seconds: u64) -> Behaviour {
    Behaviour { warm_up: second(seconds), ..Behaviour::default() }
}

/// A database, a service on it, a page on that, and a cache that nobody waits for in the end.
fn world() -> World {
    let definition = |port: u16, rest: &str| {
        format!(r#"{{"type": "process", "command": "x", "default_port": {port}, "auto_start": true{rest}}}"#)
    };
    let mut world = World::new(&[
        ("services.d/db.json", definition(1, "")),
        ("services.d/cache.json", definition(2, "")),
        ("services.d/api.json", definition(3, r#", "depends_on": ["cache", "db"], "before_start": ["make"]"#)),
        ("services.d/web.json", definition(4, r#", "depends_on": [{"id": "api", "condition": "started"}]"#)),
    ]);
    world.behaviours.insert(id("db"), slow(5));
    world.behaviours.insert(id("cache"), slow(1));
    world.behaviours.insert(id("web"), slow(7));
    let step = Aside { life: Some((second(2), 0)), ..Aside::default() };
    world.behaviours.insert(id("api"), Behaviour { step, ..slow(1) });
    world.pass(second(60));
    world
}

fn critical(world: &World) -> Critical {
    Critical::of(&world.snapshot().services, &[], world.now)
}

fn launch(world: &World, id: &str) -> Option<Arc<Launch>> {
    world.snapshot().service(id).expect("it is defined").launch.clone()
}

/// The chain that determined the end, with whole seconds.
fn chain(world: &World) -> Vec<(String, u64)> {
    let found = critical(world);
    let links = found.chains.iter().flat_map(|chain| &chain.links);
    links.map(|link| (link.id.to_string(), link.took().as_secs())).collect()
}

fn expected(links: &[(&str, u64)]) -> Vec<(String, u64)> {
    links.iter().map(|(id, seconds)| ((*id).to_owned(), *seconds)).collect()
}

#[test]
fn the_last_start_is_told_as_the_chain_of_those_that_held_up_each_other() {
    let world = world();
    // The page waits for the process of the service alone, not for its health.
    assert_eq!(chain(&world), expected(&[("db", 5), ("api", 2), ("web", 7)]));
    let found = critical(&world);
    assert_eq!((found.took.as_secs(), found.is_over, found.services.len()), (14, true, 4));
    let api = found.services.iter().find(|one| one.id.as_str() == "api").expect("it was started");
    assert_eq!((api.spent.waiting.as_secs(), api.spent.on_steps.as_secs(), api.spent.itself.as_secs()), (5, 2, 1));
    assert_eq!(api.waited_for().map(|wait| wait.id.as_str()), Some("db"));
}

#[test]
fn a_restart_of_its_own_accord_is_no_start_and_one_that_is_wished_is() {
    let mut world = world();
    let before = critical(&world);
    world.crash(&id("db"), Exit::Code(1));
    world.pass(second(60));
    assert_eq!(world.spawns[&id("db")], 2);
    assert_eq!(critical(&world), before);
    world.command(Command::Restart(ids("db"))).expect("it can be restarted");
    world.pass(second(60));
    assert_eq!(chain(&world), expected(&[("db", 5)]));
}

#[test]
fn tries_that_fail_belong_to_the_start() {
    let mut world = World::new(&[]);
    let crashing = Behaviour { life: Some((second(2), 1)), warm_up: second(60), ..Behaviour::default() };
    world.behaviours.insert(id("db"), crashing);
    world.write(
        "services.d/db.json",
        r#"{"type": "process", "command": "x", "default_port": 1, "auto_start": true, "health": {"tcp": 1, "grace": "5m"}}"#,
    );
    assert!(world.pass_until(second(60), |world| world.process("db") == ProcessState::Backoff));
    world.behaviours.clear();
    world.pass(second(60));
    let found = critical(&world);
    let [db] = found.services.as_slice() else { panic!("{found:?}") };
    assert_eq!((db.state, db.launch.tries, db.spent.in_vain.as_secs()), (Progress::Ready, 3, 5), "{db:?}");
}

#[test]
fn who_waited_for_what_the_user_had_stopped_is_asked_to_start_with_it() {
    let mut world = world();
    world.command(Command::Stop(ids("db"))).expect("it can be stopped");
    world.pass(second(3600));
    assert_eq!(world.process("api"), ProcessState::Waiting);
    world.command(Command::Start(ids("db"))).expect("it can be started");
    world.pass(second(60));
    assert_eq!(chain(&world), expected(&[("db", 5), ("api", 2), ("web", 7)]));
}

#[test]
fn what_an_earlier_agent_has_started_was_not_started() {
    let mut world = world();
    world.kill_agent();
    world.pass(second(60));
    let found = critical(&world);
    assert_eq!((found.begun, found.unstarted.len()), (None, 4));
    world.command(Command::Restart(ids("api"))).expect("it can be restarted");
    world.pass(second(60));
    let found = critical(&world);
    assert_eq!(found.unstarted, ["cache", "db", "web"].map(id));
    assert_eq!(chain(&world), expected(&[("api", 3)]));
}

#[test]
fn a_stranger_that_satisfies_who_needs_it_is_in_the_chain_as_none_of_ours() {
    let mut world = World::new(&[]);
    world.strangers.insert(1, true);
    world.touch("stranger");
    for (name, port, rest) in [("db", 1, ""), ("api", 2, r#", "depends_on": ["db"]"#)] {
        let text =
            format!(r#"{{"type": "process", "command": "x", "default_port": {port}, "auto_start": true{rest}}}"#);
        world.write(&format!("services.d/{name}.json"), text);
    }
    world.pass(second(60));
    assert_eq!(world.process("db"), ProcessState::Foreign);
    let db = launch(&world, "db").expect("its start was tried");
    assert!(db.ready.is_some() && db.spawned.is_none(), "{db:?}");
    assert_eq!(chain(&world).iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["db", "api"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_parts_of_a_start_fit_together(ops in prop::collection::vec(op(), 0..60)) {
        let mut play = Play::new();
        let mut of_this_agent = true;
        for op in &ops {
            play.play(op);
            of_this_agent &= !op.is_deadly();
            let (views, now) = (&play.world.snapshot().services, play.world.now);
            for view in views.iter() {
                let Some(launch) = &view.launch else {
                    prop_assert!(
                        !of_this_agent || view.health != HealthState::Healthy || view.adopted,
                        "{} is healthy and was never started", view.id
                    );
                    continue;
                };
                let moments = [Some(launch.asked), launch.free, launch.tried, launch.spawned, launch.ready];
                let moments = moments.into_iter().flatten().collect::<Vec<_>>();
                prop_assert!(moments.is_sorted(), "{}: {:?}", view.id, launch);
                let healthy = view.process == ProcessState::Running && view.health == HealthState::Healthy;
                if healthy && !view.service.one_shot {
                    prop_assert!(launch.ready.is_some(), "{} is healthy: {:?}", view.id, launch);
                }
                if launch.free.is_some() {
                    prop_assert!(launch.waits.iter().all(|wait| wait.until <= launch.free && wait.until.is_some()));
                }
            }
            let declared = views
                .iter()
                .map(|view| (&view.id, view.service.depends_on.iter().map(|needed| &needed.id).collect::<Vec<_>>()))
                .collect::<BTreeMap<_, _>>();
            for asked in std::iter::once(Vec::new()).chain(views.iter().map(|view| vec![view.id.clone()])) {
                let found = Critical::of(views, &asked, now);
                for chain in &found.chains {
                    let first = chain.links.first().expect("a chain is never empty");
                    let begun = found.begun.expect("a chain has begun");
                    prop_assert_eq!(first.from.since(begun) + chain.took(), found.took);
                    prop_assert!(chain.links.iter().all(|link| link.spent.whole() == link.took() && link.to <= now));
                    for pair in chain.links.windows(2) {
                        prop_assert_eq!(pair[0].to, pair[1].from);
                        prop_assert!(declared[&pair[1].id].contains(&&pair[0].id), "{:?}", chain);
                    }
                }
            }
        }
    }
}
