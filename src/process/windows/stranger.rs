//! Proves once more that a process is the one that the user was shown, and takes it in hand: into a job, with what
//! descends from it.
//!
//! Everything is refused of which it is not certain that it is that process, alone on the port, this user's, and neither
//! a run of ours nor somebody that we descend from.

use std::io;

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::adopt::{Marker, ancestors};
use super::held::{Held, Identity};
use super::job::Job;
use crate::domain::TakeOrder;
use crate::process::sockets::Listeners;

/// The stranger of `order`, and the job that it is in from now on; or why it is left alone. `ours` are the processes of
/// the living runs. Looks at all processes, so it takes a while.
pub(super) fn take(order: &TakeOrder, ours: &[u32]) -> Result<(Held, Job), String> {
    let pid = order.stranger.pid;
    let main = prove(order, ours)?;
    let confine = || {
        let job = Job::create(&order.run)?;
        // What it starts from now on is in the job by itself, so that only what it has started before is looked for.
        job.take_in(&main)?;
        job.lend_to(&main)?;
        for process in descendants(&main)? {
            if !process.has_ended() && !job.holds(&process)? {
                job.take_in(&process)?;
            }
        }
        Ok(job)
    };
    let job = confine().map_err(|error: io::Error| format!("pid {pid} cannot be put into a job: {error}"))?;
    Ok((main, job))
}

fn prove(order: &TakeOrder, ours: &[u32]) -> Result<Held, String> {
    let pid = order.stranger.pid;
    let held = Held::open_living(Identity { pid, start: order.stranger.start });
    let held = held.map_err(|error| format!("pid {pid} can't be watched: {error}"))?;
    let held = held.ok_or_else(|| format!("pid {pid} has ended or is another user's, and nothing was done"))?;
    let system = look().map_err(|error| format!("processes can't be listed: {error}"))?;
    if ancestors(&system).contains(&Pid::from_u32(pid)) {
        return Err(format!("pid {pid} is the agent itself, or what the agent was started by"));
    }
    if ours.contains(&pid) {
        return Err(format!("pid {pid} is a service's run already"));
    }
    let owner = |pid: u32| system.process(Pid::from_u32(pid)).and_then(Process::user_id);
    match (owner(pid), owner(std::process::id())) {
        (Some(owner), Some(we)) if owner == we => {}
        (Some(_), Some(_)) => return Err(format!("pid {pid} belongs to another user")),
        (None, _) | (_, None) => return Err(format!("it can't be told whose process pid {pid} is")),
    }
    if !Listeners::of(order.port).have(pid) {
        return Err(format!("pid {pid} does not listen on port {} any more", order.port));
    }
    Ok(held)
}

/// What lives of what descends from `main`: neither ourselves nor one that we descend from, and nobody with the marker
/// of another run.
fn descendants(main: &Held) -> io::Result<Vec<Held>> {
    let system = look()?;
    let own = ancestors(&system);
    let run = |process: &Process| Marker::of(process.environ()).map(|marker| marker.run);
    let root_run = system.process(Pid::from_u32(main.identity().pid)).and_then(run);
    let mut parents = vec![main.identity()];
    let mut found = Vec::new();
    while let Some(parent) = parents.pop() {
        let is_child = |process: &&Process| {
            let marked = run(process);
            process.parent() == Some(Pid::from_u32(parent.pid))
                && !own.contains(&process.pid())
                && (marked.is_none() || marked == root_run)
        };
        for child in system.processes().values().filter(is_child) {
            // A child is not older than its parent, unless the parent's number has been given away.
            let held = Held::open(child.pid().as_u32())?.filter(|held| held.identity().start >= parent.start);
            if let Some(held) = held.filter(|held| !held.has_ended()) {
                parents.push(held.identity());
                found.push(held);
            }
        }
    }
    Ok(found)
}

fn look() -> io::Result<System> {
    let mut system = System::new().map_err(io::Error::other)?;
    let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always).with_user(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    Ok(system)
}
