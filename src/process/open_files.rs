//! How many files may be open: the agent takes all that it may have, its children get what it was given.
//!
//! The agent holds a file for each run, and probes take some more. The usual soft limit of 1024 may be raised by whoever
//! needs more; it is so low for programs that could not cope with larger numbers (`select`), and services may be such.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::limit::Limit;

/// What the agent was given; `None` if it has left that as it was.
static GIVEN: OnceLock<Option<Limit>> = OnceLock::new();

/// Takes all that may be had, once in the life of a process.
pub(super) fn take_all() {
    GIVEN.get_or_init(|| {
        let given = getrlimit(Resource::Nofile);
        let soft = given.current.filter(|_| given.current != given.maximum)?;
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: given.maximum, maximum: given.maximum }) {
            tracing::warn!("no more than {soft} files can be open: {error}");
            return None;
        }
        Some(Limit::new(Resource::Nofile, soft, given.maximum))
    });
}

/// What a child is to set for itself.
pub(super) fn given() -> Option<Limit> {
    GIVEN.get().copied().flatten()
}
