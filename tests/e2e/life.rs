//! A service's life beyond start and stop: steps before it, what stops it, what is left of it, and what tells how it is.

use std::fs;

use serde_json::{Value, json};

use crate::desk::{Desk, is_alive, signal_process};

/// A service that runs this in the shell.
fn shell(script: &str, more: Value) -> String {
    let mut service = json!({"type": "process", "command": ["sh", "-c", script]});
    for (key, value) in more.as_object().expect("an object") {
        service[key] = value.clone();
    }
    service.to_string()
}

/// A step that does this in the shell.
fn step(script: &str) -> Value {
    json!(["sh", "-c", script])
}

/// What a file of the project holds.
fn text(desk: &Desk, name: &str) -> String {
    fs::read_to_string(desk.project(name)).unwrap_or_default()
}

/// The pid that a script has written into a file of the project.
fn written_pid(desk: &Desk, name: &str) -> u32 {
    desk.until(&format!("{name} holds a pid"), || text(desk, name).ends_with('\n'));
    text(desk, name).trim().parse().expect("a pid")
}

#[track_caller]
fn why(desk: &Desk) -> Value {
    desk.json(&["why", "s", "--json"])
}

/// Whether `why` or what has happened says so.
fn has_happened(desk: &Desk, words: &str) -> bool {
    desk.ok(&["events"]).contains(words)
}

#[test]
fn steps_come_before_each_start_with_the_environment_the_directory_and_the_log_of_the_service() {
    let mut desk = Desk::new();
    fs::create_dir(desk.project("sub")).expect("the desk is ours");
    let steps =
        json!([step("echo one $WORD $(pwd)"), {"command": step("echo two; echo two >>../steps"), "timeout": "1m"}]);
    let more = json!({"before_start": steps, "env": {"WORD": "hello"}, "directory": "sub"});
    desk.save("services.d/s.json", &shell("echo main; exec sleep 1000", more));
    desk.start_agent();
    desk.ok(&["start", "s"]);
    let log = format!("one hello {}\ntwo\nmain\n", desk.project("sub").display());
    desk.until("it has written", || desk.ok(&["logs", "s", "--raw"]) == log);
    signal_process(desk.pid("s").expect("it runs"), "KILL");
    desk.until("the steps have run again", || text(&desk, "steps") == "two\ntwo\n");
    desk.ok(&["restart", "s"]);
    assert_eq!(text(&desk, "steps"), "two\ntwo\ntwo\n");
}

#[test]
fn a_failing_step_is_told_with_its_last_lines() {
    let mut desk = Desk::new();
    let steps = json!([step("echo the disk is full; exit 3"), step("echo never >never")]);
    desk.save("services.d/s.json", &shell("exec sleep 1000", json!({"before_start": steps})));
    desk.start_agent();
    let err = desk.fails(1, &["start", "s"]);
    let reason = "before start: sh -c echo the disk is full; exit 3 exited with code 3";
    assert!(err.contains(reason), "{err}");
    assert_eq!(desk.service("s")["process"], "failed");
    assert_eq!((&why(&desk)["reason"], &why(&desk)["last_lines"]), (&json!(reason), &json!(["the disk is full"])));
    assert!(!desk.project("never").exists());
}

#[test]
fn a_step_that_takes_too_long_is_killed_with_its_tree() {
    let mut desk = Desk::new();
    let script = "trap '' TERM; (setsid sh -c 'echo $$ >pid; exec sleep 1000' &); sleep 1000";
    let step = json!({"command": step(script), "timeout": "2s"});
    desk.save("services.d/s.json", &shell("exec sleep 1000", json!({"before_start": step, "auto_start": true})));
    desk.start_agent();
    desk.until_service("s", "process", "starting");
    let pid = written_pid(&desk, "pid");
    desk.until_service("s", "process", "failed");
    let reason = why(&desk)["reason"].to_string();
    assert!(reason.contains("did not end within 2 s: killed"), "{reason}");
    assert!(!is_alive(pid));
}

