//! The counterpart of the Linux file where there is no limit that nobody needs: no process has a brand.

use std::ffi::OsStr;
use std::io;

/// Never anybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct Brand;

impl Brand {
    /// The brand of a run.
    pub fn of(_state_dir: &OsStr, _run: &str) -> Self {
        Self
    }

    /// The brand of a process: it has none.
    pub fn read(_pid: u32) -> io::Result<Option<Self>> {
        Ok(None)
    }
}
