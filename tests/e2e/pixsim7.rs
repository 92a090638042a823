//! A real project's definitions, with stand-ins for its programs first on the PATH.

use std::fs;
use std::path::PathBuf;

use crate::desk::{Desk, PROGRAM, signal_process};

/// The folder with the real files, or `None` after having said so.
fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("PILOTLIGHT_FIXTURES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures")), PathBuf::from);
    let folder = folder.join("pixsim7");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("PILOTLIGHT_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{} is missing, and everything is required",
        folder.display()
    );
    eprintln!("SKIPPED: {} is not here; this test needs the real project's files", folder.display());
    None
}

#[test]
fn a_real_project_comes_up_in_order_heals_and_tells_what_it_can_not_run() {
    let Some(fixtures) = fixtures() else { return };
    let mut desk = Desk::new();
    let text = fs::read_to_string(fixtures.join("services/services.20260109.945c02698.json")).expect("it is there");
    desk.save("launcher/services.json", &text);
    for folder in ["apps/main", "apps/game"] {
        fs::create_dir_all(desk.project(folder)).expect("the desk is ours");
    }
    desk.set("RECORD", desk.path("record").display().to_string());
    let stand_in = format!(
        "echo \"$PILOTLIGHT_SERVICE|$(pwd)|$(basename \"$0\") $*\" >>\"$RECORD\"\nexec '{PROGRAM}' demo-service --name \"$PILOTLIGHT_SERVICE\""
    );
    for name in ["python3", "pnpm", "npm"] {
        desk.script(name, &stand_in);
    }
    let root = desk.path("project").display().to_string();
    let config = desk.project("launcher/services.json").display().to_string();
    desk.set("PILOTLIGHT_CONFIG", config);
    desk.start_agent_with(&["--root", &root, "run", "--headless"]);
    desk.until_light("green");
    assert_eq!(desk.status()["summary"], "1 of 1 healthy", "main-api starts by itself; db is another engine's");
    let printed = desk.ok(&["start", "--all"]);
    assert!(printed.contains("db"), "what is passed over is named: {printed}");
    assert_eq!(desk.status()["light"], "green");
    assert_eq!(desk.service("db")["light"], "gray");
    let record = fs::read_to_string(desk.path("record")).expect("the stand-ins wrote it");
    for line in [
        format!("main-api|{root}|python3 -m uvicorn pixsim7.backend.main.main:app --host 0.0.0.0 --port 8000 --reload"),
        format!("worker|{root}|python3 -m arq pixsim7.backend.main.workers.arq_worker.WorkerSettings"),
        format!("frontend|{root}/apps/main|pnpm dev --port 5173"),
        format!("admin|{root}/apps/main|npm run dev"),
    ] {
        assert!(record.lines().any(|written| written == line), "{line}\nis not in\n{record}");
    }
    let pid = desk.pid("main-api").expect("it runs");
    signal_process(pid, "KILL");
    desk.until("it has come back", || {
        desk.pid("main-api").is_some_and(|now| now != pid) && desk.status()["light"] == "green"
    });
    desk.ok(&["demo-service", "tell", "8000", "fail"]);
    desk.until_light("red");
    assert_eq!(desk.service("main-api")["process"], "running");
    desk.ok(&["demo-service", "tell", "8000", "recover"]);
    desk.until_light("green");
    desk.signal_agent("TERM");
    assert_eq!(desk.wait_agent(), Some(0));
}

/// The ids that `status` lists.
fn listed(desk: &Desk) -> Vec<String> {
    let status = desk.status();
    let services = status["services"].as_array().expect("a list");
    let mut ids = services.iter().filter_map(|service| service["id"].as_str().map(str::to_owned)).collect::<Vec<_>>();
    ids.sort();
    ids
}

#[test]
fn status_lists_what_each_file_holds() {
    let Some(fixtures) = fixtures() else { return };
    for file in fs::read_dir(fixtures.join("services")).expect("it is there") {
        let file = file.expect("it can be listed");
        let mut desk = Desk::new();
        let text = fs::read_to_string(file.path()).expect("it can be read");
        for name in ["python3", "pnpm", "npm"] {
            desk.script(name, "exec sleep 1000");
        }
        desk.save("services.json", &text);
        desk.start_agent();
        let catalog: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let lists = ["backend_services", "frontend_services", "infrastructure_services"];
        let entries = lists.iter().filter_map(|list| catalog[*list].as_array()).flatten();
        let mut expected = entries.filter_map(|entry| entry["id"].as_str().map(str::to_owned)).collect::<Vec<_>>();
        expected.sort();
        assert_eq!(listed(&desk), expected, "{}", file.path().display());
        let problems = desk.status()["problems"].as_array().expect("a list").clone();
        assert!(problems.iter().all(|problem| problem["severity"] != "error"), "{problems:#?}");
    }
}

#[test]
fn the_newest_manifests_are_drop_ins_beside_each_other() {
    let Some(fixtures) = fixtures() else { return };
    let mut desk = Desk::new();
    for name in ["python3", "pnpm", "npm"] {
        desk.script(name, "exec sleep 1000");
    }
    fs::create_dir_all(desk.project("apps/main")).expect("the desk is ours");
    let mut expected = Vec::new();
    for entry in fs::read_dir(fixtures.join("manifests")).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        // Those with a date are earlier versions of one without.
        if name.matches('.').count() == 1 {
            let text = fs::read_to_string(&path).expect("it can be read");
            desk.save(&format!("services.d/{name}"), &text);
            expected.push(name.trim_end_matches(".json").to_owned());
        }
    }
    expected.sort();
    desk.start_agent();
    assert_eq!(listed(&desk), expected);
    let problems = desk.status()["problems"].as_array().expect("a list").clone();
    assert!(problems.iter().all(|problem| problem["severity"] != "error"), "{problems:#?}");
}

#[test]
fn every_manifest_is_listed_and_none_has_an_error() {
    let Some(fixtures) = fixtures() else { return };
    for folder in ["services", "manifests"] {
        for entry in fs::read_dir(fixtures.join(folder)).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            let desk = Desk::new();
            let file = path.display().to_string();
            let check = desk.json(&["check", &file, "--json"]);
            let problems = check["problems"].as_array().expect("a list");
            assert!(problems.iter().all(|problem| problem["severity"] != "error"), "{file}: {problems:#?}");
            assert!(!check["services"].as_array().expect("a list").is_empty(), "{file}");
        }
    }
}
