//! Signals become wishes.

use std::cell::Cell;
use std::rc::Rc;

use super::platform::Requests;
use crate::domain::{Command, Shutdown};
use crate::engine::Handle;

/// Turns signals into wishes as long as it is polled: the first request to end ends everything in order, a second one at
/// once (`is_hasty` becomes true); a hang-up leaves the services running.
pub(super) async fn obey(mut requests: Requests, handle: Handle, is_hasty: Rc<Cell<bool>>) {
    loop {
        let keeps = requests.next().await;
        let is_ending = handle.snapshot().shutting_down;
        let shutdown = match (is_ending, keeps) {
            (true, _) => {
                is_hasty.set(true);
                Shutdown::Now
            }
            (false, true) => Shutdown::Keep,
            (false, false) => Shutdown::AsConfigured,
        };
        // The answer comes once the wish shows in the snapshot, so that a second signal is told from the first.
        let _ = handle.command(Command::Shutdown(shutdown)).await;
    }
}
