//! What is particular to Unix: the signals that end the stand-in, and a session of its own.

use std::io::Result;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asks a service to end here.
pub const TERM: &str = "SIGTERM";

/// The signals that ask it to end.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => TERM,
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Leaves the session that it was started in.
pub fn leave_session() -> Result<()> {
    rustix::process::setsid()?;
    Ok(())
}
