//! The private socket: only its owner gets through, and nobody can hold it up.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many clients are served at a time. More are told to come back.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// How long the head of a request may take to arrive, from the connection or the end of the request before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long answers that are under way may still take at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a client that is one too many is told.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

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
    async fn accept(&self) -> UnixStream {
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

/// Serves `router` to all clients of `listener` until `end`; then lets those that are being answered have their answer,
/// for a short while.
///
/// Gives the listener back: whoever waits for the agent to be gone sees its socket go when that is dropped.
pub async fn serve(listener: Listener, router: Router, end: impl Future<Output = ()>) -> Listener {
    let mut connections = JoinSet::new();
    let (ending, ended) = watch::channel(());
    let mut end = pin!(end);
    loop {
        tokio::select! {
            stream = listener.accept() => {
                if connections.len() < MAX_CONNECTIONS {
                    connections.spawn(converse(stream, router.clone(), ended.clone()));
                } else {
                    // Whether it gets this or not, the connection is closed.
                    let _ = stream.try_write(BUSY);
                }
            }
            Some(_) = connections.join_next() => {}
            () = &mut end => break,
        }
    }
    drop((ending, router));
    let last_words = async { while connections.join_next().await.is_some() {} };
    // Who has not got its answer by then waits for something that will not come any more.
    let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    listener
}

/// Answers one client's requests, one after the other, until it hangs up or the sender of `ended` is gone.
async fn converse(stream: UnixStream, router: Router, mut ended: watch::Receiver<()>) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        // A client that hung up or sent no HTTP; nobody is left to be told.
        tracing::debug!(%error, "a client's connection ended early");
    }
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
