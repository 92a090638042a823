//! What is wrong keeps its last good definition; what needs what it can't have is told.

use std::sync::Arc;

use pilotlight::domain::catalog::{InUse, Resolution, SourceFile, resolve};
use pilotlight::domain::{Kind, Problem, Severity};
use proptest::prelude::*;

use super::sources::{drop_in, environment, errors, main_file, problems, resolved, service, spawn, surroundings};

fn then(before: &Resolution, files: &[Arc<SourceFile>]) -> Resolution {
    resolve(files, &surroundings(), &before.in_use)
}

fn ids(resolution: &Resolution) -> Vec<&str> {
    resolution.catalog.services.ids().map(|id| id.as_str()).collect()
}

fn needs<'r>(resolution: &'r Resolution, id: &str) -> Vec<&'r str> {
    service(resolution, id).depends_on.iter().map(|need| need.id.as_str()).collect()
}

const GOOD: &str = r#"[{"id": "a", "command": ["a"], "port_env": "A_PORT", "default_port": 1},
    {"id": "b", "command": ["b"], "depends_on": ["a"], "env": {"A": "$A_PORT"}}]"#;

#[test]
fn a_service_that_is_not_valid_stays_what_it_was_and_so_do_its_exports() {
    let good = resolved(&[main_file(GOOD)]);
    assert_eq!(good.problems, []);
    let bad = then(&good, &[main_file(&GOOD.replace(r#""default_port": 1"#, r#""default_port": "1""#))]);
    assert_eq!(errors(&bad).len(), 1);
    assert_eq!(bad.catalog, good.catalog, "nothing else has changed");
    assert_eq!(bad.in_use, good.in_use);
    let edited = GOOD.replace(r#""default_port": 1"#, r#""default_port": {}"#).replace(r#"["b"]"#, r#"["b", "new"]"#);
    let edited = then(&bad, &[main_file(&edited)]);
    assert_eq!(spawn(&edited, "b").argv, ["b", "new"], "the other service of the file goes on");
    assert_eq!(environment(&edited, "b")["A"], "1");
    let repaired = then(&edited, &[main_file(&GOOD.replace(": 1}", ": 2}"))]);
    assert_eq!(repaired.problems, []);
    assert_eq!(environment(&repaired, "b")["A"], "2");
}

#[test]
fn what_was_never_good_is_absent_but_not_removed() {
    let resolution =
        resolved(&[main_file(r#"[{"id": "a", "command": 5}, {"id": "b", "command": ["b"], "depends_on": ["a"]}]"#)]);
    assert_eq!(ids(&resolution), [""; 0]);
    assert_eq!(resolution.invalid.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(errors(&resolution)[1].ends_with("it depends on \"a\", which is not valid"), "{:?}", errors(&resolution));
    let gone = then(&resolved(&[main_file(GOOD)]), &[main_file("[]")]);
    assert!(gone.catalog.services.is_empty() && gone.invalid.is_empty() && gone.in_use.services.is_empty());
}

#[test]
fn the_source_that_holds_an_id_keeps_it_until_it_loses_it() {
    let mine = r#"{"id": "x", "command": ["second"]}"#;
    let (first, second) = (drop_in("a.json", r#"{"id": "x", "command": ["first"]}"#), drop_in("b.json", mine));
    let only_second = resolved(std::slice::from_ref(&second));
    let both = then(&only_second, &[first.clone(), second.clone()]);
    assert_eq!(spawn(&both, "x").argv, ["second"]);
    assert_eq!(errors(&both), ["services.d/a.json:1:8: the id \"x\" is used twice: services.d/b.json:1:8 defines it"]);
    let broken_second = drop_in("b.json", r#"{"id": "x", "command": 5}"#);
    assert_eq!(spawn(&then(&both, &[first.clone(), broken_second]), "x").argv, ["second"]);
    let lost = then(&both, &[first.clone(), drop_in("b.json", "{}")]);
    assert_eq!(spawn(&lost, "x").argv, ["first"]);
    assert_eq!(lost.problems, []);
    assert_eq!(spawn(&then(&lost, &[first, second]), "x").argv, ["first"]);
}

#[test]
fn who_needs_what_is_gone_stays_and_is_told() {
    let good = resolved(&[main_file(GOOD)]);
    let without = r#"[{"id": "b", "command": ["b", "new"], "depends_on": ["a"]}, {"id": "c", "command": ["c"], "depends_on": ["d"]}]"#;
    let now = then(&good, &[main_file(without)]);
    assert_eq!(ids(&now), ["b"]);
    assert_eq!(spawn(&now, "b").argv, ["b"]);
    assert_eq!(needs(&now, "b"), ["a"], "it waits for what it needs, and is not let run without");
    assert_eq!(
        errors(&now),
        ["services.json:1:54: there is no service \"a\"", "services.json:1:106: there is no service \"d\""]
    );
    assert_eq!(needs(&then(&now, &[main_file(GOOD)]), "b"), ["a"]);
}

#[test]
fn a_circle_is_spelled_out_and_costs_those_in_it_and_behind_it() {
    let text = r#"[{"id": "a", "command": ["x"], "depends_on": ["b"]}, {"id": "b", "command": ["x"], "depends_on": ["c"]},
      {"id": "c", "command": ["x"], "depends_on": ["a"]}, {"id": "d", "command": ["x"], "depends_on": ["a"]},
      {"id": "e", "command": ["x"], "depends_on": ["e"]}, {"id": "f", "command": ["x"]}]"#;
    let resolution = resolved(&[main_file(text)]);
    assert_eq!(ids(&resolution), ["f"]);
    assert_eq!(
        errors(&resolution),
        [
            "services.json:1:47: the dependencies form a circle: a → b → c → a",
            "services.json:1:99: the dependencies form a circle: a → b → c → a",
            "services.json:2:52: the dependencies form a circle: a → b → c → a",
            "services.json:2:104: it depends on \"a\", which is not valid",
            "services.json:3:52: the dependencies form a circle: e → e",
        ]
    );
}

#[test]
fn a_circle_that_an_edit_closes_leaves_everyone_what_they_were() {
    let good = resolved(&[main_file(GOOD)]);
    let closed = GOOD.replace(r#"["a"], "port_env""#, r#"["a", "new"], "depends_on": ["b"], "port_env""#);
    let now = then(&good, &[main_file(&closed), drop_in("c.json", r#"{"command": ["c"], "depends_on": ["a"]}"#)]);
    assert_eq!(errors(&now).len(), 2);
    assert_eq!(ids(&now), ["a", "b", "c"], "a newcomer can need what has stayed");
    assert_eq!(spawn(&now, "a").argv, ["a"]);
    assert_eq!(needs(&now, "b"), ["a"]);
}

#[test]
fn a_long_knot_of_circles_is_told_briefly_and_quickly() {
    let services: Vec<_> = (0..600)
        .map(|at| {
            format!(
                r#"{{"id": "s{at}", "command": ["x"], "depends_on": ["s{}", "s{}"]}}"#,
                (at + 1) % 600,
                (at + 7) % 600
            )
        })
        .collect();
    let resolution = resolved(&[main_file(&format!("[{}]", services.join(",\n")))]);
    assert_eq!(errors(&resolution).len(), 600);
    assert!(errors(&resolution).iter().all(|error| error.len() < 300));
    let chain: Vec<_> =
        (0..600).map(|at| format!(r#"{{"id": "s{at}", "command": ["x"], "depends_on": ["s{}"]}}"#, at + 1)).collect();
    assert_eq!(errors(&resolved(&[main_file(&format!("[{}]", chain.join(",\n")))])).len(), 600);
}

#[test]
fn an_env_file_that_nobody_has_looked_at_yet_changes_nothing_in_use() {
    let text = |file: &str| format!(r#"[{{"id": "a", "command": ["a"], "env_file": "{file}"}}]"#);
    let mut with_file = surroundings();
    let lines = vec![("X".to_owned(), "1".to_owned(), 1)];
    with_file.env_files.insert(with_file.root.join("a.env"), Ok(lines));
    let good = resolve(&[main_file(&text("a.env"))], &with_file, &InUse::default());
    assert_eq!(environment(&good, "a")["X"], "1");
    let unread = then(&good, &[main_file(&text("a.env"))]);
    assert_eq!(unread.catalog, good.catalog);
    assert_eq!(unread.env_files, good.env_files);
    assert_eq!(unread.problems, []);
}

#[test]
fn the_agents_settings_stay_where_they_are_wrong() {
    let good = resolved(&[main_file(r#"{"agent": {"stop_on_exit": false, "notifications": {"enabled": false}}}"#)]);
    let bad = then(&good, &[main_file(r#"{"agent": {"stop_on_exit": "no", "notifications": {"enabled": true}}}"#)]);
    assert!(!bad.catalog.agent.stop_on_exit && bad.catalog.agent.notifications);
    assert_eq!(errors(&bad).len(), 1);
    assert!(then(&bad, &[main_file("{}")]).catalog.agent.stop_on_exit);
}

#[test]
fn an_override_changes_single_keys_from_elsewhere_and_is_blamed_for_them() {
    let patch =
        r#"{"overrides": {"b": {"env": {"A": null, "B": "1"}, "command": ["b", "patched"], "id": "z"}, "bb": {}}}"#;
    let resolution = resolved(&[main_file(GOOD), drop_in("local.json", patch)]);
    assert_eq!(errors(&resolution), [""; 0]);
    assert_eq!(spawn(&resolution, "b").argv, ["b", "patched"]);
    assert_eq!(spawn(&resolution, "b").env.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!(needs(&resolution, "b"), ["a"]);
    assert_eq!(
        problems(&resolution, Severity::Note),
        [
            "services.d/local.json:1:81: an override can't change the id",
            "services.d/local.json:1:93: there is no service \"bb\" to override",
        ]
    );
    let wrong =
        then(&resolution, &[main_file(GOOD), drop_in("local.json", r#"{"overrides": {"b": {"tags": 5}, "a": 5}}"#)]);
    assert_eq!(spawn(&wrong, "b").argv, ["b", "patched"]);
    assert_eq!(
        errors(&wrong),
        [
            "services.d/local.json:1:30: \"tags\" must be a list, but is text".replace("text", "a number"),
            "services.d/local.json:1:39: an override must be an object, but is a number".to_owned(),
        ]
    );
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    static WORDS: [&str; 14] = [
        "a",
        "b",
        "$U",
        "${PORT}",
        "{port}",
        "/x",
        "http://x",
        "2s",
        "python-web",
        "node",
        "docker",
        "",
        "\0",
        "{args}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        prop_oneof![-5i64..100_000, any::<i64>()].prop_map(Into::into),
        proptest::sample::select(&WORDS[..]).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::vec((proptest::sample::select(&KEYS[..]), inner), 0..6)
                .prop_map(|entries| { entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect() }),
        ]
    })
}

static KEYS: [&str; 34] = [
    "id",
    "a",
    "b",
    "U",
    "services",
    "types",
    "type",
    "command",
    "args",
    "module",
    "env",
    "env_file",
    "depends_on",
    "health",
    "http",
    "tcp",
    "exec",
    "status",
    "settings",
    "values",
    "key",
    "default",
    "port",
    "base_url",
    "base_url_env",
    "port_env",
    "default_port",
    "restart",
    "stop",
    "overrides",
    "pixsim",
    "service",
    "agent",
    "shell",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever two readings say, the catalog is sound: needs are met, and what is spawned names a program.
    #[test]
    fn whatever_sources_say_the_catalog_is_sound(
        services in proptest::collection::vec((0..4u8, value(), value()), 0..6), first in value(), second in value(),
    ) {
        let list: Vec<_> = services
            .iter()
            .map(|(id, env, keys)| {
                let mut service = serde_json::json!({"id": format!("s{id}"), "command": ["x"], "env": env,
                    "base_url_env": "U", "depends_on": [format!("s{}", (id + 1) % 4)]});
                if let (Some(service), Some(keys)) = (service.as_object_mut(), keys.as_object()) {
                    service.extend(keys.clone());
                }
                service
            })
            .collect();
        let list = main_file(&serde_json::Value::from(list).to_string());
        let mut before = Resolution::default();
        for files in [
            vec![list.clone(), drop_in("x.json", &first.to_string())],
            vec![list, drop_in("x.json", &second.to_string())],
            vec![drop_in("x.json", &first.to_string()), drop_in("y.json", &second.to_string())],
        ] {
            let now = then(&before, &files);
            for service in now.catalog.services.iter() {
                let id = &service.id;
                prop_assert_eq!(id, &service.id);
                // A last good definition may wait for what is gone; then its service is told to be wrong.
                let is_wrong = |problem: &Problem| {
                    problem.service.as_ref() == Some(id) && problem.severity == Severity::Error
                };
                for need in &service.depends_on {
                    let is_there = now.catalog.services.contains(&need.id);
                    prop_assert!(is_there || now.problems.iter().any(is_wrong), "{} lacks {}", id, need.id);
                }
                if let Kind::Process(spawn) = &service.kind {
                    prop_assert!(spawn.argv.first().is_some_and(|program| !program.is_empty()));
                    prop_assert!(spawn.cwd.is_absolute());
                    let texts = spawn.argv.iter().chain(spawn.env.keys()).chain(spawn.env.values().flatten());
                    prop_assert!(texts.into_iter().all(|text| !text.contains('\0')));
                    prop_assert!(spawn.env.keys().all(|name| !name.is_empty() && !name.contains('=')));
                }
                prop_assert!(!now.invalid.contains(id));
            }
            prop_assert_eq!(now.catalog.services.len(), now.in_use.services.len());
            let again = then(&now, &files);
            prop_assert_eq!(&again.catalog, &now.catalog, "reading the same again changes nothing");
            // A service is held back, without being judged again, while nobody has looked at its env_file. Whoever reads
            // sources looks at all of them first; here nobody does.
            if now.env_files.is_empty() {
                prop_assert_eq!(&again.problems, &now.problems);
            }
            before = now;
        }
    }
}
