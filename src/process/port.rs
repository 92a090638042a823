//! Finds out who listens on a port.

use super::sockets::Listeners;
use super::stat;
use super::tree::{Process, Scan};
use crate::domain::{PortHolder, ServiceId};
use crate::engine::StateDir;

/// The longest command line that is shown, in characters.
const LONGEST_COMMAND: usize = 200;

/// A living run's main process, whose session is its service's.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// The session, which is the main process's number.
    pub leader: u32,
    /// The service.
    pub service: ServiceId,
}

/// Who listens on `port`. Looks at all processes, so it takes a while.
pub(super) fn holder(port: u16, dir: &StateDir, sessions: &[Session]) -> PortHolder {
    let listeners = Listeners::of(port);
    let holds = |process: &&Process| listeners.have(process.stat.identity.pid);
    // If nobody can be looked at, the holder stays unknown; that the port is taken is certain.
    let scan = Scan::take(0).unwrap_or_default();
    let service = |process: &Process| -> Option<ServiceId> {
        let marked = process.marker.as_ref().filter(|marker| marker.is_of(dir.root().as_os_str()));
        let in_session = || sessions.iter().find(|session| session.leader == process.stat.session);
        marked.map(|marker| marker.service.clone()).or_else(|| in_session().map(|session| session.service.clone()))
    };
    // A listener may be shared by a parent and its workers: the oldest is the one to name.
    let first =
        scan.all().filter(holds).min_by_key(|process| (service(process).is_none(), process.stat.identity.start));
    match first {
        Some(process) => {
            let pid = process.stat.identity.pid;
            let command = stat::command_line(pid).map(|bytes| cleaned(&bytes));
            PortHolder { port, pid: Some(pid), command, service: service(process) }
        }
        None => PortHolder { port, pid: None, command: None, service: None },
    }
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

    use super::super::sockets::is_taken;
    use super::*;

    #[test]
    fn a_listener_on_any_address_takes_a_port() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            // A machine without IPv6 has nothing to test there.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert!(is_taken(port), "{address}");
            let holder = holder(port, &StateDir::new("/none"), &[]);
            assert_eq!(holder.pid, Some(std::process::id()), "{address}");
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
