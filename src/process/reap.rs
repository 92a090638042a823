//! Collects the dead that fall to the agent as the adopter of all orphans among its descendants.
//!
//! Nothing that somebody else waits for is collected here: main processes of runs are passed over, and everything else
//! is given time first, because it may be a child that another part of the program has started and waits for itself.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::end::raw;
use super::run::Ground;
use super::stat::{Identity, Stat};

/// How long the dead wait for who started them.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes this process the adopter of all orphans among its descendants, and listens for ends of children.
pub(super) fn become_reaper() -> io::Result<Signal> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    signal(SignalKind::child())
}

/// Collects what nobody waits for, after each end of a child; sleeps in between.
pub(super) async fn reap(mut ends: Signal, ground: Rc<Ground>) {
    while ends.recv().await.is_some() {
        let found = dead_strangers(&ground);
        if found.is_empty() {
            continue;
        }
        tokio::time::sleep(PATIENCE).await;
        let still = dead_strangers(&ground);
        for identity in still.iter().filter(|identity| found.contains(identity)) {
            if let Some(pid) = raw(identity.pid) {
                // Somebody else may have been quicker.
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            }
        }
    }
}

/// Children of ours that have ended, are not collected, and are no run's main process.
fn dead_strangers(ground: &Ground) -> Vec<Identity> {
    // As long as a child is not collected, nobody else can have its number.
    let mains: HashSet<u32> = {
        let runs = ground.runs.borrow();
        let followed = runs.values().filter(|run| !run.main_is_over.get());
        followed.filter_map(|run| Some(run.main.as_ref()?.identity().pid)).collect()
    };
    let dead = |pid: u32| Stat::read(pid).ok().flatten().filter(|stat| stat.dead).map(|stat| stat.identity);
    children().into_iter().filter(|pid| !mains.contains(pid)).filter_map(dead).collect()
}

/// The children of all our threads. One that comes or goes meanwhile may be missing: its own end brings us here again.
fn children() -> Vec<u32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")));
    match lists.collect::<io::Result<Vec<String>>>() {
        Ok(lists) => lists.iter().flat_map(|list| list.split_ascii_whitespace()).flat_map(str::parse).collect(),
        // A thread that has just ended, or a kernel without these lists.
        Err(_) => children_by_scan(),
    }
}

fn children_by_scan() -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let stat = Stat::read(*pid).ok().flatten();
        stat.is_some_and(|stat| stat.parent == std::process::id())
    };
    pids.filter(is_child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_a_child() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(children().contains(&child.id()));
        assert!(children_by_scan().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children_by_scan().contains(&child.id()));
    }
}
