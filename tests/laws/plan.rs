//! What a plan tells is what then happens, and telling it does nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::{
    Command, Does, Event, Exit, Forecast, FoundRun, Light, Outcome, Planned, ProcessState, Proposal, RunId, RunIds,
    Selection, ServiceId, Severity, Supervisor,
};
use proptest::prelude::*;

use crate::world::{Aside, Behaviour, World};
use crate::{Play, SERVICES, cases, file, id, op};

const DB: &str = r#"{"command": "db", "default_port": 5000, "auto_start": true}"#;
const WEB: &str = r#"{"command": "web", "depends_on": [{"id": "db", "restart": true}], "auto_start": true}"#;

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What is planned for what is on disk.
pub fn forecast(world: &mut World) -> Forecast {
    let reading = world.on_disk("a plan".to_owned(), 0);
    let accepted = world.command(Command::Plan(Proposal(Arc::new(reading)))).expect("a plan can be asked for");
    accepted.forecast.expect("it was asked for")
}

fn of<'a>(forecast: &'a Forecast, id: &str) -> &'a Planned {
    forecast.services.iter().find(|planned| planned.id.as_str() == id).unwrap_or_else(|| panic!("{id} has no plan"))
}

/// Asserts what is planned for a service: what, with which fields, in which words.
#[track_caller]
fn assert_plan(forecast: &Forecast, id: &str, does: Does, fields: &[&str], text: &str) {
    let planned = of(forecast, id);
    assert_eq!((planned.does, planned.text.as_str()), (does, text));
    assert_eq!(planned.fields, fields);
}

/// A web and a db that run, and whose files can be changed without anybody being told.
fn running() -> World {
    let mut world = World::new(&[("services.d/db.json", DB.to_owned()), ("services.d/web.json", WEB.to_owned())]);
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
    world
}

fn change(world: &mut World, name: &str, text: &str) {
    world.disk.insert(format!("services.d/{name}.json"), text.to_owned());
}

