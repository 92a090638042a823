//! Who is connected, and who has to go when there is no room left. Speaks to nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How many clients are served at a time.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// How long every client has to ask something, however many others there are.
const HEARING: Duration = Duration::from_millis(100);

/// Whether a client has asked something: set once a whole request is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    /// A whole request is there.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// All clients, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Crowd(VecDeque<Client>);

#[derive(Debug)]
struct Client {
    task: AbortHandle,
    heard: Heard,
    since: Instant,
}

impl Crowd {
    /// How many there are, as of when the last room was made.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One more, which is served by `task`.
    pub fn add(&mut self, task: AbortHandle, heard: Heard) {
        self.0.push_back(Client { task, heard, since: Instant::now() });
    }

    /// Makes room for one more: if there is none, the connection is closed that has been there for the longest without
    /// asking anything, as soon as it has had its time for that. `false` if all have asked something.
    pub async fn make_room(&mut self) -> bool {
        loop {
            self.0.retain(|client| !client.task.is_finished());
            if self.0.len() < MAX_CONNECTIONS {
                return true;
            }
            let silent = self.0.iter().enumerate().find(|(_, client)| !client.heard.get());
            let Some((at, client)) = silent else { return false };
            let left = HEARING.saturating_sub(client.since.elapsed());
            if left.is_zero() {
                client.task.abort();
                self.0.remove(at);
                return true;
            }
            tokio::time::sleep(left).await;
        }
    }
}
