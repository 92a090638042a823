//! What would happen is told, and nothing of it is done.

use serde_json::{Value, json};

use crate::desk::Desk;

fn sleeper(argument: &str) -> Value {
    json!({"command": ["sleep", argument], "auto_start": true})
}

/// What `plan` says of each service: its word, its fields and its text.
fn planned(plan: &Value, id: &str) -> (String, Vec<String>, String) {
    let services = plan["services"].as_array().expect("there is a list");
    let planned = services.iter().find(|planned| planned["id"] == id).unwrap_or_else(|| panic!("{id}: {plan}"));
    let fields = planned["fields"].as_array().expect("there is a list").iter();
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    (text(&planned["does"]), fields.map(text).collect(), text(&planned["text"]))
}

fn line(does: &str, fields: &[&str], text: &str) -> (String, Vec<String>, String) {
    (does.to_owned(), fields.iter().map(|field| (*field).to_owned()).collect(), text.to_owned())
}

#[test]
fn files_are_tried_on_the_running_agent_and_change_nothing() {
    let mut desk = Desk::new();
    desk.save("services.d/web.json", &sleeper("1000").to_string());
    desk.save("services.d/db.json", &sleeper("1000").to_string());
    desk.start_agent();
    desk.until_light("green");
    let (before, generation) = (desk.pids(), desk.status()["generation"].clone());
    assert_eq!(desk.ok(&["plan"]), "nothing would change\n");

    let mut web = sleeper("2000");
    web["description"] = "new".into();
    web["env"] = json!({"LEVEL": "debug"});
    desk.save("drafts/web.json", &web.to_string());
    desk.save("drafts/worker.json", &sleeper("3000").to_string());
    let plan = desk.json(&["plan", "drafts/web.json", "drafts/worker.json", "--json"]);
    let text = "restarts: command, env.LEVEL; takes effect with it: description";
    assert_eq!(planned(&plan, "web"), line("restart", &["command", "env.LEVEL", "description"], text));
    assert_eq!(planned(&plan, "worker"), line("add", &[], "starts (auto_start)"));
    assert_eq!(planned(&plan, "db"), line("none", &[], "stays as it is"));
    let told = desk.ok(&["plan", "drafts/web.json", "drafts/worker.json"]);
    assert_eq!(told, format!("restart  web     {text}\nadd      worker  starts (auto_start)\n"));
    assert_eq!((desk.pids(), desk.status()["generation"].clone()), (before, generation));

    std::fs::copy(desk.project("drafts/web.json"), desk.project("services.d/web.json")).expect("the desk is ours");
    desk.until("it is in use", || desk.ok(&["plan", "drafts/web.json"]) == "nothing would change\n");
    let events = desk.ok(&["events"]);
    assert!(events.contains("plan        web: restart: command, env.LEVEL, description"), "{events}");
}

#[test]
fn a_file_that_would_not_be_taken_into_use_is_no_plan() {
    let mut desk = Desk::new();
    desk.save("services.d/web.json", &sleeper("1000").to_string());
    for agent in [false, true] {
        if agent {
            desk.start_agent();
        }
        let missing = desk.fails(1, &["plan", "nothing.json"]);
        assert!(missing.contains("nothing.json: there is no such file"), "{missing}");
        desk.save("draft.json", "{\"command\": [\"a\",}");
        let broken = desk.fails(1, &["plan", "draft.json"]);
        assert!(broken.contains("error: draft.json:1:") && broken.contains('^'), "{broken}");
        desk.save("draft.txt", "{}");
        let unread = desk.fails(1, &["plan", "draft.txt"]);
        assert!(unread.contains("would not be read") && unread.contains("*.json"), "{unread}");
    }
}

#[test]
fn what_is_wrong_with_a_service_is_told_and_costs_only_that_one() {
    let desk = Desk::new();
    desk.save("services.d/web.json", &sleeper("1000").to_string());
    desk.save("services.d/bad.json", r#"{"command": 7}"#);
    let output = desk.run(&["plan", "--json"]);
    assert!(output.status.success());
    let plan: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(planned(&plan, "web"), line("add", &[], "starts (auto_start)"));
    assert!(plan["services"].as_array().is_some_and(|services| services.len() == 1), "{plan}");
    assert_eq!(plan["problems"][0]["file"], "services.d/bad.json");
    let told = String::from_utf8(output.stderr).expect("it is text");
    assert!(told.contains("services.d/bad.json:1:") && told.contains("no agent is running"), "{told}");
}

#[test]
fn with_no_agent_the_files_are_held_against_what_the_last_one_has_left() {
    let mut desk = Desk::new();
    for name in ["kept", "changed", "gone"] {
        desk.save(&format!("services.d/{name}.json"), &sleeper("1000").to_string());
    }
    desk.start_agent();
    desk.until_light("green");
    let pids = desk.pids();
    desk.kill_agent();
    desk.save("services.d/changed.json", &sleeper("2000").to_string());
    desk.save("services.d/new.json", &sleeper("1000").to_string());
    desk.remove("services.d/gone.json");
    let plan = desk.json(&["plan", "--json"]);
    assert_eq!(planned(&plan, "kept"), line("none", &[], &format!("goes on as pid {}", pids["kept"])));
    let text = format!("restarts: pid {} is not what is defined now", pids["changed"]);
    assert_eq!(planned(&plan, "changed"), line("restart", &[], &text));
    assert_eq!(planned(&plan, "new"), line("add", &[], "starts (auto_start)"));
    assert_eq!(planned(&plan, "gone"), line("remove", &[], "is stopped: nothing defines it any more"));

    desk.start_agent();
    desk.until("it is as planned", || desk.service("gone").is_null() && desk.pids().len() == 3);
    desk.until_light("green");
    let after = desk.pids();
    assert_eq!(after["kept"], pids["kept"]);
    assert_ne!(after["changed"], pids["changed"]);
}
