//! Which services a request means.

use std::sync::Arc;

use super::failure::no_such_service;
use crate::domain::{Command, ServiceId, ServiceView, Snapshot};
use crate::engine::Handle;
use crate::wire::Failure;

/// The services called `ids`, in that order, and the snapshot that they are of.
///
/// An id that nobody knows may stand in a file that was written a moment ago: the sources are read once more before it is
/// said that there is no such service.
///
/// # Errors
/// If there is no such service even so.
pub async fn find(
    engine: &Handle,
    ids: impl IntoIterator<Item = &str> + Clone,
) -> Result<(Vec<Arc<ServiceView>>, Arc<Snapshot>), Failure> {
    let snapshot = engine.snapshot();
    match all(&snapshot, ids.clone()) {
        Ok(found) => return Ok((found, snapshot)),
        // What is no id is in no file.
        Err(unknown) if ids.clone().into_iter().any(|id| ServiceId::new(id).is_err()) => return Err(unknown),
        Err(_) => {}
    }
    // An agent that is ending reads nothing more: what it knows is what there is.
    let _ = engine.command(Command::Read).await;
    let snapshot = engine.snapshot();
    Ok((all(&snapshot, ids)?, snapshot))
}

fn all<'a>(snapshot: &Snapshot, ids: impl IntoIterator<Item = &'a str>) -> Result<Vec<Arc<ServiceView>>, Failure> {
    let one = |id| snapshot.service(id).cloned().ok_or_else(|| no_such_service(id, snapshot));
    ids.into_iter().map(one).collect()
}
