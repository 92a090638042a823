//! Takes the orders, lets a bounded number run at a time, and puts the answers into the inbox.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::output::{self, OpenOutput, Place};
use super::{connect, exec, file, http, plain, platform, words};
use crate::domain::{Check, Event, Outcome, ProbeOrder, RunId, ServiceId};
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

struct Shared {
    inbox: Inbox,
    open: OpenOutput,
    /// Made at the first http probe that needs it.
    client: OnceLock<Result<reqwest::Client, String>>,
    connections: Arc<Semaphore>,
    programs: Arc<Semaphore>,
    in_flight: Mutex<HashSet<(RunId, usize)>>,
    /// For each probe that looks at files, how far it has read; held as long as a look is under way.
    places: Mutex<Places>,
}

/// For each probe of a service, by its index.
type Places = HashMap<(ServiceId, usize), Arc<tokio::sync::Mutex<Place>>>;

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl NetProbes {
    /// Probes that answer into `inbox`, and read by `open` what runs write.
    pub fn new(inbox: Inbox, open: OpenOutput) -> Self {
        Self {
            shared: Arc::new(Shared {
                inbox,
                open,
                client: OnceLock::new(),
                connections: Arc::new(Semaphore::new(CONNECTIONS)),
                programs: Arc::new(Semaphore::new(PROGRAMS)),
                in_flight: Mutex::new(HashSet::new()),
                places: Mutex::new(HashMap::new()),
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

/// A failure that is noticed so long after its time was over says nothing of the service: the agent itself was stopped.
pub(super) const LATE: Duration = Duration::from_secs(2);

impl Shared {
    async fn ask(&self, order: &ProbeOrder) -> Outcome {
        match self.ask_once(order).await {
            (Outcome::Fail(_), true) => self.ask_once(order).await.0,
            (outcome, _) => outcome,
        }
    }

    /// The answer, and whether it comes so late that nobody can have waited for it.
    async fn ask_once(&self, order: &ProbeOrder) -> (Outcome, bool) {
        let patience = order.probe.timeout;
        let turns = match &order.probe.check {
            Check::Http { .. } | Check::Tcp { .. } | Check::Unix { .. } | Check::Log { .. } | Check::File { .. } => {
                &self.connections
            }
            Check::Exec { .. } => &self.programs,
        };
        let turn = match Arc::clone(turns).acquire_owned().await {
            Ok(turn) => turn,
            Err(closed) => return (Outcome::Fail(closed.to_string()), false),
        };
        let asked = Instant::now();
        let outcome = match &order.probe.check {
            Check::Http { url, status, body } => {
                let asked = http::target(url).and_then(|url| {
                    let client = if plain::can_ask(&url) { None } else { Some(self.client()?) };
                    Ok((client, url))
                });
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
            Check::Log { pattern } => match self.place(order) {
                Some(place) => {
                    let of = (order.id.clone(), order.run.clone());
                    output::probe(place, Arc::clone(&self.open), of, pattern.clone(), patience).await
                }
                None => Outcome::Fail("the log is still being read".to_owned()),
            },
            Check::File { path, max_age } => match self.place(order) {
                Some(turn) => file::probe(path.clone(), *max_age, patience, turn).await,
                None => Outcome::Fail("the file system has still not answered".to_owned()),
            },
            Check::Exec { argv } => Box::pin(exec::probe(argv, order.spawn.as_deref(), patience, turn)).await,
        };
        (outcome, asked.elapsed() > patience.saturating_add(LATE))
    }

    /// How far the probe of `order` has read; `None` if an earlier look, given up for its slowness, is not over yet.
    fn place(&self, order: &ProbeOrder) -> Option<OwnedMutexGuard<Place>> {
        // Nothing can panic between two changes of the map, so a poisoned one is whole.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((order.id.clone(), order.index)).or_default();
        Arc::clone(place).try_lock_owned().ok()
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
