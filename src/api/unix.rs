//! The private socket: only its owner gets through, and nobody can hold it up.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

/// A socket that clients can connect to; its file goes away with it.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Listener {
    /// Listens at `path`, in a folder that only this user may enter; makes the folder if need be.
    ///
    /// A socket that is there already is taken for a dead agent's and replaced: hold the agent's lock before.
    ///
    /// # Errors
    /// If the folder belongs to somebody else, or something that is no socket is in the way, or the system refuses.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let folder = path.parent().ok_or_else(|| io::Error::other("a socket needs a folder"))?;
        private_folder(folder)?;
        match std::fs::symlink_metadata(path) {
            Ok(found) if is_socket(&found) => std::fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::other(format!("{} is in the way and no socket", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let inner = UnixListener::bind(path)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
        let inode = std::fs::symlink_metadata(path)?.ino();
        Ok(Self { inner, path: path.to_owned(), inode })
    }

    /// The next client of the same user.
    pub async fn accept(&self) -> UnixStream {
        loop {
            match self.inner.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == geteuid().as_raw() => return stream,
                    Ok(peer) => tracing::warn!(uid = peer.uid(), "turned away a client of another user"),
                    Err(error) => tracing::warn!(%error, "turned away a client that can't be identified"),
                },
                Err(error) => {
                    // Out of file descriptors, as a rule: some will come free.
                    tracing::warn!(%error, "failed to accept a client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Removes the socket's file, unless another has taken its place.
impl Drop for Listener {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // A file that stays is replaced by the next agent.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Tells a client that is one too many to come back.
pub fn turn_away(stream: UnixStream, answer: &[u8]) {
    // Whether it gets this or not, the connection is closed.
    let _ = stream.try_write(answer);
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())
}

/// Sees to it that `folder` is there, is this user's and nobody else's.
fn private_folder(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display()))),
    }
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() {
        return Err(io::Error::other(format!("{} is not a folder", folder.display())));
    }
    if found.uid() != geteuid().as_raw() {
        let text = format!("{} belongs to another user", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    if found.mode() & 0o077 != 0 {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700))?;
    }
    Ok(())
}
