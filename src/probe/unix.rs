//! The probe of a Unix socket, which only connects.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::connect::judged;
use crate::domain::Outcome;

/// Passes if the socket at `path` takes a connection.
pub(super) async fn socket(path: &Path, patience: Duration) -> Outcome {
    let connected = timeout(patience, async { UnixStream::connect(path).await.map(drop) });
    judged(connected.await, patience)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_unix_socket_passes_while_someone_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert_eq!(socket(&path, PATIENCE).await, Outcome::Fail("no such file".to_owned()));
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(socket(&path, PATIENCE).await, Outcome::Pass);
        drop(listener);
        assert_eq!(socket(&path, PATIENCE).await, Outcome::Fail("connection refused".to_owned()));
    }
}
