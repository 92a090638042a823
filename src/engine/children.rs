//! Which children of the agent are waited for by whoever spawned them.
//!
//! The agent is a subreaper: whoever reaps the strangers that come to it must not take the exit status of a child that
//! another effect waits for. This is the list of those; it neither spawns nor waits itself.

use std::collections::HashSet;
use std::io;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The pids of children with a waiter of their own; cheap to clone, all clones are one list.
#[derive(Clone, Debug, Default)]
pub struct OwnChildren {
    pids: Arc<Mutex<HashSet<u32>>>,
}

impl OwnChildren {
    /// Runs `spawn` and lists its child before anyone can ask for it; the child is off the list when the
    /// [`OwnChild`] is dropped, which must be after it was waited for.
    ///
    /// # Errors
    /// What `spawn` fails with.
    pub fn spawn(&self, spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<(Child, OwnChild)> {
        let mut pids = self.lock();
        let child = spawn()?;
        let pid = child.id();
        pids.insert(pid);
        Ok((child, OwnChild { pid, list: self.clone() }))
    }

    /// Runs `reap` unless `pid` has a waiter of its own; none can be added meanwhile.
    pub fn unless_own<R>(&self, pid: u32, reap: impl FnOnce() -> R) -> Option<R> {
        let pids = self.lock();
        (!pids.contains(&pid)).then(reap)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u32>> {
        // Nothing can panic between two changes of the set, so a poisoned one is whole.
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listed child.
#[derive(Debug)]
pub struct OwnChild {
    pid: u32,
    list: OwnChildren,
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        self.list.lock().remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_listed_from_its_spawn_until_its_waiter_is_done() {
        let children = OwnChildren::default();
        let (mut child, own) = children.spawn(|| Command::new("true").spawn()).unwrap();
        assert_eq!(children.clone().unless_own(child.id(), || ()), None);
        child.wait().unwrap();
        drop(own);
        assert_eq!(children.unless_own(child.id(), || 7), Some(7));
    }

    #[test]
    fn a_spawn_that_fails_lists_nothing() {
        let children = OwnChildren::default();
        assert!(children.spawn(|| Command::new("/no/such/program").spawn()).is_err());
        assert!(children.lock().is_empty());
    }
}
