//! The counterpart of the Linux file where there is no shorter way to a new process than `fork`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;

use super::brand::Brand;

/// What is to run, and with what.
#[derive(Debug)]
#[allow(dead_code, reason = "equal to what there is on Linux")]
pub(in crate::process) struct Launch<'a> {
    pub argv: &'a [String],
    pub cwd: &'a Path,
    pub environment: &'a BTreeMap<OsString, OsString>,
    pub output: &'a File,
    pub brand: Brand,
}

impl Launch<'_> {
    /// `None`: nothing has been started.
    pub fn begin(&self) -> Option<u32> {
        None
    }
}
