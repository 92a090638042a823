//! However sources are saved, swapped, linked or checked out: what has not changed keeps its process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use crate::desk::Desk;
use crate::saving::WAYS;

fn sleeper(argument: &str) -> String {
    json!({"type": "process", "command": ["sleep", argument], "auto_start": true}).to_string()
}

/// The same definition in other words: what runs by it goes on.
fn reworded(number: usize) -> String {
    format!("{}{}", " ".repeat(number), sleeper("1000"))
}

/// An agent with these running services.
fn with(names: &[&str]) -> Desk {
    let mut desk = Desk::new();
    for name in names {
        desk.save(&format!("services.d/{name}.json"), &sleeper("1000"));
    }
    desk.start_agent();
    desk.until("all run", || desk.pids().len() == names.len());
    desk
}

fn generation(desk: &Desk) -> u64 {
    desk.status()["generation"].as_u64().expect("a number")
}

/// Waits until all that was written before has been read: a service of its own says so.
fn settle(desk: &Desk, number: usize) {
    let marker = json!({"id": "zz-marker", "type": "process", "command": "true", "description": number.to_string()});
    desk.save("services.json", &json!({"services": [marker]}).to_string());
    desk.until("the marker is read", || {
        desk.service("zz-marker")["description"] == *number.to_string()
            && desk.status()["problems"].as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn no_program_restarts_anything_by_the_way_it_saves() {
    let desk = with(&["a", "b", "c"]);
    let before = desk.pids();
    settle(&desk, 0);
    for (number, (way, save)) in WAYS.iter().enumerate() {
        let begun = generation(&desk);
        for name in ["a", "b"] {
            save(&desk.project(&format!("services.d/{name}.json")), &reworded(number));
        }
        settle(&desk, number + 1);
        assert_eq!(desk.pids(), before, "{way}");
        assert_eq!(generation(&desk), begun + 1, "only the marker has changed: {way}");
    }
    let mut last = before;
    for (number, (way, save)) in WAYS.iter().enumerate() {
        save(&desk.project("services.d/a.json"), &sleeper(&format!("{}", 2000 + number)));
        desk.until(&format!("{way} is seen"), || desk.pids().get("a").is_some_and(|pid| *pid != last["a"]));
        last.insert("a".to_owned(), desk.pids()["a"]);
        settle(&desk, 100 + number);
        assert_eq!(desk.pids(), last, "{way} restarts it once, and nobody else");
    }
}

#[test]
fn what_is_half_written_for_long_is_neither_a_removal_nor_a_change() {
    let desk = with(&["a", "b"]);
    let (before, begun) = (desk.pids(), generation(&desk));
    let whole = sleeper("1000");
    let half = &whole[..whole.len() / 2];
    for text in ["", half, " \n", "{\"command\": [\"sleep\"", "[{\"id\": \"x\""] {
        desk.write("services.d/a.json", text);
        desk.until("it is told that it is not whole", || {
            desk.status()["problems"].as_array().is_some_and(|problems| !problems.is_empty())
        });
        assert_eq!(desk.pids(), before, "{text:?}");
        assert_eq!(generation(&desk), begun, "{text:?}");
        desk.write("services.d/a.json", &whole);
        desk.until("it is whole", || desk.status()["problems"].as_array().is_some_and(Vec::is_empty));
        assert_eq!(desk.pids(), before, "{text:?}");
    }
    assert_eq!(generation(&desk), begun);
}

/// A config map of Kubernetes in `services.d`, in its version `version`.
fn mount(desk: &Desk, version: usize, services: &BTreeMap<&str, String>) {
    let place = desk.project("services.d");
    let folder = format!("..{version}");
    fs::create_dir_all(place.join(&folder)).expect("the desk is ours");
    for (name, text) in services {
        fs::write(place.join(&folder).join(format!("{name}.json")), text).expect("the desk is ours");
    }
    symlink(&folder, place.join("..data_tmp")).expect("the desk is ours");
    fs::rename(place.join("..data_tmp"), place.join("..data")).expect("the desk is ours");
    for name in services.keys() {
        // The links stay from version to version.
        let _ = symlink(format!("..data/{name}.json"), place.join(format!("{name}.json")));
    }
    if let Some(before) = version.checked_sub(1) {
        // The first has none before it.
        let _ = fs::remove_dir_all(place.join(format!("..{before}")));
    }
}

#[test]
fn a_config_map_that_is_swapped_restarts_what_is_different_in_it() {
    let mut desk = Desk::new();
    let mut services: BTreeMap<&str, String> = ["a", "b", "c"].map(|name| (name, sleeper("1000"))).into();
    mount(&desk, 0, &services);
    desk.start_agent();
    desk.until("all run", || desk.pids().len() == 3);
    let mut before = desk.pids();
    for version in 1..6 {
        mount(&desk, version, &services);
        settle(&desk, version);
        assert_eq!(desk.pids(), before, "the same in another version");
    }
    services.insert("b", sleeper("2000"));
    mount(&desk, 6, &services);
    desk.until("what is different is new", || desk.pids().get("b").is_some_and(|pid| *pid != before["b"]));
    before.insert("b".to_owned(), desk.pids()["b"]);
    settle(&desk, 6);
    assert_eq!(desk.pids(), before);
}

#[test]
fn a_folder_of_drop_ins_that_is_replaced_by_a_link_or_another_restarts_nothing() {
    let desk = with(&["a", "b"]);
    let before = desk.pids();
    let place = desk.project("services.d");
    let copy = |name: &str, b: &str| {
        desk.save(&format!("{name}/a.json"), &sleeper("1000"));
        desk.save(&format!("{name}/b.json"), &sleeper(b));
    };
    copy("one", "1000");
    copy("two", "1000");
    copy("three", "2000");
    fs::rename(&place, desk.project("away")).expect("the desk is ours");
    symlink("one", &place).expect("the desk is ours");
    settle(&desk, 1);
    assert_eq!(desk.pids(), before, "a link in its place");
    let swap = |target: &str| {
        symlink(target, desk.project("next")).expect("the desk is ours");
        fs::rename(desk.project("next"), &place).expect("the desk is ours");
    };
    swap("two");
    settle(&desk, 2);
    assert_eq!(desk.pids(), before, "another link");
    swap("three");
    desk.until("what is different is new", || desk.pids().get("b").is_some_and(|pid| *pid != before["b"]));
    assert_eq!(desk.pids()["a"], before["a"]);
    let now = desk.pids();
    fs::remove_file(&place).expect("the desk is ours");
    fs::rename(desk.project("three"), &place).expect("the desk is ours");
    settle(&desk, 3);
    assert_eq!(desk.pids(), now, "a folder in place of the link");
    desk.save("services.d/c.json", &sleeper("1000"));
    desk.until("what comes into it is seen", || desk.pids().contains_key("c"));
    fs::remove_dir_all(&place).expect("the desk is ours");
    desk.until("what is gone with it is gone", || desk.pids().is_empty());
    desk.save("services.d/c.json", &sleeper("1000"));
    desk.until("one that is made later is seen", || desk.pids().len() == 1);
}

/// Runs git in the project; false, and a word, where there is none.
fn git(desk: &Desk, arguments: &[&str]) -> bool {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=A", "-c", "user.email=a@b"]).args(arguments).current_dir(desk.project("."));
    let Ok(output) = git.output() else {
        assert!(std::env::var_os("PILOTLIGHT_REQUIRE_ALL").is_none(), "git is missing");
        eprintln!("SKIPPED: there is no git");
        return false;
    };
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn checking_out_back_and_forth_ends_with_what_is_checked_out() {
    let mut desk = Desk::new();
    for name in ["a", "b", "c"] {
        desk.save(&format!("services.d/{name}.json"), &sleeper("1000"));
    }
    if !git(&desk, &["init", "--quiet", "--initial-branch=main"]) {
        return;
    }
    git(&desk, &["add", "services.d"]);
    git(&desk, &["commit", "--quiet", "-m", "three"]);
    git(&desk, &["checkout", "--quiet", "-b", "other"]);
    desk.save("services.d/b.json", &sleeper("2000"));
    desk.remove("services.d/c.json");
    desk.save("services.d/d.json", &sleeper("1000"));
    git(&desk, &["add", "--all", "services.d"]);
    git(&desk, &["commit", "--quiet", "-m", "others"]);
    git(&desk, &["checkout", "--quiet", "main"]);
    desk.start_agent();
    desk.until("all run", || desk.pids().len() == 3);
    let before = desk.pids();
    let begun = generation(&desk);
    for count in 0..20 {
        git(&desk, &["checkout", "--quiet", if count % 2 == 0 { "other" } else { "main" }]);
    }
    git(&desk, &["checkout", "--quiet", "other"]);
    desk.until("the other runs", || desk.pids().keys().eq(["a", "b", "d"]) && desk.service("c").is_null());
    desk.until("as it is there", || arguments(&desk, "b") == "sleep 2000");
    assert_eq!(desk.pids()["a"], before["a"], "what is the same on both sides goes on");
    git(&desk, &["checkout", "--quiet", "main"]);
    desk.until("the first runs again", || desk.pids().keys().eq(["a", "b", "c"]) && desk.service("d").is_null());
    desk.until("as it was", || arguments(&desk, "b") == "sleep 1000");
    assert_eq!(desk.pids()["a"], before["a"]);
    assert!(generation(&desk) > begun);
}

#[test]
fn a_thousand_files_dropped_in_at_once_are_all_in_use_and_disturb_nobody() {
    let desk = with(&["a", "b"]);
    let before = desk.pids();
    let name = |number: usize| format!("services.d/many-{number}.json");
    for number in 0..1000 {
        desk.write(&name(number), r#"{"type": "process", "command": ["sleep", "1000"]}"#);
    }
    let count = || desk.status()["services"].as_array().map_or(0, Vec::len);
    desk.until("all are there", || count() == 1002);
    assert_eq!(desk.pids(), before);
    assert_eq!(desk.status()["problems"], json!([]));
    for number in 0..1000 {
        desk.remove(&name(number));
    }
    desk.until("all are gone", || count() == 2);
    assert_eq!(desk.pids(), before);
}

/// The command line of a service's main process; empty while there is none.
fn arguments(desk: &Desk, id: &str) -> String {
    let pid = &desk.service(id)["pid"];
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.trim_end_matches('\0').replace('\0', " ")
}
