//! Finds the runs that an earlier agent has left: by their records, and by the marker for what no record names.
//!
//! It only finds and proves; nothing is asked, ended or written here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::time::{Duration, SystemTime};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::held::{Held, Identity};
use super::job::Job;
use crate::domain::{FoundEnd, FoundRun, RunId, ServiceId};
use crate::engine::{Clock, StateDir};
use crate::process::marker::{RUN, SERVICE, STATE_DIR, is_run_id};
use crate::process::record::{self, RunRecord};

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
    /// What of it was found by its marker.
    pub marked: Vec<Held>,
    /// When it began, in units of 100 ns since 1601.
    pub since: u64,
    /// Its record, if there is one.
    pub record: Option<RunRecord>,
}

impl Found {
    /// The job of the run as long as it has its name; else a new one, for all of the run that is known.
    pub fn job(&self) -> io::Result<Job> {
        let job = match Job::open(&self.run)? {
            Some(job) => job,
            None => Job::create(&self.run)?,
        };
        for process in self.main.iter().chain(&self.marked) {
            if !process.has_ended() && !job.holds(process)? {
                job.take_in(process)?;
            }
        }
        Ok(job)
    }

    /// What the engine is told of it.
    pub fn told(&self, clock: Clock) -> FoundRun {
        FoundRun {
            id: self.service.clone(),
            run: self.run.clone(),
            pid: self.main.as_ref().map(|held| held.identity().pid),
            spawn_hash: self.record.as_ref().map(|record| record.spawn_hash.clone()),
            since: clock.now() - age(self.since),
        }
    }
}

/// What an agent would find at its start: the runs that live, and how others ended. Nothing is taken over.
///
/// # Errors
/// If what lives cannot be told. Blocks for some milliseconds.
pub fn peek(dir: &StateDir, clock: Clock) -> io::Result<(Vec<FoundRun>, Vec<FoundEnd>)> {
    let records = records(dir, &record::services(dir));
    let runs: Vec<FoundRun> = find(dir, &records)?.iter().map(|found| found.told(clock)).collect();
    let ends = record::ends(records, &runs);
    Ok((runs, ends))
}

/// The records of this boot.
pub(super) fn records(dir: &StateDir, services: &[ServiceId]) -> BTreeMap<ServiceId, RunRecord> {
    let record = |id: &ServiceId| {
        let record = RunRecord::load(dir, id)?;
        is_of_this_boot(&record).then(|| (id.clone(), record))
    };
    services.iter().filter_map(record).collect()
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
            let (service, run, since) = (service.clone(), RunId::new(&record.run), record.start_time);
            let record = Some(record.clone());
            found.push(Found { service, run, main: Some(main), marked: Vec::new(), since, record });
        }
    }
    let taken = taken(&found)?;
    for (run, (service, mut marked)) in marked(dir)? {
        // Somebody who was taken over may have been begun as an earlier run of ours, and carry that one's marker.
        marked.retain(|process| !taken.iter().any(|pid| *pid == process.identity().pid));
        let Some(since) = marked.iter().map(|process| process.identity().start).min() else { continue };
        if found.iter().all(|found| found.run != run) {
            let record = records.get(&service).filter(|record| record.run == run.as_str()).cloned();
            found.push(Found { service, run, main: None, marked, since, record });
        }
    }
    Ok(found)
}

/// The processes of those of `found` that somebody else has begun.
fn taken(found: &[Found]) -> io::Result<Vec<u32>> {
    let mut taken = Vec::new();
    for found in found.iter().filter(|found| found.record.as_ref().is_some_and(|record| record.stranger)) {
        taken.extend(found.main.as_ref().map(|main| main.identity().pid));
        if let Some(job) = Job::open(&found.run)? {
            taken.extend(job.pids()?);
        }
    }
    Ok(taken)
}

/// Whether a record is of this boot of the machine, and can be believed.
///
/// The system has no id for a boot. What the clock says of the time since is enough, because no process is believed to
/// be a run's by its record alone: pid and time of beginning are.
fn is_of_this_boot(record: &RunRecord) -> bool {
    let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(boot_time());
    is_run_id(&record.run) && moment(record.start_time).is_some_and(|began| began + CLOCK_SET >= boot)
}

/// When this boot was, for people to read.
pub(super) fn boot_id() -> String {
    let boot = i64::try_from(boot_time()).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    boot.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The calendar's time of `units` (100 ns each) since 1601.
fn moment(units: u64) -> Option<SystemTime> {
    let since_1601 = Duration::from_micros(units / 10);
    SystemTime::UNIX_EPOCH.checked_add(since_1601.checked_sub(EPOCH)?)
}

/// How long ago a process began that started at `start` (units of 100 ns since 1601); zero if that lies ahead.
pub(super) fn age(start: u64) -> Duration {
    moment(start).and_then(|began| SystemTime::now().duration_since(began).ok()).unwrap_or_default()
}

/// When this boot was, in seconds since 1970; where that is unknown, before everything.
fn boot_time() -> u64 {
    System::boot_time().unwrap_or(0)
}

/// The living processes with the marker of `dir`, by run. Neither ourselves nor one that we descend from.
fn marked(dir: &StateDir) -> io::Result<BTreeMap<RunId, (ServiceId, Vec<Held>)>> {
    let mut system = System::new().map_err(io::Error::other)?;
    let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let own = ancestors(&system);
    let mut runs: BTreeMap<RunId, (ServiceId, Vec<Held>)> = BTreeMap::new();
    for (pid, process) in system.processes().iter().filter(|(pid, _)| !own.contains(pid)) {
        let marker = Marker::of(process.environ()).filter(|marker| marker.is_of(dir) && !marker.run.is_action());
        let Some(Marker { service, run, .. }) = marker else { continue };
        if let Some(held) = Held::open(pid.as_u32())?.filter(|held| !held.has_ended()) {
            runs.entry(run).or_insert((service, Vec::new())).1.push(held);
        }
    }
    Ok(runs)
}

/// Ourselves and all that we descend from.
pub(super) fn ancestors(system: &System) -> Vec<Pid> {
    let mut own = Vec::new();
    let mut next = Some(Pid::from_u32(std::process::id()));
    while let Some(pid) = next.filter(|pid| !own.contains(pid)) {
        own.push(pid);
        next = system.process(pid).and_then(sysinfo::Process::parent);
    }
    own
}

/// What a process's environment says of the run that it was begun in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The service.
    pub service: ServiceId,
    /// The run.
    pub run: RunId,
    /// The state directory of the agent.
    pub state_dir: OsString,
}

impl Marker {
    /// The marker in `environment`, if all of it is there.
    pub fn of(environment: &[OsString]) -> Option<Self> {
        let value = |name: &str| {
            let text = environment.iter().filter_map(|entry| entry.to_str());
            text.filter_map(|entry| entry.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let run = RunId::new(value(RUN).filter(|run| is_run_id(run))?);
        Some(Self { service: ServiceId::new(value(SERVICE)?).ok()?, run, state_dir: value(STATE_DIR)?.into() })
    }

    /// Whether the agent with the state in `dir` has begun it.
    pub fn is_of(&self, dir: &StateDir) -> bool {
        self.state_dir == dir.root().as_os_str()
    }
}
