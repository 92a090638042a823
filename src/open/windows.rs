//! What opens things on Windows, and how it is kept apart from the agent.

use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that open what they are given, after an argument if they need one; the first that is there counts.
///
/// Explorer would do for files, but takes some addresses for folders.
pub(super) const OPENERS: &[(&str, Option<&str>)] = &[("rundll32.exe", Some("url.dll,FileProtocolHandler"))];

/// What is said where there is none of them.
pub(super) const MISSING: &str = "there is no rundll32.exe on the PATH";

/// `DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP`: neither the console's end nor its Ctrl-C reaches the program.
const DETACHED: u32 = 0x0000_0008 | 0x0000_0200;

/// How a program is run without a part in the agent's console.
#[derive(Clone, Debug)]
pub(super) struct Apart;

impl Apart {
    /// Needs nothing else.
    pub fn find(_find: &impl Fn(&str) -> Option<PathBuf>) -> Self {
        Self
    }

    /// `program`, kept apart.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.creation_flags(DETACHED);
        command
    }
}

/// Whether `path` can be run.
pub(super) fn is_program(path: &Path) -> bool {
    path.is_file()
}
