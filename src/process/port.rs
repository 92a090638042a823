//! Finds out whether somebody listens on a port, and who.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use super::stat::{Identity, age};
use super::tree::{Marker, Process, Scan};
use crate::domain::{EarlierRun, PortHolder, ProcessId, RunId, ServiceId};
use crate::engine::{Clock, StateDir};

/// The longest command line that is shown, in characters.
const LONGEST_COMMAND: usize = 200;

/// A living run, and by what its processes are known.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The run.
    pub run: RunId,
    /// The session that is all its own: its living main process's number, unless that was taken over.
    pub leader: Option<u32>,
    /// What was found of it before.
    pub known: Vec<Identity>,
    /// The service.
    pub service: ServiceId,
}

impl Session {
    fn has(&self, process: &Process) -> bool {
        let marked = process.marker.as_ref().is_some_and(|marker| marker.run == self.run);
        let stat = &process.stat;
        marked || Some(stat.session) == self.leader || self.known.contains(&stat.identity)
    }
}

/// Whether a process listens on `port`, on any address.
///
/// One attempt to bind answers for a free port without reading a table. Only a listener counts as taken: what else
/// may be in the way (a port below 1024, a connection's own end) is the service's to try, and to tell of.
pub(super) fn is_taken(port: u16) -> bool {
    let free = can_bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        && can_bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    !free && !listeners(port).is_empty()
}

/// Who listens on `port`. Reads all of `/proc`, so it takes a while.
pub(super) fn holder(port: u16, dir: &StateDir, sessions: &[Session], clock: Clock) -> PortHolder {
    let sockets = listeners(port);
    let holds = |process: &&Process| !sockets.is_empty() && has_socket(process.stat.identity.pid, &sockets);
    // If nobody can be looked at, the holder stays unknown; that the port is taken is certain.
    let scan = Scan::take(0).unwrap_or_default();
    let service = |process: &Process| -> Option<ServiceId> {
        sessions.iter().find(|session| session.has(process)).map(|session| session.service.clone())
    };
    // A listener may be shared by a parent and its workers: the oldest is the one to name.
    let first =
        scan.all().filter(holds).min_by_key(|process| (service(process).is_none(), process.stat.identity.start));
    match first {
        Some(process) => {
            let (identity, service) = (process.stat.identity, service(process));
            PortHolder {
                port,
                process: Some(ProcessId { pid: identity.pid, start: identity.start }),
                command: command_line(identity.pid),
                folder: fs::read_link(format!("/proc/{}/cwd", identity.pid)).ok(),
                since: Some(clock.now() - age(identity.start)),
                earlier: process.marker.as_ref().filter(|_| service.is_none()).map(|marker| earlier(marker, dir)),
                service,
            }
        }
        None => PortHolder::unknown(port),
    }
}

/// Whether `pid` is among those that listen on `port`.
pub(super) fn is_held_by(port: u16, pid: u32) -> bool {
    has_socket(pid, &listeners(port))
}

fn earlier(marker: &Marker, dir: &StateDir) -> EarlierRun {
    let elsewhere = (!marker.is_of(dir.root().as_os_str())).then(|| marker.state_dir.clone().into());
    EarlierRun { service: marker.service.clone(), elsewhere }
}

fn can_bind(address: SocketAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let attempt = || -> Result<(), Errno> {
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        bind(&socket, &address)
    };
    match attempt() {
        // A family that this machine does not have can't be listened on.
        Ok(()) | Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => true,
        Err(_) => false,
    }
}

/// The sockets (inodes) that listen on `port`.
fn listeners(port: u16) -> HashSet<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables.iter().flat_map(|table| listeners_of(Path::new(table), port)).collect()
}

fn listeners_of(table: &Path, port: u16) -> Vec<u64> {
    let Ok(file) = fs::File::open(table) else { return Vec::new() };
    BufReader::new(file).lines().map_while(Result::ok).filter_map(|line| listener_of(&line, port)).collect()
}

/// The inode, if `line` is about a socket that listens on `port`.
fn listener_of(line: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    (u16::from_str_radix(local_port, 16) == Ok(port) && state == LISTEN).then_some(inode)
}

fn has_socket(pid: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let Ok(target) = fs::read_link(descriptor.path()) else { return false };
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode: u64| inodes.contains(&inode))
    })
}

/// The command line of a process for people to read; its name where it has none.
fn command_line(pid: u32) -> Option<String> {
    let bytes = super::stat::read_of(pid, "cmdline", 4096).ok().flatten().filter(|bytes| !bytes.is_empty());
    let bytes = bytes.or_else(|| super::stat::read_of(pid, "comm", 64).ok().flatten())?;
    Some(cleaned(&bytes))
}

/// Without what could act on a terminal, and not endless.
fn cleaned(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b'\n')).map_or(0, |last| last + 1);
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut clean: String = text
        .chars()
        .take(LONGEST_COMMAND)
        .map(|c| match c {
            '\0' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect();
    if text.chars().nth(LONGEST_COMMAND).is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_on_any_address_takes_a_port() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            // A machine without IPv6 has nothing to test there.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert!(is_taken(port), "{address}");
            let clock = Clock::start(std::time::Duration::from_secs(1));
            let holder = holder(port, &StateDir::new("/none"), &[], clock);
            assert_eq!(holder.pid(), Some(std::process::id()), "{address}");
            assert_eq!(holder.folder, std::env::current_dir().ok());
            assert!(is_held_by(port, std::process::id()) && !is_held_by(port, std::process::id() + 1));
            assert_eq!(holder.service, None);
            assert!(holder.command.is_some_and(|command| command.contains("pilotlight")));
            drop(listener);
            // A child that another test is just forking holds it for a moment longer.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            while is_taken(port) {
                assert!(std::time::Instant::now() < deadline, "{address}");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_connection_takes_no_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_taken(connection.local_addr().unwrap().port()));
    }

    #[test]
    fn a_line_of_the_table_is_read_by_its_columns() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1";
        assert_eq!(listener_of(line, 8080), Some(4242));
        assert_eq!(listener_of(line, 8081), None);
        assert_eq!(listener_of(&line.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(listener_of("  sl  local_address rem_address   st tx_queue", 8080), None);
        assert_eq!(listener_of("", 8080), None);
    }

    #[test]
    fn a_command_line_is_safe_to_print() {
        assert_eq!(cleaned(b"nc\0-l\08000\0"), "nc -l 8000");
        assert_eq!(cleaned(b"evil\x1b[2J\nx\0"), "evil\u{fffd}[2J\u{fffd}x");
        assert_eq!(cleaned(&[b'x'; 4096]).chars().count(), LONGEST_COMMAND + 1);
        assert_eq!(cleaned(b""), "");
    }
}
