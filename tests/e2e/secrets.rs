//! What is secret gets to the services and to nobody else: no answer, no record and no log of the agent shows it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::desk::{Desk, PROGRAM, free_port};

/// What no one may see: each in another place, and by another way to know it.
const PLANTED: [&str; 19] = [
    "usual-leak-",
    "declared-leak-",
    "default-leak-",
    "exported-leak-",
    "dotenv-leak-",
    "envfile-leak-",
    "shell-leak-",
    "url-leak-",
    "probed-leak-",
    "flag-leak-",
    "word-leak-",
    "step-leak-",
    "stop-leak-",
    "action-leak-",
    "exec-leak-",
    "foreign-leak-",
    "broken-leak-",
    "invalid-leak-",
    "proposed-leak-",
];

/// Says all that is in the environment.
const TELL: &str = "echo $DB_PASSWORD $LICENCE $PLAIN $DBX $SOME_KEY $FILE_TOKEN $SHELL_SECRET";

/// What that comes to.
const TOLD: &str =
    "usual-leak-1 declared-leak-2 default-leak-3 exported-leak-4 dotenv-leak-5 envfile-leak-6 shell-leak-7";

#[test]
fn secrets_get_to_the_services_and_to_nobody_else() {
    let mut desk = Desk::new();
    let (port, page) = (free_port(), free_port());
    desk.set("SHELL_SECRET", "shell-leak-7");
    desk.write(".env", "SOME_KEY=dotenv-leak-5\nSOME_TOKEN broken-leak-1\nOTHER-TOKEN=broken-leak-2\n");
    desk.write("api.env", "FILE_TOKEN=envfile-leak-6\n");
    let opened = desk.path("opened");
    desk.script("xdg-open", &format!("printf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'", opened.display()));
    desk.save("services.json", &services(port, page).to_string());
    desk.save(
        "services.d/broken.json",
        "{\"command\": [\"x\"], \"env\": {\"DB_PASSWORD\": \"broken-leak-3\"} \"a\": 1}",
    );
    let invalid = r#"{"command": ["x"], "secrets": ["PIN"], "restart": "declared-leak-2", "env": {"PIN": "invalid-leak-1"}, "limits": 7, "actions": "--token=invalid-leak-2"}"#;
    desk.save("services.d/invalid.json", invalid);
    let stranger = Stranger::start(&desk, port, "demo --token=foreign-leak-1");
    desk.start_agent();
    desk.until_service("api", "health", "unhealthy");
    for (id, state) in [("taken", "foreign"), ("stepper", "failed"), ("crasher", "failed"), ("vault", "running")] {
        desk.until_service(id, "process", state);
    }

    // They get it, and so does whoever opens a page.
    assert!(desk.ok(&["logs", "api"]).contains(TOLD));
    desk.ok(&["open", "api"]);
    desk.until("it was opened", || opened.exists());
    assert_eq!(fs::read_to_string(&opened).expect("it is there"), format!("http://me:url-leak-1@localhost:{page}"));

    let action = desk.run(&["run-action", "api", "tell"]);
    assert!(String::from_utf8_lossy(&action.stdout).contains(TOLD), "it is shown as it is said");
    let told = String::from_utf8_lossy(&action.stderr).into_owned();
    assert!(told.contains("exited with code 3"), "{told}");
    clean("run-action", &told);

    let proposal = r#"{"command": ["x", "--token=proposed-leak-1"], "secrets": ["PIN"], "env": {"PIN": "proposed-leak-2"}, "port": "proposed-leak-2", "limits": "proposed-leak-2"}"#;
    desk.save("proposal.json", proposal);
    let torn = r#"{"command": ["x", "--token", "proposed-leak-3"] "env": {"PIN": "x"}}"#;
    desk.save("torn.json", torn);
    look_everywhere(&desk);
    let reason = desk.service("api")["reason"].as_str().expect("it has one").to_owned();
    assert!(reason.contains("***"), "it is told what the probe says: {reason}");
    let status = desk.ok(&["status", "--json"]);
    assert!(status.contains(&format!("http://me:***@localhost:{page}")), "{status}");
    assert!(status.contains("before start: sh -c exit 4 --token=*** exited with code 4"), "{status}");
    assert!(status.contains("--token=***"), "{status}");
    let config = desk.json(&["why", "other", "--config", "--json"]);
    assert_eq!(config["config"]["env.DBX"]["value"], "***");
    assert_eq!(config["config"]["env.COPY"]["value"], "say *** twice");

    for wish in [["restart", "api", "--no-wait"], ["stop", "api", "--no-wait"], ["start", "stepper", "--no-wait"]] {
        look(&desk, &wish);
    }
    desk.until_service("api", "process", "stopped");
    assert!(desk.ok(&["events"]).contains("asked to end by its stop command: true --secret=***"));
    look(&desk, &["start", "stepper"]);
    look(&desk, &["adopt", "taken"]);
    look(&desk, &["adopt", "taken", "--yes"]);
    look_everywhere(&desk);
    let state = desk.status()["agent"]["state_dir"].as_str().expect("a path").to_owned();
    look(&desk, &["shutdown"]);
    desk.wait_agent();
    drop(stranger);

    clean("what the agent printed", &desk.agent_log());
    let records = ["events.jsonl", "agent.log"].map(|name| fs::read_to_string(Path::new(&state).join(name)));
    let [events, log] = records.map(|text| text.expect("it is there"));
    assert!(events.contains("before start: sh -c exit 4 --token=*** exited with code 4"), "{events}");
    clean("events.jsonl", &events);
    clean("agent.log", &log);
    // Without an agent.
    for command in
        [&["check"][..], &["check", "--json"], &["plan"], &["plan", "--json"], &["status"], &["start", "api"]]
    {
        look(&desk, command);
    }
}

