//! The files of a state directory hold any bytes: each is read, or told to be unreadable and kept; nothing that was there
//! is lost, and a service's log is read back whatever its records say.
//!
//! The first byte tells which file.
#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pilotlight::domain::{Occurrence, RunId, ServiceId};
use pilotlight::engine::ports::Store;
use pilotlight::engine::{Clock, LogPlace, LogRecord, LogStep, StateDir};
use pilotlight::logs::{MAX_LINE, Query, last_lines, read};
use pilotlight::process::{RunRecord, remembered};
use pilotlight::state::{AgentRecord, DiskStore, EventPosition, locate, open, read_events, read_events_from};

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (dir, id) = (StateDir::new(folder.path().join("state")), ServiceId::new("web").unwrap());
    fs::create_dir_all(dir.service(&id)).unwrap();
    match which % 7 {
        0 => intent(&dir, bytes),
        1 => journal(&dir, bytes),
        2 => agent(&dir, bytes),
        3 => run(&dir, &id, bytes),
        4 => spared(&dir, &id, bytes),
        5 => owner(folder.path(), &dir, bytes),
        _ => log(&dir, &id, bytes),
    }
});

/// What is not understood is kept beside; what is understood is saved and read the same.
fn intent(dir: &StateDir, bytes: &[u8]) {
    fs::write(dir.intent(), bytes).unwrap();
    let (mut store, kept) = DiskStore::open(dir.clone(), clock());
    let aside = aside(dir);
    match &kept.remark {
        Some(_) => assert_eq!(aside.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), [bytes]),
        None => assert!(aside.is_empty()),
    }
    store.save_intent(&kept.intent);
    let (_, again) = DiskStore::open(dir.clone(), clock());
    assert_eq!((again.intent, again.remark), (kept.intent, None));
}

fn aside(dir: &StateDir) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir.root()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().contains(".bad-")).collect()
}

/// Whoever reads on from where a reading has ended misses nothing and sees nothing twice.
fn journal(dir: &StateDir, bytes: &[u8]) {
    let (number, bytes) = bytes.split_at(bytes.len().min(16));
    let (older, current) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(0));
    if !older.is_empty() {
        fs::write(dir.root().join("events.jsonl.1"), older).unwrap();
    }
    fs::write(dir.events(), current).unwrap();
    let (all, end) = read_events_from(dir, EventPosition::default()).unwrap();
    assert_eq!(read_events(dir, None).unwrap(), all);
    assert!(read_events(dir, Some(jiff::Timestamp::UNIX_EPOCH)).unwrap().len() <= all.len());
    assert_eq!(EventPosition::from_bits(end.to_bits()), end);
    assert_eq!(read_events_from(dir, end).unwrap(), (Vec::new(), end));
    let any = number.iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
    assert!(read_events_from(dir, EventPosition::from_bits(any)).unwrap().0.len() <= all.len());
    // Amid a file: what cannot be understood there is one line, passed over.
    let amid = EventPosition::from_bits(end.to_bits() - any % (u128::from(end.to_bits() as u64) + 1));
    assert!(read_events_from(dir, amid).unwrap().0.len() <= all.len());
    let (mut store, _) = DiskStore::open(dir.clone(), clock());
    let text = "it is \"there\"\nagain".to_owned();
    store.record(&[Occurrence { generation: 7, kind: "exited", service: None, run: Some(RunId::new("r-1")), text }]);
    let (new, _) = read_events_from(dir, end).unwrap();
    let last = new.last().unwrap();
    assert_eq!((last.generation, &last.kind[..], &last.text[..]), (7, "exited", "it is \"there\"\nagain"));
    assert!(new.len() <= 2, "at most a line that was half written is new beside it");
}

