//! The counterpart of `unix.rs` where nobody can connect to a Unix socket.

use std::path::Path;
use std::time::Duration;

use crate::domain::Outcome;

/// Fails, and says why.
pub(in crate::probe) async fn socket(_path: &Path, _patience: Duration) -> Outcome {
    Outcome::Fail("a unix probe can't be made on Windows: probe a port instead".to_owned())
}
