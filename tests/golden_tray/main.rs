//! What the tray shows of a set of snapshots, as text that a person can review.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../support/picture.rs"]
mod picture;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use pilotlight::domain::{
    Action, Blocker, Command, Group, HealthState, Kind, Light, Place, Problem, ProcessState, Snapshot, Waiting,
};
use pilotlight::engine::StateDir;
use pilotlight::tray::{Choice, Cost, Costs, Item, ItemKind, Places, TrayModel};

use picture::{define, id, picture, view};

#[test]
fn nothing_there_is_gray_and_offers_only_what_has_a_target() {
    insta::assert_snapshot!(shown(&Snapshot::empty(), &Costs::new()));
}

#[test]
fn a_day_in_the_office_has_headings_states_ports_and_the_worst_first() {
    let mut db = view("db", "Database", ProcessState::Failed, HealthState::Stopped, Light::Red);
    db.reason = "exited with code 1".to_owned();
    let mut api = view("main-api", "Main API", ProcessState::Waiting, HealthState::Stopped, Light::Yellow);
    api.reason = "waits for db".to_owned();
    api.blocked_by = vec![Blocker { id: id("db"), reason: "failed".to_owned() }];
    define(&mut api).port = Some(8000);
    define(&mut api).url = Some("http://localhost:8000".to_owned());
    let mut web = view("web", "Frontend", ProcessState::Running, HealthState::Healthy, Light::Green);
    web.pid = Some(77);
    web.reason = "healthy".to_owned();
    define(&mut web).port = Some(5173);
    define(&mut web).url = Some("ftp://localhost".to_owned());
    let action = |name: &str, confirm| Action { name: name.to_owned(), argv: vec!["x".to_owned()], confirm }.into();
    define(&mut web).actions = vec![action("Clear _cache", false), action("Wipe\nall", true)];
    let mut worker = view("worker", "Worker", ProcessState::Stopped, HealthState::Stopped, Light::Gray);
    worker.wanted = false;
    let mut outside = view("mail", "Mail", ProcessState::Running, HealthState::Healthy, Light::Green);
    define(&mut outside).kind = Kind::External;
    for (view, group) in [(&mut db, "infra"), (&mut api, "core"), (&mut web, "core"), (&mut outside, "undeclared")] {
        define(view).display.group = Some(group.to_owned());
    }
    let mut disabled = view("old", "Old", ProcessState::Stopped, HealthState::Stopped, Light::Gray);
    define(&mut disabled).enabled = false;
    define(&mut disabled).actions = vec![action("Clear", false)];
    (disabled.wanted, disabled.reason) = (false, "disabled in services.d/old.json:3:14".to_owned());
    define(&mut disabled).port = Some(9000);
    let mut uncounted = view("platform", "Platform", ProcessState::Stopped, HealthState::Stopped, Light::Gray);
    uncounted.counted = false;
    let mut snapshot = picture(vec![worker, web, api, db, outside, disabled, uncounted]);
    snapshot.groups = ["core", "infra", "empty"]
        .map(|key| Group { key: key.to_owned(), name: format!("The {key} group"), icon: None })
        .into();
    snapshot.summary = "2 of 4 healthy".to_owned();
    let costs = BTreeMap::from([
        (id("web"), Cost { cpu_percent: Some(0.52), memory_bytes: 123_456_789 }),
        (id("db"), Cost { cpu_percent: Some(1.0), memory_bytes: 1 }),
    ]);
    insta::assert_snapshot!(shown(&snapshot, &costs));
}

