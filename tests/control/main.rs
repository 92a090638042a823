//! The command line against the control interface over a real socket; the engine behind it is made up.
#![allow(clippy::unwrap_used)]

mod agent;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../src/domain/sample.rs"]
mod sample;

// The samples name it by `crate::domain`.
use pilotlight::domain;

use agent::{Agent, Reply, said};
use pilotlight::cli::Exit;
use pilotlight::domain::{Accepted, Aim, Command, Goal, Light, ProcessId, ProcessState, Refusal, Shutdown, Snapshot};
use sample::{basis, foreign, healthy, id, snapshot, stopped, wanted};

fn two() -> Snapshot {
    let views = vec![healthy("main-api", 7), wanted("db", ProcessState::Failed, Light::Red, "exited with code 1")];
    Snapshot { basis: basis("db"), ..snapshot(views) }
}

fn aims(ids: &[&str]) -> Reply {
    let aim = |name: &&str| Aim { id: id(name), goal: Goal::Healthy, not_run: None };
    let aims = ids.iter().map(aim).collect();
    Reply::Answer(Ok(Accepted { aims, remarks: vec!["cache starts as well".to_owned()], forecast: None }))
}

#[test]
fn what_is_asked_is_shown_with_status_0() {
    let agent = Agent::of(two());
    for (line, expected) in [
        ("status", "main-api"),
        ("status db", "exited with code 1"),
        ("ps", "main-api --serve"),
        ("why db", "last words of db"),
        ("why db --config", "services.json:3"),
        ("graph", "● main-api"),
        ("graph --format dot", "digraph"),
        ("events", "something happened"),
    ] {
        let (exit, out, err) = agent.call(line);
        assert_eq!((exit, err.as_str()), (Exit::Done, ""), "{line}");
        assert!(out.contains(expected), "{line}: {out}");
    }
    assert!(!agent.call("status db").1.contains("main-api"));
}

#[test]
fn json_is_json_on_every_command() {
    let agent = Agent::of(two());
    for (line, key) in [
        ("status --json", "agent"),
        ("ps --json", "services"),
        ("why db --json", "blocked_by"),
        ("why db --config --json", "config"),
        ("graph --json", "edges"),
        ("graph --format json", "nodes"),
        ("events --json", "at"),
        ("enable db --json", "remarks"),
        ("disable db --json", "remarks"),
        ("reset db --json", "remarks"),
        ("start main-api --json", "services"),
        ("stop --all --no-wait --json", "services"),
        ("restart --group x --json", "services"),
        ("wait main-api --json", "services"),
        ("reload --json", "generation"),
    ] {
        let (exit, out, _) = agent.call(line);
        assert_eq!(exit, Exit::Done, "{line}");
        let value: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"));
        assert!(value.get(key).is_some(), "{line}: {out}");
    }
}

#[test]
fn where_values_come_from_is_shown_without_what_is_secret() {
    let agent = Agent::of(two());
    let (exit, text, _) = agent.call("why db --config");
    assert_eq!(exit, Exit::Done);
    let row = |key: &str| text.lines().find(|line| line.split_whitespace().next() == Some(key)).map(str::to_owned);
    let words = |key: &str| row(key).map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(words("command").unwrap(), ["command", "[\"db\"]", "services.json:3"]);
    assert_eq!(words("env.API_TOKEN").unwrap(), ["env.API_TOKEN", "***", "services.json:4"]);
    assert_eq!(words("env.LEVEL").unwrap(), ["env.LEVEL", "debug", "services.json:5"]);
    assert_eq!(words("stop.signal").unwrap(), ["stop.signal", "TERM", "default"]);
    assert_eq!((row("description"), row("stop"), row("env.PATH")), (None, None, None));
    assert!(text.ends_with("and 1 variable of the agent's environment, which --json shows\n"), "{text}");
    let json = agent.call("why db --config --json").1;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["id"], "db");
    assert_eq!(json["config"]["env.PATH"], serde_json::json!({"value": "/bin", "origin": "agent environment"}));
    assert_eq!(json["config"]["description"], serde_json::json!({"value": null, "origin": "default"}));
    assert!(!format!("{text}{json}").contains("hunter2"));
    // It is shown, but no source defines it any more.
    let (exit, _, err) = agent.call("why main-api --config");
    assert_eq!((exit, err.lines().next()), (Exit::NotDone, Some("error: no source defines main-api any more")));
}

