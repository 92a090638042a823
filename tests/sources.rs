//! Watching and reading together, as the engine joins them: real files, real events, no catalog.
#![cfg(unix)]
// A test that fails may panic wherever it does.
#![allow(clippy::unwrap_used)]

#[path = "support/any_change.rs"]
mod any_change;
#[path = "support/dice.rs"]
mod dice;
#[path = "support/saving.rs"]
mod saving;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pilotlight::domain::Event;
use pilotlight::domain::catalog::{Content, Reading};
use pilotlight::engine::ports::Sources;
use pilotlight::sources::{Asked, DiskSources, Location, Reader, Unwatched};
use pilotlight::watch::FolderWatch;
use tokio::sync::mpsc;

struct Agent {
    sources: DiskSources,
    events: mpsc::UnboundedReceiver<Event>,
    causes: Vec<String>,
    /// What was read last.
    latest: Option<Reading>,
}

impl Agent {
    /// Starts, and reads for the first time.
    async fn start(folder: &Path) -> (Self, Reading) {
        let location = location(folder);
        let (inbox, events) = mpsc::unbounded_channel();
        let watch = FolderWatch::start(&location.folder, inbox.clone());
        let reader = Reader::new(location, None, BTreeMap::new(), Box::new(watch));
        let mut sources = DiskSources::start(reader, inbox);
        sources.read("start".to_owned(), 1);
        let mut agent = Self { sources, events, causes: Vec::new(), latest: None };
        let reading = agent.until(|_| true).await;
        (agent, reading)
    }

    /// Reads whenever something is touched, until a reading is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Reading) -> bool) -> Reading {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(30), self.events.recv()).await;
            let is_reading = self.take(event.expect("in time").unwrap());
            if let Some(reading) = self.latest.as_ref().filter(|reading| is_reading && wanted(reading)) {
                return reading.clone();
            }
        }
    }

    /// Takes a fact as the engine does; true if something was read.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::SourcesTouched { cause } => {
                self.sources.read(cause, self.causes.len() as u64 + 1);
                false
            }
            Event::SourcesRead(reading) => {
                self.causes.push(reading.cause.clone());
                self.latest = Some(reading);
                true
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
}

fn location(folder: &Path) -> Location {
    let config = Some(folder.join("services.json"));
    Location::find(&Asked { config, working_directory: folder.to_owned(), user_folder: None })
}

/// All that a reading says of the disk.
fn said(reading: &Reading) -> Vec<(String, String)> {
    let files = reading.files.iter().map(|file| {
        let content = match &file.content {
            Content::Parsed(_, text) => format!("parsed: {text}"),
            Content::Empty => "empty".to_owned(),
            Content::Broken(problem) => format!("broken: {}", problem.message),
            Content::Refused(problem) => format!("refused: {}", problem.message),
        };
        (file.name.to_string(), content)
    });
    let surroundings = format!("{:?}, {:?}", reading.unlisted, reading.surroundings.dotenv);
    files.chain([("beside".to_owned(), surroundings)]).collect()
}

/// What somebody reads who has never read before.
fn on_disk(folder: &Path) -> Vec<(String, String)> {
    let mut reader = Reader::new(location(folder), None, BTreeMap::new(), Box::new(Unwatched));
    said(&reader.read("asked to".to_owned()))
}

fn text_of<'a>(reading: &'a Reading, name: &str) -> Option<&'a str> {
    let file = reading.files.iter().find(|file| &*file.name == name)?;
    if let Content::Parsed(_, text) = &file.content { Some(text) } else { None }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let path = guard.path().canonicalize().unwrap().join("config");
    (guard, path)
}

