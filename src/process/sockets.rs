//! Who listens on a port, as Linux tells in its tables.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

/// Whether a process listens on `port`, on any address.
///
/// One attempt to bind answers for a free port without reading a table. Only a listener counts as taken: what else
/// may be in the way (a port below 1024, a connection's own end) is the service's to try, and to tell of.
pub(super) fn is_taken(port: u16) -> bool {
    let free = can_bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        && can_bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    !free && !Listeners::of(port).is_empty()
}

/// The sockets (inodes) that listen on a port.
#[derive(Debug)]
pub(super) struct Listeners(HashSet<u64>);

impl Listeners {
    /// Those on `port`, now.
    pub fn of(port: u16) -> Self {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        Self(tables.iter().flat_map(|table| listeners_of(Path::new(table), port)).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the process `pid` has one of them.
    pub fn have(&self, pid: u32) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors.flatten().any(|descriptor| {
            let Ok(target) = fs::read_link(descriptor.path()) else { return false };
            let inode = target.to_str();
            let inode = inode.and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            inode.is_some_and(|inode: u64| self.0.contains(&inode))
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read_by_its_columns() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1";
        assert_eq!(listener_of(line, 8080), Some(4242));
        assert_eq!(listener_of(line, 8081), None);
        assert_eq!(listener_of(&line.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(listener_of("  sl  local_address rem_address   st tx_queue", 8080), None);
        assert_eq!(listener_of("", 8080), None);
    }
}
