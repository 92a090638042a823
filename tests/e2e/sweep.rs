//! Everything that the program can be asked is asked while services, files, git and a stranger say hostile things and know
//! secrets: no terminal is steered, and nothing is given away. What can be asked is found out from the program itself.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::desk::{Desk, free_port};
use crate::secrets::Stranger;
use crate::terminal::terminal;

/// A title, a colour that is not ours, an 8-bit clearing of the screen, reordering marks, what is not seen, and markup.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[58;5;9m\u{9b}2J\u{85}\u{2028}\u{202e}\u{200f}\u{61c}\u{2066}\u{200b}\u{e0041}\u{7f}\u{8}<b>_&x";

/// The same for a shell's `printf`, without a percent sign.
const EVIL_PRINTF: &str =
    r"\033]0;owned\007\033[58;5;9m\302\2332J\302\205\342\200\250\342\200\256\342\200\217\342\200\213\177\010<b>_&x";

/// No secret is without it, but for those that are in other clothes.
const LEAK: &str = "-leak-";

/// The secrets that are said in other clothes: percent-encoded, escaped, in base64, cut by a path.
const CLOTHED: [&str; 4] = ["cl%6fthed", "cl\\u006fthed", "bWU6Y2xvdGhlZCEtbGVhay0x", "pa/ss"];

/// With what a command is looked at; `None` for one that nobody has thought of. `%` stands for each service in turn.
fn looks(command: &str) -> Option<&'static [&'static str]> {
    Some(match command {
        // The agent runs already, and a second one says so.
        "run" => &["--headless"],
        "status" | "ps" | "graph" => &["", "%", "nobody"],
        "start" | "restart" | "stop" => &["% --no-wait", "evil --timeout 100ms", "nobody", "--group nobody"],
        "enable" | "disable" | "reset" => &["%", "nobody"],
        "adopt" => &["%", "taken", "taken --yes --no-wait"],
        "why" => &["%", "% --config", "nobody"],
        "events" => &["", "--since 1h"],
        "reload" => &[""],
        "wait" => &["% --timeout 10ms", "nobody"],
        "open" => &["%", "nobody"],
        "run-action" => &["evil tell", "evil fail", "evil nothing"],
        "shutdown" => &["--help"],
        "logs" => &["", "%", "--grep x", "nobody"],
        "check" => &["", "proposal.json torn.json nowhere.json"],
        "plan" => &["", "proposal.json", "torn.json", "nowhere.json"],
        "schema" => &[""],
        "completions" => &["bash", "fish", "zsh"],
        "demo-service" => &["--help"],
        "help" => &["", "run", "why"],
        _ => return None,
    })
}

#[test]
fn whatever_is_asked_steers_no_terminal_and_gives_no_secret_away() {
    let mut desk = Desk::new();
    let stranger = set_up(&mut desk);
    let (user, program) = terminal();
    let screen = Arc::new(Mutex::new(Vec::new()));
    let read = {
        let screen = Arc::clone(&screen);
        let mut user = fs::File::from(user);
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = user.read(&mut block) {
                screen.lock().expect("nobody panics with it").extend_from_slice(&block[..read]);
            }
        })
    };
    desk.set("CLICOLOR_FORCE", "1");
    desk.start_agent_on(program);
    desk.until_service("evil", "health", "unhealthy");
    for (id, state) in [("crasher", "failed"), ("stepper", "failed"), ("missing", "failed"), ("taken", "foreign")] {
        desk.until_service(id, "process", state);
    }
    let reason = desk.service("evil")["reason"].as_str().expect("it has one").to_owned();
    assert!(reason.contains("pw=*** *** bWU6***"), "it is told what the probe says: {reason:?}");
    desk.fails(1, &["run-action", "evil", "fail"]);
    ask_paths(&desk);
    ask_commands(&desk, "no command is left out");
    ask_completions(&desk);
    ask_paths(&desk);

    let state = desk.status()["agent"]["state_dir"].as_str().expect("a path").to_owned();
    let record = fs::read_to_string(Path::new(&state).join("agent.json")).expect("it is there while an agent runs");
    gives_nothing_away("agent.json", &record);
    desk.ok(&["shutdown"]);
    desk.wait_agent();
    drop(stranger);
    read.join().expect("it only reads");
    let screen = String::from_utf8_lossy(&screen.lock().expect("nobody panics with it")).replace("\r\n", "\n");
    assert!(screen.contains("evil"), "{screen}");
    steers_nothing("the agent's terminal", &screen);
    // The services' own lines are among it, which are shown as they are.
    gives_nothing_away("the agent's own words", &desk.agent_log());
    for file in ["events.jsonl", "agent.log", "intent.json"] {
        let text = fs::read_to_string(Path::new(&state).join(file)).expect("it is there");
        gives_nothing_away(file, &text);
    }
    // Without an agent; `run` would be one.
    ask_commands(&desk, "run");
}