#[tokio::test]
async fn every_way_of_saving_is_read_in_the_end() {
    let (guard, folder) = folder();
    let (mut agent, reading) = Agent::start(&folder).await;
    assert_eq!(reading.files.len(), 0);
    fs::create_dir_all(folder.join("services.d")).unwrap();
    let drop_in = folder.join("services.d/x.json");
    let rename = |text: &str| {
        fs::write(guard.path().join("new"), text).unwrap();
        fs::rename(guard.path().join("new"), &drop_in).unwrap();
    };
    let truncate = |text: &str| fs::write(&drop_in, text).unwrap();
    let recreate = |text: &str| {
        fs::remove_file(&drop_in).unwrap();
        fs::write(&drop_in, text).unwrap();
    };
    let link = |text: &str| {
        let target = guard.path().join(format!("target-{}", text.len()));
        fs::write(&target, text).unwrap();
        fs::remove_file(&drop_in).unwrap();
        symlink(target, &drop_in).unwrap();
    };
    let ways: [&dyn Fn(&str); 8] = [&truncate, &rename, &rename, &truncate, &recreate, &link, &truncate, &rename];
    for (round, save) in ways.into_iter().cycle().take(40).enumerate() {
        let text = format!("[{}]", "1,".repeat(round) + "1");
        save(&text);
        agent.until(|reading| text_of(reading, "services.d/x.json") == Some(&text)).await;
    }
    fs::remove_dir_all(&folder).unwrap();
    agent.until(|reading| reading.files.is_empty()).await;
}

#[tokio::test]
async fn reading_leads_to_no_reading() {
    let (_guard, folder) = folder();
    fs::create_dir_all(folder.join("services.d")).unwrap();
    fs::create_dir_all(folder.join("store")).unwrap();
    fs::write(folder.join("services.json"), "{}").unwrap();
    fs::write(folder.join("store/x.json"), "{}").unwrap();
    symlink("../store/x.json", folder.join("services.d/x.json")).unwrap();
    let (mut agent, _) = Agent::start(&folder).await;
    for round in 1..=10 {
        // One single event, so that there is one touch for it and one reading.
        let text = "[".repeat(round) + &"]".repeat(round);
        fs::write(folder.join("prepared"), &text).unwrap();
        fs::rename(folder.join("prepared"), folder.join("services.json")).unwrap();
        agent.until(|reading| text_of(reading, "services.json") == Some(&text)).await;
        assert_eq!(agent.causes.len(), 1 + round, "{:?}", agent.causes);
    }
    assert!(agent.causes[1..].iter().all(|cause| cause == "services.json changed"), "{:?}", agent.causes);
}

