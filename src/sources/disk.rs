//! The engine's way to the sources: reads on another thread, one reading at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::reader::Reader;
use crate::domain::Event;
use crate::domain::catalog::Reading;
use crate::engine::ports::{Inbox, Sources};

/// Reads from disk when told to. Orders that come during a reading lead to exactly one more, with the newest cause.
#[derive(Debug)]
pub struct DiskSources {
    /// The newest: however long a reading takes, only one more follows it.
    orders: watch::Sender<(String, u64)>,
}

impl DiskSources {
    /// Takes orders from now on, and answers them into `inbox`. To be called within a tokio runtime.
    pub fn start(reader: Reader, inbox: Inbox) -> Self {
        let (orders, incoming) = watch::channel(Default::default());
        tokio::spawn(serve(reader, incoming, inbox));
        Self { orders }
    }
}

impl Sources for DiskSources {
    fn read(&mut self, cause: String, order: u64) {
        self.orders.send_replace((cause, order));
    }
}

async fn serve(reader: Reader, mut orders: watch::Receiver<(String, u64)>, inbox: Inbox) {
    let reader = Arc::new(Mutex::new(reader));
    while orders.changed().await.is_ok() {
        let (cause, order) = orders.borrow_and_update().clone();
        let reader = Arc::clone(&reader);
        let reading = tokio::task::spawn_blocking(move || {
            // A reading that has panicked leaves nothing half done that the next one would mind.
            let reading = reader.lock().unwrap_or_else(PoisonError::into_inner).read(cause);
            Reading { order, ..reading }
        });
        match reading.await {
            Ok(reading) => {
                if inbox.send(Event::SourcesRead(reading)).is_err() {
                    return;
                }
            }
            Err(error) => tracing::error!("failed to read the sources, which stay as they were: {error}"),
        }
    }
}
