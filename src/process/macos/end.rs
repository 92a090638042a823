//! One process watched by a kqueue: waits for its end, tells how it ended, signals it. The same for children and others.
//!
//! A process has no descriptor here. Its number is compared with its start time right before each signal, which leaves
//! a moment in which it could be given to another: much shorter than it takes for all numbers to go round.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent, kqueue};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::stat::{Identity, Stat};
use crate::domain::Exit;

/// A process that is told from others that had or will have its number.
#[derive(Debug)]
pub(in crate::process) struct Pinned {
    identity: Identity,
    /// Readable once it has ended; `None` if it already had when we came.
    queue: Option<AsyncFd<OwnedFd>>,
}

impl Pinned {
    /// Watches the process `identity`; `None` if it is gone. Needs a tokio runtime.
    pub fn open(identity: Identity) -> io::Result<Option<Self>> {
        let Some(pid) = raw(identity.pid) else { return Ok(None) };
        let queue = match watched(pid) {
            Ok(queue) => Some(register(queue)?),
            // A process that waits to be collected can't be watched any more.
            Err(Errno::SRCH) => None,
            Err(error) => return Err(error.into()),
        };
        // Read after the watch began: if it fits, the number was not given away before.
        let same = Stat::read(identity.pid)?.filter(|stat| stat.identity == identity);
        Ok(same.filter(|stat| queue.is_some() || stat.dead).map(|_| Self { identity, queue }))
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        if let Some(queue) = &self.queue {
            // The only error is the end of the runtime, and with it the end of this wait.
            let _ = queue.readable().await.map(|mut guard| guard.retain_ready());
        }
    }

    /// Whether it has ended (it may still be there to be collected).
    pub fn has_ended(&self) -> bool {
        self.stat().is_none_or(|stat| stat.dead)
    }

    /// Collects it if it is a child of ours, and tells how it ended; to be asked once it has. Of others the system does
    /// not tell.
    pub fn collect(&self) -> Exit {
        let status = raw(self.identity.pid).and_then(|pid| waitpid(Some(pid), WaitOptions::NOHANG).ok().flatten());
        match status.map(|(_, status)| (status.exit_status(), status.terminating_signal())) {
            Some((Some(code), _)) => Exit::Code(code),
            Some((None, Some(signal))) => Exit::Signal(signal),
            Some((None, None)) | None => Exit::Unknown,
        }
    }

    /// Signals the process group that it leads. `Ok(false)`: it is gone, so that its number could be another's.
    pub fn signal_group(&self, signal: Signal) -> io::Result<bool> {
        match raw(self.identity.pid) {
            Some(pid) if self.stat().is_some() => match rustix::process::kill_process_group(pid, signal) {
                Ok(()) => Ok(true),
                Err(Errno::SRCH) => Ok(false),
                Err(error) => Err(error.into()),
            },
            Some(_) | None => Ok(false),
        }
    }

    /// Whether it is still there, dead or alive: then its number can't be another's yet.
    pub fn holds_number(&self) -> bool {
        self.stat().is_some()
    }

    fn stat(&self) -> Option<Stat> {
        Stat::read(self.identity.pid).ok().flatten().filter(|stat| stat.identity == self.identity)
    }
}

/// Sends `signals`, in this order, to the process `identity`. `Ok(false)`: it has ended.
pub(in crate::process) fn signal(identity: Identity, signals: &[Signal]) -> io::Result<bool> {
    let Some(pid) = raw(identity.pid) else { return Ok(false) };
    for signal in signals {
        if Stat::read(identity.pid)?.is_none_or(|stat| stat.identity != identity || stat.dead) {
            return Ok(false);
        }
        match rustix::process::kill_process(pid, *signal) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Whether this system lets ends of processes be waited for.
pub(in crate::process) fn check_support() -> io::Result<()> {
    watched(rustix::process::getpid())?;
    Ok(())
}

/// `pid` as the system calls take it; `None` for numbers that mean "everybody", a group, or the first process.
pub(in crate::process) fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw)
}

/// A queue that becomes readable when `pid` ends.
fn watched(pid: Pid) -> Result<OwnedFd, Errno> {
    let queue = kqueue()?;
    let filter = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let watch = [Event::new(filter, EventFlags::ADD, std::ptr::null_mut())];
    let mut none: [Event; 0] = [];
    // SAFETY: the event is about a process, not about a descriptor that would have to stay open.
    unsafe { kevent(&queue, &watch, &mut none, Some(Duration::ZERO)) }?;
    Ok(queue)
}

fn register(queue: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names one and the same open descriptor until it is dropped, which is after it is no longer
    // registered, because nothing takes it out.
    Ok(unsafe { AsyncFd::register_with_interest(queue, Interest::READABLE) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_another_start_time_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = Stat::read(child.id()).unwrap().unwrap().identity;
        let forged = Identity { start: identity.start + 1, ..identity };
        assert!(!signal(forged, &[Signal::KILL]).unwrap());
        assert!(child.try_wait().unwrap().is_none());
        assert!(signal(identity, &[Signal::KILL]).unwrap());
        child.wait().unwrap();
        assert!(!signal(identity, &[Signal::KILL]).unwrap());
    }
}
