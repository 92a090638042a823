//! What people copy from the documentation is right: its JSON is JSON, its links lead somewhere, the example is whole.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

const PAGES: [&str; 5] =
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/ARCHITECTURE.md", "docs/RELIABILITY.md"];

#[test]
fn every_json_example_is_json() {
    let block = Regex::new(r"(?s)```json\n(.*?)```").unwrap();
    let page = read("README.md");
    let blocks: Vec<_> = block.captures_iter(&page).map(|found| found[1].to_owned()).collect();
    assert!(blocks.len() > 3, "the examples are gone");
    for text in blocks {
        if let Err(error) = serde_json::from_str::<Value>(&text) {
            panic!("{error} in\n{text}");
        }
    }
}

/// Services that an example needs and does not define are no mistake: each is only a part.
#[test]
fn every_json_example_is_a_good_source() {
    let block = Regex::new(r"(?s)```json\n(.*?)```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services.json");
    for found in block.captures_iter(&read("README.md")) {
        std::fs::write(&file, &found[1]).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_pilotlight"))
            .args(["check", "--json"])
            .arg(&file)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let check: Value = serde_json::from_slice(&output.stdout).unwrap();
        let elsewhere = |message: &str| message.starts_with("there is no service ");
        let problems: Vec<_> = check["problems"].as_array().unwrap().iter().collect();
        assert!(problems.iter().all(|problem| elsewhere(problem["message"].as_str().unwrap())), "{problems:#?}");
        assert!(!check["services"].as_array().unwrap().is_empty(), "no service in\n{}", &found[1]);
    }
}

#[test]
fn the_table_of_commands_names_all_there_are() {
    let page = read("README.md");
    let output = Command::new(env!("CARGO_BIN_EXE_pilotlight")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() > 15, "{help}");
    let table = page.split("## The command line").nth(1).unwrap();
    for command in commands {
        let named = Regex::new(&format!("(?m)^\\|.*`{command}[ `]")).unwrap();
        assert!(named.is_match(table), "{command} is not in the table");
    }
}

#[test]
fn every_link_to_a_file_or_heading_leads_there() {
    let link = Regex::new(r#"(?:\]\(|<img src=")([^)\s"]+)[)"]"#).unwrap();
    for name in PAGES {
        let page = read(name);
        for found in link.captures_iter(&page) {
            let target = &found[1];
            if let Some(heading) = target.strip_prefix('#') {
                assert!(headings(&page).iter().any(|own| own == heading), "{name}: no heading {target}");
            } else if !target.contains("://") {
                let file = target.split('#').next().unwrap();
                assert!(root().join(name).parent().unwrap().join(file).exists(), "{name}: no file {file}");
            }
        }
    }
}

#[test]
fn every_promise_names_a_test_that_is_there() {
    let named = Regex::new(r"`([\w/.]+\.rs)::(\w+)`").unwrap();
    let page = read("docs/RELIABILITY.md");
    let mut count = 0;
    for found in named.captures_iter(&page) {
        let (file, test) = (&found[1], &found[2]);
        assert!(read(file).contains(&format!("fn {test}(")), "{file} has no {test}");
        count += 1;
    }
    assert!(count > 40, "the promises are gone");
    let (promises, _longer) = page.split_once("## Longer").unwrap();
    for line in promises.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault |")) {
        assert!(named.is_match(line), "no test is named for: {line}");
    }
}

#[test]
fn the_example_names_only_what_it_has() {
    let main: Value = serde_json::from_str(&read("services.json")).unwrap();
    let mut services = main["services"].as_array().unwrap().clone();
    for entry in std::fs::read_dir(root().join("services.d")).unwrap() {
        let path = entry.unwrap().path();
        let mut service: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        service["id"] = path.file_stem().unwrap().to_str().unwrap().into();
        services.push(service);
    }
    let ids: Vec<_> = services.iter().map(|service| service["id"].as_str().unwrap()).collect();
    let mut ports: Vec<_> = services.iter().filter_map(|service| service["default_port"].as_u64()).collect();
    for service in &services {
        assert!(main["types"][service["type"].as_str().unwrap()].is_object(), "{service}");
        assert!(main["service_groups"][service["group"].as_str().unwrap()].is_object(), "{service}");
        for dependency in service["depends_on"].as_array().into_iter().flatten() {
            let id = dependency.as_str().or(dependency["id"].as_str()).unwrap();
            assert!(ids.contains(&id), "{id} in {service}");
        }
    }
    let count = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), count, "two services have one port");
    // The tour of the README talks to these.
    let tour = read("README.md");
    assert!(ports.contains(&47120) && tour.contains("tell 47120"));
    assert!(ports.contains(&47140) && tour.contains("http://localhost:47140"));
}

fn headings(page: &str) -> Vec<String> {
    let word = |letter: char| if letter == ' ' { Some('-') } else { letter.is_alphanumeric().then_some(letter) };
    page.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter_map(word).collect())
        .collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).to_owned()
}
