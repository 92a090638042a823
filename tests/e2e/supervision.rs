//! Starting, stopping, restarting, and what becomes of it on screen.

use serde_json::json;

use crate::desk::{Desk, PROGRAM, free_port, is_alive, signal_process};

/// A service that is played by the program itself.
pub fn demo(port: u16, more: serde_json::Value) -> String {
    let mut service = json!({
        "type": "process",
        "command": PROGRAM,
        "args": ["demo-service", "--port", port.to_string()],
        "default_port": port,
        "health_endpoint": "/health",
    });
    for (key, value) in more.as_object().expect("an object") {
        service[key] = value.clone();
    }
    service.to_string()
}

/// A service that only waits.
fn sleeper(more: serde_json::Value) -> String {
    let mut service = json!({"type": "process", "command": ["sleep", "1000"]});
    for (key, value) in more.as_object().expect("an object") {
        service[key] = value.clone();
    }
    service.to_string()
}

#[test]
fn start_brings_along_what_is_needed_waits_for_health_and_stop_goes_in_reverse() {
    let mut desk = Desk::new();
    let (db, api) = (free_port(), free_port());
    desk.save(
        "services.d/db.json",
        &demo(db, json!({"args": ["demo-service", "--port", db.to_string(), "--startup-delay", "300ms"]})),
    );
    desk.save("services.d/api.json", &demo(api, json!({"depends_on": ["db"]})));
    desk.start_agent();
    assert_eq!(desk.status()["light"], "gray");
    desk.ok(&["start", "api"]);
    assert_eq!(desk.status()["light"], "green");
    assert_eq!(desk.service("db")["wanted_by"], "dependency:api");
    assert_eq!(desk.service("api")["wanted_by"], "user");
    let pids = desk.pids();
    let printed = desk.ok(&["stop", "db"]);
    assert!(printed.contains("api"), "the dependent is named: {printed}");
    assert!(pids.values().all(|pid| !is_alive(u32::try_from(*pid).expect("a pid"))));
    assert_eq!(desk.service("api")["process"], "waiting");
    assert_eq!(desk.status()["light"], "gray");
    desk.ok(&["start", "db"]);
    desk.until_light("green");
    desk.signal_agent("TERM");
    assert_eq!(desk.wait_agent(), Some(0));
}