#[test]
fn a_stop_ends_a_step_and_says_what_it_is_about_until_then() {
    let mut desk = Desk::new();
    let more = json!({"before_start": step("echo $$ >pid; exec sleep 1000")});
    desk.save("services.d/s.json", &shell("echo >never; exec sleep 1000", more));
    desk.start_agent();
    desk.ok(&["start", "s", "--no-wait"]);
    let pid = written_pid(&desk, "pid");
    desk.until("it says what it waits for", || {
        why(&desk)["reason"] == "before start: sh -c echo $$ >pid; exec sleep 1000"
    });
    assert_eq!(desk.service("s")["pid"], Value::Null);
    desk.ok(&["stop", "s"]);
    assert!(!is_alive(pid));
    assert_eq!(desk.service("s")["process"], "stopped");
    assert!(!desk.project("never").exists());
}

#[test]
fn a_step_that_outlives_its_agent_is_ended_and_run_again() {
    let mut desk = Desk::new();
    let step = step("echo $$ >>pids; [ -e go ] || exec sleep 1000");
    desk.save("services.d/s.json", &shell("exec sleep 1000", json!({"before_start": step, "auto_start": true})));
    desk.start_agent();
    let first = written_pid(&desk, "pids");
    desk.kill_agent();
    assert!(is_alive(first));
    desk.write("go", "");
    desk.start_agent();
    desk.until_light("green");
    assert!(!is_alive(first));
    assert_eq!(text(&desk, "pids").lines().count(), 2);
    assert_eq!(desk.service("s")["adopted"], false);
}

#[test]
fn what_turns_unhealthy_is_restarted_and_keeps_the_reason() {
    let mut desk = Desk::new();
    let health = json!({"exec": ["test", "-e", "well"], "interval": "100ms"});
    let more = json!({"health": health, "restart": {"on_unhealthy": true}, "auto_start": true});
    desk.write("well", "");
    desk.save("services.d/s.json", &shell("exec sleep 1000", more));
    desk.start_agent();
    desk.until_light("green");
    let before = desk.pid("s").expect("it runs");
    desk.remove("well");
    desk.until("it has a new process", || desk.pid("s").is_some_and(|pid| pid != before));
    desk.write("well", "");
    desk.until_light("green");
    assert!(!is_alive(before));
    assert_eq!(desk.service("s")["restarts"], 1);
    assert!(has_happened(&desk, "unhealthy: exec probe exited with code 1"));
}

#[test]
fn the_stop_command_asks_in_the_place_of_the_service() {
    let mut desk = Desk::new();
    let stop = json!({"command": ["sh", "-c", "echo $WORD >stop"], "timeout": "30s"});
    let more = json!({"stop": stop, "env": {"WORD": "hello"}});
    // It hears no signal, and ends once the command has made a file.
    let script = "trap '' TERM; while ! [ -e stop ]; do sleep 0.05; done; exit 7";
    desk.save("services.d/s.json", &shell(script, more));
    desk.start_agent();
    desk.ok(&["start", "s"]);
    desk.ok(&["stop", "s"]);
    assert_eq!((text(&desk, "stop").as_str(), &desk.service("s")["last_exit"]["code"]), ("hello\n", &json!(7)));
    desk.remove("stop");
    desk.ok(&["start", "s"]);
    desk.ok(&["shutdown"]);
    assert_eq!(desk.wait_agent(), Some(0));
    assert_eq!(text(&desk, "stop"), "hello\n", "the agent's end asks in the same way");
}

#[test]
fn a_stop_command_that_fails_gives_way_to_the_signal() {
    let mut desk = Desk::new();
    desk.save("services.d/s.json", &shell("exec sleep 1000", json!({"stop": {"command": ["sh", "-c", "exit 4"]}})));
    desk.start_agent();
    desk.ok(&["start", "s"]);
    desk.ok(&["stop", "s"]);
    assert_eq!(desk.service("s")["last_exit"]["signal"], "TERM");
    assert!(has_happened(&desk, "the stop command exited with code 4; asked by SIGTERM instead"));
}

