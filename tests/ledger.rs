//! The ledger with the real catalog: whatever happened on the way, only the disk counts in the end.

// A test that fails may panic wherever it does.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::catalog::{Content, Ledger, Reading, Role, Settled, SourceFile, Surroundings};
use pilotlight::domain::{Kind, Moment, Service};
use pilotlight::sources::parse;
use proptest::prelude::*;

fn at(millis: u64) -> Moment {
    Moment::at(Duration::from_millis(1_000_000 + millis))
}

fn content(name: &Arc<str>, text: &str) -> Content {
    if text.trim().is_empty() {
        return Content::Empty;
    }
    match parse(name, text) {
        Ok(node) => Content::Parsed(Arc::new(node), text.into()),
        Err(problem) => Content::Broken(problem),
    }
}

fn reading<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Reading {
    let files = files.into_iter().map(|(name, text)| {
        let role = if name == "services.json" { Role::Main } else { Role::DropIn };
        let (name, path): (Arc<str>, _) = (name.into(), PathBuf::from("/c").join(name));
        Arc::new(SourceFile { content: content(&name, text), name, path, role })
    });
    let surroundings = Surroundings { root: "/c".into(), python: "python3".into(), ..Surroundings::default() };
    Reading {
        files: files.collect(),
        surroundings: Arc::new(surroundings),
        unlisted: false,
        order: 0,
        problems: Vec::new(),
        cause: "a test".to_owned(),
    }
}

fn see<'a>(ledger: &mut Ledger, now: u64, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settled {
    ledger.take(at(now), reading(files));
    ledger.settle(at(now))
}

fn messages(settled: &Settled) -> Vec<&str> {
    settled.resolution.problems.iter().map(|problem| problem.message.as_str()).collect()
}

/// Id and program of each service, by id.
fn programs(settled: &Settled) -> Vec<String> {
    let program = |service: &Service| match &service.kind {
        Kind::Process(spawn) => format!("{} = {}", service.id, spawn.argv.join(" ")),
        Kind::External | Kind::Detached | Kind::Settings => format!("{} runs nothing", service.id),
    };
    let mut programs: Vec<_> =
        settled.resolution.catalog.services.iter().map(|service| program(service.as_ref())).collect();
    programs.sort();
    programs
}

const X: &str = r#"[{"id": "x", "command": "one"}]"#;
const X_AND_Y: &str = r#"[{"id": "x", "command": "one"}, {"id": "y", "command": "two"}]"#;
const Y: &str = r#"[{"id": "y", "command": "two"}]"#;

#[test]
fn a_renamed_source_changes_no_service_and_is_no_error() {
    let mut ledger = Ledger::default();
    let before = see(&mut ledger, 0, [("services.d/a.json", X_AND_Y)]);
    let after = see(&mut ledger, 1, [("services.d/b.json", X_AND_Y)]);
    assert_eq!(messages(&after), Vec::<&str>::new());
    assert_eq!(programs(&before), programs(&after));
    assert_eq!((after.unsettled, ledger.next_deadline()), (false, None));
}

#[test]
fn a_source_that_is_split_changes_no_service_at_any_time() {
    let mut ledger = Ledger::default();
    let before = see(&mut ledger, 0, [("services.d/a.json", X_AND_Y)]);
    for (now, files) in
        [(1, vec![("services.d/b.json", X)]), (900, vec![("services.d/b.json", X), ("services.d/c.json", Y)])]
    {
        let after = see(&mut ledger, now, files);
        assert_eq!(messages(&after), Vec::<&str>::new());
        assert_eq!(programs(&before), programs(&after));
    }
}

#[test]
fn of_an_id_that_stands_twice_the_one_in_use_stays_until_its_source_loses_it() {
    let mut ledger = Ledger::default();
    let other = r#"[{"id": "x", "command": "other"}]"#;
    see(&mut ledger, 0, [("services.d/m.json", X)]);
    let both = see(&mut ledger, 1, [("services.d/a.json", other), ("services.d/m.json", X)]);
    assert_eq!(programs(&both), ["x = one"]);
    assert_eq!(messages(&both).len(), 1);
    let lost = see(&mut ledger, 2, [("services.d/a.json", other), ("services.d/m.json", "[]")]);
    assert_eq!(programs(&lost), ["x = other"]);
    assert_eq!(messages(&lost), Vec::<&str>::new());
}

