//! Remembers runs that are over although something of them lives: what had moved to a session of its own and was left.
//!
//! Such a process goes on to carry its run's marker, and so does all that it starts. So the run is remembered, not the
//! process, until nothing carries the marker any more: a later agent must neither take it for a living run nor end it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};

use serde::{Deserialize, Serialize};

use super::marker::is_run_id;
use super::record::{make_folder, replace};
use super::stat::{self, Identity};
use crate::domain::secrets::masked_words;
use crate::domain::text;
use crate::domain::{RunId, ServiceId, Spared};
use crate::engine::StateDir;

/// The version of the file's format that is written; later ones are not read.
const FORMAT: u32 = 1;
/// No more of a file is read, in bytes: it is enough for some hundred thousand runs.
const LONGEST: u64 = 16 << 20;
/// Characters of a command line that are shown.
const COMMAND: usize = 200;

/// The file: the runs of one service.
#[derive(Default, Serialize, Deserialize)]
struct Runs {
    format: u32,
    runs: BTreeSet<String>,
}

/// Adds `run` to those of `id` that have left something.
pub(super) fn remember(dir: &StateDir, id: &ServiceId, run: &RunId) -> io::Result<()> {
    let mut runs = load(dir, id);
    runs.insert(run.as_str().to_owned());
    make_folder(dir, id)?;
    save(dir, id, runs)
}

/// All runs that had left something when it was last looked, of all `services`; forgets none.
pub fn remembered(dir: &StateDir, services: &[ServiceId]) -> BTreeSet<String> {
    services.iter().flat_map(|id| load(dir, id)).collect()
}

/// All runs that have left something, of all `services`; forgets those of which nothing lives.
pub(super) fn recall(dir: &StateDir, services: &[ServiceId], lives: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for id in services {
        let before = load(dir, id);
        let runs: BTreeSet<String> = before.iter().filter(|run| lives(run)).cloned().collect();
        let forgotten = match (runs.len() == before.len(), runs.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => fs::remove_file(dir.spared(id)),
            (false, false) => save(dir, id, runs.clone()),
        };
        if let Err(error) = forgotten {
            tracing::warn!("what {id} had left could not be forgotten: {error}");
        }
        all.extend(runs);
    }
    all
}

/// What faces see of `processes`; those that have ended meanwhile are left out.
pub(super) fn describe(processes: &[Identity]) -> Vec<Spared> {
    processes.iter().filter_map(|process| Some(Spared { pid: process.pid, command: command(process.pid)? })).collect()
}

fn command(pid: u32) -> Option<String> {
    let line = stat::command_line(pid)?;
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    Some(text::plain_line(masked_words(&words).join(" ").trim_end(), COMMAND))
}

/// What is not there, or can't be understood, names none.
fn load(dir: &StateDir, id: &ServiceId) -> BTreeSet<String> {
    let file = File::open(dir.spared(id)).ok();
    let read = file.and_then(|file| serde_json::from_reader::<_, Runs>(BufReader::new(file.take(LONGEST))).ok());
    let runs = read.filter(|runs| runs.format <= FORMAT).unwrap_or_default().runs;
    runs.into_iter().filter(|run| is_run_id(run)).collect()
}

fn save(dir: &StateDir, id: &ServiceId, runs: BTreeSet<String>) -> io::Result<()> {
    let mut text = serde_json::to_vec(&Runs { format: FORMAT, runs })?;
    text.push(b'\n');
    replace(&dir.spared(id), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_remembered_until_nothing_of_them_lives() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let id = ServiceId::new("web").unwrap();
        let services = [id.clone()];
        assert!(recall(&dir, &services, |_| true).is_empty());
        for run in ["r-1", "r-2", "r-1"] {
            remember(&dir, &id, &RunId::new(run)).unwrap();
        }
        assert_eq!(recall(&dir, &services, |_| true).len(), 2);
        assert_eq!(remembered(&dir, &services).len(), 2);
        assert_eq!(recall(&dir, &services, |run| run == "r-2"), BTreeSet::from(["r-2".to_owned()]));
        assert_eq!(recall(&dir, &services, |_| true).len(), 1, "what was forgotten does not come back");
        assert!(recall(&dir, &services, |_| false).is_empty());
        assert!(!dir.spared(&id).exists());
    }

    #[test]
    fn what_can_not_be_understood_names_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let id = ServiceId::new("web").unwrap();
        make_folder(&dir, &id).unwrap();
        for text in ["", "{", "[]", r#"{"format": 2, "runs": ["r"]}"#, r#"{"format": 1, "runs": ["../r"]}"#] {
            fs::write(dir.spared(&id), text).unwrap();
            assert!(load(&dir, &id).is_empty(), "{text}");
        }
        File::create(dir.spared(&id)).unwrap().set_len(1 << 40).unwrap();
        assert!(load(&dir, &id).is_empty(), "and it is not read to its end");
    }

    #[test]
    fn a_process_is_described_by_its_command_line() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = super::super::stat::Stat::read(child.id()).unwrap().unwrap().identity;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let expected = [Spared { pid: child.id(), command: "sleep 1000".to_owned() }];
        while describe(&[identity]) != expected {
            assert!(std::time::Instant::now() < deadline, "{:?}", describe(&[identity]));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(describe(&[identity]), []);
    }
}
