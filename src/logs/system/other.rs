//! Where nothing can be taken from the front of a file that is being written: such logs are rotated as a whole, when
//! nobody writes to them.

use std::fs::{File, Metadata};
use std::io;

/// Tells a file from a later one at the same path.
pub(in crate::logs) fn identity(metadata: &Metadata) -> (u64, u64) {
    #[cfg(unix)]
    return (std::os::unix::fs::MetadataExt::dev(metadata), std::os::unix::fs::MetadataExt::ino(metadata));
    #[cfg(not(unix))]
    {
        let created = metadata.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let created = created.unwrap_or_default();
        (created.as_secs(), u64::from(created.subsec_nanos()))
    }
}

/// Reads at an offset.
pub(in crate::logs) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_at(file, buffer, offset);
    #[cfg(windows)]
    return std::os::windows::fs::FileExt::seek_read(file, buffer, offset);
}
