//! How a service is kept: every form of the keys that say so, and every mistake in them.

use std::time::Duration;

use pilotlight::domain::{
    Action, Check, Exit, Limits, LogPolicy, NotifyPolicy, QuietHours, RestartPolicy, Service, Severity, Signal, Step,
    StopPolicy, StopTree,
};

use crate::sources::{main_file, problems, resolved};

/// The one service that these keys define, with nothing said against them.
fn service(keys: &str) -> Service {
    let resolution = resolved(&[main_file(&format!(r#"{{"id": "a", "command": ["a"], {keys}}}"#))]);
    assert_eq!(resolution.problems, [], "{keys}");
    Service::clone(resolution.catalog.services.at(0).unwrap())
}

/// What is told of these keys, which stand in the second line.
fn told(keys: &str) -> Vec<String> {
    let resolution = resolved(&[main_file(&format!("{{\"id\": \"a\", \"command\": [\"a\"],\n{keys}}}"))]);
    let told = |problem: &pilotlight::domain::Problem| {
        let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{}: {}{hint}", problem.place.as_ref().map_or(0, |place| place.column), problem.message)
    };
    resolution.problems.iter().map(told).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn what_comes_before_a_start_is_one_step_or_several() {
    let step = |words: &[&str], timeout| Step { argv: argv(words), timeout: seconds(timeout) };
    for (written, steps) in [
        (r#"["make", "all"]"#, vec![step(&["make", "all"], 600)]),
        (r#""make""#, vec![step(&["make"], 600)]),
        (r#"{"command": ["a", "b c"], "timeout": "10s"}"#, vec![step(&["a", "b c"], 10)]),
        (r#"[["a"], {"command": "b", "timeout": 1}]"#, vec![step(&["a"], 600), step(&["b"], 1)]),
        ("[]", vec![]),
        ("null", vec![]),
    ] {
        let service = service(&format!(r#""before_start": {written}"#));
        let found: Vec<Step> = service.before_start.iter().map(|step| Step::clone(step)).collect();
        assert_eq!(found, steps, "{written}");
    }
}

#[test]
fn patterns_of_files_start_at_the_root_and_stay_what_they_are() {
    let service = service(r#""watch": ["src/**/*.py", "./Cargo.toml", "/etc/hosts", "a[0-9]{b,c}?", "/*/x"]"#);
    let found: Vec<_> = service.watch.iter().map(|file| (file.place.to_str().unwrap(), file.glob.as_str())).collect();
    let expected = [
        ("/srv/project/src", "/srv/project/src/**/*.py"),
        ("/srv/project/Cargo.toml", "/srv/project/Cargo.toml"),
        ("/etc/hosts", "/etc/hosts"),
        ("/srv/project", "/srv/project/a[0-9]{b,c}?"),
        ("/", "/*/x"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn limits_actions_notices_and_logs_are_read() {
    let service = service(
        r#""limits": {"memory": "2GB"}, "notify": {"after": "5s"}, "log": {"max_size": "1MiB", "keep": 0},
        "actions": [{"name": "Migrate", "command": ["alembic", "upgrade"], "confirm": true}, {"name": "x", "command": "y"}]"#,
    );
    assert_eq!(service.limits, Limits { memory: Some(2_000_000_000) });
    assert_eq!(service.notify, NotifyPolicy { enabled: true, after: seconds(5) });
    assert_eq!(service.log, LogPolicy { max_size: 1 << 20, keep: 0 });
    let actions: Vec<Action> = service.actions.iter().map(|action| Action::clone(action)).collect();
    let expected = [("Migrate", vec!["alembic", "upgrade"], true), ("x", vec!["y"], false)];
    let expected = expected.map(|(name, words, confirm)| Action { name: name.into(), argv: argv(&words), confirm });
    assert_eq!(actions, expected);
    let plain = self::service(r#""limits": {}, "notify": {}, "log": {}, "actions": []"#);
    assert_eq!((plain.limits, plain.notify, plain.log), Default::default());
}

#[test]
fn a_stop_may_use_any_signal_that_can_ask_by_its_name_in_any_spelling() {
    for (name, signal) in
        [("WINCH", Signal::Winch), ("SIGABRT", Signal::Abrt), ("sigcont", Signal::Cont), ("Ttin", Signal::Ttin)]
    {
        assert_eq!(service(&format!(r#""stop": {{"signal": "{name}"}}"#)).stop.signal, signal, "{name}");
    }
    for signal in Signal::ALL {
        assert_eq!(service(&format!(r#""stop": {{"signal": "SIG{}"}}"#, signal.name())).stop.signal, signal);
    }
}

#[test]
fn a_stop_may_be_a_command_and_spare_what_has_left() {
    let service = service(r#""stop": {"command": ["nginx", "-s", "quit"], "tree": "group", "signal": "sigint"}"#);
    let expected = StopPolicy {
        signal: Signal::Int,
        command: Some(argv(&["nginx", "-s", "quit"])),
        timeout: seconds(10),
        tree: StopTree::Group,
    };
    assert_eq!(service.stop, expected);
}

#[test]
fn the_codes_that_are_a_success_are_the_ones_that_are_written() {
    let plain = RestartPolicy::default();
    let policy = service(r#""restart": {"success_exit_codes": [0, 143], "on_unhealthy": true}"#).restart;
    assert!(policy.on_unhealthy && !plain.on_unhealthy);
    for (exit, by_default, here) in
        [(Exit::Code(0), true, true), (Exit::Code(143), false, true), (Exit::Code(1), false, false)]
    {
        assert_eq!((plain.is_success(&exit), policy.is_success(&exit)), (by_default, here), "{exit}");
    }
    let zero_missing = service(r#""restart": {"success_exit_codes": [3]}"#).restart;
    assert!(!zero_missing.is_success(&Exit::Code(0)) && !zero_missing.is_success(&Exit::Signal(3)));
}

#[test]
fn probes_of_logs_and_files_are_read() {
    let service =
        service(r#""health": [{"log": "ready in \\d+ms$"}, {"file": "run/beat", "max_age": "90s"}, {"file": "/x"}]"#);
    let checks: Vec<Check> = service.probes.iter().map(|probe| probe.check.clone()).collect();
    let expected = [
        Check::Log { pattern: r"ready in \d+ms$".to_owned() },
        Check::File { path: "/srv/project/run/beat".into(), max_age: Some(seconds(90)) },
        Check::File { path: "/x".into(), max_age: None },
    ];
    assert_eq!(checks, expected);
}

#[test]
fn the_agents_quiet_hours_and_way_of_reloading_are_read() {
    let agent = |text: &str| {
        let resolution = resolved(&[main_file(&format!(r#"{{"agent": {text}, "services": []}}"#))]);
        (resolution.catalog.agent.clone(), problems(&resolution, Severity::Error))
    };
    for (written, from, to) in [("22:00-08:00", 1320, 480), ("0:00 - 23:59", 0, 1439), ("09:30-10:05", 570, 605)] {
        let (settings, errors) = agent(&format!(r#"{{"notifications": {{"quiet_hours": "{written}"}}}}"#));
        assert_eq!((settings.quiet_hours, errors), (Some(QuietHours { from, to }), vec![]), "{written}");
    }
    let notes = |text: &str| problems(&resolved(&[main_file(&format!(r#"{{"agent": {text}}}"#))]), Severity::Note);
    for word in ["manual", "auto"] {
        assert_eq!(notes(&format!(r#"{{"reload": "{word}"}}"#)), [""; 0]);
    }
    assert!(!agent(r#"{"reload": "manual"}"#).0.applies_changes && agent(r#"{"reload": "auto"}"#).0.applies_changes);
    for wrong in ["22:00", "24:00-08:00", "22:60-08:00", "8-9", "22:00-22:00", "", "+1:00-2:00", "１:00-2:00"] {
        let (settings, errors) = agent(&format!(r#"{{"notifications": {{"quiet_hours": "{wrong}"}}}}"#));
        assert_eq!((settings.quiet_hours, errors.len()), (None, 1), "{wrong}");
    }
    assert_eq!(agent(r#"{"reload": "later"}"#).1.len(), 1);
}

/// Keys that say how a service is kept, with a mistake in them, and what is told of it.
pub const WRONG_POLICIES: &[(&str, &str)] = &[
    (r#""before_start": ["make all", 7]"#, "30: an element of \"before_start\" must be text, but is a number"),
    (r#""before_start": []"#, ""),
    (
        r#""before_start": "make all""#,
        "17: \"before_start\" must be a list of texts: program and arguments (for a line of shell write [\"sh\", \"-c\", \"…\"])",
    ),
    (r#""before_start": [[]]"#, "18: \"before_start\" names no program"),
    (r#""before_start": [{"timeout": 1}]"#, "18: this step of \"before_start\" has no \"command\""),
    (r#""before_start": {"command": "a", "timeout": 0}"#, "45: \"timeout\" must be longer than zero"),
    (r#""watch": "src""#, "10: \"watch\" must be a list, but is text"),
    (
        r#""watch": ["a{b"]"#,
        "11: this is no pattern of files: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
    ),
    (r#""watch": [""]"#, "11: a pattern of \"watch\" is empty"),
    (
        r#""limits": {"memory": "lots"}"#,
        "22: \"memory\" must be a size such as \"50MB\" or \"64KiB\", or a number of bytes",
    ),
    (r#""limits": {"memory": 0}"#, "22: \"memory\" must be more than nothing"),
    (r#""limits": {"cpu": 1}"#, "12: unknown key \"cpu\""),
    (
        r#""actions": [{"name": "x"}]"#,
        "13: an action needs \"name\" and \"command\" (for example {\"name\": \"Migrate\", \"command\": [\"alembic\", \"upgrade\", \"head\"]})",
    ),
    (
        r#""actions": [{"name": "x", "command": "a"}, {"name": "x", "command": "b"}]"#,
        "53: another action is called \"x\" as well",
    ),
    (
        r#""notify": {"after": "soon"}"#,
        "21: \"after\" must be a span of time such as \"1500ms\", \"2s\" or \"5m\", or a number of seconds",
    ),
    (r#""log": {"max_size": 0}"#, "21: \"max_size\" must be more than nothing"),
    (r#""log": {"max_size": "1KB"}"#, "21: no log is kept shorter than 4096 bytes, and that is taken instead"),
    (r#""log": {"keep": -1}"#, "17: \"keep\" must be a whole number from 0 to 1000"),
    (
        r#""stop": {"tree": "grup"}"#,
        "18: \"tree\" must be one of \"all\", \"group\", but is \"grup\" (did you mean \"group\"?)",
    ),
    (r#""stop": {"command": []}"#, "21: \"command\" names no program"),
    (
        r#""stop": {"signal": "TREM"}"#,
        "20: \"signal\" must be a signal's name, such as TERM, INT, QUIT, HUP, but is \"TREM\" (did you mean \"TERM\"?)",
    ),
    (
        r#""restart": {"success_exit_codes": []}"#,
        "35: \"success_exit_codes\" holds no code, so that nothing would be a success (leave it out for [0])",
    ),
    (r#""restart": {"success_exit_codes": [256]}"#, "36: \"success_exit_codes\" must be a whole number from 0 to 255"),
    (r#""health": {"log": "a("}"#, "19: \"log\" is no regular expression: unclosed group"),
    (
        r#""health": {"log": "x{1000}{1000}"}"#,
        "19: \"log\" is no regular expression: Compiled regex exceeds size limit of 1048576 bytes.",
    ),
    (r#""health": {"file": ""}"#, "20: \"file\" must be the path of a file"),
    (r#""health": {"log": "x", "max_age": 1}"#, "24: unknown key \"max_age\""),
];

#[test]
fn every_mistake_in_these_keys_is_told_at_its_place() {
    for (keys, expected) in WRONG_POLICIES.iter().copied() {
        let expected: Vec<&str> = [expected].into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(told(keys), expected, "{keys}");
    }
}
