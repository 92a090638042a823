//! Signals become wishes.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use tokio::signal::unix::{SignalKind, signal};

use crate::domain::{Command, Shutdown};
use crate::engine::Handle;

/// Turns signals into wishes as long as it is polled: the first request to end ends everything in order, a second one at
/// once (`is_hasty` becomes true); a hang-up leaves the services running.
///
/// # Errors
/// If the system refuses to tell of signals.
pub(super) async fn obey(handle: Handle, is_hasty: Rc<Cell<bool>>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        let keeps = tokio::select! {
            Some(()) = terminate.recv() => false,
            Some(()) = interrupt.recv() => false,
            Some(()) = hang_up.recv() => true,
        };
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
