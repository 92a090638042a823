//! The interface over a real socket, with an engine that is made of two channels.

mod document;
mod events;
mod hostile;
mod load;
mod socket;
mod wishes;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{Backstage, Journal, Listener, Meter, Page, router, serve};
use crate::domain::catalog::Reading;
use crate::domain::sample::{NOW, healthy, snapshot};
use crate::domain::{Accepted, Aim, Answer, Command, Goal, ServiceView, Snapshot};
use crate::engine::{Clock, Handle, Request};
use crate::wire::{AgentFacts, Event, Process, Samples};

/// An agent whose engine is the test itself.
struct World {
    commands: mpsc::UnboundedReceiver<Request>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    journal: Arc<Past>,
    meter: Arc<MadeUp>,
    socket: PathBuf,
    client: reqwest::Client,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

/// A journal in memory.
struct Past {
    events: Mutex<Vec<Event>>,
    /// The first that is kept.
    first: Mutex<usize>,
    reads: AtomicUsize,
    grown: watch::Sender<u64>,
}

impl Journal for Past {
    /// Pages of three; what was taken away from the front is not kept any more.
    fn read(&self, cursor: u128) -> io::Result<Page> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let events = self.events.lock().unwrap();
        let first = *self.first.lock().unwrap();
        let cursor = usize::try_from(cursor).unwrap();
        let (begin, has_gap) = (cursor.max(first), cursor > 0 && cursor < first);
        let end = events.len().min(begin + 3);
        let page = events[begin..end].to_vec();
        Ok(Page { events: page, cursor: end as u128, is_last: end == events.len(), has_gap })
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

impl Past {
    fn add(&self, kind: &str, service: &str, at: i64) {
        let at = jiff::Timestamp::from_second(at).unwrap();
        let (kind, service) = (kind.to_owned(), Some(service.to_owned()));
        let event = Event { at, generation: 1, kind, service, run: None, text: "something happened".to_owned() };
        self.events.lock().unwrap().push(event);
        self.grown.send_modify(|count| *count += 1);
    }
}

/// Says the same of every process, and remembers how old that was allowed to be.
#[derive(Default)]
struct MadeUp {
    ages: Mutex<Vec<Duration>>,
}

impl Meter for MadeUp {
    fn recent(&self, _: &[Arc<ServiceView>], _: Duration) -> Option<Arc<Samples>> {
        None
    }

    fn measure(&self, views: &[Arc<ServiceView>], age: Duration) -> io::Result<Arc<Samples>> {
        self.ages.lock().unwrap().push(age);
        let one = |pid| Process {
            pid,
            ppid: None,
            cpu_percent: Some(1.5),
            memory_bytes: Some(4096),
            age_seconds: Some(3.0),
            command: "api --serve".to_owned(),
        };
        let running = views.iter().filter_map(|view| Some((view.id.clone(), vec![one(view.pid?)])));
        Ok(Arc::new(running.collect()))
    }
}

impl World {
    fn new(snapshot: Snapshot) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/agent.sock");
        let (requests, commands) = mpsc::unbounded_channel();
        let (snapshots, latest) = watch::channel(Arc::new(snapshot));
        let journal = Arc::new(Past {
            events: Mutex::default(),
            first: Mutex::default(),
            reads: AtomicUsize::new(0),
            grown: watch::Sender::new(0),
        });
        let meter = Arc::new(MadeUp::default());
        let backstage = Backstage {
            engine: Handle::new(requests, latest, Clock::start(NOW.since_zero())),
            agent: Arc::new(AgentFacts {
                pid: 1,
                config: PathBuf::from("/srv/services.json"),
                state_dir: PathBuf::from("/srv/state"),
                since: SystemTime::UNIX_EPOCH,
                has_tray: std::sync::Arc::default(),
                dashboard: None,
            }),
            meter: Arc::clone(&meter) as Arc<dyn Meter>,
            last_lines: Arc::new(|id, _| Ok(Some(vec![format!("last words of {id}")]))),
            checkout: Arc::new(|_, _| Ok(None)),
            propose: Arc::new(|_| Ok(empty_reading())),
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
        };
        let listener = Listener::bind(&socket).unwrap();
        let app = router(backstage);
        let server = tokio::spawn(async move {
            drop(serve(listener, app, std::future::pending()).await);
        });
        let client = reqwest::Client::builder().no_proxy().unix_socket(socket.as_path()).build().unwrap();
        Self { commands, snapshots, journal, meter, socket, client, server, _folder: folder }
    }

    fn publish(&self, snapshot: Snapshot) {
        self.snapshots.send_replace(Arc::new(snapshot));
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        read(self.client.get(url(path)).send().await.unwrap()).await
    }

    /// Sends a wish whose answer can be waited for later.
    fn post(&self, path: &str, body: &str) -> JoinHandle<(u16, Value)> {
        let request = self.client.post(url(path)).body(body.to_owned());
        tokio::spawn(async move { read(request.send().await.unwrap()).await })
    }

    /// Takes the next command, and answers it.
    async fn answer(&mut self, answer: Answer) -> Command {
        let Request { command, reply } = self.commands.recv().await.unwrap();
        reply.send(answer).unwrap();
        command
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn a_status_may_tell_of_costs_a_second_ago_but_process_trees_are_of_now() {
    let world = World::new(snapshot(vec![healthy("web", 7)]));
    assert_eq!(world.get("/v1/status").await.1["services"][0]["memory_bytes"], 4096);
    assert_eq!(world.get("/v1/ps").await.1["services"][0]["processes"][0]["memory_bytes"], 4096);
    assert_eq!(*world.meter.ages.lock().unwrap(), [Duration::from_secs(1), Duration::ZERO]);
}

fn empty_reading() -> Reading {
    Reading {
        files: Vec::new(),
        surroundings: Arc::default(),
        unlisted: false,
        problems: Vec::new(),
        cause: "a test".to_owned(),
        order: 0,
    }
}

fn url(path: &str) -> String {
    format!("http://pilotlight{path}")
}

async fn read(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

/// Waits until `holds`; fails if that takes absurdly long.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn accepted(aims: &[(&str, Goal)]) -> Answer {
    let aims = aims.iter().map(|(id, goal)| Aim { id: crate::domain::sample::id(id), goal: *goal, not_run: None });
    Ok(Accepted { aims: aims.collect(), ..Accepted::default() })
}