fn services(port: u16, page: u16) -> Value {
    let secret = |key: &str, value: &str, to: &str, name: &str| json!({"key": key, "type": "string", "secret": true, "default": value, to: name});
    let serve = format!("{TELL}; exec sleep 1000");
    let tell = format!("{TELL} >&2; {TELL}; exit 3");
    json!({"services": [
        {"id": "vault", "type": "process", "command": ["sleep", "1000"], "auto_start": true,
         "settings": [secret("dbx", "exported-leak-4", "env_export", "DBX")]},
        {"id": "api", "type": "process", "auto_start": true, "depends_on": ["vault"],
         "command": ["sh", "-c", serve, "sh", "--password", "word-leak-1", "--token=flag-leak-1", "--licence=declared-leak-2"],
         "settings": [secret("plain", "default-leak-3", "env_map", "PLAIN")],
         "secrets": ["LICENCE"],
         "env": {"DB_PASSWORD": "usual-leak-1", "LICENCE": "declared-leak-2"},
         "env_file": "api.env",
         "base_url": format!("http://me:url-leak-1@localhost:{page}"),
         "health": {"exec": ["sh", "-c", "printenv | tr '\\n' ' '; exit 3", "--token", "exec-leak-1"],
                    "interval": "100ms", "grace": "0s", "unhealthy_after": 1},
         "restart": "never",
         "stop": {"command": ["true", "--secret=stop-leak-1"], "timeout": "100ms"},
         "actions": [{"name": "tell", "command": ["sh", "-c", tell, "--token=action-leak-1"]}]},
        {"id": "other", "type": "process", "command": ["sleep", "1000"], "auto_start": true,
         "env": {"COPY": "say declared-leak-2 twice"},
         "health": {"http": format!("http://me:probed-leak-1@localhost:{page}/x?token=probed-leak-2"),
                    "interval": "100ms", "grace": "0s"}},
        {"id": "stepper", "type": "process", "command": ["sleep", "1000"], "auto_start": true, "restart": "never",
         "before_start": [["true", "--token", "step-leak-1"], ["sh", "-c", "exit 4", "--token=step-leak-2"]]},
        {"id": "crasher", "type": "process", "auto_start": true, "restart": "never",
         "command": ["sh", "-c", format!("{TELL} >&2; exit 3"), "--token=flag-leak-2"],
         "env": {"DB_PASSWORD": "usual-leak-2", "MULTI_KEY": "usual-leak-3\nusual-leak-4"}},
        {"id": "taken", "type": "process", "auto_start": true, "command": ["sleep", "1000"], "default_port": port},
    ]})
}

/// All that an agent can be asked, as text and as JSON.
fn look_everywhere(desk: &Desk) {
    for command in [
        "status",
        "ps",
        "events",
        "graph",
        "check",
        "plan",
        "plan proposal.json",
        "plan torn.json",
        "check proposal.json torn.json",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        look(desk, &words);
        look(desk, &[&words[..], &["--json"]].concat());
    }
    look(desk, &["graph", "--critical"]);
    for id in ["vault", "api", "other", "stepper", "crasher", "taken", "broken", "invalid"] {
        for more in [&[][..], &["--json"], &["--config"], &["--config", "--json"]] {
            look(desk, &[&["why", id][..], more].concat());
        }
    }
}

fn look(desk: &Desk, command: &[&str]) {
    let output = desk.run(command);
    for text in [output.stdout, output.stderr] {
        clean(&command.join(" "), &String::from_utf8_lossy(&text));
    }
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for secret in PLANTED {
        let shown: Vec<&str> = text.lines().filter(|line| line.contains(secret)).collect();
        assert!(shown.is_empty(), "`{what}` shows {secret}: {shown:#?}");
    }
}

/// A process that somebody has started by hand, with a secret in its command line. It ends with the test.
pub struct Stranger(Child);

impl Stranger {
    /// Starts it under a name of its own.
    pub fn start(desk: &Desk, port: u16, name: &str) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg0(name).args(["demo-service", "--port", &port.to_string()]);
        command.current_dir(desk.path("project")).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let stranger = Self(command.spawn().expect("it can be run"));
        desk.until("the stranger listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
