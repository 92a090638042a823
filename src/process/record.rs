//! What is kept on disk of a run: `run.json` for later agents and readers, `pid` for scripts.
//!
//! Written over the one before, by one call and within one page, so that a death of the agent leaves the one or the other;
//! where that can't be, to a temporary file that is renamed. Nothing is synced: the boot id voids a record after a power
//! loss anyway. After the end of a run its record stays, with how it ended, until the next run of the service takes its
//! place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::domain::{Exit, FoundEnd, FoundRun, Part, ServiceId};
use crate::engine::{StateDir, seal};

/// The version of the file's format that is written; later ones are not read.
const FORMAT: u32 = 1;
/// No record is longer than this, in bytes: it is enough for tens of thousands of shared variables.
const LONGEST: usize = 1024 * 1024;
/// Records are filled up with blanks to a multiple of this (bytes), so that most are as long as the one before.
const UNIT: usize = 1024;
/// The smallest page of memory, in bytes: what lies within one is written whole or not at all.
const PAGE: usize = 4096;

/// One run, as its file tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of the format.
    pub format: u32,
    /// The run id.
    pub run: String,
    /// The main process.
    pub pid: u32,
    /// When the main process began, in clock ticks after boot.
    pub start_time: u64,
    /// Which boot of the machine that was.
    pub boot_id: String,
    /// The hash of what was spawned.
    pub spawn_hash: String,
    /// A hash of each variable that it got from other services and `.env`, by name; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_hashes: Option<BTreeMap<String, String>>,
    /// When the run began (RFC 3339).
    pub since: String,
    /// How much had been written to the log then, in bytes since its beginning: what is rotated away counts, too.
    pub log_offset: u64,
    /// Whether somebody else began it, and it was taken over: then it writes not to the service's log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stranger: bool,
    /// How its main process ended; absent as long as no agent has seen that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
}

/// How and when a run's main process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When (RFC 3339).
    pub at: String,
    /// The exit code.
    pub code: Option<i32>,
    /// The number of the signal that ended it.
    pub signal: Option<i32>,
}

/// The file: a record with its seal.
#[derive(Serialize)]
struct Sealed<'a> {
    #[serde(flatten)]
    record: &'a RunRecord,
    seal: String,
}

/// The same as it is read; older files have no seal.
#[derive(Deserialize)]
struct Unsealed {
    #[serde(flatten)]
    record: RunRecord,
    #[serde(default)]
    seal: Option<String>,
}

impl RunEnd {
    /// How the main process ended.
    pub fn exit(&self) -> Exit {
        match (self.code, self.signal) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }
    }

    /// The end by `exit`, now.
    pub fn now(exit: &Exit) -> Self {
        let (code, signal) = match exit {
            Exit::Code(code) => (Some(*code), None),
            Exit::Signal(signal) => (None, Some(*signal)),
            Exit::Unknown => (None, None),
        };
        Self { at: now(), code, signal }
    }
}

impl RunRecord {
    /// A record of what has just been spawned.
    pub fn begun(run: &str, pid: u32, start_time: u64, boot_id: &str, spawn_hash: String, log_offset: u64) -> Self {
        Self {
            format: FORMAT,
            run: run.to_owned(),
            pid,
            start_time,
            boot_id: boot_id.to_owned(),
            spawn_hash,
            shared_hashes: None,
            since: now(),
            log_offset,
            stranger: false,
            end: None,
        }
    }

    /// Reads the record of a service; `None` if there is none, or none that this version understands.
    pub fn load(dir: &StateDir, id: &ServiceId) -> Option<Self> {
        let file = File::open(dir.run(id)).ok()?;
        let Unsealed { record, seal } = serde_json::from_reader(io::Read::take(file, LONGEST as u64)).ok()?;
        // A wrong digit would prove the wrong thing; without a record the marker proves the run.
        let is_whole = seal.is_none_or(|seal| seal == record.seal());
        (record.format <= FORMAT && is_whole).then_some(record)
    }

    /// The seal of what proves the run; what later versions add does not break it.
    fn seal(&self) -> String {
        let Self { run, pid, start_time, boot_id, spawn_hash, log_offset, stranger, .. } = self;
        let proof = format!("{run} {pid} {start_time} {boot_id} {spawn_hash} {log_offset} {stranger}");
        seal(proof.as_bytes())
    }

    /// Stores it as the service's record, with the hashes of what it got of shared variables. They are not kept here:
    /// there may be many, and nobody asks for them but the next agent.
    pub fn save_with(&self, hashes: BTreeMap<String, String>, dir: &StateDir, id: &ServiceId) -> io::Result<()> {
        let whole = Self { shared_hashes: Some(hashes), ..self.clone() };
        // What proves the run comes before what only explains it.
        if serde_json::to_vec(&whole)?.len() < LONGEST { whole.save(dir, id) } else { self.save(dir, id) }
    }

