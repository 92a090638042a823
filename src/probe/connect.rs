//! Finding and reaching: the addresses of a host, and the tcp and unix probes, which only connect.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::words;
use crate::domain::Outcome;
use crate::domain::text;

/// Passes if one of the addresses of `host` takes a connection on `port`.
pub(super) async fn tcp(host: &str, port: u16, patience: Duration) -> Outcome {
    let connected = timeout(patience, async {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // All at once: an address that swallows packets must not hide one that answers.
        let tries = addresses(host).await?.into_iter().map(|ip| TcpStream::connect((ip, port)));
        let mut tries: FuturesUnordered<_> = tries.collect();
        let mut failure = io::Error::other("host without an address");
        while let Some(connected) = tries.next().await {
            match connected {
                Ok(_connection) => return Ok(()),
                // That one address refuses says more than that another family is switched off.
                Err(_) if failure.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => failure = error,
            }
        }
        Err(failure)
    });
    judged(connected.await, patience)
}

/// How long an address may take before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection to the first of the addresses of `host` that takes one on `port`. Each has a head start before the next,
/// so that it is the same one each time.
///
/// # Errors
/// When none does: why the last one did not.
pub(super) async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = addresses(host).await?;
    if let [only] = addresses[..] {
        return TcpStream::connect((only, port)).await;
    }
    let mut rest = addresses.into_iter();
    let mut tries = FuturesUnordered::new();
    let mut failure = io::Error::other("host without an address");
    loop {
        match rest.next() {
            Some(ip) => tries.push(TcpStream::connect((ip, port))),
            None if tries.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(connected) = tries.next() => match connected {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            },
            () = tokio::time::sleep(HEAD_START), if rest.len() > 0 => {}
        }
    }
}

/// The addresses of `host`: never empty. `localhost` means both loopback addresses, whatever the system thinks; IPv4
/// is the last, since callers that try them in turn tell the failure of the last, and IPv6 may be switched off.
///
/// # Errors
/// When the host is not known.
pub(super) async fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if is_loopback_name(host) {
        return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
    }
    let found: Vec<IpAddr> = match lookup_host((host, 0)).await {
        Ok(found) => found.map(|address: SocketAddr| address.ip()).collect(),
        Err(_) => Vec::new(),
    };
    if found.is_empty() {
        return Err(io::Error::other(format!("host not found: {}", text::first_line(host, 80))));
    }
    Ok(found)
}

/// `localhost` and what ends in `.localhost` (RFC 6761), with or without the root's dot.
fn is_loopback_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

pub(super) fn judged<E>(connected: Result<io::Result<()>, E>, patience: Duration) -> Outcome {
    match connected {
        Ok(Ok(())) => Outcome::Pass,
        Ok(Err(error)) => Outcome::Fail(words::innermost(&error)),
        Err(_elapsed) => Outcome::Fail(format!("no connection within {}", words::span(patience))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn refused() -> Outcome {
        Outcome::Fail("connection refused".to_owned())
    }

    #[tokio::test]
    async fn localhost_is_reached_on_either_loopback_address() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(loopback).unwrap();
            let port = listener.local_addr().unwrap().port();
            for host in ["localhost", "LOCALHOST.", "api.localhost"] {
                assert_eq!(tcp(host, port, PATIENCE).await, Outcome::Pass, "{host} {loopback}");
            }
            drop(listener);
            assert_eq!(tcp("localhost", port, PATIENCE).await, refused());
        }
    }

    #[tokio::test]
    async fn an_address_means_only_itself() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(tcp("127.0.0.1", port, PATIENCE).await, refused());
        assert_eq!(tcp("[::1]", port, PATIENCE).await, Outcome::Pass);
        assert_eq!(tcp("::1", port, PATIENCE).await, Outcome::Pass);
    }

    #[tokio::test]
    async fn the_first_address_that_takes_a_connection_is_reached() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(loopback).unwrap();
            let address = listener.local_addr().unwrap();
            let reached = reach("localhost", address.port()).await.unwrap();
            assert_eq!(reached.peer_addr().unwrap(), address);
            drop(listener);
            let refused = reach("localhost", address.port()).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    async fn an_unknown_host_is_named() {
        let outcome = tcp("no-such-host.invalid", 1, PATIENCE).await;
        assert_eq!(outcome, Outcome::Fail("host not found: no-such-host.invalid".to_owned()));
    }

    #[test]
    fn a_connection_that_does_not_come_is_told_with_the_patience() {
        let outcome = judged(Err(()), Duration::from_millis(2500));
        assert_eq!(outcome, Outcome::Fail("no connection within 2.5 s".to_owned()));
    }
}
