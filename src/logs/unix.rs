//! What only Unix knows of files: reading at a place, identity, holes, modes.

use std::fs::File;
use std::io;
pub use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Where the data of a file of `length` bytes begins: what lies before is a hole.
pub fn data_start(file: &File, length: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(0)) {
        Ok(start) => Ok(start.min(length)),
        // Nothing but a hole.
        Err(Errno::NXIO) => Ok(length),
        // A file system that can't tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
