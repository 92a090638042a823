//! What can be typed, and what can not.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn take(line: &str) -> Result<Invocation, clap::Error> {
    Invocation::of(std::iter::once("pilotlight").chain(line.split_whitespace()))
}

#[test]
fn the_arguments_are_consistent() {
    Typed::command().debug_assert();
}

#[test]
fn every_documented_call_is_understood() {
    for line in [
        "",
        "run",
        "--headless --quiet",
        "--config a.json --state-dir s --headless --quiet",
        "--tray",
        "run --headless --quiet",
        "run --tray",
        "--config a.json --root . --profile p --state-dir s status",
        "status a b --json",
        "status --config a.json",
        "start a b",
        "start --all --no-wait",
        "stop --group backend --timeout 30s",
        "stop a --foreign --yes --json",
        "adopt a",
        "open a",
        "open a --json",
        "run-action a seed",
        "run-action a seed --yes --json",
        "adopt a --yes --timeout 5s --json",
        "restart a --timeout 1500ms --json",
        "enable a",
        "disable a --json",
        "reset a",
        "logs",
        "logs a b -f -n 20 --since 10m --grep error",
        "logs a --raw",
        "logs -fn5",
        "why a --json",
        "why a --config --json",
        "check",
        "check a.json b.json --json",
        "plan",
        "plan a.json b.json --json",
        "events -f --since 14:30",
        "reload",
        "wait a b --for completed --timeout 5m",
        "ps",
        "graph --format mermaid",
        "graph --json",
        "graph --critical",
        "graph --critical api web --format json",
        "completions bash",
        "schema",
        "schema --json",
        "shutdown --keep-services",
        "demo-service api --port 8000 --help",
    ] {
        if let Err(error) = take(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn mistakes_are_usage_errors_with_status_2() {
    for line in [
        "start",
        "start a --all",
        "start --all --group g",
        "start a --no-wait --timeout 3s",
        "stop --all --foreign",
        "stop a --yes",
        "adopt",
        "adopt a b",
        "run-action a",
        "wait",
        "wait a --for ever",
        "wait a --timeout 3d",
        "wait a --timeout -3",
        "enable",
        "run --tray --headless",
        "--tray --headless",
        "--headless status",
        "--quiet run --headless",
        "graph --format json --json",
        "graph api",
        "graph --critical --format dot",
        "logs a --raw --json",
        "dashboard",
        "stat",
    ] {
        let error = take(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    assert_eq!(take("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
}

#[test]
fn why_asks_for_the_configuration_unless_a_file_follows() {
    for (line, config, origins) in [
        ("why a", None, false),
        ("why a --config", None, true),
        ("why --config a", None, true),
        ("why a --config --json", None, true),
        ("why --json --config a", None, true),
        ("why a --origins", None, true),
        ("--config f.json why a --config", Some("f.json"), true),
        ("why a --config f.json", Some("f.json"), false),
        ("why a --config f.json --config", Some("f.json"), true),
        ("why --config=f.json a", Some("f.json"), false),
        ("--root why --config f.json why a", Some("f.json"), false),
    ] {
        let Invocation { global, command } = take(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Command::Ask(Ask::Why { id, origins: asked, .. }) = command else { panic!("{line}") };
        assert_eq!((&*id, asked), ("a", origins), "{line}");
        assert_eq!(global.config, config.map(PathBuf::from), "{line}");
    }
    let status = take("status --config why").unwrap();
    assert_eq!(status.global.config, Some(PathBuf::from("why")));
}

#[test]
fn what_follows_demo_service_is_passed_on_as_it_is() {
    let Command::DemoService { arguments } = take("demo-service api --config x --json -h").unwrap().command else {
        panic!("expected demo-service");
    };
    assert_eq!(arguments, ["api", "--config", "x", "--json", "-h"]);
    let Command::DemoService { arguments } = take("demo-service --help").unwrap().command else {
        panic!("expected demo-service");
    };
    assert_eq!(arguments, ["--help"]);
}

#[test]
fn spans_of_time_are_read_as_in_sources() {
    for (text, expected) in
        [("1500ms", 1500), ("2s", 2000), ("5m", 300_000), ("1h", 3_600_000), ("1.5", 1500), ("0", 0)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
    }
    for text in ["", "s", "-1", "1d", "1 5s", "nan", "inf", "1e300", "ä"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn without_a_command_the_agent_runs_as_it_would_behind_run() {
    for options in ["", "--headless", "--tray --quiet", "--headless --quiet"] {
        let run = |line: &str| match take(line).unwrap_or_else(|error| panic!("{line}: {error}")).command {
            Command::Run(run) => run,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(run(options), run(&format!("run {options}")), "{options}");
    }
}
