//! The client's way to a Unix socket, what it makes sure of before it trusts one, and how it tells files apart.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::net::UnixStream;

/// Whether the socket at `path` can be nobody else's: its folder belongs to this user, and only this user may enter.
///
/// # Errors
/// If the folder can't be looked at, or is open to others; with kind `NotFound` if there is none, or no socket in it.
pub fn is_private(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let found = std::fs::symlink_metadata(folder)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && own && found.mode() & 0o077 == 0 {
        return if path.exists() { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) };
    }
    let text = format!("{} is not a folder that only you can enter", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// A client that asks whoever listens at `path`, whatever the URL says.
pub fn client(path: &Path) -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().unix_socket(path)
}

/// Whether somebody listens at `path`.
pub async fn is_there(path: &Path) -> bool {
    UnixStream::connect(path).await.is_ok()
}

/// Whether `error` says that somebody listens, but not at this very moment: the line of those who wait is full.
pub fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// What tells a file apart from others that have had or will have its name, while it is there: its inode.
pub type FileId = u64;

/// The identity of the file at `path`.
pub fn identity(path: &Path) -> Option<FileId> {
    path.metadata().ok().map(|metadata| metadata.ino())
}

/// The same of an open file.
pub fn identity_of(file: &File) -> io::Result<FileId> {
    Ok(file.metadata()?.ino())
}