#[tokio::test]
async fn a_file_of_variables_that_a_service_names_is_read_and_followed_wherever_it_is() {
    let (guard, folder) = folder();
    fs::create_dir_all(&folder).unwrap();
    let env = guard.path().canonicalize().unwrap().join("not/yet/there.env");
    let source = format!(r#"[{{"id": "x", "command": "x", "env_file": {:?}}}]"#, env);
    fs::write(folder.join("services.json"), source).unwrap();
    let (mut agent, reading) = Agent::start(&folder).await;
    assert_eq!(reading.surroundings.env_files[&env], Err("there is no such file".to_owned()));
    fs::create_dir_all(env.parent().unwrap()).unwrap();
    for value in ["1", "2"] {
        fs::write(&env, format!("# head\nA={value}\n")).unwrap();
        let wanted = Ok(vec![("A".to_owned(), value.to_owned(), 2)]);
        agent.until(|reading| reading.surroundings.env_files.get(&env) == Some(&wanted)).await;
    }
}

const MAIN: &str = r#"{"include": ["apps/*/package.json"]}"#;

/// Two packages of a project, and a folder that is none.
fn packages() -> (tempfile::TempDir, PathBuf) {
    let (guard, folder) = folder();
    for name in ["apps/one/src", "apps/two", "apps/empty", "docs"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::write(folder.join("services.json"), MAIN).unwrap();
    for name in ["one", "two"] {
        fs::write(folder.join(format!("apps/{name}/package.json")), "{}").unwrap();
    }
    (guard, folder)
}

fn has(name: &str, text: &str) -> impl Fn(&Reading) -> bool {
    move |reading| text_of(reading, name) == Some(text)
}

#[tokio::test]
async fn what_matches_an_include_comes_and_goes_as_drop_ins_do() {
    let (guard, folder) = packages();
    let (mut agent, reading) = Agent::start(&folder).await;
    assert_eq!(reading.files.len(), 3);
    // In a folder that was there, in one that comes, in one that comes whole, and in one that is renamed.
    fs::write(folder.join("apps/empty/package.json"), "[1]").unwrap();
    agent.until(has("apps/empty/package.json", "[1]")).await;
    fs::create_dir(folder.join("apps/three")).unwrap();
    fs::write(folder.join("apps/three/package.json"), "[2]").unwrap();
    agent.until(has("apps/three/package.json", "[2]")).await;
    fs::create_dir(guard.path().join("whole")).unwrap();
    fs::write(guard.path().join("whole/package.json"), "[3]").unwrap();
    fs::rename(guard.path().join("whole"), folder.join("apps/whole")).unwrap();
    agent.until(has("apps/whole/package.json", "[3]")).await;
    fs::rename(folder.join("apps/three"), folder.join("apps/tres")).unwrap();
    agent.until(has("apps/tres/package.json", "[2]")).await;
    // Edited in every way.
    fs::write(folder.join("apps/one/package.json"), "[4]").unwrap();
    agent.until(has("apps/one/package.json", "[4]")).await;
    fs::write(guard.path().join("new"), "[5]").unwrap();
    fs::rename(guard.path().join("new"), folder.join("apps/one/package.json")).unwrap();
    agent.until(has("apps/one/package.json", "[5]")).await;
    // Gone by itself, with its folder, and with all.
    fs::remove_file(folder.join("apps/one/package.json")).unwrap();
    agent.until(|reading| text_of(reading, "apps/one/package.json").is_none()).await;
    fs::remove_dir_all(folder.join("apps/two")).unwrap();
    agent.until(|reading| text_of(reading, "apps/two/package.json").is_none()).await;
    fs::rename(folder.join("apps"), guard.path().join("away")).unwrap();
    agent.until(|reading| reading.files.len() == 1).await;
    fs::rename(guard.path().join("away"), folder.join("apps")).unwrap();
    agent.until(has("apps/whole/package.json", "[3]")).await;
    // And no more once nobody includes it.
    fs::write(folder.join("services.json"), "{}").unwrap();
    agent.until(|reading| reading.files.len() == 1 && text_of(reading, "services.json") == Some("{}")).await;
}

#[tokio::test]
async fn what_an_include_does_not_mean_leads_to_no_reading() {
    let (_guard, folder) = packages();
    let (mut agent, _) = Agent::start(&folder).await;
    for name in [
        "apps/one/main.js",
        "apps/one/src/package.json",
        "apps/file",
        "docs/package.json",
        "apps/one/.package.json.swp",
    ] {
        fs::write(folder.join(name), "x").unwrap();
    }
    fs::create_dir(folder.join("apps/one/dist")).unwrap();
    fs::create_dir(folder.join("apps/.cache")).unwrap();
    fs::create_dir(folder.join("apps/node_modules")).unwrap();
    // One single event: whatever was told before it would have been read first.
    fs::write(folder.join("prepared"), "{\"include\": [\"apps/*/package.json\"] }").unwrap();
    fs::rename(folder.join("prepared"), folder.join("services.json")).unwrap();
    agent.until(|_| true).await;
    assert_eq!(agent.causes, ["start", "services.json changed"]);
    fs::write(folder.join("prepared"), "[]").unwrap();
    fs::rename(folder.join("prepared"), folder.join("apps/two/package.json")).unwrap();
    agent.until(has("apps/two/package.json", "[]")).await;
    assert_eq!(agent.causes[2..], ["apps/two/package.json changed"]);
}

#[tokio::test]
async fn a_link_that_is_included_is_followed_to_where_it_leads() {
    let (guard, folder) = packages();
    let store = guard.path().canonicalize().unwrap().join("store");
    fs::create_dir_all(store.join("four")).unwrap();
    fs::write(store.join("package.json"), "[1]").unwrap();
    fs::write(store.join("four/package.json"), "[2]").unwrap();
    symlink(store.join("package.json"), folder.join("apps/empty/package.json")).unwrap();
    symlink(store.join("four"), folder.join("apps/four")).unwrap();
    let (mut agent, reading) = Agent::start(&folder).await;
    assert_eq!(text_of(&reading, "apps/empty/package.json"), Some("[1]"));
    for (file, name) in [("package.json", "apps/empty/package.json"), ("four/package.json", "apps/four/package.json")] {
        fs::write(store.join(file), "[3]").unwrap();
        agent.until(has(name, "[3]")).await;
    }
}

#[tokio::test]
async fn what_is_included_by_what_is_included_is_followed_as_well() {
    let (_guard, folder) = folder();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("services.json"), r#"{"include": ["one.json"]}"#).unwrap();
    let (mut agent, reading) = Agent::start(&folder).await;
    assert_eq!(reading.problems.len(), 1);
    fs::write(folder.join("one.json"), r#"{"include": ["later/**/*.json"]}"#).unwrap();
    agent.until(|reading| reading.files.len() == 2).await;
    fs::create_dir_all(folder.join("later/on/still")).unwrap();
    fs::write(folder.join("later/on/still/two.json"), "[]").unwrap();
    agent.until(has("later/on/still/two.json", "[]")).await;
}

/// So many days of changes; more by `PILOTLIGHT_DAYS`.
fn days() -> u64 {
    std::env::var("PILOTLIGHT_DAYS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[tokio::test]
async fn whatever_is_done_to_the_folder_what_was_read_last_is_what_is_on_disk_and_then_it_is_quiet() {
    for day in 0..days() {
        let (guard, folder) = folder();
        let aside = guard.path().canonicalize().unwrap().join("aside");
        fs::create_dir(&aside).unwrap();
        let (mut agent, _) = Agent::start(&folder).await;
        let mut somebody = any_change::Somebody::new(&folder, &aside, day);
        for _ in 0..8 {
            let done = somebody.acts(6);
            let there = on_disk(&folder);
            while said(agent.latest.as_ref().unwrap()) != there {
                let event = tokio::time::timeout(Duration::from_secs(30), agent.events.recv()).await;
                let Ok(Some(event)) = event else {
                    panic!("day {day}: {:?} was read last, {there:?} is there, after {done:#?}", agent.latest);
                };
                agent.take(event);
            }
        }
        // What was under way is read with the first of these; the others are all that there is to read.
        fs::create_dir_all(&folder).unwrap();
        let mut told = 0;
        for round in 1..=4 {
            let text = "[".repeat(round) + &"]".repeat(round);
            fs::write(aside.join("prepared"), &text).unwrap();
            fs::rename(aside.join("prepared"), folder.join("services.json")).unwrap();
            agent.until(|reading| text_of(reading, "services.json") == Some(&text)).await;
            if round == 2 {
                told = agent.causes.len();
            }
        }
        let causes = &agent.causes[told..];
        assert!(causes.len() <= 3, "day {day}: {causes:?}");
        assert!(causes.iter().all(|cause| cause == "services.json changed"), "day {day}: {causes:?}");
    }
}

#[tokio::test]
async fn a_thousand_files_at_once_are_read_in_few_readings_and_so_is_their_going() {
    let (guard, folder) = folder();
    fs::create_dir_all(folder.join("services.d")).unwrap();
    let (mut agent, _) = Agent::start(&folder).await;
    let file = |number: usize| folder.join(format!("services.d/{number}.json"));
    for number in 0..1000 {
        fs::write(file(number), "{}").unwrap();
    }
    let all_are_whole = |reading: &Reading| {
        reading.files.len() == 1000 && reading.files.iter().all(|file| matches!(file.content, Content::Parsed(..)))
    };
    agent.until(all_are_whole).await;
    (0..1000).for_each(|number| fs::remove_file(file(number)).unwrap());
    agent.until(|reading| reading.files.is_empty()).await;
    // And as a whole, as a folder that comes from elsewhere.
    let whole = guard.path().join("whole");
    fs::create_dir(&whole).unwrap();
    (0..1000).for_each(|number| fs::write(whole.join(format!("{number}.json")), "{}").unwrap());
    fs::remove_dir(folder.join("services.d")).unwrap();
    fs::rename(&whole, folder.join("services.d")).unwrap();
    agent.until(all_are_whole).await;
    assert!(agent.causes.len() < 200, "{} readings", agent.causes.len());
}
