//! What `/proc/PID/stat` tells of a process, and the identity that outlives its number.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use crate::domain::Exit;

/// One process, told apart from every other that had or will have its number since the machine's boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since boot.
    pub start: u64,
}

/// The fields of `/proc/PID/stat` that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Who it is.
    pub identity: Identity,
    /// Its parent's number.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// All of its threads have ended; it only waits to be collected.
    pub dead: bool,
    /// It is a thread of the kernel.
    pub kernel: bool,
    /// The wait status, once it is dead (0 where the system doesn't show it).
    pub status: i32,
}

/// The longest environment that is read, in bytes.
const LONGEST_ENVIRONMENT: u64 = 1 << 20;
/// How often the environment of a process is read that is just becoming another program.
const MOST_READS: u32 = 20;
/// How often it must have been seen with arguments and without an environment to have none.
const READS_OF_EMPTY: u32 = 3;
/// How long to wait before reading it again.
const BETWEEN_READS: Duration = Duration::from_millis(1);
/// Bit of the field `flags` that kernel threads have (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

impl Stat {
    /// Reads it for `pid`; `None` if there is no such process (any more).
    pub fn read(pid: u32) -> io::Result<Option<Self>> {
        Ok(read_of(pid, "stat", 4096)?.and_then(|text| Self::parse(&text)))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // The name stands in brackets and may itself hold spaces and brackets: all else follows the last one.
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let pid = std::str::from_utf8(&text[..open]).ok()?.trim().parse().ok()?;
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first field behind the name is the third of the line.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| field(at).and_then(|text| text.parse::<u64>().ok());
        let small = |at: usize| number(at).and_then(|number| u32::try_from(number).ok());
        let ended = matches!(field(3)?, "Z" | "X");
        Some(Self {
            identity: Identity { pid, start: number(22)? },
            parent: small(4)?,
            group: small(5)?,
            session: small(6)?,
            // A process whose first thread has ended while others go on looks like a zombie, too.
            dead: ended && number(20)? <= 1,
            kernel: number(9)? & KERNEL_THREAD != 0,
            status: field(52).and_then(|text| text.parse().ok()).unwrap_or(0),
        })
    }
}

/// The numbers of all processes.
pub(super) fn list() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// The environment that a process began with, each variable with a NUL behind it; `None` if it has none, or may not be
/// looked at.
pub(super) fn environment(pid: u32) -> io::Result<Option<Vec<u8>>> {
    // A process that is just becoming another program shows neither arguments nor environment for a moment, and
    // may do so again a moment later: none is believed to be without an environment at first sight.
    let mut times_empty = 0;
    for _ in 0..MOST_READS {
        match read_of(pid, "environ", LONGEST_ENVIRONMENT) {
            Ok(Some(environment)) if environment.is_empty() => {}
            Ok(environment) => return Ok(environment),
            Err(error) if is_exhausted(&error) => return Err(error),
            Err(_) => return Ok(None),
        }
        if has_arguments(pid) {
            times_empty += 1;
        } else if Stat::read(pid)?.is_some_and(|stat| !stat.dead) {
            std::thread::sleep(BETWEEN_READS);
        } else {
            break;
        }
        if times_empty == READS_OF_EMPTY {
            break;
        }
    }
    Ok(None)
}

/// The command line of a process, its words with a NUL behind each; its name in brackets where it has none.
pub(super) fn command_line(pid: u32) -> Option<Vec<u8>> {
    let bytes = read_of(pid, "cmdline", 4096).ok().flatten().filter(|bytes| !bytes.is_empty());
    let name = || Some([b"[", read_of(pid, "comm", 64).ok()??.trim_ascii_end(), b"]"].concat());
    bytes.or_else(name)
}

/// The limits of a process, as a table; `None` if it is gone, or they may not be looked at.
pub(super) fn limits(pid: u32) -> io::Result<Option<Vec<u8>>> {
    match read_of(pid, "limits", 4096) {
        Err(error) if !is_exhausted(&error) => Ok(None),
        read => read,
    }
}

/// The user as whom a process acts.
pub(super) fn owner(pid: u32) -> Option<u32> {
    let status = read_of(pid, "status", 4096).ok()??;
    let text = String::from_utf8_lossy(&status);
    let users = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // The real one, the effective one, and two more.
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The working folder of a process, if it may be known.
pub(super) fn folder(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

fn has_arguments(pid: u32) -> bool {
    read_of(pid, "cmdline", 1).ok().flatten().is_some_and(|line| !line.is_empty())
}

/// Whether `error` is our own lack of something, and so says nothing about the process.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// The first `limit` bytes of `/proc/PID/<name>`; `None` if the process is gone.
///
/// Running out of file descriptors or memory is an error: it must not look like a process that isn't there.
fn read_of(pid: u32, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let read = || -> io::Result<Vec<u8>> {
        // Room for all that there is as a rule, so that one look is not many calls.
        let mut bytes = Vec::with_capacity(4096);
        File::open(format!("/proc/{pid}/{name}"))?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `error` says that a process does not exist any more.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// How a process ended, from the status that `wait` gives.
pub(super) fn exit_of_status(status: i32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) & 0xff),
        signal => Exit::Signal(signal),
    }
}

/// How long ago a process began that started `start` clock ticks after boot; zero if that lies ahead.
pub(super) fn age(start: u64) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    let hertz = rustix::param::clock_ticks_per_second().max(1);
    let started =
        Duration::from_secs(start / hertz) + Duration::from_secs(start % hertz) / u32::try_from(hertz).unwrap_or(100);
    now.saturating_sub(started)
}

/// The id of this boot of the machine.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "42 (a) b (c) S 7 42 41 0 -1 4194560 99 0 0 0 1 1 0 0 20 0 3 0 12345 1000 10 \
        18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 10752";

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = Stat::parse(LINE.as_bytes()).unwrap();
        assert_eq!(stat.identity, Identity { pid: 42, start: 12345 });
        assert_eq!((stat.parent, stat.group, stat.session), (7, 42, 41));
        assert!(!stat.dead && !stat.kernel);
        assert_eq!(exit_of_status(stat.status), Exit::Code(42));
    }

    #[test]
    fn a_process_lives_as_long_as_one_of_its_threads() {
        let zombie = LINE.replace(") S ", ") Z ");
        assert!(!Stat::parse(zombie.as_bytes()).unwrap().dead, "three threads");
        let alone = zombie.replace(" 20 0 3 0 12345", " 20 0 1 0 12345");
        assert!(Stat::parse(alone.as_bytes()).unwrap().dead);
    }

    #[test]
    fn what_is_cut_off_is_no_process() {
        for end in [0, 3, 10, 40, 60] {
            assert_eq!(Stat::parse(&LINE.as_bytes()[..end]), None, "{end}");
        }
    }

    #[test]
    fn we_are_young_and_there_is_no_process_zero() {
        let own = Stat::read(std::process::id()).unwrap().unwrap();
        assert_eq!(own.identity.pid, std::process::id());
        assert!(age(own.identity.start) < Duration::from_secs(24 * 3600));
        assert_eq!(Stat::read(0).unwrap(), None);
        assert_eq!(age(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        assert_eq!(exit_of_status(0), Exit::Code(0));
        assert_eq!(exit_of_status(3 << 8), Exit::Code(3));
        assert_eq!(exit_of_status(9), Exit::Signal(9));
        assert_eq!(exit_of_status(11 | 0x80), Exit::Signal(11), "with a core file");
    }
}