#[test]
fn restart_gives_a_new_process_and_one_that_crashed_comes_back() {
    let mut desk = Desk::new();
    desk.save("services.json", &format!(r#"{{"services": [{}]}}"#, sleeper(json!({"id": "s", "auto_start": true}))));
    desk.start_agent();
    desk.until_light("green");
    let first = desk.pid("s").expect("it runs");
    desk.ok(&["restart", "s"]);
    let second = desk.pid("s").expect("it runs");
    assert_ne!(first, second);
    assert!(!is_alive(first));
    signal_process(second, "KILL");
    desk.until("it has come back", || desk.pid("s").is_some_and(|pid| pid != second));
    let status = desk.service("s");
    assert_eq!(status["restarts"], 1);
    assert_eq!(status["last_exit"]["signal"], "KILL");
    assert_eq!(status["last_exit"]["code"], serde_json::Value::Null);
}

#[test]
fn the_whole_tree_of_a_service_ends_with_it() {
    let mut desk = Desk::new();
    let script = "sh -c 'trap \"\" TERM; echo $$ >>pids; while :; do sleep 1; done' & \
                  setsid sh -c 'echo $$ >>pids; exec sleep 1000' & \
                  echo $$ >>pids; wait";
    let service = json!({"type": "process", "command": ["sh", "-c", script], "stop": {"timeout": "500ms"}});
    desk.save("services.d/tree.json", &service.to_string());
    desk.start_agent();
    desk.ok(&["start", "tree"]);
    let pids = || {
        let text = std::fs::read_to_string(desk.project("pids")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    desk.until("all three live", || pids().len() == 3);
    let pids = pids();
    desk.ok(&["stop", "tree"]);
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "something of {pids:?} lives on");
}

#[test]
fn a_stranger_on_the_port_is_named_and_left_alone() {
    let mut desk = Desk::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let port = listener.local_addr().expect("it is bound").port();
    desk.save("services.d/api.json", &demo(port, json!({})));
    desk.start_agent();
    desk.ok(&["start", "api", "--no-wait"]);
    desk.until_service("api", "process", "foreign");
    let reason = desk.service("api")["reason"].as_str().expect("there is a reason").to_owned();
    assert!(reason.contains(&format!("pid {}", std::process::id())), "{reason}");
    drop(listener);
    desk.until_service("api", "health", "healthy");
}

#[test]
fn a_one_shot_completes_and_is_what_others_wait_for() {
    let mut desk = Desk::new();
    let job = json!({"type": "process", "command": ["sh", "-c", "echo done >done"], "one_shot": true});
    desk.save("services.d/job.json", &job.to_string());
    let worker = sleeper(json!({"depends_on": [{"id": "job", "condition": "completed"}]}));
    desk.save("services.d/worker.json", &worker);
    desk.start_agent();
    desk.ok(&["start", "worker"]);
    assert_eq!(desk.service("job")["process"], "completed");
    assert_eq!(desk.service("job")["light"], "green");
    assert!(desk.project("done").exists());
    assert_eq!(desk.status()["summary"], "2 of 2 healthy");
}

#[test]
fn a_crash_loop_fails_with_its_reason_and_why_tells_it_with_the_last_lines() {
    let mut desk = Desk::new();
    let bad = json!({
        "type": "process", "command": ["sh", "-c", "echo the disk is full >&2; exit 3"],
        "restart": {"max_restarts": 1},
    });
    desk.save("services.d/bad.json", &bad.to_string());
    desk.start_agent();
    desk.ok(&["start", "bad", "--no-wait"]);
    desk.until_service("bad", "process", "failed");
    let err = desk.fails(1, &["wait", "bad"]);
    assert!(err.contains("exited with code 3"), "{err}");
    let why = desk.json(&["why", "bad", "--json"]);
    assert_eq!(why["process"], "failed");
    let lines = why["last_lines"].as_array().expect("there are lines");
    assert!(lines.iter().any(|line| line.as_str().is_some_and(|line| line.contains("the disk is full"))), "{why}");
    assert_eq!(desk.service("bad")["last_exit"]["code"], 3);
    let log = desk.ok(&["logs", "bad"]);
    assert_eq!(log.matches("the disk is full").count(), 2, "{log}");
}

#[test]
fn exit_codes_tell_a_wrong_name_from_a_missing_agent_and_wrong_usage() {
    let mut desk = Desk::new();
    desk.save("services.d/s.json", &sleeper(json!({})));
    let err = desk.fails(3, &["status"]);
    assert!(err.contains("no agent"), "{err}");
    desk.fails(2, &["status", "--no-such-flag"]);
    desk.start_agent();
    let err = desk.fails(4, &["start", "t"]);
    assert!(err.contains('s'), "{err}");
    desk.fails(4, &["logs", "nope"]);
    desk.fails(4, &["why", "nope"]);
}

#[test]
fn a_second_agent_for_the_same_config_says_so_and_names_the_first() {
    let mut desk = Desk::new();
    desk.save("services.d/s.json", &sleeper(json!({})));
    desk.start_agent();
    let elsewhere = desk.path("elsewhere").display().to_string();
    for arguments in [&["run", "--headless"][..], &["--state-dir", &elsewhere, "run", "--headless"]] {
        let err = desk.fails(1, arguments);
        assert!(err.contains(&desk.agent_pid().to_string()), "{err}");
    }
}

#[test]
fn environment_directory_and_output_are_as_defined() {
    let mut desk = Desk::new();
    std::fs::create_dir_all(desk.project("sub")).expect("the desk is ours");
    let service = json!({
        "type": "process", "command": ["sh", "-c", "pwd; echo \"$GREETING $OTHER_URL $PORT\"; exec sleep 1000"],
        "directory": "sub", "default_port": 6123, "health": [],
        "env": {"GREETING": "hello"}, "auto_start": true,
    });
    desk.save("services.d/s.json", &service.to_string());
    let other = sleeper(json!({"default_port": 6124, "base_url_env": "OTHER_URL", "health": []}));
    desk.save("services.d/other.json", &other);
    desk.start_agent();
    desk.until_light("green");
    let expected = format!("{}\nhello http://localhost:6124 6123\n", desk.project("sub").display());
    desk.until("it has written", || desk.ok(&["logs", "s", "--raw"]).ends_with("6123\n"));
    assert_eq!(desk.ok(&["logs", "s", "--raw"]), expected);
}

#[test]
fn a_program_that_is_asked_has_the_services_variables_and_a_name_that_nobody_knows_is_no_reason_to_be_green() {
    let mut desk = Desk::new();
    let checked = |script: &str| {
        let health = json!({"exec": ["sh", "-c", script], "grace": 0, "interval": "50ms"});
        sleeper(json!({"auto_start": true, "env": {"CHK": "x"}, "health": health}))
    };
    desk.save("services.d/good.json", &checked("test \"$CHK\" = x"));
    desk.save("services.d/bad.json", &checked("test \"$CHK\" = y"));
    let nobody = json!({"http": "http://localhost:$NOBODY/", "grace": 0, "interval": "50ms"});
    desk.save("services.d/nobody.json", &sleeper(json!({"auto_start": true, "health": nobody})));
    desk.start_agent();
    desk.until_service("good", "health", "healthy");
    desk.until_service("bad", "health", "unhealthy");
    desk.until_service("nobody", "health", "unhealthy");
}

#[test]
fn the_agent_has_all_open_files_that_it_may_have_and_its_services_those_that_it_was_given() {
    let mut desk = Desk::new();
    // More than the agent could follow with what it was given: it holds a file for each.
    for at in 0..60 {
        desk.save(&format!("services.d/s{at}.json"), &sleeper(json!({"auto_start": true})));
    }
    let told = desk.path("told");
    let tells = format!("ulimit -Sn > {}; exec sleep 1000", told.display());
    desk.save("services.d/tells.json", &sleeper(json!({"command": ["sh", "-c", tells], "auto_start": true})));
    desk.start_agent_within(&["sh", "-c", "ulimit -Sn 50 && exec \"$@\"", "sh"]);
    desk.until("all run", || desk.pids().len() == 61);
    desk.until("the limit is told", || std::fs::read_to_string(&told).is_ok_and(|text| text == "50\n"));
}
