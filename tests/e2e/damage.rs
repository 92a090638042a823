//! Whatever becomes of the state directory, no service pays for it with its life, and none is started a second time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::deaths::{assert_none_runs_twice, leaders};
use crate::desk::{Desk, PROGRAM, free_port, is_alive};
use crate::dice::Dice;
use crate::supervision::demo;

/// How often the state directory is damaged; more by `PILOTLIGHT_DAMAGES`.
fn damages() -> u64 {
    std::env::var("PILOTLIGHT_DAMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

fn sleeper(auto_start: bool) -> String {
    json!({"type": "process", "command": ["sleep", "100000"], "auto_start": auto_start}).to_string()
}

/// A desk with its state directory in a place of its own, in which three services live: one that starts by itself, one
/// that the user has started, and one that has a port and answers on it. A fourth was stopped by the user.
fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.set("PILOTLIGHT_STATE_DIR", desk.path("state").display().to_string());
    desk.save("services.d/auto.json", &sleeper(true));
    desk.save("services.d/asked.json", &sleeper(false));
    desk.save("services.d/off.json", &sleeper(true));
    let port = free_port();
    desk.save("services.d/web.json", &demo(port, json!({"auto_start": true})));
    desk.start_agent();
    desk.ok(&["start", "asked", "web"]);
    desk.ok(&["stop", "off"]);
    desk.until("all is as wished", || desk.pids().len() == 3 && desk.status()["light"] == "green");
    desk
}

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        if metadata.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Takes away whatever is at `path`.
fn clear(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("the desk is ours");
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(path).expect("the desk is ours");
    }
}

/// Damages what is at `path` in one of many ways; tells how.
fn damage(path: &Path, dice: &mut Dice) -> &'static str {
    let content = fs::read(path).unwrap_or_default();
    match dice.below(10) {
        0 => {
            clear(path);
            fs::create_dir(path).expect("the desk is ours");
            "is a folder"
        }
        1 => {
            clear(path);
            fs::write(path, "").expect("the desk is ours");
            "is empty"
        }
        2 => {
            clear(path);
            let garbage: Vec<u8> = (0..dice.below(5000)).map(|_| dice.below(256) as u8).collect();
            fs::write(path, garbage).expect("the desk is ours");
            "is garbage"
        }
        3 => {
            clear(path);
            fs::write(path, "{\"format\": 99, \"services\": {\"asked\": false}, \"pid\": 1}")
                .expect("the desk is ours");
            "is of a later format"
        }
        4 if !path.is_symlink() => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("the desk is ours");
            "may not be read"
        }
        5 => {
            clear(path);
            std::os::unix::fs::symlink("/nowhere", path).expect("the desk is ours");
            "is a link to nowhere"
        }
        6 => {
            clear(path);
            "is gone"
        }
        _ if path.is_dir() || content.is_empty() => "is as it was",
        7 => {
            let mut content = content;
            let at = dice.below(content.len() as u64) as usize;
            content[at] ^= 1 << dice.below(8);
            fs::write(path, content).expect("the desk is ours");
            "has a bit flipped"
        }
        _ => {
            fs::write(path, &content[..dice.below(content.len() as u64) as usize]).expect("the desk is ours");
            "is cut short"
        }
    }
}

/// Restores the copy `from` of a state directory as `to`.
fn restore(from: &Path, to: &Path) {
    clear(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("there is a program `cp`");
    assert!(copied.success());
}

#[test]
fn a_damaged_state_directory_costs_no_service_its_life_and_starts_none_twice() {
    let seed = damages();
    let mut dice = Dice(seed);
    let mut desk = desk();
    let pids: BTreeMap<String, u32> =
        desk.pids().into_iter().map(|(id, pid)| (id, u32::try_from(pid).expect("a pid"))).collect();
    desk.kill_agent();
    let (state, whole) = (desk.path("state"), desk.path("whole"));
    restore(&state, &whole);
    for round in 1..=damages() {
        let mut told = Vec::new();
        for _ in 0..=dice.below(3) {
            let paths = files(&state);
            // The files of the services are what matters most, the deeper the more there are of them.
            let path = &paths[dice.below(paths.len() as u64) as usize];
            let how = damage(path, &mut dice);
            told.push(format!("{} {how}", path.strip_prefix(&state).expect("it is in there").display()));
        }
        let told = format!("round {round} of {seed}: {}", told.join(", "));
        let log_before = desk.agent_log().len();
        desk.begin_agent(&["run", "--headless"]);
        let mut answers = Some(false);
        desk_until(&told, || {
            answers = desk.try_agent();
            answers != Some(false)
        });
        if answers == Some(true) {
            desk.until(&format!("all is known, with {told}"), || {
                let now = desk.pids();
                pids.keys().all(|id| now.contains_key(id) || desk.service(id)["process"] == "foreign")
            });
        } else {
            let words = desk.agent_log()[log_before..].to_owned();
            assert!(words.trim().len() > 20, "it says nothing, with {told}: {words:?}");
        }
        let leaders = leaders(&desk);
        assert_none_runs_twice(&leaders);
        for (id, pid) in &pids {
            assert!(is_alive(*pid), "{id} has died, with {told}\n{}", desk.agent_log());
            assert_eq!(leaders[id], [*pid], "with {told}");
        }
        if answers == Some(true) {
            desk.kill_agent();
        }
        for pid in leaders.get("off").into_iter().flatten() {
            // With the user's wishes lost it has been started again.
            crate::desk::signal_process(*pid, "KILL");
        }
        restore(&whole, &state);
    }
    desk.start_agent();
    desk.until("all is as wished", || desk.pids().len() == 3 && desk.status()["light"] == "green");
    let now: BTreeMap<String, u32> =
        desk.pids().into_iter().map(|(id, pid)| (id, u32::try_from(pid).expect("a pid"))).collect();
    assert_eq!(now, pids);
    assert_eq!(desk.service("off")["process"], "stopped");
}

/// Waits until `condition` holds.
#[track_caller]
fn desk_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "the agent neither answers nor ends, with {what}");
        crate::desk::pause();
    }
}