    /// Stores it as the service's record.
    pub fn save(&self, dir: &StateDir, id: &ServiceId) -> io::Result<()> {
        let mut text = serde_json::to_vec(&Sealed { record: self, seal: self.seal() })?;
        text.resize((text.len() + 1).next_multiple_of(UNIT) - 1, b' ');
        text.push(b'\n');
        let path = dir.run(id);
        // A new file for each would take most of the time that a run's end takes: a file system that is careful about renaming
        // begins to write such a file to the disk at once.
        if overwrite(&path, &text).unwrap_or(false) { Ok(()) } else { replace(&path, &text) }
    }
}

/// All services that have a folder.
pub(super) fn services(dir: &StateDir) -> Vec<ServiceId> {
    let Ok(folders) = std::fs::read_dir(dir.services()) else { return Vec::new() };
    let mut services: Vec<ServiceId> =
        folders.flatten().filter_map(|folder| ServiceId::new(folder.file_name().to_str()?).ok()).collect();
    services.sort();
    services
}

/// How the runs of `records` ended, of services of which `runs` has none.
pub(super) fn ends(records: BTreeMap<ServiceId, RunRecord>, runs: &[FoundRun]) -> Vec<FoundEnd> {
    let over = records.into_iter().filter(|(id, _)| runs.iter().all(|run| run.id != *id));
    let end = |(id, record): (ServiceId, RunRecord)| {
        let exit = record.end?.exit();
        Some(FoundEnd { id, spawn_hash: record.spawn_hash, exit })
    };
    over.filter_map(end).collect()
}

/// Makes the folder of a service, for its owner only.
pub(super) fn make_folder(dir: &StateDir, id: &ServiceId) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir.service(id))
}

/// Writes the main pid for scripts to read.
pub(super) fn write_pid(dir: &StateDir, id: &ServiceId, pid: u32) -> io::Result<()> {
    replace(&dir.pid(id), format!("{pid}\n").as_bytes())
}

/// Writes the main pid of every service of which one of `runs` lives, and takes away those of the other `services`. Of
/// several runs of a service it is the one that the service goes on as: one with a record before others, then the oldest.
pub(super) fn tell_pids(dir: &StateDir, services: Vec<ServiceId>, runs: &[FoundRun]) {
    let mains = runs.iter().filter(|run| run.run.part() == Part::Main && run.pid.is_some());
    let all = services.into_iter().chain(mains.clone().map(|run| run.id.clone())).collect::<BTreeSet<_>>();
    for id in all {
        let of_it = mains.clone().filter(|run| run.id == id);
        let told = match of_it.min_by_key(|run| (run.spawn_hash.is_none(), run.since)).and_then(|run| run.pid) {
            Some(pid) => write_pid(dir, &id, pid),
            None => remove_pid(dir, &id),
        };
        if let Err(error) = told {
            tracing::warn!("pid of {id} could not be brought up to date: {error}");
        }
    }
}

/// Takes the main pid away; that there is none is as good.
fn remove_pid(dir: &StateDir, id: &ServiceId) -> io::Result<()> {
    match fs::remove_file(dir.pid(id)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Takes the main pid away if it is `pid`: another run of the service may have written its own.
pub(super) fn forget_pid(dir: &StateDir, id: &ServiceId, pid: u32) -> io::Result<()> {
    match fs::read_to_string(dir.pid(id)) {
        Ok(text) if text.trim() != pid.to_string() => Ok(()),
        Ok(_) | Err(_) => remove_pid(dir, id),
    }
}

/// Writes over a file that is as long as `content`; false if there is none, or it would not be done at one stroke.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    let metadata = file.metadata()?;
    let fits = metadata.is_file() && metadata.len() == content.len() as u64 && content.len() <= PAGE;
    Ok(fits && file.write(content)? == content.len())
}

pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&temporary).and_then(|mut file| file.write_all(content));
    written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        // What is half written is of no use, and takes room; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    })
}

