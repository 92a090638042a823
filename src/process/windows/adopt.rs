//! Finds the runs that an earlier agent has left: by their records, and by the marker for what no record names.
//!
//! It only finds and proves; nothing is asked, ended or written here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::time::{Duration, SystemTime};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::held::{Held, Identity};
use super::job::Job;
use crate::domain::{RunId, ServiceId};
use crate::engine::StateDir;
use crate::process::marker::{RUN, SERVICE, STATE_DIR, is_run_id};
use crate::process::record::RunRecord;

/// From 1601, when this system's time begins, to 1970.
const EPOCH: Duration = Duration::from_secs(11_644_473_600);
/// How far the clock may have been set since the boot without records being taken for an earlier boot's.
const CLOCK_SET: Duration = Duration::from_secs(5);

/// A living run.
#[derive(Debug)]
pub(super) struct Found {
    /// The service.
    pub service: ServiceId,
    /// The run.
    pub run: RunId,
    /// Its main process, if that lives.
    pub main: Option<Held>,
    /// All of it.
    pub job: Job,
    /// When it began, in units of 100 ns since 1601.
    pub since: u64,
    /// Its record, if there is one.
    pub record: Option<RunRecord>,
}

/// The runs that live: those whose recorded main process does, and those of whom a process carries the marker of `dir`.
///
/// # Errors
/// If a process can't be looked at that may be one of them.
pub(super) fn find(dir: &StateDir, records: &BTreeMap<ServiceId, RunRecord>) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for (service, record) in records {
        let identity = Identity { pid: record.pid, start: record.start_time };
        if identity.pid == std::process::id() {
            continue;
        }
        if let Some(main) = Held::open_living(identity)? {
            let run = RunId::new(&record.run);
            let job = job_of(&run, [&main])?;
            let (service, since) = (service.clone(), record.start_time);
            found.push(Found { service, run, main: Some(main), job, since, record: Some(record.clone()) });
        }
    }
    for (run, (service, processes)) in marked(dir)? {
        let Some(since) = processes.iter().map(|process| process.identity().start).min() else { continue };
        if found.iter().all(|found| found.run != run) {
            let record = records.get(&service).filter(|record| record.run == run.as_str()).cloned();
            let job = job_of(&run, &processes)?;
            found.push(Found { service, run, main: None, job, since, record });
        }
    }
    Ok(found)
}

/// Whether a record is of this boot of the machine, and can be believed.
///
/// The system has no id for a boot. What the clock says of the time since is enough, because no process is believed to
/// be a run's by its record alone: pid and time of beginning are.
pub(super) fn is_of_this_boot(record: &RunRecord) -> bool {
    let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(boot_time());
    is_run_id(&record.run) && moment(record.start_time).is_some_and(|began| began + CLOCK_SET >= boot)
}

/// When this boot was, for people to read.
pub(super) fn boot_id() -> String {
    let boot = i64::try_from(boot_time()).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    boot.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The calendar's time of `units` (100 ns each) since 1601.
pub(super) fn moment(units: u64) -> Option<SystemTime> {
    let since_1601 = Duration::from_micros(units / 10);
    SystemTime::UNIX_EPOCH.checked_add(since_1601.checked_sub(EPOCH)?)
}

/// When this boot was, in seconds since 1970; where that is unknown, before everything.
fn boot_time() -> u64 {
    System::boot_time().unwrap_or(0)
}

/// The job of a run as long as it has its name; else a new one, for all of the run that is known.
fn job_of<'a>(run: &RunId, processes: impl IntoIterator<Item = &'a Held>) -> io::Result<Job> {
    let job = match Job::open(run)? {
        Some(job) => job,
        None => Job::create(run)?,
    };
    for process in processes {
        if !process.has_ended() && !job.holds(process)? {
            job.take_in(process)?;
        }
    }
    Ok(job)
}

/// The living processes with the marker of `dir`, by run. Neither ourselves nor one that we descend from.
fn marked(dir: &StateDir) -> io::Result<BTreeMap<RunId, (ServiceId, Vec<Held>)>> {
    let mut system = System::new().map_err(io::Error::other)?;
    let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let own = ancestors(&system);
    let mut runs: BTreeMap<RunId, (ServiceId, Vec<Held>)> = BTreeMap::new();
    for (pid, process) in system.processes().iter().filter(|(pid, _)| !own.contains(pid)) {
        let Some((service, run)) = marker(process.environ(), dir) else { continue };
        if let Some(held) = Held::open(pid.as_u32())?.filter(|held| !held.has_ended()) {
            runs.entry(run).or_insert((service, Vec::new())).1.push(held);
        }
    }
    Ok(runs)
}

/// Ourselves and all that we descend from.
fn ancestors(system: &System) -> Vec<Pid> {
    let mut own = Vec::new();
    let mut next = Some(Pid::from_u32(std::process::id()));
    while let Some(pid) = next.filter(|pid| !own.contains(pid)) {
        own.push(pid);
        next = system.process(pid).and_then(sysinfo::Process::parent);
    }
    own
}

fn marker(environment: &[OsString], dir: &StateDir) -> Option<(ServiceId, RunId)> {
    let value = |name: &str| {
        let text = environment.iter().filter_map(|entry| entry.to_str());
        text.filter_map(|entry| entry.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let run = value(RUN).filter(|run| is_run_id(run))?;
    let service = ServiceId::new(value(SERVICE)?).ok()?;
    (OsStr::new(value(STATE_DIR)?) == dir.root().as_os_str()).then(|| (service, RunId::new(run)))
}
