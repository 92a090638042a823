//! Services that are whole trees, and hard to end: after a stop nothing of them lives, and nobody else is touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::desk::{Desk, is_alive, signal_process};

/// A reloader whose worker comes back, deaf daemons in sessions of their own with and without their environment, and one
/// that is stopped. The file `up` is there once all of them are.
const WILD: &str = r#"
trap '' TERM
(while :; do sh -c ': > worker; exec /bin/sleep 1000'; done) &
(setsid sh -c ': > daemon; exec /bin/sleep 1000' &)
(setsid env -i /bin/sh -c ': > bare; exec /bin/sleep 1000' &)
sh -c ': > stopped; kill -STOP $$; exec /bin/sleep 1000' &
for file in worker daemon bare stopped; do while ! [ -e $file ]; do /bin/sleep 0.01; done; done
: > up
while :; do wait; done
"#;

/// The living whose working directory is `folder`.
fn living_in(folder: &Path) -> BTreeSet<u32> {
    let folder = folder.canonicalize().expect("it is there");
    let processes = fs::read_dir("/proc").expect("there is a list of processes").flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let is_in = |pid: &u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder);
    pids.filter(is_in).filter(|pid| is_alive(*pid)).collect()
}

/// Those of them that stay: the others are about to end, or to become what they stay.
fn sleepers_in(folder: &Path) -> BTreeSet<u32> {
    let sleeps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    living_in(folder).into_iter().filter(sleeps).collect()
}

/// The children of `parent` that have ended and are not collected.
fn zombies_of(parent: u32) -> BTreeSet<u32> {
    let processes = fs::read_dir("/proc").expect("there is a list of processes").flatten();
    let dead = processes.filter_map(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
        let is_one = fields.first() == Some(&"Z") && fields.get(1)?.parse() == Ok(parent);
        is_one.then(|| process.file_name().to_str()?.parse().ok()).flatten()
    });
    dead.collect()
}

#[test]
fn after_a_stop_nothing_of_a_wild_tree_lives_and_its_twin_and_strangers_do() {
    let mut desk = Desk::new();
    let places = ["wild", "twin", "stranger"].map(|name| desk.project(name));
    for place in &places {
        fs::create_dir(place).expect("the desk is ours");
        fs::write(place.join("run.sh"), WILD).expect("the desk is ours");
    }
    for name in ["wild", "twin"] {
        let service = json!({
            "command": ["sh", "run.sh"], "cwd": name, "auto_start": true, "stop": {"timeout": "200ms"},
        });
        desk.save(&format!("services.d/{name}.json"), &service.to_string());
    }
    let mut stranger = Command::new("setsid");
    stranger.args(["sh", "run.sh"]).current_dir(&places[2]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut stranger = stranger.spawn().expect("there is a program `setsid`");
    desk.start_agent();
    let settled = |place: &Path| place.join("up").exists() && sleepers_in(place).len() == 3;
    desk.until("all have grown", || places.iter().all(|place| settled(place)));
    let before = [&places[1], &places[2]].map(|place| sleepers_in(place));
    desk.ok(&["stop", "wild"]);
    assert_eq!(living_in(&places[0]), BTreeSet::new());
    assert_eq!([&places[1], &places[2]].map(|place| sleepers_in(place)), before);
    let agent = desk.agent_pid();
    desk.until("all the dead are collected", || zombies_of(agent).is_empty());
    desk.kill_agent();
    desk.start_agent();
    desk.until("the next agent has its twin", || desk.service("twin")["adopted"] == true);
    desk.ok(&["stop", "twin"]);
    assert_eq!(living_in(&places[1]), BTreeSet::new());
    assert_eq!(sleepers_in(&places[2]), before[1]);
    desk.ok(&["shutdown"]);
    assert_eq!(desk.wait_agent(), Some(0));
    assert_eq!(sleepers_in(&places[2]), before[1]);
    for pid in living_in(&places[2]) {
        signal_process(pid, "KILL");
    }
    stranger.wait().expect("it is our child");
    // What the worker's end has called forth.
    while let Some(pid) = living_in(&places[2]).first() {
        signal_process(*pid, "KILL");
    }
}

#[test]
fn what_npm_runs_ends_with_npm() {
    if Command::new("npm").arg("--version").output().is_err() {
        assert!(std::env::var_os("PILOTLIGHT_REQUIRE_ALL").is_none(), "npm is missing");
        eprintln!("SKIPPED: there is no npm");
        return;
    }
    let mut desk = Desk::new();
    let server = "process.on('SIGTERM', () => {}); require('fs').writeFileSync('up', ''); setInterval(() => {}, 1000);";
    desk.save("web/server.js", server);
    desk.save("web/package.json", r#"{"name": "web", "scripts": {"dev": "node server.js; true"}}"#);
    let service = json!({
        "command": ["npm", "run", "dev"], "cwd": "web", "auto_start": true, "stop": {"timeout": "200ms"},
    });
    desk.save("services.d/web.json", &service.to_string());
    desk.start_agent();
    let place = desk.project("web");
    desk.until("the server is up", || place.join("up").exists());
    assert!(living_in(&place).len() > 1);
    desk.ok(&["stop", "web"]);
    assert_eq!(living_in(&place), BTreeSet::new());
}
