//! Elsewhere a log is only ever renamed as a whole, so that none has a hole.

use std::fs::File;
use std::io;

/// Bytes of the hole with which a file begins.
#[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
pub(super) fn hole(_file: &File, _length: u64) -> io::Result<u64> {
    Ok(0)
}

/// Reads at the file's beginning only, which is all that is asked of it where no file has a hole.
pub(super) fn read_at(mut file: &File, buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
    io::Read::read(&mut file, buffer)
}
