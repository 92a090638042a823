//! Proves once more that a process is the one that the user was shown, before it is taken in hand.
//!
//! It only looks. Everything is refused of which it is not certain that it is that process, alone on the port, this
//! user's, and neither a run of ours nor somebody that we descend from.

use rustix::process::geteuid;

use super::port;
use super::stat::{self, Identity};
use super::tree::Scan;
use crate::domain::TakeOrder;

/// The stranger of `order` and what descends from it, or why it is left alone. `ours` are the known processes
/// of the living runs. Looks at all processes, so it takes a while.
pub(super) fn prove(order: &TakeOrder, ours: &[Identity]) -> Result<Vec<Identity>, String> {
    let (identity, port) = (Identity { pid: order.stranger.pid, start: order.stranger.start }, order.port);
    let pid = identity.pid;
    let scan = Scan::take(identity.start).map_err(|error| format!("processes can't be listed: {error}"))?;
    if scan.living(pid).is_none_or(|process| process.stat.identity != identity) {
        return Err(format!("pid {pid} has ended, and nothing was done"));
    }
    if pid <= 1 || scan.is_own(pid) {
        return Err(format!("pid {pid} is the agent itself, or what the agent was started by"));
    }
    if ours.contains(&identity) {
        return Err(format!("pid {pid} is a service's run already"));
    }
    check_owner(pid, stat::owner(pid), geteuid().as_raw())?;
    if !port::is_held_by(port, pid) {
        return Err(format!("pid {pid} does not listen on port {port} any more"));
    }
    Ok(scan.lineage(Some(identity), &[]))
}

fn check_owner(pid: u32, owner: Option<u32>, we: u32) -> Result<(), String> {
    match owner {
        Some(user) if user == we => Ok(()),
        Some(user) => Err(format!("pid {pid} belongs to another user (uid {user})")),
        None => Err(format!("it can't be told whose process pid {pid} is")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::domain::{ProcessId, RunId, ServiceId};
    use crate::process::stat::Stat;

    fn order(identity: Identity, port: u16) -> TakeOrder {
        TakeOrder {
            id: ServiceId::new("web").unwrap(),
            run: RunId::new("r-1"),
            stranger: ProcessId { pid: identity.pid, start: identity.start },
            port,
            spawn_hash: None,
        }
    }

    #[test]
    fn who_is_not_the_one_that_was_shown_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = Stat::read(child.id()).unwrap().unwrap().identity;
        let other = Identity { start: identity.start + 1, ..identity };
        assert!(prove(&order(other, 1), &[]).unwrap_err().contains("has ended"));
        assert!(prove(&order(identity, 1), &[identity]).unwrap_err().contains("a service's run already"));
        assert!(prove(&order(identity, 1), &[]).unwrap_err().contains("does not listen on port 1"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(prove(&order(identity, 1), &[]).unwrap_err().contains("has ended"));
    }

    #[test]
    fn the_agent_and_the_first_process_are_left_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for pid in [std::process::id(), std::os::unix::process::parent_id(), 1] {
            let Some(stat) = Stat::read(pid).unwrap() else { continue };
            let error = prove(&order(stat.identity, port), &[]).unwrap_err();
            assert!(error.contains("the agent itself"), "{error}");
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_left_alone() {
        assert_eq!(stat::owner(std::process::id()), Some(geteuid().as_raw()));
        assert_eq!(stat::owner(0), None);
        assert!(check_owner(42, Some(33), 33).is_ok());
        assert_eq!(check_owner(42, Some(33), 34), Err("pid 42 belongs to another user (uid 33)".to_owned()));
        // Not even root ends what belongs to others.
        assert!(check_owner(42, Some(33), 0).is_err());
        assert!(check_owner(42, None, 0).is_err());
    }
}
