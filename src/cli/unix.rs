//! What the client makes sure of before it trusts a socket.

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
