//! What a face holds of the engine: a way to wish something, and the latest snapshot.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use crate::domain::{Answer, Command, Refusal, Snapshot};

/// A wish on its way to the engine.
#[derive(Debug)]
pub struct Request {
    /// The wish.
    pub command: Command,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// A face's side of the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::UnboundedSender<Request>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clock: Clock,
}

impl Handle {
    /// Joins the two channels of an engine, real or made up by a test.
    pub fn new(
        requests: mpsc::UnboundedSender<Request>,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        clock: Clock,
    ) -> Self {
        Self { requests, snapshots, clock }
    }

    /// Wishes something, and waits until the engine has taken or refused it (not until it has come about).
    pub async fn command(&self, command: Command) -> Answer {
        let (reply, answer) = oneshot::channel();
        let ended = || Refusal::Impossible("the agent is ending".to_owned());
        self.requests.send(Request { command, reply }).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Wishes something without waiting for the answer.
    pub fn send(&self, command: Command) {
        let (reply, _nobody_waits) = oneshot::channel();
        // An engine that has ended takes no wishes; its faces end with it.
        let _ = self.requests.send(Request { command, reply });
    }

    /// The latest picture.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// All further pictures: wait with `changed()` or `wait_for()`, which skip to the latest.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// The clock that the snapshot's moments are on.
    pub fn clock(&self) -> Clock {
        self.clock
    }
}
