//! Finds the runs that an earlier agent has left: by their records, and by the marker for what no record names.
//!
//! It only finds and proves; nothing is signalled or written here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::brand::Brand;
use super::marker::is_run_id;
use super::record::{self, RunRecord};
use super::spared;
use super::stat::{self, Identity};
use super::tree::{Marker, Process, Scan};
use crate::domain::{FoundEnd, FoundRun, RunId, ServiceId, Spared};
use crate::engine::{Clock, StateDir};

/// A living run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The service.
    pub service: ServiceId,
    /// The run.
    pub run: RunId,
    /// Its main process, if that lives.
    pub main: Option<Identity>,
    /// When it began, in clock ticks after boot.
    pub since: u64,
    /// Its record, if there is one.
    pub record: Option<RunRecord>,
}

/// The records of this boot; others prove nothing about what lives now.
pub(super) fn records(dir: &StateDir, services: &[ServiceId], boot_id: &str) -> BTreeMap<ServiceId, RunRecord> {
    let believed = |record: &RunRecord| record.boot_id == boot_id && is_run_id(&record.run);
    let record = |id: &ServiceId| Some((id.clone(), RunRecord::load(dir, id).filter(believed)?));
    services.iter().filter_map(record).collect()
}

/// The runs that live: those whose recorded main process does, those of whom a process carries the marker of
/// `dir`, and those recorded ones of whom a process carries the brand. A service may have several. What was left by the runs `spared` is nobody's.
pub(super) fn find(
    dir: &StateDir,
    records: &BTreeMap<ServiceId, RunRecord>,
    spared: &BTreeSet<String>,
    scan: &Scan,
) -> Vec<Found> {
    let mut found = Vec::new();
    for (service, record) in records {
        let main = Identity { pid: record.pid, start: record.start_time };
        if main.pid > 1
            && main.pid != std::process::id()
            && scan.living(main.pid).is_some_and(|process| process.stat.identity == main)
        {
            found.push(Found {
                service: service.clone(),
                run: RunId::new(&record.run),
                main: Some(main),
                since: main.start,
                record: Some(record.clone()),
            });
        }
    }
    // Somebody who was taken over may have been begun as an earlier run of ours, and carry that one's marker.
    let taken: Vec<Identity> = found
        .iter()
        .filter(|found| found.record.as_ref().is_some_and(|record| record.stranger))
        .flat_map(|found| scan.lineage(found.main, &[]))
        .collect();
    for (run, mut processes) in marked(dir, scan) {
        processes.retain(|process| !taken.contains(&process.stat.identity));
        if !spared.contains(&run)
            && found.iter().all(|found| found.run.as_str() != run)
            && let Some(one) = by_marker(&run, &processes, records)
        {
            found.push(one);
        }
    }
    // Of a run whose record is there, all that lives may have begun anew with another environment.
    for (service, record) in records {
        let is_found = found.iter().any(|found| found.run.as_str() == record.run);
        if !is_found && !spared.contains(&record.run) && !record.stranger && has_brand(dir, scan, &record.run) {
            found.push(Found {
                service: service.clone(),
                run: RunId::new(&record.run),
                main: None,
                since: record.start_time,
                record: Some(record.clone()),
            });
        }
    }
    found
}

/// What an agent would find at its start: the runs that live, and how others ended. Nothing is taken over.
///
/// Fails if the processes of the machine cannot be listed. Blocks for some milliseconds.
pub fn peek(dir: &StateDir, clock: Clock) -> io::Result<(Vec<FoundRun>, Vec<FoundEnd>)> {
    let services = record::services(dir);
    let records = records(dir, &services, &stat::boot_id()?);
    let found = find(dir, &records, &spared::remembered(dir, &services), &Scan::take(0)?);
    let found = found.into_iter().map(|found| FoundRun {
        id: found.service,
        run: found.run,
        pid: found.main.map(|main| main.pid),
        spawn_hash: found.record.as_ref().map(|record| record.spawn_hash.clone()),
        shared_hashes: found.record.and_then(|record| record.shared_hashes),
        since: clock.now() - stat::age(found.since),
    });
    let runs = found.collect::<Vec<_>>();
    let ends = record::ends(records, &runs);
    Ok((runs, ends))
}

/// Whether a process lives that carries the marker or the brand of `dir` and `run`.
pub(super) fn has_marker(dir: &StateDir, scan: &Scan, run: &str) -> bool {
    let is_of_it = |marker: &Marker| marker.run.as_str() == run && marker.is_of(dir.root().as_os_str());
    scan.others().any(|process| process.marker.as_ref().is_some_and(is_of_it)) || has_brand(dir, scan, run)
}

/// Whether a process lives that carries nothing but the brand of `dir` and `run`.
fn has_brand(dir: &StateDir, scan: &Scan, run: &str) -> bool {
    let brand = Some(Brand::of(dir.root().as_os_str(), run));
    scan.others().any(|process| process.stat.identity.pid > 1 && process.brand == brand)
}

/// The living processes that carry the marker of `dir` and one of these `runs`, by their services.
pub(super) fn left_by(dir: &StateDir, scan: &Scan, runs: &BTreeSet<String>) -> Vec<(ServiceId, Vec<Spared>)> {
    let mut left: BTreeMap<ServiceId, Vec<Identity>> = BTreeMap::new();
    for (_, processes) in marked(dir, scan).into_iter().filter(|(run, _)| runs.contains(run)) {
        for process in processes {
            if let Some(marker) = &process.marker {
                left.entry(marker.service.clone()).or_default().push(process.stat.identity);
            }
        }
    }
    left.into_iter().map(|(id, processes)| (id, spared::describe(&processes))).collect()
}

/// The processes with the marker of `dir`, by run, the oldest first.
fn marked<'a>(dir: &StateDir, scan: &'a Scan) -> BTreeMap<String, Vec<&'a Process>> {
    let mut runs: BTreeMap<String, Vec<&Process>> = BTreeMap::new();
    for process in scan.others().filter(|process| process.stat.identity.pid > 1) {
        if let Some(marker) = process.marker.as_ref().filter(|marker| marker.is_of(dir.root().as_os_str()))
            && !marker.run.is_action()
        {
            runs.entry(marker.run.as_str().to_owned()).or_default().push(process);
        }
    }
    for processes in runs.values_mut() {
        processes.sort_by_key(|process| (process.stat.identity.start, process.stat.identity.pid));
    }
    runs
}

fn by_marker(run: &str, processes: &[&Process], records: &BTreeMap<ServiceId, RunRecord>) -> Option<Found> {
    let oldest = processes.first()?;
    let service = oldest.marker.as_ref()?.service.clone();
    let record = records.get(&service).filter(|record| record.run == run).cloned();
    let main = match &record {
        // It would have been found by its record if it lived.
        Some(_) => None,
        // The agent died between the spawn and the record: what we spawn leads a session.
        None => Some(oldest.stat).filter(|stat| stat.session == stat.identity.pid).map(|stat| stat.identity),
    };
    let since = record.as_ref().map_or(oldest.stat.identity.start, |record| record.start_time);
    Some(Found { service, run: RunId::new(run), main, since, record })
}
