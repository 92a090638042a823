//! An agent that dies at any moment costs nobody anything, however often: nothing runs twice, nothing is lost, nothing
//! is left that the next one does not know.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::desk::{Desk, PROGRAM, is_alive, pause, signal_process};
use crate::dice::Dice;

/// How many services are changed, stopped, started and crashed all the time.
const RESTLESS: u64 = 4;

/// How often the agent is killed; more by `PILOTLIGHT_KILLS`.
fn kills() -> u64 {
    std::env::var("PILOTLIGHT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(15)
}

fn restless(round: u64) -> String {
    let definition = json!({
        "type": "process", "command": ["sleep", "100000"], "auto_start": true, "env": {"ROUND": round.to_string()},
        "restart": {"policy": "always", "max_restarts": 1000},
    });
    definition.to_string()
}

/// A service that writes a thousand numbered lines a second, so that its log is rotated all the time. Of different
/// rounds only the description differs.
fn counter(round: u64) -> String {
    let pad = "x".repeat(100);
    let script = format!(
        "i=0; while :; do n=0; while [ $n -lt 30 ]; do n=$((n+1)); i=$((i+1)); echo $i {pad}; done; sleep 0.03; done"
    );
    let definition = json!({
        "type": "process", "command": ["sh", "-c", script], "auto_start": true, "description": round.to_string(),
        "log": {"max_size": "128KiB", "keep": 1000},
    });
    definition.to_string()
}

/// The living leaders of sessions that carry the marker of the desk's agent, by service.
pub fn leaders(desk: &Desk) -> BTreeMap<String, Vec<u32>> {
    let mut leaders: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let marker = format!("PILOTLIGHT_STATE_DIR={}", desk.path("").display());
    for process in fs::read_dir("/proc").expect("there is a list of processes").flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let variables: Vec<_> = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let session = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)?.parse::<u32>().ok());
        if session == Some(pid)
            && variables.iter().any(|variable| variable.starts_with(&marker))
            && let Some(service) = variables.iter().find_map(|variable| variable.strip_prefix("PILOTLIGHT_SERVICE="))
            && is_alive(pid)
        {
            leaders.entry(service.to_owned()).or_default().push(pid);
        }
    }
    leaders
}

/// Panics if a service runs twice.
#[track_caller]
pub fn assert_none_runs_twice(leaders: &BTreeMap<String, Vec<u32>>) {
    for (service, pids) in leaders {
        // The one that was seen first may have ended before the other began.
        let living: Vec<_> = pids.iter().filter(|pid| is_alive(**pid)).collect();
        assert!(living.len() < 2, "{service} runs as {living:?}");
    }
}

/// Does something that has the agent busy, and does not wait for it.
fn disturb(desk: &Desk, dice: &mut Dice, round: u64, stopped: &mut BTreeMap<String, Option<bool>>) -> Option<Child> {
    let id = format!("r{}", dice.below(RESTLESS));
    let file = format!("services.d/{id}.json");
    let tell = |verb: &str| {
        let mut command = desk.command(&[verb, &id]);
        Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program can be run"))
    };
    match dice.below(9) {
        0 | 1 => desk.save(&file, &restless(round)),
        2 => {
            desk.remove(&file);
            desk.save(&file, &restless(round));
        }
        3 => {
            if let Some(pid) = leaders(desk).get(&id).and_then(|pids| pids.first()) {
                signal_process(*pid, "KILL");
            }
        }
        4 => {
            stopped.insert(id.clone(), None);
            return tell("stop");
        }
        5 => {
            // It starts what is stopped.
            stopped.insert(id.clone(), None);
            return tell("restart");
        }
        6 => {
            let mut command = desk.command(&["reload"]);
            return Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program can be run"));
        }
        7 => desk.save("services.d/counter.json", &counter(round)),
        _ => {
            stopped.insert(id.clone(), None);
            return tell("start");
        }
    }
    None
}

#[test]
fn an_agent_that_is_killed_again_and_again_costs_nobody_anything() {
    let mut desk = Desk::new();
    let mut dice = Dice(kills());
    desk.save("services.d/steady.json", r#"{"type": "process", "command": ["sleep", "100000"], "auto_start": true}"#);
    desk.save("services.d/counter.json", &counter(0));
    let flapping = json!({
        "type": "process", "command": ["sh", "-c", "sleep 0.03; exit 1"], "auto_start": true,
        "restart": {"policy": "always", "max_restarts": 100_000, "delay": "10ms", "max_delay": "20ms"},
    });
    desk.save("services.d/flapping.json", &flapping.to_string());
    for index in 0..RESTLESS {
        desk.save(&format!("services.d/r{index}.json"), &restless(0));
    }
    desk.start_agent();
    desk.until("all run", || desk.pids().keys().filter(|id| *id != "flapping").count() as u64 == RESTLESS + 2);
    let before = desk.pids();
    // What was asked of each service last; `None`: nobody knows whether it was heard.
    let mut stopped: BTreeMap<String, Option<bool>> = BTreeMap::new();
    for round in 1..=kills() {
        let asked: Vec<_> =
            (0..=dice.below(3)).filter_map(|_| disturb(&desk, &mut dice, round, &mut stopped)).collect();
        std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        desk.kill_agent();
        for mut child in asked {
            child.wait().expect("it is our child");
        }
        assert_none_runs_twice(&leaders(&desk));
        desk.start_agent();
        let what = format!("all that lives is known, and is all that is to live (kill {round})");
        desk.until(&what, || {
            let leaders = leaders(&desk);
            assert_none_runs_twice(&leaders);
            let (status, pids) = (desk.status(), desk.pids());
            let services = status["services"].as_array().expect("there is a list");
            let is_settled = |service: &serde_json::Value| match service["process"].as_str() {
                Some("running" | "stopped") => true,
                _ => service["id"] == "flapping",
            };
            let known = |id: &str| pids.get(id).map(|pid| vec![u32::try_from(*pid).expect("a pid")]);
            services.len() as u64 == RESTLESS + 3
                && services.iter().all(is_settled)
                && services
                    .iter()
                    .filter_map(|service| service["id"].as_str())
                    .filter(|id| *id != "flapping")
                    .all(|id| known(id).unwrap_or_default() == leaders.get(id).cloned().unwrap_or_default())
        });
        let pids = desk.pids();
        for id in ["steady", "counter"] {
            assert_eq!(pids.get(id), before.get(id), "{id} goes on as it was (kill {round})");
        }
        // What was heard is kept; what may not have been is asked for again, and then holds.
        for (id, heard) in &mut stopped {
            let runs = pids.contains_key(id);
            match heard {
                Some(stopped) => assert_eq!(runs, !*stopped, "{id} is as it was wished (kill {round})"),
                None => {
                    let stop = dice.below(2) == 0;
                    desk.ok(&[if stop { "stop" } else { "start" }, id]);
                    *heard = Some(stop);
                }
            }
        }
    }
    desk.ok(&["stop", "counter"]);
    let lines = desk.ok(&["logs", "counter", "-n", "1000000", "--json"]);
    let numbers = lines.lines().filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line["text"].as_str()?.split(' ').next()?.parse::<u64>().ok()
    });
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.len() > 10, "it has written: {}", &lines[..lines.len().min(300)]);
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "no line is lost, none comes twice");
    desk.ok(&["shutdown"]);
    assert_eq!(desk.wait_agent(), Some(0));
    while !leaders(&desk).is_empty() {
        pause();
    }
}

