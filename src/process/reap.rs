//! Collects the dead that fall to the agent as the adopter of all orphans among its descendants.
//!
//! Nothing that somebody else waits for is collected here: main processes of runs are passed over, and everything else
//! is given time first, because it may be a child that another part of the program has started and waits for itself.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::yield_now;

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

/// Collects what nobody waits for, some time after each end of a child; sleeps in between.
pub(super) async fn reap(mut ends: Signal, ground: Rc<Ground>) {
    while ends.recv().await.is_some() {
        // Nobody waits for this, but maybe for what else an end leads to: that goes first.
        tokio::time::sleep(PATIENCE).await;
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

/// Gives everybody whose main process has ended in the same moment one and the same answer.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    waiting: RefCell<Vec<oneshot::Sender<bool>>>,
}

impl Orphans {
    /// Whether we [have no orphans](has_no_orphans), by a look that is taken after this call.
    pub async fn are_none(&self, ground: &Ground) -> bool {
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(reply);
            waiting.len() == 1
        };
        if is_first {
            // Lets everybody ask who has been woken by the same event.
            yield_now().await;
            let none = has_no_orphans(ground);
            for reply in self.waiting.take() {
                // Whoever asked may have been taken down.
                let _ = reply.send(none);
            }
        }
        // Who was to answer may have been taken down: then nothing is certain.
        answer.await.unwrap_or(false)
    }
}

/// Whether we have no children, dead or alive, but main processes of runs.
///
/// Then nothing is left of a run whose main process was a child of ours and has ended: whatever of it lost its parent
/// has become our child (or the child of another such process of it), because we are its adopter. `false` also where
/// that can't be told.
fn has_no_orphans(ground: &Ground) -> bool {
    let mains = mains(ground);
    let listed = || listed_children().ok();
    match (listed(), listed()) {
        // A list can lack a child only if one before it was collected meanwhile, which the other list tells.
        (Some(children), Some(again)) => children == again && children.iter().all(|pid| mains.contains(pid)),
        (_, None) | (None, _) => false,
    }
}

/// The main processes of runs that are not collected yet. As long as a child is not, nobody else can have its number.
fn mains(ground: &Ground) -> HashSet<u32> {
    let runs = ground.runs.borrow();
    let followed = runs.values().filter(|run| !run.main_is_over.get());
    followed.filter_map(|run| Some(run.main.as_ref()?.identity().pid)).collect()
}

/// Children of ours that have ended, are not collected, and are no run's main process.
fn dead_strangers(ground: &Ground) -> Vec<Identity> {
    let mains = mains(ground);
    let dead = |pid: u32| Stat::read(pid).ok().flatten().filter(|stat| stat.dead).map(|stat| stat.identity);
    children().into_iter().filter(|pid| !mains.contains(pid)).filter_map(dead).collect()
}

/// The children of all our threads. One that comes or goes meanwhile may be missing: its own end brings us here again.
fn children() -> Vec<u32> {
    // A thread that has just ended, or a kernel without these lists.
    listed_children().unwrap_or_else(|_| children_by_scan())
}

fn listed_children() -> io::Result<Vec<u32>> {
    // Room for some hundred numbers, so that one list is not many calls.
    let (mut children, mut list, mut part) = (Vec::new(), Vec::new(), [0; 4096]);
    for thread in fs::read_dir("/proc/self/task")? {
        let mut file = File::open(thread?.path().join("children"))?;
        list.clear();
        // Not all at once by the library, which asks for the size first: there is none.
        while let read @ 1.. = file.read(&mut part)? {
            list.extend_from_slice(&part[..read]);
        }
        children.extend(list.split(u8::is_ascii_whitespace).flat_map(str::from_utf8).flat_map(str::parse::<u32>));
    }
    Ok(children)
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