#[test]
fn what_is_spawned_differently_restarts_and_whoever_asked_for_it_with_it() {
    let mut world = running();
    change(&mut world, "db", &DB.replace("\"db\"", r#""db", "description": "new", "args": ["-v"], "env": {"A": "1"}"#));
    let plan = forecast(&mut world);
    assert_plan(
        &plan,
        "db",
        Does::Restart,
        &["args", "env.A", "description"],
        "restarts: args, env.A; takes effect with it: description",
    );
    assert_plan(&plan, "web", Does::Restart, &[], "restarts with db");
}

#[test]
fn what_is_not_spawned_takes_effect_in_place_or_at_the_next_start() {
    let mut world = running();
    let api = r#"{"command": "api", "default_port": 6000, "port_env": "API_PORT"}"#;
    change(&mut world, "api", api);
    world.touch("api");
    world.pass(second(3));
    change(&mut world, "db", &DB.replace("\"db\"", r#""db", "notify": {"enabled": false}"#));
    change(&mut world, "api", &api.replace("6000", "6001"));
    let plan = forecast(&mut world);
    assert_plan(
        &plan,
        "db",
        Does::Live,
        &["notify", "exported API_PORT"],
        "takes effect in place: notify; takes effect at the next start: exported API_PORT",
    );
    let api = of(&plan, "api");
    assert_eq!(api.does, Does::Live, "nothing of it runs: {api:?}");
    assert!(api.text.starts_with("stays down; takes effect in place: ") && api.text.contains("next start: port"));
}

#[test]
fn other_steps_restart_a_start_that_is_at_its_steps_and_else_wait_for_the_next() {
    let steps = |step: &str| DB.replace("\"db\"", &format!(r#""db", "before_start": [{step}], "description": {step}"#));
    for (life, does, text) in [
        (None, Does::Restart, "restarts: before_start; takes effect with it: description"),
        (
            Some((second(1), 0)),
            Does::Live,
            "takes effect in place: description; takes effect at the next start: before_start",
        ),
    ] {
        let mut world = World::new(&[]);
        let step = Aside { life, ..Aside::default() };
        world.behaviours.insert(ServiceId::new("db").unwrap(), Behaviour { step, ..Behaviour::default() });
        world.write("services.d/db.json", steps("\"make\""));
        world.pass(second(5));
        let runs = |world: &World| (world.asides.len(), world.spawns.len());
        let before = runs(&world);
        change(&mut world, "db", &steps("\"build\""));
        assert_plan(&forecast(&mut world), "db", does, &["description", "before_start"], text);
        world.touch("db");
        world.pass(second(5));
        let (asides, spawns) = runs(&world);
        assert_eq!((asides > before.0, spawns), (does == Does::Restart, before.1), "{text}");
    }
}

#[test]
fn new_services_say_whether_they_start_and_removed_ones_that_they_go() {
    let mut world = running();
    change(&mut world, "a", r#"{"command": "a", "auto_start": true, "depends_on": ["db"]}"#);
    change(&mut world, "b", r#"{"command": "b"}"#);
    change(&mut world, "c", r#"{"command": "c", "enabled": false, "auto_start": true}"#);
    change(&mut world, "d", r#"{"command": "d", "auto_start": true, "depends_on": ["a"]}"#);
    world.disk.remove("services.d/web.json");
    let plan = forecast(&mut world);
    assert_plan(&plan, "a", Does::Add, &[], "starts (auto_start)");
    assert_plan(&plan, "b", Does::Add, &[], "is listed; starts when asked to");
    assert_plan(&plan, "c", Does::Add, &[], "is listed as disabled");
    assert_plan(&plan, "d", Does::Add, &[], "starts after a (auto_start)");
    assert_plan(&plan, "web", Does::Remove, &[], "is stopped and removed");
    assert_plan(&plan, "db", Does::None, &[], "stays as it is");
}

#[test]
fn what_the_user_has_stopped_stays_down_whatever_changes() {
    let mut world = running();
    world.command(Command::Stop(Selection::Ids(vec![ServiceId::new("web").unwrap()]))).expect("it can be stopped");
    world.pass(second(30));
    change(&mut world, "web", &WEB.replace("\"web\"", r#"["web", "-v"]"#));
    let plan = forecast(&mut world);
    assert_plan(&plan, "web", Does::Live, &["command"], "stays down; takes effect at the next start: command");
}

#[test]
fn a_disabled_service_is_stopped_and_so_is_what_needs_it() {
    let mut world = running();
    change(&mut world, "db", &DB.replace("true", "true, \"enabled\": false"));
    let plan = forecast(&mut world);
    assert_plan(&plan, "db", Does::Live, &["enabled"], "is stopped: it is disabled");
    let web = of(&plan, "web");
    assert!(web.does == Does::Live && web.text.starts_with("is stopped: it needs db, which is disabled"), "{web:?}");
}

#[test]
fn what_could_not_start_again_is_not_said_to_restart() {
    let mut world = running();
    let job = r#"{"command": "job", "one_shot": true, "depends_on": ["db"]}"#;
    let worker = r#"{"command": "w", "depends_on": [{"id": "job", "condition": "completed"}], "auto_start": true}"#;
    let done = Behaviour { life: Some((second(1), 0)), ..Behaviour::default() };
    world.behaviours.insert(ServiceId::new("job").unwrap(), done);
    change(&mut world, "job", job);
    change(&mut world, "worker", worker);
    world.touch("all");
    assert!(world.pass_until(second(30), |world| world.process("worker") == ProcessState::Running));
    change(&mut world, "db", &DB.replace("true", "true, \"enabled\": false"));
    assert_plan(&forecast(&mut world), "worker", Does::None, &[], "stays as it is");
    change(&mut world, "worker", &worker.replace("\"w\"", r#"["w", "-v"]"#));
    let text = "is stopped (command), and then waits: job has to wait itself";
    assert_plan(&forecast(&mut world), "worker", Does::Restart, &["command"], text);
}

#[test]
fn a_changed_definition_starts_anew_what_had_failed() {
    let mut world = running();
    world
        .behaviours
        .insert(ServiceId::new("db").unwrap(), Behaviour { life: Some((second(0), 3)), ..Behaviour::default() });
    world.crash(&ServiceId::new("db").unwrap(), Exit::Code(3));
    assert!(world.pass_until(second(600), |world| world.process("db") == ProcessState::Failed));
    change(&mut world, "db", &DB.replace("\"db\"", r#"["db", "-v"]"#));
    assert_plan(&forecast(&mut world), "db", Does::Restart, &["command"], "starts anew: command");
}

#[test]
fn a_live_change_that_ends_a_run_in_trouble_says_so() {
    let with = |rest: &str| DB.replace("\"db\"", &format!(r#""db", {rest}"#));
    let mut world = running();
    world.behaviours.entry(id(0)).or_default().health = Outcome::Fail("answered 503".to_owned());
    assert!(world.pass_until(second(60), |world| world.snapshot().light == Light::Red));
    change(&mut world, "db", &with(r#""restart": {"on_unhealthy": true}"#));
    let text = "takes effect in place: restart; restarts by that: unhealthy: answered 503";
    assert_plan(&forecast(&mut world), "db", Does::Live, &["restart"], text);
    let spawns = world.spawns[&id(0)];
    change(&mut world, "db", &with(r#""restart": {"on_unhealthy": true, "policy": "never"}"#));
    let text = "takes effect in place: restart; is stopped by that: unhealthy: answered 503";
    assert_plan(&forecast(&mut world), "db", Does::Live, &["restart"], text);
    change(&mut world, "db", &with(r#""restart": {"on_unhealthy": true}"#));
    world.touch("db");
    world.pass(second(1));
    assert!(world.spawns[&id(0)] > spawns, "it does as it said");
}

#[test]
fn a_limit_below_what_is_used_says_that_it_may_restart() {
    let with = |limit: &str| DB.replace("\"db\"", &format!(r#""db", "limits": {{"memory": "{limit}"}}"#));
    let mut world = running();
    change(&mut world, "db", &with("2GB"));
    world.memory.insert(id(0), 1_500_000_000);
    assert_plan(&forecast(&mut world), "db", Does::Live, &["limits"], "takes effect in place: limits");
    world.touch("db");
    world.pass(second(11));
    let spawns = world.spawns[&id(0)];
    for (limit, more) in
        [("1.6GB", ""), ("1GB", "; restarts by that if it stays so: uses 1.5 GB of memory, above its limit of 1 GB")]
    {
        change(&mut world, "db", &with(limit));
        let text = format!("takes effect in place: limits{more}");
        assert_plan(&forecast(&mut world), "db", Does::Live, &["limits"], &text);
    }
    assert_eq!(world.spawns[&id(0)], spawns);
    world.touch("db");
    world.pass(second(30));
    assert!(world.spawns[&id(0)] > spawns, "it does as it said");
}

#[test]
fn a_source_that_is_broken_keeps_what_is_in_use_and_one_that_is_blank_is_no_removal() {
    let mut world = running();
    change(&mut world, "db", "{\"command\": ");
    change(&mut world, "web", " ");
    let plan = forecast(&mut world);
    assert!(plan.services.iter().all(|planned| planned.does == Does::None), "{plan:?}");
    assert_eq!(plan.problems.len(), 2, "both are told, though neither has had its time: {:?}", plan.problems);
}

#[test]
fn a_second_definition_of_an_id_loses_to_the_one_in_use() {
    let mut world = running();
    change(&mut world, "another", r#"{"id": "db", "command": "other"}"#);
    let plan = forecast(&mut world);
    assert_plan(&plan, "db", Does::None, &[], "stays as it is");
    assert!(plan.problems.iter().any(|problem| problem.message.contains("db")), "{:?}", plan.problems);
}

#[test]
fn with_no_agent_it_is_what_one_would_do_at_its_start() {
    let mut world = running();
    change(&mut world, "web", &WEB.replace("\"web\"", r#"["web", "-v"]"#));
    change(&mut world, "new", r#"{"command": "new", "auto_start": true}"#);
    change(&mut world, "idle", r#"{"command": "idle"}"#);
    let pid = world.pid("db").expect("it runs");
    change(&mut world, "left", r#"{"command": "left", "auto_start": true}"#);
    let (mut runs, ends) = (world.find_runs(), Vec::new());
    let run = RunId::new("r-left").of_step();
    runs.push(FoundRun {
        id: ServiceId::new("left").unwrap(),
        run,
        pid: Some(7),
        spawn_hash: None,
        shared_hashes: None,
        since: world.now,
    });
    let mut supervisor = Supervisor::new(RunIds::new("plan"));
    supervisor.handle(
        world.now,
        Event::Found { runs, ends, spared: Vec::new(), intent: world.intent.clone(), is_intent_lost: false },
    );
    let reading = world.on_disk("a plan".to_owned(), 0);
    let plan = supervisor.forecast(world.now, reading);
    assert_plan(&plan, "db", Does::None, &[], &format!("goes on as pid {pid}"));
    let text = "waits: it has an earlier run that is still ending";
    assert_plan(&plan, "left", Does::Add, &[], text);
    let web = world.pid("web").expect("it runs");
    assert_plan(&plan, "web", Does::Restart, &[], &format!("restarts: pid {web} is not what is defined now"));
    assert_plan(&plan, "new", Does::Add, &[], "starts (auto_start)");
    assert_plan(&plan, "idle", Does::None, &[], "stays stopped");
    world.disk.remove("services.d/web.json");
    let plan = supervisor.forecast(world.now, world.on_disk("a plan".to_owned(), 0));
    assert_plan(&plan, "web", Does::Remove, &[], "is stopped: nothing defines it any more");
}

#[test]
fn each_generation_tells_what_it_does_and_by_which_fields() {
    let mut world = running();
    world.history.clear();
    change(&mut world, "db", &DB.replace("\"db\"", r#""db", "args": ["-v"]"#));
    change(&mut world, "web", &WEB.replace("\"web\"", r#""web", "description": "new""#));
    change(&mut world, "new", r#"{"command": "new"}"#);
    world.touch("all");
    world.pass(second(30));
    world.remove("services.d/new.json");
    world.pass(second(30));
    let told = world.history.iter().filter(|occurrence| occurrence.kind == "plan");
    let told: Vec<_> = told
        .map(|it| (it.generation, it.service.as_ref().map_or("", ServiceId::as_str).to_owned(), it.text.clone()))
        .collect();
    let line = |generation, id: &str, text: &str| (generation, id.to_owned(), text.to_owned());
    assert_eq!(
        told,
        [
            line(2, "new", "add"),
            line(2, "db", "restart: args"),
            line(2, "web", "live: description"),
            line(3, "new", "remove")
        ]
    );
}

/// What is changed of one file.
#[derive(Clone, Debug)]
pub enum Edit {
    Respawn,
    Describe,
    Remove,
    Disable,
    Break,
    Blank,
    Join,
}

pub fn edit() -> impl Strategy<Value = (usize, Edit)> {
    let edits = [Edit::Respawn, Edit::Describe, Edit::Remove, Edit::Disable, Edit::Break, Edit::Blank, Edit::Join];
    (0..SERVICES.len(), prop::sample::select(edits.to_vec()))
}

/// Makes the change on disk, without telling anybody.
pub fn apply(play: &mut Play, at: usize, edit: &Edit) {
    let name = file(at);
    let text = match edit {
        Edit::Remove => return drop(play.world.disk.remove(&name)),
        Edit::Break => "{\"id\": ".to_owned(),
        Edit::Blank => String::new(),
        Edit::Join => {
            let text = r#"{"command": "new", "auto_start": true, "depends_on": ["db"]}"#;
            play.world.disk.insert("services.d/a-new-one.json".to_owned(), text.to_owned());
            return;
        }
        Edit::Respawn => {
            play.versions[at] += 1;
            play.text(at)
        }
        Edit::Describe => {
            play.words[at] += 1;
            play.text(at)
        }
        Edit::Disable => {
            play.disabled[at] = true;
            play.text(at)
        }
    };
    play.world.disk.insert(name, text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_is_what_happens(
        ops in prop::collection::vec(op(), 0..30),
        edits in prop::collection::vec(edit(), 1..4),
        waits in any::<bool>(),
    ) {
        let mut play = Play::new();
        for op in &ops {
            play.play(op);
        }
        play.mend();
        if waits {
            play.world.write("services.json", r#"{"agent": {"reload": "manual"}}"#);
            play.world.pass(second(5));
        }
        for (at, edit) in &edits {
            apply(&mut play, *at, edit);
        }
        let before = (play.world.snapshot().services.clone(), play.world.spawns.clone());
        let mut plan = forecast(&mut play.world);
        prop_assert_eq!(&before, &(play.world.snapshot().services.clone(), play.world.spawns.clone()), "a plan does nothing");
        let ((_, spawns), pids) = (before, crate::pids(&play.world));
        play.world.touch("as planned");
        if waits {
            play.world.pass(second(5));
            prop_assert_eq!(&spawns, &play.world.spawns, "nothing happens of itself");
            let planned = std::mem::replace(&mut plan, forecast(&mut play.world)).services;
            let is_valid = plan.problems.iter().all(|problem| problem.severity != Severity::Error);
            prop_assert!(!is_valid || planned == plan.services, "what waits is planned like what is new: {planned:?}");
            play.world.wish(Command::Reload);
        }
        play.world.pass(second(120));
        for Planned { id, does, text, .. } in &plan.services {
            let begun = |spawns: &BTreeMap<_, _>| spawns.get(id).copied().unwrap_or(0_u32);
            let begun = begun(&play.world.spawns) - begun(&spawns);
            let starts = *does == Does::Restart && !text.starts_with("is stopped") || text.starts_with("starts ");
            // Until a file that is gone counts as removed, something may start that needs what it defined.
            let is_told = starts || !edits.iter().any(|(_, edit)| matches!(edit, Edit::Remove));
            if is_told {
                prop_assert_eq!(begun, u32::from(starts), "{}: {:?} {}", id, does, text);
            }
            let pid = play.world.pid(id.as_str());
            let is_kept = !starts && *does != Does::Remove && !text.starts_with("is stopped");
            prop_assert!(!is_kept || pid.as_ref() == pids.get(id.as_str()), "{}: {:?} {}", id, does, text);
            let is_there = play.world.snapshot().service(id.as_str()).is_some();
            prop_assert_eq!(is_there, *does != Does::Remove, "{}: {:?} {}", id, does, text);
            let is_down = *does == Does::Remove || text.starts_with("is stopped:") || (is_told && text.starts_with("is stopped"));
            prop_assert!(!is_down || pid.is_none(), "{}: {:?} {}", id, does, text);
        }
        let planned = |service: &ServiceId| plan.services.iter().any(|planned| planned.id == *service);
        prop_assert!(play.world.snapshot().services.iter().all(|view| planned(&view.id)));
        let again = forecast(&mut play.world);
        prop_assert!(again.services.iter().all(|planned| planned.does == Does::None), "{:?}", again.services);
    }
}

#[test]
fn a_plan_of_what_is_on_disk_already_is_nothing() {
    let mut world = running();
    let plan = forecast(&mut world);
    assert!(plan.services.iter().all(|planned| planned.does == Does::None), "{plan:?}");
    assert_eq!(plan.services.len(), 2);
    assert_eq!(plan.services[0].id, id(0));
}