fn now() -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{now:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, StateDir, ServiceId) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let id = ServiceId::new("web").unwrap();
        make_folder(&dir, &id).unwrap();
        (folder, dir, id)
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let (_folder, dir, id) = place();
        let mut record = RunRecord::begun("r-1", 42, 7, "boot", "hash".to_owned(), 99);
        record.save(&dir, &id).unwrap();
        assert_eq!(RunRecord::load(&dir, &id), Some(record.clone()));
        record.end = Some(RunEnd::now(&Exit::Signal(9)));
        record.save(&dir, &id).unwrap();
        assert_eq!(RunRecord::load(&dir, &id), Some(record));
    }

    #[test]
    fn a_record_takes_the_place_of_any_other_file_and_of_nothing_else() {
        let (folder, dir, id) = place();
        let short = RunRecord::begun("r-1", 42, 7, "boot", "hash".to_owned(), 99);
        let long = RunRecord { spawn_hash: "hash".repeat(PAGE), ..short.clone() };
        for record in [&short, &long, &short, &short, &long, &long] {
            record.save(&dir, &id).unwrap();
            assert_eq!(RunRecord::load(&dir, &id).as_ref(), Some(record));
        }
        #[cfg(unix)]
        {
            short.save(&dir, &id).unwrap();
            let elsewhere = folder.path().join("elsewhere");
            fs::rename(dir.run(&id), &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, dir.run(&id)).unwrap();
            let later = RunRecord { pid: 43, ..short.clone() };
            later.save(&dir, &id).unwrap();
            assert_eq!(RunRecord::load(&dir, &id), Some(later));
            assert!(fs::read_to_string(&elsewhere).unwrap().contains(":42,"), "a link is not followed");
        }
    }

    #[test]
    fn a_record_with_a_wrong_digit_proves_nothing() {
        let (_folder, dir, id) = place();
        let record = RunRecord::begun("r-1", 42, 7, "boot", "hash".to_owned(), 99);
        record.save(&dir, &id).unwrap();
        let text = fs::read_to_string(dir.run(&id)).unwrap();
        for (right, wrong) in [(":42,", ":43,"), (":7,", ":6,"), ("hash\",", "hasi\","), ("boot\",", "bood\",")] {
            assert!(text.contains(right), "{text}");
            fs::write(dir.run(&id), text.replace(right, wrong)).unwrap();
            assert_eq!(RunRecord::load(&dir, &id), None, "{wrong}");
        }
    }

    #[test]
    fn what_it_got_of_shared_variables_is_kept_unless_there_is_too_much_of_it() {
        let (_folder, dir, id) = place();
        let record = RunRecord::begun("r-1", 42, 7, "boot", "hash".to_owned(), 99);
        let hashes = |count: u32| (0..count).map(|n| (format!("NAME_{n}"), "0123abcd".to_owned())).collect();
        let few: BTreeMap<_, _> = hashes(3);
        record.save_with(few.clone(), &dir, &id).unwrap();
        assert_eq!(RunRecord::load(&dir, &id), Some(RunRecord { shared_hashes: Some(few), ..record.clone() }));
        record.save_with(hashes(100_000), &dir, &id).unwrap();
        assert_eq!(RunRecord::load(&dir, &id), Some(record), "the proof of the run comes first");
    }

    #[test]
    fn what_this_version_does_not_know_is_passed_over() {
        let (_folder, dir, id) = place();
        let record = RunRecord::begun("r-1", 42, 7, "boot", "hash".to_owned(), 99);
        let with = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = serde_json::to_value(&record).unwrap();
            change(&mut value);
            fs::write(dir.run(&id), value.to_string()).unwrap();
            RunRecord::load(&dir, &id)
        };
        assert_eq!(with(&|value| value["new_key"] = true.into()), Some(record.clone()));
        assert_eq!(with(&|value| value["format"] = 2.into()), None);
        assert_eq!(with(&|value| value["pid"] = (-1).into()), None);
        for corrupt in ["", "{", "[]", "\0\0\0", "null"] {
            fs::write(dir.run(&id), corrupt).unwrap();
            assert_eq!(RunRecord::load(&dir, &id), None, "{corrupt:?}");
        }
        fs::remove_file(dir.run(&id)).unwrap();
        assert_eq!(RunRecord::load(&dir, &id), None);
    }

    #[test]
    fn the_pid_file_is_plain_decimal_text_and_goes_away() {
        let (_folder, dir, id) = place();
        write_pid(&dir, &id, 4321).unwrap();
        assert_eq!(fs::read_to_string(dir.pid(&id)).unwrap().trim(), "4321");
        remove_pid(&dir, &id).unwrap();
        remove_pid(&dir, &id).unwrap();
        assert!(!dir.pid(&id).exists());
        write_pid(&dir, &id, 4321).unwrap();
        forget_pid(&dir, &id, 432).unwrap();
        assert!(dir.pid(&id).exists(), "it is another run's");
        forget_pid(&dir, &id, 4321).unwrap();
        assert!(!dir.pid(&id).exists());
    }

    #[test]
    fn times_are_rfc_3339() {
        assert!(now().parse::<jiff::Timestamp>().is_ok(), "{}", now());
    }
}
