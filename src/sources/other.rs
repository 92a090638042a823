//! The counterpart of `unix.rs` where files have no modes: every file that can be read is trusted.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

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

/// Whether what `file` says may be run in this user's name.
pub fn trust(_file: &File, _metadata: &Metadata) -> Trust {
    Trust::Full
}
