//! Who gives which variable, who wins, and what names expand to.

use std::path::PathBuf;
use std::sync::Arc;

use pilotlight::domain::catalog::{InUse, Resolution, SourceFile, Surroundings, env_files_of, resolve};
use pilotlight::domain::{Check, Severity};

use super::sources::{ROOT, drop_in, environment, errors, main_file, problems, resolved, service, spawn, surroundings};

fn one(keys: &str) -> Arc<SourceFile> {
    main_file(&format!(r#"{{"id": "a", "command": ["a"], {keys}}}"#))
}

fn warnings(resolution: &Resolution) -> Vec<String> {
    problems(resolution, Severity::Warning)
}

#[test]
fn the_stronger_gives_the_variable() {
    let mut surroundings = surroundings();
    let env = PathBuf::from(ROOT).join("a.env");
    let lines = ["V4", "V5", "V6", "V7"].map(|name| (name.to_owned(), "env_file".to_owned(), 1));
    surroundings.env_files.insert(env.clone(), Ok(lines.to_vec()));
    surroundings.dotenv =
        ["V1", "V2", "V3", "V4", "V5", "V6", "V7"].map(|name| (name.into(), ".env".into(), 1)).to_vec();
    let files = [
        main_file(
            r#"{"types": {"t": {"env": {"V3": "type", "V4": "type", "V5": "type", "V6": "type", "V7": "type"}}},
            "services": [{"id": "a", "type": "t", "command": ["a"], "env_file": "a.env",
                "settings": [{"key": "k", "default": "map", "env_map": "V5"}, {"key": "l", "default": "map", "env_map": "V6"}],
                "env": {"V6": "env", "V7": "env"}, "env_overrides": {"V7": "overrides"}}]}"#,
        ),
        drop_in(
            "b.json",
            r#"{"id": "b", "type": "platform", "settings": [
                {"key": "2", "default": "export", "env_export": "V2"}, {"key": "3", "default": "export", "env_export": "V3"}]}"#,
        ),
    ];
    let resolution = resolve(&files, &surroundings, &InUse::default());
    assert_eq!(errors(&resolution), [""; 0]);
    assert_eq!(resolution.env_files, [env]);
    assert_eq!(env_files_of(&files, &surroundings), resolution.env_files);
    assert_eq!(env_files_of(&files[1..], &surroundings), [""; 0].map(PathBuf::from));
    let environment = environment(&resolution, "a");
    for (name, from) in [
        ("V1", ".env"),
        ("V2", "export"),
        ("V3", "type"),
        ("V4", "env_file"),
        ("V5", "map"),
        ("V6", "env"),
        ("V7", "overrides"),
    ] {
        assert_eq!(environment[name], from, "{name}");
    }
    let own = &spawn(&resolution, "a").env;
    assert!(!own.contains_key("V1") && !own.contains_key("V2"), "what others give is not its own");
}

