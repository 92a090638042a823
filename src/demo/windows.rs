//! What is particular to Windows: the keys and messages that end the stand-in.

use std::io::{Error, ErrorKind, Result};

use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

/// What asks a service to end here.
pub const TERM: &str = "Ctrl+C";

/// The signals that ask it to end.
pub struct Signals {
    interrupt: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        Ok(Self { interrupt: ctrl_c()?, pause: ctrl_break()?, close: ctrl_close()? })
    }

    /// Waits for the next one, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => TERM,
            _ = self.pause.recv() => "Ctrl+Break",
            _ = self.close.recv() => "the end of its console",
        }
    }
}

/// There is no such thing as leaving.
pub fn leave_session() -> Result<()> {
    Err(Error::new(ErrorKind::Unsupported, "a process can't leave the job of its service on Windows"))
}