#[test]
fn what_has_moved_to_a_session_of_its_own_is_left_and_listed() {
    let mut desk = Desk::new();
    let script = "setsid sh -c 'echo $$ >apart; exec sleep 1000' & (sh -c 'echo $$ >near; exec sleep 1001' &); wait";
    desk.save("services.d/s.json", &shell(script, json!({"stop": {"tree": "group"}})));
    desk.start_agent();
    desk.ok(&["start", "s"]);
    let (apart, near) = (written_pid(&desk, "apart"), written_pid(&desk, "near"));
    desk.ok(&["stop", "s"]);
    assert_eq!((is_alive(apart), is_alive(near)), (true, false));
    assert_eq!(why(&desk)["spared"], json!([{"pid": apart, "command": "sleep 1000"}]));
    assert!(desk.ok(&["why", "s"]).contains(&format!("pid {apart}: sleep 1000")));
    desk.kill_agent();
    desk.start_agent();
    desk.until_service("s", "process", "stopped");
    assert!(desk.pid("s").is_none() && is_alive(apart), "it is no run of the next agent");
    assert_eq!(why(&desk)["spared"], json!([{"pid": apart, "command": "sleep 1000"}]), "who says what is left of it");
    desk.ok(&["start", "s"]);
    desk.ok(&["shutdown"]);
    assert_eq!(desk.wait_agent(), Some(0));
    assert!(is_alive(apart), "and nothing ends it");
}

#[test]
fn what_uses_more_memory_than_it_may_is_restarted_with_that_reason() {
    let mut desk = Desk::new();
    // A shell that keeps 60 MB in a variable, the first time.
    let script = "if ! [ -e again ]; then : >again; x=$(head -c 60000000 /dev/zero | tr '\\0' x); fi; while :; do sleep 1000; done";
    let more = json!({"limits": {"memory": "30MB"}, "auto_start": true});
    desk.save("services.d/s.json", &shell(script, more));
    desk.start_agent();
    desk.until("it has been restarted", || desk.service("s")["restarts"] == 1);
    assert!(has_happened(&desk, "of memory, above its limit of 30 MB; asked to end"));
    desk.until_light("green");
}

#[test]
fn a_line_of_its_output_makes_a_service_ready_for_its_whole_run() {
    let mut desk = Desk::new();
    desk.save(
        "services.d/s.json",
        &shell(
            "echo ready from before >>log; echo starting; while ! [ -e go ]; do sleep 0.05; done; echo ready on 80; exec sleep 1000",
            json!({"health": {"log": "^ready on \\d+$"}}),
        ),
    );
    desk.start_agent();
    desk.ok(&["start", "s", "--no-wait"]);
    desk.until("it says what it waits for", || {
        why(&desk)["reason"] == "starting: no line matching ^ready on \\d+$ yet"
    });
    desk.write("go", "");
    desk.until_light("green");
    desk.kill_agent();
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.service("s")["adopted"], true);
    desk.remove("go");
    desk.ok(&["restart", "s", "--no-wait"]);
    desk.until("a line of the run before is none of this one", || {
        why(&desk)["reason"] == "starting: no line matching ^ready on \\d+$ yet"
    });
    desk.write("go", "");
    desk.until_light("green");
}

#[test]
fn a_line_that_never_comes_is_told_once_the_grace_is_over() {
    let mut desk = Desk::new();
    let more = json!({"health": {"log": "ready", "grace": "300ms"}, "auto_start": true});
    desk.save("services.d/s.json", &shell("exec sleep 1000", more));
    desk.start_agent();
    desk.until_light("red");
    assert_eq!(why(&desk)["reason"], "no line matching ready yet");
}

#[test]
fn a_file_is_a_heartbeat() {
    let mut desk = Desk::new();
    let health = json!({"file": "beat", "max_age": "2s", "interval": "100ms", "unhealthy_after": 1, "grace": "1s"});
    let script = "while [ -e alive ]; do : >beat; sleep 0.1; done; exec sleep 1000";
    desk.write("alive", "");
    desk.save("services.d/s.json", &shell(script, json!({"health": health, "auto_start": true})));
    desk.start_agent();
    desk.until_light("green");
    desk.remove("alive");
    desk.until_light("red");
    let reason = why(&desk)["reason"].to_string();
    assert!(reason.contains("longer than 2 s") && reason.contains("beat"), "{reason}");
    desk.write("beat", "");
    desk.until_light("green");
}

#[test]
fn a_start_of_what_dies_at_once_does_not_succeed_and_says_why() {
    let mut desk = Desk::new();
    desk.save("services.d/s.json", &shell("exit 3", json!({"restart": "never"})));
    desk.start_agent();
    for command in ["start", "restart"] {
        let err = desk.fails(1, &[command, "s"]);
        assert!(err.contains("s: failed: exited with code 3"), "{err}");
    }
    desk.save("services.d/s.json", &shell("exec sleep 1000", json!({"restart": "never"})));
    desk.until_service("s", "health", "healthy");
    assert_eq!(desk.ok(&["start", "s"]), "s is healthy\n");
}
