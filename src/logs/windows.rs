//! What logs need of files, by the names that Unix has for it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};

/// Reading at a place.
pub trait FileExt {
    /// Reads what there is at `offset`, at most what fits.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads at `offset` until the buffer is full.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // It moves the file's own position, which nobody here goes by.
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }
}

/// What tells one file from another.
pub trait MetadataExt {
    /// The same for all files here.
    fn dev(&self) -> u64;

    /// The time when it was made, which a new file of the same name has anew.
    fn ino(&self) -> u64;
}

impl MetadataExt for Metadata {
    fn dev(&self) -> u64 {
        0
    }

    fn ino(&self) -> u64 {
        std::os::windows::fs::MetadataExt::creation_time(self)
    }
}

/// Who may see a new file.
pub trait OpenOptionsExt {
    /// Changes nothing: a file in the user's profile is closed to others by what it inherits.
    fn mode(&mut self, _mode: u32) -> &mut Self;
}

impl OpenOptionsExt for OpenOptions {
    fn mode(&mut self, _mode: u32) -> &mut Self {
        self
    }
}

/// Where the data of a file begins: at its beginning, because nothing here makes holes.
pub fn data_start(_file: &File, _length: u64) -> io::Result<u64> {
    Ok(0)
}
