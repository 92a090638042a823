//! Finds out who listens on a port.

use std::path::Path;
use std::rc::Rc;

use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::adopt::{Marker, age};
use super::held::Held;
use super::run::Run;
use crate::domain::secrets::masked_words;
use crate::domain::text::plain_line;
use crate::domain::{EarlierRun, PortHolder, ProcessId, ServiceId};
use crate::engine::{Clock, StateDir};
use crate::process::sockets::Listeners;

/// The longest command line that is shown, in characters.
const LONGEST_COMMAND: usize = 200;

/// The living processes of a service.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    service: ServiceId,
    pids: Vec<u32>,
}

impl Tree {
    /// The processes of `run`, now.
    pub fn of(run: &Rc<Run>) -> Self {
        Self { service: run.service.clone(), pids: run.pids() }
    }
}

/// Who listens on `port`. Looks at all processes, so it takes a while.
pub(super) fn holder(port: u16, dir: &StateDir, trees: &[Tree], clock: Clock) -> PortHolder {
    let listeners = Listeners::of(port);
    // If nobody can be looked at, the holder stays unknown; that the port is taken is certain.
    let Ok(mut system) = System::new() else { return PortHolder::unknown(port) };
    let always = UpdateKind::Always;
    let kind = ProcessRefreshKind::nothing().with_cmd(always).with_cwd(always).with_environ(always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let service = |process: &Process| {
        let tree = trees.iter().find(|tree| tree.pids.contains(&process.pid().as_u32()));
        tree.map(|tree| tree.service.clone())
    };
    let holds = |process: &&Process| listeners.have(process.pid().as_u32());
    // A listener may be shared by a parent and its workers: the oldest is the one to name.
    let first = system.processes().values().filter(holds).min_by_key(|process| {
        let age_and_number = (process.start_time(), process.pid());
        (service(process).is_none(), age_and_number)
    });
    let Some(process) = first else { return PortHolder::unknown(port) };
    let (pid, service) = (process.pid().as_u32(), service(process));
    // One that may not be held is another user's, and nothing is ever done to it: a time that no process has will do.
    let start = Held::open(pid).ok().flatten().map(|held| held.identity().start);
    let marker = Marker::of(process.environ()).filter(|_| service.is_none());
    let earlier = marker.map(|marker| {
        let elsewhere = (!marker.is_of(dir)).then(|| marker.state_dir.clone().into());
        EarlierRun { service: marker.service, elsewhere }
    });
    PortHolder {
        port,
        process: Some(ProcessId { pid, start: start.unwrap_or(0) }),
        command: Some(command_line(process)),
        folder: process.cwd().map(Path::to_owned),
        since: start.map(|start| clock.now() - age(start)),
        service,
        earlier,
    }
}

/// The command line of a process for people to read; its name where it has none.
fn command_line(process: &Process) -> String {
    let words: Vec<_> = process.cmd().iter().map(|word| word.to_string_lossy()).collect();
    let line =
        if words.is_empty() { process.name().to_string_lossy().into_owned() } else { masked_words(&words).join(" ") };
    plain_line(&line, LONGEST_COMMAND)
}
