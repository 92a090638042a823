//! Whatever stands in a source: it is reported, nothing panics, and the rest runs.

use serde_json::json;

use crate::desk::Desk;

const GOOD: &str = r#"{"type": "process", "command": ["sleep", "1000"], "auto_start": true}"#;

#[test]
fn no_source_however_bad_stops_the_others() {
    let mut desk = Desk::new();
    desk.save("services.d/good.json", GOOD);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!(r#"{{"type": "process", "command": "true", "description": "{}"}}"#, "x".repeat(10_000_000));
    let cases: [(&str, Vec<u8>); 14] = [
        ("deep", deep.into_bytes()),
        ("large", large.into_bytes()),
        ("text", b"\"just text\"".to_vec()),
        ("number", b"7".to_vec()),
        ("utf8", b"{\"type\": \"process\", \"command\": \"\xff\xfe\"}".to_vec()),
        ("half", b"{\"type\": \"process\", \"comm".to_vec()),
        ("twice", br#"{"type": "process", "command": "true", "command": "false"}"#.to_vec()),
        (
            "types",
            br#"{"type": 7, "command": {"a": 1}, "args": "x", "env": [], "depends_on": 3, "enabled": "yes"}"#.to_vec(),
        ),
        ("slash", br#"{"id": "a/b", "type": "process", "command": "true"}"#.to_vec()),
        ("port", br#"{"type": "process", "command": "true", "default_port": 99999999999999999999}"#.to_vec()),
        (
            "absurd",
            br#"{"type": "process", "command": "true", "stop": {"timeout": 1e308}, "health": {"tcp": 0}}"#.to_vec(),
        ),
        ("cycle1", br#"{"type": "process", "command": "true", "depends_on": ["cycle2"]}"#.to_vec()),
        ("cycle2", br#"{"type": "process", "command": "true", "depends_on": ["cycle1"]}"#.to_vec()),
        ("lost", br#"{"type": "process", "command": "true", "depends_on": ["nobody"]}"#.to_vec()),
    ];
    for (name, content) in &cases {
        std::fs::write(desk.project(&format!("services.d/{name}.json")), content).expect("the desk is ours");
    }
    desk.start_agent();
    desk.until("the good one runs", || desk.service("good")["health"] == "healthy");
    let status = desk.status();
    let problems = status["problems"].as_array().expect("a list");
    for (name, _) in cases.iter().filter(|(name, _)| *name != "large") {
        let file = format!("services.d/{name}.json");
        let is_told = |problem: &serde_json::Value| problem["file"] == file && problem["severity"] == "error";
        assert!(problems.iter().any(is_told), "{name} is not told of: {problems:#?}");
    }
    let wrong_types = problems.iter().filter(|problem| problem["file"] == "services.d/types.json").count();
    assert!(wrong_types >= 6, "all mistakes of a source are told, not the first: {wrong_types}");
    let pid = desk.pid("good");
    let check = desk.run(&["check"]);
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(desk.pid("good"), pid);
}

#[test]
fn what_can_not_be_spawned_says_why_and_the_rest_runs() {
    let mut desk = Desk::new();
    desk.save("services.d/good.json", GOOD);
    let bad = |more: serde_json::Value| {
        let mut service = json!({"type": "process", "command": "true", "auto_start": true});
        for (key, value) in more.as_object().expect("an object") {
            service[key] = value.clone();
        }
        service.to_string()
    };
    desk.save("services.d/missing.json", &bad(json!({"command": "no-such-program-anywhere"})));
    desk.save("services.d/nowhere.json", &bad(json!({"directory": "no/such/folder"})));
    desk.write("plain.txt", "no program");
    desk.save("services.d/plain.json", &bad(json!({"command": "./plain.txt"})));
    desk.start_agent();
    for (id, reason) in [("missing", "no-such-program-anywhere"), ("nowhere", "no/such/folder"), ("plain", "plain.txt")]
    {
        desk.until_service(id, "process", "failed");
        let told = desk.service(id)["reason"].as_str().expect("there is a reason").to_owned();
        assert!(told.contains(reason), "{told}");
    }
    assert_eq!(desk.service("good")["health"], "healthy");
    assert_eq!(desk.status()["light"], "red");
}

#[test]
fn check_tells_every_mistake_with_its_line_and_a_hint() {
    let desk = Desk::new();
    desk.save(
        "services.json",
        "{\n  \"services\": [\n    {\"id\": \"a\", \"comand\": \"true\", \"type\": \"process\"}\n  ]\n}\n",
    );
    let output = desk.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let check: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let problems = check["problems"].as_array().expect("a list");
    let note = problems.iter().find(|problem| problem["severity"] == "note").expect("the unknown key is a note");
    assert_eq!((&note["line"], &note["column"]), (&json!(3), &json!(17)));
    assert!(note["message"].as_str().is_some_and(|text| text.contains("comand")), "{note}");
    assert!(note["hint"].as_str().is_some_and(|text| text.contains("command")), "{note}");
    assert!(problems.iter().any(|problem| problem["severity"] == "error"), "it has no command: {problems:#?}");
}

#[test]
fn an_agent_waits_for_a_configuration_that_is_not_there_yet_but_nobody_judges_it() {
    let mut desk = Desk::new();
    let (config, state) = (desk.project("later.json"), desk.path("state"));
    let (config, state) =
        (config.to_str().expect("it is text").to_owned(), state.to_str().expect("it is text").to_owned());
    for command in ["check", "plan"] {
        let err = desk.fails(1, &["--config", &config, command]);
        assert!(err.contains("there is neither"), "{err}");
    }
    let nowhere = desk.project("no/such/folder/later.json");
    let err = desk.fails(1, &["--config", nowhere.to_str().expect("it is text"), "--headless"]);
    assert!(err.contains("there is no folder"), "{err}");
    desk.set("PILOTLIGHT_CONFIG", config.clone());
    desk.fails(3, &["status"]);
    desk.start_agent_with(&["--config", &config, "--state-dir", &state, "--headless", "--quiet"]);
    assert_eq!(
        (&desk.status()["light"], desk.status()["services"].as_array().map(Vec::len)),
        (&json!("gray"), Some(0))
    );
    assert!(desk.agent_log().contains("drop a file into"), "{}", desk.agent_log());
    desk.save(
        "later.json",
        r#"{"services": {"s": {"type": "process", "command": ["sleep", "1000"], "auto_start": true}}}"#,
    );
    desk.until_light("green");
}
