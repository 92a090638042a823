//! The loop: wait for facts, wishes or the next deadline; let the domain decide; carry the orders out; publish.
//!
//! It sleeps until something happens or is due, and not a moment less.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::handle::{Handle, Request};
use super::ports::{Actions, Files, Inbox, Logs, Meters, Notifier, Probes, Processes, Sources, Store};
use crate::domain::{Answer, Effect, Event, RunIds, Snapshot, Supervisor};

/// How many facts and wishes are taken together before it is decided what follows from them.
const BATCH: usize = 256;

/// The world, as the engine sees it.
pub struct Ports {
    /// Starts and ends processes.
    pub processes: Box<dyn Processes>,
    /// Runs actions.
    pub actions: Box<dyn Actions>,
    /// Asks services how they are.
    pub probes: Box<dyn Probes>,
    /// Measures what runs use.
    pub meters: Box<dyn Meters>,
    /// Reads the sources.
    pub sources: Box<dyn Sources>,
    /// Watches the files of services.
    pub files: Box<dyn Files>,
    /// Keeps what must survive.
    pub store: Box<dyn Store>,
    /// Keeps the logs.
    pub logs: Box<dyn Logs>,
    /// Shows notifications.
    pub notifier: Box<dyn Notifier>,
}

/// The engine before it runs: its channels exist, so that effects and faces can be built around them.
#[derive(Debug)]
pub struct Engine {
    supervisor: Supervisor,
    clock: Clock,
    inbox: mpsc::UnboundedReceiver<Event>,
    inbox_sender: Inbox,
    requests: mpsc::UnboundedReceiver<Request>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    handle: Handle,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    tickets: u64,
}

impl Engine {
    /// An engine that knows nothing yet; its first fact is [`Event::Found`].
    pub fn new(clock: Clock, ids: RunIds) -> Self {
        let (inbox_sender, inbox) = mpsc::unbounded_channel();
        // Without a bound, and no longer than there are faces that wish: clients are bounded and wait for an answer each;
        // clicks come by the thread that also empties this.
        let (requests_sender, requests) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new(ids);
        let (snapshots, receiver) = watch::channel(Arc::clone(supervisor.snapshot()));
        let handle = Handle::new(requests_sender, receiver, clock);
        Self {
            supervisor,
            clock,
            inbox,
            inbox_sender,
            requests,
            snapshots,
            handle,
            waiting: HashMap::new(),
            tickets: 0,
        }
    }

    /// Where effects put their facts.
    pub fn inbox(&self) -> Inbox {
        self.inbox_sender.clone()
    }

    /// What faces hold.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until the domain orders the end.
    pub async fn run(mut self, mut ports: Ports) {
        loop {
            let now = self.clock.now();
            let effects = self.supervisor.decide(now);
            let mut ends = false;
            let (mut answers, mut happened) = (Vec::new(), Vec::new());
            for effect in effects {
                match effect {
                    Effect::Answer { ticket, answer } => answers.push((ticket, answer)),
                    Effect::Record(occurrence) => happened.push(occurrence),
                    Effect::TellTimeOfDay => self.tell_time_of_day(),
                    other => ends |= carry_out(other, &mut ports),
                }
            }
            if !happened.is_empty() {
                ports.store.record(&happened);
            }
            // Whoever is answered sees what has come of the wish.
            self.publish();
            for (ticket, answer) in answers {
                self.answer(ticket, answer);
            }
            if ends {
                return;
            }
            self.wait().await;
        }
    }

    /// Waits for something to happen or to be due, and notes all that has happened by then.
    async fn wait(&mut self) {
        let deadline = self.supervisor.next_deadline().map(|deadline| self.clock.instant(deadline));
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        // All three may be dropped while they wait: nothing is lost then.
        tokio::select! {
            event = self.inbox.recv() => {
                if let Some(event) = event {
                    self.supervisor.handle(self.clock.now(), event);
                }
            }
            request = self.requests.recv() => {
                if let Some(request) = request {
                    self.take(request);
                }
            }
            () = due => {}
        }
        for _ in 0..BATCH {
            if let Ok(event) = self.inbox.try_recv() {
                self.supervisor.handle(self.clock.now(), event);
            } else if let Ok(request) = self.requests.try_recv() {
                self.take(request);
            } else {
                break;
            }
        }
    }

    fn take(&mut self, request: Request) {
        self.tickets += 1;
        self.waiting.insert(self.tickets, request.reply);
        let event = Event::Commanded { ticket: self.tickets, command: request.command };
        self.supervisor.handle(self.clock.now(), event);
    }

    fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some(reply) = self.waiting.remove(&ticket) {
            // Whoever asked may have gone; the wish holds all the same.
            let _ = reply.send(answer);
        }
    }

    fn tell_time_of_day(&self) {
        let since_midnight = self.clock.since_midnight();
        // The engine holds the other end.
        let _ = self.inbox_sender.send(Event::TimeOfDay { since_midnight });
    }

    fn publish(&self) {
        let snapshot = self.supervisor.snapshot();
        self.snapshots.send_if_modified(|published| {
            let differs = published.revision != snapshot.revision;
            if differs {
                *published = Arc::clone(snapshot);
            }
            differs
        });
    }
}

/// Carries out one order; true if it is the last one.
fn carry_out(effect: Effect, ports: &mut Ports) -> bool {
    match effect {
        Effect::ReadSources { cause, order } => ports.sources.read(cause, order),
        Effect::Spawn(order) => {
            ports.logs.begin(&order.id);
            ports.processes.spawn(order);
        }
        Effect::Ask { run, signal, tree } => ports.processes.ask(&run, signal, tree),
        Effect::Kill { run, tree } => ports.processes.kill(&run, tree),
        Effect::Take(order) => ports.processes.take(order),
        Effect::RunAction(order) => ports.actions.run(order),
        Effect::Probe(order) => {
            ports.logs.mark(&order.id);
            ports.probes.probe(order);
        }
        Effect::Measure(order) => ports.meters.measure(order),
        Effect::KeepLogs(policies) => ports.logs.keep(&policies),
        Effect::WatchFiles { id, patterns } => ports.files.watch(&id, &patterns),
        Effect::SaveIntent(intent) => ports.store.save_intent(&intent),
        Effect::Notify(notice) => ports.notifier.show(notice),
        // These the engine sees to itself.
        Effect::Answer { .. } | Effect::Record(_) | Effect::TellTimeOfDay => {}
        Effect::Exit => return true,
    }
    false
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}
