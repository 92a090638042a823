//! Asks a run to end, by the keys that end a program in a console.
//!
//! Ctrl+C is what asks a program to end here, as SIGTERM does elsewhere; Ctrl+Break is the counterpart of SIGQUIT, which
//! some answer with a report and go on.
//!
//! Only who is attached to a console can send them, and nobody can be attached to two: so this program is started once
//! more, beside the agent, for a moment, and attaches to the console of the run.

#![allow(unsafe_code)]

use std::io;
use std::os::windows::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::DETACHED_PROCESS;

use crate::domain::Signal;

/// The first argument of the program when it is started for this errand.
const ERRAND: &str = "--press-keys-in-console-of";
/// The argument for Ctrl+C.
const INTERRUPT: &str = "interrupt";
/// The argument for Ctrl+Break.
const BREAK: &str = "break";

/// Presses Ctrl+C (for [`Signal::Quit`]: Ctrl+Break) in the console of the first of `pids` that has one. Blocks for a
/// moment.
///
/// # Errors
/// If none of them has a console, or the errand fails otherwise.
pub(super) fn press(signal: Signal, pids: &[u32]) -> io::Result<()> {
    let keys = match signal {
        Signal::Quit => BREAK,
        Signal::Term
        | Signal::Int
        | Signal::Hup
        | Signal::Usr1
        | Signal::Usr2
        | Signal::Kill
        | Signal::Abrt
        | Signal::Alrm
        | Signal::Cont
        | Signal::Pipe
        | Signal::Trap
        | Signal::Ttin
        | Signal::Ttou
        | Signal::Urg
        | Signal::Vtalrm
        | Signal::Winch
        | Signal::Xcpu
        | Signal::Xfsz => INTERRUPT,
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ERRAND).arg(keys).args(pids.iter().map(u32::to_string)).creation_flags(DETACHED_PROCESS);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("none of its processes has a console that takes the keys"))
    }
}

/// Does the errand if this is one: for the program's main function, before it does anything else.
pub fn errand() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ERRAND) {
        return None;
    }
    let event = if arguments.next().as_deref() == Some(BREAK) { CTRL_BREAK_EVENT } else { CTRL_C_EVENT };
    let heard = arguments.filter_map(|pid| pid.parse().ok()).any(|pid| press_in(pid, event));
    Some(if heard { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn press_in(pid: u32, event: u32) -> bool {
    // SAFETY: the calls take plain numbers and a function that lives as long as the program. A group of 0 means all who
    // are attached to the console, ourselves among them, which is what the handler is for.
    unsafe {
        FreeConsole();
        AttachConsole(pid) != 0
            && SetConsoleCtrlHandler(Some(unheard), 1) != 0
            && GenerateConsoleCtrlEvent(event, 0) != 0
    }
}

/// Lets no key end the errand itself.
extern "system" fn unheard(_event: u32) -> i32 {
    1
}
