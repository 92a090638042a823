//! Files change, and what runs follows: only what really changed.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::desk::{Desk, free_port};
use crate::supervision::demo;

fn sleeper(argument: &str) -> String {
    json!({"type": "process", "command": ["sleep", argument], "auto_start": true}).to_string()
}

/// An agent with five running services.
fn five() -> Desk {
    let mut desk = Desk::new();
    for name in ["a", "b", "c", "d", "e"] {
        desk.save(&format!("services.d/{name}.json"), &sleeper("1000"));
    }
    desk.start_agent();
    desk.until("all five run", || desk.pids().len() == 5);
    desk
}

#[test]
fn dropping_in_editing_and_deleting_touch_only_the_service_concerned() {
    let desk = five();
    let mut before = desk.pids();
    desk.save("services.d/f.json", &sleeper("1000"));
    desk.until("the new one runs", || desk.pids().len() == 6);
    before.insert("f".to_owned(), desk.pids()["f"]);
    assert_eq!(desk.pids(), before);
    desk.save("services.d/a.json", &sleeper("2000"));
    desk.until("the edited one is new", || desk.pids().get("a").is_some_and(|pid| *pid != before["a"]));
    before.insert("a".to_owned(), desk.pids()["a"]);
    assert_eq!(desk.pids(), before);
    desk.remove("services.d/f.json");
    before.remove("f");
    desk.until("the deleted one is gone", || desk.service("f").is_null());
    assert_eq!(desk.pids(), before);
}

#[test]
fn porting_a_service_restarts_it_alone_and_the_others_say_what_they_missed() {
    let mut desk = Desk::new();
    let (first, second) = (free_port(), free_port());
    let api = |port: u16| demo(port, json!({"auto_start": true, "port_env": "API_PORT"}));
    desk.save("services.d/api.json", &api(first));
    desk.save("services.d/other.json", &sleeper("1000"));
    desk.start_agent();
    desk.until_light("green");
    let before = desk.pids();
    desk.save("services.d/api.json", &api(second));
    desk.until("it runs on its new port", || {
        desk.service("api")["port"] == second && desk.service("api")["health"] == "healthy"
    });
    let after = desk.pids();
    assert_ne!(after["api"], before["api"]);
    assert_eq!(after["other"], before["other"]);
    let told = "healthy; started before API_PORT changed";
    assert_eq!(desk.service("other")["reason"], told);
    desk.kill_agent();
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.pids()["other"], before["other"]);
    assert_eq!(desk.service("other")["reason"], told, "the next agent knows it, too");
}

#[test]
fn every_way_of_saving_is_seen_and_nothing_restarts_without_cause() {
    let desk = five();
    let before = desk.pids();
    let generation = || desk.status()["generation"].as_u64().expect("a number");
    let unchanged = |what: &str| {
        assert_eq!(desk.pids(), before, "{what}");
    };
    // A change in place is the sign that all that was written before it has been read.
    let mut count = 0;
    let mut settle = |what: &str| {
        count += 1;
        let marker = json!({"type": "process", "command": "true", "description": format!("{count}")}).to_string();
        desk.save("services.d/zz-marker.json", &marker);
        desk.until("the marker is read", || {
            let problems = desk.status()["problems"].as_array().map_or(0, Vec::len);
            problems == 0 && desk.service("zz-marker")["description"] == *count.to_string()
        });
        unchanged(what);
    };
    desk.save("services.d/a.json", &sleeper("1000"));
    desk.save("services.d/a.json", &format!("{}\n", sleeper("1000")));
    settle("saved by rename twice in a row");
    desk.write("services.d/b.json", "");
    desk.write("services.d/b.json", &sleeper("1000"));
    settle("truncated and written");
    desk.remove("services.d/c.json");
    desk.save("services.d/c.json", &sleeper("1000"));
    settle("deleted and created again");
    std::fs::rename(desk.project("services.d/d.json"), desk.project("services.d/dd.json")).expect("the desk is ours");
    desk.save("services.d/dd.json", &sleeper("1000").replacen('{', "{\"id\": \"d\", ", 1));
    desk.write("services.d/.a.json.swp", "garbage");
    desk.write("services.d/a.json~", "garbage");
    settle("renamed, with an editor's leavings beside it");
    desk.save("versions/1.json", &sleeper("1000"));
    desk.save("versions/2.json", &format!("  {}", sleeper("1000")));
    std::fs::remove_file(desk.project("services.d/e.json")).expect("the desk is ours");
    symlink(desk.project("versions/1.json"), desk.project("services.d/e.json")).expect("the desk is ours");
    settle("replaced by a link");
    symlink(desk.project("versions/2.json"), desk.project("services.d/e.next")).expect("the desk is ours");
    std::fs::rename(desk.project("services.d/e.next"), desk.project("services.d/e.json")).expect("the desk is ours");
    settle("the link swapped");
    let before_edit = generation();
    desk.save("versions/2.json", &sleeper("3000"));
    desk.until("an edit behind the link is seen", || desk.pids().get("e").is_some_and(|pid| *pid != before["e"]));
    assert_eq!(generation(), before_edit + 1);
}