/// Every command, as text and as JSON, as on a terminal.
fn ask_commands(desk: &Desk, left_out: &str) {
    let help = desk.ok(&["--help"]);
    let names = help.lines().skip_while(|line| !line.contains("Commands:")).skip(1).take_while(|line| !line.is_empty());
    let names = names.filter_map(|line| bare(line).split_whitespace().next().map(str::to_owned)).collect::<Vec<_>>();
    assert!(names.len() > 20, "{help}");
    let mut coloured = false;
    for name in names.into_iter().filter(|name| name != left_out) {
        let looks = looks(&name).unwrap_or_else(|| panic!("`{name}` is new: say with what it is to be looked at"));
        let has_json = bare(&desk.ok(&["help", &*name])).contains("--json") && name != "shutdown";
        for look in looks {
            let ids: &[&str] = if look.contains('%') { &["evil", "crasher", "taken"] } else { &[""] };
            for id in ids {
                let words = format!("{name} {}", look.replace('%', id));
                let words = words.split_whitespace().collect::<Vec<_>>();
                for more in [&[][..], &["--json"]].iter().take(1 + usize::from(has_json)) {
                    let words = [&words[..], more].concat();
                    let output = desk.run(&words);
                    for text in [output.stdout, output.stderr] {
                        let text = String::from_utf8_lossy(&text);
                        coloured |= text.contains("\u{1b}[");
                        steers_nothing(&words.join(" "), &text);
                        // What services and actions say is theirs to say.
                        if !["logs", "run-action"].contains(&&*name) {
                            gives_nothing_away(&words.join(" "), &text);
                        }
                    }
                }
            }
        }
    }
    assert!(coloured, "nothing is as on a terminal");
}

/// Every path of the interface that can be read.
fn ask_paths(desk: &Desk) {
    let document: Value = serde_json::from_str(&get(desk, "/openapi.json")).expect("it is JSON");
    let paths = document["paths"].as_object().expect("it has paths");
    let mut count = 0;
    for (path, _) in paths.iter().filter(|(_, methods)| methods.get("get").is_some()) {
        let ids: &[&str] = if path.contains('{') { &["evil", "crasher", "stepper", "taken", "nobody"] } else { &[""] };
        for id in ids {
            let path = path.replace("{id}", id);
            assert!(!path.contains('{'), "{path}: say what stands there");
            let text = get(desk, &path);
            count += 1;
            serde_json::Deserializer::from_str(&text).into_iter::<Value>().for_each(|value| drop(value.expect("JSON")));
            // That one is there to be opened.
            if !path.starts_with("/v1/address/") {
                gives_nothing_away(&path, &text);
            }
        }
    }
    assert!(count > 15, "{paths:?}");
}

/// What shells are told when somebody types.
fn ask_completions(desk: &Desk) {
    let mut told = BTreeSet::new();
    for shell in ["fish", "zsh", "bash", "elvish", "powershell"] {
        for line in ["why ", "run-action evil ", "start --group ", "logs "] {
            let words = line.split(' ').collect::<Vec<_>>();
            let mut command = desk.command(&[&["--", "pilotlight"][..], &words].concat());
            let last = words.len().to_string();
            command.env("PILOTLIGHT_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", &last).env("_CLAP_IFS", "\n");
            let output = command.output().expect("it can be run");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            steers_nothing(&format!("{shell}: {line}"), &text.replace('\u{b}', "\n"));
            gives_nothing_away(&format!("{shell}: {line}"), &text);
            told.extend(text.lines().map(str::to_owned));
        }
    }
    assert!(told.iter().any(|line| line.contains("tell")), "{told:?}");
}

/// The body that is answered to a request for `path`.
fn get(desk: &Desk, path: &str) -> String {
    let folder = desk.path("run").join("pilotlight");
    let sockets = fs::read_dir(&folder).expect("it is there").filter_map(Result::ok).map(|entry| entry.path());
    let socket = sockets.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "sock"));
    let mut stream = UnixStream::connect(socket.expect("the agent listens")).expect("it takes us");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it is an answer");
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        false => body.to_owned(),
        true => {
            let (mut rest, mut whole) = (body, String::new());
            while let Some((length, more)) = rest.split_once("\r\n") {
                let length = usize::from_str_radix(length.trim(), 16).expect("a length");
                whole.push_str(&more[..length]);
                rest = more[length..].trim_start_matches("\r\n");
            }
            whole
        }
    }
}

