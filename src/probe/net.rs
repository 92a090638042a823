//! Takes the orders, lets a bounded number run at a time, and puts the answers into the inbox.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use super::{connect, exec, http, platform, words};
use crate::domain::{Check, Event, Outcome, ProbeOrder, RunId};
use crate::engine::ports::{Inbox, Probes};

/// So many connecting probes run at a time: each has one or two files open, and the usual limit is 1024.
pub(super) const CONNECTIONS: usize = 256;
/// So many exec probes run at a time: each is a process.
const PROGRAMS: usize = 32;

/// The real probes. Made and used within a tokio runtime, and idle without a timer, a thread or a connection.
///
/// A probe's timeout counts from its turn on: among more probes than may run at a time, waiting for a turn is not the
/// service's slowness.
#[derive(Debug)]
pub struct NetProbes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inbox: Inbox,
    /// Made at the first http probe.
    client: OnceLock<Result<reqwest::Client, String>>,
    connections: Arc<Semaphore>,
    programs: Arc<Semaphore>,
    in_flight: Mutex<HashSet<(RunId, usize)>>,
}

impl NetProbes {
    /// Probes that answer into `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self {
            shared: Arc::new(Shared {
                inbox,
                client: OnceLock::new(),
                connections: Arc::new(Semaphore::new(CONNECTIONS)),
                programs: Arc::new(Semaphore::new(PROGRAMS)),
                in_flight: Mutex::new(HashSet::new()),
            }),
        }
    }
}

impl Probes for NetProbes {
    /// Probes once; an order for what is being probed already has the answer of that.
    fn probe(&mut self, order: ProbeOrder) {
        let Some(flight) = InFlight::begin(&self.shared, (order.run.clone(), order.index)) else { return };
        tokio::spawn(async move {
            let outcome = flight.shared.ask(&order).await;
            let inbox = flight.shared.inbox.clone();
            // Before the answer, which may lead to the next order at once.
            drop(flight);
            // Without an engine nobody wants to know.
            let _ = inbox.send(Event::Probed { run: order.run, index: order.index, outcome });
        });
    }
}

impl Shared {
    async fn ask(&self, order: &ProbeOrder) -> Outcome {
        let patience = order.probe.timeout;
        let turns = match &order.probe.check {
            Check::Http { .. } | Check::Tcp { .. } | Check::Unix { .. } => &self.connections,
            Check::Exec { .. } | Check::Log { .. } | Check::File { .. } => &self.programs,
        };
        let turn = match Arc::clone(turns).acquire_owned().await {
            Ok(turn) => turn,
            Err(closed) => return Outcome::Fail(closed.to_string()),
        };
        match &order.probe.check {
            Check::Http { url, status, body } => {
                let asked = http::target(url).and_then(|url| Ok((self.client()?, url)));
                match asked {
                    Ok((client, url)) => {
                        let expected = http::Expected { status, body: body.as_deref() };
                        // Boxed, so that those who wait for their turn are small.
                        Box::pin(http::probe(client, url, expected, patience)).await
                    }
                    Err(reason) => Outcome::Fail(reason),
                }
            }
            Check::Tcp { host, port } => connect::tcp(host, *port, patience).await,
            Check::Unix { path } => platform::socket(path, patience).await,
            Check::Log { .. } | Check::File { .. } => Outcome::Fail("not asked yet".to_owned()),
            Check::Exec { argv } => Box::pin(exec::probe(argv, order.spawn.as_deref(), patience, turn)).await,
        }
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        self.client
            .get_or_init(|| http::client().map_err(|error| words::innermost(&error)))
            .as_ref()
            .map_err(Clone::clone)
    }

    fn flights(&self) -> MutexGuard<'_, HashSet<(RunId, usize)>> {
        // Nothing can panic between two changes of the set, so a poisoned one is whole.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A probe under way, until it is dropped.
struct InFlight {
    shared: Arc<Shared>,
    key: (RunId, usize),
}

impl InFlight {
    /// `None` if it is under way already.
    fn begin(shared: &Arc<Shared>, key: (RunId, usize)) -> Option<Self> {
        shared.flights().insert(key.clone()).then(|| Self { shared: Arc::clone(shared), key })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.flights().remove(&self.key);
    }
}
