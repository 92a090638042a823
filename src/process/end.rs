//! One process held by a pidfd: waits for its end, tells how it ended, signals it. The same for children and others.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl, opcode};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, waitid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::stat::{Identity, Stat, exit_of_status};
use crate::domain::Exit;

/// A process that can't be mistaken for another, even after its end.
#[derive(Debug)]
pub(super) struct Pinned {
    identity: Identity,
    fd: AsyncFd<OwnedFd>,
}

impl Pinned {
    /// Holds the process `identity`; `None` if it is gone. Needs a tokio runtime.
    pub fn open(identity: Identity) -> io::Result<Option<Self>> {
        let Some(fd) = open_checked(identity)? else { return Ok(None) };
        Ok(Some(Self { identity, fd: watched(fd)? }))
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        // The only error is the end of the runtime, and with it the end of this wait.
        let _ = self.fd.readable().await.map(|mut guard| guard.retain_ready());
    }

    /// Whether it has ended (it may still be there to be collected).
    pub fn has_ended(&self) -> bool {
        has_ended(self.fd.as_fd())
    }

    /// Collects it if it is a child of ours, and tells how it ended; to be asked once it has.
    pub fn collect(&self) -> Exit {
        match waitid(WaitId::PidFd(self.fd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => exit_of_wait(&status),
            Ok(None) => Exit::Unknown,
            // Not a child of ours: its number is known as long as nobody has collected it, its pidfd knows after.
            Err(_) => self.status_of_stranger().map_or(Exit::Unknown, exit_of_status),
        }
    }

    fn status_of_stranger(&self) -> Option<i32> {
        let uncollected = Stat::read(self.identity.pid).ok().flatten();
        match uncollected.filter(|stat| stat.identity == self.identity && stat.dead) {
            Some(stat) => Some(stat.status),
            None => collected_status(self.fd.as_fd()),
        }
    }

    /// Signals the process group that it was the leader of, which may outlive it. `Ok(false)`: nobody is in it.
    pub fn signal_group(&self, signal: Signal) -> io::Result<bool> {
        match signal_group_by_pidfd(self.fd.as_fd(), signal.as_raw()) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            // Before Linux 6.9 only its number can name the group, which is surely its own only while it lives.
            Err(Errno::INVAL) if !self.has_ended() => match raw(self.identity.pid) {
                Some(pid) => Ok(rustix::process::kill_process_group(pid, signal).is_ok()),
                None => Ok(false),
            },
            Err(Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether anybody, dead or alive, is still in its process group: then its number can't be another's yet.
    pub fn holds_number(&self) -> bool {
        matches!(signal_group_by_pidfd(self.fd.as_fd(), 0), Ok(()) | Err(Errno::PERM))
    }
}

/// Sends `signals`, in this order, to the process `identity`. `Ok(false)`: it has ended.
pub(super) fn signal(identity: Identity, signals: &[Signal]) -> io::Result<bool> {
    let Some(fd) = open_checked(identity)? else { return Ok(false) };
    for signal in signals {
        match rustix::process::pidfd_send_signal(&fd, *signal) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Whether this system knows pidfds at all (Linux 5.3).
pub(super) fn check_support() -> io::Result<()> {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    Ok(())
}

/// `pid` as the system calls take it; `None` for numbers that mean "everybody", a group, or the first process.
pub(super) fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw)
}

/// A pidfd of `identity`. The start time is read after opening: if it fits, the number was not given away before.
fn open_checked(identity: Identity) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = raw(identity.pid) else { return Ok(None) };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        // EINVAL: the number is a thread's, so no longer a process's.
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let same = Stat::read(identity.pid)?.is_some_and(|stat| stat.identity == identity);
    Ok(same.then_some(fd))
}

#[allow(unsafe_code)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names one and the same open descriptor until it is dropped, which is after it is no longer
    // registered, because nothing takes it out.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

fn has_ended(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
}

fn exit_of_wait(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// `kill(2)` on the group that `fd`'s process leads or led. The group keeps the process's own structure alive, so
/// this can't hit a later group with the same number.
#[allow(unsafe_code)]
fn signal_group_by_pidfd(fd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    /// `PIDFD_SIGNAL_PROCESS_GROUP` of `linux/pidfd.h` (Linux 6.9).
    const PROCESS_GROUP: libc::c_uint = 1 << 2;
    let no_details = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: all arguments are passed by value but the null pointer, which the call takes for "no details"; the
    // descriptor is borrowed for the call's duration.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, no_details, PROCESS_GROUP) };
    if result == 0 { Ok(()) } else { Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)) }
}

/// The wait status of a process that somebody else has collected while `fd` was open (Linux 6.15).
#[allow(unsafe_code)]
fn collected_status(fd: BorrowedFd<'_>) -> Option<i32> {
    const GET_INFO: rustix::ioctl::Opcode = opcode::read_write::<PidfdInfo>(0xFF, 11);
    let mut info = PidfdInfo { mask: PidfdInfo::EXIT, ..PidfdInfo::default() };
    // SAFETY: `PidfdInfo` has the layout of the first published version of `struct pidfd_info` (64 bytes), whose size
    // is part of the opcode; the kernel writes no more than that.
    unsafe { ioctl(fd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) }.ok()?;
    (info.mask & PidfdInfo::EXIT != 0).then_some(info.exit_code)
}

/// `struct pidfd_info` of `linux/pidfd.h`.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid, and the eight user and group ids.
    ids: [u32; 11],
    exit_code: i32,
}

impl PidfdInfo {
    /// `PIDFD_INFO_EXIT`.
    const EXIT: u64 = 1 << 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_and_everybody_are_not_named_by_a_number() {
        for pid in [0, 1, u32::MAX, u32::MAX - 1, 1 << 31] {
            assert!(raw(pid).is_none(), "{pid}");
            assert!(!signal(Identity { pid, start: 0 }, &[Signal::KILL]).unwrap());
        }
    }

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

    #[test]
    fn the_kernels_structure_is_mirrored_whole() {
        assert_eq!(size_of::<PidfdInfo>(), 64);
    }
}