#[test]
fn a_child_whose_agent_dies_before_it_is_recorded_is_found_and_not_started_twice() {
    let mut desk = Desk::new();
    desk.set("PILOTLIGHT_STATE_DIR", desk.path("state").display().to_string());
    let folder = desk.path("state").join("services/s");
    fs::create_dir_all(&folder).expect("the desk is ours");
    // Whoever opens this to write to it waits for a reader: the record of the run is never written.
    let trap = folder.join("run.tmp");
    let made = Command::new("mkfifo").arg(&trap).status().expect("there is a program `mkfifo`");
    assert!(made.success());
    desk.save("services.d/s.json", r#"{"type": "process", "command": ["sleep", "100000"], "auto_start": true}"#);
    desk.begin_agent(&["run", "--headless"]);
    desk.until("there is a child", || leaders(&desk).contains_key("s"));
    desk.kill_agent();
    let children = leaders(&desk);
    assert_eq!(children["s"].len(), 1);
    assert!(!folder.join("run.json").exists() && !folder.join("pid").exists(), "nothing tells of it");
    fs::remove_file(&trap).expect("the desk is ours");
    desk.start_agent();
    desk.until_service("s", "process", "running");
    assert_eq!(leaders(&desk), children);
    assert_eq!(desk.pid("s"), Some(children["s"][0]));
    assert_eq!(fs::read_to_string(folder.join("pid")).expect("it is written").trim(), children["s"][0].to_string());
    assert_eq!(desk.service("s")["adopted"], true);
}

#[test]
fn a_pid_that_another_process_has_by_now_is_never_signalled() {
    // In a namespace of their own processes get the numbers that they are to get.
    let script = r#"
        set -e
        "$PROGRAM" run --headless --quiet >agent.out 2>&1 & agent=$!
        pid=; until pid=$(cat "$STATE/services/s/pid" 2>/dev/null) && [ -n "$pid" ]; do sleep 0.02; done
        kill -9 $agent; wait $agent || true
        kill -9 $pid
        # Nobody collects it here but the first process of the namespace, which is this shell.
        while [ -e /proc/$pid/cmdline ]; do wait; done
        sed -i 's/1000/2000/' services.d/s.json
        tries=0; stranger=0
        while [ $stranger != $pid ]; do
            echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
            env -i /bin/sleep 3000 & stranger=$!
            tries=$((tries + 1)); [ $tries -lt 100 ]
        done
        "$PROGRAM" run --headless --quiet >>agent.out 2>&1 & agent=$!
        now=; until now=$(cat "$STATE/services/s/pid" 2>/dev/null) && [ -n "$now" ] && [ "$now" != $pid ]; do sleep 0.02; done
        kill -TERM $agent; wait $agent
        kill -0 $stranger
        ! kill -0 $now 2>/dev/null
        echo it lives
    "#;
    let namespace = ["--pid", "--fork", "--mount-proc", "sh"];
    let allowed =
        Command::new("unshare").args(namespace).args(["-c", "echo 99 >/proc/sys/kernel/ns_last_pid"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this test gives out process numbers, which is not allowed here");
        return;
    }
    let mut desk = Desk::new();
    let state = desk.path("state").display().to_string();
    desk.set("PILOTLIGHT_STATE_DIR", state.clone());
    desk.set("STATE", state);
    desk.set("PROGRAM", PROGRAM);
    desk.save("services.d/s.json", r#"{"type": "process", "command": ["sleep", "1000"], "auto_start": true}"#);
    let variables = desk.command(&[]);
    let mut command = Command::new("unshare");
    command.args(namespace).args(["-c", script]).current_dir(desk.project("")).env_clear();
    command.envs(variables.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.stdin(Stdio::null()).output().expect("there is a program `unshare`");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let log = fs::read_to_string(desk.project("agent.out")).unwrap_or_default();
    assert!(printed.contains("it lives"), "{printed}{complained}{log}");
}
