//! What only Windows knows of: the keys and messages that end a program in a console, and errands into other consoles.

use std::io;
use std::process::ExitCode;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown,
};

use crate::process;

/// The requests to end that the system passes on.
pub(super) struct Requests {
    interrupt: CtrlC,
    terminate: CtrlBreak,
    close: CtrlClose,
    log_off: CtrlLogoff,
    shut_down: CtrlShutdown,
}

impl Requests {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system refuses to tell of them.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: ctrl_c()?,
            terminate: ctrl_break()?,
            close: ctrl_close()?,
            log_off: ctrl_logoff()?,
            shut_down: ctrl_shutdown()?,
        })
    }

    /// Waits for the next one; true if it leaves the services running: the terminal's window was closed, or the session
    /// ends, for which the system gives too little time to end them in order.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            Some(()) = self.interrupt.recv() => false,
            Some(()) = self.terminate.recv() => false,
            Some(()) = self.close.recv() => true,
            Some(()) = self.log_off.recv() => true,
            Some(()) = self.shut_down.recv() => true,
        }
    }
}

/// Does what this program has been started again for, if it has.
pub(super) fn errand() -> Option<ExitCode> {
    process::errand()
}
