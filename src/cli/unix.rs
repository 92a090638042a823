//! What the client makes sure of before it trusts a socket, and how it tells files apart.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether the socket at `path` can be nobody else's: its folder belongs to this user, and only this user may enter.
///
/// # Errors
/// If the folder can't be looked at, or is open to others; with kind `NotFound` if there is none.
pub fn is_private(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let found = std::fs::symlink_metadata(folder)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && own && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let text = format!("{} is not a folder that only you can enter", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// What tells the file at `path` apart from others that have had or will have its name, while it is there.
pub fn inode(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| inode_of(&metadata))
}

/// The same of an open file.
pub fn inode_of(metadata: &Metadata) -> u64 {
    metadata.ino()
}
