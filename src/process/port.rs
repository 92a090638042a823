//! Finds out who listens on a port.

use super::sockets::Listeners;
use super::stat::{self, Identity};
use super::tree::{Marker, Process, Scan};
use crate::domain::secrets::masked_words;
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

/// Who listens on `port`. Looks at all processes, so it takes a while.
pub(super) fn holder(port: u16, dir: &StateDir, sessions: &[Session], clock: Clock) -> PortHolder {
    let listeners = Listeners::of(port);
    let holds = |process: &&Process| listeners.have(process.stat.identity.pid);
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
                command: stat::command_line(identity.pid).map(|bytes| cleaned(&bytes)),
                folder: stat::folder(identity.pid),
                since: Some(clock.now() - stat::age(identity.start)),
                earlier: process.marker.as_ref().filter(|_| service.is_none()).map(|marker| earlier(marker, dir)),
                service,
            }
        }
        None => PortHolder::unknown(port),
    }
}

/// Whether `pid` is among those that listen on `port`.
pub(super) fn is_held_by(port: u16, pid: u32) -> bool {
    Listeners::of(port).have(pid)
}

fn earlier(marker: &Marker, dir: &StateDir) -> EarlierRun {
    let elsewhere = (!marker.is_of(dir.root().as_os_str())).then(|| marker.state_dir.clone().into());
    EarlierRun { service: marker.service.clone(), elsewhere }
}

/// Without what could act on a terminal, and not endless.
fn cleaned(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b'\n')).map_or(0, |last| last + 1);
    let words: Vec<_> = bytes[..end].split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let text = masked_words(&words).join(" ");
    let mut clean: String = text
        .chars()
        .take(LONGEST_COMMAND)
        .map(|c| match c {
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

    use super::super::sockets::is_taken;
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
    fn a_command_line_is_safe_to_print() {
        assert_eq!(cleaned(b"nc\0-l\08000\0"), "nc -l 8000");
        assert_eq!(cleaned(b"evil\x1b[2J\nx\0"), "evil\u{fffd}[2J\u{fffd}x");
        assert_eq!(cleaned(&[b'x'; 4096]).chars().count(), LONGEST_COMMAND + 1);
        assert_eq!(cleaned(b""), "");
    }
}
