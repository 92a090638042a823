//! Sources elsewhere in the project: included by pattern, or as the profile; and where each value comes from.

use serde_json::{Value, json};

use crate::desk::Desk;

fn package(id: &str, argument: &str) -> String {
    let service = json!({"id": id, "type": "process", "command": ["sleep", argument], "auto_start": true});
    json!({"name": id, "version": "1.0.0", "types": "index.d.ts", "pixsim": {"service": service}}).to_string()
}

#[test]
fn a_package_that_an_include_matches_appears_is_edited_moves_and_goes_like_a_drop_in() {
    let mut desk = Desk::new();
    desk.save("services.json", r#"{"include": ["apps/*/package.json"]}"#);
    desk.save("apps/one/package.json", &package("one", "1000"));
    desk.save("apps/plain/package.json", r#"{"name": "plain", "types": "index.d.ts"}"#);
    desk.start_agent();
    desk.until("the first runs", || desk.pids().len() == 1);
    let one = desk.pids()["one"];
    desk.save("apps/two/package.json", &package("two", "1000"));
    desk.until("the second runs", || desk.pids().len() == 2);
    assert_eq!(desk.service("two")["source"], "apps/two/package.json");
    let two = desk.pids()["two"];
    desk.save("apps/two/package.json", &package("two", "2000"));
    desk.until("the second runs anew", || desk.pids().get("two").is_some_and(|pid| *pid != two));
    let two = desk.pids()["two"];
    // A folder that is renamed takes its service along, without a restart.
    let service =
        json!({"id": "three", "type": "process", "command": ["sleep", "1000"], "directory": ".", "auto_start": true});
    desk.save("apps/three/package.json", &json!({"pixsim": {"service": service}}).to_string());
    desk.until("the third runs", || desk.pids().len() == 3);
    let three = desk.pids()["three"];
    std::fs::rename(desk.project("apps/three"), desk.project("apps/tres")).expect("the desk is ours");
    desk.until("it has moved", || desk.service("three")["source"] == "apps/tres/package.json");
    assert_eq!(desk.pids()["three"], three);
    std::fs::remove_dir_all(desk.project("apps/tres")).expect("the desk is ours");
    desk.until("it is gone", || desk.service("three").is_null());
    assert_eq!((desk.pids()["one"], desk.pids()["two"]), (one, two), "the others go on");
    assert_eq!(desk.status()["problems"], json!([]));
    // Half written, it stays what it was; and so do all while the file that includes them is.
    desk.write("apps/two/package.json", "{\"pixsim\": ");
    desk.write("services.json", "{\"include\": [");
    desk.until("both are told", || desk.status()["problems"].as_array().is_some_and(|problems| problems.len() == 2));
    assert_eq!((desk.pids()["one"], desk.pids()["two"]), (one, two));
    desk.save("services.json", r#"{"include": ["nowhere.json"]}"#);
    desk.until("both are gone", || desk.pids().is_empty());
    let problem = desk.status()["problems"][0].clone();
    assert_eq!(
        (&problem["severity"], &problem["line"], &problem["column"]),
        (&json!("warning"), &json!(1), &json!(14))
    );
}

#[test]
fn a_profile_is_one_more_source_and_one_that_is_missing_is_waited_for() {
    let mut desk = Desk::new();
    let service = json!({"id": "a", "type": "process", "command": ["sleep", "1000"], "auto_start": true});
    desk.save("services.json", &json!({"services": [service]}).to_string());
    desk.save("profiles/demo.json", r#"{"overrides": {"a": {"command": ["sleep", "2000"]}}}"#);
    let refused = desk.fails(1, &["--profile", "../demo", "check"]);
    assert!(refused.contains("the profile \"../demo\" is not the name of a file"), "{refused}");
    let missing = desk.run(&["--profile", "deno", "check", "--json"]);
    let missing: Value = serde_json::from_slice(&missing.stdout).expect("it is JSON");
    assert_eq!(missing["problems"][0]["file"], "profiles/deno.json");
    desk.set("PILOTLIGHT_PROFILE", "later");
    desk.start_agent_with(&["--profile", "demo", "run", "--headless"]);
    desk.until("it runs", || desk.pids().len() == 1);
    let pid = desk.pids()["a"];
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs");
    assert_eq!(command, "sleep\x002000\0");
    desk.signal_agent("TERM");
    assert_eq!(desk.wait_agent(), Some(0));
    desk.start_agent();
    desk.until("it runs without", || desk.pids().len() == 1);
    let problem = desk.status()["problems"][0].clone();
    assert_eq!((&problem["severity"], &problem["file"]), (&json!("error"), &json!("profiles/later.json")));
    let pid = desk.pids()["a"];
    desk.save("profiles/later.json", r#"{"overrides": {"a": {"command": ["sleep", "3000"]}}}"#);
    desk.until("it runs with it", || desk.pids().get("a").is_some_and(|new| *new != pid));
    desk.until_light("green");
}

#[test]
fn why_config_names_the_place_of_every_value_and_follows_edits() {
    let mut desk = Desk::new();
    desk.set("WEB_PORT", "4321");
    desk.set("SECRET_OF_THE_SHELL", "hunter2");
    desk.write(".env", "# shared\nFROM_DOTENV=1\n");
    desk.write("web.env", "\nDATABASE_URL=postgres://u:hunter2@h/d\n");
    desk.save(
        "services.json",
        r#"{"include": ["more/*.json"], "services": [
  {"id": "web", "command": ["sleep", "1000"], "port_env": "WEB_PORT", "env_file": "web.env",
   "secrets": ["LICENCE"], "env": {"LICENCE": "hunter2", "LEVEL": "info"}}
]}"#,
    );
    desk.save("more/mine.json", "{\"overrides\": {\"web\": {\n  \"env\": {\"LEVEL\": \"debug\"}}}}");
    assert!(desk.fails(3, &["why", "web", "--config"]).contains("no agent is running"));
    desk.start_agent();
    let text = desk.ok(&["why", "web", "--config", "--json"]);
    assert!(!text.contains("hunter2"), "{text}");
    let config: Value = serde_json::from_str(&text).expect("it is JSON");
    for (key, value, origin) in [
        ("command", json!(["sleep", "1000"]), "services.json:2"),
        ("port", json!(4321), "agent environment"),
        ("env.LEVEL", json!("debug"), "more/mine.json:2"),
        ("env.LICENCE", json!("***"), "services.json:3"),
        ("env.DATABASE_URL", json!("postgres://u:***@h/d"), "env_file web.env:2"),
        ("env.FROM_DOTENV", json!("1"), "env_file .env:2"),
        ("env.SECRET_OF_THE_SHELL", json!("***"), "agent environment"),
        ("enabled", json!(true), "default"),
    ] {
        assert_eq!(config["config"][key], json!({"value": value, "origin": origin}), "{key}");
    }
    desk.save("more/mine.json", "{\"overrides\": {\"web\": {\n\n  \"env\": {\"LEVEL\": \"trace\"}}}}");
    desk.until("the edit is shown", || {
        let config = desk.json(&["why", "web", "--config", "--json"]);
        config["config"]["env.LEVEL"] == json!({"value": "trace", "origin": "more/mine.json:3"})
    });
    assert!(desk.fails(4, &["why", "nobody", "--config"]).contains("there is no service"));
}
