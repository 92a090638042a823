//! Who listens on a port, where the system has no table that can be read as text.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use listeners::{Protocol, SocketState};
use tokio::net::TcpSocket;

/// Whether a process listens on `port`, on any address.
///
/// Attempts to bind answer for a free port without asking for all processes; nothing is listened on for that, which
/// would wake a firewall. Only a listener counts as taken: what else may be in the way is the service's to tell of.
pub(super) fn is_taken(port: u16) -> bool {
    let addresses = [
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ];
    !addresses.into_iter().all(can_bind) && !Listeners::of(port).is_empty()
}

/// The processes that listen on a port.
#[derive(Debug)]
pub(super) struct Listeners(BTreeSet<u32>);

impl Listeners {
    /// Those on `port`, now; none where that can't be told.
    pub fn of(port: u16) -> Self {
        let all = listeners::get_all().unwrap_or_else(|error| {
            tracing::warn!("who listens on port {port} cannot be found out: {error}");
            Default::default()
        });
        let listens = |one: &listeners::Listener| {
            one.socket.port() == port && one.protocol == Protocol::TCP && one.state == SocketState::Listen
        };
        Self(all.into_iter().filter(listens).map(|one| one.process.pid).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the process `pid` is one of them.
    pub fn have(&self, pid: u32) -> bool {
        self.0.contains(&pid)
    }
}

fn can_bind(address: SocketAddr) -> bool {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    // A family that this machine does not have can't be listened on.
    socket.map_or(true, |socket| socket.bind(address).is_ok())
}