#[test]
fn null_removes_and_values_need_not_be_text() {
    let resolution = resolved(&[one(r#""env": {"A": null, "B": 1, "C": true, "D": 1.50, "E": ""}"#)]);
    let env = &spawn(&resolution, "a").env;
    assert_eq!(env["A"], None);
    for (name, value) in [("B", "1"), ("C", "true"), ("D", "1.50"), ("E", "")] {
        assert_eq!(env[name].as_deref(), Some(value));
    }
}

#[test]
fn the_own_port_comes_from_the_strongest_that_gives_one() {
    let mut with_variable = surroundings();
    with_variable.environment.insert("A_PORT".into(), "3".into());
    let port = |keys: &str, surroundings: &Surroundings| {
        let resolution = resolve(&[one(keys)], surroundings, &InUse::default());
        assert_eq!(errors(&resolution), [""; 0], "{keys}");
        service(&resolution, "a").port
    };
    let all = r#""values": {"port": "4"}, "port_env": "A_PORT", "settings": [{"key": "port", "default": 2}], "default_port": 1"#;
    let (values, rest) = all.split_at(r#""values": {"port": "4"}, "#.len());
    assert_eq!(port(all, &with_variable), Some(4), "{values}");
    assert_eq!(port(rest, &with_variable), Some(3));
    assert_eq!(port(rest, &surroundings()), Some(2));
    assert_eq!(port(r#""default_port": 1"#, &surroundings()), Some(1));
    assert_eq!(port(r#""name": "x""#, &surroundings()), None);
    with_variable.environment.insert("A_PORT".into(), "http".into());
    let resolution = resolve(&[one(rest)], &with_variable, &InUse::default());
    assert_eq!(service(&resolution, "a").port, Some(2));
    assert_eq!(warnings(&resolution).len(), 1);
}

#[test]
fn an_own_variable_wins_over_a_listed_one_and_the_first_over_the_second() {
    let files = [main_file(
        r#"[{"id": "a", "command": ["a"], "ports": [{"env": "B_PORT", "default_port": 1}],
                 "settings": [{"key": "s", "default": "a", "env_export": "S"}]},
                {"id": "b", "command": ["b"], "port_env": "B_PORT", "default_port": 2,
                 "settings": [{"key": "s", "default": "b", "env_export": "S"}]},
                {"id": "c", "command": ["c"], "port_env": "B_PORT", "default_port": 3}]"#,
    )];
    let resolution = resolved(&files);
    let shared = &spawn(&resolution, "a").shared_env;
    assert_eq!((&*shared["B_PORT"], &*shared["S"]), ("2", "a"));
    assert_eq!(environment(&resolution, "a")["B_PORT"], "2", "a listed port is another's");
    assert_eq!(environment(&resolution, "c")["B_PORT"], "3", "its own port is its own to know");
    assert_eq!(
        problems(&resolution, Severity::Note),
        [
            "services.json:1:50: \"B_PORT\" is exported by \"b\" as well, and that value counts",
            "services.json:4:74: \"S\" is exported by \"a\" as well, and that value counts",
            "services.json:5:59: \"B_PORT\" is exported by \"b\" as well, and that value counts",
        ]
    );
}

#[test]
fn names_expand_in_values_and_nowhere_else() {
    let mut surroundings = surroundings();
    surroundings.environment.insert("HOME".into(), "/home/u".into());
    surroundings.environment.insert("HOST".into(), "inherited".into());
    surroundings.dotenv.push(("HOST".into(), "box".into(), 1));
    let resolution = resolve(
        &[main_file(
            r#"[{"id": "a", "command": ["a", "$HOME"], "default_port": 80, "base_url": "http://${HOST}:{port}/a",
                 "health": "$A_URL/up?{port}", "base_url_env": "A_URL", "docs_endpoint": "docs",
                 "env": {"X": "$HOME/$PORT/$$HOME/{port}"}, "description": "$HOME",
                 "settings": [{"key": "s", "default": "$HOME", "env_map": "S"}, {"key": "t", "env_map": "T"}],
                 "values": {"t": ["$HOME", "$PORT"]}}]"#,
        )],
        &surroundings,
        &InUse::default(),
    );
    assert_eq!(
        problems(&resolution, Severity::Note),
        [r#"services.json:1:31: nothing is expanded in arguments: "$HOME" stays as it is"#]
    );
    assert_eq!(resolution.problems.len(), 1);
    let a = service(&resolution, "a");
    assert_eq!(spawn(&resolution, "a").argv, ["a", "$HOME"]);
    assert_eq!(a.display.description.as_deref(), Some("$HOME"));
    assert_eq!(a.url.as_deref(), Some("http://box:80/a"));
    assert_eq!(a.docs_url.as_deref(), Some("http://box:80/a/docs"));
    assert!(matches!(&a.probes[0].check, Check::Http { url, .. } if url == "http://box:80/a/up?80"));
    let environment = environment(&resolution, "a");
    for (name, value) in [("X", "/home/u/80/$HOME/{port}"), ("S", "$HOME"), ("T", "/home/u,80")] {
        assert_eq!(environment[name], value, "{name}");
    }
}

#[test]
fn an_unknown_name_is_a_warning_and_drops_what_holds_it() {
    let resolution = resolved(&[one(
        r#""env": {"A": "x$NOPE", "B": "b"}, "base_url": "http://$NOPE", "settings": [{"key": "s", "default": "d", "env_map": "S"}], "values": {"s": "$NOPE"}"#,
    )]);
    assert_eq!(errors(&resolution), [""; 0]);
    assert_eq!(warnings(&resolution).len(), 3, "{:?}", warnings(&resolution));
    assert!(warnings(&resolution)[0].ends_with("nothing is known by the name \"NOPE\"; \"A\" is left out"));
    let environment = environment(&resolution, "a");
    assert_eq!(environment.keys().map(String::as_str).collect::<Vec<_>>(), ["B"]);
    assert_eq!(service(&resolution, "a").url, None);
}

#[test]
fn a_loop_is_an_error_of_the_services_in_it_and_of_no_other() {
    let resolution = resolved(&[main_file(
        r#"[{"id": "a", "command": ["a"], "base_url": "$B", "base_url_env": "A"},
            {"id": "b", "command": ["b"], "base_url": "$C/b", "base_url_env": "B"},
            {"id": "c", "command": ["c"], "settings": [{"key": "u", "env_export": "C"}], "values": {"u": "$B"}},
            {"id": "d", "command": ["d"], "env": {"D": "$A"}}]"#,
    )]);
    assert_eq!(
        errors(&resolution),
        [
            "services.json:2:55: this refers to itself: base_url of b → u of c → base_url of b",
            "services.json:3:106: this refers to itself: base_url of b → u of c → base_url of b",
        ]
    );
    let ids: Vec<_> = resolution.catalog.services.ids().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["a", "d"]);
    assert_eq!(warnings(&resolution).len(), 2, "what refers to the loop has lost its name");
}

#[test]
fn names_that_double_at_each_step_or_go_on_without_end_are_stopped() {
    let links = |count: usize, value: &dyn Fn(usize) -> String| {
        let services: Vec<_> = (0..count)
            .map(|at| {
                format!(r#"{{"id": "s{at}", "command": ["a"], "base_url": "{}", "base_url_env": "U{at}"}}"#, value(at))
            })
            .collect();
        resolved(&[main_file(&format!("[{}]", services.join(",")))])
    };
    let doubling = links(40, &|at| if at == 0 { "0123456789".into() } else { format!("$U{0}$U{0}", at - 1) });
    assert!(warnings(&doubling)[0].contains("would get too long"), "{:?}", warnings(&doubling));
    let endless = links(2000, &|at| if at == 1999 { "x".into() } else { format!("$U{}/y", at + 1) });
    assert!(errors(&endless)[0].contains("through more than 64 steps"), "{:?}", errors(&endless).first());
}

#[test]
fn an_env_file_that_cannot_be_read_is_an_error_of_its_service() {
    let mut surroundings = surroundings();
    surroundings.env_files.insert(PathBuf::from(ROOT).join("x.env"), Err("no such file".into()));
    let resolution = resolve(&[one(r#""env_file": ["./x.env"]"#)], &surroundings, &InUse::default());
    assert_eq!(errors(&resolution), ["services.json:1:44: the env_file can't be read: no such file"]);
    assert!(resolution.catalog.services.is_empty());
}

#[test]
fn who_is_re_ported_changes_nobodys_own_environment() {
    let of = |port: u16| {
        let other = format!(r#"{{"id": "b", "command": ["b"], "port_env": "B_PORT", "default_port": {port}}}"#);
        resolved(&[
            one(r#""default_port": 1, "ports": [{"env": "B_PORT", "default_port": 9}]"#),
            drop_in("b.json", &other),
        ])
    };
    let (before, after) = (of(2), of(3));
    assert_eq!(spawn(&before, "a"), spawn(&after, "a"));
    assert_eq!(spawn(&before, "a").hash(), spawn(&after, "a").hash());
    assert_ne!(spawn(&before, "a").shared_env, spawn(&after, "a").shared_env);
    assert_ne!(spawn(&before, "b"), spawn(&after, "b"));
}

#[test]
fn a_port_that_only_dotenv_gives_is_told_to_have_no_effect() {
    let mut surroundings = surroundings();
    surroundings.dotenv.push(("A_PORT".into(), "9000".into(), 3));
    let of = |keys: &str| {
        let text = format!(r#"[{{"id": "a", "command": "a", "port_env": "A_PORT"{keys}}}]"#);
        let resolution = resolve(&[main_file(&text)], &surroundings, &InUse::default());
        (problems(&resolution, Severity::Note).len(), service(&resolution, "a").port)
    };
    assert_eq!(of(""), (1, None));
    assert_eq!(of(r#", "default_port": 8000"#), (1, Some(8000)));
    assert_eq!(of(r#", "default_port": 9000"#), (0, Some(9000)));
}
