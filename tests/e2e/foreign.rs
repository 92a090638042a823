//! A stranger on a service's port: named, adopted, ended; and never touched without a yes.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::desk::{Desk, PROGRAM, free_port, is_alive};
use crate::supervision::demo;

/// A process that somebody has started by hand. It ends with the test.
struct Stranger(Child);

impl Stranger {
    fn start(desk: &Desk, port: u16) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["demo-service", "--port", &port.to_string()]).current_dir(desk.path("project")).env_clear();
        let stranger = Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it can be run"));
        desk.until("the stranger listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        stranger
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An agent with a service whose port a stranger has.
fn taken() -> (Desk, Stranger) {
    let mut desk = Desk::new();
    let port = free_port();
    let stranger = Stranger::start(&desk, port);
    desk.save("services.d/api.json", &demo(port, json!({"auto_start": true, "stop": {"timeout": "5s"}})));
    desk.start_agent();
    desk.until_service("api", "process", "foreign");
    (desk, stranger)
}

#[test]
fn a_stranger_is_named_wherever_one_looks_and_left_alone_without_a_yes() {
    let (desk, stranger) = taken();
    desk.until_service("api", "health", "healthy");
    let api = desk.service("api");
    let foreign = &api["foreign"];
    assert_eq!(foreign["pid"], stranger.pid());
    assert!(foreign["command"].as_str().expect("it has one").contains("demo-service"));
    assert_eq!(foreign["folder"], desk.path("project").canonicalize().expect("it is there").display().to_string());
    assert!(foreign["age_seconds"].as_f64().expect("it has one") >= 0.0);
    assert_eq!(foreign["earlier_run"], json!(null));
    let named = format!("is taken by pid {} (", stranger.pid());
    for command in [["why", "api"], ["status", "--json"]] {
        assert!(desk.ok(&command).contains(&named), "{command:?}");
    }
    assert!(desk.ok(&["why", "api"]).contains("pilotlight adopt api"));
    for command in [vec!["adopt", "api"], vec!["stop", "api", "--foreign"]] {
        let err = desk.fails(1, &command);
        assert!(err.contains(&named) && err.contains("hint: add --yes"), "{err}");
    }
    assert!(is_alive(stranger.pid()));
    assert_eq!(desk.service("api")["process"], "foreign");
}

#[test]
fn an_adopted_stranger_is_the_run_over_agents_until_it_is_restarted() {
    let (mut desk, stranger) = taken();
    let out = desk.ok(&["adopt", "api", "--yes"]);
    assert_eq!(out, "api is healthy\n");
    let api = desk.service("api");
    assert_eq!(
        (&api["process"], &api["pid"], &api["adopted"]),
        (&json!("running"), &json!(stranger.pid()), &json!(true))
    );
    let logs = desk.run(&["logs", "api"]);
    let note = String::from_utf8_lossy(&logs.stderr).into_owned();
    assert!(note.contains("what it writes is not in this log"), "{note}");
    desk.kill_agent();
    desk.start_agent();
    desk.until_service("api", "health", "healthy");
    assert_eq!(desk.pid("api"), Some(stranger.pid()), "the next agent goes on with it");
    desk.ok(&["restart", "api"]);
    assert!(!is_alive(stranger.pid()));
    assert_ne!(desk.pid("api"), Some(stranger.pid()));
    assert_eq!(desk.service("api")["adopted"], false);
    let logs = desk.run(&["logs", "api"]);
    assert!(logs.stderr.is_empty(), "now it writes to its log");
}

#[test]
fn a_stranger_that_is_ended_makes_room_for_the_service() {
    let (desk, stranger) = taken();
    let out = desk.ok(&["stop", "api", "--foreign", "--yes"]);
    assert!(out.contains(&format!("pid {} has ended", stranger.pid())), "{out}");
    assert!(!is_alive(stranger.pid()));
    desk.until_service("api", "process", "running");
    assert_ne!(desk.pid("api"), Some(stranger.pid()));
    let err = desk.fails(1, &["stop", "api", "--foreign", "--yes"]);
    assert!(err.contains("no stranger is on the port of api"), "{err}");
    let events = desk.ok(&["events"]);
    assert!(events.contains("is asked to end"), "{events}");
}
