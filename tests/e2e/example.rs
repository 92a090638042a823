//! The shipped example, as a newcomer runs it.

use std::fs;

use crate::desk::{Desk, free_port};

#[test]
fn the_shipped_example_turns_green_by_itself_and_shows_a_failure() {
    let mut desk = Desk::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"));
    fs::copy(format!("{source}/services.json"), desk.project("services.json")).expect("it is shipped");
    fs::create_dir(desk.project("services.d")).expect("the desk is ours");
    for entry in fs::read_dir(format!("{source}/services.d")).expect("it is shipped") {
        let entry = entry.expect("it can be listed");
        fs::copy(entry.path(), desk.project("services.d").join(entry.file_name())).expect("the desk is ours");
    }
    for name in ["DB_PORT", "BACKEND_PORT", "GENERATION_API_PORT", "FRONTEND_PORT"] {
        desk.set(name, free_port().to_string());
    }
    let check = desk.json(&["check", "--json"]);
    assert_eq!(check["problems"], serde_json::json!([]), "the example is clean");
    desk.start_agent();
    desk.until_light("green");
    desk.ok(&["start", "--all"]);
    desk.until_light("green");
    let port = desk.service("main-api")["port"].to_string();
    desk.ok(&["run-action", "main-api", "Fill the disk"]);
    desk.until_light("red");
    desk.ok(&["run-action", "main-api", "Free the disk"]);
    desk.until_light("green");
    desk.ok(&["demo-service", "tell", &port, "crash"]);
    desk.until("it has come back", || desk.service("main-api")["restarts"] == 1);
    desk.until_light("green");
}
