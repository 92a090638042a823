//! What opens things on Unix, and how it is kept apart from the agent.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that open what they are given, after an argument if they need one; the first that is there counts.
#[cfg(not(target_os = "macos"))]
pub(super) const OPENERS: &[(&str, Option<&str>)] = &[("xdg-open", None), ("gio", Some("open"))];
#[cfg(target_os = "macos")]
pub(super) const OPENERS: &[(&str, Option<&str>)] = &[("open", None)];

/// What is said where there is none of them.
#[cfg(not(target_os = "macos"))]
pub(super) const MISSING: &str = "there is neither xdg-open nor gio on the PATH";
#[cfg(target_os = "macos")]
pub(super) const MISSING: &str = "there is no program \"open\" on the PATH";

/// How a program is run in a session of its own (without the system's `setsid`, in a process group of its own), so that
/// neither a terminal's end nor its signals reach what the user has opened.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    setsid: Option<PathBuf>,
}

impl Apart {
    /// Looks with `find` for what it needs.
    pub fn find(find: &impl Fn(&str) -> Option<PathBuf>) -> Self {
        Self { setsid: find("setsid") }
    }

    /// `program`, kept apart.
    pub fn command(&self, program: &Path) -> Command {
        match &self.setsid {
            Some(setsid) => {
                let mut command = Command::new(setsid);
                command.arg(program);
                command
            }
            None => {
                let mut command = Command::new(program);
                command.process_group(0);
                command
            }
        }
    }
}

/// Whether `path` can be run.
pub(super) fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
