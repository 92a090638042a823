//! The counterpart of the Linux file where orphans fall to the first process: nothing of others is ours to collect.

use std::io;
use std::rc::Rc;

use super::run::Ground;

/// Says that there is nothing to listen to.
#[derive(Debug)]
pub(in crate::process) struct NobodysHeir;

/// There is no adopter of orphans but the first process.
pub(in crate::process) fn become_reaper() -> io::Result<NobodysHeir> {
    Ok(NobodysHeir)
}

/// Returns at once: children of ours are collected by who has started them.
pub(in crate::process) async fn reap(_: NobodysHeir, _ground: Rc<Ground>) {}

/// Never known here, because orphans don't become ours.
pub(in crate::process) fn has_no_orphans(_ground: &Ground) -> bool {
    false
}