#[test]
fn problems_are_named_with_their_file_and_notes_are_not() {
    let file = |name: &str| Place { file: name.into(), line: 3, column: 9 };
    let mut lines = String::new();
    for problems in [
        vec![Problem::note(&file("a.json"), "unknown key")],
        vec![Problem::error(&file("services.d/x.json"), "expected a comma")],
        vec![
            Problem::error(&file("services.d/x.json"), "expected a comma"),
            Problem::warning(&file("services.d/x.json"), "odd"),
        ],
        vec![
            Problem::error(&file("services.d/x.json"), "expected a comma"),
            Problem::error(&file("/far/y.json"), "odd"),
        ],
        vec![Problem::error(&file("/far/y.json"), "odd"), Problem::note(&file("a.json"), "unknown key")],
        vec![Problem { place: None, ..Problem::error(&file("x"), "no such profile: dev") }],
    ] {
        let mut snapshot = picture(vec![view("web", "Web", ProcessState::Running, HealthState::Healthy, Light::Green)]);
        snapshot.light = Light::Yellow;
        snapshot.problems = problems.into();
        let model = TrayModel::of(&snapshot, &places(), &Costs::new());
        let line = &model.menu[1];
        writeln!(lines, "{}\n    {}{}\n    {:?}", model.menu[0].label, seen(line), line.label, line.choice).unwrap();
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn changes_that_wait_are_told_and_can_be_applied_and_else_there_is_nothing_to_apply() {
    let mut snapshot = picture(vec![view("web", "Web", ProcessState::Running, HealthState::Healthy, Light::Green)]);
    let shown = |snapshot: &Snapshot| {
        let model = TrayModel::of(snapshot, &places(), &Costs::new());
        let apply = model.menu.iter().find(|item| item.label == "Apply changes").unwrap().clone();
        (model.text, apply.visible, apply.choice)
    };
    let wish = Some(Choice::Wish(Command::Reload));
    assert_eq!(shown(&snapshot), ("1 of 1 healthy".to_owned(), false, wish.clone()));
    let waits =
        Waiting { services: vec![id("web"), id("new")], frame: false, text: "removed web; added new".to_owned() };
    snapshot.waiting = Some(Arc::new(waits));
    assert_eq!(shown(&snapshot), ("1 of 1 healthy\nchanges of 2 services wait".to_owned(), true, wish));
}

#[test]
fn foreign_text_is_bounded_and_steers_nothing() {
    let mut wild =
        view("wild_one", "wi\u{1b}[31mld_<b>\u{202e}&\nline", ProcessState::Failed, HealthState::Stopped, Light::Red);
    wild.reason = "no such file:\n\u{7}".to_owned() + &"very ".repeat(100) + "long";
    let nameless = view("nameless", " \u{0}\t ", ProcessState::Running, HealthState::Unknown, Light::Yellow);
    insta::assert_snapshot!(shown(&picture(vec![wild, nameless]), &Costs::new()));
}

#[test]
fn the_state_is_one_word_for_process_and_health() {
    let mut words = String::new();
    for process in ProcessState::ALL {
        for health in [
            HealthState::Stopped,
            HealthState::Starting,
            HealthState::Healthy,
            HealthState::Degraded,
            HealthState::Unhealthy,
            HealthState::Unknown,
        ] {
            if process != ProcessState::Running && health != HealthState::Stopped {
                continue;
            }
            let model =
                TrayModel::of(&picture(vec![view("s", "S", process, health, Light::Gray)]), &places(), &Costs::new());
            writeln!(words, "{:>9} {:>9}  {}", process.as_str(), health.as_str(), model.menu[4].label).unwrap();
        }
    }
    insta::assert_snapshot!(words);
}

#[test]
fn the_same_set_of_services_keeps_its_places_whatever_happens_to_it() {
    let running = view("a", "A", ProcessState::Running, HealthState::Healthy, Light::Green);
    let mut failed = view("a", "Renamed", ProcessState::Failed, HealthState::Stopped, Light::Red);
    failed.pid = Some(7);
    failed.wanted = false;
    define(&mut failed).url = Some("http://localhost:1".to_owned());
    let mut later = picture(vec![failed]);
    later.problems = vec![Problem::error(&Place { file: "x.json".into(), line: 1, column: 1 }, "broken")].into();
    later.notifications_paused = true;
    later.waiting = Some(Arc::new(Waiting { services: vec![id("a")], frame: false, text: String::new() }));
    let model = |snapshot: &Snapshot| TrayModel::of(snapshot, &places(), &Costs::new());
    let (now, later) = (model(&picture(vec![running.clone()])), model(&later));
    assert!(now.is_same_set(&later) && now.is_same_shape(&later));

    let other = model(&picture(vec![view("b", "A", ProcessState::Running, HealthState::Healthy, Light::Green)]));
    assert!(!now.is_same_set(&other) && now.is_same_shape(&other));

    let two = model(&picture(vec![running, view("b", "B", ProcessState::Running, HealthState::Healthy, Light::Green)]));
    assert!(!now.is_same_set(&two) && !now.is_same_shape(&two));
}

#[test]
fn what_is_disabled_is_listed_and_only_read_whatever_was_wished() {
    let mut old = view("old", "Old", ProcessState::Stopped, HealthState::Stopped, Light::Gray);
    define(&mut old).enabled = false;
    let model = |view| TrayModel::of(&picture(vec![view]), &places(), &Costs::new());
    let disabled = model(old.clone());
    let entry = |label: &str| disabled.menu.iter().find(|item| item.label == label).expect("it is there");
    let switch = entry("Old — disabled");
    assert_eq!((&switch.kind, &switch.choice, switch.visible), (&ItemKind::Check(false), &None, true));
    assert!(!entry("Start all").visible && !entry("Stop all").visible);
    define(&mut old).enabled = true;
    assert!(disabled.is_same_set(&model(old)), "it keeps its place when it is enabled");
}

#[test]
fn without_an_opener_nothing_is_offered_to_be_opened() {
    let mut snapshot = picture(vec![view("a", "A", ProcessState::Running, HealthState::Healthy, Light::Green)]);
    snapshot.problems = vec![Problem::error(&Place { file: "x.json".into(), line: 1, column: 1 }, "broken")].into();
    let places = Places { opener: false, ..places() };
    insta::assert_snapshot!(render(&TrayModel::of(&snapshot, &places, &Costs::new())));
}

fn places() -> Places {
    Places {
        sources: "/home/me/project".into(),
        drop_ins: "/home/me/project/services.d".into(),
        state: StateDir::new("/state"),
        opener: true,
    }
}

fn shown(snapshot: &Snapshot, costs: &Costs) -> String {
    render(&TrayModel::of(snapshot, &places(), costs))
}

fn render(model: &TrayModel) -> String {
    let mut text = format!("light: {}\ntooltip: {}\n", model.light.as_str(), model.title);
    model.text.lines().for_each(|line| writeln!(text, "         {line}").unwrap());
    model.menu.iter().for_each(|item| print(&mut text, item, 0));
    text
}

fn print(text: &mut String, item: &Item, depth: usize) {
    if !item.visible {
        return;
    }
    let indent = "    ".repeat(depth);
    let does = item.choice.as_ref().map(|choice| format!("  => {choice:?}")).unwrap_or_default();
    let light = item.light.map(|light| format!("({}) ", light.as_str())).unwrap_or_default();
    writeln!(text, "{indent}{}{light}{}{does}", seen(item), item.label).unwrap();
    item.children().iter().for_each(|child| print(text, child, depth + 1));
}

fn seen(item: &Item) -> &'static str {
    match (&item.kind, item.visible) {
        (_, false) => "(not seen) ",
        (ItemKind::Plain, true) => "",
        (ItemKind::Check(true), true) => "[x] ",
        (ItemKind::Check(false), true) => "[ ] ",
        (ItemKind::Submenu(_), true) => "> ",
        (ItemKind::Separator, true) => "----",
    }
}

#[test]
fn an_action_that_needs_a_yes_is_run_by_the_second_click_alone() {
    let mut web = view("web", "Web", ProcessState::Running, HealthState::Healthy, Light::Green);
    let action = |name: &str, confirm| Action { name: name.to_owned(), argv: vec!["x".to_owned()], confirm }.into();
    define(&mut web).actions = vec![action("seed", false), action("wipe", true)];
    let model = TrayModel::of(&picture(vec![web]), &places(), &Costs::new());
    let mut entries = Vec::new();
    let mut open = model.menu.iter().collect::<Vec<_>>();
    while let Some(item) = open.pop() {
        open.extend(item.children());
        entries.push(item);
    }
    let choice = |label: &str| entries.iter().find(|item| item.label == label).expect("it is there").choice.clone();
    let runs = |name: &str| {
        let wish = Command::RunAction { id: id("web"), name: name.to_owned(), is_unseen: true };
        Some(Choice::Wish(wish))
    };
    assert_eq!((choice("seed"), choice("wipe"), choice("Really: wipe")), (runs("seed"), None, runs("wipe")));
}