/// Without our own colours.
fn bare(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(part.len());
        let is_colour = part[end..].starts_with('m') && !part.starts_with("58");
        bare.push_str(if is_colour { &part[end + 1..] } else { "\u{1b}" });
    }
    bare
}

#[track_caller]
fn steers_nothing(what: &str, text: &str) {
    let harmful = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{e0000}'..='\u{e007f}')
    };
    let bare = bare(text);
    let lines = bare.lines().filter(|line| line.contains(harmful)).collect::<Vec<_>>();
    assert!(lines.is_empty(), "`{what}` steers: {lines:#?}");
}

#[track_caller]
fn gives_nothing_away(what: &str, text: &str) {
    for secret in CLOTHED.iter().chain(&[LEAK]) {
        let lines = text.lines().filter(|line| line.contains(secret)).collect::<Vec<_>>();
        assert!(lines.is_empty(), "`{what}` shows {secret}: {lines:#?}");
    }
}

fn set_up(desk: &mut Desk) -> Stranger {
    let (port, page) = (free_port(), free_port());
    desk.save("services.json", &services(port, page).to_string());
    desk.save(
        &format!("services.d/b{}.json", "\u{1b}[2J\u{9b}\u{202e}"),
        &format!("{{\"a\u{9b}\": \"{EVIL_TEXT}\" 1}}"),
    );
    desk.save("services.d/around.json", "{\"command\": [\"x\"], \"env\": {\"DB_PASSWORD\":\n\"around-leak-1\" 1}}");
    desk.save(
        "proposal.json",
        &json!({"id": "proposed", "name": EVIL, "command": ["x", "--token=proposed-leak-1", EVIL], "type": EVIL})
            .to_string(),
    );
    desk.save("torn.json", &format!("{{\"command\": [\"x\", \"--token\",\n\"torn-leak-1\" \"{EVIL_TEXT}\"]}}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs() + 1;
    let (old, new) = ("0".repeat(40), "1".repeat(40));
    desk.save(".git/HEAD", &format!("ref: refs/heads/x{}\n", EVIL_TEXT));
    desk.save(
        ".git/logs/HEAD",
        &format!("{old} {new} me <me@x> {now} +0000\tcommit: {EVIL_TEXT} https://me:git-leak-1@h\n"),
    );
    let clothed = "pw=cl%6fthed!-leak-1 cl\\u006fthed!-leak-1 bWU6Y2xvdGhlZCEtbGVhay0x";
    desk.save("said.txt", &format!("{EVIL} {clothed} "));
    let opened = desk.path("opened");
    desk.script("xdg-open", &format!(": > '{}'", opened.display()));
    Stranger::start(desk, port, &format!("demo {EVIL} --token=foreign-leak-1"))
}

/// As much of it as may stand in a text of JSON unescaped.
const EVIL_TEXT: &str = "\u{9b}2J\u{202e}\u{200f}\u{200b}\u{7f}<b>";

fn services(port: u16, page: u16) -> Value {
    let list = |key: &str, values: &[&str], to: &str| json!({"key": key, "type": "list", "secret": true, "default": values, to: key.to_uppercase()});
    let say = format!("printf '{EVIL_PRINTF} said\\n'; printf '{EVIL_PRINTF} complained\\n' >&2");
    // What it says of the secrets is in a file, so that it is none of the definition.
    let probe = "cat said.txt; printf %s \"$KEYRING\"; exit 3";
    let more = |mut value: Value, id: &str| {
        value["id"] = json!(id);
        value["type"] = json!("process");
        value["auto_start"] = json!(true);
        value
    };
    json!({
        "service_groups": {"back": {"name": format!("Back{EVIL}"), "icon": EVIL, "services": ["evil"]}},
        "services": [
            more(json!({
                "name": format!("Evil{EVIL}"), "description": format!("talks to amqp://me:told-leak-1@h {EVIL}"), "icon": EVIL,
                "tags": [EVIL], "provides": [EVIL],
                "command": ["sh", "-c", format!("{say}; exec sleep 1000"), EVIL, "--token", "word-leak-1"],
                "secrets": ["CLOTHED"],
                "env": {"CLOTHED": "clothed!-leak-1", "PASSWORD": "usual-leak-1", "NAME": EVIL,
                        "DSN": "postgres://me:pa/ss@h/d", "GO_DSN": "me:dsn-leak-1@tcp(h)/d"},
                "settings": [list("keyring", &["ring-leak-1", "ring-leak-2"], "env_map"), list("shared", &["ring-leak-3"], "env_export")],
                "base_url": format!("http://me:url-leak-1@localhost:{page}"),
                "health": {"exec": ["sh", "-c", probe, EVIL], "interval": "100ms", "grace": "0s", "unhealthy_after": 1},
                "actions": [
                    {"name": "tell", "command": ["sh", "-c", say, "--token=action-leak-1"]},
                    {"name": "fail", "command": ["sh", "-c", format!("{say}; echo $PASSWORD >&2; exit 3"), "--password", "action-leak-2"]},
                    {"name": format!("evil{EVIL}"), "command": ["true", EVIL]},
                ],
                "stop": {"timeout": "100ms"},
            }), "evil"),
            more(json!({"command": ["sh", "-c", format!("{say}; exit 3"), EVIL], "restart": "never", "depends_on": ["evil2"]}), "crasher"),
            more(json!({"command": ["sleep", "1000"], "dependencies": [EVIL], "depends_on": []}), "evil2"),
            more(json!({"command": ["sleep", "1000"], "restart": "never", "before_start": [["sh", "-c", format!("{say}; exit 4"), EVIL, "--secret=step-leak-1"]]}), "stepper"),
            more(json!({"command": [format!("/no/such/{EVIL}"), "--token=missing-leak-1"], "restart": "never"}), "missing"),
            more(json!({"command": ["sleep", "1000"], "default_port": port, "port": EVIL}), "taken"),
        ]
    })
}

#[test]
fn every_file_and_folder_of_the_agent_is_its_owners_alone_whatever_the_umask_is() {
    for umask in ["000", "077"] {
        let mut desk = Desk::new();
        let action = json!([{"name": "tell", "command": ["echo", "told"]}]);
        let service = json!({"type": "process", "command": ["sh", "-c", "echo up; sleep 1000"], "actions": action,
            "auto_start": true, "log": {"max_size": "1KB"}});
        desk.save("services.d/api.json", &service.to_string());
        let chatty = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; exec sleep 1000";
        let chatty = json!({"type": "process", "command": ["sh", "-c", chatty], "auto_start": true, "log": {"max_size": "1KB", "keep": 2}});
        desk.save("services.d/chatty.json", &chatty.to_string());
        // What it reads is as others have made it, but nobody else may write to it.
        let exec = format!("umask {umask}; exec \"$0\" \"$@\"");
        desk.start_agent_within(&["sh", "-c", &exec]);
        desk.until_light("green");
        desk.ok(&["run-action", "api", "tell"]);
        desk.ok(&["disable", "chatty"]);
        desk.ok(&["restart", "api"]);
        desk.ok(&["logs"]);
        let state = desk.status()["agent"]["state_dir"].as_str().expect("a path").to_owned();
        let rotated = Path::new(&state).join("services/chatty/output.log.1");
        desk.until("a log was rotated", || rotated.exists());
        let mut seen = Vec::new();
        private(Path::new(&state), &mut seen);
        private(&desk.path("run").join("pilotlight"), &mut seen);
        for name in
            ["agent.json", "agent.log", "events.jsonl", "intent.json", "run.json", "pid", "output.log", "output.log.1"]
        {
            assert!(seen.iter().any(|path| path.ends_with(name)), "{name} is not among {seen:?}");
        }
        assert!(seen.iter().any(|path| path.ends_with(".sock")), "{seen:?}");
        // The services have the mask that the agent was given.
        desk.ok(&["shutdown"]);
        desk.wait_agent();
        private(Path::new(&state), &mut seen);
    }
}

/// Holds `path`, and all that lies in it, to the mode that it must have.
#[track_caller]
fn private(path: &Path, seen: &mut Vec<String>) {
    let found = fs::symlink_metadata(path).expect("it is there");
    let mode = found.permissions().mode() & 0o7777;
    let expected = if found.is_dir() { 0o700 } else { 0o600 };
    assert!(found.is_file() || found.is_dir() || found.file_type().is_socket(), "{} is something else", path.display());
    assert_eq!(mode, expected, "{} has the mode {mode:o}", path.display());
    assert_eq!(found.uid(), rustix::process::geteuid().as_raw(), "{}", path.display());
    seen.push(path.to_string_lossy().into_owned());
    if found.is_dir() {
        for entry in fs::read_dir(path).expect("it is ours") {
            private(&entry.expect("it is ours").path(), seen);
        }
    }
}
