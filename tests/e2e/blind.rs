//! The agent can't see every change as it happens: what is on disk counts in the end all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use crate::desk::Desk;

fn sleeper(argument: &str) -> String {
    json!({"type": "process", "command": ["sleep", argument], "auto_start": true}).to_string()
}

/// An agent-to-be with three services.
fn three() -> Desk {
    let desk = Desk::new();
    // So that the project is found without its drop-ins as well.
    desk.save("services.json", "{}");
    for name in ["a", "b", "c"] {
        desk.save(&format!("services.d/{name}.json"), &sleeper("1000"));
    }
    desk
}

/// One service is edited, one goes, one comes; the one left keeps its process.
fn all_is_followed(desk: &Desk) {
    let before = desk.pids();
    desk.save("services.d/a.json", &sleeper("2000"));
    desk.remove("services.d/b.json");
    desk.save("services.d/d.json", &sleeper("1000"));
    is_followed(desk, &before);
}

fn is_followed(desk: &Desk, before: &std::collections::BTreeMap<String, u64>) {
    desk.until("what is on disk is what runs", || {
        let now = desk.pids();
        now.keys().eq(["a", "c", "d"]) && now["a"] != before["a"]
    });
    assert_eq!(desk.pids()["c"], before["c"]);
}

#[test]
fn more_changes_than_the_system_keeps_in_mind_lose_nothing() {
    let mut desk = three();
    desk.start_agent();
    desk.until("all run", || desk.pids().len() == 3);
    let before = desk.pids();
    stop(&desk);
    make_noise(&desk, "services.d");
    // Of these nobody is told by name any more.
    desk.save("services.d/a.json", &sleeper("2000"));
    desk.remove("services.d/b.json");
    desk.save("services.d/d.json", &sleeper("1000"));
    desk.signal_agent("CONT");
    is_followed(&desk, &before);
    let events = desk.ok(&["events"]);
    assert!(events.contains("the system has lost track of changes"), "{events}");
    all_comes_and_goes_again(&desk);
}

/// Stops the agent, and waits until none of its threads goes on to listen.
fn stop(desk: &Desk) {
    desk.signal_agent("STOP");
    let threads = format!("/proc/{}/task", desk.agent_pid());
    desk.until("all of it has stopped", || {
        fs::read_dir(&threads).expect("the agent is there").flatten().all(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
        })
    });
}

/// Changes more in `folder` than the system keeps in mind, and nothing that matters.
fn make_noise(desk: &Desk, folder: &str) {
    let longest = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("there is inotify");
    let longest: u32 = longest.trim().parse().expect("a number");
    for name in ["x", "y"] {
        desk.write(&format!("{folder}/{name}.txt"), "");
    }
    // Two in turn: the same change twice in a row would be told once.
    for count in 0..longest + 100 {
        let name = if count % 2 == 0 { "x" } else { "y" };
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(desk.project(&format!("{folder}/{name}.txt")), mode).expect("the desk is ours");
    }
}

#[test]
fn a_watched_file_that_changes_among_too_many_others_restarts_its_service_and_no_other() {
    let mut desk = Desk::new();
    for name in ["a", "b"] {
        desk.save(&format!("src/{name}.sh"), "exec sleep 1000\n");
        let service = json!({"command": ["sh", format!("src/{name}.sh")], "auto_start": true, "watch": [format!("src/{name}.sh")]});
        desk.save(&format!("services.d/{name}.json"), &service.to_string());
    }
    desk.start_agent();
    desk.until_light("green");
    let before = desk.pids();
    stop(&desk);
    make_noise(&desk, "src");
    desk.write("src/a.sh", "exec sleep 2000\n");
    desk.signal_agent("CONT");
    desk.until("it is restarted", || desk.pids().get("a").is_some_and(|pid| *pid != before["a"]));
    assert_eq!(desk.pids()["b"], before["b"]);
    let events = desk.ok(&["events"]);
    assert!(events.contains("restarts: src/a.sh changed"), "{events}");
}

/// What changes after that is seen as ever.
fn all_comes_and_goes_again(desk: &Desk) {
    desk.remove("services.d/d.json");
    desk.save("services.d/b.json", &sleeper("1000"));
    desk.until("it is as it was", || desk.pids().keys().eq(["a", "b", "c"]));
}

#[test]
fn with_no_watches_left_it_says_so_and_looks_now_and_then() {
    for (limit, word) in
        [("max_inotify_watches", "failed to watch "), ("max_inotify_instances", "failed to watch files")]
    {
        let mut desk = three();
        // In a namespace of its own, whose limits are nobody else's.
        let script = format!("echo 0 > /proc/sys/user/{limit} && exec \"$@\"");
        let wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", &script, "sh"];
        let may = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status();
        if !may.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: this test needs a user namespace, which is not allowed here");
            return;
        }
        desk.start_agent_within(&wrapper);
        desk.until("all run", || desk.pids().len() == 3);
        assert!(desk.agent_log().contains(word), "{}", desk.agent_log());
        assert!(desk.agent_log().contains("every 2 s"), "{}", desk.agent_log());
        all_is_followed(&desk);
        all_comes_and_goes_again(&desk);
        fs::remove_dir_all(desk.project("services.d")).expect("the desk is ours");
        desk.until("all are gone", || desk.pids().is_empty());
        desk.save("services.d/e.json", &sleeper("1000"));
        desk.until("the new one runs", || desk.pids().keys().eq(["e"]));
    }
}