#[test]
fn wishes_are_told_and_waited_for() {
    let agent = Agent::answering(two(), |_| aims(&["main-api"]));
    let (exit, out, err) = agent.call("start main-api");
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert_eq!(out, "note: cache starts as well\nmain-api is healthy\n");
    assert_eq!(agent.call("restart main-api --no-wait").1, "note: cache starts as well\n");
    assert_eq!(agent.call("enable main-api").1, "main-api is switched on\nnote: cache starts as well\n");
    let told: Vec<Command> = agent.commands();
    assert_eq!(told.len(), 3);
    assert!(matches!(told[1], Command::Restart(_)));
}

#[test]
fn what_did_not_come_about_is_status_1_with_the_reason_on_stderr() {
    let agent = Agent::answering(two(), |_| aims(&["main-api", "db"]));
    let (exit, out, err) = agent.call("start --all");
    assert_eq!(exit, Exit::NotDone);
    assert_eq!(out, "note: cache starts as well\nmain-api is healthy\n");
    assert_eq!(err, "error: db: failed: exited with code 1\nhint: `pilotlight why db` explains it\n");
    let (exit, out, err) = agent.call("start --all --json");
    assert_eq!(exit, Exit::NotDone);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["kind"], "not_reached");
    assert!(err.starts_with("error: db: "));

    let agent = Agent::answering(two(), |_| Reply::Answer(Err(Refusal::Impossible("db is disabled".to_owned()))));
    assert_eq!(agent.call("start db"), (Exit::NotDone, String::new(), "error: db is disabled\n".to_owned()));
    let (exit, _, err) = agent.call("wait db --timeout 5s");
    assert_eq!((exit, err.lines().next()), (Exit::NotDone, Some("error: db: failed: exited with code 1")));
}

#[test]
fn no_such_service_is_status_4_and_names_one_that_may_be_meant() {
    let agent = Agent::of(two());
    for line in ["status", "why", "ps", "start", "stop", "restart", "enable", "disable", "reset", "wait"] {
        let (exit, out, err) = agent.call(&format!("{line} main-apj"));
        assert_eq!((exit, out.as_str()), (Exit::NoSuchService, ""), "{line}");
        assert_eq!(err, "error: there is no service \"main-apj\"\nhint: did you mean main-api?\n", "{line}");
        // What could not even be an id does not bend the request.
        for odd in ["a/../b", "a?x=1", "ä", "a,b", ".."] {
            assert_eq!(agent.call(&format!("{line} {odd}")).0, Exit::NoSuchService, "{line} {odd}");
        }
    }
    // It may stand in a file that was written a moment ago: nothing was done but to look there.
    assert!(agent.commands().iter().all(|command| *command == Command::Read));
}

#[test]
fn no_agent_is_status_3_and_says_how_to_start_one() {
    let mut agent = Agent::of(two());
    let expected = "error: no agent is running for /srv/services.json\nhint: `pilotlight run` starts one\n";
    agent.leave_a_dead_socket();
    assert_eq!(agent.call("status"), (Exit::NoAgent, String::new(), expected.to_owned()));
    std::fs::remove_file(agent.socket()).unwrap();
    assert_eq!(agent.call("start --all"), (Exit::NoAgent, String::new(), expected.to_owned()));
    std::fs::remove_dir(agent.socket().parent().unwrap()).unwrap();
    assert_eq!(agent.call("shutdown"), (Exit::NoAgent, String::new(), expected.to_owned()));
}