#[test]
fn a_broken_source_keeps_its_last_good_version_and_the_place_is_shown() {
    let desk = five();
    let before = desk.pids();
    desk.save("services.d/a.json", "{\n  \"type\": \"process\",\n  \"command\": [sleep]\n}\n");
    desk.until("the problem is shown", || !desk.status()["problems"].as_array().expect("a list").is_empty());
    let problem = desk.status()["problems"][0].clone();
    assert_eq!(problem["severity"], "error");
    assert_eq!(problem["file"], "services.d/a.json");
    assert_eq!((&problem["line"], &problem["column"]), (&json!(3), &json!(15)));
    assert_eq!(desk.status()["light"], "yellow");
    assert_eq!(desk.pids(), before);
    desk.save("services.d/a.json", &sleeper("1000"));
    desk.until_light("green");
    assert_eq!(desk.pids(), before);
}

#[test]
fn a_folder_that_appears_later_is_seen_and_so_is_the_very_first_file() {
    let mut desk = Desk::new();
    desk.save("services.json", r#"{"services": []}"#);
    desk.start_agent();
    assert_eq!(desk.status()["light"], "gray");
    desk.save("services.d/a.json", &sleeper("1000"));
    desk.until("it runs", || desk.pids().len() == 1);
    std::fs::remove_dir_all(desk.project("services.d")).expect("the desk is ours");
    desk.until("it is gone", || desk.pids().is_empty());
    desk.save("services.d/b.json", &sleeper("1000"));
    desk.until("the next one runs", || desk.pids().len() == 1);
}

#[test]
fn with_nothing_at_all_it_runs_gray_and_the_first_drop_in_in_the_users_folder_is_seen() {
    let mut desk = Desk::new();
    desk.start_agent();
    assert_eq!(desk.status()["light"], "gray");
    let folder = desk.path("home/.config/pilotlight/services.d");
    assert!(desk.agent_log().contains(".config/pilotlight"), "{}", desk.agent_log());
    std::fs::create_dir_all(&folder).expect("the desk is ours");
    std::fs::write(folder.join("a.json"), sleeper("1000")).expect("the desk is ours");
    desk.until("it runs", || desk.pids().len() == 1);
}

#[test]
fn with_manual_reload_changes_wait_for_the_user_and_are_shown_until_then() {
    let mut desk = Desk::new();
    desk.save("services.json", r#"{"agent": {"reload": "manual"}}"#);
    desk.save("services.d/a.json", &sleeper("1000"));
    desk.save("services.d/b.json", &sleeper("1000"));
    desk.start_agent();
    desk.until("both run", || desk.pids().len() == 2);
    assert!(desk.status()["waiting"].is_null());
    let (before, generation) = (desk.pids(), desk.status()["generation"].clone());

    desk.save("services.d/a.json", &sleeper("2000"));
    desk.save("services.d/c.json", &sleeper("1000"));
    let waiting =
        json!({"services": ["c", "a"], "frame": false, "text": "added c; a is spawned differently (command)"});
    desk.until("it is told that they wait", || desk.status()["waiting"] == waiting);
    let told = desk.ok(&["status"]);
    assert!(told.contains("\nChanges of 2 services wait: `pilotlight reload` applies them\n"), "{told}");
    let planned = desk.ok(&["plan"]);
    assert_eq!(planned, "restart  a  restarts: command\nadd      c  starts (auto_start)\n");
    let refused = desk.fails(4, &["start", "c"]);
    assert!(refused.contains("it is among the changes that wait: `pilotlight reload` applies them"), "{refused}");
    assert_eq!((desk.pids(), &desk.status()["generation"]), (before.clone(), &generation), "asking applies nothing");

    let restarted = desk.ok(&["restart", "a"]);
    assert_eq!(restarted, "note: changes of a wait to be applied: what is in use goes on to count\na is healthy\n");
    assert_eq!(arguments(&desk, "a"), "sleep 1000");

    desk.remove("services.d/c.json");
    desk.until("only the change of a waits", || desk.status()["waiting"]["services"] == json!(["a"]));
    let told = desk.ok(&["reload"]);
    assert!(told.starts_with("note: applied: a is spawned differently (command)\n"), "{told}");
    desk.until("it runs as it is defined now", || arguments(&desk, "a") == "sleep 2000");
    assert_eq!(desk.pids()["b"], before["b"]);
    assert!(desk.status()["waiting"].is_null());
    let events = desk.ok(&["events"]);
    let told =
        ["waiting     added c", "generation  a is spawned differently (command) (", "plan        a: restart: command"];
    let mut lines = events.lines();
    assert!(told.iter().all(|told| lines.any(|line| line.contains(told))), "in this order: {events}");

    desk.save("services.d/a.json", &sleeper("3000"));
    desk.until("it waits", || !desk.status()["waiting"].is_null());
    desk.save("services.json", "{}");
    desk.until("the word that is gone applies it", || arguments(&desk, "a") == "sleep 3000");
}

#[test]
fn what_waits_is_applied_by_the_start_of_the_next_agent() {
    let mut desk = Desk::new();
    desk.save("services.json", r#"{"agent": {"reload": "manual"}}"#);
    desk.save("services.d/a.json", &sleeper("1000"));
    desk.start_agent();
    desk.until("it runs", || desk.pids().len() == 1);
    desk.save("services.d/a.json", &sleeper("2000"));
    desk.until("it waits", || !desk.status()["waiting"].is_null());
    assert_eq!(arguments(&desk, "a"), "sleep 1000");
    desk.kill_agent();
    desk.start_agent();
    desk.until("it runs as it is defined now", || arguments(&desk, "a") == "sleep 2000");
    assert!(desk.status()["waiting"].is_null());
}

/// The command line of a service's main process; empty while there is none.
fn arguments(desk: &Desk, id: &str) -> String {
    let pid = &desk.service(id)["pid"];
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.trim_end_matches('\0').replace('\0', " ")
}