/// Runs `script` where it may mount, with the desk's variables; `None` if that is not allowed here.
fn where_it_may_mount(desk: &Desk, script: &str) -> Option<String> {
    let probe =
        Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this test mounts a small file system, which is not allowed here");
        return None;
    }
    let variables = desk.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).current_dir(desk.project("")).env_clear();
    command.envs(variables.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.env("PROGRAM", PROGRAM).env("STATE", desk.path("state")).output();
    let output = output.expect("there is a program `unshare`");
    let log = fs::read_to_string(desk.project("agent.out")).unwrap_or_default();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some(format!("{out}{err}{log}"))
}

#[test]
fn a_full_disk_keeps_nothing_from_running_and_is_told() {
    let mut desk = Desk::new();
    desk.set("PILOTLIGHT_STATE_DIR", desk.path("state").display().to_string());
    desk.save("services.d/a.json", &sleeper(true));
    desk.save("services.d/b.json", &sleeper(true));
    let script = r#"
        set -e
        mkdir -p "$STATE"; mount -t tmpfs -o size=256k,mode=700 none "$STATE"
        "$PROGRAM" run --headless --quiet >agent.out 2>&1 & agent=$!; trap 'kill -9 $agent 2>/dev/null' EXIT
        until "$PROGRAM" wait a b 2>/dev/null; do sleep 0.05; done
        a=$(cat "$STATE/services/a/pid"); b=$(cat "$STATE/services/b/pid")
        cat /dev/zero >"$STATE/ballast" 2>/dev/null || true
        # The record of the new run can't be written, nor what the user wishes.
        "$PROGRAM" restart a
        pid() { "$PROGRAM" status a --json | tr -d ' \n' | sed 's/.*"pid":\([0-9]*\),"run".*/\1/'; }
        new=$(pid)
        kill -0 $new; [ $new != $a ]
        [ ! -e "$STATE/services/a/pid" ] || [ $new = $(cat "$STATE/services/a/pid") ]
        "$PROGRAM" stop b
        ! kill -0 $b 2>/dev/null
        kill -9 $agent; wait $agent || true
        "$PROGRAM" run --headless --quiet >>agent.out 2>&1 & agent=$!
        until "$PROGRAM" wait a 2>/dev/null; do sleep 0.05; done
        [ $new = $(pid) ]
        echo found
        # What could not be stored is, as soon as there is room.
        "$PROGRAM" stop b
        rm "$STATE/ballast"
        "$PROGRAM" restart a
        grep -q '"b": false' "$STATE/intent.json"
        "$PROGRAM" shutdown
        wait $agent
        echo done
    "#;
    let Some(told) = where_it_may_mount(&desk, script) else { return };
    assert!(told.contains("found\n") && told.contains("done\n"), "{told}");
    assert!(told.contains("No space left on device"), "it is told: {told}");
}

#[test]
fn a_read_only_state_directory_is_told_and_leaves_services_alone() {
    let mut desk = Desk::new();
    desk.set("PILOTLIGHT_STATE_DIR", desk.path("state").display().to_string());
    desk.save("services.d/a.json", &sleeper(true));
    let script = r#"
        set -e
        mkdir -p "$STATE"; mount -t tmpfs -o mode=700 none "$STATE"
        "$PROGRAM" run --headless --quiet >agent.out 2>&1 & agent=$!; trap 'kill -9 $agent 2>/dev/null' EXIT
        until "$PROGRAM" wait a 2>/dev/null; do sleep 0.05; done
        a=$(cat "$STATE/services/a/pid")
        kill -9 $agent; wait $agent || true
        # The services go on writing through the mount below.
        mount --bind "$STATE" "$STATE"; mount -o bind,remount,ro "$STATE"
        if "$PROGRAM" run --headless --quiet 2>>agent.out; then exit 1; else code=$?; fi
        echo "refused with $code"
        kill -0 $a
        umount "$STATE"
        "$PROGRAM" run --headless --quiet >>agent.out 2>&1 & agent=$!
        until "$PROGRAM" wait a 2>/dev/null; do sleep 0.05; done
        [ $a = $(cat "$STATE/services/a/pid") ]
        kill -0 $a
        "$PROGRAM" shutdown
        wait $agent
        echo done
    "#;
    let Some(told) = where_it_may_mount(&desk, script) else { return };
    assert!(told.contains("refused with 1\n") && told.contains("done\n"), "{told}");
    assert!(told.contains("Read-only file system"), "it is told: {told}");
}