#[test]
fn a_socket_that_others_could_have_put_there_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let agent = Agent::of(two());
    let folder = agent.socket().parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    let (exit, out, err) = agent.call("status");
    assert_eq!((exit, out.as_str()), (Exit::NotDone, ""));
    assert!(err.contains("is not a folder that only you can enter"), "{err}");
}

#[test]
fn shutdown_returns_once_the_agent_is_gone() {
    let agent = Agent::answering(two(), |command| match command {
        Command::Shutdown(_) => Reply::End,
        _ => aims(&[]),
    });
    assert_eq!(agent.call("shutdown --keep-services"), (Exit::Done, "the agent has ended\n".to_owned(), String::new()));
    assert_eq!(agent.commands(), [Command::Shutdown(Shutdown::Keep)]);
    assert_eq!(agent.call("status").0, Exit::NoAgent);
}

#[test]
fn events_can_be_narrowed_and_followed() {
    let agent = Agent::of(two());
    assert_eq!(agent.call("events --since 1970-01-01T00:01:00Z").1, "");
    let (exit, _, err) = agent.call("events --since yesterdayish");
    assert_eq!(exit, Exit::Usage);
    assert!(err.starts_with("error: "), "{err}");
    let lines = agent.follow(2);
    assert_eq!(lines.len(), 2);
    assert!(said(&lines, "something happened") && said(&lines, "something more happened"), "{lines:?}");
}

#[test]
fn an_agent_with_nothing_says_so() {
    let agent = Agent::of(snapshot(vec![]));
    assert!(agent.call("status").1.contains("Drop a JSON file into /srv/services.d"));
    let agent = Agent::of(snapshot(vec![stopped("db")]));
    assert!(agent.call("status").1.starts_with("○ nothing wanted"));
}

#[test]
fn a_yes_about_a_stranger_means_the_process_that_was_shown() {
    let agent = Agent::answering(snapshot(vec![foreign("api"), healthy("db", 7)]), |_| {
        Reply::Answer(Ok(Accepted { remarks: vec!["pid 4321 has ended".to_owned()], ..Accepted::default() }))
    });
    let shown = "api: port 8000 is taken by pid 4321 (python3 -m http.server 8000) in /home/dev/shop, 2 h old, \
                 a run of api by the agent with the state in /home/dev/other\n";
    let stranger = ProcessId { pid: 4321, start: 99 };
    let (exit, out, err) = agent.call("stop api --foreign --yes");
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Done, "note: pid 4321 has ended\n", shown));
    let (exit, _, err) = agent.call("adopt api --yes --no-wait");
    assert_eq!((exit, err.as_str()), (Exit::Done, shown));
    let (id, other) = (id("api"), id("api"));
    assert_eq!(agent.commands(), [Command::StopStranger { id, stranger }, Command::Adopt { id: other, stranger }]);
}

#[test]
fn without_a_stranger_there_is_nothing_to_say_yes_to() {
    let unknown = domain::ServiceView { foreign: Some(domain::PortHolder::unknown(8000)), ..foreign("secret") };
    let ours = domain::ServiceView {
        foreign: foreign("x").foreign.map(|holder| domain::PortHolder { service: Some(id("db")), ..holder }),
        ..foreign("twin")
    };
    let agent = Agent::of(snapshot(vec![healthy("db", 7), unknown, ours]));
    for (service, reason) in [
        ("db", "no stranger is on the port of db"),
        ("secret", "it can't be told which process is on port 8000"),
        ("twin", "port 8000 is taken by the service db"),
    ] {
        for line in [format!("adopt {service} --yes"), format!("stop {service} --foreign --yes")] {
            let (exit, out, err) = agent.call(&line);
            assert_eq!((exit, out.as_str()), (Exit::NotDone, ""), "{line}");
            assert!(err.starts_with(&format!("error: {reason}")), "{line}: {err}");
        }
    }
    assert_eq!(agent.call("adopt nobody --yes").0, Exit::NoSuchService);
    assert_eq!(agent.call("stop db twin --foreign --yes").0, Exit::Usage);
    assert!(agent.commands().iter().all(|command| *command == Command::Read));
}
