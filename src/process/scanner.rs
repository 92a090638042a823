//! Gives everybody who asks in the same moment one and the same look at all processes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::tree::Scan;

/// How long until another try, when there were no descriptors or no memory left to look with.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Looks at all processes on request, off the engine's thread, one look at a time.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    waiting: RefCell<Vec<Request>>,
    busy: Cell<bool>,
}

#[derive(Debug)]
struct Request {
    since: u64,
    reply: oneshot::Sender<Rc<Scan>>,
}

impl Scanner {
    /// A look that begins after this call, with the markers of processes that began at `since` (clock ticks after
    /// boot) or later. It never fails: what can't be looked at now is looked at as soon as it can.
    pub async fn scan(self: &Rc<Self>, since: u64) -> Rc<Scan> {
        let (reply, answer) = oneshot::channel();
        self.waiting.borrow_mut().push(Request { since, reply });
        if !self.busy.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).serve());
        }
        match answer.await {
            Ok(scan) => scan,
            // The runtime is being taken down, and with it this task.
            Err(_) => std::future::pending().await,
        }
    }

    async fn serve(self: Rc<Self>) {
        let mut has_told = false;
        loop {
            // Lets everybody speak who has been woken by the same event.
            tokio::task::yield_now().await;
            let requests = self.waiting.take();
            let Some(since) = requests.iter().map(|request| request.since).min() else { break };
            match tokio::task::spawn_blocking(move || Scan::take(since)).await {
                Ok(Ok(scan)) => {
                    let scan = Rc::new(scan);
                    for request in requests {
                        // Whoever asked may have been taken down.
                        let _ = request.reply.send(Rc::clone(&scan));
                    }
                }
                Ok(Err(error)) => {
                    if !has_told {
                        tracing::warn!("processes cannot be listed, trying again: {error}");
                        has_told = true;
                    }
                    self.waiting.borrow_mut().extend(requests);
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
                // The runtime is being taken down.
                Err(_) => break,
            }
        }
        self.busy.set(false);
    }
}
