//! What only Unix knows of: signals.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The requests to end that the system passes on.
pub(super) struct Requests {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Requests {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system refuses to tell of signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one; true if it leaves the services running.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            Some(()) = self.terminate.recv() => false,
            Some(()) = self.interrupt.recv() => false,
            Some(()) = self.hang_up.recv() => true,
        }
    }
}

/// Nothing that this program would have to be started again for.
pub(super) fn errand() -> Option<ExitCode> {
    None
}
