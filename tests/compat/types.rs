//! Types as data: templates, what they rest on, and how a service's own keys stand over them.

use std::path::Path;

use pilotlight::domain::{Check, Kind, Severity};

use super::sources::{ROOT, drop_in, environment, errors, main_file, problems, resolved, service, spawn};

/// What service `a` with `keys` and the given types is run as.
fn argv(types: &str, keys: &str) -> Vec<String> {
    let resolution =
        resolved(&[main_file(&format!(r#"{{"types": {{{types}}}, "services": [{{"id": "a", {keys}}}]}}"#))]);
    assert_eq!(errors(&resolution), [""; 0], "{keys}");
    spawn(&resolution, "a").argv.clone()
}

const GO: &str = r#""go-web": {"command": ["go", "run", "{module}", "-p={port}", "{args}", "{id}{nothing_here}"],
    "health_endpoint": "/healthz", "requires": ["go"], "default_port": 81}"#;

#[test]
fn placeholders_are_filled_spliced_or_left_out() {
    let a = r#""type": "go-web", "module": "./cmd""#;
    assert_eq!(argv(GO, a), ["go", "run", "./cmd", "-p=81"]);
    assert_eq!(argv(GO, &format!(r#"{a}, "args": ["x y", "z"]"#)), ["go", "run", "./cmd", "-p=81", "x y", "z"]);
    assert_eq!(argv(GO, r#""type": "go-web", "default_port": 82"#), ["go", "run", "-p=82"]);
    let own_key =
        r#""x": {"command": ["x", "--depth", "{depth}", "{root}/{id}", "{python}", "{not one}", "{}", "{name}"]}"#;
    assert_eq!(
        argv(own_key, r#""type": "x", "depth": 3"#),
        ["x", "--depth", "3", "/srv/project/a", "/usr/bin/python3", "{not one}", "{}", "a"]
    );
}

#[test]
fn a_services_own_command_stands_over_the_types_unless_the_type_builds_on_it() {
    assert_eq!(argv(GO, r#""type": "go-web", "command": ["mine"]"#), ["mine"]);
    assert_eq!(argv("", r#""type": "python", "command": "mine", "args": ["x"]"#), ["mine", "x"]);
    let wrapping = r#""w": {"command": ["nice", "{command}", "{args}"]}"#;
    assert_eq!(argv(wrapping, r#""type": "w", "command": "x", "args": ["y"]"#), ["nice", "x", "y"]);
    assert_eq!(argv(wrapping, r#""type": "w", "command": ["x", "y"]"#), ["nice", "x", "y"]);
}

#[test]
fn args_that_have_no_place_are_told() {
    for (types, keys) in
        [("", r#""command": ["x"], "args": ["y"]"#), (r#""t": {"command": ["x"]}"#, r#""type": "t", "args": ["y"]"#)]
    {
        let text = format!(r#"{{"types": {{{types}}}, "services": [{{"id": "a", {keys}}}]}}"#);
        let resolution = resolved(&[main_file(&text)]);
        assert_eq!(spawn(&resolution, "a").argv, ["x"]);
        assert!(problems(&resolution, Severity::Warning)[0].contains("\"args\" have no effect"), "{keys}");
    }
}

#[test]
fn a_type_rests_on_another_and_a_source_may_replace_a_built_in_one() {
    let slow = r#""slow": {"type": "python-web", "health_endpoint": "/slow", "restart": {"delay": "1s"}}"#;
    let text = format!(
        r#"{{"types": {{{slow}}}, "services": [{{"id": "a", "type": "slow", "module": "m", "default_port": 1, "restart": {{"window": "1m"}}}}]}}"#
    );
    let resolution = resolved(&[main_file(&text)]);
    assert_eq!(errors(&resolution), [""; 0]);
    let a = service(&resolution, "a");
    assert_eq!((a.restart.delay.as_secs(), a.restart.window.as_secs()), (1, 60));
    assert!(matches!(&a.probes[0].check, Check::Http { url, .. } if url == "http://localhost:1/slow"));
    assert_eq!(environment(&resolution, "a")["PYTHONPATH"], ROOT);
    let replaced = drop_in("types.json", r#"{"types": {"node": {"command": ["deno", "{args}"]}}}"#);
    let resolution = resolved(&[main_file(r#"[{"id": "a", "type": "frontend", "args": ["x"]}]"#), replaced.clone()]);
    assert_eq!(spawn(&resolution, "a").argv, ["deno", "x"]);
    let again = drop_in("types2.json", r#"{"types": {"node": {"command": ["bun", "{args}"]}}}"#);
    let resolution = resolved(&[main_file(r#"[{"id": "a", "type": "frontend", "args": ["x"]}]"#), replaced, again]);
    assert_eq!(spawn(&resolution, "a").argv, ["bun", "x"]);
    assert_eq!(
        problems(&resolution, Severity::Note),
        [
            "services.d/types2.json:1:12: the type \"node\" is defined at services.d/types.json:1:12 as well; this one, the last, counts"
        ]
    );
}

#[test]
fn the_services_own_probe_takes_the_pace_of_its_type_but_not_its_question() {
    let types =
        r#""t": {"command": ["x"], "default_port": 1, "health": {"http": "/type", "interval": "9s", "status": 204}}"#;
    for (keys, check, interval) in [
        ("", "http://localhost:1/type", 9),
        (r#", "health": {"interval": "4s"}"#, "http://localhost:1/type", 4),
        (r#", "health": "/own""#, "http://localhost:1/own", 9),
        (r#", "health_endpoint": "/end""#, "http://localhost:1/end", 9),
        (r#", "health": {"tcp": 5}"#, "tcp", 9),
    ] {
        let text = format!(r#"{{"types": {{{types}}}, "services": [{{"id": "a", "type": "t"{keys}}}]}}"#);
        let resolution = resolved(&[main_file(&text)]);
        assert_eq!(resolution.problems, [], "{keys}");
        let probe = &service(&resolution, "a").probes[0];
        assert_eq!(probe.interval.as_secs(), interval, "{keys}");
        match &probe.check {
            Check::Http { url, status, .. } => {
                assert_eq!(url, check, "{keys}");
                assert_eq!(status[0].0 == 204, check.ends_with("/type"), "{keys}");
            }
            other => assert_eq!((other, check), (&Check::Tcp { host: "localhost".into(), port: 5 }, "tcp")),
        }
    }
}

#[test]
fn a_type_may_give_what_ports_and_urls_are_made_of() {
    let types = r#""t": {"command": ["x"], "default_port": 7, "base_url": "http://127.0.0.1:{port}/{id}", "base_url_env": "T_URL",
        "docs_endpoint": "/docs/{port}", "settings": [{"key": "k", "default": "v", "env_export": "K"}],
        "env": {"ADDRESS": "{root}:{port}", "NONE": "{nothing}", "GONE": null}}"#;
    let text = format!(r#"{{"types": {{{types}}}, "services": [{{"id": "a", "type": "t", "nothing": null}}]}}"#);
    let resolution = resolved(&[main_file(&text)]);
    assert_eq!(errors(&resolution), [""; 0]);
    let a = service(&resolution, "a");
    assert_eq!(a.url.as_deref(), Some("http://127.0.0.1:7/a"));
    assert_eq!(a.docs_url.as_deref(), Some("http://127.0.0.1:7/a/docs/7"));
    let environment = environment(&resolution, "a");
    assert_eq!(environment["ADDRESS"], "/srv/project:7");
    assert_eq!((&*environment["T_URL"], &*environment["K"]), ("http://127.0.0.1:7/a", "v"));
    assert!(!environment.contains_key("NONE"));
    assert_eq!(spawn(&resolution, "a").env["GONE"], None);
}

#[test]
fn every_alias_is_what_it_stands_for() {
    for name in ["backend", "api", "inference", "daemon", "python-web"] {
        let argv = argv("", &format!(r#""type": "{name}", "module": "m", "default_port": 1, "args": ["x"]"#)).join(" ");
        let reload = if matches!(name, "inference" | "daemon") { "" } else { " --reload" };
        assert_eq!(argv, format!("/usr/bin/python3 -m uvicorn m --host 0.0.0.0 --port 1{reload} x"), "{name}");
    }
    for name in ["frontend", "ui", "web", "npm", "pnpm", "node"] {
        assert_eq!(
            argv("", &format!(r#""type": "{name}", "command": "npm", "args": ["--port"], "default_port": 1"#)),
            ["npm", "--port", "1"]
        );
    }
    for name in ["worker", "python"] {
        assert_eq!(argv("", &format!(r#""type": "{name}", "module": "m""#)), ["/usr/bin/python3", "-m", "m"]);
    }
    assert_eq!(argv("", r#""command": "x""#), ["x"]);
    assert_eq!(argv("", r#""type": "process", "command": ["x", "y"]"#), ["x", "y"]);
    assert_eq!(
        argv("", r#""command": "echo $HOME", "args": ["a b"], "shell": true"#),
        ["/bin/sh", "-c", "echo $HOME 'a b'"]
    );
}

#[test]
fn what_another_engine_runs_is_shown_with_a_note() {
    let mine = drop_in("t.json", r#"{"types": {"nomad": {"engine": {"start": ["nomad", "run", "{file}"]}}}}"#);
    for name in ["docker-compose", "docker", "systemd", "nomad"] {
        let text =
            format!(r#"[{{"id": "a", "type": "{name}", "file": "x", "default_port": 1, "stop_on_exit": true}}]"#);
        let resolution = resolved(&[main_file(&text), mine.clone()]);
        assert_eq!(service(&resolution, "a").kind, Kind::Detached);
        let notes = problems(&resolution, Severity::Note);
        assert_eq!(
            notes,
            [format!(
                "services.json:1:2: not run by this version: the life of a {name} service belongs to another engine"
            )]
        );
        assert_eq!(resolution.problems.len(), 1);
    }
}

#[test]
fn a_dollar_in_a_path_is_no_name() {
    let mut surroundings = super::sources::surroundings();
    surroundings.root = "/srv/a$HOME".into();
    let files = [main_file(r#"[{"id": "a", "type": "python", "module": "m"}]"#)];
    let resolution = pilotlight::domain::catalog::resolve(&files, &surroundings, &Default::default());
    assert_eq!(environment(&resolution, "a")["PYTHONPATH"], "/srv/a$HOME");
    assert_eq!(spawn(&resolution, "a").cwd, Path::new("/srv/a$HOME"));
}

#[test]
fn templates_that_fill_templates_end() {
    let keys: Vec<_> = (0..12).map(|at| format!(r#""k{at}": "{}""#, format!("{{k{}}}", at + 1).repeat(9))).collect();
    let text = format!(
        r#"{{"types": {{"t": {{"command": ["x", "{{k0}}", "{{k5}}"], {}, "k12": "0123456789"}}}}, "services": [{{"id": "a", "type": "t"}}]}}"#,
        keys.join(", ")
    );
    let resolution = resolved(&[main_file(&text)]);
    assert!(errors(&resolution)[0].contains("too large"), "{:?}", resolution.problems);
}
