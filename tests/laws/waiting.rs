//! Laws of changes that wait until the user applies them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::catalog::Content;
use pilotlight::domain::{
    Accepted, Command, Does, Event, Exit, Forecast, Kind, Light, Place, Planned, Problem, ProcessState, Selection,
    Service, ServiceId, Severity,
};
use proptest::prelude::*;

use crate::plan::{apply, edit, forecast};
use crate::world::World;
use crate::{Play, SERVICES, cases, file, op};

const MANUAL: &str = r#"{"agent": {"reload": "manual"}}"#;
const AUTO: &str = r#"{"agent": {"reload": "auto"}}"#;
const DB: &str = r#"{"command": "db", "default_port": 5000, "auto_start": true}"#;
const WEB: &str = r#"{"command": "web", "depends_on": ["db"], "auto_start": true}"#;
const OLD: &str = r#"{"command": "old"}"#;

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn only(id: &str) -> Selection {
    Selection::Ids(vec![ServiceId::new(id).expect("a valid id")])
}

/// A web and a db that run, in a world in which changes wait.
fn running() -> World {
    let mut world = World::new(&[
        ("services.json", MANUAL.to_owned()),
        ("services.d/db.json", DB.to_owned()),
        ("services.d/old.json", OLD.to_owned()),
        ("services.d/web.json", WEB.to_owned()),
    ]);
    assert!(world.pass_until(second(30), |world| world.snapshot().light == Light::Green));
    world
}

/// A web of another program.
fn web(program: &str) -> String {
    WEB.replace("\"web\"", &format!("\"{program}\""))
}

fn write(world: &mut World, name: &str, text: &str) {
    world.write(name, text);
    world.pass(second(5));
}

fn remove(world: &mut World, name: &str) {
    world.remove(name);
    world.pass(second(5));
}

fn reload(world: &mut World) -> Accepted {
    let accepted = world.command_in_time(Command::Reload).expect("it can be asked for");
    world.pass(second(30));
    accepted
}

/// What waits, in words.
fn waiting(world: &World) -> Option<&str> {
    world.snapshot().waiting.as_ref().map(|waiting| waiting.text.as_str())
}

fn pids(world: &World) -> [Option<u32>; 2] {
    ["db", "web"].map(|id| world.pid(id))
}

/// The program that the definition in use runs.
fn program<'a>(world: &'a World, id: &str) -> Option<&'a str> {
    match &world.snapshot().service(id)?.service.kind {
        Kind::Process(spawn) => spawn.argv.first().map(String::as_str),
        Kind::External | Kind::Detached | Kind::Settings => None,
    }
}

/// The hash of what the main process of a service was spawned from.
fn spawned(world: &World, id: &str) -> Option<String> {
    let child = world.children.values().find(|child| child.id.as_str() == id && child.main);
    child.map(|child| child.hash.clone())
}

fn definitions(world: &World) -> BTreeMap<&str, &Service> {
    let views = world.snapshot().services.iter();
    views.map(|view| (view.id.as_str(), &*view.service)).collect()
}

