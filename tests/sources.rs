//! Watching and reading together, as the engine joins them: real files, real events, no catalog.
#![cfg(unix)]
// A test that fails may panic wherever it does.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pilotlight::domain::Event;
use pilotlight::domain::catalog::{Content, Reading};
use pilotlight::engine::ports::Sources;
use pilotlight::sources::{Asked, DiskSources, Location, Reader};
use pilotlight::watch::FolderWatch;
use tokio::sync::mpsc;

struct Agent {
    sources: DiskSources,
    events: mpsc::UnboundedReceiver<Event>,
    causes: Vec<String>,
}

impl Agent {
    /// Starts, and reads for the first time.
    async fn start(folder: &Path) -> (Self, Reading) {
        let config = Some(folder.join("services.json"));
        let location = Location::find(&Asked { config, working_directory: folder.to_owned(), user_folder: None });
        let (inbox, events) = mpsc::unbounded_channel();
        let watch = FolderWatch::start(&location.folder, inbox.clone());
        let reader = Reader::new(location, None, BTreeMap::new(), Box::new(watch));
        let mut sources = DiskSources::start(reader, inbox);
        sources.read("start".to_owned(), 1);
        let mut agent = Self { sources, events, causes: Vec::new() };
        let reading = agent.until(|_| true).await;
        (agent, reading)
    }

    /// Reads whenever something is touched, until a reading is as wanted.
    async fn until(&mut self, wanted: impl Fn(&Reading) -> bool) -> Reading {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(30), self.events.recv()).await;
            match event.expect("in time") {
                Some(Event::SourcesTouched { cause }) => self.sources.read(cause, self.causes.len() as u64 + 1),
                Some(Event::SourcesRead(reading)) => {
                    self.causes.push(reading.cause.clone());
                    if wanted(&reading) {
                        return reading;
                    }
                }
                other => panic!("unexpected: {other:?}"),
            }
        }
    }
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
