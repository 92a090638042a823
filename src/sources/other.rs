//! The counterpart of `unix.rs` where files have no modes: every file that can be read is trusted.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::trust::Trust;

/// Where a virtual environment has its interpreter.
pub const VENV_PYTHON: &str = ".venv/Scripts/python.exe";

/// Opens a file for reading.
pub fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Whether `path`, with the ending of programs if it has none, is a program.
pub fn is_executable(path: &Path) -> bool {
    path.is_file() || (path.extension().is_none() && path.with_extension("exe").is_file())
}

/// What would tell one state of a file from every later one: nothing that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp;

impl Stamp {
    /// The stamp of what `metadata` tells of.
    pub fn of(_metadata: &Metadata) -> Self {
        Self
    }

    /// Whether every change of `file` from `now` on is certain to give it another stamp.
    pub fn is_lasting(&self, _file: &File, _now: SystemTime) -> bool {
        false
    }
}

/// The folder on the way to `path` that every user may write to: nothing tells that here.
pub fn open_way(_path: &Path) -> Option<String> {
    None
}

/// Whether what `file` says may be run in this user's name.
pub fn trust(_file: &File, _metadata: &Metadata) -> Trust {
    Trust::Full
}
