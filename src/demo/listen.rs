//! Opens the stand-in's port on both loopback addresses.

use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::net::TcpListener;

/// How often another free port is tried that must be free on both addresses.
const TRIES: u32 = 16;

/// Listens on `port` (0: any that is free), on IPv4 and, where the machine has it, on IPv6.
pub async fn listen(port: u16) -> Result<Vec<TcpListener>> {
    let mut tries = if port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match both(port).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
            result => return result.map_err(|error| named(port, &error)),
        }
    }
}

async fn both(port: u16) -> Result<Vec<TcpListener>> {
    let four = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = four.local_addr()?.port();
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
        Ok(six) => Ok(vec![four, six]),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        // Many machines, and most containers, have no IPv6.
        Err(_) => Ok(vec![four]),
    }
}

fn named(port: u16, error: &Error) -> Error {
    let text = match error.kind() {
        ErrorKind::AddrInUse => format!("port {port} is taken"),
        _ => format!("failed to listen on port {port}: {error}"),
    };
    Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_loopback_addresses_have_the_same_port() {
        let listeners = listen(0).await.unwrap();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = listen(0).await.unwrap();
        let port = first[0].local_addr().unwrap().port();
        assert_eq!(listen(port).await.unwrap_err().to_string(), format!("port {port} is taken"));
    }
}