fn agent(dir: &StateDir, bytes: &[u8]) {
    fs::write(dir.agent(), bytes).unwrap();
    if let Some(record) = AgentRecord::load(dir) {
        fs::write(dir.agent(), serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(AgentRecord::load(dir), Some(record));
    }
}

fn run(dir: &StateDir, id: &ServiceId, bytes: &[u8]) {
    fs::write(dir.run(id), bytes).unwrap();
    if let Some(record) = RunRecord::load(dir, id) {
        if let Some(end) = &record.end {
            let _ = end.exit().to_string();
        }
        record.save(dir, id).unwrap();
        assert_eq!(RunRecord::load(dir, id), Some(record));
    }
}

/// The names of runs become parts of other names.
fn spared(dir: &StateDir, id: &ServiceId, bytes: &[u8]) {
    fs::write(dir.spared(id), bytes).unwrap();
    let runs: BTreeSet<String> = remembered(dir, &[id.clone()]);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    assert!(runs.iter().all(|run| !run.is_empty() && run.chars().all(is_plain)), "{runs:?}");
}

/// A directory is another's only if it says so, and then nothing of it is changed.
fn owner(folder: &Path, dir: &StateDir, bytes: &[u8]) {
    let config = folder.join("services.json");
    let path = dir.root().join("config.json");
    fs::write(&path, bytes).unwrap();
    let found = locate(&config, Some(dir.root()), None);
    let opened = open(&config, Some(dir.root()), None);
    assert_eq!(found.is_ok(), opened.is_ok());
    match opened {
        Ok(_) => {
            assert!(locate(&config, Some(dir.root()), None).is_ok());
            let kept: Vec<Vec<u8>> = aside(dir).iter().map(|path| fs::read(path).unwrap()).collect();
            assert!(kept == [bytes] || kept.is_empty() && fs::read(&path).unwrap() == bytes, "it is lost");
        }
        Err(_) => assert_eq!(fs::read(&path).unwrap(), bytes),
    }
}

/// Every byte of a log is read once at the most, in bounded time, whatever record, index and older files say of it.
fn log(dir: &StateDir, id: &ServiceId, bytes: &[u8]) {
    let [how, index, piece, bytes @ ..] = bytes else { return };
    let (record, bytes) = bytes.split_at(bytes.len().min(40));
    let (index, bytes) = bytes.split_at(bytes.len().min(usize::from(*index)));
    let (piece, bytes) = bytes.split_at(bytes.len().min(usize::from(*piece)));
    if how & 1 != 0 {
        fs::write(dir.log_record(id), record).unwrap();
    } else if how & 2 != 0 {
        // With the right sum.
        let number = |at: usize| record.iter().skip(at * 8).take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let step = match how >> 2 & 3 {
            0 => LogStep::Rest,
            1 => LogStep::Moving(number(2)),
            2 => LogStep::Clearing,
            _ => LogStep::Cutting(number(2)),
        };
        LogRecord { base: number(0), front: number(1), step }.save(&dir.log_record(id)).unwrap();
    }
    if how & 16 != 0 {
        fs::write(dir.log_copy(id), piece).unwrap();
    }
    if !index.is_empty() {
        fs::write(dir.log_index(id), index).unwrap();
    }
    if !piece.is_empty() {
        fs::write(dir.log_piece(id, 1), piece).unwrap();
    }
    if how & 32 == 0 {
        fs::write(dir.log(id), bytes).unwrap();
    }
    let file = fs::File::open(dir.log(id)).ok();
    let place = LogPlace::of(dir, id, file.as_ref()).unwrap();
    assert!(place.base <= place.front && place.front <= place.end, "{place:?}");
    let most = piece.len() + if file.is_some() { bytes.len() } else { 0 };
    let since = jiff::Timestamp::from_second(1_767_225_600).unwrap();
    for (last, since) in [(None, None), (Some(2), None), (None, Some(since))] {
        let query = Query { last, since, grep: None, in_parts: how & 64 != 0 };
        let mut sum = 0;
        for line in read(dir, &[id.clone()], &query).unwrap() {
            let line = line.unwrap();
            assert!(line.bytes.len() <= MAX_LINE);
            sum += line.bytes.len() + 1;
        }
        assert!(sum <= most + 2, "{sum} bytes of {most}");
    }
    assert!(last_lines(dir, id, 3).unwrap().len() <= 3);
}

fn clock() -> Clock {
    Clock::start(Duration::from_secs(1))
}
