//! Actions, run by hand: what they say is shown as they say it, and how they end is how the command ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::desk::Desk;

const GATED: &str = "echo begun; read go < gate; echo done";

fn desk() -> Desk {
    let mut desk = Desk::new();
    let action = |name: &str, script: &str, confirm: bool| json!({"name": name, "command": ["sh", "-c", script], "confirm": confirm});
    let service = json!({
        "type": "process",
        "command": ["sleep", "1000"],
        "auto_start": true,
        "env": {"GREETING": "hello"},
        "actions": [
            action("greet", "echo $GREETING from $PILOTLIGHT_SERVICE; pwd", false),
            action("fail", "echo no such table >&2; exit 3", false),
            action("wipe", "touch wiped", true),
            action("Gated / one", GATED, false),
        ],
    });
    desk.save("services.d/api.json", &service.to_string());
    desk.start_agent();
    desk.until_light("green");
    desk
}

#[test]
fn an_action_runs_in_the_place_of_its_service_and_its_failure_is_the_commands() {
    let desk = desk();
    let folder = desk.path("project").canonicalize().expect("it is there");
    assert_eq!(desk.ok(&["run-action", "api", "greet"]), format!("hello from api\n{}\n", folder.display()));
    let failed = desk.run(&["run-action", "api", "fail"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&failed.stdout), "no such table\n");
    let err = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(err, "error: the action \"fail\" of api failed: exited with code 3: no such table\n");
    assert!(desk.ok(&["why", "api"]).contains("Its action fail failed at"));
    assert!(desk.ok(&["events"]).contains("the action \"fail\" of api failed"));
    let err = desk.fails(1, &["run-action", "api", "sleep"]);
    assert!(err.contains("hint: it has: greet, fail, wipe, Gated / one"), "{err}");
    desk.fails(4, &["run-action", "nobody", "greet"]);
    assert_eq!(desk.service("api")["restarts"], 0);
}

#[test]
fn an_action_that_needs_a_yes_does_nothing_without_one() {
    let desk = desk();
    assert_eq!(desk.service("api")["actions"][2], json!({"name": "wipe", "confirm": true}));
    assert!(desk.fails(1, &["run-action", "api", "wipe"]).contains("hint: add --yes"));
    assert!(!desk.project("wiped").exists());
    desk.ok(&["run-action", "api", "wipe", "--yes"]);
    assert!(desk.project("wiped").exists());
}

#[test]
fn what_an_action_says_is_shown_while_it_runs_and_kept() {
    let desk = desk();
    let made = std::process::Command::new("mkfifo").arg(desk.project("gate")).status().expect("there is mkfifo");
    assert!(made.success());
    let mut command = desk.command(&["run-action", "api", "Gated / one"]);
    let mut running = command.stdout(Stdio::piped()).spawn().expect("the program can be run");
    let mut lines = BufReader::new(running.stdout.take().expect("it is piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "begun");
    assert!(desk.fails(1, &["run-action", "api", "Gated / one"]).contains("running already"));
    fs::write(desk.project("gate"), "go\n").expect("it waits for that");
    assert_eq!(lines.next().expect("a line").expect("text"), "done");
    assert!(running.wait().expect("it is our child").success());
    let state = desk.status()["agent"]["state_dir"].as_str().expect("a path").to_owned();
    let logs = fs::read_dir(format!("{state}/services/api")).expect("it is there").flatten();
    let names = logs.map(|file| file.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>();
    assert!(names.iter().any(|name| name.starts_with("action-_ated___one-")), "{names:?}");
}

#[test]
fn the_next_agent_takes_no_action_for_a_run() {
    let mut desk = desk();
    let made = std::process::Command::new("mkfifo").arg(desk.project("gate")).status().expect("there is mkfifo");
    assert!(made.success());
    let mut command = desk.command(&["run-action", "api", "Gated / one"]);
    let mut running = command.stdout(Stdio::piped()).spawn().expect("the program can be run");
    let mut line = String::new();
    let mut out = BufReader::new(running.stdout.take().expect("it is piped"));
    out.read_line(&mut line).expect("it says something");
    let pid = desk.pid("api");
    desk.kill_agent();
    assert!(!running.wait().expect("it is our child").success(), "nobody knows how it will end");
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.pid("api"), pid);
    assert!(!desk.ok(&["events"]).contains("exited"), "nothing was taken for a second run, and ended");
    fs::write(desk.project("gate"), "go\n").expect("it still waits for that");
}

#[test]
fn open_gives_the_page_of_a_service_to_the_users_opener() {
    let mut desk = Desk::new();
    let told = desk.path("told");
    desk.script("xdg-open", &format!("printf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'", told.display()));
    let service = |id: &str, url: serde_json::Value| json!({"id": id, "type": "process", "command": ["sleep", "1000"], "base_url": url});
    let services = [
        service("api", json!("http://localhost:8123/docs")),
        service("db", json!("postgres://localhost/x")),
        service("worker", json!(null)),
    ];
    desk.save("services.json", &json!({ "services": services }).to_string());
    desk.start_agent();
    desk.ok(&["open", "api"]);
    desk.until("it was opened", || told.exists());
    assert_eq!(fs::read_to_string(&told).expect("it is there"), "http://localhost:8123/docs");
    assert_eq!(desk.json(&["open", "api", "--json"]), json!({"id": "api", "url": "http://localhost:8123/docs"}));
    assert!(desk.fails(1, &["open", "db"]).contains("is no page"));
    assert!(desk.fails(1, &["open", "worker"]).contains("worker has no address"));
    desk.fails(4, &["open", "nobody"]);
    let alone = desk.command(&["open", "api"]).env("PATH", desk.path("home")).output().expect("it can be run");
    assert_eq!(alone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("neither xdg-open nor gio"));
}