#[test]
fn changes_are_told_when_they_are_read_and_again_when_they_are_applied() {
    let mut world = running();
    let (before, generation) = (pids(&world), world.snapshot().generation);
    write(&mut world, "services.d/new.json", r#"{"command": "new", "auto_start": true}"#);
    remove(&mut world, "services.d/old.json");
    write(&mut world, "services.d/web.json", &web("web2"));
    let told = "removed old; added new; web is spawned differently (command)";
    assert_eq!(waiting(&world), Some(told));
    let shown = world.snapshot().waiting.clone().expect("something waits");
    let ids: Vec<_> = shown.services.iter().map(ServiceId::as_str).collect();
    assert_eq!((ids, shown.frame, shown.touches().as_str()), (vec!["new", "web", "old"], false, "3 services"));
    assert_eq!((pids(&world), world.snapshot().generation), (before, generation));
    assert_eq!((world.pid("new"), world.process("old")), (None, ProcessState::Stopped));
    assert_eq!(program(&world, "web"), Some("web"));

    let accepted = reload(&mut world);
    assert_eq!(accepted.remarks, [format!("applied: {told}")]);
    assert_eq!((waiting(&world), world.snapshot().generation), (None, generation + 1));
    assert_eq!((world.pid("db"), program(&world, "web")), (before[0], Some("web2")));
    assert!(world.pid("new").is_some() && world.pid("web") != before[1] && world.snapshot().service("old").is_none());
    let history = world.history.iter().filter(|it| ["waiting", "generation", "plan"].contains(&it.kind));
    let lines: Vec<_> = history.skip(4).map(|it| (it.kind, it.text.as_str())).collect();
    let gone = "what was gone or broken for a moment stays so";
    assert_eq!(
        lines,
        [
            ("waiting", "added new (services.d/new.json)"),
            ("waiting", &*format!("removed old; added new ({gone})")),
            ("waiting", &*format!("{told} (services.d/web.json)")),
            ("generation", &*format!("{told} (asked to)")),
            ("plan", "remove"),
            ("plan", "add"),
            ("plan", "restart: command"),
        ]
    );
}

#[test]
fn what_is_changed_back_waits_no_longer_and_leaves_no_trace() {
    let mut world = running();
    let (before, generation) = (pids(&world), world.snapshot().generation);
    write(&mut world, "services.d/web.json", &web("web2"));
    write(&mut world, "services.d/db.json", &DB.replace("5000", "5001"));
    write(&mut world, "services.d/web.json", WEB);
    assert!(waiting(&world).is_some_and(|text| text.starts_with("db is spawned differently")));
    write(&mut world, "services.d/db.json", DB);
    assert_eq!(waiting(&world), None);
    let last = world.history.last().expect("something happened");
    assert_eq!(
        (last.kind, last.text.as_str()),
        ("waiting", "nothing any more: all is again as it is in use (services.d/db.json)")
    );
    // Another file takes over an id while its own has lost it, and gives it back.
    write(&mut world, "services.d/web.json", r#"{"id": "elsewhere", "command": "web"}"#);
    write(&mut world, "services.d/z.json", &web("web3").replacen('{', r#"{"id": "web", "#, 1));
    write(&mut world, "services.d/web.json", WEB);
    assert_eq!(waiting(&world), None, "the one in use has its id again");
    assert!(world.snapshot().problems.iter().any(|problem| problem.message.contains("is used twice")));
    remove(&mut world, "services.d/z.json");
    assert_eq!(reload(&mut world).remarks, [""; 0]);
    assert_eq!((pids(&world), world.snapshot().generation), (before, generation));
}

#[test]
fn what_is_only_written_otherwise_does_not_wait() {
    let mut world = running();
    world.disk.remove("services.d/web.json");
    write(&mut world, "services.d/web2.json", &WEB.replacen('{', "{\n  \"id\": \"web\", ", 1));
    assert_eq!(waiting(&world), None);
    assert_eq!(&*world.snapshot().service("web").expect("it is defined").service.place.file, "services.d/web2.json");
}

#[test]
fn a_run_that_begins_while_changes_wait_is_of_what_is_in_use_and_the_answer_says_so() {
    let mut world = running();
    let in_use = spawned(&world, "web");
    write(&mut world, "services.d/web.json", &web("web2"));
    let before = world.pid("web");
    world.crash(&ServiceId::new("web").expect("a valid id"), Exit::Code(1));
    world.pass(second(30));
    assert!(world.pid("web").is_some() && world.pid("web") != before);
    assert_eq!(spawned(&world, "web"), in_use, "after a crash");
    let remark = "changes of web wait to be applied: what is in use goes on to count";
    for command in [Command::Restart(Selection::All), Command::Start(only("web"))] {
        let accepted = world.command(command).expect("it can be restarted");
        assert_eq!(accepted.remarks, [remark]);
        world.pass(second(30));
        assert_eq!(spawned(&world, "web"), in_use, "as asked for");
    }
    let accepted = world.command(Command::Restart(only("db"))).expect("it can be restarted");
    assert_eq!(accepted.remarks, [""; 0], "nothing of it waits");
    reload(&mut world);
    assert_ne!(spawned(&world, "web"), in_use);
}

#[test]
fn to_look_once_more_applies_nothing() {
    let mut world = running();
    world.disk.insert("services.d/web.json".to_owned(), web("web2"));
    let accepted = world.command_in_time(Command::Read).expect("it can be asked for");
    assert_eq!(accepted, Accepted::default());
    assert_eq!((waiting(&world), program(&world, "web")), (Some("web is spawned differently (command)"), Some("web")));
}

#[test]
fn what_is_read_after_the_wish_waits_again() {
    let mut world = running();
    let ticket = world.wish(Command::Reload);
    // The reading that answers it has begun.
    world.write("services.d/web.json", web("web2"));
    world.pass(second(5));
    assert!(world.answers.contains_key(&ticket));
    assert_eq!((waiting(&world), program(&world, "web")), (Some("web is spawned differently (command)"), Some("web")));
}

#[test]
fn the_word_auto_applies_what_waits_and_the_word_manual_what_comes_with_it() {
    let mut world = running();
    write(&mut world, "services.d/web.json", &web("web2"));
    write(&mut world, "services.json", AUTO);
    assert_eq!((waiting(&world), program(&world, "web")), (None, Some("web2")));
    let both = r#"{"agent": {"reload": "manual"}, "services": {"job": {"command": "job"}}}"#;
    write(&mut world, "services.json", both);
    assert_eq!((waiting(&world), program(&world, "job")), (None, Some("job")));
    write(&mut world, "services.json", &both.replace("\"command\": \"job\"", "\"command\": \"other\""));
    assert_eq!((waiting(&world), program(&world, "job")), (Some("job is spawned differently (command)"), Some("job")));
    // The word that is gone from a file that is there is the word "auto".
    write(&mut world, "services.json", r#"{"services": {}}"#);
    assert!(waiting(&world).is_none() && world.snapshot().service("job").is_none());
}

#[test]
fn a_main_file_that_is_gone_or_broken_does_not_say_auto() {
    let mut world = running();
    write(&mut world, "services.d/web.json", &web("web2"));
    write(&mut world, "services.json", "{\"agent\": ");
    assert_eq!(waiting(&world), Some("web is spawned differently (command)"));
    remove(&mut world, "services.json");
    let both = "web is spawned differently (command); groups or agent settings changed";
    assert_eq!((waiting(&world), program(&world, "web")), (Some(both), Some("web")));
    reload(&mut world);
    assert_eq!((waiting(&world), program(&world, "web")), (None, Some("web2")));
    write(&mut world, "services.d/web.json", WEB);
    assert_eq!(program(&world, "web"), Some("web"), "what is applied says auto");
}

#[test]
fn a_main_file_that_is_not_to_be_trusted_any_more_is_told_at_once_and_does_not_say_auto() {
    let mut world = running();
    let before = pids(&world);
    let mut reading = world.on_disk("a test".to_owned(), 0);
    let place = Place::whole(&"services.json".into());
    Arc::make_mut(&mut reading.files[0]).content = Content::Refused(Problem::error(&place, "it is another user's"));
    world.tell(Event::SourcesRead(reading));
    assert_eq!(waiting(&world), Some("groups or agent settings changed"));
    assert_eq!((world.snapshot().problems.len(), pids(&world)), (1, before));
}

#[test]
fn mistakes_are_told_at_once_and_what_is_in_use_goes_on() {
    let mut world = running();
    let before = pids(&world);
    let errors = |world: &World| {
        let problems = world.snapshot().problems.iter().filter(|problem| problem.severity == Severity::Error);
        problems.count()
    };
    write(&mut world, "services.d/web.json", &web("web2"));
    // Not even a definition that has waited is brought back by one that is not valid.
    write(&mut world, "services.d/web.json", &WEB.replace("\"web\"", "7"));
    assert_eq!((errors(&world), waiting(&world)), (1, None));
    reload(&mut world);
    assert_eq!((pids(&world), program(&world, "web")), (before, Some("web")));
    write(&mut world, "services.d/web.json", &web("web3"));
    assert_eq!((errors(&world), waiting(&world)), (0, Some("web is spawned differently (command)")));
    write(&mut world, "services.d/web.json", WEB);
    write(&mut world, "services.d/web.json", "{\"command\": ");
    assert_eq!((errors(&world), waiting(&world), pids(&world)), (1, None, before));
}

#[test]
fn the_next_agent_begins_with_what_is_on_disk() {
    let mut world = running();
    let before = pids(&world);
    write(&mut world, "services.d/web.json", &web("web2"));
    world.kill_agent();
    world.pass(second(30));
    assert_eq!((waiting(&world), program(&world, "web")), (None, Some("web2")));
    let after = pids(&world);
    assert!(after[0] == before[0] && after[1].is_some() && after[1] != before[1], "{before:?} {after:?}");
}

#[test]
fn a_run_whose_definition_could_not_be_read_at_the_start_is_kept_until_it_is_applied() {
    let mut world = running();
    let before = pids(&world);
    world.disk.insert("services.d/web.json".to_owned(), "{\"command\": ".to_owned());
    world.kill_agent();
    world.pass(second(30));
    write(&mut world, "services.d/web.json", WEB);
    assert_eq!((waiting(&world), pids(&world)), (Some("added web"), before));
    assert!(world.snapshot().service("web").is_none());
    reload(&mut world);
    assert_eq!(pids(&world), before);
    assert!(world.snapshot().service("web").expect("it is defined").adopted);
}

#[test]
fn the_restarts_of_changed_files_are_not_held_back() {
    let mut world = running();
    write(&mut world, "services.d/web.json", &WEB.replace("\"web\"", r#""web", "watch": ["**/*.py"]"#));
    reload(&mut world);
    let before = pids(&world);
    write(&mut world, "services.d/db.json", &DB.replace("5000", "5001"));
    world.touch_file("/p/a.py");
    world.pass(second(30));
    let after = pids(&world);
    assert!(after[0] == before[0] && after[1].is_some() && after[1] != before[1], "{before:?} {after:?}");
}

/// A random world in which changes wait.
fn manual() -> Play {
    let mut play = Play::new();
    play.world.write("services.json", MANUAL);
    play.world.pass(second(1));
    play
}

/// Makes every source good that others need or that is broken: what is not valid costs each world what it was before.
fn make_valid(play: &mut Play) {
    for (at, (id, _)) in SERVICES.iter().enumerate() {
        let is_needed = SERVICES.iter().any(|(_, text)| text.contains(&format!("\"{id}\"")));
        if is_needed || play.world.disk.contains_key(&file(at)) {
            let text = play.text(at);
            play.world.disk.insert(file(at), text);
        }
    }
    play.world.touch("made valid");
    play.world.pass(second(120));
}

/// What is defined and how it fares, without what tells one run from another.
fn outcome(world: &World) -> Vec<(&str, &Service, ProcessState, bool)> {
    let views = world.snapshot().services.iter();
    views.map(|view| (view.id.as_str(), &*view.service, view.process, view.wanted)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_changes_a_definition_until_it_is_applied(ops in prop::collection::vec(op(), 0..60)) {
        let mut play = manual();
        let generation = play.world.snapshot().generation;
        let before = play.world.snapshot().clone();
        for op in ops.iter().filter(|op| !op.is_deadly()) {
            play.play(op);
            let now = definitions(&play.world);
            prop_assert_eq!(play.world.snapshot().generation, generation);
            prop_assert_eq!(now.len(), before.services.len());
            for view in before.services.iter() {
                prop_assert_eq!(Some(&&*view.service), now.get(view.id.as_str()), "{:?}", op);
            }
        }
    }

    #[test]
    fn no_edit_touches_a_run_and_what_is_applied_is_what_would_have_come_of_itself(
        edits in prop::collection::vec((edit(), 0..4000_u64), 1..20),
    ) {
        let (mut waits, mut follows) = (manual(), Play::new());
        waits.world.pass(second(60));
        let before = (crate::pids(&waits.world), waits.world.spawns.clone());
        for ((at, edit), millis) in &edits {
            for play in [&mut waits, &mut follows] {
                apply(play, *at, edit);
                play.world.touch("an edit");
                play.world.pass(Duration::from_millis(*millis));
            }
        }
        make_valid(&mut waits);
        make_valid(&mut follows);
        prop_assert_eq!(&before, &(crate::pids(&waits.world), waits.world.spawns.clone()));
        let differs = definitions(&waits.world) != definitions(&follows.world);
        prop_assert_eq!(differs, waits.world.snapshot().waiting.is_some());
        prop_assert_eq!(&waits.world.snapshot().problems, &follows.world.snapshot().problems, "they are told at once");
        let plan = forecast(&mut waits.world);
        let touched = |planned: &&Planned| !planned.fields.is_empty() || matches!(planned.does, Does::Add | Does::Remove);
        let planned: Vec<_> = plan.services.iter().filter(touched).map(|planned| planned.id.clone()).collect();
        let told = waits.world.snapshot().waiting.as_ref().map(|waiting| waiting.services.clone()).unwrap_or_default();
        prop_assert_eq!(sorted(planned), sorted(told), "what waits is what is planned");
        reload(&mut waits.world);
        waits.world.pass(second(120));
        follows.world.pass(second(152));
        prop_assert_eq!(outcome(&waits.world), outcome(&follows.world));
        prop_assert!(waits.world.snapshot().waiting.is_none());
        let Forecast { services, .. } = forecast(&mut waits.world);
        prop_assert!(services.iter().all(|planned| planned.does == Does::None), "{:?}", services);
    }
}

fn sorted(mut ids: Vec<ServiceId>) -> Vec<ServiceId> {
    ids.sort();
    ids
}