#[test]
fn of_an_id_that_stands_twice_the_one_in_use_stays_while_its_source_is_saved() {
    let mut ledger = Ledger::default();
    let other = r#"[{"id": "x", "command": "other"}]"#;
    let both = [("services.d/a.json", X), ("services.d/m.json", other)];
    see(&mut ledger, 0, both);
    for (now, files) in [(10, &both[1..]), (20, &both[..]), (30, &both[1..])] {
        let settled = see(&mut ledger, now, files.iter().copied());
        assert_eq!(programs(&settled), ["x = one"], "{now}");
    }
    assert_eq!(programs(&ledger.settle(at(2030))), ["x = other"]);
}

#[test]
fn one_service_that_is_wrong_keeps_its_last_good_definition() {
    let mut ledger = Ledger::default();
    see(&mut ledger, 0, [("services.json", X_AND_Y)]);
    let wrong = r#"[{"id": "x", "command": 7}, {"id": "y", "command": "new"}]"#;
    let settled = see(&mut ledger, 1, [("services.json", wrong)]);
    assert_eq!(programs(&settled), ["x = one", "y = new"]);
    let [problem] = settled.resolution.problems.as_slice() else { panic!("one problem: {settled:?}") };
    assert_eq!(problem.excerpt.as_deref(), Some(wrong));
}

#[test]
fn half_written_files_change_nothing() {
    let mut ledger = Ledger::default();
    let before = see(&mut ledger, 0, [("services.json", X_AND_Y)]);
    for length in 0..X_AND_Y.len() {
        let settled = see(&mut ledger, length as u64, [("services.json", &X_AND_Y[..length])]);
        assert_eq!(settled.resolution.catalog, before.resolution.catalog);
        assert_eq!((messages(&settled), settled.unsettled), (Vec::new(), true));
    }
    let after = see(&mut ledger, 999, [("services.json", X_AND_Y)]);
    assert_eq!((after.resolution.catalog, after.unsettled), (before.resolution.catalog, false));
}

const NAMES: [&str; 3] = ["services.json", "services.d/a.json", "services.d/b.json"];

/// The text of a source that defines some services, each in one of several ways.
fn good() -> impl Strategy<Value = String> {
    let id = || prop::sample::select(vec!["u", "v", "w", "x"]);
    let service = (0..3_u8, prop::option::of(prop::sample::select(vec!["u", "v"])));
    prop::collection::btree_map(id(), service, 0..3).prop_map(|services| {
        let services = services.into_iter().map(|(id, (variant, needs))| {
            let needs: Vec<_> = needs.into_iter().collect();
            serde_json::json!({"id": id, "command": format!("p{variant}"), "depends_on": needs})
        });
        serde_json::to_string_pretty(&services.collect::<Vec<_>>()).unwrap()
    })
}

/// A file at some time while it is being saved.
fn on_the_way() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        3 => good().prop_map(Some),
        2 => (good(), any::<prop::sample::Index>()).prop_map(|(text, at)| Some(text[..at.index(text.len())].to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn once_the_disk_is_good_the_past_is_forgotten(
        steps in prop::collection::vec((prop::collection::vec(on_the_way(), NAMES.len()), 0..1500_u64), 0..8),
        last in prop::collection::vec(prop::option::of(good()), NAMES.len()),
    ) {
        // Who has an id that stands twice, and who keeps what is not valid, does depend on the past.
        let mut fresh = Ledger::default();
        let files = |disk: &[Option<String>]| -> Vec<(&'static str, String)> {
            NAMES.into_iter().zip(disk).filter_map(|(name, text)| Some((name, text.clone()?))).collect()
        };
        let view = |files: &[(&'static str, String)]| reading(files.iter().map(|(name, text)| (*name, text.as_str())));
        let final_files = files(&last);
        fresh.take(at(0), view(&final_files));
        let expected = fresh.settle(at(0));
        prop_assume!(expected.resolution.problems.is_empty());

        let (mut ledger, mut now) = (Ledger::default(), 0);
        for (disk, span) in steps {
            ledger.take(at(now), view(&files(&disk)));
            ledger.settle(at(now));
            now += span;
            while let Some(deadline) = ledger.next_deadline().filter(|deadline| *deadline <= at(now)) {
                ledger.settle(deadline);
            }
        }
        ledger.take(at(now), view(&final_files));
        let mut settled = ledger.settle(at(now));
        while let Some(deadline) = ledger.next_deadline() {
            settled = ledger.settle(deadline);
        }
        prop_assert_eq!(settled.resolution.catalog, expected.resolution.catalog);
        prop_assert_eq!(settled.resolution.problems, expected.resolution.problems);
        prop_assert!(!settled.unsettled);
    }
}
