//! The agent's death costs nobody anything.

use serde_json::json;

use crate::desk::{Desk, free_port, is_alive, signal_process};
use crate::supervision::demo;

#[test]
fn services_outlive_a_killed_agent_and_the_next_one_takes_them_over() {
    let mut desk = Desk::new();
    let port = free_port();
    desk.save("services.d/api.json", &demo(port, json!({"auto_start": true})));
    desk.save(
        "services.d/s.json",
        r#"{"type": "process", "command": ["sh", "-c", "while :; do echo tick; sleep 0.05; done"]}"#,
    );
    desk.start_agent();
    desk.ok(&["start", "s"]);
    desk.until_light("green");
    let before = desk.pids();
    desk.kill_agent();
    assert!(before.values().all(|pid| is_alive(u32::try_from(*pid).expect("a pid"))));
    let lines = desk.ok(&["logs", "s"]).lines().count();
    desk.until("it goes on writing with no agent", || desk.ok(&["logs", "s"]).lines().count() > lines);
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.pids(), before);
    assert_eq!(desk.service("api")["adopted"], true);
    assert_eq!(desk.service("s")["wanted_by"], "user");
    signal_process(desk.pid("api").expect("it runs"), "KILL");
    desk.until("it has come back", || desk.pids().get("api").is_some_and(|pid| *pid != before["api"]));
    assert_eq!(desk.service("api")["last_exit"]["signal"], "KILL");
}

#[test]
fn what_was_changed_while_no_agent_ran_is_handled_as_on_reload() {
    let mut desk = Desk::new();
    let service =
        |argument: &str| json!({"type": "process", "command": ["sleep", argument], "auto_start": true}).to_string();
    desk.save("services.d/same.json", &service("1001"));
    desk.save("services.d/changed.json", &service("1001"));
    desk.save("services.d/removed.json", &service("1001"));
    desk.start_agent();
    desk.until("all three run", || desk.pids().len() == 3 && desk.status()["light"] == "green");
    let before = desk.pids();
    desk.kill_agent();
    desk.save("services.d/changed.json", &service("1002"));
    desk.remove("services.d/removed.json");
    desk.start_agent();
    let removed = u32::try_from(before["removed"]).expect("a pid");
    desk.until("what is not defined any more ends", || !is_alive(removed));
    desk.until("what is defined differently is new", || {
        desk.pids().get("changed").is_some_and(|pid| *pid != before["changed"])
    });
    assert_eq!(desk.pids()["same"], before["same"]);
}

#[test]
fn shutdown_can_keep_the_services_and_a_stop_stays_a_stop() {
    let mut desk = Desk::new();
    desk.save("services.d/a.json", r#"{"type": "process", "command": ["sleep", "1000"], "auto_start": true}"#);
    desk.save("services.d/b.json", r#"{"type": "process", "command": ["sleep", "1000"], "auto_start": true}"#);
    desk.start_agent();
    desk.until_light("green");
    desk.ok(&["stop", "b"]);
    let before = desk.pids();
    desk.ok(&["shutdown", "--keep-services"]);
    assert_eq!(desk.wait_agent(), Some(0));
    assert!(is_alive(u32::try_from(before["a"]).expect("a pid")));
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.pids(), before, "a goes on, and b stays stopped");
    desk.ok(&["shutdown"]);
    assert_eq!(desk.wait_agent(), Some(0));
    assert!(!is_alive(u32::try_from(before["a"]).expect("a pid")));
    desk.start_agent();
    desk.until("a runs again", || desk.pids().contains_key("a"));
    assert_eq!(desk.service("b")["process"], "stopped", "a stop outlives the agent");
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    let mut desk = Desk::new();
    let stubborn = json!({
        "type": "process", "command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "auto_start": true,
        "stop": {"timeout": "10m"},
    });
    desk.save("services.d/stubborn.json", &stubborn.to_string());
    desk.start_agent();
    desk.until_light("green");
    let pid = desk.pid("stubborn").expect("it runs");
    desk.signal_agent("TERM");
    desk.until_service("stubborn", "process", "stopping");
    desk.signal_agent("TERM");
    assert_eq!(desk.wait_agent(), Some(1));
    assert!(!is_alive(pid));
}

#[test]
fn a_one_shot_that_has_completed_is_not_run_again_by_the_next_agent() {
    let mut desk = Desk::new();
    desk.save("services.d/s.json", r#"{"type": "process", "command": ["sleep", "1000"], "auto_start": true}"#);
    let job =
        r#"{"type": "process", "command": ["sh", "-c", "echo once >>done"], "one_shot": true, "auto_start": true}"#;
    desk.save("services.d/job.json", job);
    desk.start_agent();
    desk.until_service("job", "process", "completed");
    desk.until_light("green");
    desk.kill_agent();
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.service("job")["process"], "completed");
    assert_eq!(std::fs::read_to_string(desk.project("done")).expect("it has run"), "once\n");
}
